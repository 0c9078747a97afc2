"""The token types that have a vector of their own, their indices, and the vectors that they may start from."""

import codecs
import re
from collections.abc import Iterator, Mapping, Sequence
from itertools import islice
from pathlib import Path
from typing import Self

import numpy as np
import numpy.typing as npt

from sentiment.config import VocabularyConfig
from sentiment.data.corpus import Corpus
from sentiment.data.tables import opened_bytes
from sentiment.errors import ConfigError, DataError
from sentiment.files import WriteFile, read_named, write_atomically

# The index after the end of a short tweet in a batch.
PADDING = 0
# The index of all types that are not in the vocabulary.
UNKNOWN = 1
_SPECIAL = 2
_MOST_BYTES = 1_000_000_000
_LONGEST_LINE = 1 << 25
_HEADER = re.compile(rb"\s*(\d+)\s+\d+\s*")
# Standard deviation of the random vectors of types that a file of vectors lacks.
_SCALE = 0.1


class Vocabulary:
    """Gives token types the indices 2, 3, ... in the given order.

    Raises:
        DataError: a type is given twice, is empty or holds white space.
    """

    def __init__(self, types: Sequence[str]) -> None:
        self.types = tuple(types)
        self._index = {token: number for number, token in enumerate(self.types, start=_SPECIAL)}
        blank = next((token for token in self.types if token.split() != [token]), None)
        if blank is not None:
            raise DataError(f"{blank!r} is no token: one without blanks is expected")
        if len(self._index) != len(self.types):
            raise DataError("a type stands there twice")

    def __len__(self) -> int:
        """The number of vectors in an embedding: the types, padding, and the unknown token."""
        return len(self.types) + _SPECIAL

    @classmethod
    def build(cls, corpus: Corpus, config: VocabularyConfig) -> Self:
        """The types of the training part, the most frequent first, equally frequent ones in alphabetical order.

        Raises:
            DataError: no type is frequent enough.
        """
        in_training = np.repeat(corpus.parts == 0, corpus.lengths())
        counts = np.bincount(corpus.token_ids[in_training], minlength=len(corpus.types))
        frequent = np.flatnonzero(counts >= config.min_count).tolist()
        if not frequent:
            raise DataError(
                f"{corpus.path}: no token occurs {config.min_count:,} times in the training part "
                f"(the most frequent one {counts.max():,} times); lower data.vocabulary.min_count"
            )
        frequent.sort(key=lambda number: (-counts[number], corpus.types[number]))
        return cls([corpus.types[number] for number in frequent[: config.max_size]])

    def with_types_of(self, vectors: Path, most: int) -> Self:
        """This vocabulary, and after it the further types that a file has vectors of, in its order.

        Args:
            vectors: a file in the format of word2vec.
            most: the largest number of types in all.

        Raises:
            DataError: the file cannot be read.
        """
        known = self._index
        further = (token for token in read_types(vectors) if token not in known)
        return type(self)([*self.types, *islice(further, max(most - len(self.types), 0))])

    def encode(self, tokens: Sequence[str]) -> npt.NDArray[np.int64]:
        """The index of each token, UNKNOWN for those not in the vocabulary. Shape (tokens,)."""
        return np.array([self._index.get(token, UNKNOWN) for token in tokens], np.int64)

    def write(self, path: Path, write_file: WriteFile = write_atomically) -> None:
        """Write one type per line, atomically."""
        content = "".join(f"{token}\n" for token in self.types).encode()
        write_file(path, lambda file: file.write(content))

    @classmethod
    def read(cls, path: Path) -> Self:
        """Read a file that `write` wrote.

        Raises:
            DataError: the file is missing, truncated, or not a vocabulary.
        """
        try:
            content = read_named(path, _MOST_BYTES)
        except OSError as error:
            raise DataError(f"{path}: cannot be read as a vocabulary: {error}") from None
        return cls.from_bytes(content, str(path))

    @classmethod
    def from_bytes(cls, content: bytes, path: str) -> Self:
        """What `write` wrote.

        Args:
            path: where it was, for messages.

        Raises:
            DataError: it is truncated, or not a vocabulary.
        """
        try:
            if not content.endswith(b"\n"):
                raise DataError("its last line has no end")
            return cls(content.decode().split("\n")[:-1])
        except (UnicodeDecodeError, DataError) as error:
            raise DataError(f"{path}: is truncated or no vocabulary: {error}") from None


