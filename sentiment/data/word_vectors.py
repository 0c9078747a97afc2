"""Word vectors learned here by gensim's skip-gram, epoch by epoch, and kept on disk by fingerprint."""

import json
import zipfile
from array import array
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from functools import partial
from importlib import metadata
from itertools import pairwise
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import numpy.typing as npt
from pydantic import ValidationError

from sentiment.config import NAMED_VECTORS, ColumnConfig, DataConfig, RunConfig, TextConfig, TextFile, VectorsConfig
from sentiment.console import Progress, silent
from sentiment.data.corpus.corpus import Corpus, corpus_fingerprint, prepare_corpus
from sentiment.data.corpus.split import TRAIN, UNKNOWN, TweetForms, author_form, author_key, key_of
from sentiment.data.data_source import TweetFile
from sentiment.data.tables.rows import CutLine, LabelReader, Refusal, Row, Rows, read_lines
from sentiment.data.tables.table import TableSource, UnchangedFile, source_sha256, told_as_of
from sentiment.data.text import Tokenizer
from sentiment.data.vector_files import PickedRecord, pick_vectors, write_picked
from sentiment.errors import DataError
from sentiment.files import fingerprint, named_path, open_named, sha256_of, write_atomically, write_json
from sentiment.runs.attempts import patient_lock
from sentiment.runs.pretrained import TextCount
from sentiment.runs.records import Record
from sentiment.runs.run_dir import Results

_EVERY = 10_000


@dataclass(frozen=True)
class TrainingText:
    """Tweets as token numbers, in the order in which they are read."""

    types: Sequence[str]
    token_ids: npt.NDArray[np.int32]  # (tokens,), index into `types`
    offsets: npt.NDArray[np.int64]  # (tweets + 1,)
    counts: dict[str, TextCount]
    """By the path of each unlabelled file."""

    def __len__(self) -> int:
        return len(self.offsets) - 1

    def __iter__(self) -> Iterator[list[str]]:
        types = self.types
        ends = self.offsets.tolist()
        for start, end in pairwise(ends):
            yield [types[number] for number in self.token_ids[start:end].tolist()]

    def frequencies(self) -> dict[str, int]:
        """How often each type occurs; the most frequent first, equally frequent ones in alphabetical order."""
        counts = np.bincount(self.token_ids, minlength=len(self.types)).tolist()
        order = sorted(range(len(self.types)), key=lambda number: (-counts[number], self.types[number]))
        return {self.types[number]: counts[number] for number in order if counts[number]}


def open_text(file: TextFile, results: Results, field: str) -> TweetFile:
    """Identify an unlabelled file; its rows are read later, and have no labels.

    Args:
        field: of the configuration that names it, for messages.

    Raises:
        DataError: it is missing, unreadable or of an unknown format.
    """
    path = named_path(file.path)
    if path.with_suffix("" if path.suffix.lower() == ".gz" else path.suffix).suffix.lower() == ".txt":
        unchanged = UnchangedFile(path)
        return TweetFile(str(path), source_sha256(path), "txt", partial(unchanged.rows, partial(_lines, path)))
    columns = ColumnConfig(text=file.column, label=file.column)
    return told_as_of(field, TableSource(path).open_with(columns, _NoLabels, results).main)


def gather_text(corpus: Corpus, config: TextConfig, files: Sequence[TweetFile], progress: Progress) -> TrainingText:
    """The training tweets of a corpus, and those of the files that are not held out, each text once.

    Args:
        config: how the files' tweets are cleaned; that of the corpus.

    Raises:
        DataError: a file cannot be read, or nothing of it can be used.
    """
    rows = corpus.rows("train")
    lengths = [corpus.lengths()[rows]]
    pieces = [corpus.token_ids[np.repeat(corpus.parts == TRAIN, corpus.lengths())]]
    index = {token: number for number, token in enumerate(corpus.types)}
    counts: dict[str, TextCount] = {}
    if files:
        reader = _Reader(corpus, index, config)
        for file in files:
            counts[file.name], more_lengths, token_ids = reader.read(file, progress)
            lengths.append(np.array(more_lengths, np.int64))
            pieces.append(np.array(token_ids, np.int32))
    offsets = np.concatenate([[0], np.cumsum(np.concatenate(lengths))])
    return TrainingText(list(index), np.concatenate(pieces), offsets, counts)


