"""Locks between processes on any hosts: a lock that a dead process left is recognised, and one that only seemed dead
is kept from writing when it wakes up."""

import contextlib
import fcntl
import os
import socket
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import BinaryIO, Self

from sentiment.claims import Claims
from sentiment.errors import LockedError, RunDirError, TakenOverError
from sentiment.files import write_atomically
from sentiment.owner import Owner

HEARTBEAT_SECONDS = 10.0
STALE_SECONDS = 60.0
PATIENCE_SECONDS = STALE_SECONDS + 5
"""Long enough to see whether the owner of a lock lives."""
_POLL_SECONDS = 0.5
_clock = time.monotonic

# No two clocks differ by more; a lock that is older by the own clock needs no look at the file server's.
_LARGEST_CLOCK_ERROR = 3600.0

# What this process has seen of the locks of other hosts: token and last sign of life, and since when it sees just that.
_watched: dict[Path, tuple[tuple[int, float], float]] = {}


class ProcessLock:
    """Holds the lock `path` as long as the context lasts, or until another process takes it over.

    Each owner has a token, an integer that grows from owner to owner, and for `lock` with token 7 a folder `.lock.7`.
    The folder is put in place by a rename, at which only one of several hosts succeeds; the owner writes its name into
    the lock's file, touches that file every 10 s, and counts as dead if a process has watched the file for 60 s and it
    did not change: dates of files are never held against a clock. On its own host an owner whose process has gone
    counts as dead at once. The kernel's lock on the file is taken where there is one, but nothing depends on it: some
    file systems do not pass it between hosts, others keep that of a dead host.

    A process that was suspended may wake up when another one has taken its lock over. Its writes then fail: `write`
    renames files out of the owner's folder, which the successor deletes before it does anything else, so that a write
    fails in the file system itself, however late it comes.

    Raises (on entering):
        LockedError: a live process holds it; the message names the process.
        RunDirError: the file cannot be written.
    """

    def __init__(self, path: Path, activity: str = "trains this run", patience: float = 0.0) -> None:
        """A lock that is not held yet.

        Args:
            activity: what the owner does while it holds the lock, for the message to others.
            patience: seconds to watch an owner on another host that is not known to live.
        """
        self._path = path
        self._patience = patience
        self._claims = Claims(path)
        self._activity = activity
        self._descriptor: int | None = None
        self._owner = Owner.this_process(0)
        self._done = threading.Event()
        self._lost = threading.Event()
        self._beat = threading.Thread(target=self._keep_alive, name="lock", daemon=True)

    def __enter__(self) -> Self:
        end = _clock() + self._patience
        while True:
            try:
                self._descriptor = self._open()
                break
            except LockedError as error:
                if error.lives or _clock() >= end:
                    raise
            time.sleep(_POLL_SECONDS)
        self._beat.start()
        return self

    def _open(self) -> int:
        """Take the lock; the descriptor of its file."""
        descriptor = None
        try:
            descriptor = os.open(self._path, os.O_RDWR | os.O_CREAT, 0o666)
            self._take(descriptor)
        except BaseException as error:
            if descriptor is not None:
                os.close(descriptor)
            if isinstance(error, FileNotFoundError) and self._path.parent.is_dir():
                raise LockedError(self._refusal(None, 0)) from None  # whoever is done with a lock may delete its file
            if isinstance(error, OSError):
                raise RunDirError(f"{self._path}: cannot be written: {error}") from None
            raise
        return descriptor

    def __exit__(self, *error: object) -> None:
        self._done.set()
        self._beat.join()
        if self._descriptor is None:
            return
        with contextlib.suppress(OSError):  # on a full disk; the process is soon seen to be dead
            if self._newer(self._owner.token + 1) is None:
                _write_line(self._path, replace(self._owner, released=True).encode())
        self._claims.revoke(self._owner.token)
        os.close(self._descriptor)
        self._descriptor = None

    @property
    def token(self) -> int:
        """The number of this owner; each one's is higher than those of all before."""
        return self._owner.token

    def write(self, path: Path, write: Callable[[BinaryIO], object]) -> None:
        """Replace a file as `write_atomically` does, if this process still holds the lock.

        Raises:
            TakenOverError: another process has taken it over; `path` is unchanged.
            OSError: as `write_atomically`.
        """
        self.insist()
        try:
            write_atomically(path, write, self._claims.folder(self._owner.token))
        except OSError:
            self.insist()  # its folder has gone, if the other process was faster
            raise

    def insist(self) -> None:
        """Read the lock's file again.

        Raises:
            TakenOverError: another process has taken the lock over.
        """
        if successor := self._newer(self._owner.token + 1):
            self._lost.set()
            raise TakenOverError(f"{self._path.parent}: superseded by {successor}; nothing more is written here")

    def notice(self) -> None:
        """Do the same if the heartbeat has seen a successor; costs nothing.

        Raises:
            TakenOverError: another process has taken the lock over.
        """
        if self._lost.is_set():
            self.insist()

    def _newer(self, token: int) -> Owner | None:
        """The owner in the lock's file if it has this token or a higher one.

        The file is opened for that: what a client of NFS remembers of a file may be old, unless it opens it.
        """
        try:
            found = Owner.parse(self._path.read_bytes())
        except OSError:
            return None
        return found if found and found.token >= token else None

    def _take(self, descriptor: int) -> None:
        blocked = not _lock_file(descriptor)
        with self._claims.prepared() as claim:
            now = claim.stat().st_mtime  # by the file server's clock, since those of hosts differ
            newest, owner, seen = self._claims.newest()
            if blocked or (owner and owner.may_live):
                quiet, changed = _watch(self._path, (newest, seen))
                if quiet < STALE_SECONDS:
                    lives = changed or bool(owner and owner.lives_here)
                    earlier_attempt = bool(owner and owner.is_earlier_attempt)
                    raise LockedError(self._refusal(owner, quiet), earlier_attempt, lives, owner.job if owner else None)
            self._owner = Owner.this_process(newest + 1)
            if not self._claims.put(claim, self._owner):
                raise LockedError(self._refusal(None, 0))
        try:
            if newer := self._newer(self._owner.token):  # on a file system that showed an old state of the folder
                raise LockedError(self._refusal(newer, 0))
            _write_line(self._path, self._owner.encode())
            if not self._claims.stands(self._owner):  # this process was suspended in the last two lines
                raise LockedError(self._refusal(None, 0))
        except BaseException:
            self._claims.revoke(self._owner.token)
            raise
        self._claims.revoke_others(self._owner.token, now - STALE_SECONDS)

    def _refusal(self, owner: Owner | None, quiet: float) -> str:
        seen = f"; without a sign of life for {quiet:.0f} s so far" if quiet else ""
        return f"{self._path.parent}: {owner or 'another process'} already {self._activity}{seen}"

    def _keep_alive(self) -> None:
        while not self._done.wait(HEARTBEAT_SECONDS):
            if self._newer(self._owner.token + 1):
                self._lost.set()
                return
            with contextlib.suppress(OSError):  # a failed heartbeat must not end the work
                os.utime(self._path)


