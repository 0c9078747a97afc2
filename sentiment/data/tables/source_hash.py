"""The hash of a source file, and whether its rows belong to it."""

import time
from collections.abc import Callable
from pathlib import Path

from sentiment.data.tables.lines import translated_errors
from sentiment.data.tables.rows import Rows
from sentiment.errors import DataError
from sentiment.files import sha256_of

# A file that was changed within the clock's last tick could change again without another time.
_SETTLED_NS = 2_000_000_000

_State = tuple[int, ...]
_hashes: dict[_State, str] = {}
"""Those of this process: the runs of a grid read the same files. Hashing takes a second for 1.8 GB, so that nothing
on disk has to be trusted instead."""


def source_sha256(path: Path) -> str:
    """The SHA-256 of a file, which is read unless this process has read it and it is unchanged.

    Raises:
        DataError: the file is missing or unreadable.
    """
    state = _state_of(path)
    if state in _hashes:
        return _hashes[state]
    with translated_errors(path):
        found = sha256_of(path)
    if time.time_ns() - max(state[-2:]) > _SETTLED_NS:
        _hashes[state] = found
    return found


class UnchangedFile:
    """A file as it is now, before it is hashed; tells whether rows that are read later belong to the hash.

    Raises:
        DataError: there is no such file.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._state = _state_of(path)

    def rows(self, read: Callable[[], Rows]) -> Rows:
        """The rows that `read` gives.

        Raises:
            DataError: the file is another one after they are read.
        """
        yield from read()
        if _state_of(self._path) != self._state:
            raise DataError(
                f"{self._path}: was changed while it was read; give the same command again when it is whole"
            )


def _state_of(path: Path) -> _State:
    """What changes with a file's content; unlike the time of modification, nobody can set that of the last change."""
    with translated_errors(path):
        found = path.stat()
    return found.st_dev, found.st_ino, found.st_size, found.st_mtime_ns, found.st_ctime_ns
