"""The token types that have a vector of their own, their indices, and the vectors that they may start from."""

from collections.abc import Sequence
from itertools import islice
from pathlib import Path
from typing import Self

import numpy as np
import numpy.typing as npt

from sentiment.config import VocabularyConfig
from sentiment.data.corpus.corpus import Corpus
from sentiment.data.vector_files import read_types, read_vectors
from sentiment.errors import DataError
from sentiment.files import WriteFile, read_named, write_atomically

PADDING = 0
"""The index after the end of a short tweet in a batch."""
UNKNOWN = 1
"""The index of all types that are not in the vocabulary."""
_SPECIAL = 2
_MOST_BYTES = 1_000_000_000

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
        if len(self._index) != len(self.types):
            raise DataError("a vocabulary holds each type once only")

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

    def from_corpus_ids(self, corpus: Corpus) -> npt.NDArray[np.int64]:
        """The index of each type of the corpus, so that `result[corpus.token_ids]` is its text. Shape (types,)."""
        return self.encode(corpus.types)

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
        except FileNotFoundError:
            raise DataError(f"{path}: no such file; a vocabulary should be there") from None
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
            text = content.decode("utf-8")
        except UnicodeDecodeError as error:
            raise DataError(f"{path}: cannot be read as a vocabulary: {error}") from None
        if not text.endswith("\n"):
            raise DataError(f"{path}: is truncated: its last line has no end")
        types = text.split("\n")[:-1]
        lines: dict[str, int] = {}
        for line, token in enumerate(types, start=1):
            if not token or token.split() != [token]:
                raise DataError(f"{path}:{line}: {token!r} is no token: one without blanks is expected")
            if (first := lines.setdefault(token, line)) != line:
                raise DataError(f"{path}:{line}: {token!r} is already in line {first}")
        return cls(types)


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
