"""A corpus: cleaned, tokenised, deduplicated and split tweets of all files, stored on disk as flat arrays of token ids,
in a folder that is named by a hash of its content.

Which corpus the source and the configuration give is on record, by the code that made it: other code makes it again,
and mostly the same one, so that nothing is lost that belongs to it.
"""

import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from sentiment.config import PARTS, DataConfig, LabelledTable, Values
from sentiment.console import Progress, silent
from sentiment.data.classes import ClassWeights
from sentiment.data.preparation import ARRAYS, Preparation, PreparedTweets
from sentiment.data.sources import OpenedSource, TweetFile, cached_sha256, open_source
from sentiment.data.text import tokenizer_fingerprint, uniform_of
from sentiment.errors import DataError, RunDirError
from sentiment.files import fingerprint, make_folder, sha256_of, write_atomically
from sentiment.runs.code_version import code_of
from sentiment.runs.corpus_records import MANIFEST, CorpusReport, MadeCorpus, Manifest
from sentiment.runs.locks import Lock
from sentiment.runs.records import Part
from sentiment.runs.run_dir import TWEETS_FILE, Results, read_record, sealed
from sentiment.tokens import Floats, Integers, Rows, TokenRows

TYPES = "types.txt"
FILES = (*(f"{name}.npy" for name in ARRAYS), TYPES, TWEETS_FILE)


@dataclass(frozen=True)
class Corpus(TokenRows):
    """Tweets ready for training; the arrays are memory-mapped from the files in `path`, read-only."""

    path: Path
    fingerprint: str  # SHA-256 of the content; `path` is named after it
    dataset: str  # name of the data set; "table" if the corpus was opened by path
    report: CorpusReport
    labels: npt.NDArray[np.int8]  # (rows,) index into `report.classes`
    parts: npt.NDArray[np.int8]  # (rows,) index into `part_names`
    keys: Integers  # (rows,) equal for the same tweet, see `TweetForms`
    beginnings: npt.NDArray[np.uint32]  # (rows,) as `beginning_of` gives them
    authors: Integers  # (rows,) equal for the same author; UNKNOWN_AUTHOR if unknown
    weights: Floats  # (rows,) sample weights: `extra_train.weight`, otherwise 1

    source_fingerprint: str = ""  # of what it was made from, see the function
    is_balanced: bool = False  # whether `weights` give all classes of the training part the same weight
    is_english: bool = True  # whether the English word ratings and lexicon fit the tweets

    @property
    def baselines_file(self) -> Path:
        code = code_of("sentiment.models.baseline")[:8]
        variant = "-balanced" * self.is_balanced + "-unrated" * (not self.is_english)
        return self.path / f"baselines-{code}{variant}.npz"

    def weighted(self, class_weights: ClassWeights) -> "Corpus":
        """The corpus with weights that, if so configured, give all classes of training the same total weight."""
        train = self.rows("train")
        factors = class_factors(self.labels[train], self.weights[train], self.class_count, class_weights)
        if factors is None:
            return self
        return replace(self, weights=(self.weights * factors[self.labels]).astype(np.float32), is_balanced=True)

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


# A class is rare if it has less than this part of an even share of the training tweets.
_RARE = 0.5


def class_factors(
    labels: npt.NDArray[np.int8], weights: Floats, class_count: int, class_weights: ClassWeights
) -> npt.NDArray[np.float64] | None:
    """The factor of each class, (classes,), by which the weights of training tweets are multiplied; None: they are not.

    On tweets to airlines and on those of SemEval, of which the rarest class has 16 % of three, factors raise the macro
    recall of the baseline by four points, and that of a network by two to four; accuracy falls by one.
    """
    counts = np.bincount(labels, minlength=class_count)
    is_rare = counts.min() < _RARE * len(labels) / class_count
    if class_weights == "none" or (class_weights == "auto" and not is_rare):
        return None
    totals = np.bincount(labels, weights, class_count)
    return np.asarray(totals.sum() / (class_count * np.where(totals > 0, totals, 1)))  # no training tweet: any factor


