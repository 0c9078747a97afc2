"""A prepared corpus: tweets as token numbers in flat arrays on disk, named by a hash of what they were made from."""

import logging
from collections.abc import Sequence
from dataclasses import dataclass, replace
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
from pydantic import ValidationError

from sentiment import files
from sentiment.config import DataConfig, LabelledTable
from sentiment.console import Progress, silent
from sentiment.data.corpus import corpus_files
from sentiment.data.corpus.corpus_files import CorpusReport
from sentiment.data.data_source import OpenedSource, TweetFile
from sentiment.data.registry import open_source
from sentiment.errors import DataError
from sentiment.runs.attempts import patient_lock
from sentiment.runs.records import PARTS, Part
from sentiment.runs.run_dir import Results

if TYPE_CHECKING:
    from sentiment.data.corpus.preparation import Preparation

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Corpus:
    """Tweets that are ready for training; the arrays are memory-mapped from the files in `path`, read-only."""

    path: Path
    fingerprint: str
    """SHA-256 of what the corpus was made from; `path` is named after it."""
    types: Sequence[str]
    """The distinct tokens of all parts."""
    token_ids: npt.NDArray[np.int32]  # (tokens,), index into `types`
    offsets: npt.NDArray[np.int64]  # (rows + 1,), where each tweet begins and the last one ends
    labels: npt.NDArray[np.int8]  # (rows,), 0 negative, 1 positive
    parts: npt.NDArray[np.int8]  # (rows,), index into `part_names`
    keys: npt.NDArray[np.int64]  # (rows,), equal for the same tweet, see `split`
    authors: npt.NDArray[np.int64]  # (rows,), equal for the same author; split.UNKNOWN where none is known
    weights: npt.NDArray[np.float32]  # (rows,), how often each counts in training: `extra_train.weight`, else 1
    withheld: npt.NDArray[np.int64]  # (n,), keys of tweets that are in no part since their text or author is held out
    report: CorpusReport
    dataset: str = "table"
    """The name of the data set that the tweets belong to; of a corpus opened by its path it is not known."""

    @property
    def part_names(self) -> tuple[Part, ...]:
        """Training, validation and test part, then further test sets by their names."""
        return (*PARTS, *self.report.tests)

    def rows(self, part: Part) -> npt.NDArray[np.int64]:
        """The numbers of the rows in a part, in ascending order. Shape (rows in the part,)."""
        return np.flatnonzero(self.parts == self.part_names.index(part)).astype(np.int64)

    def lengths(self) -> npt.NDArray[np.int64]:
        """The number of tokens of each row, at least 1. Shape (rows,)."""
        return np.diff(self.offsets)

    def tokens(self, row: int) -> list[str]:
        """The tokens of the tweet in one row."""
        return [self.types[number] for number in self.token_ids[self.offsets[row] : self.offsets[row + 1]]]


def prepare_corpus(
    config: DataConfig, results: Results, progress: Progress | None = None, workers: int | None = None
) -> Corpus:
    """The corpus of a configuration: from the cache if the same was asked for before, otherwise prepared now.

    It can be interrupted at any time, and several processes may call it at once: a corpus is either complete or not
    there, one process prepares it, and the others wait.

    Args:
        progress: told how many rows are prepared; None shows nothing.
        workers: number of processes; None takes the cores that this process may use. The result does not depend on it.

    Raises:
        DataError: the source cannot be used, or the corpus cannot be written.
        DownloadError: the source could not be fetched.
        ConfigError: the source lacks a configured column.
    """
    source = open_source(config, results)
    fingerprint = _fingerprint(config, source)
    final = results.corpus_dir(fingerprint)
    progress = progress or silent
    if corpus := _open_if_whole(final, source):
        return corpus
    try:
        lock_file = results.corpus_lock(fingerprint)
        lock_file.parent.mkdir(parents=True, exist_ok=True)
        with patient_lock(lock_file, "prepares the same tweets", lambda who: progress(who, 0, None)):
            try:
                return _open_from(final, source)  # another process may have prepared it meanwhile
            except DataError as error:
                if final.exists():
                    _log.warning("%s; preparing it again", error)
                    corpus_files.discard(final)
            with (
                corpus_files.building_place(final) as folder,
                corpus_files.CorpusWriter(folder, source.tests) as writer,
            ):
                preparation = _new_preparation(config, source, results, writer, progress)
                writer.finish(preparation.run(workers), fingerprint)
    except OSError as error:
        raise DataError(f"{final}: the corpus cannot be written: {error}") from error
    return _open_from(final, source)


def find_corpus(config: DataConfig, results: Results) -> Corpus | None:
    """The corpus of a configuration if it is prepared and whole, otherwise None; nothing is prepared.

    Raises:
        DataError: the source cannot be used.
    """
    source = open_source(config, results)
    return _open_if_whole(results.corpus_dir(_fingerprint(config, source)), source)


def corpus_fingerprint(config: DataConfig, results: Results) -> str:
    """The fingerprint that the corpus of a configuration would have now; nothing is prepared.

    Raises:
        DataError: the source cannot be used.
    """
    return _fingerprint(config, open_source(config, results))


