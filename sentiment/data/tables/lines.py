"""Lines of text files of any origin: compressed or not, in mixed encodings, and of any length."""

import codecs
import gzip
import io
import zlib
from collections.abc import Generator, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO, cast

from sentiment.errors import DataError
from sentiment.files import open_named

LINE_LIMIT = 1 << 20
"""In bytes; longer lines are cut here, so that no file can fill the memory."""
_BUFFER = 1 << 16


class CutLine(str):
    """The beginning of a line that is longer than LINE_LIMIT; readers refuse it."""

    __slots__ = ()


def read_lines(path: Path) -> Generator[str, None, None]:
    """The lines of a text file (`.gz` or plain) with their line ends, read in bounded memory.

    Raises:
        DataError: the file is missing, a directory, unreadable, empty, in UTF-16, or its compression is damaged.
    """
    with translated_errors(path), open_bytes(path) as file:
        yield from decode_lines(file, str(path))


def open_bytes(path: Path) -> BinaryIO:
    """Open a file for reading, unpacked if its name ends in `.gz`."""
    if path.suffix.lower() == ".gz":
        open_named(path).close()  # refuses what is no file; gzip closes only files that it has opened itself
        return io.BufferedReader(cast(io.RawIOBase, gzip.open(path, "rb")), _BUFFER)
    return open_named(path)


def decode_lines(file: BinaryIO, name: str) -> Iterator[str]:
    """Decode each line as UTF-8 if its bytes allow it, otherwise as latin-1; a byte order mark is dropped.

    Real exports of tweets mix both encodings within one file. A line of more than LINE_LIMIT bytes becomes a CutLine.

    Raises:
        DataError: the file is empty, in UTF-16, or its lines end in carriage returns alone.
    """
    line = file.readline(LINE_LIMIT)
    if not line:
        raise DataError(f"{name}: is empty")
    if line.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        raise DataError(f"{name}: is in UTF-16; save it as UTF-8")
    if b"\r" in line[:-1] and not line.endswith(b"\n"):
        raise DataError(f"{name}: its lines end in carriage returns, as on old Macs; save it with line feeds")
    line = line.removeprefix(codecs.BOM_UTF8)
    while line:
        if len(line) == LINE_LIMIT and not line.endswith(b"\n") and _skip_line(file):
            yield CutLine(_decode(line))
        else:
            yield _decode(line)
        line = file.readline(LINE_LIMIT)


@contextmanager
def translated_errors(path: Path) -> Iterator[None]:
    """Turn errors of the operating system about a file into a DataError that names the file."""
    try:
        yield
    except FileNotFoundError:
        raise DataError(f"{path}: no such file") from None
    except IsADirectoryError:
        raise DataError(f"{path}: is a directory; name a file in it") from None
    except (EOFError, gzip.BadGzipFile, zlib.error) as error:
        raise DataError(f"{path}: is truncated or not a gzip file: {error}") from None
    except OSError as error:
        raise DataError(f"{path}: cannot be read: {error}") from None


def _decode(line: bytes) -> str:
    try:
        return line.decode("utf-8")
    except UnicodeDecodeError:
        return line.decode("latin-1")


def _skip_line(file: BinaryIO) -> bool:
    """Whether more than a line end was left of the line."""
    skipped = rest = file.readline(LINE_LIMIT)
    while rest and not rest.endswith(b"\n"):
        rest = file.readline(LINE_LIMIT)
    return skipped.strip(b"\r\n") != b""
