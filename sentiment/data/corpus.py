"""A corpus: cleaned, tokenised, deduplicated and split tweets of all files, stored on disk as flat arrays of token ids,
in a folder that is named by a hash of the files and the configuration.
"""

import json
import os
import shutil
import time
import uuid
from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from importlib import metadata
from itertools import chain, count
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import numpy.typing as npt

from sentiment.config import PARTS, DataConfig, LabelledTable
from sentiment.console import Progress, silent
from sentiment.data.sources import OpenedSource, TweetFile, open_source
from sentiment.data.tables import CountedRows, Row, RowCounter, without_collections
from sentiment.data.text import (
    UNKNOWN_AUTHOR,
    Tokenizer,
    TokenRows,
    TweetForms,
    author_form,
    author_key,
    key_of,
    stable_unit,
    unit_of,
)
from sentiment.data.text_files import Refusal
from sentiment.errors import DataError
from sentiment.files import FolderEntry, fingerprint, sync_folder, write_json
from sentiment.runs.locks import ProcessLock
from sentiment.runs.records import Part, Record
from sentiment.runs.run_dir import TWEETS_FILE, Results

if TYPE_CHECKING:
    import pyarrow.parquet as pq

# Increase it whenever the same source and configuration would give other rows, tokens or files.
FORMAT_VERSION = 7
# `offsets` are lengths until all rows are known.
_ARRAY_TYPES = {
    "token_ids": np.int32,
    "offsets": np.int64,
    "labels": np.int8,
    "parts": np.int8,
    "keys": np.int64,
    "authors": np.int64,
    "weights": np.float32,
}
ARRAYS = (*_ARRAY_TYPES, "withheld")
MANIFEST, TYPES = "manifest.json", "types.txt"
FILES = (*(f"{name}.npy" for name in ARRAYS), TYPES, TWEETS_FILE)
_STALE_SECONDS = 24 * 3600

# The code of a row's part is an index into PARTS; additional test sets follow, sorted by name.
TRAIN, VALIDATION, TEST = range(len(PARTS))


def part_code(author: str, form: str, config: DataConfig) -> int:
    """TRAIN, VALIDATION or TEST, by hash of the author, or of the text if the author is unknown.

    So all tweets of an author are in one part. With folds each author, or text, is tested in exactly one fold.

    Args:
        author: normalised name; empty if unknown.
        form: normalised text.
    """
    group = author or form
    kind = "user" if author else "text"
    folds = config.folds
    if folds is None:
        unit = stable_unit(group, kind)
        if unit < config.test_fraction:
            return TEST
        return VALIDATION if unit < config.test_fraction + config.validation_fraction else TRAIN
    if int(stable_unit(group, f"{kind}, folds") * folds) + 1 == config.fold:
        return TEST
    share_of_remaining = config.validation_fraction * folds / (folds - 1)
    unit = stable_unit(group, f"{kind}, validation of fold {config.fold}")
    return VALIDATION if unit < share_of_remaining else TRAIN


# Reasons to drop a valid row.
DUPLICATE = "duplicates dropped"
CONTRADICTION = "duplicates dropped that have the opposite label"
RESERVED = "dropped from training because their text or author is in an external test set"
IGNORED = "left out: neutral or ignored label"
HELD_OUT = "rows of data.extra_train dropped because their text or author is in validation or test"
SURPLUS = "left out by data.train_rows"
NO_TOKEN = "left out: no token left"  # noqa: S105


class PartCount(Record):
    """Number of tweets of one part, and how many of them are positive."""

    rows: int
    positive: int


class TableCount(Record):
    """Numbers of read and kept rows of an additional table."""

    file: str
    read: int
    kept: int  # in its test set, or in the training part


class CorpusReport(Record):
    """Row counts: kept + left out + refused = read."""

    source: str
    tests: dict[str, TableCount]
    extra_train: tuple[TableCount, ...]
    read: int  # of the source and of all additional tables
    kept: int
    left_out: dict[str, int]  # by the reason, such as DUPLICATE
    refused: dict[str, CountedRows]
    parts: dict[Part, PartCount]
    tokens: int
    types: int

    def render_lines(self) -> list[str]:
        lines = [f"{self.source}: {self.read:,} rows read, {self.kept:,} kept"]
        lines += [f"  {count:,} {reason}" for reason, count in self.left_out.items()]
        lines += [f"  {rows.count:,} refused: {reason} ({rows})" for reason, rows in self.refused.items()]
        for extra in self.extra_train:
            lines.append(f"  {extra.file}: {extra.kept:,} of {extra.read:,} rows kept for training")
        for part, rows in self.parts.items():
            table = f" of {self.tests[part].read:,} rows of {self.tests[part].file}" if part in self.tests else ""
            lines.append(f"  {part}: {rows.rows:,} tweets{table}, {rows.positive / rows.rows:.1%} positive")
        lines.append(f"  {self.tokens:,} tokens of {self.types:,} types, {self.tokens / self.kept:.1f} per tweet")
        return lines


