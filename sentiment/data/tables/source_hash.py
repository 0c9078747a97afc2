"""What is known of a source file, remembered until it changes, so that opening a prepared corpus reads no data."""

import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from sentiment.data.tables.lines import translated_errors
from sentiment.data.tables.rows import Rows
from sentiment.errors import DataError
from sentiment.files import sha256_of, write_json
from sentiment.run_dir import Results

# A file that was changed within the clock's last tick could change again without another modification time.
_SETTLED_NS = 2_000_000_000


def source_sha256(path: Path, results: Results) -> str:
    """The SHA-256 of a file, as `remembered`."""
    return remembered(path, results, "sha256", lambda file: sha256_of(file))


def remembered(path: Path, results: Results, name: str, find_out: Callable[[Path], str]) -> str:
    """A fact about a file; the remembered one if path, size and modification time are unchanged.

    Args:
        name: of the fact, in the memory.
        find_out: reads the file.

    Raises:
        DataError: the file is missing or unreadable.
    """
    with translated_errors(path):
        path = path.resolve(strict=True)
        before = path.stat()
        entry: dict[str, Any] = {"size": before.st_size, "mtime_ns": before.st_mtime_ns}
        memory = results.root / "data" / "source_hashes.json"
        known = _read(memory)
        former = known.get(str(path))
        if isinstance(former, dict) and former.items() >= entry.items():
            entry = former
        if isinstance(fact := entry.get(name), str):
            return fact
        fact = find_out(path)
    if time.time_ns() - before.st_mtime_ns > _SETTLED_NS:
        _remember(memory, known | {str(path): entry | {name: fact}})
    return fact


class UnchangedFile:
    """A file as it is now, before it is hashed; tells whether rows that are read later belong to the hash.

    Raises:
        DataError: there is no such file.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._state = self._state_now()

    def rows(self, read: Callable[[], Rows]) -> Rows:
        """The rows that `read` gives.

        Raises:
            DataError: the file is another one after they are read.
        """
        yield from read()
        if self._state_now() != self._state:
            raise DataError(
                f"{self._path}: was changed while it was read; give the same command again when it is whole"
            )

    def _state_now(self) -> tuple[int, ...]:
        with translated_errors(self._path):
            found = self._path.stat()
        return found.st_dev, found.st_ino, found.st_size, found.st_mtime_ns


def _read(memory: Path) -> dict[str, Any]:
    try:
        value = json.loads(memory.read_bytes())
    except (OSError, ValueError):
        return {}  # the memory only saves time
    return value if isinstance(value, dict) else {}


def _remember(memory: Path, known: dict[str, Any]) -> None:
    try:
        memory.parent.mkdir(parents=True, exist_ok=True)
        write_json(memory, known)
    except OSError:
        return  # as above; a disk that cannot be written to is reported when the corpus is written
