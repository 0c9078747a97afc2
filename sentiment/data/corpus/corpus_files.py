"""The files of a prepared corpus, streamed into a temporary folder that is renamed when it is complete."""

import errno
import json
import os
import platform
import shutil
import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from types import TracebackType
from typing import Any, NamedTuple, Self

import numpy as np
import numpy.typing as npt

from sentiment.data.corpus.corpus_report import CorpusReport
from sentiment.data.tables.rows import Row
from sentiment.errors import DataError
from sentiment.files import sha256_of, sync_folder, write_json
from sentiment.owner import process_lives
from sentiment.records import PARTS
from sentiment.run_dir import TWEETS_FILE

# Raise it whenever the same source and configuration would give other rows, tokens or files.
FORMAT_VERSION = 4

MANIFEST = "manifest.json"
TYPES = "types.txt"
TOKEN_IDS, OFFSETS, LABELS, PARTS_FILE = "token_ids.npy", "offsets.npy", "labels.npy", "parts.npy"
KEYS, AUTHORS, WITHHELD, WEIGHTS = "keys.npy", "authors.npy", "withheld.npy", "weights.npy"
ARRAYS = (TOKEN_IDS, OFFSETS, LABELS, PARTS_FILE, KEYS, AUTHORS, WITHHELD)
FILES = (*ARRAYS, WEIGHTS, TYPES, TWEETS_FILE)

_STALE_SECONDS = 24 * 3600


class RowArrays(NamedTuple):
    """What is known of rows, each array of shape (rows,)."""

    labels: npt.NDArray[np.int8]
    """0 or 1."""
    parts: npt.NDArray[np.int8]
    """Indices into PARTS and, behind these, the further test sets."""
    lengths: npt.NDArray[np.int64]
    """Tokens."""
    keys: npt.NDArray[np.int64]
    """Equal for the same tweet, see `split`."""
    authors: npt.NDArray[np.int64]
    """Equal for the same author."""
    weights: npt.NDArray[np.float32]
    """How often each counts in training."""


class Prepared(NamedTuple):
    """What a corpus has besides its rows."""

    types: Sequence[str]
    """The distinct tokens, in the order of their numbers."""
    withheld: npt.NDArray[np.int64]
    """Keys of tweets that are in no part since their text or author is held out."""
    report: CorpusReport


class CorpusWriter:
    """Writes rows into a folder as they come; only their `RowArrays` stay in memory.

    As a context manager, it closes all files on leaving.

    Args:
        tests: the names of further test sets.
    """

    def __init__(self, folder: Path, tests: Iterable[str]) -> None:
        import pyarrow as pa
        import pyarrow.parquet as pq

        self._folder = folder
        self._part_names = pa.array([*PARTS, *tests])
        fields = [("row", pa.int64()), ("id", pa.string()), ("part", pa.dictionary(pa.int8(), pa.string()))]
        fields += [("label", pa.int8()), ("text", pa.string()), ("tokens", pa.int32())]
        self._schema = pa.schema(fields)
        self._tweets = pq.ParquetWriter(folder / TWEETS_FILE, self._schema, compression="zstd")
        self._token_ids = open(folder / TOKEN_IDS, "wb")  # noqa: SIM115
        _write_header(self._token_ids, 0)
        self._arrays: list[RowArrays] = []
        self._rows = self._tokens = 0

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._tweets.close()
        self._token_ids.close()

    def add(self, rows: Sequence[Row], arrays: RowArrays, token_ids: npt.NDArray[np.int32]) -> None:
        """Append rows.

        Args:
            token_ids: (sum of lengths,) the token numbers of all rows, one after another.
        """
        import pyarrow as pa

        columns = [
            pa.array(np.arange(self._rows, self._rows + len(rows))),
            pa.array([row.id for row in rows], pa.string()),
            pa.DictionaryArray.from_arrays(pa.array(arrays.parts), self._part_names),
            pa.array(arrays.labels),
            pa.array([row.text for row in rows], pa.string()),
            pa.array(arrays.lengths.astype(np.int32)),
        ]
        self._tweets.write_table(pa.Table.from_arrays(columns, schema=self._schema))
        self._token_ids.write(token_ids.astype(np.int32, copy=False).tobytes())
        self._arrays.append(arrays)
        self._rows += len(rows)
        self._tokens += len(token_ids)

    def finish(self, prepared: Prepared, fingerprint: str) -> None:
        """Write the remaining files, the manifest last, and make all of them durable.

        Args:
            fingerprint: of the corpus; stored in the manifest.
        """
        self._tweets.close()
        self._token_ids.seek(0)
        _write_header(self._token_ids, self._tokens)
        self._token_ids.close()
        labels, parts, lengths, keys, authors, weights = map(np.concatenate, zip(*self._arrays, strict=True))
        named = {OFFSETS: np.concatenate([[0], np.cumsum(lengths)]), LABELS: labels, PARTS_FILE: parts}
        others = {KEYS: keys, AUTHORS: authors, WITHHELD: prepared.withheld, WEIGHTS: weights}
        for name, array in (named | others).items():
            np.save(self._folder / name, array)
        (self._folder / TYPES).write_bytes("".join(f"{token}\n" for token in prepared.types).encode())
        manifest = {
            "format_version": FORMAT_VERSION,
            "fingerprint": fingerprint,
            "report": prepared.report.model_dump(mode="json"),
            "files": {name: _describe(self._folder / name) for name in FILES},
        }
        write_json(self._folder / MANIFEST, manifest)


