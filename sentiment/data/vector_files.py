"""Text files of word vectors in the format of word2vec or GloVe: a line holds a token and its numbers."""

import codecs
import re
from collections.abc import Iterator, Mapping, Sequence
from itertools import takewhile
from pathlib import Path

import numpy as np
import numpy.typing as npt

from sentiment.data.tables import opened_bytes
from sentiment.errors import ConfigError, DataError
from sentiment.files import write_atomically

_LONGEST_LINE = 1 << 25
_HEADER = re.compile(rb"\s*(\d+)\s+\d+\s*")


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
        if not checked:
            _check_width(content, size, f"{path}:{line}")
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


def _check_width(content: bytes, size: int, place: str) -> None:
    """Refuse a file by its first vector, which shows at once what kind of file it is."""
    found = sum(1 for _ in takewhile(_is_number, reversed(content.split()[1:])))
    if found == 0:
        raise DataError(f"{place}: is binary or holds no numbers; lines of a token and its {size} numbers are expected")
    if found != size:
        raise ConfigError(f"{place}: has {found} numbers, but embedding.size is {size}; set it to {found}")


def _is_number(text: bytes) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True


def _numbers(fields: list[bytes], place: str) -> npt.NDArray[np.float32]:
    try:
        with np.errstate(over="ignore"):
            values = np.array([float(field.decode("utf-8", "replace")) for field in fields]).astype(np.float32)
    except ValueError as error:
        raise DataError(f"{place}: {error}, but a token and {len(fields)} numbers are expected") from None
    if not np.isfinite(values).all():
        raise DataError(f"{place}: holds a number that is not finite, or too large for a float32")
    return values
