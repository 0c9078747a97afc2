"""The files of a cache of ELMo vectors.

A folder has a table of types in shards (`types-00000.npy`: one context-free vector per type, float32) and shards of one
or both LSTM layers (`first-00000.npy`, `top-00000.npy`: one row per token, float16). A shard is complete when its
record (`first-00000.json`) has been written; when all shards of a part are, one file (`first.json`) replaces their
records.
"""

import contextlib
import hashlib
import json
import os
import shutil
import socket
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO, Literal, get_args

import numpy as np
import numpy.typing as npt

from sentiment.elmo.cache.plan import CachePlan, Span
from sentiment.elmo.products import LIBRARIES, Library
from sentiment.errors import ElmoError
from sentiment.files import sha256_of, write_atomically, write_json

# Raise this when the same corpus and model would give other vectors or files.
FORMAT_VERSION = 1

CachePart = Literal["types", "first", "top"]
PARTS: tuple[CachePart, ...] = get_args(CachePart)

_PLAN_FILE = "plan.json"
_PLAN_ARRAYS = ("tweet_of_row", "offsets", "token_types")


@dataclass(frozen=True)
class CacheFolder:
    """The folder of one cache; `part` says what the vectors of a file belong to."""

    path: Path

    def claim_file(self, part: CachePart, shard: int) -> Path:
        """The lock of the process that computes a shard; the layers of the same tweets have one in common."""
        return self.path / "claims" / f"{'types' if part == 'types' else 'tweets'}-{shard:05d}"

    def shard_file(self, part: CachePart, shard: int) -> Path:
        """The array with the vectors of some types or tokens."""
        return self.path / f"{part}-{shard:05d}.npy"

    def part_file(self, part: CachePart) -> Path:
        """The records of all shards of a complete part."""
        return self.path / f"{part}.json"

    def library(self) -> Library | None:
        """Which one multiplies the matrices for all vectors of the cache; None before its first process decided it."""
        chosen = {path.name for path in self._library_folder.glob("*")}
        return next((library for library in LIBRARIES if library in chosen), None)

    def settle_library(self, library: Library) -> None:
        """Decide which library multiplies the matrices, unless another process has done so.

        Raises:
            OSError: the disk cannot be written.
        """
        self.claim_file("types", 0).parent.mkdir(parents=True, exist_ok=True)
        if self.library() is not None:
            return
        proposal = self.path / "claims" / f"products.{socket.gethostname()}.{os.getpid()}"
        proposal.mkdir(exist_ok=True)
        (proposal / library).touch()
        with contextlib.suppress(OSError):
            # Only the first of several processes on any hosts succeeds: a folder replaces no folder that has a file.
            proposal.rename(self._library_folder)
        shutil.rmtree(proposal, ignore_errors=True)
        if self.library() is None:
            raise OSError(f"{self._library_folder} cannot be made")

    @property
    def _library_folder(self) -> Path:
        return self.path / "products"

    def write_plan(self, plan: CachePlan, identity: dict[str, Any]) -> None:
        """Make the folder and write its plan; several processes may do so at once, since all write the same.

        Raises:
            OSError: the disk cannot be written.
        """
        self.claim_file("types", 0).parent.mkdir(parents=True, exist_ok=True)
        for name in _PLAN_ARRAYS:
            _write_array(self.path / f"{name}.npy", getattr(plan, name))
        write_json(self.path / _PLAN_FILE, identity | {"types": plan.types})

    def read_plan(self) -> CachePlan | None:
        """The plan, its arrays as read-only memory maps; None unless it has been written completely.

        Raises:
            ElmoError: the plan is damaged.
        """
        try:
            types = json.loads((self.path / _PLAN_FILE).read_bytes())["types"]
            arrays = {name: np.load(self.path / f"{name}.npy", mmap_mode="r") for name in _PLAN_ARRAYS}
            plan = CachePlan(**arrays, types=types)
            plan.check()
        except FileNotFoundError:
            return None
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise ElmoError(f"{self.path}: the plan of the cache is damaged ({error}); delete the folder") from None
        return plan

    def write_shard(self, part: CachePart, shard: int, vectors: npt.NDArray[Any], notes: dict[str, float]) -> None:
        """Write a shard and then its record.

        Args:
            vectors: (types or tokens, values).
            notes: further entries of the record.

        Raises:
            OSError: the disk cannot be written; no half-written shard is left.
        """
        path = self.shard_file(part, shard)
        record = {"sha256": _write_array(path, vectors), **_stamp(path), **notes}
        write_json(self._record_file(part, shard), record)

    def record(self, part: CachePart, shard: int) -> dict[str, Any] | None:
        """The record of a shard: its SHA-256, size, modification time and notes; None if the shard is not complete."""
        record = self._written_record(part, shard)
        with contextlib.suppress(FileNotFoundError):
            if record and self.shard_file(part, shard).stat().st_size == record["size"]:
                return record
        return None

    def _written_record(self, part: CachePart, shard: int) -> dict[str, Any] | None:
        """The record of a shard whatever its file is now; None if the shard has not been written completely."""
        record = self._records(part).get(str(shard))
        if record is None:
            try:
                record = _read_json(self._record_file(part, shard))
            except FileNotFoundError:  # not written, or just put together with those of the other shards
                record = self._records(part).get(str(shard))
        if record is None:
            return None
        if not _is_record(record):
            raise ElmoError(f"{self.part_file(part)}: has no valid record of shard {shard}; {_AGAIN}")
        return record

    def complete(self, part: CachePart, shards: int) -> None:
        """Replace the records of a part by one file; all of its shards must be complete."""
        records = {str(shard): self.record(part, shard) for shard in range(shards)}
        if records != self._records(part):
            write_json(self.part_file(part), records)
        for shard in range(shards):
            self._record_file(part, shard).unlink(missing_ok=True)
            self.claim_file(part, shard).unlink(missing_ok=True)

    def damaged(self, part: CachePart, shards: int, suspicious_only: bool) -> list[int]:
        """Numbers of the shards whose content is not what was written; not of those that are missing or in work.

        Args:
            shards: how many the part has.
            suspicious_only: read only files whose size or modification time has changed.
        """
        found = []
        for shard in range(shards):
            record, path = self._written_record(part, shard), self.shard_file(part, shard)
            if record is None or not path.exists():
                continue
            unchanged = _stamp(path).items() <= record.items()
            if not (suspicious_only and unchanged) and sha256_of(path) != record["sha256"]:
                found.append(shard)
        return found

    def discard(self, part: CachePart, shard: int) -> None:
        """Delete a shard."""
        self.shard_file(part, shard).unlink(missing_ok=True)
        self._record_file(part, shard).unlink(missing_ok=True)

    def remove_leftovers(self) -> None:
        """Delete temporary files of writers that were killed; only when all parts in work are complete."""
        for path in self.path.glob(".*.tmp"):
            path.unlink(missing_ok=True)

    def read(self, part: CachePart, shard: int) -> np.memmap[Any, Any]:
        """A read-only memory map of a shard.

        Raises:
            ElmoError: the shard is missing or is no array.
        """
        path = self.shard_file(part, shard)
        try:
            array: np.memmap[Any, Any] = np.load(path, mmap_mode="r")
        except (OSError, ValueError) as error:
            raise ElmoError(f"{path}: cannot be read ({error}); {_AGAIN}") from None
        return array

    def _record_file(self, part: CachePart, shard: int) -> Path:
        return self.path / f"{part}-{shard:05d}.json"

    def _records(self, part: CachePart) -> dict[str, Any]:
        return _read_json(self.part_file(part)) if self.part_file(part).exists() else {}