class _NoLabels(LabelReader):
    """Takes any label for none."""

    def __init__(self, name: str) -> None:
        super().__init__({}, name, "")

    def __call__(self, value: object, line: int) -> None:  # noqa: ARG002
        return None


class _Reader:
    """Reads files one after another.

    Args:
        corpus: whose tweets are not read again, and those that are held out not at all, nor others of their authors.
        index: the number of each type; it grows.
        config: how the files' tweets are cleaned.
    """

    def __init__(self, corpus: Corpus, index: dict[str, int], config: TextConfig) -> None:
        trained = corpus.parts == TRAIN
        self._held_out = {*corpus.keys[~trained].tolist(), *corpus.withheld.tolist()}
        self._authors = set(corpus.authors[~trained].tolist()) - {UNKNOWN}
        self._seen = set(corpus.keys[trained].tolist())
        self._index, self._tokenizer = index, Tokenizer(config)
        self._forms = TweetForms(beside=self._tokenizer)

    def read(self, file: TweetFile, progress: Progress) -> tuple[TextCount, list[int], "array[int]"]:
        """What became of the tweets of a file, the lengths of those that are used, and their token numbers.

        Raises:
            DataError: it cannot be read, or nothing of it can be used.
        """
        lengths: list[int] = []
        token_ids = array("i")  # a list of Python's integers would take ten times as much memory
        read = held_out = repeated = refused = 0
        for read, row in enumerate(file.read(), start=1):
            if read % _EVERY == 0:
                progress(f"reading {Path(file.name).name}", read, file.total)
            if isinstance(row, Refusal):
                refused += 1
                continue
            tokens = self._tokenizer(row.text)
            key = key_of(self._forms.of(row.text, tokens))
            if key in self._held_out or author_key(author_form(row.user)) in self._authors:
                held_out += 1
            elif key in self._seen:
                repeated += 1
            elif not tokens:
                refused += 1
            else:
                self._seen.add(key)
                lengths.append(len(tokens))
                token_ids.extend([self._index.setdefault(token, len(self._index)) for token in tokens])
        if not lengths:
            raise DataError(
                f"{file.name}: no text of it can be used: of {read:,} rows {held_out:,} are of validation or test or "
                f"of their authors, {repeated:,} are repeated and {refused:,} cannot be read"
            )
        count = TextCount(read=read, used=len(lengths), held_out=held_out, repeated=repeated, refused=refused)
        return count, lengths, token_ids


def _lines(path: Path) -> Rows:
    for line, text in enumerate(read_lines(path), start=1):
        if isinstance(text, CutLine):
            yield Refusal(line, "longer than a line may be")
        elif text.strip():
            yield Row(str(line), None, None, text.rstrip("\r\n"), line)


def whole_training_part(config: DataConfig) -> DataConfig:
    """The data whose training text vectors are learned from: text needs no label, so all of it, whatever
    `data.train_rows` leaves to train on."""
    return config.model_copy(update={"train_rows": None})


_FIRST_RATE, _LAST_RATE = 0.025, 0.0001
# Buckets for the n-grams of all words; 80 MB with 100 numbers each, where fastText's own two millions take 800.
_BUCKETS = 200_000
_REPORT_EVERY = 5_000
_DAMAGED = (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile)
_MATRICES = {"word2vec": ("wv.vectors", "syn1neg"), "fasttext": ("wv.vectors_vocab", "wv.vectors_ngrams", "syn1neg")}


