"""The SHA-256 of a source file, remembered until the file changes, so that opening a prepared corpus reads no data."""

import json
import time
from pathlib import Path
from typing import Any

from sentiment.data.tables.lines import translated_errors
from sentiment.files import sha256_of, write_json
from sentiment.run_dir import Results

# A file that was changed within the clock's last tick could change again without another modification time.
_SETTLED_NS = 2_000_000_000


def source_sha256(path: Path, results: Results) -> str:
    """The SHA-256 of a file; the remembered one if path, size and modification time are unchanged.

    Raises:
        DataError: the file is missing or unreadable.
    """
    with translated_errors(path):
        path = path.resolve(strict=True)
        before = path.stat()
        entry = {"size": before.st_size, "mtime_ns": before.st_mtime_ns}
        memory = results.root / "data" / "source_hashes.json"
        known = _read(memory)
        found = known.get(str(path))
        if isinstance(found, dict) and found.items() >= entry.items() and isinstance(found.get("sha256"), str):
            return str(found["sha256"])
        sha256 = sha256_of(path)
    if time.time_ns() - before.st_mtime_ns > _SETTLED_NS:
        _remember(memory, known | {str(path): entry | {"sha256": sha256}})
    return sha256


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
