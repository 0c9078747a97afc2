"""Vocabulary, pretrained word vectors, and the text that word2vec is trained on."""

import codecs
import re
from collections.abc import Iterator, Sequence
from dataclasses import replace
from importlib import metadata
from itertools import islice
from pathlib import Path
from typing import Any, Self

import numpy as np

from sentiment.config import (
    WORD2VEC,
    ColumnConfig,
    DataConfig,
    RunConfig,
    VectorsConfig,
    VocabularyConfig,
)
from sentiment.console import Progress, silent
from sentiment.data.corpus import Corpus, alone, source_fingerprint, without_train_rows
from sentiment.data.preparation import TRAIN, UNLABELLED, Preparation
from sentiment.data.sources import TweetFile, open_file, open_source
from sentiment.data.table import format_of
from sentiment.errors import DataError
from sentiment.files import (
    WriteFile,
    fingerprint,
    make_folder_once,
    opened_bytes,
    user_path,
    write_atomically,
    write_json,
)
from sentiment.runs.code_version import code_of
from sentiment.runs.corpus_records import CorpusReport
from sentiment.runs.run_dir import TWEETS_FILE, Results
from sentiment.tokens import Floats, Integers, TokenRows

PADDING = 0  # the index at positions after the end of a short tweet in a batch
UNKNOWN = 1  # the index of all types that are not in the vocabulary
_SPECIAL = 2  # the number of these indices


class Vocabulary:
    """Maps token types to the indices 2, 3, ... in the given order.

    Raises:
        DataError: a type is given twice, or contains white space.
    """

    def __init__(self, types: Sequence[str]) -> None:
        self.types = tuple(types)
        self._index = {token: number for number, token in enumerate(self.types, start=_SPECIAL)}
        for token in self.types:
            if token.split() != [token]:
                raise DataError(f"{token!r} is not a token: tokens must not be empty or contain white space")
        if len(self._index) != len(self.types):
            raise DataError("a type is given twice")

    def __len__(self) -> int:
        """The number of vectors in an embedding: types, padding, and the unknown token."""
        return len(self.types) + _SPECIAL

    @classmethod
    def build(cls, corpus: Corpus, config: VocabularyConfig) -> Self:
        """The types of the training tweets, the most frequent first, equally frequent ones in alphabetical order."""
        counts = np.bincount(corpus.take(corpus.rows("train")).token_ids, minlength=len(corpus.types))
        frequent = np.flatnonzero(counts >= config.min_count).tolist()
        if not frequent:
            raise DataError(
                f"{corpus.path}: no token occurs {config.min_count:,} times in the training tweets "
                f"(the most frequent one {counts.max():,} times); lower data.vocabulary.min_count"
            )
        frequent.sort(key=lambda number: (-counts[number], corpus.types[number]))
        return cls([corpus.types[number] for number in frequent[: config.max_size]])

    def extended_by(self, vector_file: Path, max_types: int) -> Self:
        """This vocabulary extended by the types of learned vectors, in file order, up to `max_types` in total."""
        new_types = (token for token in read_types(vector_file) if token not in self._index)
        return type(self)([*self.types, *islice(new_types, max(max_types - len(self.types), 0))])

    def encode(self, tokens: Sequence[str]) -> Integers:
        """The index of each token, UNKNOWN for those not in the vocabulary. Shape (tokens,)."""
        return np.array([self._index.get(token, UNKNOWN) for token in tokens], np.int64)

    def write(self, path: Path, write_file: WriteFile = write_atomically) -> None:
        write_file(path, lambda file: file.write(self.to_bytes()))

    def to_bytes(self) -> bytes:
        return "".join(f"{token}\n" for token in self.types).encode()

    @classmethod
    def from_bytes(cls, content: bytes, path: str) -> Self:
        """Parse what `to_bytes` gave; `path` is where it was stored, for messages.

        Raises:
            DataError: the content is truncated or is not a vocabulary.
        """
        try:
            if not content.endswith(b"\n"):
                raise DataError("the last line lacks a newline")
            return cls(content.decode().split("\n")[:-1])
        except (UnicodeDecodeError, DataError) as error:
            raise DataError(f"{path}: is truncated or not a vocabulary: {error}") from None


# --- files of vectors -----------------------------------------------------------------------------------------------

_HEADER = re.compile(rb"\s*(\d+)\s+\d+\s*")
_SCALE = 0.1  # standard deviation of the random vectors of types that a file of vectors lacks


