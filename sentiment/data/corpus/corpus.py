"""A prepared corpus: tweets as token numbers in flat arrays on disk, found again by what they were made from."""

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from pydantic import ValidationError

from sentiment import files
from sentiment.config import DataConfig
from sentiment.console import Progress, silent
from sentiment.data.corpus import corpus_files
from sentiment.data.corpus.corpus_report import CorpusReport
from sentiment.data.sources.registry import open_sources
from sentiment.data.tables.rows import Source
from sentiment.errors import DataError
from sentiment.lock import patient_lock
from sentiment.records import PARTS, Part
from sentiment.run_dir import Results

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Corpus:
    """Tweets that are ready for training; the arrays are read-only maps of the files in `path`."""

    path: Path
    fingerprint: str
    """SHA-256 of what it was made from; `path` is named after it."""
    types: Sequence[str]
    """The distinct tokens of all parts."""
    token_ids: npt.NDArray[np.int32]  # (tokens,), index into `types`
    offsets: npt.NDArray[np.int64]  # (rows + 1,), where each tweet begins and the last one ends
    labels: npt.NDArray[np.int8]  # (rows,), 0 negative, 1 positive
    parts: npt.NDArray[np.int8]  # (rows,), index into PARTS
    report: CorpusReport

    def rows(self, part: Part) -> npt.NDArray[np.int64]:
        """The numbers of the rows in a part, ascending."""
        return np.flatnonzero(self.parts == PARTS.index(part)).astype(np.int64)

    def lengths(self) -> npt.NDArray[np.int64]:
        """The number of tokens of each row, at least 1. Shape (rows,)."""
        return np.diff(self.offsets)

    def tokens(self, row: int) -> list[str]:
        """The tokens of one row."""
        return [self.types[number] for number in self.token_ids[self.offsets[row] : self.offsets[row + 1]]]


def prepare_corpus(
    config: DataConfig, results: Results, progress: Progress | None = None, workers: int | None = None
) -> Corpus:
    """The corpus of a configuration: from the cache if the same was asked for before, else made now.

    It can be interrupted at any time and run by several processes at once: a corpus is complete or not there, one
    process prepares it, and the others wait. Of many tweets it starts workers, for which the script that calls it must
    be guarded as `multiprocessing` asks for: else they would run the script, and wait for this very process.

    Args:
        workers: processes to use; None takes as many as there are cores. The result does not depend on it.

    Raises:
        DataError: the source can't be used, or the corpus can't be written.
        DownloadError: `vader` could not be fetched.
        ConfigError: the source lacks a configured column.
    """
    main, second_test = open_sources(config, results)
    fingerprint = _fingerprint(config, main, second_test)
    final = results.corpus_dir(fingerprint)
    progress = progress or silent
    if corpus := _open_if_whole(final):
        return corpus
    try:
        lock_file = results.corpus_lock(fingerprint)
        lock_file.parent.mkdir(parents=True, exist_ok=True)
        with patient_lock(lock_file, "prepares the same tweets", lambda who: progress(who, 0, None)):
            try:
                return open_corpus(final)  # another process may have prepared it meanwhile
            except DataError as error:
                if final.exists():
                    _log.warning("%s; preparing it again", error)
                    corpus_files.discard(final)
            _prepare(config, main, second_test, final, fingerprint, progress, workers)
    except OSError as error:
        raise DataError(f"{final}: the corpus cannot be written: {error}") from error
    return open_corpus(final)


def find_corpus(config: DataConfig, results: Results) -> Corpus | None:
    """The corpus of a configuration, if it is prepared and whole; nothing is prepared.

    Raises:
        DataError: the source can't be used.
    """
    return _open_if_whole(results.corpus_dir(corpus_fingerprint(config, results)))


def corpus_fingerprint(config: DataConfig, results: Results) -> str:
    """What the fingerprint of a configuration's corpus would be now; nothing is prepared.

    Raises:
        DataError: the source can't be used.
    """
    return _fingerprint(config, *open_sources(config, results))


def open_corpus(path: Path) -> Corpus:
    """Open a prepared corpus; the sizes of its files are checked, their content is not read.

    Raises:
        DataError: there is none, or a file is missing or damaged.
    """
    manifest = corpus_files.read_manifest(path)
    try:
        arrays = {name: np.load(path / name, mmap_mode="r") for name in corpus_files.ARRAYS}
        report = CorpusReport.model_validate(manifest["report"])
        types = (path / corpus_files.TYPES).read_bytes().decode().split("\n")[:-1]
        fingerprint = str(manifest["fingerprint"])
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
        report=report,
    )


def _open_if_whole(path: Path) -> Corpus | None:
    try:
        return open_corpus(path)
    except DataError:  # there is none, or it has to be prepared again
        return None


def _fingerprint(config: DataConfig, main: Source, second_test: Source | None) -> str:
    identity: dict[str, Any] = {
        "format_version": corpus_files.FORMAT_VERSION,
        "nltk": metadata.version("nltk"),
        "config": config.model_dump(mode="json", exclude={"source", "second_test", "vocabulary"}),
        "sources": [[source.form, source.sha256] for source in (main, second_test) if source is not None],
    }
    return files.fingerprint(identity)


def _prepare(
    config: DataConfig,
    main: Source,
    second_test: Source | None,
    final: Path,
    fingerprint: str,
    progress: Progress,
    workers: int | None,
) -> None:
    from sentiment.data.corpus.preparation import Preparation  # pyarrow and nltk, which a cached corpus does not need

    with corpus_files.building_place(final) as folder, corpus_files.CorpusWriter(folder) as writer:
        types, report = Preparation(config, main, second_test, writer, progress, workers).run()
        writer.finish(types, report, fingerprint)