def prepare_corpus(config: DataConfig, results: Results, progress: Progress = silent, is_fit: bool = False) -> Corpus:
    """The corpus of a configuration: from the cache if it exists, otherwise prepared now.

    It can be interrupted at any time, and several processes may call it at once: a corpus is either complete or
    absent, and the first complete one stays. One process prepares it, and the others read it then.

    Args:
        is_fit: as in `Preparation`.

    Raises:
        DataError, DownloadError, ConfigError: the source cannot be used, fetched, or lacks a configured column.
    """
    source = open_source(config, results)
    identity = fingerprint(_identity(config, source))
    record = _record_of(identity, results)

    def make(folder: Path) -> Path:
        surplus: set[int] = set()
        if config.train_rows is not None:
            surplus = _surplus(prepare_corpus(without_train_rows(config), results, progress, is_fit), config.train_rows)
        preparation = Preparation(config, source, surplus, progress, is_fit)
        return results.corpus_dir(write_corpus(folder, preparation.run(folder / TWEETS_FILE)))

    path = _made(record, results)
    if path is None:
        with alone(record.with_suffix(".lock"), results.corpora, "prepares the same tweets", progress):
            path = _made(record, results)  # by another process, in the meantime
            if path is None:
                path = make_folder(results.corpora, make)
                made = MadeCorpus(fingerprint=open_corpus(path).fingerprint)
                write_atomically(record, sealed(made))
    return replace(open_corpus(path, source.dataset), source_fingerprint=identity)


@contextmanager
def alone(lock_file: Path, folder: Path, activity: str, progress: Progress) -> Iterator[None]:
    """Do something that writes to a folder while no other process does it.

    Raises:
        DataError: the folder cannot be written.
    """
    try:
        lock_file.parent.mkdir(parents=True, exist_ok=True)
        with Lock(lock_file, activity, progress):
            yield
    except OSError as error:
        raise DataError(f"{folder}: cannot be written: {error}") from error


def _record_of(identity: str, results: Results) -> Path:
    return results.made_from(fingerprint([identity, code_of(__name__)]))


def _made(record: Path, results: Results) -> Path | None:
    """The folder of the corpus that a record names, if both are there; a damaged record is written again."""
    with suppress(RunDirError):
        made = read_record(record, MadeCorpus)
        if made and results.corpus_dir(made.fingerprint).exists():
            return results.corpus_dir(made.fingerprint)
    return None


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
    path = _made(_record_of(fingerprint(_identity(config, source)), results), results)
    return open_corpus(path, source.dataset) if path else None


def source_fingerprint(config: DataConfig, results: Results) -> str:
    """SHA-256 of the files and the settings that a corpus would be made of now, whatever the code."""
    return fingerprint(_identity(config, open_source(config, results)))


def _identity(config: DataConfig, source: OpenedSource) -> Values:
    def identity(file: TweetFile, table: LabelledTable | None = None) -> list[Any]:
        return [file.format, file.sha256, table and table.model_dump(mode="json", exclude={"path"})]

    tables = config.external_tests
    return {
        "tokenizer": tokenizer_fingerprint(),
        "config": config.model_dump(mode="json", exclude={"source", "tests", "vocabulary", "extra_train"}),
        "source": identity(source.main),
        "tests": {name: identity(file, tables.get(name)) for name, file in source.tests.items()},
        "extra_train": list(map(identity, source.extra_train, config.extra_train)),
    }


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


def write_corpus(folder: Path, content: PreparedTweets) -> str:
    """Write and fsync all files except the tweets', which are there; the manifest is written last.

    Returns:
        The fingerprint of the corpus.
    """
    for name, array in content.arrays.items():
        np.save(folder / f"{name}.npy", array)
    (folder / TYPES).write_bytes("".join(f"{token}\n" for token in content.types).encode())
    for name in FILES:
        with open(folder / name, "rb") as file:
            os.fsync(file.fileno())
    digests = {name: sha256_of(folder / name) for name in FILES}
    # Not the bytes of the tweets' file, which another version of pyarrow may write otherwise, nor the report's words.
    hashed = digests | {TWEETS_FILE: content.sha256_of_tweets}
    counts = content.report.model_dump(
        mode="json", include={"classes", "tests", "extra_train", "read", "kept", "table_sha256"}
    )
    digest = fingerprint([hashed, counts])
    write_atomically(folder / MANIFEST, sealed(Manifest(fingerprint=digest, report=content.report, sha256=digests)))
    return digest
