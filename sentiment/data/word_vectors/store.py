"""Learned vectors on disk, one folder for each set of vectors, named by a hash of all that they were learned from."""

import json
from collections.abc import Sequence
from importlib import metadata
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import numpy.typing as npt
from pydantic import ValidationError

from sentiment.config import NAMED_VECTORS, RunConfig, VectorsConfig
from sentiment.console import Progress, silent
from sentiment.data.corpus.corpus import corpus_fingerprint, prepare_corpus
from sentiment.data.data_source import TweetFile
from sentiment.data.word_vectors.published import PickedRecord, pick_vectors, write_picked
from sentiment.data.word_vectors.training_text import gather_text, open_text, whole_training_part
from sentiment.errors import DataError
from sentiment.files import fingerprint, sha256_of, write_atomically, write_json
from sentiment.lock import patient_lock
from sentiment.pretrained_runs import TextCount
from sentiment.records import Record
from sentiment.run_dir import Results

R = TypeVar("R", bound=Record)

# Raise it whenever the same text and settings would give other vectors.
_VERSION = 1
RECORD, VECTORS, STATE = "record.json", "vectors.txt", "state.npz"


class VectorsRecord(Record):
    """`record.json`: what vectors were learned from; written last."""

    fingerprint: str
    """SHA-256 of all that decides them; the folder is named after it."""
    kind: str
    size: int
    settings: dict[str, Any]
    gensim: str
    corpus: str
    """The fingerprint of the corpus whose training part was read."""
    source: str
    training_tweets: int
    unlabelled: dict[str, TextCount]
    """By path."""
    unlabelled_sha256: dict[str, str]
    tweets: int
    """Of both."""
    tokens: int
    types: int
    """Types that have a vector."""
    vectors_sha256: str

    def render_lines(self) -> list[str]:
        """For a terminal."""
        of = f"{self.training_tweets:,} training tweets of {self.source}"
        lines = [f"{self.kind}: {self.types:,} vectors of {self.size} numbers, learned from {self.tokens:,} tokens"]
        lines.append(f"  {of}: their text alone")
        lines += [f"  {path}: {count.render()}" for path, count in self.unlabelled.items()]
        return lines


def pretrained_file(config: RunConfig, results: Results) -> Path | None:
    """The file that a run's embedding starts from; None if there is none. Learned vectors may not be there yet.

    Raises:
        DataError: the tweets, or an unlabelled file, cannot be read.
    """
    pretrained = config.embedding.pretrained
    if pretrained is None:
        return None
    if pretrained not in NAMED_VECTORS:
        return Path(pretrained)
    return _folder(config, results) / VECTORS


def vectors_fingerprint(config: RunConfig, results: Results) -> str | None:
    """The fingerprint that a run's named vectors would have now; None if it has none, or those of a file.

    Raises:
        DataError: the tweets, or an unlabelled file, cannot be read.
    """
    return _fingerprint(config, results) if config.embedding.pretrained in NAMED_VECTORS else None


def has_vectors(config: RunConfig, results: Results) -> bool:
    """Whether nothing has to be learned or picked before a run can start.

    Raises:
        DataError: the tweets, or an unlabelled file, cannot be read.
    """
    return config.embedding.pretrained not in NAMED_VECTORS or (_folder(config, results) / RECORD).exists()


def saved_epochs_of_all(results: Results) -> int:
    """How many epochs of all vectors are done and saved."""
    from sentiment.data.word_vectors.learning import saved_epochs

    records = [_read_record(folder, VectorsRecord) for folder in results.word_vectors.glob("*/")]
    states = results.word_vectors.glob(f"*/{STATE}")
    return sum(int(record.settings["epochs"]) for record in records if record) + sum(map(saved_epochs, states))


def prepare_vectors(
    config: RunConfig, results: Results, progress: Progress = silent
) -> VectorsRecord | PickedRecord | None:
    """Learn the vectors that a run starts from, or pick them from published ones, unless they are there.

    It can be interrupted at any time, and goes on after the last epoch that was saved. Of several processes that ask
    for the same vectors one learns them, and the others wait.

    Returns:
        What they were made from; None if the run has no vectors to start from, or those of a file.

    Raises:
        DataError: the tweets, an unlabelled file or the archive cannot be used, or the vectors cannot be written.
    """
    if config.embedding.pretrained not in NAMED_VECTORS:
        return None
    folder = _folder(config, results)
    if record := _read(folder):
        return record
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with patient_lock(folder / "lock", "learns the same vectors", lambda who: progress(who, 0, None)):
            if record := _read(folder):
                return record
            for leftover in folder.glob(".*.tmp"):  # of a process that was killed while it saved
                leftover.unlink()
            if config.vectors is None:
                return _pick(config, results, folder, progress)
            return _learn(config, config.vectors, results, folder, progress)
    except OSError as error:
        raise DataError(f"{folder}: the vectors cannot be written: {error}") from error


