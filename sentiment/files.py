"""Atomic writes, after which a file is either wholly old or wholly new; files that users name, and those that come with
the program; fingerprints of content.

A user may name anything: a device, a FIFO, a link to either. Reading from one could wait for ever, and replacing one
would destroy it, so whatever a user names is opened by `open_named` and written by `write_named`.
"""

import contextlib
import errno
import hashlib
import importlib
import json
import os
import stat
import sys
from collections.abc import Callable, Iterator
from io import BufferedReader
from pathlib import Path
from types import ModuleType
from typing import Any, BinaryIO

WriteFile = Callable[[Path, Callable[[BinaryIO], object]], None]  # as `write_atomically`


def write_atomically(path: Path, write: Callable[[BinaryIO], object], folder: Path | None = None) -> None:
    """Let `write` fill a new file beside `path`, or in `folder`, make it durable, then replace `path` by it.

    Readers see the old file or the new one, never a part of it, even after a crash or on a full disk. An OSError names
    `path`, which is unchanged; the temporary file is deleted.
    """
    temporary = (folder or path.parent) / f".{path.name}.{os.getpid()}.tmp"
    try:
        with open(temporary, "wb") as file:
            write(file)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
    except BaseException as error:
        with contextlib.suppress(OSError):
            temporary.unlink()
        if isinstance(error, OSError) and error.filename2 is None:
            error.filename = str(path)  # a failing write does not name its file, and the temporary name helps nobody
        raise
    sync_folder(path.parent)


def write_once(path: Path, write: Callable[[BinaryIO], object]) -> None:
    """Write a file unless it exists, atomically; of several processes on any host the first one does."""
    made = path.with_name(f".{path.name}.{os.uname().nodename}.{os.getpid()}.tmp")
    write_atomically(made, write)
    try:
        with contextlib.suppress(FileExistsError):
            os.link(made, path)
    finally:
        made.unlink()
    sync_folder(path.parent)


def write_named(path: Path, write: Callable[[BinaryIO], object]) -> None:
    """Like `write_atomically`, for a path that a user gives: links are followed, and devices and FIFOs written to."""
    with contextlib.suppress(FileNotFoundError):
        path.stat()  # refuses a link to itself
    target = Path(os.path.realpath(path))
    if target.is_dir():
        raise IsADirectoryError(errno.EISDIR, "Is a directory; name a file in it", str(path))
    if target.is_file() or not target.exists():
        write_atomically(target, write)
    else:
        with open(target, "wb") as file:
            write(file)


def named_path(text: str) -> Path:
    """The path that a user means, with `~` and `~name` as a shell reads them; `~nobody` stays if there is no nobody."""
    return Path(os.path.expanduser(text))  # noqa: PTH111 - Path's fails for a user who does not exist


def open_named(path: Path) -> BufferedReader:
    """Open a regular file for reading; an OSError, without waiting, for anything else."""
    descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    mode = os.fstat(descriptor).st_mode
    if stat.S_ISREG(mode):
        return open(descriptor, "rb")
    os.close(descriptor)
    if stat.S_ISDIR(mode):
        raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), str(path))
    raise OSError("it is a device, a FIFO or a socket, not a regular file")


def read_named(path: Path, most_bytes: int) -> bytes:
    """The content of a regular file; an OSError if it is larger."""
    with open_named(path) as file:
        content = file.read(most_bytes + 1)
    if len(content) > most_bytes:
        raise OSError(f"it is larger than {most_bytes:,} bytes, the most that such a file may have")
    return content


def write_json(path: Path, value: Any) -> None:
    write_atomically(path, as_json(value))


def as_json(value: Any) -> Callable[[BinaryIO], object]:
    """What writes a plain value as indented JSON with sorted keys; bytes of a path that are no UTF-8 become `?`."""
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
    """All files below a folder that may not exist, with their sizes in bytes, less those that others delete."""
    for parent, _, names in os.walk(folder):
        for path in (Path(parent, name) for name in names):
            with contextlib.suppress(FileNotFoundError):
                yield path, path.stat().st_size


def sha256_of(path: Path) -> str:
    with open_named(path) as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def fingerprint(value: Any) -> str:
    """Hexadecimal SHA-256 of a plain value, whatever the order of keys; the same on every machine and Python."""
    canonical = json.dumps(value, sort_keys=True, separators=(",", ":"), allow_nan=False)
    return hashlib.sha256(canonical.encode()).hexdigest()


class FolderEntry:
    """A file or folder in a directory; as an attribute of an object with a `path` it is the path."""

    def __init__(self, *names: str) -> None:
        self._names = names

    def __get__(self, folder: Any, owner: type[Any]) -> Path:
        place: Path = folder.path.joinpath(*self._names)
        return place


# A clone has `jobs`, `report` and `configs` beside this package. An installed wheel has them in `sentiment/programs`,
# where they are no top-level names, since other people's modules are called so as well.

ROOT = Path(__file__).resolve().parents[1]  # the folder that this program was imported from
CONFIGS = Path("configs")


def shipped_folder(name: str, root: Path = ROOT) -> Path:
    """The folder of `jobs`, `report` or `configs` in a clone, a copy of the code or an installed wheel."""
    beside = root / name
    return beside if beside.is_dir() else root / "sentiment" / "programs" / name


def shipped_file(path: Path) -> Path:
    """The path itself if there is something, or if it is not in `configs`; else what came with the program instead."""
    if path.is_absolute() or path.parts[:1] != CONFIGS.parts or path.exists():
        return path
    shipped = shipped_folder(CONFIGS.name) / path.relative_to(CONFIGS)
    return shipped if shipped.exists() else path


def config_path(name: Path, folder: str) -> Path:
    """The file that a user names by its path, or by its stem in `configs/runs` or `configs/grids`."""
    return name if name.suffix or name.is_file() else CONFIGS / folder / f"{name}.yaml"


def import_program(name: str) -> ModuleType:
    """The command line of `jobs` or `report`, whatever else has that name where Python looks for modules."""
    folder = str(shipped_folder(name).parent)
    if sys.path[0] != folder:
        sys.path.insert(0, folder)
    if Path(folder) != ROOT:  # processes that it starts, such as that of the report at the end of a grid, need it too
        before = os.environ.get("PYTHONPATH")
        if folder not in (before or "").split(os.pathsep):
            os.environ["PYTHONPATH"] = f"{folder}{os.pathsep}{before}" if before else folder
    return importlib.import_module(f"{name}.__main__")