@contextlib.contextmanager
def patient_lock(path: Path, activity: str, waiting: Callable[[str], None]) -> Iterator[ProcessLock]:
    """Wait until no live process holds a lock, then hold it.

    Args:
        activity: as of a `ProcessLock`.
        waiting: called twice a second with the name of the owner; an error that it raises ends the waiting.
    """
    with contextlib.ExitStack() as stack:
        while True:
            try:
                lock = stack.enter_context(ProcessLock(path, activity))
                break
            except LockedError as error:
                waiting(str(error))
            time.sleep(_POLL_SECONDS)
        yield lock


def seems_held(path: Path) -> bool:
    """Whether the owner of a lock was alive in the last minute, and is not known to be dead.

    For display only: it is `ProcessLock` that decides.
    """
    return live_owner(path) is not None


def live_owner(path: Path) -> Owner | None:
    """The owner of a lock, if it was alive in the last minute and is not known to be dead; for display only as well."""
    try:
        owner, seen = Owner.parse(path.read_bytes()), _mtime(path)
    except OSError:
        return None
    if owner is None or not owner.may_live or owner.is_here:
        return owner if owner and owner.may_live else None
    recent = abs(time.time() - seen) < _LARGEST_CLOCK_ERROR and abs(_now(path) - seen) < STALE_SECONDS
    return owner if recent else None


def _watch(path: Path, state: tuple[int, float]) -> tuple[float, bool]:
    """For how many seconds this process has seen the same state of a lock, and whether it saw another one before."""
    before, since = _watched.get(path, (None, 0.0))
    if before != state:
        _watched[path] = state, _clock()
        return 0.0, before is not None
    return _clock() - since, False


def _now(path: Path) -> float:
    """The time by the clock of the file's server, or by this host's where the folder cannot be written."""
    probe = path.with_name(f".{path.name}.{socket.gethostname()}.{os.getpid()}.tmp")
    try:
        probe.touch()
        return _mtime(probe)
    except OSError:
        return time.time()
    finally:
        with contextlib.suppress(OSError):
            probe.unlink()


def _mtime(path: Path) -> float:
    return path.stat().st_mtime


def _lock_file(descriptor: int) -> bool:
    """Take the kernel's lock; False if another process has it."""
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError:  # the file system knows no such locks
        return True
    return True


def _write_line(path: Path, line: bytes) -> None:
    """Replace the content of the lock's file, so that readers find a whole first line at any moment.

    It is closed, at which NFS sends it to the server; it need not survive a power cut, which no owner survives.
    """
    descriptor = os.open(path, os.O_WRONLY)
    try:
        os.pwrite(descriptor, line, 0)
        os.ftruncate(descriptor, len(line))
    finally:
        os.close(descriptor)
