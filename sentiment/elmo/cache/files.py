"""The files of a cache of ELMo vectors: shards that are complete or not there, and what is remembered of each.

A folder has a table of types (`types-00000.npy`, one context-free vector per type, float32) and shards of one or both
LSTM layers (`first-00000.npy`, `top-00000.npy`: one row per token). A shard counts when its record stands beside it;
when all shards of a part are there, one file (`first.json`) takes the place of their records.
"""

import contextlib
import hashlib
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO, Literal, get_args

import numpy as np
import numpy.typing as npt

from sentiment.elmo.cache.plan import CachePlan, Span
from sentiment.errors import ElmoError
from sentiment.files import sha256_of, write_atomically, write_json

# To be raised whenever the same corpus and model would give other vectors or files.
FORMAT_VERSION = 1

CachePart = Literal["types", "first", "top"]
PARTS: tuple[CachePart, ...] = get_args(CachePart)

_PLAN_FILE = "plan.json"
_PLAN_ARRAYS = ("tweet_of_row", "offsets", "token_types")


@dataclass(frozen=True)
class CacheFolder:
    """A cache of one corpus and one model; `part` says of what a file holds vectors."""

    path: Path

    def claim_file(self, part: CachePart, shard: int) -> Path:
        """Held by the process that computes a shard; for all layers of the same tweets it is one."""
        return self.path / "claims" / f"{'types' if part == 'types' else 'tweets'}-{shard:05d}"

    def shard_file(self, part: CachePart, shard: int) -> Path:
        """An array of the vectors of some types or tokens."""
        return self.path / f"{part}-{shard:05d}.npy"

    def part_file(self, part: CachePart) -> Path:
        """Records of all shards of a part, written when the last one is there."""
        return self.path / f"{part}.json"

    def write_plan(self, plan: CachePlan, identity: dict[str, Any]) -> None:
        """Make the folder and write what the shards rest on; several processes may do so, since all write the same."""
        self.claim_file("types", 0).parent.mkdir(parents=True, exist_ok=True)
        for name in _PLAN_ARRAYS:
            _write_array(self.path / f"{name}.npy", getattr(plan, name))
        write_json(self.path / _PLAN_FILE, identity | {"types": plan.types})

    def read_plan(self) -> CachePlan | None:
        """The plan, its arrays as read-only maps; None before it is written (completely).

        Raises:
            ElmoError: it is damaged.
        """
        try:
            types = json.loads((self.path / _PLAN_FILE).read_bytes())["types"]
            arrays = {name: np.load(self.path / f"{name}.npy", mmap_mode="r") for name in _PLAN_ARRAYS}
        except FileNotFoundError:
            return None
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise ElmoError(f"{self.path}: the plan of the cache is damaged ({error}); delete the folder") from None
        return CachePlan(**arrays, types=types)

    def write_shard(self, part: CachePart, shard: int, vectors: npt.NDArray[Any], notes: dict[str, float]) -> None:
        """Write a shard and then its record.

        Args:
            notes: what else to remember of it.

        Raises:
            OSError: the disk refuses; a part of a shard is never left.
        """
        path = self.shard_file(part, shard)
        record = {"sha256": _write_array(path, vectors), **_stamp(path), **notes}
        write_json(self._record_file(part, shard), record)

    def record(self, part: CachePart, shard: int) -> dict[str, Any] | None:
        """What is remembered of a shard; None unless it is there in full size."""
        with contextlib.suppress(FileNotFoundError):
            record: dict[str, Any] | None = self._records(part).get(str(shard))
            if record is None:
                record = _read_json(self._record_file(part, shard))
            if self.shard_file(part, shard).stat().st_size == record["size"]:
                return record
        return None

    def complete(self, part: CachePart, shards: int) -> None:
        """Put one file in the place of the records of a part, all of whose shards are there."""
        records = {str(shard): self.record(part, shard) for shard in range(shards)}
        if records != self._records(part):
            write_json(self.part_file(part), records)
        for shard in range(shards):
            self._record_file(part, shard).unlink(missing_ok=True)
            self.claim_file(part, shard).unlink(missing_ok=True)

    def damaged(self, part: CachePart, shards: int, suspicious_only: bool) -> list[int]:
        """Shards whose content is not what was written.

        Args:
            suspicious_only: read only files whose size or time of change is not that after writing.
        """
        found = []
        for shard in range(shards):
            record, path = self.record(part, shard), self.shard_file(part, shard)
            unchanged = record is not None and _stamp(path).items() <= record.items()
            if not (suspicious_only and unchanged) and (record is None or sha256_of(path) != record["sha256"]):
                found.append(shard)
        return found

    def discard(self, part: CachePart, shard: int) -> None:
        """Forget a shard."""
        self.shard_file(part, shard).unlink(missing_ok=True)
        self._record_file(part, shard).unlink(missing_ok=True)

    def remove_leftovers(self) -> None:
        """Delete temporary files of writers that were killed; to be called when all is complete."""
        for path in self.path.glob(".*.tmp"):
            path.unlink(missing_ok=True)

    def read(self, part: CachePart, shard: int) -> npt.NDArray[Any]:
        """A read-only map of a shard.

        Raises:
            ElmoError: it is missing or no array.
        """
        path = self.shard_file(part, shard)
        try:
            array: npt.NDArray[Any] = np.load(path, mmap_mode="r")
        except (OSError, ValueError) as error:
            raise ElmoError(f"{path}: cannot be read ({error}); {AGAIN}") from None
        return array

    def _record_file(self, part: CachePart, shard: int) -> Path:
        return self.path / f"{part}-{shard:05d}.json"

    def _records(self, part: CachePart) -> dict[str, Any]:
        return _read_json(self.part_file(part)) if self.part_file(part).exists() else {}


AGAIN = "delete it, and the same command computes it again"


def _write_array(path: Path, array: npt.NDArray[Any]) -> str:
    """Write an array as numpy does; the SHA-256 of the file."""
    digest = hashlib.sha256()
    write_atomically(path, lambda file: np.lib.format.write_array(_Hashed(file, digest), array))
    return digest.hexdigest()


class _Hashed:
    """Passes on what is written, and hashes it."""

    def __init__(self, file: BinaryIO, digest: "hashlib._Hash") -> None:
        self._file, self._digest = file, digest

    def write(self, data: bytes) -> int:
        self._digest.update(data)
        return self._file.write(data)


def spans_of(plan: CachePlan, part: CachePart) -> list[Span]:
    """First and last + 1 of the types or tweets in each shard of a part."""
    return plan.type_spans if part == "types" else plan.tweet_spans


def _stamp(path: Path) -> dict[str, int]:
    status = path.stat()
    return {"size": status.st_size, "mtime_ns": status.st_mtime_ns}


def _read_json(path: Path) -> dict[str, Any]:
    try:
        value: dict[str, Any] = json.loads(path.read_bytes())
    except ValueError as error:
        raise ElmoError(f"{path}: is damaged ({error}); {AGAIN}") from None
    return value
