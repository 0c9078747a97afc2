"""The files of a prepared corpus, among them the report of what was read and left out."""

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

from sentiment.data.tables.rows import SPANNING, CountedLines, Row, RowCounter
from sentiment.errors import DataError
from sentiment.files import sha256_of, sync_folder, write_json
from sentiment.runs.attempts import process_lives
from sentiment.runs.records import PARTS, Part, Record
from sentiment.runs.run_dir import TWEETS_FILE

_REFUSED_AT_MOST = 0.05
# With fewer rows, other fractions would not help.
_FEW = 50
_ALWAYS_TOLERATED = 10
NO_TOKEN = "no token left"  # noqa: S105


class PartCount(Record):
    """The size of one part."""

    rows: int
    positive: int


class TestCount(Record):
    """A further test set; its tweets that are kept stand among the parts."""

    file: str
    """The table's name."""
    read: int
    """Rows."""


class ExtraCount(Record):
    """What became of the rows of one table for training alone; all are in the sums of the report as well."""

    name: str
    read: int
    kept: int
    held_out_texts: int
    """Left out since the validation part or a test part has the same tweet."""
    held_out_authors: int
    """Left out since the validation part or a test part has another tweet of the author."""
    unknown_authors: int
    """Kept, although an author of validation or test may have written them: one of the two authors is not known."""


class CorpusReport(Record):
    """What became of the rows: kept, duplicates, reserved, ignored, thinned, held out, in surplus and refused add up to
    `read`."""

    source: str
    tests: dict[str, TestCount]
    """By name."""
    read: int
    """Rows of the source, of further test sets and of tables for training alone."""
    kept: int
    duplicates: int
    """Rows that are the same tweet as an earlier row."""
    contradictory: int
    """Duplicates whose label differs from that of the row that was kept."""
    reserved: int
    """Training rows whose text or author is in a further test set."""
    tested_twice: int
    """Validation and test rows that a further test set has as well."""
    ignored: int
    """Rows with a label or a rating that the configuration leaves out."""
    thinned: int
    """Rows left out because of `max_rows`."""
    held_out: int
    """Rows for training alone whose text or author is in the validation part or a test part."""
    surplus: int
    """Training rows left out because of `train_rows`."""
    extra_train: tuple[ExtraCount, ...]
    refused: dict[str, CountedLines]
    """By reason."""
    spanning: CountedLines
    """Rows that span several lines, whatever became of them."""
    parts: dict[Part, PartCount]
    tokens: int
    types: int

    def render_lines(self) -> list[str]:
        """The report as lines of text for a terminal."""
        lines = [f"{self.source}: {self.read:,} rows read, {self.kept:,} kept"]
        lines += [f"  {count:,} {what}" for count, what in self._losses() if count]
        lines += [f"  {rows.count:,} refused: {reason} ({rows})" for reason, rows in self.refused.items()]
        if self.spanning.count:
            lines.append(f"  {self.spanning.count:,} {SPANNING} ({self.spanning}), as their quotes say")
        for extra in self.extra_train:
            lines.append(
                f"  {extra.name}: {extra.kept:,} of {extra.read:,} rows kept for training; of validation or test have "
                f"{extra.held_out_texts:,} the text and {extra.held_out_authors:,} the author, and left out"
            )
            if extra.unknown_authors:
                lines.append(
                    f"    {extra.unknown_authors:,} of the kept rows may be by authors of validation or test: one of "
                    "the tables does not name authors (columns.user)"
                )
        if self.tested_twice:
            lines.append(f"  {self.tested_twice:,} tweets of validation or test are in a further test set as well")
        for part, count in self.parts.items():
            of = f" of {self.tests[part].read:,} rows of {self.tests[part].file}" if part in self.tests else ""
            lines.append(f"  {part}: {count.rows:,} tweets{of}, {count.positive / count.rows:.1%} positive")
        lines.append(f"  {self.tokens:,} tokens of {self.types:,} types, {self.tokens / self.kept:.1f} per tweet")
        return lines

    def _losses(self) -> Iterable[tuple[int, str]]:
        yield self.duplicates, f"duplicates dropped, {self.contradictory:,} of them with the other label"
        yield self.reserved, "dropped from training since a further test set holds their text or author"
        yield self.ignored, "left out: neutral or ignored label"
        yield self.thinned, "left out by data.max_rows"
        yield self.held_out, "of data.extra_train dropped since validation or test hold their text or author"
        yield self.surplus, "left out by data.train_rows"