def open_corpus(path: Path) -> Corpus:
    """Open a prepared corpus; its files have the right sizes, and all of their numbers refer to something.

    Raises:
        DataError: there is none, or a file is missing or damaged.
    """
    manifest = corpus_files.read_manifest(path)
    try:
        arrays = {name: np.load(path / name, mmap_mode="r") for name in corpus_files.ARRAYS}
        report = CorpusReport.model_validate(manifest["report"])
        weights = np.load(path / corpus_files.WEIGHTS, mmap_mode="r")
        types = (path / corpus_files.TYPES).read_bytes().decode().split("\n")[:-1]
        fingerprint = str(manifest["fingerprint"])
        _check_numbers(arrays, len(types), len(PARTS) + len(report.tests))
        if weights.shape != arrays[corpus_files.LABELS].shape or not ((weights > 0) & np.isfinite(weights)).all():
            raise ValueError(f"{corpus_files.WEIGHTS} does not hold a number above 0 for each row")
    except (OSError, ValueError, KeyError, ValidationError) as error:
        raise DataError(f"{path}: is damaged ({error}); delete it") from None
    return Corpus(
        path=path,
        fingerprint=fingerprint,
        types=types,
        token_ids=arrays[corpus_files.TOKEN_IDS],
        offsets=arrays[corpus_files.OFFSETS],
        labels=arrays[corpus_files.LABELS],
        parts=arrays[corpus_files.PARTS_FILE],
        keys=arrays[corpus_files.KEYS],
        authors=arrays[corpus_files.AUTHORS],
        weights=weights,
        withheld=arrays[corpus_files.WITHHELD],
        report=report,
    )


def _check_numbers(arrays: dict[str, npt.NDArray[Any]], types: int, part_count: int) -> None:
    """Refuse arrays with which training would fail or silently read other tweets.

    Raises:
        ValueError: says what is wrong.
    """
    token_ids, offsets, labels, parts, keys, authors, _ = (arrays[name] for name in corpus_files.ARRAYS)
    if any(array.ndim != 1 or array.dtype.kind != "i" for array in arrays.values()):
        raise ValueError("an array has not one dimension of whole numbers")
    if not len(offsets) - 1 == len(labels) == len(parts) == len(keys) == len(authors) > 0:
        raise ValueError("the arrays have different lengths")
    if offsets[0] != 0 or offsets[-1] != len(token_ids) or not (np.diff(offsets) > 0).all():
        raise ValueError(f"{corpus_files.OFFSETS} does not rise from 0 to {len(token_ids):,}")
    for name, array, bound in (("labels", labels, 2), ("parts", parts, part_count), ("token_ids", token_ids, types)):
        if array.min() < 0 or array.max() >= bound:
            raise ValueError(f"{name} holds a number that is not from 0 to {bound - 1:,}")


def _open_from(path: Path, source: OpenedSource) -> Corpus:
    """The corpus at `path`, with the names of the data set and of the files that were asked for.

    Those in the manifest are of the first file with this content, since any number of files may have the same.
    """
    corpus = open_corpus(path)
    tests = {
        name: count.model_copy(update={"file": source.tests[name].name}) for name, count in corpus.report.tests.items()
    }
    pairs = zip(corpus.report.extra_train, source.extra_train, strict=True)
    extra = tuple(count.model_copy(update={"name": file.name}) for count, file in pairs)
    names = {"source": source.main.name, "tests": tests, "extra_train": extra}
    report = corpus.report.model_copy(update=names)
    rows = report.read - sum(count.read for count in extra) - sum(count.read for count in tests.values())
    return replace(corpus, dataset=source.dataset_of(rows), report=report)


def _open_if_whole(path: Path, source: OpenedSource) -> Corpus | None:
    try:
        return _open_from(path, source)
    except DataError:  # there is none, or it has to be prepared again
        return None


def _fingerprint(config: DataConfig, source: OpenedSource) -> str:
    tables = config.foreign_tests
    identity = {
        "format_version": corpus_files.FORMAT_VERSION,
        "nltk": metadata.version("nltk"),
        "config": config.model_dump(mode="json", exclude={"source", "tests", "vocabulary", "extra_train"}),
        "source": _identity(source.main),
        "tests": {name: _identity(file, tables.get(name)) for name, file in source.tests.items()},
        "extra_train": [_identity(*one) for one in zip(source.extra_train, config.extra_train, strict=True)],
    }
    return files.fingerprint(identity)


def _identity(file: TweetFile, table: LabelledTable | None = None) -> list[Any]:
    """What the rows of a file depend on, wherever it lies."""
    return [file.form, file.sha256, table and table.model_dump(mode="json", exclude={"path"})]


def _new_preparation(
    config: DataConfig, source: OpenedSource, results: Results, writer: corpus_files.CorpusWriter, progress: Progress
) -> "Preparation":
    from sentiment.data.corpus.preparation import Preparation  # pyarrow and nltk, which a cached corpus does not need

    train_bound = 1.0
    if config.train_rows is not None:
        whole = prepare_corpus(config.model_copy(update={"train_rows": None}), results, progress)
        train_bound = _bound_of(whole, config.train_rows)
    return Preparation(config, source, writer, progress, train_bound)


def _bound_of(corpus: Corpus, train_rows: int) -> float:
    """The thinning number below which that many training rows are; smaller numbers give rows of larger ones."""
    from sentiment.data.corpus.split import thinning_of

    numbers = np.sort(thinning_of(corpus.keys[corpus.rows("train")]))
    return float(numbers[train_rows]) if train_rows < len(numbers) else 1.0
