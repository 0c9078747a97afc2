"""The lock of everything that one process at a time does, also on hosts that do not see each other's file locks.

A lock is a file with a number, `<path>-000001`, and whoever made the newest one has it. Files are made exclusively, so
that of all processes that try at once, on any host, one gets the next number. A lock is free when the modification time
of its file is 0. Its owner has died if it no longer holds the kernel's lock (flock) on the file, as far as this host
can tell; of an owner on another host, that is if it does not touch the file for a minute, as it does every few seconds
while it lives. Times are never compared between hosts. An owner that was only suspended finds a later number when it
wakes, and stops.
"""

import contextlib
import fcntl
import json
import os
import socket
import time
from pathlib import Path
from threading import Event, Thread
from typing import NamedTuple, Self

from sentiment.console import Progress
from sentiment.errors import LockedError, UnwritableError
from sentiment.processes import slurm_job, slurm_restarts

_BEAT_SECONDS = 5.0
_DEAD_SECONDS = 60.0
_POLL_SECONDS = 0.5


class Owner(NamedTuple):
    """The process that has a lock, its Slurm job, and how often that job had been requeued when it took the lock."""

    host: str
    pid: int
    job: str | None
    restarts: int

    def __str__(self) -> str:
        if self.pid == 0:
            return "another process"
        job = f" (job {self.job})" if self.job else ""
        return f"process {self.pid} on host {self.host}{job}"

    @classmethod
    def here(cls) -> Self:
        """This process."""
        return cls(socket.gethostname(), os.getpid(), slurm_job(), slurm_restarts())

    @property
    def was_requeued(self) -> bool:
        """Whether it is an earlier start of this Slurm job, which Slurm has given up."""
        return self.job is not None and self.job == slurm_job() and self.restarts < slurm_restarts()


class Lock:
    """Has the lock `path` as long as the context lasts; if the process dies, the lock is free.

    Entering raises LockedError if another process has the lock: the message names it and its `activity`. With
    `while_locked`, entering lasts until the lock is free, and calls it again and again with that message; an exception
    that it raises ends that.

    Args:
        after: a number than which that of the lock is larger.
        newest_wins: whether an owner on a host whose locks are not seen here counts as dead at once, whether or not it
            gives signs of life: of runs, since the queue tells who may train one, and an older attempt writes nothing.

    Attributes:
        number: that of its file, larger than all before.
    """

    def __init__(
        self,
        path: Path,
        activity: str,
        while_locked: Progress | None = None,
        *,
        after: int = 0,
        newest_wins: bool = False,
    ) -> None:
        self._path = path
        self._activity = activity
        self._while_locked = while_locked
        self._after = after
        self._newest_wins = newest_wins
        self.number = 0
        self._descriptor = -1
        self._ended = Event()
        self._heart = Thread(target=self._beat, daemon=True)

    def __enter__(self) -> Self:
        while owner := self._take():
            held = f"{self._path.parent}: {owner} already {self._activity}"
            if self._while_locked is None:
                raise LockedError(f"{held}; if that process is dead, repeat the command in a minute", owner.job)
            self._while_locked(held, 0, None)
            time.sleep(_POLL_SECONDS)
        self._heart.start()
        return self

    def __exit__(self, *_error: object) -> None:
        self._ended.set()
        self._heart.join()
        with contextlib.suppress(OSError):
            os.utime(self._descriptor, (0, 0))
        os.close(self._descriptor)

    def check(self) -> None:
        """Raise LockedError if another process has the lock by now, because this one was suspended for long."""
        newest = _newest(self._path)
        if newest != _file(self._path, self.number):
            owner = last_owner(self._path) or "another process"  # which has moved the folder away
            raise LockedError(f"{self._path.parent}: {owner} has taken this over")

    def _take(self) -> Owner | None:
        """Take the lock, and return None; or return who has it.

        Raises:
            UnwritableError: its file cannot be written.
        """
        try:
            while True:
                newest = max(_numbers(self._path), default=0)
                file = _file(self._path, newest)
                if newest and self._is_held(file):
                    return _owner(file)
                if self._make(max(newest, self._after) + 1):
                    return None
        except OSError as error:
            raise UnwritableError(f"{self._path}: cannot be written: {error}") from None

    def _is_held(self, file: Path) -> bool:
        if _has_ended(file):
            return False
        if self._newest_wins and _read(file):
            return _is_locked_here(file)
        return _gives_sign_of_life(file)

    def _make(self, number: int) -> bool:
        """Make the file of this number; return whether no other process was faster."""
        file = _file(self._path, number)
        try:
            descriptor = os.open(file, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o666)
        except FileExistsError:
            return False
        with contextlib.suppress(OSError):  # a file system without locks
            fcntl.flock(descriptor, fcntl.LOCK_EX)
        with contextlib.suppress(OSError):  # on a full disk the owner is not recorded
            os.write(descriptor, json.dumps(Owner.here()._asdict()).encode() + b"\n")
        numbers = _numbers(self._path)
        if numbers[-1:] != [number]:  # this host's list of the folder was old
            file.unlink(missing_ok=True)
            os.close(descriptor)
            return False
        for earlier in numbers[:-1]:
            _file(self._path, earlier).unlink(missing_ok=True)
        self.number = number
        self._descriptor = descriptor
        return True

    def _beat(self) -> None:
        while not self._ended.wait(_BEAT_SECONDS):
            with contextlib.suppress(OSError):
                os.utime(self._descriptor)


