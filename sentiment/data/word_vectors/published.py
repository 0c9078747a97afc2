"""GloVe's vectors of two billion tweets (Pennington et al. 2014), of which those that a corpus needs are kept."""

import zipfile
import zlib
from collections.abc import Collection, Iterable, Sequence
from pathlib import Path
from typing import BinaryIO, cast

from sentiment.config import PUBLISHED_VECTORS
from sentiment.console import Progress
from sentiment.data.download import Remote, download, size_of
from sentiment.data.mirrors import addresses
from sentiment.data.word_vectors.text_format import bounded_lines
from sentiment.errors import DataError
from sentiment.files import open_named, sha256_of, write_atomically, write_json
from sentiment.records import Record
from sentiment.run_dir import Results

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
        mirrors: places that are tried first, see `sentiment.data.mirrors`.

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