def learn_vectors(
    text: TrainingText, kind: str, size: int, config: VectorsConfig, state: Path, progress: Progress
) -> tuple[list[str], npt.NDArray[np.float32]]:
    """The types that are frequent enough, and their vectors, shape (types, size).

    One thread learns, since several would change the same numbers at once, in an order that is never the same. After
    each epoch but the last everything is saved in `state`, from where the next call goes on.

    Args:
        kind: `word2vec` or `fasttext`.
        progress: told how many tweets of all epochs are read; an error that it raises ends the work.

    Raises:
        DataError: no type is frequent enough.
    """
    model = _new_model(text, kind, size, config)
    done = _load(model, kind, state)
    for epoch in range(done, config.epochs):
        # Drawn anew for each epoch, so that nothing of it needs to be saved.
        model.random = np.random.RandomState(_seed(config.seed, epoch))
        tweets = _Tweets(text, progress, f"learning {kind} vectors", epoch * len(text), config.epochs * len(text))
        first, last = _rates(epoch, config.epochs)
        model.train(tweets, total_examples=len(text), epochs=1, start_alpha=first, end_alpha=last)
        if tweets.error is not None:
            raise tweets.error
        if epoch + 1 < config.epochs:
            _save(model, kind, epoch + 1, state)
    return list(model.wv.index_to_key), np.asarray(model.wv.vectors, np.float32)


def saved_epochs(state: Path) -> int:
    """The number of epochs that a state was saved after; 0 if there is none or it is damaged."""
    try:
        with open_named(state) as file, np.load(file, allow_pickle=False) as saved:
            return int(saved["epochs"])
    except _DAMAGED:
        return 0


@dataclass
class _Tweets:
    """The tweets of an epoch. gensim reads them in a thread of its own, where an error would leave it waiting for ever:
    it is kept, and the tweets end."""

    text: TrainingText
    progress: Progress
    what: str
    before: int
    total: int
    error: BaseException | None = field(default=None, init=False)

    def __iter__(self) -> Iterator[list[str]]:
        for number, tokens in enumerate(self.text):
            if number % _REPORT_EVERY == 0:
                try:
                    self.progress(self.what, self.before + number, self.total)
                except BaseException as error:
                    self.error = error
                    return
            yield tokens


def _new_model(text: TrainingText, kind: str, size: int, config: VectorsConfig) -> Any:
    from gensim.models import FastText, Word2Vec

    frequencies = text.frequencies()
    if not any(count >= config.min_count for count in frequencies.values()):
        raise DataError(
            f"no token occurs {config.min_count:,} times in the {len(text):,} tweets that vectors are to be learned "
            "from; lower vectors.min_count"
        )
    options = {"window": config.window, "min_count": config.min_count, "negative": config.negative}
    options |= {"vector_size": size, "seed": config.seed, "sg": 1, "workers": 1}
    # The types come in a fixed order; gensim would sort those of equal frequency as the processor's numpy does.
    options |= {"sorted_vocab": 0} | ({"bucket": _BUCKETS} if kind == "fasttext" else {})
    model = (FastText if kind == "fasttext" else Word2Vec)(**options)
    model.build_vocab_from_freq(frequencies, corpus_count=len(text))
    return model


def _rates(epoch: int, epochs: int) -> tuple[float, float]:
    """Learning rates at the beginning and the end of an epoch; over all epochs they fall on one line."""
    fall = (_FIRST_RATE - _LAST_RATE) / epochs
    return _FIRST_RATE - fall * epoch, _FIRST_RATE - fall * (epoch + 1)


def _seed(seed: int, epoch: int) -> int:
    return int(np.random.SeedSequence([seed, epoch]).generate_state(1)[0])


def _matrix(model: Any, name: str) -> tuple[Any, str]:
    """What holds a matrix, and its name there."""
    owner, _, last = name.rpartition(".")
    return (getattr(model, owner) if owner else model), last


def _save(model: Any, kind: str, epochs: int, state: Path) -> None:
    matrices = {}
    for name in _MATRICES[kind]:
        owner, last = _matrix(model, name)
        matrices[name] = getattr(owner, last)
    write_atomically(state, lambda file: np.savez(file, epochs=np.array(epochs), **matrices))


def _load(model: Any, kind: str, state: Path) -> int:
    """The number of epochs that are done; the model is then as it was after them. A damaged state counts as none."""
    try:
        with open_named(state) as file, np.load(file, allow_pickle=False) as saved:
            found = {name: saved[name] for name in _MATRICES[kind]}
            epochs = int(saved["epochs"])
    except _DAMAGED:
        return 0
    places = {name: _matrix(model, name) for name in found}
    if any(found[name].shape != getattr(owner, last).shape for name, (owner, last) in places.items()):
        return 0
    for name, (owner, last) in places.items():
        setattr(owner, last, found[name])
    return epochs


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
