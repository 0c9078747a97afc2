"""One process at a time in a run directory, and no dead one keeps it."""

import contextlib
import errno
import fcntl
import json
import os
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any, BinaryIO

import pytest

from sentiment.errors import LockedError, RunDirError, TakenOverError
from sentiment.processes import slurm_job
from sentiment.runs import attempts as lock
from sentiment.runs.attempts import Owner, ProcessLock, patient_lock, process_lives, seems_held
from tests.small_runs import limited_file_size

SLURM = ("SLURM_JOB_ID", "SLURM_ARRAY_JOB_ID", "SLURM_ARRAY_TASK_ID", "SLURM_RESTART_COUNT")


class Clock:
    """A clock that goes on when somebody sleeps."""

    def __init__(self) -> None:
        self.now = 1000.0
        self.then: Callable[[], object] = lambda: None

    def sleep(self, seconds: float) -> None:
        """Go on at once."""
        self.now += seconds
        self.then()


@pytest.fixture(autouse=True)
def _outside_slurm(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in SLURM:
        monkeypatch.delenv(name, raising=False)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "lock"


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Iterator[Clock]:
    """This process's own, which no test has to wait for."""
    clock = Clock()
    monkeypatch.setattr(lock, "_clock", lambda: clock.now)
    monkeypatch.setattr(time, "sleep", clock.sleep)
    yield clock
    lock._watched.clear()


@pytest.fixture
def other_process(path: Path) -> Iterator["subprocess.Popen[str]"]:
    """Another process that holds the lock until its input ends."""
    code = (
        "import sys; from pathlib import Path; from sentiment.runs.attempts import ProcessLock\n"
        f"with ProcessLock(Path({str(path)!r})): print('held', flush=True); sys.stdin.read()\n"
    )
    command = [sys.executable, "-c", code]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "held\n"
        yield process
        process.kill()


def _write_owner(path: Path, age: float = 0, **changes: Any) -> None:
    owner = {"token": 1, "host": "node-elsewhere", "pid": 4242, "job": None, "restarts": 0} | changes
    path.write_text(json.dumps(owner))
    moment = time.time() - age
    os.utime(path, (moment, moment))


def test_second_process_is_refused_and_told_who_the_first_one_is(
    path: Path, other_process: "subprocess.Popen[str]"
) -> None:
    expected = f"process {other_process.pid} on host {socket.gethostname()} already trains this run"
    for _ in range(2):
        with pytest.raises(LockedError, match=expected), ProcessLock(path):
            pass


def test_patience_waits_for_the_other_process_and_says_for_whom(
    path: Path, other_process: "subprocess.Popen[str]"
) -> None:
    told = []

    def waiting(whom: str) -> None:
        told.append(whom)
        if len(told) == 2:
            other_process.kill()
            other_process.wait()

    with patient_lock(path, "computes", waiting), pytest.raises(LockedError, match=f"process {os.getpid()} "):
        ProcessLock(path).__enter__()
    assert [f"process {other_process.pid} " in whom and "computes" in whom for whom in told] == [True, True]


def test_lock_of_a_killed_process_on_this_host_is_taken_over(
    path: Path, other_process: "subprocess.Popen[str]"
) -> None:
    other_process.kill()
    other_process.wait()
    assert json.loads(path.read_text())["pid"] == other_process.pid
    with ProcessLock(path):
        assert json.loads(path.read_text())["pid"] == os.getpid()


def test_lock_is_free_again_after_its_process_has_left(path: Path) -> None:
    for _ in range(2):
        with ProcessLock(path):
            owner = json.loads(path.read_text())
            assert (owner["host"], owner["pid"], owner["released"]) == (socket.gethostname(), os.getpid(), False)
        assert json.loads(path.read_text())["released"] is True
        assert not seems_held(path)
        assert list(path.parent.iterdir()) == [path]


def test_lock_is_free_again_after_an_error(path: Path) -> None:
    with pytest.raises(KeyboardInterrupt), ProcessLock(path):
        raise KeyboardInterrupt
    with ProcessLock(path):
        pass


@pytest.mark.parametrize("age", [20, 90, 1e6, -6929, -1e9])
def test_process_on_another_host_is_dead_when_its_lock_was_watched_for_a_minute_whatever_the_date(
    path: Path, clock: Clock, age: float
) -> None:
    _write_owner(path, age=age)
    for _ in range(2):
        with pytest.raises(LockedError, match="process 4242 on host node-elsewhere already trains this run") as raised:
            ProcessLock(path).__enter__()
        assert not raised.value.lives
        clock.sleep(lock.STALE_SECONDS / 2)
    assert list(path.parent.iterdir()) == [path]
    with ProcessLock(path):
        assert json.loads(path.read_text())["host"] == socket.gethostname()


@pytest.mark.parametrize("step", [10, -10])
def test_process_on_another_host_lives_while_its_lock_changes(path: Path, clock: Clock, step: float) -> None:
    _write_owner(path)
    begin = clock.now
    clock.then = lambda: _write_owner(path, age=step * (clock.now - begin))
    with pytest.raises(LockedError) as raised:
        ProcessLock(path, patience=lock.PATIENCE_SECONDS).__enter__()
    assert raised.value.lives
    assert clock.now < begin + 1


def test_patience_is_enough_for_the_lock_of_a_dead_host(path: Path, clock: Clock) -> None:
    _write_owner(path, age=-6929)
    with ProcessLock(path, patience=lock.PATIENCE_SECONDS):
        assert json.loads(path.read_text())["host"] == socket.gethostname()


def test_patience_is_not_wasted_on_a_process_that_lives_here(path: Path, clock: Clock) -> None:
    begin = clock.now
    with ProcessLock(path), pytest.raises(LockedError) as raised:
        ProcessLock(path, patience=lock.PATIENCE_SECONDS).__enter__()
    assert raised.value.lives
    assert clock.now == begin


def test_lock_of_this_host_that_no_process_holds_is_taken_at_once(path: Path) -> None:
    with subprocess.Popen([sys.executable, "-c", ""]) as ended:
        pass
    _write_owner(path, host=socket.gethostname(), pid=ended.pid)
    with ProcessLock(path):
        pass


def test_earlier_attempt_of_the_same_slurm_job_may_be_alive_and_is_known_as_such(
    path: Path, monkeypatch: pytest.MonkeyPatch, clock: Clock
) -> None:
    """A node that Slurm believes to be dead may go on working."""
    monkeypatch.setenv("SLURM_ARRAY_JOB_ID", "77")
    monkeypatch.setenv("SLURM_ARRAY_TASK_ID", "3")
    monkeypatch.setenv("SLURM_JOB_ID", "80")
    monkeypatch.setenv("SLURM_RESTART_COUNT", "1")
    _write_owner(path, job="77_3")
    with pytest.raises(LockedError) as raised, ProcessLock(path):
        pass
    assert raised.value.earlier_attempt
    clock.sleep(lock.STALE_SECONDS)
    with ProcessLock(path):
        assert json.loads(path.read_text())["job"] == "77_3"


@pytest.mark.parametrize("owner", [{"job": "77_4"}, {"job": "77_3", "restarts": 1}, {"job": None}])
def test_other_job_or_another_process_of_this_one_may_be_alive(
    path: Path, monkeypatch: pytest.MonkeyPatch, owner: dict[str, Any]
) -> None:
    monkeypatch.setenv("SLURM_ARRAY_JOB_ID", "77")
    monkeypatch.setenv("SLURM_ARRAY_TASK_ID", "3")
    monkeypatch.setenv("SLURM_RESTART_COUNT", "1")
    _write_owner(path, **owner)
    with pytest.raises(LockedError) as raised, ProcessLock(path):
        pass
    assert not raised.value.earlier_attempt


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b"7", b'{"host": 1}', b"\0" * 64, b"\xff\xfe\x80", b"null"])
def test_garbage_in_the_lock_is_nobodys(path: Path, content: bytes) -> None:
    path.write_bytes(content)
    with ProcessLock(path):
        assert json.loads(path.read_text())["pid"] == os.getpid()


