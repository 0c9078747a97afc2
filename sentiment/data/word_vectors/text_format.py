"""Reads token vectors from text files in the formats of GloVe and word2vec."""

import math
from collections.abc import Iterator, Mapping
from functools import partial
from pathlib import Path
from typing import BinaryIO

from sentiment.data.tables.lines import LINE_LIMIT, open_bytes, translated_errors
from sentiment.errors import ConfigError, DataError

_BYTES_OF_A_NUMBER = 32
_MOST_NUMBERS = 1_000_000


def read_vectors(path: Path, wanted: Mapping[str, int], size: int) -> Iterator[tuple[int, list[float]]]:
    """The number and the vector of each wanted token in the file, once, in the order of the lines.

    Each line holds a token, which may contain blanks, and `size` numbers; a first line of two counts is skipped.

    Args:
        path: the file, which may be compressed (`.gz`).
        wanted: tokens, and the number to give for each.
        size: the expected numbers per token.

    Raises:
        DataError: the file cannot be read or is empty, or a line is not a token and numbers, or too long for them.
        ConfigError: the vectors do not have the expected width.
    """
    left = dict(wanted)
    line = 0
    with translated_errors(path), open_bytes(path) as file:
        for line, content in enumerate(bounded_lines(file, size, path), start=1):
            fields = content.decode("utf-8", "replace").rstrip().split(" ")
            if line == 1 and len(fields) == 2 and all(field.isdecimal() for field in fields):
                _check_width(int(fields[1]), size, path)
                continue
            if len(fields) != size + 1:
                _check_fields(fields, size, path, line)
            number = left.pop(" ".join(fields[:-size]), None)
            if number is not None:
                yield number, _numbers(fields[-size:], path, line)
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


def _check_fields(fields: list[str], size: int, path: Path, line: int) -> None:
    """Accept a line with more fields than expected if blanks in its token explain them."""
    numbers = 0
    while numbers < len(fields) - 1 and _is_number(fields[-1 - numbers]):
        numbers += 1
    if line <= 2:  # a file of another width shows it at once; later it is a damaged line
        _check_width(numbers, size, path)
    if numbers < size:
        raise DataError(f"{path}:{line}: ends in {numbers} numbers, but a token and {size} numbers are expected")


def _numbers(fields: list[str], path: Path, line: int) -> list[float]:
    try:
        values = [float(field) for field in fields]
    except ValueError as error:
        raise DataError(f"{path}:{line}: {error}, but a token and {len(fields)} numbers are expected") from None
    if not all(map(math.isfinite, values)):
        raise DataError(f"{path}:{line}: holds a number that is not finite")
    return values


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True


def _check_width(found: int, size: int, path: Path) -> None:
    if found != size:
        raise ConfigError(f"{path}: its vectors have {found} numbers, but embedding.size is {size}; set it to {found}")
