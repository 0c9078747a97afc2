"""Atomic writes, safe access to paths that users give, the files that ship with the program, digests of content.

A user may give the path of a device or a FIFO, or a link to either. Reading from one could block for ever, and
replacing one would destroy it. So a path from a user is opened by `open_user_file` and written by `write_user_file`.
"""

import contextlib
import errno
import hashlib
import importlib
import json
import os
import shutil
import stat
import sys
import time
import uuid
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from io import BufferedReader
from pathlib import Path, PurePath
from types import ModuleType
from typing import Any, BinaryIO

from sentiment.errors import UsageError

WriteFile = Callable[[Path, Callable[[BinaryIO], object]], None]  # as `write_atomically`


def write_atomically(path: Path, write: Callable[[BinaryIO], object], folder: Path | None = None) -> None:
    """Write a temporary file next to `path` (or in `folder`), fsync it, then rename it to `path`.

    Readers see the old file or the new one, never a part of it, even after a crash or on a full disk.

    Raises:
        OSError: names `path`, which is unchanged; the temporary file is deleted. If it names the folder, the file is
            written, but may be lost in a power cut.
    """
    temporary = _temporary(path, folder or path.parent)
    try:
        with open(temporary, "wb") as file:
            write(file)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
    except BaseException as error:
        with contextlib.suppress(OSError):
            temporary.unlink()
        if isinstance(error, OSError):  # a failed write names no file or the temporary one, a failed rename both
            error.filename = str(path)
            del error.filename2
        raise
    sync_folder(path.parent)


def write_once(path: Path, write: Callable[[BinaryIO], object]) -> None:
    """Write a file atomically unless it exists; if several processes try, on any host, the first one wins."""
    temporary = _temporary(path, path.parent)
    write_atomically(temporary, write)
    try:
        with contextlib.suppress(FileExistsError):
            os.link(temporary, path)
    finally:
        temporary.unlink()
    sync_folder(path.parent)


_STALE_SECONDS = 24 * 3600


def make_folder_once(
    path: Path, make: Callable[[Path], object], lock: contextlib.AbstractContextManager[object]
) -> None:
    """Make a folder unless it exists; while one process holds the `lock` and makes it, the others wait.

    `make` fills a temporary folder beside `path`, which is renamed when it is complete, and deleted on failure. If a
    host that does not see the lock completes the folder first, that one stays. Temporary folders that killed processes
    left behind are deleted after a day.
    """

    def make_it(temporary: Path) -> Path:
        make(temporary)
        return path

    if path.exists():
        return
    with lock:
        if not path.exists():  # otherwise another process has made it in the meantime
            make_folder(path.parent, make_it)


def make_folder(parent: Path, make: Callable[[Path], Path]) -> Path:
    """Make a folder in `parent`, unless it exists: `make` fills a temporary one, and returns the path that it gets.

    Returns:
        The path.
    """
    parent.mkdir(parents=True, exist_ok=True)
    delete_leftovers(parent)
    temporary = _temporary(parent, parent)
    temporary.mkdir()
    try:
        path = make(temporary)
        sync_folder(temporary)
        try:
            temporary.rename(path)
        except OSError:
            if not path.exists():
                raise
        sync_folder(parent)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)
    return path


def _temporary(path: Path, folder: Path) -> Path:
    """A name for what will be `path`, which no other process has, on any host."""
    return folder / f".{path.name}.{uuid.uuid4().hex[:8]}.tmp"


def delete_leftovers(folder: Path, pattern: str = ".*.tmp") -> None:
    """Delete the temporary files and folders that killed processes left behind a day ago."""
    for leftover in folder.glob(pattern):
        with contextlib.suppress(OSError):  # another process may have renamed it by now, or it is somebody else's
            if time.time() - leftover.stat().st_mtime < _STALE_SECONDS:
                continue
            if leftover.is_dir():
                shutil.rmtree(leftover, ignore_errors=True)
            else:
                leftover.unlink()


def write_user_file(path: Path, write: Callable[[BinaryIO], object]) -> None:
    """Like `write_atomically`, for a path from a user: follows links, and writes to a device or a FIFO directly."""
    mode = stat.S_IFREG
    with contextlib.suppress(FileNotFoundError):
        mode = path.stat().st_mode  # raises for a link that leads to itself
    if stat.S_ISDIR(mode):
        raise IsADirectoryError(errno.EISDIR, "Is a directory; name a file in it", str(path))
    if stat.S_ISREG(mode):
        write_atomically(Path(os.path.realpath(path)), write)
    else:  # the real path of a pipe, as of /dev/stdout, is no path of the file system
        with open(path, "wb") as file:
            write(file)


def check_not_read(target: Path, *read: Path | None) -> None:
    """Raises UsageError if a file to write is one of the files that are read, also by another path."""
    for source in read:
        if source and source.exists() and target.exists() and target.samefile(source):
            raise UsageError(f"{target}: is a file that is read, and would be overwritten; give another name")


def user_path(text: str) -> Path:
    """The path with `~` and `~name` expanded as in a shell; `~name` is left unchanged if there is no such user."""
    return Path(os.path.expanduser(text))  # noqa: PTH111 - Path.expanduser raises for an unknown user


def open_user_file(path: Path) -> BufferedReader:
    """Open a regular file for reading; raises OSError at once if it is anything else."""
    descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    mode = os.fstat(descriptor).st_mode
    if stat.S_ISREG(mode):
        return open(descriptor, "rb")
    os.close(descriptor)
    if stat.S_ISDIR(mode):
        raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), str(path))
    raise OSError("it is a device, a FIFO or a socket, not a regular file")


