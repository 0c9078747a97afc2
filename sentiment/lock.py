"""Locks between processes on any hosts; a lock that a dead process left is recognised."""

import contextlib
import fcntl
import json
import os
import socket
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import IO, Any, Self

from sentiment.allocation import slurm_job, slurm_restarts
from sentiment.errors import LockedError, RunDirError

HEARTBEAT_SECONDS = 10.0
STALE_SECONDS = 60.0
_POLL_SECONDS = 0.5


class ProcessLock:
    """Holds the lock `path` as long as the context lasts.

    On one host the kernel's lock decides; it ends with its process in any case. Between hosts, where some file systems
    do not propagate that lock, the file's content and heartbeat decide: the owner touches the file every 10 s, and
    counts as dead if it has not done so for 60 s. An earlier attempt of the same Slurm job always counts as dead.

    Raises (on entering):
        LockedError: a live process holds it; the message names the process.
        RunDirError: the file cannot be written.
    """

    def __init__(self, path: Path, activity: str = "trains this run") -> None:
        """Args: activity: what the owner does while it holds the lock, for the message to others."""
        self._path = path
        self._activity = activity
        self._file: IO[str] | None = None
        self._done = threading.Event()
        self._beat = threading.Thread(target=self._keep_alive, name="lock", daemon=True)

    def __enter__(self) -> Self:
        try:
            file = open(self._path, "a+", encoding="utf-8", errors="replace")
        except OSError as error:
            raise RunDirError(f"{self._path}: cannot be written: {error}") from None
        try:
            self._take(file)
        except BaseException:
            with contextlib.suppress(OSError):  # closing writes what is left, which fails on a full disk
                file.close()
            raise
        self._file = file
        self._beat.start()
        return self

    def __exit__(self, *error: object) -> None:
        self._done.set()
        self._beat.join()
        if self._file is not None:
            with contextlib.suppress(OSError):
                self._file.truncate(0)
            self._file.close()

    def _take(self, file: IO[str]) -> None:
        file.seek(0)
        owner = _parse(file.read())
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise LockedError(self._refusal(owner)) from None
        except OSError:  # the file system does not support locks: content and heartbeat decide
            if _is_live_here(owner):
                raise LockedError(self._refusal(owner)) from None
        file.seek(0)
        owner = _parse(file.read())  # again: another process may have held it in between
        age = self._age()
        if owner and owner["host"] != socket.gethostname() and not _is_earlier_attempt(owner) and age < STALE_SECONDS:
            seen = f"; it was alive {age:.0f} s ago; if it is dead, try again in {STALE_SECONDS - age:.0f} s"
            raise LockedError(self._refusal(owner, seen))
        owner = {"host": socket.gethostname(), "pid": os.getpid(), "job": slurm_job(), "restarts": slurm_restarts()}
        try:
            file.truncate(0)
            file.write(json.dumps(owner))
            file.flush()
        except OSError as error:
            raise RunDirError(f"{self._path}: cannot be written: {error}") from None

    def _refusal(self, owner: dict[str, Any] | None, seen: str = "") -> str:
        who = f"process {owner['pid']} on host {owner['host']}" if owner else "another process"
        job = f" (Slurm job {owner['job']})" if owner and owner["job"] else ""
        return f"{self._path.parent}: {who}{job} already {self._activity}{seen}"

    def _age(self) -> float:
        """Seconds since the last heartbeat, by the clock of the file system, since those of hosts may differ."""
        probe = self._path.with_name(f".{self._path.name}.{socket.gethostname()}.{os.getpid()}.tmp")
        probe.touch()
        try:
            return probe.stat().st_mtime - self._path.stat().st_mtime
        finally:
            probe.unlink()

    def _keep_alive(self) -> None:
        while not self._done.wait(HEARTBEAT_SECONDS):
            with contextlib.suppress(OSError):  # a failed heartbeat must not end the work
                os.utime(self._path)


@contextlib.contextmanager
def patient_lock(path: Path, activity: str, waiting: Callable[[str], None]) -> Iterator[None]:
    """Wait until no live process holds a lock, then hold it.

    Args:
        activity: as of a `ProcessLock`.
        waiting: called twice a second with the name of the owner; an error that it raises ends the waiting.
    """
    with contextlib.ExitStack() as stack:
        while True:
            try:
                stack.enter_context(ProcessLock(path, activity))
                break
            except LockedError as error:
                waiting(str(error))
            time.sleep(_POLL_SECONDS)
        yield


def seems_held(path: Path) -> bool:
    """Whether the owner of a lock was alive in the last minute, and is not known to be dead.

    For display only: it is `ProcessLock` that decides.
    """
    try:
        fresh = time.time() - path.stat().st_mtime < STALE_SECONDS
        owner = _parse(path.read_text(encoding="utf-8", errors="replace")) if fresh else None
    except OSError:
        return False
    if owner and owner["host"] == socket.gethostname():
        return Path(f"/proc/{owner['pid']}").exists()
    return owner is not None


def _parse(text: str) -> dict[str, Any] | None:
    try:
        owner = json.loads(text)
        return owner if {"host", "pid", "job", "restarts"} <= owner.keys() else None
    except (ValueError, AttributeError):
        return None  # empty, or its owner was killed while writing


def _is_earlier_attempt(owner: dict[str, Any]) -> bool:
    """Whether Slurm has requeued the owner's job, which is this one; two tasks of one attempt may both be alive."""
    job = slurm_job()
    return job is not None and owner["job"] == job and owner["restarts"] != slurm_restarts()


def _is_live_here(owner: dict[str, Any] | None) -> bool:
    if owner is None or owner["host"] != socket.gethostname() or owner["pid"] == os.getpid():
        return False
    return Path(f"/proc/{owner['pid']}").exists()
