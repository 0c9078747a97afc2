"""A prepared corpus: tweets as token numbers in flat arrays on disk, named by a hash of what they were made from."""

import json
import os
import shutil
import time
import uuid
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from importlib import metadata
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from sentiment.config import DataConfig, LabelledTable
from sentiment.console import Progress, silent
from sentiment.data.preparation import ARRAYS, CorpusReport, Preparation
from sentiment.data.sources import OpenedSource, TweetFile, open_source
from sentiment.data.text import thinning_of
from sentiment.errors import DataError
from sentiment.files import fingerprint, sync_folder, write_json
from sentiment.runs.attempts import ProcessLock
from sentiment.runs.records import PARTS, Part
from sentiment.runs.run_dir import TWEETS_FILE, Results

# Raise it whenever the same source and configuration would give other rows, tokens or files.
FORMAT_VERSION = 5
MANIFEST, TYPES = "manifest.json", "types.txt"
FILES = (*(f"{name}.npy" for name in ARRAYS), TYPES, TWEETS_FILE)
_STALE_SECONDS = 24 * 3600


@dataclass(frozen=True)
class Corpus:
    """Tweets that are ready for training; the arrays are memory-mapped from the files in `path`, read-only.

    Attributes:
        fingerprint: SHA-256 of what the corpus was made from; `path` is named after it.
        dataset: the name of the data set that the tweets belong to; of a corpus opened by its path it is not known.
        types: the distinct tokens of all parts.
        token_ids: (tokens,) index into `types`.
        offsets: (rows + 1,) where each tweet begins and the last one ends.
        labels: (rows,) 0 negative, 1 positive.
        parts: (rows,) index into `part_names`.
        keys: (rows,) equal for the same tweet, see `TweetForms`.
        authors: (rows,) equal for the same author; UNKNOWN where none is known.
        weights: (rows,) how often each counts in training: `extra_train.weight`, else 1.
        withheld: (n,) keys of tweets that are in no part since their text or author is held out.
    """

    path: Path
    fingerprint: str
    dataset: str
    report: CorpusReport
    types: Sequence[str]
    token_ids: npt.NDArray[np.int32]
    offsets: npt.NDArray[np.int64]
    labels: npt.NDArray[np.int8]
    parts: npt.NDArray[np.int8]
    keys: npt.NDArray[np.int64]
    authors: npt.NDArray[np.int64]
    weights: npt.NDArray[np.float32]
    withheld: npt.NDArray[np.int64]

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
        return [self.types[number] for number in self.token_ids[self.offsets[row] : self.offsets[row + 1]]]


def prepare_corpus(
    config: DataConfig, results: Results, progress: Progress = silent, workers: int | None = None
) -> Corpus:
    """The corpus of a configuration: from the cache if the same was asked for before, otherwise prepared now.

    It can be interrupted at any time, and several processes may call it at once: a corpus is either complete or not
    there, and the first one that is complete stays. On one host one process prepares it, and the others wait.

    Args:
        progress: told how many rows are prepared.
        workers: number of processes; None takes the cores that this process may use. The result does not depend on it.

    Raises:
        DataError: the source cannot be used, the corpus cannot be written, or one that is there is damaged.
        DownloadError: the source could not be fetched.
        ConfigError: the source lacks a configured column.
    """
    source = open_source(config, results)
    known = _fingerprint(config, source)
    final, lock_file = results.corpus_dir(known), results.corpus_lock(known)
    if final.exists():
        return _open_from(final, source)
    try:
        lock_file.parent.mkdir(parents=True, exist_ok=True)
        with ProcessLock(lock_file, "prepares the same tweets", progress):
            if not final.exists():  # another process may have prepared it meanwhile
                bound = _train_bound(config, results, progress)
                with building_place(final) as folder:
                    made = Preparation(config, source, progress, bound).run(folder / TWEETS_FILE, workers)
                    write_corpus(folder, known, *made)
    except OSError as error:
        raise DataError(f"{final}: the corpus cannot be written: {error}") from error
    return _open_from(final, source)


def _train_bound(config: DataConfig, results: Results, progress: Progress) -> float:
    """The thinning number below which `train_rows` training rows are; smaller numbers give rows of larger ones."""
    if config.train_rows is None:
        return 1.0
    whole = prepare_corpus(config.model_copy(update={"train_rows": None}), results, progress)
    numbers = np.sort(thinning_of(whole.keys[whole.rows("train")]))
    return float(numbers[config.train_rows]) if config.train_rows < len(numbers) else 1.0