def load_vectors(path: Path, vocabulary: Vocabulary, size: int, seed: int = 0) -> tuple[Floats, int]:
    """Read the vectors of a vocabulary's types from a text file (or `.gz`) in the format of GloVe or word2vec.

    Returns:
        The vectors, shape (len(vocabulary), size): zeros for padding, and small random vectors, drawn with the seed,
        for types that the file lacks; and the number of types that the file has.

    Raises:
        DataError: the file cannot be read or is truncated, the vectors have another size, or a number is not finite.
    """
    vectors = np.random.default_rng(seed).normal(0, _SCALE, (len(vocabulary), size)).astype(np.float32)
    vectors[PADDING] = 0
    # Split bytes, because str.split would also split at non-ASCII white space inside tokens.
    remaining = {}
    for index, token in enumerate(vocabulary.types, start=_SPECIAL):
        remaining[token.encode("utf-8", "surrogatepass")] = index
    is_first = True
    for line, content in _vector_lines(path):
        if not is_first and content.count(b" ") >= size and content.split(None, 1)[0] not in remaining:
            continue  # an unwanted type, whose numbers are not looked at
        fields = content.rsplit(None, size)
        if len(fields) == size and content[:1].isspace():  # GloVe has a token that is a space
            continue
        has_more = is_first and len(content.split()) > size + 1  # in later lines a token may contain spaces
        if len(fields) <= size or has_more:
            raise DataError(
                f"{path}:{line}: has {len(content.split()[1:])} numbers after the token, but embedding.size is {size}; "
                "set it to this number, or name a complete text file whose lines are a token and its numbers"
            )
        is_first = False
        row = remaining.pop(fields[0], None)
        if row is None:
            continue
        try:
            with np.errstate(over="ignore"):
                vectors[row] = [float(field) for field in fields[1:]]
        except ValueError as error:
            raise DataError(f"{path}:{line}: {error}, but a token and {size} numbers are expected") from None
        if not np.isfinite(vectors[row]).all():
            raise DataError(f"{path}:{line}: holds a number that is not finite, or too large for a float32")
    if is_first:
        raise DataError(f"{path}: holds no vectors")
    return vectors, len(vocabulary.types) - len(remaining)


def read_types(path: Path) -> Iterator[str]:
    """The types of a file that `write_vectors` wrote, in file order."""
    return (content.split(b" ", 1)[0].decode("utf-8", "replace") for _, content in _vector_lines(path))


def _vector_lines(path: Path) -> Iterator[tuple[int, bytes]]:
    """The lines of vectors, with line numbers from 1; blank lines are skipped.

    Raises:
        DataError: their number differs from that in word2vec's header.
    """
    vectors = 0
    expected = None
    with opened_bytes(path) as file:
        for line, content in enumerate(file, start=1):
            if line == 1:
                content = content.removeprefix(codecs.BOM_UTF8)
                counts = _HEADER.fullmatch(content)
                if counts:
                    expected = int(counts[1])
                    continue
            if content.strip():
                vectors += 1
                yield line, content
    if expected not in (None, vectors):
        raise DataError(f"{path}: has {vectors:,} vectors where its first line says {expected:,}; it may be truncated")


def write_vectors(path: Path, types: Sequence[str], vectors: Floats) -> None:
    """Write the text format of word2vec; nine digits are enough to read the same float32 back."""
    lines = [f"{len(types)} {vectors.shape[1]}\n"]
    for token, vector in zip(types, vectors.tolist(), strict=True):
        lines.append(" ".join([token, *(f"{value:.9g}" for value in vector)]) + "\n")
    write_atomically(path, lambda file: file.writelines(line.encode() for line in lines))


# --- learned vectors ----------------------------------------------------------------------------------

_WINDOW = 5  # largest distance between two tokens of which one predicts the other
_NEGATIVE_SAMPLES = 5  # per positive pair
_MIN_COUNT = 3  # a type must occur at least this often in the text
VECTORS = "vectors.txt"
RECORD = "record.json"


def pretrained_file(config: RunConfig, results: Results) -> Path | None:
    """The file of a run's initial vectors; None if they are random. Learned vectors may not exist yet."""
    inputs = vectors_fingerprint(config, results)
    if inputs is not None:
        return results.word_vectors / fingerprint([inputs, code_of(__name__)])[:16] / VECTORS
    return None if config.embedding.pretrained is None else user_path(config.embedding.pretrained)


def vectors_fingerprint(config: RunConfig, results: Results) -> str | None:
    """SHA-256 of all that the vectors which a run would learn now depend on but code; None if it learns none."""
    return fingerprint(_identity(config, results)) if config.embedding.pretrained == WORD2VEC else None


def _identity(config: RunConfig, results: Results) -> dict[str, Any]:
    settings = config.vectors or VectorsConfig()
    files = zip(unlabelled_files(settings), settings.unlabelled, strict=True)
    return {
        "gensim": metadata.version("gensim"),
        "size": config.embedding.size,
        "settings": settings.model_dump(mode="json", exclude={"unlabelled", "vocabulary"}),
        "corpus": source_fingerprint(without_train_rows(config.data), results),
        "unlabelled": [[opened.format, opened.sha256, file.column] for opened, file in files],
    }


