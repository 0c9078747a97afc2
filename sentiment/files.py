"""Atomic writes, safe access to paths that users give, their text, the files that ship, digests of content.

A user may give the path of a device or a FIFO, or a link to either. Reading from one could block for ever, and
replacing one would destroy it. So a path from a user is opened by `open_user_file` and written by `write_user_file`.

Their text is UTF-8, or UTF-16 with a byte order mark; what is not valid UTF-8 is read as Windows-1252, since real
exports of tweets mix both within one file.
"""

import codecs
import contextlib
import csv
import errno
import gzip
import hashlib
import importlib
import io
import json
import os
import shutil
import stat
import sys
import time
import uuid
import zipfile
import zlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from io import BufferedReader
from pathlib import Path, PurePath
from types import ModuleType
from typing import Any, BinaryIO, cast

from sentiment.errors import DataError, MissingFileError, UsageError

# What file systems without hard links answer, such as FAT or a folder that a virtual machine shares.
_NO_HARD_LINKS = (errno.EPERM, errno.ENOSYS, errno.ENOTSUP, errno.EOPNOTSUPP)

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
        os.link(temporary, path)
    except FileExistsError:
        pass
    except OSError as error:
        if error.errno not in _NO_HARD_LINKS:
            raise
        if not path.exists():  # only one host writes to such a file system
            temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)
    sync_folder(path.parent)


_STALE_SECONDS = 24 * 3600


def make_folder_once(path: Path, make: Callable[[Path], object]) -> None:
    """Make a folder unless it exists.

    `make` fills a temporary folder beside `path`, which is renamed when it is complete, and deleted on failure. If
    another process completes the folder first, that one stays. Temporary folders that killed processes left behind are
    deleted after a day.
    """

    def make_it(temporary: Path) -> Path:
        make(temporary)
        return path

    if not path.exists():
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
    """Return a function that writes `value` as indented JSON in its order; bytes that are not UTF-8 become `?`."""
    text = json.dumps(value, indent=2, allow_nan=False, ensure_ascii=False) + "\n"
    return lambda file: file.write(text.encode("utf-8", "replace"))


def sync_folder(folder: Path) -> None:
    """Make the entries of a folder durable, so that a replaced file survives a power cut.

    Some file systems cannot, such as folders that a virtual machine shares with its host.
    """
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    except OSError as error:
        if error.errno not in (errno.EINVAL, errno.ENOTSUP):
            raise
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


# --- the text of users' files -----------------------------------------------------------------------------------------

LINE_LIMIT = 1 << 20  # in characters; longer lines are refused to bound memory
TOO_LONG = "x" * (csv.field_size_limit() + 1)  # placeholder for an over-long line, which every format refuses


def is_gzipped(path: Path) -> bool:
    return path.suffix.lower() == ".gz"


@contextlib.contextmanager
def translated_errors(path: Path) -> Iterator[None]:
    """Turn errors of the operating system about a file into a DataError that names the file."""
    try:
        yield
    except (EOFError, gzip.BadGzipFile, zipfile.BadZipFile, zlib.error) as error:
        raise DataError(f"{path}: is truncated, damaged or not compressed as its name says: {error}") from None
    except FileNotFoundError:
        raise MissingFileError(f"{path}: no such file") from None
    except IsADirectoryError:
        raise MissingFileError(f"{path}: is a directory; name a file in it") from None
    except OSError as error:
        raise DataError(f"{path}: cannot be read: {error}") from None


def state_of(path: Path) -> tuple[int, ...]:
    """Stat fields that change with a file's content; ctime, unlike mtime, cannot be set by users."""
    with translated_errors(path):
        status = path.stat()
    return status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns, status.st_ctime_ns


@contextlib.contextmanager
def opened_bytes(path: Path, member: str | None = None) -> Iterator[BinaryIO]:
    """A file, or a member of a zip archive, opened for reading; decompressed if its name ends in `.gz`."""
    with translated_errors(path), contextlib.ExitStack() as stack:
        file: BinaryIO = stack.enter_context(open_user_file(path))
        if member is not None:
            archive = stack.enter_context(zipfile.ZipFile(file))
            file = cast(BinaryIO, stack.enter_context(archive.open(member)))
        elif is_gzipped(path):
            file = cast(BinaryIO, stack.enter_context(gzip.open(file)))
        yield file


_UTF16_SHARE = 0.25  # of NUL characters; half of the bytes of English text are NUL in UTF-16


def read_lines(path: Path, member: str | None = None) -> Iterator[str]:
    """The lines of a text file with their ends: line feeds, carriage returns, or both.

    Bytes that are not valid UTF-8 are surrogate escapes, which `decoded` replaces. A byte order mark is dropped.

    Raises:
        DataError: the file cannot be read, is empty, or is in UTF-16 without a byte order mark.
    """
    with opened_bytes(path, member) as file:
        mark = file.peek(2)[:2]  # type: ignore[attr-defined]
        encoding = "utf-8-sig"
        errors = "surrogateescape"
        if mark in (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE):
            encoding = "utf-16"
            errors = "replace"
        text = io.TextIOWrapper(file, encoding, errors, newline="")
        line = text.readline(LINE_LIMIT)
        if not line:
            raise DataError(f"{path}: is empty")
        if line.count("\0") > _UTF16_SHARE * len(line):
            raise DataError(f"{path}: is in UTF-16 without a byte order mark, or not a text file; save it as UTF-8")
        while line:
            if len(line) < LINE_LIMIT:
                yield line
            else:
                while line and not line.endswith(("\n", "\r")):
                    line = text.readline(LINE_LIMIT)
                yield TOO_LONG
            line = text.readline(LINE_LIMIT)


# As browsers read it: the five bytes that Windows-1252 lacks are control characters, as in latin-1.
_FROM_LATIN_1 = {}
for _byte in range(0x80, 0xA0):
    with contextlib.suppress(UnicodeDecodeError):
        _FROM_LATIN_1[_byte] = bytes([_byte]).decode("cp1252")


def decoded(text: str) -> str:
    """Text of `read_lines`: unchanged, or read as Windows-1252 if its bytes are not valid UTF-8."""
    if text.isascii():
        return text
    try:
        text.encode()
    except UnicodeEncodeError:
        return text.encode("utf-8", "surrogateescape").decode("latin-1").translate(_FROM_LATIN_1)
    return text