@dataclass(frozen=True)
class Corpus(TokenRows):
    """Tweets ready for training; the arrays are memory-mapped from the files in `path`, read-only."""

    path: Path
    fingerprint: str  # SHA-256 of what the corpus was made from; `path` is named after it
    dataset: str  # name of the data set; "table" if the corpus was opened by path
    report: CorpusReport
    labels: npt.NDArray[np.int8]  # (rows,) 0 negative, 1 positive
    parts: npt.NDArray[np.int8]  # (rows,) index into `part_names`
    keys: npt.NDArray[np.int64]  # (rows,) equal for the same tweet, see `TweetForms`
    authors: npt.NDArray[np.int64]  # (rows,) equal for the same author; UNKNOWN_AUTHOR if unknown
    weights: npt.NDArray[np.float32]  # (rows,) sample weights: `extra_train.weight`, otherwise 1
    withheld: npt.NDArray[np.int64]  # (n,) keys of the tweets dropped because their text or author is held out

    # Increase the number when `sentiment.models.baseline` changes, so that old caches are ignored.
    baselines_file = FolderEntry("baselines-5.npz")

    @property
    def part_names(self) -> tuple[Part, ...]:
        return (*PARTS, *self.report.tests)

    def rows(self, part: Part) -> npt.NDArray[np.int64]:
        """The numbers of the rows in a part, in ascending order."""
        return np.flatnonzero(self.parts == self.part_names.index(part)).astype(np.int64)

    def lengths(self) -> npt.NDArray[np.int64]:
        """The number of tokens of each row, at least 1."""
        return np.diff(self.offsets)


def prepare_corpus(config: DataConfig, results: Results, progress: Progress = silent) -> Corpus:
    """The corpus of a configuration: from the cache if it exists, otherwise prepared now.

    It can be interrupted at any time, and several processes may call it at once: a corpus is either complete or
    absent, and the first complete one stays. On one host one process prepares it and the others wait.

    Raises:
        DataError, DownloadError, ConfigError: the source cannot be used, fetched, or lacks a configured column.
    """
    source = open_source(config, results)
    digest = _fingerprint(config, source)
    final, lock_file = results.corpus_dir(digest), results.corpus_lock(digest)
    try:
        if not final.exists():
            lock_file.parent.mkdir(parents=True, exist_ok=True)
            with ProcessLock(lock_file, "prepares the same tweets", progress):
                if not final.exists():  # another process may have prepared it meanwhile
                    bound = _train_bound(config, results, progress)
                    with building_place(final) as folder:
                        made = Preparation(config, source, progress, bound).run(folder / TWEETS_FILE)
                        write_corpus(folder, digest, *made)
    except OSError as error:
        raise DataError(f"{final}: the corpus cannot be written: {error}") from error
    return _open_from(final, source)


def _train_bound(config: DataConfig, results: Results, progress: Progress) -> float:
    """Threshold such that exactly `train_rows` training rows have `unit_of(key)` below it; subsets are nested."""
    if config.train_rows is None:
        return 1.0
    whole = prepare_corpus(config.model_copy(update={"train_rows": None}), results, progress)
    numbers = sorted(map(unit_of, whole.keys[whole.rows("train")].tolist()))
    return numbers[config.train_rows] if config.train_rows < len(numbers) else 1.0


def find_corpus(config: DataConfig, results: Results) -> Corpus | None:
    """The corpus of a configuration if it has been prepared, otherwise None."""
    source = open_source(config, results)
    final = results.corpus_dir(_fingerprint(config, source))
    return _open_from(final, source) if final.exists() else None


def corpus_fingerprint(config: DataConfig, results: Results) -> str:
    """Fingerprint of the corpus that a configuration would produce now, without preparing it."""
    return _fingerprint(config, open_source(config, results))


