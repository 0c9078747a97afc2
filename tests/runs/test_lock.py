"""One process at a time has a lock, on whatever host; a dead one keeps nobody out, and a late one writes nothing."""

import errno
import fcntl
import os
import socket
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO
from unittest.mock import Mock, patch

import pytest

from sentiment.errors import LockedError, RunDirError, TakenOverError
from sentiment.processes import slurm_job
from sentiment.runs import locks
from sentiment.runs.locks import Lock, last_owner, live_owner, may_be_held
from sentiment.runs.run_dir import RunDir
from sentiment.runs.state import read_progress
from tests.limits import limit
from tests.processes import Forked, start_python
from tests.small_runs import limited_file_size

SLURM = ("SLURM_JOB_ID", "SLURM_ARRAY_JOB_ID", "SLURM_ARRAY_TASK_ID", "SLURM_RESTART_COUNT")
HOLD = (
    "import sys; from pathlib import Path; from sentiment.runs.locks import Lock\n"
    "with Lock(Path(sys.argv[1]), 'works'): print('held', flush=True); sys.stdin.read()\n"
)


@pytest.fixture(autouse=True)
def _outside_slurm(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in SLURM:
        monkeypatch.delenv(name, raising=False)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "lock"


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """An owner gives signs of life often, and is dead after a moment without one."""
    monkeypatch.setattr(locks, "_DEAD_SECONDS", limit(2.0))
    monkeypatch.setattr(locks, "_POLL_SECONDS", 0.05)
    monkeypatch.setattr(locks, "_BEAT_SECONDS", 0.1)


@pytest.fixture
def elsewhere(quick: None) -> Iterator[None]:
    """As if other processes were on another host whose locks do not pass."""
    with patch.object(locks, "_is_locked_here", lambda _file: False), _on_host("b"):
        yield


def _on_host(name: str) -> "patch[str]":
    return patch.object(locks.socket, "gethostname", lambda: name)


def _suspend(lock: Lock) -> None:
    lock._ended.set()
    lock._heart.join()


@pytest.fixture
def other_process(path: Path) -> Iterator[Forked]:
    """A live process that has the lock, as the first life of Slurm's job 80."""
    environ = os.environ | {"SLURM_JOB_ID": "80", "SLURM_RESTART_COUNT": "0"}
    with start_python("-c", HOLD, str(path), environ=environ, stdin=subprocess.PIPE) as process:
        assert process.stdout.readline() == "held\n"
        yield process
        process.kill()


def test_second_process_waits_or_is_told_whose_lock_it_is(path: Path, other_process: Forked) -> None:
    name = f"process {other_process.pid} on host {socket.gethostname()} (job 80)"
    with pytest.raises(LockedError, match="already trains this run") as raised, Lock(path, "trains this run"):
        pass
    assert name in str(raised.value)
    assert str(path.parent) in str(raised.value)
    assert raised.value.job == "80"
    assert str(live_owner(path)) == name
    told = []

    def waiting(whom: str, _done: int, _total: int | None) -> None:
        told.append(whom)
        other_process.kill()
        other_process.wait()

    with Lock(path, "computes", waiting), pytest.raises(LockedError, match=f"process {os.getpid()} "):
        Lock(path, "computes").__enter__()
    assert [name in whom and "computes" in whom for whom in told] == [True]
    assert str(last_owner(path)) == str(locks.Owner.here())
    assert not live_owner(path)


def test_lock_that_is_free_leaves_one_file(path: Path) -> None:
    for _ in range(5):
        with Lock(path, "works") as lock:
            lock.check()
    assert [file.name for file in path.parent.iterdir()] == ["lock-000005"]


@pytest.mark.usefixtures("other_process")
def test_requeued_job_does_not_wait_for_its_earlier_life(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Slurm has ended it, though its node may not know that; other processes of the job live side by side."""
    for life in ({}, {"JOB_ID": "80", "RESTART_COUNT": "0"}, {"JOB_ID": "81", "RESTART_COUNT": "1"}):
        for name, value in life.items():
            monkeypatch.setenv(f"SLURM_{name}", value)
        with pytest.raises(LockedError), Lock(path, "works"):
            pass
    monkeypatch.setenv("SLURM_JOB_ID", "80")
    with Lock(path, "works"):
        assert str(live_owner(path)).startswith(f"process {os.getpid()} ")


@pytest.mark.usefixtures("quick")
@pytest.mark.parametrize("content", [b"", b"[]", b'{"host": 1}', b"\0" * 64, b"\xff\xfe\x80"])
def test_garbage_in_a_lock_changes_nothing(path: Path, content: bytes) -> None:
    path.with_name("lock-000001").write_bytes(content)
    path.with_name("lock-copy").write_bytes(content)
    assert not live_owner(path)
    with Lock(path, "works"):
        path.with_name("lock-000002").write_bytes(content)
        assert live_owner(path)
        with pytest.raises(LockedError, match="another process already works"), Lock(path, "works"):
            pass


@pytest.mark.usefixtures("quick")
def test_file_system_without_locks_lets_everybody_in(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fcntl, "flock", Mock(side_effect=OSError(errno.ENOLCK, "No locks available")))
    with Lock(path, "works"), Lock(path, "works"):
        assert not live_owner(path)


def test_lock_that_cannot_be_made_is_named_and_a_full_disk_does_not_matter(path: Path) -> None:
    nowhere = path.parent / "nowhere" / "lock"
    with pytest.raises(RunDirError, match=f"{nowhere}: cannot be written"), Lock(nowhere, "works"):
        pass
    with limited_file_size(0), Lock(path, "works"):
        assert live_owner(path)


def test_owner_whose_folder_another_command_has_moved_away_is_told(tmp_path: Path) -> None:
    folder = tmp_path / "grid"
    folder.mkdir()
    with Lock(folder / "lock", "works") as lock:
        folder.rename(tmp_path / "removed")
        with pytest.raises(LockedError, match="another process has taken this over"):
            lock.check()


@pytest.mark.usefixtures("elsewhere")
def test_owner_on_another_host_has_the_lock_as_long_as_it_gives_signs_of_life(path: Path) -> None:
    with _on_host("a"):
        first = Lock(path, "works").__enter__()
    with pytest.raises(LockedError, match="on host a"), Lock(path, "works"):
        pass
    assert may_be_held(path, watch=True)
    _suspend(first)
    assert may_be_held(path, watch=False)  # whoever only looks does not wait for a sign of life
    with Lock(path, "works") as second:
        second.check()
        with pytest.raises(LockedError, match="on host b has taken this over"):
            first.check()
    first.__exit__()
    assert not may_be_held(path, watch=False)


@pytest.mark.usefixtures("elsewhere")
def test_what_was_found_out_of_a_dead_owner_is_known(path: Path) -> None:
    with _on_host("a"):
        lock = Lock(path, "works").__enter__()
    _suspend(lock)
    assert not may_be_held(path, watch=True)
    assert not may_be_held(path, watch=False)
    lock.__exit__()


@pytest.mark.usefixtures("elsewhere")
def test_newest_attempt_at_a_run_waits_for_no_sign_of_life_from_another_host(path: Path) -> None:
    with _on_host("a"):
        first = Lock(path, "trains this run").__enter__()
    with Lock(path, "trains this run", newest_wins=True) as second:
        assert (first.number, second.number) == (1, 2)
    first.__exit__()


def test_old_list_of_the_folder_gives_no_second_owner(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for _ in range(3):
        with Lock(path, "works"):
            pass
    with Lock(path, "works"):
        lists = iter([[1], [2, 4], [4]])  # first one from before the others' locks, as a network drive may give
        monkeypatch.setattr(locks, "_numbers", lambda _path: next(lists))
        with pytest.raises(LockedError), Lock(path, "works"):
            pass
        assert next(lists, None) is None
    assert [file.name for file in path.parent.iterdir()] == ["lock-000004"]


def test_slurm_job_is_named_as_its_commands_take_it(monkeypatch: pytest.MonkeyPatch) -> None:
    assert slurm_job() is None
    monkeypatch.setenv("SLURM_JOB_ID", "80")
    assert slurm_job() == "80"
    monkeypatch.setenv("SLURM_ARRAY_JOB_ID", "77")
    monkeypatch.setenv("SLURM_ARRAY_TASK_ID", "3")
    assert slurm_job() == "77_3"


def test_attempt_with_a_successor_writes_no_file(tmp_path: Path) -> None:
    file = tmp_path / "file"
    first = RunDir(tmp_path).begin_attempt(1)
    first.write(file, lambda new: new.write(b"first"))
    second = RunDir(tmp_path).begin_attempt(2)
    with pytest.raises(TakenOverError, match="superseded by another process; nothing more is written here"):
        first.write(file, lambda new: new.write(b"late"))
    with pytest.raises(TakenOverError):
        RunDir(tmp_path).begin_attempt(1)  # it had the lock first, and comes late
    second.write(file, lambda new: new.write(b"second"))
    assert file.read_bytes() == b"second"


def test_run_whose_lock_somebody_has_deleted_is_trained_on(tmp_path: Path) -> None:
    run_dir = RunDir(tmp_path)
    for _ in range(2):
        with run_dir.lock() as lock:
            run_dir.begin_attempt(lock.number)
    last_file = tmp_path / f"lock-{lock.number:06}"
    last_file.unlink()
    with run_dir.lock() as lock:
        run_dir.begin_attempt(lock.number)
    assert lock.number == 3


def test_write_that_is_suspended_while_a_successor_begins_fails_in_the_file_system(tmp_path: Path) -> None:
    def suspended_while_writing(new: BinaryIO) -> None:
        new.write(b"late")
        RunDir(tmp_path).begin_attempt(3)

    with limited_file_size(5), pytest.raises(OSError, match="too large"):  # another reason, which is told
        RunDir(tmp_path).begin_attempt(1).write(tmp_path / "file", lambda new: new.write(b"long content"))
    with pytest.raises(TakenOverError):
        RunDir(tmp_path).begin_attempt(2).write(tmp_path / "file", suspended_while_writing)
    assert [path.name for path in tmp_path.iterdir()] == [".attempt-000003"]


def test_run_was_seen_when_it_last_wrote_its_record_or_its_log(tmp_path: Path) -> None:
    run_dir = RunDir(tmp_path)
    for number, file in enumerate((run_dir.record_file, run_dir.metrics_file, run_dir.record_file), 1):
        file.touch()
        os.utime(file, (number, number))
        assert read_progress(run_dir).seen == number
