"""Atomic writes, after which a file is either wholly old or wholly new, and fingerprints of content."""

import contextlib
import hashlib
import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any, BinaryIO

_BLOCK = 1 << 20

WriteFile = Callable[[Path, Callable[[BinaryIO], object]], None]
"""Replaces a file by what a function writes, as `write_atomically` does."""


def write_atomically(path: Path, write: Callable[[BinaryIO], object], folder: Path | None = None) -> None:
    """Let `write` fill a new file beside `path`, make it durable, then replace `path` by it.

    Readers see the old file or the new one, never a part of it, even after a crash or on a full disk.

    Args:
        folder: where the new file is made, which must be in the same file system; None is the folder of `path`.

    Raises:
        OSError: names `path`, which is unchanged; the temporary file is deleted.
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


def write_json(path: Path, value: Any) -> None:
    """Write `value` atomically as `as_json` does."""
    write_atomically(path, as_json(value))


def as_json(value: Any) -> Callable[[BinaryIO], object]:
    """What writes `value` as indented JSON with sorted keys; NaN and infinity are refused (ValueError)."""
    text = json.dumps(value, indent=2, sort_keys=True, allow_nan=False, ensure_ascii=False) + "\n"
    return lambda file: file.write(text.encode())


def sync_folder(folder: Path) -> None:
    """Make the entries of `folder` durable, so that a replaced file survives a power cut."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def sha256_of(path: Path) -> str:
    """Hexadecimal SHA-256 of a file's bytes, read in blocks."""
    digest = hashlib.sha256()
    with open(path, "rb") as file:
        while block := file.read(_BLOCK):
            digest.update(block)
    return digest.hexdigest()


def fingerprint(value: Any) -> str:
    """Hexadecimal SHA-256 of a plain value, whatever the order of keys; the same on every machine and Python."""
    canonical = json.dumps(value, sort_keys=True, separators=(",", ":"), allow_nan=False)
    return hashlib.sha256(canonical.encode()).hexdigest()