def _fingerprint(config: DataConfig, source: OpenedSource) -> str:
    def identity(file: TweetFile, table: LabelledTable | None = None) -> list[Any]:
        return [file.form, file.sha256, table and table.model_dump(mode="json", exclude={"path"})]

    tables = config.external_tests
    return fingerprint(
        {
            "format_version": FORMAT_VERSION,
            "nltk": metadata.version("nltk"),
            "config": config.model_dump(mode="json", exclude={"source", "tests", "vocabulary", "extra_train"}),
            "source": identity(source.main),
            "tests": {name: identity(file, tables.get(name)) for name, file in source.tests.items()},
            "extra_train": [identity(*one) for one in zip(source.extra_train, config.extra_train, strict=True)],
        }
    )


def open_corpus(path: Path) -> Corpus:
    """Open a prepared corpus.

    Raises:
        DataError: there is none, or a file is missing, has the wrong size or holds values out of range.
    """
    if not path.exists():
        raise DataError(f"{path}: holds no prepared corpus")
    try:
        manifest = json.loads((path / MANIFEST).read_bytes())
        for name in FILES:
            if (size := (path / name).stat().st_size) != manifest["files"][name]:
                raise ValueError(f"{name} has {size:,} bytes instead of {manifest['files'][name]:,}")
        report = CorpusReport.model_validate(manifest["report"])
        arrays = {name: np.load(path / f"{name}.npy", mmap_mode="r") for name in ARRAYS}
        types = (path / TYPES).read_bytes().decode().split("\n")[:-1]
        bounds = {"labels": 2, "parts": len(PARTS) + len(report.tests), "token_ids": len(types)}
        for name, bound in (bounds | {"offsets": len(arrays["token_ids"]) + 1}).items():
            if wrong := [one for one in (arrays[name].min(), arrays[name].max()) if not 0 <= one < bound]:
                raise ValueError(f"{name}.npy holds {wrong[0]}, which is not from 0 to {bound - 1}")
        digest = str(manifest["fingerprint"])
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise DataError(f"{path}: is damaged ({error}); delete it, and the next run prepares it again") from None
    return Corpus(path=path, fingerprint=digest, dataset="table", report=report, types=types, **arrays)


def _open_from(path: Path, source: OpenedSource) -> Corpus:
    """Open a corpus with the file names of this configuration; its manifest has the names used when it was prepared."""
    corpus = open_corpus(path)
    tests, extra = corpus.report.tests, zip(corpus.report.extra_train, source.extra_train, strict=True)
    names = {
        "source": source.main.name,
        "tests": {name: count.model_copy(update={"file": source.tests[name].name}) for name, count in tests.items()},
        "extra_train": tuple(count.model_copy(update={"file": file.name}) for count, file in extra),
    }
    return replace(corpus, dataset=source.dataset, report=corpus.report.model_copy(update=names))


def write_corpus(
    folder: Path, digest: str, arrays: dict[str, npt.NDArray[Any]], types: Sequence[str], report: CorpusReport
) -> None:
    """Write and fsync all files except the tweets'; the manifest is written last."""
    for name, array in arrays.items():
        np.save(folder / f"{name}.npy", array)
    (folder / TYPES).write_bytes("".join(f"{token}\n" for token in types).encode())
    sizes = {}
    for name in FILES:
        with open(folder / name, "rb") as file:
            os.fsync(file.fileno())
        sizes[name] = (folder / name).stat().st_size
    write_json(folder / MANIFEST, {"fingerprint": digest, "report": report.model_dump(mode="json"), "files": sizes})


@contextmanager
def building_place(final: Path) -> Iterator[Path]:
    """A new folder beside `final`, which is renamed to `final` when the block succeeds and deleted when it fails.

    If another host has put the same corpus there in the meantime, that one stays. What killed processes left behind is
    deleted after a day.
    """
    final.parent.mkdir(parents=True, exist_ok=True)
    for leftover in final.parent.glob(".*.tmp"):
        with suppress(FileNotFoundError):  # another process may have put it in place by now
            if time.time() - leftover.stat().st_mtime > _STALE_SECONDS:
                shutil.rmtree(leftover, ignore_errors=True)
    folder = final.with_name(f".{final.name}.{uuid.uuid4().hex[:8]}.tmp")
    folder.mkdir()
    try:
        yield folder
        sync_folder(folder)
        try:
            folder.rename(final)
        except OSError:
            if not final.exists():
                raise
        sync_folder(final.parent)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


_CHUNK_ROWS = 4096  # processed at once
_MAX_REFUSED_SHARE = 0.05
_ALWAYS_TOLERATED = 10
# Origin of a row: name of a test set, index of an extra training table, or None for the source.
_Origin = str | int | None


class _Tweet(NamedTuple):
    """A labelled row."""

    row: Row
    tokens: list[str]
    key: int
    author: int
    part: int