def test_without_kernel_locks_content_and_process_decide(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:
        raise OSError(errno.ENOLCK, "No locks available")

    monkeypatch.setattr(fcntl, "flock", refuse)
    _write_owner(path, host=socket.gethostname(), pid=os.getppid())
    with pytest.raises(LockedError, match=f"process {os.getppid()} on host"), ProcessLock(path):
        pass
    ended = subprocess.Popen([sys.executable, "-c", ""])
    ended.wait()
    _write_owner(path, host=socket.gethostname(), pid=ended.pid)
    with ProcessLock(path):
        pass


def test_owner_gives_signs_of_life(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lock, "HEARTBEAT_SECONDS", 0.001)
    with ProcessLock(path):
        os.utime(path, (0, 0))
        deadline = time.monotonic() + 30
        while path.stat().st_mtime == 0:
            assert time.monotonic() < deadline


def test_lock_that_cannot_be_written_is_named(path: Path) -> None:
    with (
        pytest.raises(RunDirError, match=f"{path.parent}/nowhere/lock: cannot be written"),
        ProcessLock(path.parent / "nowhere" / "lock"),
    ):
        pass
    with (
        limited_file_size(5),
        pytest.raises(RunDirError, match=r"lock: cannot be written: .*too large"),
        ProcessLock(path),
    ):
        pass


def test_slurm_job_is_named_as_its_commands_take_it(monkeypatch: pytest.MonkeyPatch) -> None:
    assert slurm_job() is None
    monkeypatch.setenv("SLURM_JOB_ID", "80")
    assert slurm_job() == "80"
    monkeypatch.setenv("SLURM_ARRAY_JOB_ID", "77")
    monkeypatch.setenv("SLURM_ARRAY_TASK_ID", "3")
    assert slurm_job() == "77_3"


def test_lock_seems_held_while_its_owner_lives_and_not_when_it_was_killed_on_this_host(
    path: Path, other_process: "subprocess.Popen[str]"
) -> None:
    assert seems_held(path)
    other_process.kill()
    other_process.wait()
    assert path.stat().st_size > 0
    assert not seems_held(path)


def test_lock_of_another_host_seems_held_for_a_minute_after_its_last_sign_of_life(path: Path) -> None:
    assert not seems_held(path)
    _write_owner(path, age=30)
    assert seems_held(path)
    for age in (90, -90):
        _write_owner(path, age=age)
        assert not seems_held(path)
    path.write_text("")
    assert not seems_held(path)


def _succeed(path: Path, monkeypatch: pytest.MonkeyPatch, clock: Clock) -> ProcessLock:
    """A process on another host that takes the lock over, since its owner gives no sign of life."""
    os.utime(path, (0, 0))
    with monkeypatch.context() as patch:
        patch.setattr(socket, "gethostname", lambda: "node-elsewhere")
        return ProcessLock(path, patience=lock.PATIENCE_SECONDS).__enter__()


def test_each_owner_has_a_higher_token_whatever_became_of_the_one_before(path: Path) -> None:
    tokens = []
    for content in (None, b"", b"\0" * 64):
        with ProcessLock(path) as held:
            tokens.append(held.token)
            if content is not None:
                path.write_bytes(content)
                with pytest.raises(LockedError), ProcessLock(path):
                    pass
    _write_owner(path, token=41, released=True)
    with ProcessLock(path) as held:
        tokens.append(held.token)
    assert tokens == [1, 2, 3, 42]


def test_owner_whose_lock_was_taken_over_writes_no_file(
    path: Path, monkeypatch: pytest.MonkeyPatch, clock: Clock
) -> None:
    file = path.with_name("file")
    with ProcessLock(path) as first:
        first.write(file, lambda new: new.write(b"first"))
        second = _succeed(path, monkeypatch, clock)
        with pytest.raises(TakenOverError, match=f"superseded by process {os.getpid()} on host node-elsewhere"):
            first.write(file, lambda new: new.write(b"late"))
        second.write(file, lambda new: new.write(b"second"))
    assert file.read_bytes() == b"second"
    assert json.loads(path.read_text())["token"] == second.token
    second.insist()
    second.__exit__()
    with pytest.raises(TakenOverError):  # the lock is free again, but not its
        first.insist()


def test_write_that_comes_after_the_last_look_at_the_lock_fails_in_the_file_system(
    path: Path, monkeypatch: pytest.MonkeyPatch, clock: Clock
) -> None:
    file = path.with_name("file")
    successors = []

    def suspended_while_writing(new: BinaryIO) -> None:
        new.write(b"late")
        successors.append(_succeed(path, monkeypatch, clock))

    with ProcessLock(path) as first, pytest.raises(TakenOverError):
        first.write(file, suspended_while_writing)
    assert not file.exists()
    successors[0].__exit__()
    assert list(path.parent.iterdir()) == [path]


def test_owner_learns_from_its_heartbeat_that_it_has_a_successor_and_does_not_touch_its_lock(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lock, "HEARTBEAT_SECONDS", 0.001)
    with ProcessLock(path) as first:
        first.notice()
        _write_owner(path, token=first.token + 1)
        deadline = time.monotonic() + 30
        with pytest.raises(TakenOverError):  # noqa: PT012
            while time.monotonic() < deadline:
                first.notice()
        os.utime(path, (0, 0))
    assert path.stat().st_mtime == 0


def test_claim_of_a_process_that_was_killed_before_it_said_so_counts(path: Path, clock: Clock) -> None:
    folder = path.with_name(".lock.7")
    for host, wait, free in (
        ("node-elsewhere", 0, False),
        ("node-elsewhere", lock.STALE_SECONDS, True),
        (socket.gethostname(), 0, True),
    ):
        clock.sleep(wait)
        path.write_text("")
        os.utime(path, (0, 0))
        folder.mkdir(exist_ok=True)
        owner = {"token": 7, "host": host, "pid": 4_000_000, "job": None, "restarts": 0}
        (folder / ".owner").write_text(json.dumps(owner))
        os.utime(folder, (1e9, 1e9))
        with contextlib.ExitStack() as stack:
            if not free:
                stack.enter_context(pytest.raises(LockedError, match="process 4000000 on host node-elsewhere"))
            assert stack.enter_context(ProcessLock(path)).token == 8
        assert folder.exists() is not free


def test_lock_whose_file_is_deleted_meanwhile_is_tried_again(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever is done with the work may delete the lock as well."""
    flock = fcntl.flock

    def deleted(*arguments: Any) -> None:
        path.unlink()
        flock(*arguments)

    monkeypatch.setattr(fcntl, "flock", deleted)
    with pytest.raises(LockedError), ProcessLock(path):
        pass
    assert list(path.parent.iterdir()) == []


def test_clock_of_this_host_does_not_matter(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for error in (-300, 300):
        with monkeypatch.context() as patch:
            now = time.time() + error
            patch.setattr(time, "time", lambda now=now: now)
            _write_owner(path)
            moment = path.with_name("probe")
            moment.touch()
            for age, held in ((20, True), (100, False)):
                seen = moment.stat().st_mtime - age
                os.utime(path, (seen, seen))
                assert seems_held(path) is held


def test_process_that_has_the_number_of_a_dead_owner_is_not_taken_for_it(path: Path) -> None:
    this = Owner.this_process(1)
    assert this.lives_here
    for other in (replace(this, start=this.start + 1), replace(this, boot="before"), replace(this, pid=4_000_000)):
        assert not other.lives_here
    path.write_bytes(replace(this, start=this.start + 1).encode())
    assert not seems_held(path)
    with ProcessLock(path):
        assert seems_held(path)


def test_process_that_only_waits_to_be_reaped_is_dead() -> None:
    ended = subprocess.Popen([sys.executable, "-c", ""])
    os.waitid(os.P_PID, ended.pid, os.WEXITED | os.WNOWAIT)
    assert not process_lives(ended.pid)
    ended.wait()
