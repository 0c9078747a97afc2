"""Files of word vectors as GloVe and word2vec write them, and the published ones that are known by name."""

import codecs
import re
import zipfile
import zlib
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from functools import partial
from itertools import takewhile
from pathlib import Path
from typing import BinaryIO, cast

import numpy as np

from sentiment.config import PUBLISHED_VECTORS
from sentiment.console import Progress
from sentiment.data.download import Remote, addresses, download, size_of
from sentiment.data.tables.rows import LINE_LIMIT, open_bytes, translated_errors
from sentiment.errors import ConfigError, DataError
from sentiment.files import open_named, sha256_of, write_atomically, write_json
from sentiment.runs.records import Record
from sentiment.runs.run_dir import Results

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


ARCHIVE = "glove.twitter.27B.zip"
_SERVERS = (
    "https://nlp.stanford.edu/data/",
    "https://downloads.cs.stanford.edu/nlp/data/",
    "https://huggingface.co/stanfordnlp/glove/resolve/main/",
)
_MEMBER = "glove.twitter.27B.{}d.txt"
_EVERY = 20_000
# About as many are in each of the archive's files.
_TYPES = 1_193_514


class PickedRecord(Record):
    """`record.json` of published vectors; written last."""

    fingerprint: str
    """SHA-256 of the name and the corpus; the folder is named after it."""
    name: str
    archive_sha256: str
    source: str
    """The corpus whose types were looked for, and how many there are."""
    wanted: int
    types: int
    """Of these, those that have a vector."""
    vectors_sha256: str

    def render_lines(self) -> list[str]:
        """For a terminal."""
        return [f"{self.name}: has vectors for {self.types:,} of the {self.wanted:,} types of {self.source}"]


def archive_path(results: Results) -> Path:
    """Where the archive is, or will be; it can be deleted once the vectors of all corpora are picked."""
    return results.downloads / ARCHIVE


def fetch_archive(
    results: Results, progress: Progress, mirrors: Sequence[str] = (), servers: Sequence[str] = _SERVERS
) -> Path:
    """Fetch the archive (1.5 GB) unless it is there, from where an earlier attempt was cut off.

    Args:
        mirrors: places that are tried first, see `sentiment.data.download`.

    Raises:
        DownloadError: no place gave it; the message says what was tried.
    """
    path = archive_path(results)
    if path.exists():
        return path
    urls = addresses([*mirrors, *servers], (ARCHIVE,))
    return download(Remote(ARCHIVE, urls, size_of(ARCHIVE, urls, results.downloads), ""), results.downloads, progress)


def pick_vectors(
    name: str, wanted: Collection[str], results: Results, target: Path, progress: Progress
) -> tuple[int, str]:
    """Write the vectors of some types, in the order of the archive, in the text format of word2vec.

    Returns:
        How many types have a vector, and the SHA-256 of the archive.

    Raises:
        DataError: the archive is missing, damaged, or differs from the first one.
    """
    archive, size = archive_path(results), PUBLISHED_VECTORS[name]
    if not archive.exists():
        raise DataError(
            f"{archive}: is missing; `python -m sentiment vectors` with this run's file fetches it (1.5 GB), "
            "where there is a network"
        )
    try:
        with open_named(archive) as whole, zipfile.ZipFile(whole) as opened, opened.open(_MEMBER.format(size)) as file:
            every = bounded_lines(cast(BinaryIO, file), size, archive)
            lines = _lines_of(every, {token.encode() for token in wanted}, name, progress)
    except KeyError:
        raise DataError(f"{archive}: holds no {_MEMBER.format(size)}; is it the archive of GloVe's tweets?") from None
    except (OSError, zipfile.BadZipFile, zlib.error, EOFError) as error:
        raise DataError(f"{archive}: is damaged or no zip archive ({error}); delete it and fetch it again") from None
    checksum = _checksum(archive)
    write_atomically(target, lambda file: file.writelines([f"{len(lines)} {size}\n".encode(), *lines]))
    return len(lines), checksum


def _checksum(archive: Path) -> str:
    """The SHA-256 of the archive; it must equal that of the first one, which a file beside the archive keeps.

    The publisher gives no checksum, so the first download is trusted. The file is in the format of `sha256sum`, and
    stays when the archive is deleted.
    """
    first, found = archive.with_name(f"{archive.name}.sha256"), sha256_of(archive)
    try:
        known = first.read_text("utf-8", "replace").split(maxsplit=1)[:1]
    except FileNotFoundError:
        write_atomically(first, lambda file: file.write(f"{found}  {archive.name}\n".encode()))
        return found
    if known != [found]:
        raise DataError(
            f"{archive}: differs from the archive of the first download (SHA-256 in {first.name}); "
            f"fetch it from another server, or delete {first.name} to take it all the same"
        )
    return found


def write_picked(record: Path, picked: PickedRecord) -> PickedRecord:
    """Write the record, which makes the vectors complete."""
    write_json(record, picked.model_dump(mode="json"))
    return picked


def _lines_of(lines: Iterable[bytes], wanted: set[bytes], name: str, progress: Progress) -> list[bytes]:
    found = []
    for number, line in enumerate(lines):
        if number % _EVERY == 0:
            progress(f"picking {name} vectors", number, max(_TYPES, number))
        if line.split(b" ", 1)[0] in wanted:
            found.append(line.rstrip() + b"\n")
    return found
