"""Python processes that need not import torch, pandas and the rest first: they are forked from a server that has.

A process has its own folder, environment and streams, and ends as an interpreter does. It takes .1 s of processor in
place of 2 to 5. What the interpreter itself reads from the environment before the first line (PYTHONUTF8, LC_ALL,
LD_PRELOAD, ...), what is imported how late, and preexec_fn can't be tested so: such a test starts `sys.executable`.
A PYTHONPATH of the process's own counts: then the project's packages are imported anew.
"""

import array
import atexit
import contextlib
import ctypes
import functools
import gc
import importlib
import io
import os
import pickle
import pkgutil
import runpy
import select
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import traceback
import types
import warnings
from collections.abc import Mapping
from pathlib import Path
from subprocess import CompletedProcess
from typing import Any

from tests.limits import limit

ADDRESS = "TEST_FORK_SERVER"
"""The variable that names the server's socket, once there is one."""
FORKING = str(Path(__file__).with_name("forking"))
"""An interpreter that begins with this folder on its path is forked from the server, as `stand_in` says."""
_OURS = ("sentiment", "jobs", "report", "tests")
_THEIRS = (
    *("pandas", "pyarrow.parquet", "scipy.stats", "submitit", "torch"),
    *("sklearn.linear_model", "sklearn.feature_extraction.text"),
)
_IGNORED = (signal.SIGTERM, signal.SIGUSR1, signal.SIGUSR2, signal.SIGHUP)
_INTERRUPT = -int(signal.SIGINT)
_LOCAL = "--parent"
_PR_SET_PDEATHSIG = 1


@functools.cache
def server() -> str:
    if ADDRESS not in os.environ:
        path = str(Path(tempfile.mkdtemp(prefix="fork-server-")) / "socket")
        listener = socket.socket(socket.AF_UNIX)
        listener.bind(path)  # from now on one can knock; it answers when it has imported everything
        listener.listen(256)
        command = [sys.executable, "-m", "tests.processes", str(listener.fileno())]
        environ = os.environ | {"OMP_NUM_THREADS": "1"}
        process = subprocess.Popen(
            command, stdin=subprocess.PIPE, pass_fds=[listener.fileno()], cwd=Path(__file__).parents[1], env=environ
        )
        listener.close()
        atexit.register(_stop, process, path)
        os.environ[ADDRESS] = path
    return os.environ[ADDRESS]


def _stop(process: "subprocess.Popen[bytes]", path: str) -> None:
    process.stdin.close()
    process.wait()
    Path(path).unlink(missing_ok=True)
    Path(path).parent.rmdir()


class Forked(subprocess.Popen[str]):
    """A process of which the parent is the server: the first of its words is `sys.executable`."""

    def _execute_child(
        self, args, executable, preexec_fn, close_fds, pass_fds, cwd, env, info, flags, shell, *pipes
    ) -> None:
        stdin, _, _, stdout, _, stderr = pipes[:6]
        streams = [default if one == -1 else one for one, default in ((stdin, 0), (stdout, 1), (stderr, 2))]
        self._line = ask(server(), list(map(os.fspath, args))[1:], cwd or Path.cwd(), env or os.environ, streams)
        self.pid = int(self._line.readline())
        self._child_created = True
        self._close_pipe_fds(*pipes[:6])

    def _internal_poll(self, _deadstate: object = None) -> int | None:
        if self.returncode is None and select.select([self._line], [], [], 0)[0]:
            self._hear()
        return self.returncode

    def _wait(self, timeout: float | None) -> int:
        if self.returncode is None:
            if not select.select([self._line], [], [], timeout)[0]:
                raise subprocess.TimeoutExpired(self.args, timeout or 0.0)
            self._hear()
        return self.returncode

    def _hear(self) -> None:
        said = self._line.readline()
        self.returncode = int(said) if said else -int(signal.SIGKILL)  # the server has gone with all its children
        self._line.close()


def start_python(*arguments: object, environ: Mapping[str, str] | None = None, **options: Any) -> Forked:
    """Start a process: `-m MODULE ...`, `-c CODE ...` or `SCRIPT ...`. Its output is one stream by default."""
    streams = {"stdout": subprocess.PIPE, "stderr": subprocess.STDOUT}
    return Forked([sys.executable, *map(str, arguments)], text=True, env=environ, **streams | options)


