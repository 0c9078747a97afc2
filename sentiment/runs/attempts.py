"""Who trains a run: the kernel's lock keeps processes apart, and a folder for each attempt refuses late writes.

Where a lock does not reach the other process (some file systems do not pass locks between hosts, and a process that
Slurm took for dead may go on), the newest attempt wins; the older one has only wasted its time.
"""

import contextlib
import fcntl
import json
import os
import shutil
import socket
import time
from collections.abc import Callable
from pathlib import Path
from typing import BinaryIO, NamedTuple, Self

from sentiment.console import Progress
from sentiment.errors import LockedError, RunDirError, TakenOverError
from sentiment.files import write_atomically
from sentiment.processes import slurm_job, slurm_restarts


class Owner(NamedTuple):
    """A process that holds a lock; of a job of Slurm's that had been requeued so often."""

    host: str
    pid: int
    job: str | None
    restarts: int

    def __str__(self) -> str:
        job = f" (Slurm job {self.job})" if self.job else ""
        return f"process {self.pid} on host {self.host}{job}"


def _read_owner(path: Path) -> Owner | None:
    try:
        return Owner(**json.loads(path.read_bytes()))
    except (OSError, ValueError, TypeError, RecursionError):
        return None


# Testing a lock takes it for an instant, so that one failure does not prove that it is held.
_LOOKS, _LOOK_SECONDS = 5, 0.02
_POLL_SECONDS = 0.5


class ProcessLock:
    """Holds the lock `path` as long as the context lasts; the kernel takes it from a process that dies.

    Of a job that Slurm has requeued the earlier life is dead, whatever became of its lock. Entering raises a
    LockedError if another process holds it, with the `activity` of the owner. With `waiting` it waits instead, and
    tells this twice a second who holds it; an error that this raises ends the waiting.
    """

    def __init__(self, path: Path, activity: str = "trains this run", waiting: Progress | None = None) -> None:
        self._path, self._activity, self._waiting = path, activity, waiting
        self._descriptor = -1

    def __enter__(self) -> Self:
        looks = 0
        while not self._take():
            looks += 1
            if looks < _LOOKS:
                time.sleep(_LOOK_SECONDS)
                continue
            owner = _read_owner(self._path)
            held = f"{self._path.parent}: {owner or 'another process'} already {self._activity}"
            if self._waiting is None:
                message = f"{held}; if it is gone for good, delete {self._path}"
                raise LockedError(message, owner.job if owner else None)
            self._waiting(held, 0, None)
            time.sleep(_POLL_SECONDS)
        return self

    def _take(self) -> bool:
        try:
            descriptor = os.open(self._path, os.O_RDWR | os.O_CREAT, 0o666)
        except OSError as error:
            raise RunDirError(f"{self._path}: cannot be written: {error}") from None
        former, job, restarts = _read_owner(self._path), slurm_job(), slurm_restarts()
        requeued = former is not None and job is not None and former.job == job and former.restarts < restarts
        if not _lock(descriptor, fcntl.LOCK_EX) and not requeued:
            os.close(descriptor)
            return False
        with contextlib.suppress(OSError):  # on a full disk others are not told the name
            os.ftruncate(descriptor, 0)
            owner = Owner(socket.gethostname(), os.getpid(), job, restarts)
            os.pwrite(descriptor, json.dumps(owner._asdict()).encode() + b"\n", 0)
        self._descriptor = descriptor
        return True

    def __exit__(self, *error: object) -> None:
        os.close(self._descriptor)


def _lock(descriptor: int, kind: int) -> bool:
    try:
        fcntl.flock(descriptor, kind | fcntl.LOCK_NB)
    except OSError as error:  # any other one: the file system knows no such locks
        return not isinstance(error, BlockingIOError)
    return True


def live_owner(path: Path) -> Owner | None:
    """Who holds a lock; None if nobody does, as far as the kernel of this host knows."""
    try:
        with open(path, "rb") as file:
            if _lock(file.fileno(), fcntl.LOCK_SH):
                return None
    except OSError:
        return None
    return _read_owner(path) or Owner("unknown", 0, None, 0)


_PREFIX = ".attempt-"


class AttemptFolder:
    """Where an attempt makes its files before they get their names: `.attempt-<number>` in the run's directory.

    An attempt that begins deletes the folders of those before. If one of them is alive after all, however late it
    wakes up, it can give no file its name any more. The folder stays when the attempt has ended, so that no number is
    given twice.
    """

    def __init__(self, run: Path) -> None:
        """Begin an attempt in a run's directory, whose lock is held, as far as that reaches."""
        former = list(run.glob(f"{_PREFIX}*"))
        numbers = [int(number) for path in former if (number := path.name.removeprefix(_PREFIX)).isdecimal()]
        self._run = run
        self._path = run / f"{_PREFIX}{max(numbers, default=0) + 1}"
        try:
            self._path.mkdir()
        except FileExistsError:
            raise LockedError(f"{run}: another process begins to train this run") from None
        for path in former:
            aside = path.with_suffix(".old")  # renamed first, so that nothing can be written to it meanwhile
            with contextlib.suppress(OSError):
                path.rename(aside)
            shutil.rmtree(aside, ignore_errors=True)

    def write(self, path: Path, write: Callable[[BinaryIO], object]) -> None:
        """Replace a file as `write_atomically` does; a TakenOverError says that a later attempt has begun."""
        try:
            write_atomically(path, write, self._path)
        except OSError:
            if self._path.exists():
                raise
            by = _read_owner(self._run / "lock") or "another process"
            raise TakenOverError(f"{self._run}: superseded by {by}; nothing more is written here") from None