def find_corpus(config: DataConfig, results: Results) -> Corpus | None:
    """The corpus of a configuration if it is prepared, otherwise None; nothing is prepared.

    Raises:
        DataError: the source cannot be used, or the corpus is damaged.
    """
    source = open_source(config, results)
    final = results.corpus_dir(_fingerprint(config, source))
    return _open_from(final, source) if final.exists() else None


def corpus_fingerprint(config: DataConfig, results: Results) -> str:
    """The fingerprint that the corpus of a configuration would have now; nothing is prepared.

    Raises:
        DataError: the source cannot be used.
    """
    return _fingerprint(config, open_source(config, results))


def _fingerprint(config: DataConfig, source: OpenedSource) -> str:
    def identity(file: TweetFile, table: LabelledTable | None = None) -> list[Any]:
        return [file.form, file.sha256, table and table.model_dump(mode="json", exclude={"path"})]

    tables = config.foreign_tests
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
    """Open a prepared corpus; its files have the right sizes, and all of their numbers refer to something.

    Raises:
        DataError: there is none, or a file is missing or damaged.
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
        _check_numbers(arrays, len(types), len(PARTS) + len(report.tests))
        known = str(manifest["fingerprint"])
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise DataError(f"{path}: is damaged ({error}); delete it, and the next run prepares it again") from None
    return Corpus(path=path, fingerprint=known, dataset="table", report=report, types=types, **arrays)


def _check_numbers(arrays: dict[str, npt.NDArray[Any]], types: int, part_count: int) -> None:
    """Refuse arrays with which training would fail or silently read other tweets, by a ValueError."""
    offsets, rows = arrays["offsets"], len(arrays["labels"])
    if {len(arrays[name]) for name in ("parts", "keys", "authors", "weights")} != {rows} or len(offsets) != rows + 1:
        raise ValueError("the arrays have different lengths")
    if offsets[0] != 0 or offsets[-1] != len(arrays["token_ids"]) or not (np.diff(offsets) > 0).all():
        raise ValueError("offsets does not rise from 0 to the number of tokens")
    for name, bound in (("labels", 2), ("parts", part_count), ("token_ids", types)):
        if arrays[name].min() < 0 or arrays[name].max() >= bound:
            raise ValueError(f"{name} holds a number that is not from 0 to {bound - 1:,}")
    if not ((arrays["weights"] > 0) & np.isfinite(arrays["weights"])).all():
        raise ValueError("weights holds a number that is not above 0")


def _open_from(path: Path, source: OpenedSource) -> Corpus:
    """The corpus at `path`, with the names of the data set and of the files that were asked for.

    Those in the manifest are of the first file with this content, since any number of files may have the same.
    """
    corpus = open_corpus(path)
    tests, extra = corpus.report.tests, zip(corpus.report.extra_train, source.extra_train, strict=True)
    names = {
        "source": source.main.name,
        "tests": {name: count.model_copy(update={"file": source.tests[name].name}) for name, count in tests.items()},
        "extra_train": tuple(count.model_copy(update={"file": file.name}) for count, file in extra),
    }
    return replace(corpus, dataset=source.dataset, report=corpus.report.model_copy(update=names))


def write_corpus(
    folder: Path, known: str, arrays: dict[str, npt.NDArray[Any]], types: Sequence[str], report: CorpusReport
) -> None:
    """Write all files but that of the tweets, the manifest last, and make all of them durable.

    Args:
        known: the fingerprint.
        arrays: all of ARRAYS.
    """
    for name, array in arrays.items():
        np.save(folder / f"{name}.npy", array)
    (folder / TYPES).write_bytes("".join(f"{token}\n" for token in types).encode())
    sizes = {}
    for name in FILES:
        with open(folder / name, "rb") as file:
            os.fsync(file.fileno())
        sizes[name] = (folder / name).stat().st_size
    write_json(folder / MANIFEST, {"fingerprint": known, "report": report.model_dump(mode="json"), "files": sizes})


@contextmanager
def building_place(final: Path) -> Iterator[Path]:
    """A new folder beside `final`, which is renamed to `final` when the block succeeds and deleted when it fails.

    If another process has put the same corpus there in the meantime, that one stays. Folders that killed processes left
    behind are deleted after a day.
    """
    final.parent.mkdir(parents=True, exist_ok=True)
    for leftover in final.parent.glob(".*.tmp"):
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
