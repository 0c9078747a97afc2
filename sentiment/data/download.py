"""Files fetched from the network, from any of several mirrors: resumed, checked by SHA-256, put in place whole."""

import http.client
import urllib.error
import urllib.request
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from sentiment.console import Progress, silent
from sentiment.errors import DownloadError
from sentiment.files import named_path, sha256_of


def addresses(places: Iterable[str], names: Sequence[str]) -> list[str]:
    """The addresses at which a file may be found: under each of its names in each place, a folder or an address."""
    urls = (place if "://" in place else named_path(place).resolve().as_uri() for place in places)
    return [f"{url.rstrip('/')}/{name}" for url in urls for name in names]


_TIMEOUT_SECONDS = 30
_ATTEMPTS = 3
_BLOCK = 1 << 18
_LARGEST_FILE = 10_000_000_000
_NETWORK_ERRORS = (urllib.error.URLError, http.client.HTTPException, ConnectionError, TimeoutError)


@dataclass(frozen=True)
class Remote:
    """A file whose content is known before it is fetched.

    Attributes:
        urls: mirrors, in the order in which they are tried.
        size: in bytes.
        sha256: empty if the publisher gives none.
    """

    name: str
    urls: Sequence[str]
    size: int
    sha256: str

    def is_at(self, path: Path) -> bool:
        """Whether a file is this one."""
        return path.stat().st_size == self.size and (not self.sha256 or sha256_of(path) == self.sha256)


def download(remote: Remote, folder: Path, progress: Progress | None = None) -> Path:
    """Fetch a file unless it is there already.

    A partial download stays in `<name>.part`, where the next call continues it.

    Returns:
        The path of the complete and verified file.

    Raises:
        DownloadError: it could not be fetched or is not the expected file; the message says what was tried.
    """
    target, part = folder / remote.name, folder / f"{remote.name}.part"
    if target.exists():
        if remote.is_at(target):
            return target
        raise DownloadError(f"{target}: is not the expected file (wrong size or SHA-256); delete it and try again")
    failures = []
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for url in (url for url in remote.urls for _ in range(_ATTEMPTS)):
            try:
                _fetch(url, part, remote, progress or silent)
            except _NETWORK_ERRORS as error:
                failures.append(f"{url}: {error}")
                continue
            size = part.stat().st_size
            if remote.is_at(part):
                part.replace(target)
                return target
            if size < remote.size:
                failures.append(f"{url}: ended after {size:,} of {remote.size:,} bytes")
            else:
                failures.append(f"{url}: what it gives ({size:,} bytes) is not the expected file")
                part.unlink()
    except OSError as error:
        raise DownloadError(f"{target}: cannot be written: {error}") from None
    raise _not_fetched(target, failures)


def size_of(file: str, urls: Sequence[str], folder: Path) -> int:
    """Size of a file in bytes, from the first server that tells it.

    Args:
        folder: where the file is to be put, for the message.

    Raises:
        DownloadError: none does; the message says what was tried.
    """
    failures = []
    for url in urls:
        request = urllib.request.Request(url, method="HEAD")  # noqa: S310  # from a list of mirrors
        try:
            with urllib.request.urlopen(request, timeout=_TIMEOUT_SECONDS) as response:  # noqa: S310
                length = response.headers.get("Content-Length", "")
            if length.isdecimal() and 0 < int(length) <= _LARGEST_FILE:
                return int(length)
            failures.append(f"{url}: tells {length[:40]!r} as the size; 1 to {_LARGEST_FILE:,} bytes are expected")
        except _NETWORK_ERRORS as error:
            failures.append(f"{url}: {error}")
    raise _not_fetched(folder / file, failures)


def _not_fetched(target: Path, failures: Iterable[str]) -> DownloadError:
    tried = "\n  ".join(dict.fromkeys(failures))
    return DownloadError(
        f"{target.name} could not be fetched:\n  {tried}\nwhere there is no network, put the file at {target}"
    )


def _fetch(url: str, part: Path, remote: Remote, progress: Progress) -> None:
    """Append what is missing to `part`, or start again if the server cannot continue."""
    done = part.stat().st_size if part.exists() else 0
    if done >= remote.size:
        return
    request = urllib.request.Request(url, headers={"Range": f"bytes={done}-"} if done else {})  # noqa: S310
    with urllib.request.urlopen(request, timeout=_TIMEOUT_SECONDS) as response:  # noqa: S310
        if not (response.headers.get("Content-Range") or "").startswith(f"bytes {done}-"):
            done = 0
        with open(part, "ab" if done else "wb") as file:
            # One byte more than expected shows that it is another file.
            while done <= remote.size and (block := response.read1(_BLOCK)):
                file.write(block)
                done += len(block)
                progress(f"fetching {remote.name}", done, remote.size)