def load_vectors(path: Path, vocabulary: Vocabulary, size: int, seed: int = 0) -> tuple[npt.NDArray[np.float32], int]:
    """Read the vectors of a vocabulary's types from a text file in the format of GloVe or word2vec.

    Args:
        path: the file, which may be compressed (`.gz`).
        vocabulary: the types that are looked for.
        size: the numbers per token that the model expects.
        seed: for the small random vectors of types that are not in the file.

    Returns:
        The vectors, shape (len(vocabulary), size), with zeros for padding; and how many types were found.

    Raises:
        DataError: the file cannot be read, or a line is not a token and numbers.
        ConfigError: the vectors do not have the expected width.
    """
    vectors = np.random.default_rng(seed).normal(0, _SCALE, (len(vocabulary), size)).astype(np.float32)
    vectors[PADDING] = 0
    wanted = {token: number for number, token in enumerate(vocabulary.types, start=_SPECIAL)}
    found = 0
    for number, vector in read_vectors(path, wanted, size):
        vectors[number] = vector
        found += 1
    return vectors, found


def read_vectors(path: Path, wanted: Mapping[str, int], size: int) -> Iterator[tuple[int, npt.NDArray[np.float32]]]:
    """The number and the vector of each wanted token in the file, once, in the order of the lines.

    Args:
        path: the file, which may be compressed (`.gz`); a first line of two counts is skipped.
        wanted: tokens, and the number to give for each.
        size: the expected numbers per token.

    Raises:
        DataError: the file cannot be read or is truncated, or a line is not a token and finite numbers.
        ConfigError: the vectors do not have the expected width.
    """
    left = {token.encode("utf-8", "surrogatepass"): number for token, number in wanted.items()}
    checked = False
    for line, content in _vector_lines(path):
        # As bytes: text would be split at blanks beyond ASCII too, which stand in tokens.
        fields = content.rsplit(None, size)
        if not checked and (width := len(content.split()) - 1) != size:
            raise ConfigError(
                f"{path}:{line}: has {width} numbers after the token, but embedding.size is {size}; set it to {width}, "
                "or name a text file whose lines are a token and its numbers"
            )
        checked = True
        if len(fields) == size and content[:1].isspace():  # GloVe has a token that is a blank
            continue
        if len(fields) <= size:
            raise DataError(f"{path}:{line}: a token and {size} numbers are expected; the file may be truncated")
        number = left.pop(fields[0], None)
        if number is not None:
            yield number, _numbers(fields[1:], f"{path}:{line}")
    if not checked:
        raise DataError(f"{path}: holds no vectors")


def read_types(path: Path) -> Iterator[str]:
    """The types that a file has vectors of, in the order of the lines.

    Raises:
        DataError: the file cannot be read, or is truncated.
    """
    return (content.split(b" ", 1)[0].decode("utf-8", "replace") for _, content in _vector_lines(path))


def write_vectors(path: Path, types: Sequence[str], vectors: npt.NDArray[np.float32]) -> None:
    """Write the text format of word2vec; nine digits are enough to read the same float32 back."""
    lines = [f"{len(types)} {vectors.shape[1]}\n"]
    for token, vector in zip(types, vectors.tolist(), strict=True):
        lines.append(" ".join([token, *(f"{value:.9g}" for value in vector)]) + "\n")
    write_atomically(path, lambda file: file.writelines(line.encode() for line in lines))


def _vector_lines(path: Path) -> Iterator[tuple[int, bytes]]:
    """The lines but the one of counts, with their numbers from 1; as many as that one says, if there is one."""
    line, expected = 0, None
    with opened_bytes(path) as file:
        while content := file.readline(_LONGEST_LINE):
            line += 1
            if len(content) == _LONGEST_LINE:
                raise DataError(f"{path}:{line}: is too long for a token and its numbers")
            if line == 1 and (counts := _HEADER.fullmatch(content.removeprefix(codecs.BOM_UTF8))):
                expected = int(counts[1])
                continue
            yield line, content.removeprefix(codecs.BOM_UTF8) if line == 1 else content
    if expected is not None and line - 1 != expected:
        raise DataError(f"{path}: has {line - 1:,} vectors where its first line says {expected:,}; it may be truncated")


def _numbers(fields: list[bytes], place: str) -> npt.NDArray[np.float32]:
    try:
        with np.errstate(over="ignore"):
            values = np.array([float(field.decode("utf-8", "replace")) for field in fields]).astype(np.float32)
    except ValueError as error:
        raise DataError(f"{place}: {error}, but a token and {len(fields)} numbers are expected") from None
    if not np.isfinite(values).all():
        raise DataError(f"{place}: holds a number that is not finite, or too large for a float32")
    return values
