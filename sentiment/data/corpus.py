"""A corpus: cleaned, tokenised, deduplicated and split tweets of all files, stored on disk as flat arrays of token ids,
in a folder that is named by a hash of the files and the configuration.
"""

import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from sentiment.config import PARTS, DataConfig, LabelledTable
from sentiment.console import Progress, silent
from sentiment.data.preparation import ARRAYS, Demands, Preparation
from sentiment.data.sources import OpenedSource, TweetFile, cached_sha256, open_source
from sentiment.data.text import Floats, Integers, Rows, TokenRows, tokenizer_fingerprint, uniform_of
from sentiment.errors import DataError, RunDirError
from sentiment.files import fingerprint, make_folder_once, sha256_of, write_atomically
from sentiment.runs.corpus_records import MANIFEST, CorpusReport, Manifest
from sentiment.runs.locks import ProcessLock
from sentiment.runs.records import Part
from sentiment.runs.run_dir import TWEETS_FILE, Results, read_record, sealed

# Increase it whenever the same source and configuration would give other rows, tokens or files.
FORMAT_VERSION = 12
TYPES = "types.txt"
FILES = (*(f"{name}.npy" for name in ARRAYS), TYPES, TWEETS_FILE)


@dataclass(frozen=True)
class Corpus(TokenRows):
    """Tweets ready for training; the arrays are memory-mapped from the files in `path`, read-only."""

    path: Path
    fingerprint: str  # SHA-256 of what the corpus was made from; `path` is named after it
    dataset: str  # name of the data set; "table" if the corpus was opened by path
    report: CorpusReport
    labels: npt.NDArray[np.int8]  # (rows,) index into `report.classes`
    parts: npt.NDArray[np.int8]  # (rows,) index into `part_names`
    keys: Integers  # (rows,) equal for the same tweet, see `TweetForms`
    beginnings: npt.NDArray[np.uint32]  # (rows,) as `beginning_of` gives them
    authors: Integers  # (rows,) equal for the same author; UNKNOWN_AUTHOR if unknown
    weights: Floats  # (rows,) sample weights: `extra_train.weight`, otherwise 1
    withheld: Integers  # (n,) keys of the tweets dropped from training because their text or author is held out

    is_balanced: bool = False  # whether `weights` give all classes of the training part the same weight
    is_english: bool = True  # whether the English word ratings and lexicon fit the tweets

    @property
    def baselines_file(self) -> Path:
        # Increase it when `baseline`, `ngrams` or `lexicon` of `sentiment.models` changes: old caches are ignored.
        variant = "-balanced" * self.is_balanced + "-unrated" * (not self.is_english)
        return self.path / f"baselines-8{variant}.npz"

    def balanced(self) -> "Corpus":
        """The corpus with weights that give all classes of the training part the same total weight."""
        train = self.rows("train")
        totals = np.bincount(self.labels[train], self.weights[train], self.class_count)
        factors = totals.sum() / (self.class_count * np.where(totals > 0, totals, 1))  # no training tweet: any factor
        weights = (self.weights * factors[self.labels]).astype(np.float32)
        return replace(self, weights=weights, is_balanced=True)

    def with_test_as_train(self) -> "Corpus":
        """The corpus with the tweets of the test part in the training part, for a model that is not tested.

        So are the validation tweets of classes that are too rare to have a training tweet.
        """
        train, test = (self.part_names.index(part) for part in ("train", "test"))
        parts = np.where(self.parts == test, train, self.parts).astype(np.int8)
        is_trained = np.isin(self.labels, self.labels[parts == train])
        return replace(self, parts=np.where(is_trained, parts, train).astype(np.int8))

    @property
    def part_names(self) -> tuple[Part, ...]:
        return (*PARTS, *self.report.tests)

    @property
    def class_count(self) -> int:
        return len(self.report.classes)

    def texts(self) -> Any:
        """The texts of all tweets as they were read, a pyarrow array."""
        import pyarrow.parquet as pq

        return pq.read_table(self.path / TWEETS_FILE, columns=["text"])["text"]

    def rows(self, part: Part) -> Rows:
        """The indices of the rows in a part, in ascending order."""
        return np.flatnonzero(self.parts == self.part_names.index(part)).astype(np.int64)


