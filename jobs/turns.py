"""The lock of a grid, and of its jobs on this machine, also for hosts that do not see each other's file locks.

Commands and final jobs take turns. A turn is a file with a number, and whoever made the newest one has the folder.
Files are made exclusively, so that of all that try at once, on any host, one gets the next number. A turn has ended
when the modification time of its file is 0. Its owner has died if it no longer holds the lock on the file, as far as
this host can tell; of an owner on another host, that is if it does not touch the file for a minute, as it does every
few seconds while it lives. Times are never compared between hosts. An owner that was only suspended finds a later turn
when it wakes, and stops.
"""

import contextlib
import fcntl
import os
import socket
import time
from pathlib import Path
from threading import Event, Thread
from typing import Self

from sentiment.errors import LockedError, RunDirError
from sentiment.runs.locks import Owner, live_owner, read_owner

_BEAT_SECONDS = 5.0
_DEAD_SECONDS = 60.0
_POLL_SECONDS = 0.5


class Turn:
    """One owner's turn at a folder, as long as the context lasts; errors say what the owner of another turn does."""

    def __init__(self, folder: Path, activity: str = "already submits or cancels") -> None:
        self._folder = folder
        self._activity = activity
        self._number = 0
        self._descriptor = -1
        self._ended = Event()
        self._heart = Thread(target=self._beat, daemon=True)

    @property
    def _file(self) -> Path:
        return _path(self._folder, self._number)

    def __enter__(self) -> Self:
        try:
            while not self._take():
                pass
        except OSError as error:
            raise RunDirError(f"{self._folder}: cannot be written: {error}") from None
        self._heart.start()
        return self

    def __exit__(self, *_error: object) -> None:
        self._ended.set()
        self._heart.join()
        with contextlib.suppress(OSError):
            os.utime(self._file, (0, 0))
        os.close(self._descriptor)

    def check(self) -> None:
        """Raise LockedError if another process has taken the grid over, because this one was suspended for long."""
        newest = max(_numbers(self._folder), default=0)  # 0: it has moved the folder away
        if newest != self._number:
            raise LockedError(f"{self._folder}: {_owner(_path(self._folder, newest))} has taken this grid over")

    def _take(self) -> bool:
        """Make the file of the next turn; return whether no other process did so first.

        Raises:
            LockedError: the owner of the newest turn is alive.
        """
        newest = max(_numbers(self._folder), default=0)
        if newest and not _has_ended(_path(self._folder, newest), watch=True):
            owner = _owner(_path(self._folder, newest))
            raise LockedError(f"{self._folder}: {owner} {self._activity}; repeat the command in a minute")
        temporary = self._folder / f".turn.{socket.gethostname()}.{os.getpid()}.tmp"
        descriptor = os.open(temporary, os.O_RDWR | os.O_CREAT | os.O_TRUNC, 0o666)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX)  # before the file has its name, so that it is never seen without
            with contextlib.suppress(OSError):  # on a full disk the owner is not recorded
                os.write(descriptor, Owner.here().record)
            os.link(temporary, _path(self._folder, newest + 1))
        except FileExistsError:
            os.close(descriptor)
            return False
        finally:
            temporary.unlink()
        self._number = newest + 1
        self._descriptor = descriptor
        others = _numbers(self._folder)
        if others[-1] != self._number:  # this host's list of the folder was old
            self._file.unlink()
            os.close(descriptor)
            return False
        for number in others[:-2]:
            _path(self._folder, number).unlink(missing_ok=True)
        return True

    def _beat(self) -> None:
        while not self._ended.wait(_BEAT_SECONDS):
            with contextlib.suppress(OSError):
                os.utime(self._file)


def has_owner(folder: Path, *, watch: bool) -> bool:
    """Whether somebody has a folder's newest turn, as long as it is not known to be dead.

    Args:
        watch: whether to find out, which takes a minute, if an owner on another host lives; else it counts as alive.
    """
    newest = max(_numbers(folder), default=0)
    return newest > 0 and not _has_ended(_path(folder, newest), watch)


def _has_ended(file: Path, watch: bool) -> bool:
    """Whether a turn is over, or its owner is dead."""
    try:
        touched = _touched(file)
        if touched == 0:
            return True
        if live_owner(file):
            return False
        owner = read_owner(file)
        if owner and (owner.host == socket.gethostname() or owner.was_requeued):
            return True
        if not watch:
            return False
        end = time.monotonic() + _DEAD_SECONDS
        while time.monotonic() < end:
            time.sleep(_POLL_SECONDS)
            if _touched(file) != touched:
                return _touched(file) == 0
        os.utime(file, (0, 0))  # so that nobody watches it again
    except FileNotFoundError:  # later turns have removed it
        return True
    return True


def _numbers(folder: Path) -> list[int]:
    return sorted(int(file.name.removeprefix("turn-")) for file in folder.glob("turn-*[0-9]"))


def _path(folder: Path, number: int) -> Path:
    return folder / f"turn-{number:06}"


def _touched(file: Path) -> int:
    with open(file, "rb") as opened:  # opening makes a network file system ask its server
        return os.fstat(opened.fileno()).st_mtime_ns


def _owner(file: Path) -> str:
    owner = read_owner(file)
    return str(owner) if owner else "another process"