class ExtraTally:
    """Counts of one table for training alone, whose tweets have a weight there."""

    def __init__(self, name: str, weight: float) -> None:
        self.name, self.weight = name, weight
        self.read = self.kept = self.held_out_texts = self.held_out_authors = self.unknown_authors = 0

    def counted(self) -> ExtraCount:
        """The counts as a part of the report."""
        return ExtraCount(
            name=self.name,
            read=self.read,
            kept=self.kept,
            held_out_texts=self.held_out_texts,
            held_out_authors=self.held_out_authors,
            unknown_authors=self.unknown_authors,
        )


class Tally:
    """Counts while a corpus is prepared.

    Args:
        tests: the names of further test sets.
    """

    def __init__(self, tests: Iterable[str]) -> None:
        self._parts = (*PARTS, *tests)
        self.tests: dict[str, TestCount] = {}
        self.read = self.kept = self.duplicates = self.contradictory = 0
        self.reserved = self.ignored = self.thinned = self.surplus = self.tested_twice = self.tokens = 0
        self.extra_train: list[ExtraTally] = []
        self._refused, self._spanning = RowCounter(), RowCounter()
        self._rows = [0] * len(self._parts)
        self._positive = [0] * len(self._parts)

    def refuse(self, reason: str, line: int) -> None:
        """Count a row that cannot be used."""
        self._refused.add(reason, line)

    def span(self, line: int) -> None:
        """Count a row that spans several lines, besides what else becomes of it."""
        self._spanning.add(SPANNING, line)

    def keep(self, part: int, label: int, tokens: int) -> None:
        """Count a row that is used."""
        self.kept += 1
        self.tokens += tokens
        self._rows[part] += 1
        self._positive[part] += label

    def report(self, source: str, types: int) -> CorpusReport:
        """The counts as a report, after checking that the corpus can be used.

        Args:
            source: the source's name.
            types: number of distinct tokens.

        Raises:
            DataError: there is no row, too many were refused, or a part lacks positive or negative tweets.
        """
        if not self.read:
            raise DataError(f"{source}: holds no rows")
        self._check_refused(source)
        self._check_parts(source)
        return CorpusReport(
            source=source,
            tests=self.tests,
            read=self.read,
            kept=self.kept,
            duplicates=self.duplicates,
            contradictory=self.contradictory,
            reserved=self.reserved,
            tested_twice=self.tested_twice,
            ignored=self.ignored,
            thinned=self.thinned,
            held_out=sum(extra.held_out_texts + extra.held_out_authors for extra in self.extra_train),
            surplus=self.surplus,
            extra_train=tuple(extra.counted() for extra in self.extra_train),
            refused=self._refused.counted(),
            spanning=self._spanning.counted().get(SPANNING, CountedLines(count=0, lines=[])),
            parts={
                part: PartCount(rows=rows, positive=positive)
                for part, rows, positive in zip(self._parts, self._rows, self._positive, strict=True)
            },
            tokens=self.tokens,
            types=types,
        )

    def _check_refused(self, source: str) -> None:
        malformed = self._refused.total(apart_from=[NO_TOKEN])
        if malformed > max(_ALWAYS_TOLERATED, _REFUSED_AT_MOST * self.read):
            raise DataError(
                f"{source}: {malformed:,} of {self.read:,} rows are malformed, "
                f"more than {_REFUSED_AT_MOST:.0%}: {self._refused.most_common(apart_from=[NO_TOKEN])}"
            )

    def _check_parts(self, source: str) -> None:
        for part, rows, positive in zip(self._parts, self._rows, self._positive, strict=True):
            if part in self.tests:
                if not rows:
                    raise DataError(f"data.tests.{part}: {self.tests[part].file} has no usable row")
            elif not 0 < positive < rows:
                refused = f"; refused were {self._refused.most_common()}" if self._refused.total() else ""
                raise DataError(
                    f"{source}: the {part} part has {positive:,} positive and {rows - positive:,} negative tweets, "
                    f"but both are needed; {self.kept:,} of {self.read:,} rows are used{refused}: {self._advice()}"
                )

    def _advice(self) -> str:
        """What to do if a part lacks a label."""
        rows, positive = sum(self._rows), sum(self._positive)
        if rows and positive in (0, rows):
            found, lacking = ("positive", "negative") if positive else ("negative", "positive")
            return (
                f"all of them are {found}. If other values of the label column mean {lacking}, name them: "
                f"data.labels.{lacking} (--{lacking} VALUE)"
            )
        if rows < _FEW:
            return (
                "that is too few to train, choose and test on; some hundreds are needed for any conclusion. Tweets can "
                "also be predicted by a model that was trained on others"
            )
        fractions = "larger data.validation_fraction and data.test_fraction"
        return f"give more data, a larger data.max_rows or data.train_rows, or {fractions}"


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