class Preparation:
    """Prepares the rows of a source; training rows with `unit_of(key) >= train_bound` are dropped."""

    def __init__(self, config: DataConfig, source: OpenedSource, progress: Progress, train_bound: float) -> None:
        self._config, self._source = config, source
        self._progress, self._train_bound = progress, train_bound
        self._tokenizer = Tokenizer(config.text)
        self._forms = TweetForms(beside=self._tokenizer)
        self._part_names = (*PARTS, *source.tests)
        # Held-out tweets and authors: those of external test sets and, if extra training tables are read, of validation
        # and test: within one table the split itself separates authors and copies.
        self._held_out: set[int] = set()
        self._held_out_authors: set[int] = set()
        self._withheld: set[int] = set()
        # Labels of the tweets seen so far, by key: one dict per external test set, and one (None) for all other files.
        self._seen: dict[str | None, dict[int, int]] = defaultdict(dict)
        self._index = defaultdict[str, int](count().__next__)  # token id of each type
        self._pieces: dict[str, list[npt.NDArray[Any]]] = {name: [np.zeros(0, of)] for name, of in _ARRAY_TYPES.items()}
        self._counts: dict[_Origin, Counter[str]] = defaultdict(Counter)
        self._left_out: Counter[str] = Counter()
        self._refused = RowCounter()

    @without_collections()
    def run(self, tweets_file: Path) -> tuple[dict[str, npt.NDArray[Any]], list[str], CorpusReport]:
        """Read, tokenise and write all rows; no text stays in memory.

        Returns:
            The arrays of the corpus by name, the types in the order of their ids, and the row counts.
        """
        import pyarrow as pa
        import pyarrow.parquet as pq

        columns = {"row": pa.int64(), "id": pa.string(), "part": pa.dictionary(pa.int8(), pa.string())}
        columns |= {"label": pa.int8(), "text": pa.string(), "tokens": pa.int32()}
        with pq.ParquetWriter(tweets_file, pa.schema(columns), compression="zstd") as writer:
            # Read test sets first and extra training tables last, when all held-out tweets are known.
            tests, main, extra = self._source.tests.items(), (None, self._source.main), self._source.extra_train
            for origin, file in (*tests, main, *enumerate(extra)):
                self._read(file, origin, writer)
        name, read = self._source.main.name, sum(count["read"] for count in self._counts.values())
        if not read:
            raise DataError(f"{name}: holds no rows")
        malformed = self._refused.total()
        if malformed > max(_ALWAYS_TOLERATED, _MAX_REFUSED_SHARE * read):
            raise DataError(
                f"{name}: {malformed:,} of {read:,} rows are malformed, more than {_MAX_REFUSED_SHARE:.0%}: "
                f"{self._refused.most_common()}; fix or delete them"
            )
        arrays = {name: np.concatenate(pieces) for name, pieces in self._pieces.items()}
        arrays["offsets"] = np.concatenate([[0], np.cumsum(arrays["offsets"])])
        arrays["withheld"] = np.array(sorted(self._withheld), np.int64)
        return arrays, list(self._index), self._report(arrays, read)

    def _read(self, file: TweetFile, origin: _Origin, writer: "pq.ParquetWriter") -> None:
        name = origin if isinstance(origin, str) else file.name
        rows: list[Row] = []
        number = 0
        for number, row in enumerate(file.read(), start=1):
            if isinstance(row, Refusal):
                self._refused.add(row.reason if origin is None else f"{name}: {row.reason}", row.line)
            elif row.label is None:
                self._left_out[IGNORED] += 1
            else:
                rows.append(row)
            if len(rows) == _CHUNK_ROWS:
                self._write_kept_rows(rows, origin, writer)
                rows = []
                self._progress(f"preparing {Path(name).name}", number, file.total)
        self._write_kept_rows(rows, origin, writer)
        self._counts[origin]["read"] = number
        self._progress(f"preparing {Path(name).name}", number, number)

    def _write_kept_rows(self, rows: list[Row], origin: _Origin, writer: "pq.ParquetWriter") -> None:
        """Assign token ids to the rows that are kept, and write them."""
        import pyarrow as pa

        kept = [tweet for tweet in self._tokenize_and_split(rows, origin) if self._is_kept(origin, tweet)]
        columns: dict[str, Sequence[Any]] = {
            "token_ids": list(map(self._index.__getitem__, chain.from_iterable(tweet.tokens for tweet in kept))),
            "offsets": [len(tweet.tokens) for tweet in kept],
            "labels": [tweet.row.label for tweet in kept],
            "parts": [tweet.part for tweet in kept],
            "keys": [tweet.key for tweet in kept],
            "authors": [tweet.author for tweet in kept],
            "weights": [self._config.extra_train[origin].weight if isinstance(origin, int) else 1] * len(kept),
        }
        written = sum(map(len, self._pieces["labels"]))
        for name, values in columns.items():
            self._pieces[name].append(np.array(values, _ARRAY_TYPES[name]))
        columns |= {
            "row": range(written, written + len(kept)),
            "id": [tweet.row.id for tweet in kept],
            "part": pa.DictionaryArray.from_arrays(pa.array(columns["parts"], pa.int8()), self._part_names),
            "label": columns["labels"],
            "text": [tweet.row.text for tweet in kept],
            "tokens": columns["offsets"],
        }
        if kept:
            writer.write_table(pa.table({name: columns[name] for name in writer.schema.names}, writer.schema))

    def _tokenize_and_split(self, rows: Sequence[Row], origin: _Origin) -> list[_Tweet]:
        part = TRAIN if isinstance(origin, int) else self._part_names.index(origin) if origin else None
        tokens = [self._tokenizer(row.text) for row in rows]
        forms = [self._forms.of(row.text, of_row) for row, of_row in zip(rows, tokens, strict=True)]
        users, keys = [author_form(row.user) for row in rows], list(map(key_of, forms))
        parts = [part_code(*one, self._config) if part is None else part for one in zip(users, forms, strict=True)]
        return list(map(_Tweet, rows, tokens, keys, map(author_key, users), parts))

    def _is_kept(self, origin: _Origin, tweet: _Tweet) -> bool:
        """Whether to keep a row. Validation and test rows depend only on earlier rows of the main table."""
        left_out, seen = self._left_out, self._seen[origin if isinstance(origin, str) else None]
        row, _, key, author, part = tweet
        extra, label = isinstance(origin, int), row.label or 0
        # Record the key even if the row is dropped: otherwise a copy by another author could enter another part.
        is_copy, first = key in seen, seen.setdefault(key, label)
        if not tweet.tokens:
            left_out[NO_TOKEN] += 1
        elif is_copy and not (extra and key in self._held_out):
            left_out[DUPLICATE if first == label else CONTRADICTION] += 1
        elif part == TRAIN and (key in self._held_out or author in self._held_out_authors):
            self._withheld.add(key)
            left_out[HELD_OUT if extra else RESERVED] += 1
        elif part == TRAIN and unit_of(key) >= self._train_bound:
            left_out[SURPLUS] += 1
        else:
            self._counts[origin]["kept"] += 1
            if isinstance(origin, str) or (part != TRAIN and self._source.extra_train):
                self._held_out.add(key)
                self._held_out_authors |= {author} - {UNKNOWN_AUTHOR}
            return True
        return False

    def _report(self, arrays: dict[str, npt.NDArray[Any]], read: int) -> CorpusReport:
        parts = {}
        for code, part in enumerate(self._part_names):
            labels = arrays["labels"][arrays["parts"] == code]
            parts[part] = PartCount(rows=len(labels), positive=int(labels.sum()))
            if part not in PARTS and not len(labels):
                raise DataError(f"data.tests.{part}: {self._source.tests[part].name} has no usable row")
            if part in PARTS and not 0 < labels.sum() < len(labels):
                refused = f"; refused were {self._refused.most_common()}" if self._refused.total() else ""
                raise DataError(
                    f"{self._source.main.name}: the {part} part has {labels.sum():,} positive and "
                    f"{len(labels) - labels.sum():,} negative tweets, but both are needed; {len(arrays['labels']):,} "
                    f"of {read:,} rows are used{refused}: name all values of the label column (data.labels.positive, "
                    "--positive VALUE; the same for negative), or give more tweets (some hundreds are needed for any "
                    "conclusion), larger fractions for validation and test, or a larger data.train_rows"
                )
        return CorpusReport(
            source=self._source.main.name,
            tests={name: self._count(name, file) for name, file in self._source.tests.items()},
            extra_train=tuple(self._count(*one) for one in enumerate(self._source.extra_train)),
            read=read,
            kept=len(arrays["labels"]),
            left_out=dict(self._left_out),
            refused=self._refused.counted(),
            parts=parts,
            tokens=len(arrays["token_ids"]),
            types=len(self._index),
        )

    def _count(self, origin: str | int, file: TweetFile) -> TableCount:
        return TableCount(file=file.name, read=self._counts[origin]["read"], kept=self._counts[origin]["kept"])