def prepare_corpus(
    config: DataConfig, results: Results, progress: Progress = silent, demands: Demands | None = None
) -> Corpus:
    """The corpus of a configuration: from the cache if it exists, otherwise prepared now.

    It can be interrupted at any time, and several processes may call it at once: a corpus is either complete or
    absent, and the first complete one stays. On one host one process prepares it and the others wait.

    Args:
        demands: what its rows must be like; None: what a run demands.

    Raises:
        DataError, DownloadError, ConfigError: the source cannot be used, fetched, or lacks a configured column.
    """
    source = open_source(config, results)
    digest = _fingerprint(config, source)
    path = results.corpus_dir(digest)

    def make(folder: Path) -> None:
        surplus: set[int] = set()
        if config.train_rows is not None:
            surplus = _surplus(
                prepare_corpus(without_train_rows(config), results, progress, demands), config.train_rows
            )
        preparation = Preparation(config, source, surplus, demands or Demands(), progress)
        write_corpus(folder, digest, *preparation.run(folder / TWEETS_FILE))

    make_folder(path, make, results.corpus_lock(digest), "prepares the same tweets", progress)
    return open_corpus(path, source.dataset)


def make_folder(
    folder: Path, make: Callable[[Path], object], lock_file: Path, activity: str, progress: Progress
) -> None:
    """Make a folder unless it exists: one process on this host does, and the others wait for it.

    Raises:
        DataError: it cannot be written.
    """
    try:
        lock_file.parent.mkdir(parents=True, exist_ok=True)
        make_folder_once(folder, make, ProcessLock(lock_file, activity, progress))
    except OSError as error:
        raise DataError(f"{folder}: cannot be written: {error}") from error


def without_train_rows(config: DataConfig) -> DataConfig:
    """The data with all training tweets: those of which `train_rows` are chosen, and word vectors are learned."""
    return config.model_copy(update={"train_rows": None})


def _surplus(corpus: Corpus, train_rows: int) -> set[int]:
    """The keys of all but `train_rows` training tweets, which a hash of their texts chooses: subsets are nested."""
    keys = corpus.keys[corpus.rows("train")].tolist()
    return set(sorted(keys, key=uniform_of)[train_rows:])


def find_corpus(config: DataConfig, results: Results) -> Corpus | None:
    """The corpus of a configuration if it has been prepared, otherwise None."""
    source = open_source(config, results)
    path = results.corpus_dir(_fingerprint(config, source))
    return open_corpus(path, source.dataset) if path.exists() else None


def corpus_fingerprint(config: DataConfig, results: Results) -> str:
    """Fingerprint of the corpus that a configuration would produce now, without preparing it."""
    return _fingerprint(config, open_source(config, results))


def _fingerprint(config: DataConfig, source: OpenedSource) -> str:
    def identity(file: TweetFile, table: LabelledTable | None = None) -> list[Any]:
        return [file.format, file.sha256, table and table.model_dump(mode="json", exclude={"path"})]

    tables = config.external_tests
    return fingerprint(
        {
            "format_version": FORMAT_VERSION,
            "tokenizer": tokenizer_fingerprint(),
            "config": config.model_dump(mode="json", exclude={"source", "tests", "vocabulary", "extra_train"}),
            "source": identity(source.main),
            "tests": {name: identity(file, tables.get(name)) for name, file in source.tests.items()},
            "extra_train": list(map(identity, source.extra_train, config.extra_train)),
        }
    )


def open_corpus(path: Path, dataset: str = "table") -> Corpus:
    """Open a prepared corpus of the data set called `dataset`.

    Raises:
        DataError: there is none, or a file is missing or has changed since it was written.
    """
    if not path.exists():
        raise DataError(f"{path}: holds no prepared corpus")
    try:
        manifest = read_record(path / MANIFEST, Manifest)
        if manifest is None:
            raise DataError(f"{MANIFEST} is missing")
        for name in FILES:
            if cached_sha256(path / name) != manifest.sha256[name]:
                raise DataError(f"{name} has changed since it was written")
        arrays = {name: np.load(path / f"{name}.npy", mmap_mode="r") for name in ARRAYS}
        types = (path / TYPES).read_bytes().decode().split("\n")[:-1]
    except (DataError, RunDirError) as error:
        raise DataError(f"{path}: is damaged ({error}); delete it, and the next run prepares it again") from None
    return Corpus(
        path=path, fingerprint=manifest.fingerprint, dataset=dataset, report=manifest.report, types=types, **arrays
    )


def write_corpus(
    folder: Path, digest: str, arrays: dict[str, npt.NDArray[Any]], types: Sequence[str], report: CorpusReport
) -> None:
    """Write and fsync all files except the tweets'; the manifest is written last."""
    for name, array in arrays.items():
        np.save(folder / f"{name}.npy", array)
    (folder / TYPES).write_bytes("".join(f"{token}\n" for token in types).encode())
    for name in FILES:
        with open(folder / name, "rb") as file:
            os.fsync(file.fileno())
    digests = {name: sha256_of(folder / name) for name in FILES}
    write_atomically(folder / MANIFEST, sealed(Manifest(fingerprint=digest, report=report, sha256=digests)))