def _pick(config: RunConfig, results: Results, folder: Path, progress: Progress) -> PickedRecord:
    corpus = prepare_corpus(whole_training_part(config.data), results, progress)
    name = str(config.embedding.pretrained)
    types, archive = pick_vectors(name, corpus.types, results, folder / VECTORS, progress)
    record = PickedRecord(
        fingerprint=_fingerprint(config, results),
        name=name,
        archive_sha256=archive,
        source=corpus.report.source,
        wanted=len(corpus.types),
        types=types,
        vectors_sha256=sha256_of(folder / VECTORS),
    )
    return write_picked(folder / RECORD, record)


def _learn(
    config: RunConfig, settings: VectorsConfig, results: Results, folder: Path, progress: Progress
) -> VectorsRecord:
    from sentiment.data.word_vectors.learning import learn_vectors

    corpus = prepare_corpus(whole_training_part(config.data), results, progress)
    files = _files(settings, results)
    text = gather_text(corpus, config.data.text, files, progress)
    kind, size = str(config.embedding.pretrained), config.embedding.size
    types, vectors = learn_vectors(text, kind, size, settings, folder / STATE, progress)
    _write(folder / VECTORS, types, vectors)
    record = VectorsRecord(
        fingerprint=_fingerprint(config, results),
        kind=kind,
        size=size,
        settings=_settings(settings),
        gensim=metadata.version("gensim"),
        corpus=corpus.fingerprint,
        source=corpus.report.source,
        training_tweets=len(corpus.rows("train")),
        unlabelled=text.counts,
        unlabelled_sha256={file.name: file.sha256 for file in files},
        tweets=len(text),
        tokens=len(text.token_ids),
        types=len(types),
        vectors_sha256=sha256_of(folder / VECTORS),
    )
    write_json(folder / RECORD, record.model_dump(mode="json"))
    (folder / STATE).unlink(missing_ok=True)
    return record


def _folder(config: RunConfig, results: Results) -> Path:
    return results.word_vectors / _fingerprint(config, results)[:16]


def _fingerprint(config: RunConfig, results: Results) -> str:
    corpus, settings = corpus_fingerprint(whole_training_part(config.data), results), config.vectors
    if settings is None:
        return fingerprint({"version": _VERSION, "published": config.embedding.pretrained, "corpus": corpus})
    files = _files(settings, results)
    identity = {
        "version": _VERSION,
        "gensim": metadata.version("gensim"),
        "kind": config.embedding.pretrained,
        "size": config.embedding.size,
        "settings": _settings(settings),
        "corpus": corpus,
        "unlabelled": [
            [one.form, one.sha256, file.column] for one, file in zip(files, settings.unlabelled, strict=True)
        ],
    }
    return fingerprint(identity)


def _settings(settings: VectorsConfig) -> dict[str, Any]:
    """Those that change the vectors; the files are known by their content."""
    return settings.model_dump(mode="json", exclude={"unlabelled", "vocabulary"})


def _files(settings: VectorsConfig, results: Results) -> list[TweetFile]:
    return [open_text(file, results, "vectors.unlabelled") for file in settings.unlabelled]


def _write(path: Path, types: Sequence[str], vectors: npt.NDArray[np.float32]) -> None:
    """In the text format of word2vec; nine digits are enough to read the same float32 back."""
    lines = [f"{len(types)} {vectors.shape[1]}\n"]
    for token, vector in zip(types, vectors.tolist(), strict=True):
        lines.append(" ".join([token, *(f"{value:.9g}" for value in vector)]) + "\n")
    write_atomically(path, lambda file: file.writelines(line.encode() for line in lines))


def _read(folder: Path) -> VectorsRecord | PickedRecord | None:
    """The record if the vectors are there and whole."""
    record = _read_record(folder, VectorsRecord) or _read_record(folder, PickedRecord)
    try:
        return record if record and sha256_of(folder / VECTORS) == record.vectors_sha256 else None
    except OSError:
        return None


def _read_record(folder: Path, kind: type[R]) -> R | None:
    try:
        return kind.model_validate(json.loads((folder / RECORD).read_bytes()))
    except (OSError, ValueError, ValidationError):
        return None
