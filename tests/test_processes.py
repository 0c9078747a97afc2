"""Forked processes behave like fresh ones."""

import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tests.limits import wait_for
from tests.processes import run_python, start_python

pytestmark = pytest.mark.slow


@pytest.mark.parametrize(
    ("code", "returncode", "stderr"),
    [
        ("pass", 0, ""),
        ("import sys; sys.exit(3)", 3, ""),
        ("import sys; sys.exit('no')", 1, "no\n"),
        ("1 / 0", 1, "ZeroDivisionError: division by zero\n"),
        ("import os; os.kill(os.getpid(), 9)", -9, ""),
        ("raise KeyboardInterrupt", -2, "KeyboardInterrupt\n"),
    ],
)
def test_exit_codes_are_those_of_an_interpreter(code: str, returncode: int, stderr: str) -> None:
    done = run_python("-c", code)
    assert (done.returncode, done.stdout) == (returncode, "")
    assert done.stderr.endswith(stderr)
    assert bool(done.stderr) == bool(stderr)


def test_folder_environment_arguments_and_streams_are_the_processs_own(tmp_path: Path) -> None:
    code = "import os, sys; print(os.getcwd(), dict(os.environ), sys.argv, sys.stdin.read())"
    done = run_python("-c", code, "a b", input="given", cwd=tmp_path, environ={"ONLY": "this"})
    assert done.stdout == f"{tmp_path} {{'ONLY': 'this'}} ['-c', 'a b'] given\n"


def test_path_of_its_own_comes_first(tmp_path: Path) -> None:
    (tmp_path / "sentiment").mkdir()
    (tmp_path / "sentiment" / "__init__.py").write_text("print('another')")
    done = run_python("-c", "import sentiment", cwd=tmp_path.parent, environ={"PYTHONPATH": str(tmp_path)})
    assert done.stdout == "another\n"


def test_process_is_signalled_and_ends_with_who_started_it() -> None:
    handler = "signal.signal(signal.SIGTERM, lambda *_: sys.exit('heard'))"
    code = f"import signal, sys; {handler}; print('ready'); sys.stdin.readline()"
    with start_python("-u", "-c", code, stdin=subprocess.PIPE) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
        assert process.poll() is None
        process.send_signal(signal.SIGTERM)
        assert process.stdout.read() == "heard\n"
    nested = (
        f"from tests.processes import start_python; print(start_python('-c', {'import time; time.sleep(99)'!r}).pid)"
    )
    pid = int(run_python("-c", nested, cwd=Path(__file__).parents[1]).stdout)
    wait_for(lambda: not Path(f"/proc/{pid}").exists(), "the end of a process that nobody waits for")


def test_interpreter_is_the_same() -> None:
    assert run_python("-c", "import sys; print(sys.executable)").stdout == f"{sys.executable}\n"