def run_python(
    *arguments: object, input: str | None = None, environ: Mapping[str, str] | None = None, **options: Any
) -> "CompletedProcess[str]":
    """Run a process to its end, and keep stdout and stderr apart; arguments as of `start_python`."""
    streams = {"stdin": subprocess.PIPE if input else subprocess.DEVNULL, "stderr": subprocess.PIPE}
    with start_python(*arguments, environ=environ, **streams | options) as process:
        try:
            stdout, stderr = process.communicate(input, timeout=limit())
        except BaseException:
            process.kill()
            raise
    return CompletedProcess(process.args, process.returncode, stdout, stderr)


def ask(address: str, arguments: list[str], cwd: object, environ: Mapping[str, str], streams: list[int]) -> Any:
    """Ask a server for a process: a file that says its id, and when it has ended, its exit code."""
    line = socket.socket(socket.AF_UNIX)
    line.connect(address)
    ignored = [number for number in _IGNORED if signal.getsignal(number) == signal.SIG_IGN]
    request = pickle.dumps((arguments, os.fspath(cwd), dict(environ), ignored))
    line.sendmsg([len(request).to_bytes(8)], [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", streams))])
    line.sendall(request)
    file = line.makefile("r", buffering=1)
    line.close()
    return file


def stand_in() -> None:
    """Let a forked process do the work of this one, an interpreter that has just begun; signals go on to it.

    If this process is killed, so is the forked one, with all that it has forked itself. A task of a grid on this
    machine (`--parent`) is only left without its parent, as if its starter were killed, with which this process ends.
    """
    local = _LOCAL in sys.orig_argv
    if local:
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    line = ask(os.environ[ADDRESS], sys.orig_argv[1:], Path.cwd(), os.environ, [0, 1, 2])
    pid = int(line.readline())

    def pass_on(number: int, _frame: object) -> None:
        with contextlib.suppress(ProcessLookupError):  # it has ended, which is about to be told
            (os.kill if local else os.killpg)(pid, number)

    for number in (*_IGNORED, signal.SIGINT, signal.SIGCONT):
        signal.signal(number, pass_on)
    code = int(line.readline() or -signal.SIGKILL)
    if code < 0:
        signal.signal(-code, signal.SIG_DFL) if -code != signal.SIGKILL else None
        os.kill(os.getpid(), -code)
    os._exit(code)


def _serve(listener: socket.socket) -> None:
    """Answer until the process that started this one is gone; returns in the processes that were asked for."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    while 0 not in select.select([0, listener], [], [])[0]:
        _count_ended()
        line, _ = listener.accept()
        if os.fork() == 0:
            listener.close()
            return _keep(line)
        line.close()
    _count_ended()
    os._exit(0)


def _count_ended() -> None:
    """Take the processor time of ended processes for the server's own, so that `time make test` counts it."""
    with contextlib.suppress(ChildProcessError):
        while os.waitpid(-1, os.WNOHANG)[0]:
            pass


def _keep(line: socket.socket) -> None:
    """Be the parent of one process, and kill it when nobody waits for it any more; returns in that process."""
    head, streams, *_ = socket.recv_fds(line, 8, 3)
    with line.makefile("rb") as file:
        request = pickle.loads(file.read(int.from_bytes(head)))
    pid = os.fork()
    if pid == 0:
        _end(functools.partial(_begin, line, streams, request))
    with contextlib.suppress(OSError):  # as it does itself, whichever comes first
        os.setpgid(pid, pid)
    for fd in (0, 1, 2, *streams):
        os.close(fd)
    ended = os.pidfd_open(pid)
    if ended not in select.select([line, ended], [], [])[0]:
        if _LOCAL in request[0]:
            os._exit(0)
        os.killpg(pid, signal.SIGKILL)
    code = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
    with contextlib.suppress(OSError):
        line.sendall(f"{code}\n".encode())
    os._exit(0)


def _begin(line: socket.socket, streams: list[int], request: tuple[list[str], str, dict[str, str], list[int]]) -> None:
    """Be a fresh interpreter in this folder with these streams, and the leader of a group."""
    arguments, cwd, environ, ignored = request
    os.setpgid(0, 0)
    signal.signal(signal.SIGINT, signal.default_int_handler)
    for number, fd in enumerate(streams):
        os.dup2(fd, number)
    with contextlib.suppress(OSError):
        line.sendall(f"{os.getpid()}\n".encode())  # from now on it is signalled
    line.close()
    for fd in {*streams} - {0, 1, 2}:
        os.close(fd)
    os.chdir(cwd)
    if _LOCAL in arguments:  # it looks for its parent
        arguments[arguments.index(_LOCAL) + 1] = str(os.getppid())
    own_path = environ.get("PYTHONPATH") != os.environ.get("PYTHONPATH")
    os.environ.clear()
    os.environ.update(environ)
    tempfile.tempdir = None
    for number in ignored:
        signal.signal(number, signal.SIG_IGN)
    unbuffered = arguments[0] == "-u" or "PYTHONUNBUFFERED" in environ
    sys.stdin = open(0, encoding="utf-8", closefd=False)  # noqa: SIM115 - for good
    binary = open(1, "wb", 0 if unbuffered else -1, closefd=False)  # noqa: SIM115
    sys.stdout = io.TextIOWrapper(binary, encoding="utf-8", line_buffering=os.isatty(1), write_through=unbuffered)
    sys.stderr = open(2, "w", encoding="utf-8", closefd=False, errors="backslashreplace")  # noqa: SIM115
    sys.__stdin__, sys.__stdout__, sys.__stderr__ = sys.stdin, sys.stdout, sys.stderr
    sys.stderr.reconfigure(line_buffering=True)
    arguments = arguments[arguments[0] == "-u" :]
    kind = arguments.pop(0) if arguments[0] in ("-m", "-c") else "script"
    sys.argv = ["-c" if kind == "-c" else arguments[0], *arguments[1:]]
    sys.path[0] = {"-c": "", "-m": cwd}.get(kind, str(Path(arguments[0]).resolve().parent))
    if own_path or kind == "script":
        sys.path[1:1] = environ.get("PYTHONPATH", "").split(os.pathsep) if own_path else []
        for name in [name for name in sys.modules if name.partition(".")[0] in _OURS]:
            del sys.modules[name]
    _execute(kind, arguments[0])


def _execute(kind: str, what: str) -> None:
    if kind == "-c":
        main = types.ModuleType("__main__")
        sys.modules["__main__"] = main
        exec(compile(what, "<string>", "exec"), main.__dict__)
    elif kind == "-m":
        sys.modules.pop(what if "." in what else f"{what}.__main__", None)  # the server has imported it
        runpy.run_module(what, run_name="__main__", alter_sys=True)
    else:
        runpy.run_path(what, run_name="__main__")


def _end(work: Any) -> None:
    """Work, then leave with the exit code of an interpreter."""
    code: Any = 0
    try:
        work()
    except SystemExit as exit:
        code = exit.code
    except BaseException as error:
        traceback.print_exc()
        code = _INTERRUPT if isinstance(error, KeyboardInterrupt) else 1
    if isinstance(code, str):
        print(code, file=sys.stderr)
        code = 1
    with contextlib.suppress(Exception):
        threading._shutdown()
        atexit._run_exitfuncs()
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except (OSError, ValueError):
            code = code or 120  # as an interpreter that can't print its last words
    if code == _INTERRUPT:
        signal.signal(signal.SIGINT, signal.SIG_DFL)
        os.kill(os.getpid(), signal.SIGINT)
    os._exit(code or 0)


def _preload() -> None:
    """Import what the project imports, early or late, but for the reference implementation of ELMo."""
    with warnings.catch_warnings(action="ignore"):
        for name in _THEIRS:
            importlib.import_module(name)
        for package in _OURS[:3]:
            for module in pkgutil.walk_packages(importlib.import_module(package).__path__, f"{package}."):
                if not module.name.endswith(".reference"):
                    importlib.import_module(module.name)
    gc.collect()
    gc.freeze()  # what is never collected stays shared with the processes


if __name__ == "__main__":
    _listener = socket.socket(fileno=int(sys.argv[1]))
    _preload()
    _serve(_listener)