def prepare_vectors(config: RunConfig, results: Results, progress: Progress = silent) -> list[str]:
    """Learn the initial vectors of a run, unless they exist or none are needed; returns messages.

    The file appears when it is complete, with a record of what the vectors were learned from; after an interruption
    the next call starts again and gets the same bits. If several processes on one host need the same vectors, one
    learns them, and the others read them then.
    """
    file = pretrained_file(config, results)
    if config.embedding.pretrained != WORD2VEC or file is None:
        return []
    messages: list[str] = []

    def learn(folder: Path) -> None:
        messages.extend(_learn_into(folder, config, results, progress))

    if not file.exists():
        with alone(file.parent.with_suffix(".lock"), file.parent, "learns the same vectors", progress):
            make_folder_once(file.parent, learn)
    return [*messages, f"  in {file}"] if messages else []


def _learn_into(folder: Path, config: RunConfig, results: Results, progress: Progress) -> list[str]:
    settings = config.vectors or VectorsConfig()
    text, report = training_text(config.data, settings, results, folder, progress)
    types, vectors = learn_vectors(text, config.embedding.size, settings, progress)
    names = [str(user_path(file.path)) for file in settings.unlabelled]
    counts = dict(zip(names, report.unlabelled, strict=True))
    kept = {name: count.kept for name, count in counts.items()}
    write_json(folder / RECORD, _identity(config, results) | {"texts": kept})
    write_vectors(folder / VECTORS, types, vectors)
    return [
        f"word2vec: {len(types):,} vectors of {vectors.shape[1]} numbers, learned from {len(text.token_ids):,} tokens",
        f"  {report.parts['train'].rows:,} training tweets, without labels",
        *(f"  {name}: {count.kept:,} of {count.read:,} texts" for name, count in counts.items()),
    ]


def training_text(
    data: DataConfig, settings: VectorsConfig, results: Results, folder: Path, progress: Progress
) -> tuple[TokenRows, CorpusReport]:
    """The training tweets, and those of the unlabelled files that are not held out, each text once; and row counts.

    Args:
        folder: where the texts are stored while they are read.
    """
    data = without_train_rows(data)
    source = replace(open_source(data, results), unlabelled=tuple(unlabelled_files(settings)))
    file = folder / TWEETS_FILE
    prepared = Preparation(data, source, set(), progress).run(file)
    file.unlink()
    rows = TokenRows(prepared.types, prepared.arrays["token_ids"], prepared.arrays["offsets"])
    is_read = np.isin(prepared.arrays["parts"], (TRAIN, UNLABELLED))
    return rows.take(np.flatnonzero(is_read)), prepared.report


def learn_vectors(text: TokenRows, size: int, config: VectorsConfig, progress: Progress) -> tuple[list[str], Floats]:
    """Learn skip-gram vectors: the types that are frequent enough, and their vectors, shape (types, size).

    Uses one thread, because gensim's multi-threaded updates are nondeterministic.
    """
    from gensim.models import Word2Vec
    from gensim.models.callbacks import CallbackAny2Vec

    class Epochs(CallbackAny2Vec):  # type: ignore[misc]
        done = 0

        def on_epoch_end(self, _model: Word2Vec) -> None:
            self.done += 1
            progress("learning word2vec vectors", self.done, config.epochs)

    counts = np.bincount(text.token_ids, minlength=len(text.types)).tolist()
    # Equally frequent types in alphabetical order, since the order of gensim's own sort depends on the processor.
    frequencies = dict(sorted(zip(text.types, counts, strict=True), key=lambda pair: (-pair[1], pair[0])))
    if max(counts) < _MIN_COUNT:
        raise DataError(
            f"no token occurs {_MIN_COUNT} times in the {text.size:,} tweets from which vectors would be learned; give "
            "more text in vectors.unlabelled, or set embedding.pretrained to none"
        )
    skip_gram = {"sg": 1, "window": _WINDOW, "negative": _NEGATIVE_SAMPLES, "min_count": _MIN_COUNT}
    model = Word2Vec(vector_size=size, seed=config.seed, workers=1, sorted_vocab=0, **skip_gram)
    model.build_vocab_from_freq(frequencies, corpus_count=text.size)
    model.train(text, total_examples=text.size, epochs=config.epochs, callbacks=[Epochs()])
    return list(model.wv.index_to_key), np.asarray(model.wv.vectors, np.float32)


def unlabelled_files(settings: VectorsConfig) -> list[TweetFile]:
    """Open the files of additional unlabelled text; rows are read later."""
    files = []
    for file in settings.unlabelled:
        path = user_path(file.path)
        column = "text" if format_of(path) == "txt" else file.column
        files.append(open_file(path, ColumnConfig(text=column), None, "vectors.unlabelled", file.quotes))
    return files