def read_manifest(folder: Path) -> dict[str, Any]:
    """The manifest of a corpus, after checking that all its files are there and have the right size.

    Files that are younger than the manifest are read and compared with their checksums.

    Raises:
        DataError: a file is missing or damaged; the message names it.
    """
    path = folder / MANIFEST
    try:
        manifest: dict[str, Any] = json.loads(path.read_bytes())
        version, files = manifest["format_version"], manifest["files"]
        sizes = {name: files[name]["bytes"] for name in FILES}
    except FileNotFoundError:
        raise DataError(f"{folder}: holds no prepared corpus") from None
    except (OSError, ValueError, TypeError, KeyError) as error:
        raise DataError(f"{path}: is damaged ({error}); delete {folder}") from None
    if version != FORMAT_VERSION:
        raise DataError(f"{path}: has format version {version}, this program reads {FORMAT_VERSION}")
    written = path.stat().st_mtime_ns  # after all other files
    for name, size in sizes.items():
        found = (folder / name).stat() if (folder / name).exists() else None
        if found is None or found.st_size != size:
            state = "is missing" if found is None else f"has {found.st_size:,} bytes instead of {size:,}"
            raise DataError(f"{folder / name}: {state}; delete {folder}")
        if found.st_mtime_ns > written and sha256_of(folder / name) != files[name].get("sha256"):
            raise DataError(f"{folder / name}: was changed since it was written (its SHA-256 differs); delete {folder}")
    return manifest


@contextmanager
def building_place(final: Path) -> Iterator[Path]:
    """A new folder beside `final`, which is renamed to `final` when the block succeeds and deleted when it fails.

    If another process has put the same corpus there in the meantime, that one stays. Folders that dead processes left
    behind are deleted.
    """
    final.parent.mkdir(parents=True, exist_ok=True)
    _clear_stale(final.parent)
    folder = final.with_name(f".{final.name}.{platform.node()}.{os.getpid()}.tmp")
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    try:
        yield folder
        sync_folder(folder)
        try:
            folder.rename(final)
        except OSError as error:
            if error.errno not in (errno.ENOTEMPTY, errno.EEXIST):
                raise
        sync_folder(final.parent)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def discard(folder: Path) -> None:
    """Delete a damaged corpus; it is renamed first, so that nobody opens a half-deleted one."""
    aside = folder.with_name(f".{folder.name}.{platform.node()}.{os.getpid()}.tmp")
    shutil.rmtree(aside, ignore_errors=True)
    with suppress(FileNotFoundError):
        folder.rename(aside)
    shutil.rmtree(aside, ignore_errors=True)


def _clear_stale(parent: Path) -> None:
    for folder in parent.glob(".*.tmp"):
        host, process = folder.name.split(".", 2)[2].removesuffix(".tmp").rpartition(".")[::2]
        try:
            is_old = time.time() - folder.stat().st_mtime > _STALE_SECONDS
        except FileNotFoundError:
            continue
        if (host == platform.node() and process.isdigit() and not process_lives(int(process))) or is_old:
            shutil.rmtree(folder, ignore_errors=True)


def _write_header(file: Any, length: int) -> None:
    """Write the header of a one-dimensional array; numpy pads it, so that its size is the same for any length."""
    np.lib.format.write_array_header_1_0(file, {"descr": "<i4", "fortran_order": False, "shape": (length,)})


def _describe(path: Path) -> dict[str, Any]:
    with open(path, "rb") as file:
        os.fsync(file.fileno())
    return {"bytes": path.stat().st_size, "sha256": sha256_of(path)}
