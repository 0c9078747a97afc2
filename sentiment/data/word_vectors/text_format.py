"""Reads token vectors from text files in the formats of GloVe and word2vec."""

import codecs
import re
from collections.abc import Iterator, Mapping
from functools import partial
from itertools import takewhile
from pathlib import Path
from typing import BinaryIO

import numpy as np

from sentiment.data.tables.lines import LINE_LIMIT, open_bytes, translated_errors
from sentiment.errors import ConfigError, DataError

_BYTES_OF_A_NUMBER = 32
_MOST_NUMBERS = 1_000_000
_HEADER = re.compile(rb"\s*\d+\s+(\d+)\s*")
_LARGEST = float(np.finfo(np.float32).max)


def read_vectors(path: Path, wanted: Mapping[str, int], size: int) -> Iterator[tuple[int, list[float]]]:
    """The number and the vector of each wanted token in the file, once, in the order of the lines.

    Each line holds a token, which may contain blanks, and `size` numbers; a first line of two counts is skipped, unless
    the second is not the width of what follows.

    Args:
        path: the file, which may be compressed (`.gz`).
        wanted: tokens, and the number to give for each.
        size: the expected numbers per token.

    Raises:
        DataError: the file cannot be read or is empty or binary, or a line is not a token and numbers that a float32
            can hold, or too long for them.
        ConfigError: the vectors do not have the expected width.
    """
    left = {token.encode("utf-8", "surrogatepass"): number for token, number in wanted.items()}
    line, told = 0, None
    with translated_errors(path), open_bytes(path) as file:
        for line, content in enumerate(bounded_lines(file, size, path), start=1):
            if line == 1:
                content = content.removeprefix(codecs.BOM_UTF8)
                if told := _HEADER.fullmatch(content):
                    continue
            if line == 1 + bool(told):
                _check_width(content, size, f"{path}:{line}", told and int(told[1]))
            # As bytes: text would be split at blanks beyond ASCII too, which stand in tokens.
            fields = content.rsplit(None, size)
            if len(fields) == size and content[:1].isspace():  # GloVe has a token that is a blank
                continue
            if len(fields) <= size:
                raise DataError(
                    f"{path}:{line}: ends in {_width(content)} numbers, but a token and {size} numbers are expected"
                )
            number = left.pop(fields[0], None)
            if number is not None:
                yield number, _numbers(fields[1:], f"{path}:{line}")
    if not line:
        raise DataError(f"{path}: is empty")


def read_types(path: Path) -> Iterator[str]:
    """The types that a file in the format of word2vec has vectors of, in the order of the lines.

    Raises:
        DataError: the file cannot be read, or holds a line that is too long.
    """
    with translated_errors(path), open_bytes(path) as file:
        lines = bounded_lines(file, _MOST_NUMBERS, path)
        next(lines, None)
        for line in lines:
            yield line.split(b" ", 1)[0].decode("utf-8", "replace")


def bounded_lines(file: BinaryIO, size: int, path: Path) -> Iterator[bytes]:
    """The lines of a file of vectors.

    Args:
        size: how many numbers a line has at most.
        path: of the file, for messages.

    Raises:
        DataError: a line is longer than a token and so many numbers can be.
    """
    most = LINE_LIMIT + size * _BYTES_OF_A_NUMBER
    for number, line in enumerate(iter(partial(file.readline, most), b""), start=1):
        if len(line) >= most:  # more comes from within a zip
            raise DataError(f"{path}:{number}: is longer than {most:,} bytes, too long for a token and its numbers")
        yield line


def _check_width(content: bytes, size: int, place: str, told: int | None) -> None:
    """Refuse a file by its first vector, which shows at once what kind of file it is.

    Args:
        told: how many numbers a token has according to the line before.
    """
    found = _width(content)
    if found == 0:
        binary = b"\0" in content or "\ufffd" in content.decode("utf-8", "replace")
        what = "is binary (gensim's `save_word2vec_format` writes the same as text)" if binary else "holds no numbers"
        raise DataError(f"{place}: {what}; lines of a token and its {size} numbers are expected")
    if told is not None and told != found:
        raise DataError(f"{place}: has {found} numbers, but the line before tells of {told}; the file is damaged")
    if found != size:
        raise ConfigError(f"{place}: has {found} numbers, but embedding.size is {size}; set it to {found}")


def _width(content: bytes) -> int:
    """How many numbers stand after the token."""
    return sum(1 for _ in takewhile(_is_number, reversed(content.split()[1:])))


def _numbers(fields: list[bytes], place: str) -> list[float]:
    try:
        values = [float(field.decode("utf-8", "replace")) for field in fields]
    except ValueError as error:
        raise DataError(f"{place}: {error}, but a token and {len(fields)} numbers are expected") from None
    if not all(abs(value) <= _LARGEST for value in values):
        raise DataError(f"{place}: holds a number that is not finite, or too large for a float32")
    return values


def _is_number(text: bytes) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True
