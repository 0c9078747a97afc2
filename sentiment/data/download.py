"""Files fetched from the network, from any of several mirrors: resumed, checked by SHA-256, put in place whole."""

import http.client
import time
import urllib.error
import urllib.request
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

from pydantic import Field, ValidationError

from sentiment.config import Section
from sentiment.config_file import explain, read_yaml
from sentiment.console import Progress, silent
from sentiment.errors import ConfigError, DownloadError
from sentiment.files import named_path, sha256_of
from sentiment.install_paths import shipped_file

MIRRORS_FILE = Path("configs/mirrors.yaml")
Places = Annotated[tuple[str, ...], Field(strict=False)]


class Mirrors(Section):
    """Places in the order in which they are tried, before the publishers' own: addresses that begin with `https://`,
    `http://` or `file://`, and folders of this machine."""

    elmo: Places = ()
    """Hold the files of ELMo models, each model's in its own folder as the publishers have them, or all in one."""


def read_mirrors(path: Path | None = None) -> Mirrors:
    """The places that a file names; without a path those of `configs/mirrors.yaml`, or none if that is missing.

    Raises:
        ConfigError: there is no such file, or it is not valid.
    """
    if path is None and not shipped_file(MIRRORS_FILE).exists():
        return Mirrors()
    path = path or MIRRORS_FILE
    try:
        return Mirrors.model_validate(read_yaml(path))
    except ValidationError as error:
        raise ConfigError(explain(error, Mirrors, str(path))) from None


def addresses(places: Iterable[str], names: Sequence[str]) -> list[str]:
    """The addresses at which a file may be found: under each of its names in each place."""
    return [f"{_address(place).rstrip('/')}/{name}" for place in places for name in names]


def _address(place: str) -> str:
    return place if "://" in place else named_path(place).resolve().as_uri()


_TIMEOUT_SECONDS = 30
_ATTEMPTS = 3
_BLOCK = 1 << 18
_RATE_SECONDS = 30.0
_LEAST_RATE = 1_000
_LARGEST_FILE = 10_000_000_000
_RANGE_NOT_SATISFIABLE = 416


@dataclass(frozen=True)
class Remote:
    """A file whose content is known before it is fetched."""

    name: str
    urls: Sequence[str]
    """Mirrors, in the order in which they are tried."""
    size: int
    """In bytes."""
    sha256: str
    """Empty if the publisher gives none."""


def download(remote: Remote, folder: Path, progress: Progress | None = None) -> Path:
    """Fetch a file unless it is there already.

    A partial download stays in `<name>.part`, where the next call continues it.

    Returns:
        The path of the complete and verified file.

    Raises:
        DownloadError: it could not be fetched or is not the expected file; the message says what was tried.
    """
    target = folder / remote.name
    if target.exists():
        if _is(remote, target):
            return target
        raise DownloadError(f"{target}: is not the expected file (wrong size or SHA-256); delete it and try again")
    try:
        folder.mkdir(parents=True, exist_ok=True)
        return _fetch_from_any(remote, target, progress or silent)
    except OSError as error:
        raise DownloadError(f"{target}: cannot be written: {error}") from None


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
        except (urllib.error.URLError, http.client.HTTPException, ConnectionError, TimeoutError) as error:
            failures.append(f"{url}: {error}")
    tried = "\n  ".join(failures)
    raise DownloadError(
        f"{file} could not be fetched:\n  {tried}\nwithout access to the internet, put the file at {folder / file}"
    )


def _fetch_from_any(remote: Remote, target: Path, progress: Progress) -> Path:
    part = target.with_name(target.name + ".part")
    failures = []
    for url in remote.urls:
        for _ in range(_ATTEMPTS):
            try:
                _fetch(url, part, remote, progress)
            except (urllib.error.URLError, http.client.HTTPException, ConnectionError, TimeoutError) as error:
                failures.append(f"{url}: {error}")
                if isinstance(error, urllib.error.HTTPError):
                    break
                continue
            if (size := part.stat().st_size) < remote.size:
                failures.append(f"{url}: ended after {size:,} of {remote.size:,} bytes")
                continue
            if _is(remote, part):
                part.replace(target)
                return target
            failures.append(f"{url}: what it gives ({size:,} bytes) is not the expected file")
            part.unlink()
            break
    tried = "\n  ".join(dict.fromkeys(failures))
    raise DownloadError(
        f"{remote.name} could not be fetched:\n  {tried}\nwhere there is no network, put the file at {target}"
    )


def _fetch(url: str, part: Path, remote: Remote, progress: Progress) -> None:
    """Append what is missing to `part`, or start again if the server cannot continue."""
    start = part.stat().st_size if part.exists() else 0
    if start >= remote.size:
        return
    headers = {"Range": f"bytes={start}-"} if start else {}
    request = urllib.request.Request(url, headers=headers)  # noqa: S310  # from a fixed list of mirrors
    try:
        response = urllib.request.urlopen(request, timeout=_TIMEOUT_SECONDS)  # noqa: S310
    except urllib.error.HTTPError as error:
        if error.code == _RANGE_NOT_SATISFIABLE:
            part.unlink()
        raise
    with response:
        continues = (response.headers.get("Content-Range") or "").startswith(f"bytes {start}-")
        with open(part, "ab" if continues else "wb") as file:
            done = start if continues else 0
            # One byte more than expected shows that it is another file.
            rate = _Rate()
            while done <= remote.size and (block := response.read1(_BLOCK)):
                file.write(block)
                done += len(block)
                progress(f"fetching {remote.name}", done, remote.size)
                rate.count(len(block))


class _Rate:
    """Watches that a server sends at all; one that trickles would keep a download going for days."""

    def __init__(self) -> None:
        self._since, self._bytes = time.monotonic(), 0

    def count(self, received: int) -> None:
        """Add bytes.

        Raises:
            TimeoutError: the last half minute brought too few.
        """
        self._bytes += received
        seconds = time.monotonic() - self._since
        if seconds < _RATE_SECONDS:
            return
        if self._bytes < _LEAST_RATE * seconds:
            raise TimeoutError(
                f"sent {self._bytes:,} bytes in {seconds:.0f} s; at least {_LEAST_RATE:,} a second are expected"
            )
        self._since, self._bytes = time.monotonic(), 0


def _is(remote: Remote, path: Path) -> bool:
    return path.stat().st_size == remote.size and (not remote.sha256 or sha256_of(path) == remote.sha256)