_AGAIN = "delete it, and the same command computes it again"


def _write_array(path: Path, array: npt.NDArray[Any]) -> str:
    """Write an array as numpy does; returns the SHA-256 of the file."""
    digest = hashlib.sha256()
    write_atomically(path, lambda file: np.lib.format.write_array(_Hashed(file, digest), array))
    return digest.hexdigest()


class _Hashed:
    """A file that hashes what is written to it."""

    def __init__(self, file: BinaryIO, digest: "hashlib._Hash") -> None:
        self._file, self._digest = file, digest

    def write(self, data: bytes) -> int:
        self._digest.update(data)
        return self._file.write(data)


def spans_of(plan: CachePlan, part: CachePart) -> list[Span]:
    """The range of types or tweets in each shard of a part."""
    return plan.type_spans if part == "types" else plan.tweet_spans


def _stamp(path: Path) -> dict[str, int]:
    status = path.stat()
    return {"size": status.st_size, "mtime_ns": status.st_mtime_ns}


def _read_json(path: Path) -> dict[str, Any]:
    try:
        value = json.loads(path.read_bytes())
    except (ValueError, RecursionError) as error:
        raise ElmoError(f"{path}: is damaged ({error}); {_AGAIN}") from None
    if not isinstance(value, dict):
        raise ElmoError(f"{path}: is damaged (no JSON object); {_AGAIN}")
    return value


def _is_record(record: Any) -> bool:
    return isinstance(record, dict) and isinstance(record.get("size"), int) and isinstance(record.get("sha256"), str)
