"""Locks between processes on any hosts, which keep two attempts at one thing apart.

A lock that a dead process left is recognised, and one that only seemed dead is kept from writing when it wakes up.
"""

import contextlib
import errno
import fcntl
import json
import os
import re
import shutil
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, fields, replace
from pathlib import Path
from typing import BinaryIO, Self

from sentiment.errors import LockedError, RunDirError, TakenOverError
from sentiment.files import write_atomically
from sentiment.processes import slurm_job, slurm_restarts

_BOOT_ID = Path("/proc/sys/kernel/random/boot_id")
_GONE = ("Z", "X", "x")  # states of processes that only wait to be reaped


@dataclass(frozen=True)
class Owner:
    """A process that holds a lock, so described that no other process of any host can be taken for it."""

    token: int
    """Grows with each owner of the lock."""
    host: str
    pid: int
    job: str | None
    """As Slurm's commands take it; None outside Slurm."""
    restarts: int
    """How often Slurm had requeued the job before."""
    boot: str | None = None
    """Differs after each start of the host; None where the system has no such thing."""
    start: int | None = None
    """When the process began, by the host's own count, since process numbers are used again."""
    released: bool = False
    """Whether it has left in good order."""

    @classmethod
    def this_process(cls, token: int) -> Self:
        """This process as the owner with a token."""
        pid = os.getpid()
        return cls(token, socket.gethostname(), pid, slurm_job(), slurm_restarts(), _boot_id(), _start_of(pid))

    @classmethod
    def parse(cls, content: bytes) -> Self | None:
        """The owner in a lock's file; None if there is none, as after a power cut."""
        try:
            values = json.loads(content.split(b"\n")[0])
            known = {field.name: values[field.name] for field in fields(cls) if field.name in values}
            owner = cls(**known)
        except (ValueError, TypeError, RecursionError):
            return None
        return owner if isinstance(owner.token, int) else None

    def encode(self) -> bytes:
        """A line from which `parse` reads it back."""
        return json.dumps(asdict(self)).encode() + b"\n"

    @property
    def is_here(self) -> bool:
        """Whether it runs, or ran, on this host since the host was started."""
        return self.host == socket.gethostname() and self.boot in (None, _boot_id())

    @property
    def may_live(self) -> bool:
        """Whether it has not left, and is not known to be dead: of other hosts nothing is known."""
        return not self.released and (not self.is_here or self.lives_here)

    @property
    def lives_here(self) -> bool:
        """Whether it runs on this host at this moment."""
        return self.is_here and process_lives(self.pid, self.start)

    @property
    def is_earlier_attempt(self) -> bool:
        """Whether Slurm has requeued its job since, to start this process."""
        return self.job is not None and self.job == slurm_job() and self.restarts != slurm_restarts()

    def __str__(self) -> str:
        job = f" (Slurm job {self.job})" if self.job else ""
        return f"process {self.pid} on host {self.host}{job}"


def process_lives(pid: int, start: int | None = None) -> bool:
    """Whether a process of this host lives; a suspended one does.

    Args:
        start: as in `Owner`; None takes any process of this number for it.
    """
    known = _stat(pid)
    if known is not None:
        return known[0] not in _GONE and start in (None, int(known[19]))
    if _BOOT_ID.exists():
        return False
    try:  # a system without /proc
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True


def _start_of(pid: int) -> int | None:
    known = _stat(pid)
    return None if known is None else int(known[19])


def _stat(pid: int) -> list[str] | None:
    """What the kernel says of a process, from its state on (see proc_pid_stat(5)); None if it says nothing."""
    try:
        return Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace").rpartition(")")[2].split()
    except OSError:
        return None


def _boot_id() -> str | None:
    try:
        return _BOOT_ID.read_text(encoding="ascii").strip()
    except OSError:
        return None


# Hidden, since whoever counts files leaves out hidden ones.
_OWNER_FILE = ".owner"
_TRIES = 5


class Claims:
    """The folders of the owners of the lock `path`: for `lock` and token 7 it is `.lock.7`.

    A folder holds the name of its owner from its first instant on. What the owner writes is made in it, so that nothing
    gets its name any more once the folder has been deleted.
    """

    def __init__(self, path: Path) -> None:
        self._path = path

    def folder(self, token: int) -> Path:
        """The folder of the owner with a token."""
        return self._path.with_name(f".{self._path.name}.{token}")

    def newest(self) -> tuple[int, Owner | None, float]:
        """The highest token so far, its owner if that is known, and the last sign of life of it."""
        with open(self._path, "rb") as file:  # opened, since what a client of NFS remembers of a file may be old
            owner, seen = Owner.parse(file.read()), os.fstat(file.fileno()).st_mtime
        token = owner.token if owner else 0
        folders = [(number, folder) for folder, number in self._folders() if number is not None and number > token]
        if not folders:
            return token, owner, seen
        token, folder = max(folders)  # its owner has not yet written its name into the file, or was killed just before
        try:
            return token, Owner.parse((folder / _OWNER_FILE).read_bytes()), max(seen, folder.stat().st_mtime)
        except OSError:
            return token, None, seen

    @contextmanager
    def prepared(self) -> Iterator[Path]:
        """A new folder, for a claim; deleted at the end if it was not put in place."""
        claim = self._path.with_name(f".{self._path.name}.{socket.gethostname()}.{os.getpid()}")
        shutil.rmtree(claim, ignore_errors=True)
        claim.mkdir()
        try:
            yield claim
        finally:
            shutil.rmtree(claim, ignore_errors=True)

    def put(self, claim: Path, owner: Owner) -> bool:
        """Put a prepared folder in its place; False if another process has just done the same."""
        (claim / _OWNER_FILE).write_bytes(owner.encode())
        try:
            claim.rename(self.folder(owner.token))
        except OSError as error:
            if error.errno in (errno.ENOTEMPTY, errno.EEXIST):
                return False
            raise
        return True

    def stands(self, owner: Owner) -> bool:
        """Whether nobody has revoked a claim."""
        return (self.folder(owner.token) / _OWNER_FILE).exists()

    def revoke(self, token: int) -> None:
        """Delete the folder of an owner."""
        _delete(self.folder(token))

    def revoke_others(self, token: int, old: float) -> None:
        """Delete all folders but that of a token.

        Args:
            old: folders that are still being prepared are deleted if they are older than this, in seconds since 1970.
        """
        for folder, number in list(self._folders()):
            with contextlib.suppress(OSError):  # of a process that prepares a claim at this moment, and gives up
                if number != token and (number is not None or folder.stat().st_mtime < old):
                    _delete(folder)

    def _folders(self) -> Iterator[tuple[Path, int | None]]:
        """The folders of all owners with their tokens; None for those that are being prepared or deleted."""
        prefix = f".{self._path.name}."
        for folder in self._path.parent.iterdir():
            if folder.name.startswith(prefix):
                rest = folder.name.removeprefix(prefix)
                if re.fullmatch(r"\d+(\.revoked)?|\S+\.\d+", rest):
                    yield folder, int(rest) if rest.isdecimal() else None


def _delete(folder: Path) -> None:
    """Delete a folder; it is renamed first, so that nothing can be written to it meanwhile."""
    aside = folder.with_name(f"{folder.name}.revoked")
    shutil.rmtree(aside, ignore_errors=True)
    with contextlib.suppress(OSError):
        folder.rename(aside)
    for _ in range(_TRIES):
        shutil.rmtree(aside, ignore_errors=True)
        if not aside.exists():
            return


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
