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
from sentiment.data.corpus.split import identify, normalise
from sentiment.data.data_source import TweetFile
from sentiment.data.tables.lines import CutLine, read_lines
from sentiment.data.tables.rows import LabelReader, Refusal, Row, Rows
from sentiment.data.tables.source_hash import UnchangedFile, source_sha256
from sentiment.data.tables.table import TableSource, told_as_of
from sentiment.data.text.tokenizer import Tokenizer
from sentiment.errors import DataError
from sentiment.files import named_path
from sentiment.pretrained_runs import TextCount
from sentiment.run_dir import TWEETS_FILE, Results

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
    pieces = [corpus.token_ids[np.repeat(corpus.parts == 0, corpus.lengths())]]
    index = {token: number for number, token in enumerate(corpus.types)}
    counts: dict[str, TextCount] = {}
    if files:
        held_out, seen = _keys(corpus)
        tokenizer = Tokenizer(config)
        for file in files:
            reader = _Reader(held_out, seen, index, tokenizer)
            counts[file.name] = reader.read(file, progress)
            lengths.append(np.array(reader.lengths, np.int64))
            pieces.append(np.array(reader.token_ids, np.int32))
    offsets = np.concatenate([[0], np.cumsum(np.concatenate(lengths))])
    return TrainingText(list(index), np.concatenate(pieces), offsets, counts)


class _NoLabels(LabelReader):
    """Takes any label for none."""

    def __init__(self, name: str) -> None:
        super().__init__({}, name, "")

    def __call__(self, value: object, line: int) -> None:  # noqa: ARG002
        return None


class _Reader:
    """Reads one file; `held_out` and `seen` are keys of normalised texts, and `seen` grows."""

    def __init__(self, held_out: set[int], seen: set[int], index: dict[str, int], tokenizer: Tokenizer) -> None:
        self._held_out, self._seen, self._index, self._tokenizer = held_out, seen, index, tokenizer
        self.lengths: list[int] = []
        self.token_ids = array("i")  # a list of Python's integers would take ten times as much memory

    def read(self, file: TweetFile, progress: Progress) -> TextCount:
        read = held_out = repeated = refused = 0
        for read, row in enumerate(file.read(), start=1):
            if read % _EVERY == 0:
                progress(f"reading {Path(file.name).name}", read, file.total)
            if isinstance(row, Refusal):
                refused += 1
                continue
            key = identify(normalise(row.text)).key
            if key in self._held_out:
                held_out += 1
            elif key in self._seen:
                repeated += 1
            elif not (tokens := self._tokenizer(row.text)):
                refused += 1
            else:
                self._seen.add(key)
                self.lengths.append(len(tokens))
                self.token_ids.extend([self._index.setdefault(token, len(self._index)) for token in tokens])
        if not self.lengths:
            raise DataError(
                f"{file.name}: no text of it can be used: of {read:,} rows {held_out:,} are in the validation or test "
                f"part, {repeated:,} are repeated and {refused:,} cannot be read"
            )
        return TextCount(read=read, used=len(self.lengths), held_out=held_out, repeated=repeated, refused=refused)


def _keys(corpus: Corpus) -> tuple[set[int], set[int]]:
    """The keys of the texts that are held out, and of those in the training part."""
    import pyarrow.parquet as pq

    table = pq.read_table(corpus.path / TWEETS_FILE, columns=["text"])
    held_out: set[int] = set()
    training: set[int] = set()
    for part, text in zip(corpus.parts.tolist(), table.column("text").to_pylist(), strict=True):
        (held_out if part else training).add(identify(normalise(text)).key)
    return held_out, training


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
