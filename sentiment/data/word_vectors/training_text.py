"""The text that word vectors and language models learn from: training tweets and unlabelled ones, none held out."""

from array import array
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import pairwise
from pathlib import Path

import numpy as np
import numpy.typing as npt

from sentiment.config import ColumnConfig, DataConfig, TextConfig, TextFile
from sentiment.console import Progress
from sentiment.data.corpus.corpus import Corpus
from sentiment.data.corpus.split import TRAIN, UNKNOWN, TweetForms, author_form, author_key, key_of
from sentiment.data.data_source import TweetFile
from sentiment.data.tables.lines import CutLine, read_lines
from sentiment.data.tables.rows import LabelReader, Refusal, Row, Rows
from sentiment.data.tables.source_hash import UnchangedFile, source_sha256
from sentiment.data.tables.table import TableSource, told_as_of
from sentiment.data.text.tokenizer import Tokenizer
from sentiment.errors import DataError
from sentiment.files import named_path
from sentiment.pretrained_runs import TextCount
from sentiment.run_dir import Results

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
