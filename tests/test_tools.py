"""The tools of the tests: mutants, benchmarks, forked processes, the option that forbids skips."""

import os
import signal
import subprocess
import sys
from importlib import import_module
from pathlib import Path

import pytest
import torch

from sentiment.training.device import hardware_kind
from tests.cluster_lane import ALL_SLOW, LANES, ONE_BY_ONE
from tests.limits import wait_for
from tests.mutants import Mutant, read_mutants
from tests.mutants.__main__ import KILLED, SURVIVED, Copy
from tests.processes import run_python, start_python

ROOT = Path(__file__).parents[1]


@pytest.mark.slow
def test_mutants_have_names_of_their_own_change_one_place_and_their_tests_are_there() -> None:
    mutants = read_mutants()
    assert len({mutant.bug for mutant in mutants}) == len(mutants)
    stale = []
    for mutant in mutants:
        try:
            compile(mutant.content(ROOT), mutant.file, "exec")
        except ValueError as error:
            stale.append(str(error))
        for file, _, name in (test.partition("::") for test in mutant.tests):
            if name:
                assert f"def {name}(" in (ROOT / file).read_text(encoding="utf-8"), (mutant.bug, file, name)
            else:
                assert (ROOT / file).exists(), (mutant.bug, file)
    assert stale == []


@pytest.mark.more
def test_mutant_is_judged_by_its_own_code_after_one_of_equal_length(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("PYTHONDONTWRITEBYTECODE", raising=False)
    copy = Copy(tmp_path)
    test = "tests/test_terminal.py::test_lines_stay_lines_and_letters_stay_letters"
    file, before = "sentiment/console.py", "_escape_character(character) for character in text)"
    broken = Mutant("", "", file, before, "_escape_character(character) for character in text[1:])", (test,))
    assert copy.judge(broken)[0] == KILLED
    harmless = Mutant("", "", file, before, "_escape_character(character) for character in text[0:])", (test,))
    assert copy.judge(harmless)[0] == SURVIVED


@pytest.mark.more
@pytest.mark.parametrize("command", ["training --batches 1 --repeats 1", "data --tweets 300", "predict --tweets 900"])
def test_benchmark_runs_at_its_smallest_size_and_names_the_processor(
    command: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("tests.benchmarks.bench_data.SHARED", tmp_path / "no real tweets")
    monkeypatch.setattr(sys, "argv", command.split())
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        import_module(f"tests.benchmarks.bench_{command.split()[0]}").main()
    finally:
        torch.set_num_threads(threads)
    first, *others = capsys.readouterr().out.splitlines()
    assert hardware_kind(torch.device("cpu")) in first
    assert len(others) >= 2


@pytest.mark.slow
def test_process_is_signalled_and_ends_with_who_started_it() -> None:
    handler = "signal.signal(signal.SIGTERM, lambda *_: sys.exit('heard'))"
    code = f"import signal, sys; {handler}; print('ready'); sys.stdin.readline()"
    with start_python("-u", "-c", code, stdin=subprocess.PIPE) as process:
        assert process.stdout.readline() == "ready\n"
        assert process.poll() is None
        process.send_signal(signal.SIGTERM)
        assert process.stdout.read() == "heard\n"
    with start_python("-c", "import time; time.sleep(99)") as process:
        process.send_signal(signal.SIGINT)  # at once
        assert process.stdout.read().endswith("KeyboardInterrupt\n")
    assert process.returncode == -signal.SIGINT
    nested = (
        f"from tests.processes import start_python; print(start_python('-c', {'import time; time.sleep(99)'!r}).pid)"
    )
    pid = int(run_python("-c", nested, cwd=Path(__file__).parents[1]).stdout)
    wait_for(lambda: not Path(f"/proc/{pid}").exists(), "the end of a process that nobody waits for")


_TESTS = """
import pytest

@pytest.mark.skip(reason="no wish")
def test_skipped(): pass

@pytest.mark.gpu
def test_needs_gpu(): pytest.skip("no GPU")

def test_good(): pass
"""


@pytest.mark.more
def test_skipped_tests_fail_the_whole_with_the_option_unless_their_needs_may_be_missing(tmp_path: Path) -> None:
    (tmp_path / "test_some.py").write_text(_TESTS)
    (tmp_path / "test_module.py").write_text("import pytest\npytest.skip('all of it', allow_module_level=True)\n")
    (tmp_path / "pytest.ini").write_text("[pytest]\nmarkers =\n    gpu: a\n")
    command = [sys.executable, "-m", "pytest", "-q", "-n", "1", "-p", "tests.no_skips", "--no-skips", str(tmp_path)]
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True)
    assert (done.returncode, "1 passed, 3 skipped" in done.stdout) == (1, True)
    said = {line.split()[-1] for line in done.stdout.splitlines() if "which --no-skips forbids" in line}
    assert said == {"test_module.py", "test_some.py::test_skipped"}


def test_files_that_are_dealt_out_in_their_own_way_exist() -> None:
    assert [path for path in (*LANES, *ONE_BY_ONE, *ALL_SLOW) if not (ROOT / path).exists()] == []