def read_user_file(path: Path, max_bytes: int) -> bytes:
    """The content of a regular file; raises OSError if it has more than `max_bytes`."""
    with open_user_file(path) as file:
        content = file.read(max_bytes + 1)
    if len(content) > max_bytes:
        raise OSError(f"it is larger than {max_bytes:,} bytes, the limit for such a file")
    return content


def write_json(path: Path, value: Any) -> None:
    write_atomically(path, as_json(value))


def as_json(value: Any) -> Callable[[BinaryIO], object]:
    """Return a function that writes `value` as indented JSON with sorted keys; bytes that are not UTF-8 become `?`."""
    text = json.dumps(value, indent=2, sort_keys=True, allow_nan=False, ensure_ascii=False) + "\n"
    return lambda file: file.write(text.encode("utf-8", "replace"))


def sync_folder(folder: Path) -> None:
    """Make the entries of a folder durable, so that a replaced file survives a power cut."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def files_in(folder: Path) -> Iterator[tuple[Path, int]]:
    """All files below a folder (if it exists), with their sizes in bytes; skips files that are deleted meanwhile."""
    for parent, _, names in os.walk(folder):
        for path in (Path(parent, name) for name in names):
            with contextlib.suppress(FileNotFoundError):
                yield path, path.stat().st_size


def sha256_of(path: Path) -> str:
    with open_user_file(path) as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


@dataclass(frozen=True)
class Remote:
    """A remote file with known size and checksum."""

    name: str  # its path in the folder for downloads
    urls: Sequence[str]  # mirrors, in the order in which they are tried
    size: int | None  # in bytes; None: use the server's Content-Length
    sha256: str  # empty if the publisher gives none

    def matches(self, path: Path) -> bool:
        return self.size in (None, path.stat().st_size) and (not self.sha256 or sha256_of(path) == self.sha256)


def fingerprint(value: Any) -> str:
    """Hexadecimal SHA-256 of a plain value, independent of the order of keys, the machine and the Python version."""
    canonical = json.dumps(value, sort_keys=True, separators=(",", ":"), allow_nan=False)
    return hashlib.sha256(canonical.encode()).hexdigest()


class FolderEntry:
    """Descriptor for a file or folder: in a class, `FolderEntry("a", "b")` evaluates to `self.path / "a" / "b"`."""

    def __init__(self, *names: str) -> None:
        self._names = names

    def __get__(self, folder: Any, owner: type[Any]) -> Path:
        path: Path = folder.path.joinpath(*self._names)
        return path


# A clone has `jobs`, `report` and `configs` beside this package. An installed wheel has them in `sentiment/programs`,
# so that they do not clash with other installed modules named `jobs` or `report`.

ROOT = Path(__file__).resolve().parents[1]  # the folder from which this program was imported
CONFIGS = Path("configs")
_ENDINGS_OF_SETTINGS = ("", ".yaml", ".yml", ".json")


def shipped_folder(name: str, root: Path = ROOT) -> Path:
    """The folder of `jobs`, `report` or `configs` in a clone, a copy of the code or an installed wheel."""
    in_clone = root / name
    if in_clone.is_dir():
        return in_clone
    return root / "sentiment" / "programs" / name


def shipped_file(path: Path) -> Path:
    """`path` if it exists or is outside `configs`; otherwise the shipped file of that name, if any."""
    if path.is_absolute() or path.parts[:1] != CONFIGS.parts or path.exists():
        return path
    shipped = shipped_folder(CONFIGS.name) / path.relative_to(CONFIGS)
    return shipped if shipped.exists() else path


def config_path(name: Path, folder: str) -> Path:
    """The file that a user gives by its path, or by its stem in `configs/runs` or `configs/grids`.

    Raises:
        UsageError: it has another ending than a file of settings.
    """
    if name.suffix not in _ENDINGS_OF_SETTINGS:
        if not name.exists():
            raise UsageError(f"{name}: no such file")
        raise UsageError(f"{name}: is no file of settings (.yaml); a table of tweets is given by --data")
    return name if name.suffix or name.is_file() else CONFIGS / folder / f"{name}.yaml"


def plain_path(path: str) -> str:
    """A path without `~`, normalised if that resolves to the same file."""
    expanded = os.path.expanduser(path)  # noqa: PTH111 - Path's fails for a user who does not exist
    plain = os.path.normpath(expanded)
    for folder in (str(Path.cwd()), os.environ.get("PWD", "")):  # $PWD may contain a symbolic link
        if folder and PurePath(plain).is_absolute() and PurePath(plain).is_relative_to(folder):
            plain = os.path.relpath(plain, folder)
    # `a/..` is not the current folder if `a` is a symbolic link.
    return plain if os.path.realpath(plain) == os.path.realpath(expanded) else expanded


def import_program(name: str) -> ModuleType:
    """Import `jobs.__main__` or `report.__main__`, even if another installed module has that name."""
    folder = str(shipped_folder(name).parent)
    if sys.path[0] != folder:
        sys.path.insert(0, folder)
    if Path(folder) != ROOT:  # for child processes, such as the report at the end of a grid
        pythonpath = os.environ.get("PYTHONPATH")
        entries = pythonpath.split(os.pathsep) if pythonpath else []
        if folder not in entries:
            os.environ["PYTHONPATH"] = os.pathsep.join([folder, *entries])
    return importlib.import_module(f"{name}.__main__")