def live_owner(path: Path) -> Owner | None:
    """The process that has a lock; None if no process has, as far as the kernel of this host knows."""
    with contextlib.suppress(OSError):
        newest = _newest(path)
        if newest and _is_locked_here(newest):
            return _owner(newest)
    return None


def last_owner(path: Path) -> Owner | None:
    """The process that had a lock last, or has it; None if no process had."""
    newest = _newest(path)
    return _owner(newest) if newest else None


def may_be_held(path: Path, *, watch: bool) -> bool:
    """Whether some process has a lock, as long as it is not known to be dead.

    Args:
        watch: whether to find out, which takes a minute, if an owner on another host lives; else it counts as alive.
    """
    newest = _newest(path)
    if newest is None or _has_ended(newest):
        return False
    return not watch or _gives_sign_of_life(newest)


def _has_ended(file: Path) -> bool:
    """Whether a lock is free, or its owner is known to be dead."""
    if _touched(file) == 0:
        return True
    owner = _read(file)
    if owner is None:
        return False  # it may be being made
    return owner.was_requeued or (owner.host == socket.gethostname() and not _is_locked_here(file))


def _gives_sign_of_life(file: Path) -> bool:
    """Whether the owner of a file lives; of a dead one that is recorded, so that nobody watches it again."""
    touched = _touched(file)
    end = time.monotonic() + _DEAD_SECONDS
    while time.monotonic() < end:
        if _is_locked_here(file):
            return True
        if _touched(file) != touched:
            return _touched(file) != 0
        time.sleep(_POLL_SECONDS)
    with contextlib.suppress(FileNotFoundError):
        os.utime(file, (0, 0))
    return False


def _is_locked_here(file: Path) -> bool:
    """Whether a process on this host has a file, or on another one whose locks pass; takes a lock for an instant."""
    with contextlib.suppress(FileNotFoundError), open(file, "rb") as opened:
        try:
            fcntl.flock(opened, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except OSError as error:  # any other error: the file system has no locks
            return isinstance(error, BlockingIOError)
    return False


def _numbers(path: Path) -> list[int]:
    prefix = f"{path.name}-"
    with os.scandir(path.parent) as entries:
        endings = [entry.name.removeprefix(prefix) for entry in entries if entry.name.startswith(prefix)]
    return sorted(int(ending) for ending in endings if ending.isdecimal())


def _newest(path: Path) -> Path | None:
    with contextlib.suppress(FileNotFoundError):
        if numbers := _numbers(path):
            return _file(path, numbers[-1])
    return None


def _file(path: Path, number: int) -> Path:
    return path.with_name(f"{path.name}-{number:06}")


def _touched(file: Path) -> int:
    """The time of the last sign of life; 0 if there is no file any more, since a later one is there."""
    with contextlib.suppress(FileNotFoundError), open(file, "rb") as opened:  # a network file system asks its server
        return os.fstat(opened.fileno()).st_mtime_ns
    return 0


def _read(file: Path) -> Owner | None:
    with contextlib.suppress(OSError, ValueError, TypeError, RecursionError):
        return Owner(**json.loads(file.read_bytes()))
    return None


def _owner(file: Path) -> Owner:
    return _read(file) or Owner("unknown", 0, None, 0)
