"""One process at a time trains a run; a dead one keeps nobody from it, and a late one writes nothing into it."""

import errno
import fcntl
import os
import socket
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO
from unittest.mock import Mock

import pytest

from sentiment.errors import LockedError, RunDirError, TakenOverError
from sentiment.processes import slurm_job
from sentiment.runs.locks import ProcessLock, live_owner
from sentiment.runs.run_dir import RunDir
from sentiment.runs.state import read_progress
from tests.processes import Forked, start_python
from tests.small_runs import limited_file_size

SLURM = ("SLURM_JOB_ID", "SLURM_ARRAY_JOB_ID", "SLURM_ARRAY_TASK_ID", "SLURM_RESTART_COUNT")


@pytest.fixture(autouse=True)
def _outside_slurm(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in SLURM:
        monkeypatch.delenv(name, raising=False)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "lock"


@pytest.fixture
def other_process(path: Path) -> Iterator[Forked]:
    """A live process that holds the lock, as the first life of Slurm's job 80."""
    code = (
        "import sys; from pathlib import Path; from sentiment.runs.locks import ProcessLock\n"
        f"with ProcessLock(Path({str(path)!r})): print('held', flush=True); sys.stdin.read()\n"
    )
    environ = os.environ | {"SLURM_JOB_ID": "80", "SLURM_RESTART_COUNT": "0"}
    with start_python("-c", code, environ=environ, stdin=subprocess.PIPE) as process:
        assert process.stdout.readline() == "held\n"
        yield process
        process.kill()


def test_second_process_waits_or_is_told_whose_lock_it_is(path: Path, other_process: Forked) -> None:
    name = f"process {other_process.pid} on host {socket.gethostname()} (Slurm job 80)"
    with pytest.raises(LockedError, match="already trains this run") as raised, ProcessLock(path):
        pass
    assert name in str(raised.value)
    assert str(path) in str(raised.value)
    assert raised.value.job == "80"
    assert str(live_owner(path)) == name
    told = []

    def waiting(whom: str, _done: int, _total: int | None) -> None:
        told.append(whom)
        other_process.kill()
        other_process.wait()

    with ProcessLock(path, "computes", waiting), pytest.raises(LockedError, match=f"process {os.getpid()} "):
        ProcessLock(path).__enter__()
    assert [name in whom and "computes" in whom for whom in told] == [True]
    assert path.stat().st_size > 0
    assert not live_owner(path)


def test_process_that_only_looks_keeps_nobody_out(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with open(path, "wb") as looking:
        fcntl.flock(looking, fcntl.LOCK_SH)
        sleeps = iter([*[int] * 9, looking.close])
        monkeypatch.setattr("time.sleep", lambda _seconds: next(sleeps)())
        with ProcessLock(path):
            assert live_owner(path)


@pytest.mark.usefixtures("other_process")
def test_requeued_job_does_not_wait_for_its_earlier_life(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Slurm has ended it, though its node may not know that; other processes of the job live side by side."""
    for life in ({}, {"JOB_ID": "80", "RESTART_COUNT": "0"}, {"JOB_ID": "81", "RESTART_COUNT": "1"}):
        for name, value in life.items():
            monkeypatch.setenv(f"SLURM_{name}", value)
        with pytest.raises(LockedError), ProcessLock(path):
            pass
    monkeypatch.setenv("SLURM_JOB_ID", "80")
    with ProcessLock(path):
        assert str(live_owner(path)).startswith(f"process {os.getpid()} ")


@pytest.mark.parametrize("content", [b"", b"[]", b'{"host": 1}', b"\0" * 64, b"\xff\xfe\x80"])
def test_garbage_in_a_lock_changes_nothing(path: Path, content: bytes) -> None:
    path.write_bytes(content)
    assert not live_owner(path)
    with ProcessLock(path):
        path.write_bytes(content)
        assert live_owner(path)
        with pytest.raises(LockedError, match="another process already trains"), ProcessLock(path):
            pass


def test_file_system_without_locks_lets_everybody_in(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fcntl, "flock", Mock(side_effect=OSError(errno.ENOLCK, "No locks available")))
    with ProcessLock(path), ProcessLock(path):
        assert not live_owner(path)


def test_lock_that_cannot_be_made_is_named_and_a_full_disk_does_not_matter(path: Path) -> None:
    nowhere = path.parent / "nowhere" / "lock"
    with pytest.raises(RunDirError, match=f"{nowhere}: cannot be written"), ProcessLock(nowhere):
        pass
    with limited_file_size(0), ProcessLock(path):
        assert live_owner(path)


def test_slurm_job_is_named_as_its_commands_take_it(monkeypatch: pytest.MonkeyPatch) -> None:
    assert slurm_job() is None
    monkeypatch.setenv("SLURM_JOB_ID", "80")
    assert slurm_job() == "80"
    monkeypatch.setenv("SLURM_ARRAY_JOB_ID", "77")
    monkeypatch.setenv("SLURM_ARRAY_TASK_ID", "3")
    assert slurm_job() == "77_3"


def test_attempt_with_a_successor_writes_no_file(tmp_path: Path) -> None:
    file = tmp_path / "file"
    first = RunDir(tmp_path).begin_attempt()
    first.write(file, lambda new: new.write(b"first"))
    second = RunDir(tmp_path).begin_attempt()
    with pytest.raises(TakenOverError, match="superseded by another process; nothing more is written here"):
        first.write(file, lambda new: new.write(b"late"))
    second.write(file, lambda new: new.write(b"second"))
    assert file.read_bytes() == b"second"
    assert sorted(path.name for path in tmp_path.iterdir()) == [".attempt-2", "file"]


def test_write_that_is_suspended_while_a_successor_begins_fails_in_the_file_system(tmp_path: Path) -> None:
    def suspended_while_writing(new: BinaryIO) -> None:
        new.write(b"late")
        RunDir(tmp_path).begin_attempt()

    with limited_file_size(5), pytest.raises(OSError, match="too large"):  # another reason, which is told
        RunDir(tmp_path).begin_attempt().write(tmp_path / "file", lambda new: new.write(b"long content"))
    with pytest.raises(TakenOverError):
        RunDir(tmp_path).begin_attempt().write(tmp_path / "file", suspended_while_writing)
    assert [path.name for path in tmp_path.iterdir()] == [".attempt-3"]


def test_of_two_attempts_that_begin_at_once_one_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    mkdir = Path.mkdir

    def faster(path: Path) -> None:
        monkeypatch.setattr(Path, "mkdir", mkdir)
        RunDir(tmp_path).begin_attempt()
        mkdir(path)

    monkeypatch.setattr(Path, "mkdir", faster)
    with pytest.raises(LockedError, match="another process is beginning"):
        RunDir(tmp_path).begin_attempt()


def test_run_was_seen_when_it_last_wrote_its_lock_or_its_log(tmp_path: Path) -> None:
    run_dir = RunDir(tmp_path)
    for number, file in enumerate((run_dir.lock_file, run_dir.metrics_file, run_dir.lock_file), 1):
        file.touch()
        os.utime(file, (number, number))
        assert read_progress(run_dir).seen == number
