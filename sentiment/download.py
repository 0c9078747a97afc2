"""Downloads files from mirrors: with resume, SHA-256 check and atomic rename."""

import http.client
import os
import socket
import ssl
import urllib.error
import urllib.request
from collections.abc import Iterable, Sequence
from pathlib import Path

from sentiment.console import Progress
from sentiment.errors import DownloadError
from sentiment.files import Remote, delete_leftovers, user_path
from sentiment.runs.locks import Lock

_TIMEOUT_SECONDS = 30
_ATTEMPTS = 3
_BLOCK = 1 << 18
_NETWORK_ERRORS = (urllib.error.URLError, http.client.HTTPException, ConnectionError, TimeoutError, ssl.SSLError)


def download(remote: Remote, folder: Path, progress: Progress) -> Path:
    """Download a file unless it exists; of several processes one does, and the others find it then.

    A partial download stays in `<name>.<host>.part`, and the next call on this host resumes it.

    Raises:
        DownloadError: lists the attempts.
    """
    target = folder / remote.name
    if not _is_complete(target, remote):
        try:
            target.parent.mkdir(parents=True, exist_ok=True)
            with Lock(target.with_name(f".{target.name}.lock"), f"downloads {target.name}", progress):
                if not _is_complete(target, remote):
                    _download(remote, target, progress)
        except OSError as error:
            raise DownloadError(f"{target}: cannot be written: {error}") from None
    return target


def _is_complete(target: Path, remote: Remote) -> bool:
    """Whether the file is there; raises DownloadError if another file is in its place."""
    if target.exists() and not remote.matches(target):
        raise DownloadError(f"{target}: is not the expected file (wrong size or SHA-256); delete it and try again")
    return target.exists()


def _download(remote: Remote, target: Path, progress: Progress) -> None:
    part = target.with_name(f"{target.name}.{socket.gethostname()}.part")
    failures = []
    for url in (url for url in remote.urls for _ in range(_ATTEMPTS)):
        try:
            expected = _fetch(url, part, remote, progress)
        except _NETWORK_ERRORS as error:
            failures.append(f"{url}: {error}")
            continue
        size = part.stat().st_size
        if size == expected and remote.matches(part):
            part.replace(target)
            delete_leftovers(target.parent, f"{target.name}.*.part")
            return
        if size < expected:
            failures.append(f"{url}: ended after {size:,} of {expected:,} bytes")
        else:
            failures.append(f"{url}: the returned file ({size:,} bytes) is not the expected file")
            part.unlink()
    tried = "\n  ".join(dict.fromkeys(failures))
    raise DownloadError(
        f"{target.name} could not be fetched:\n  {tried}\nwhere there is no network, put the file at {target}"
    )


def _fetch(url: str, part: Path, remote: Remote, progress: Progress) -> int:
    """Append the missing bytes to `part`, or start again if the server cannot resume; returns the file's full size."""
    done = part.stat().st_size if part.exists() else 0
    size = remote.size
    if size is None and done:
        done -= 1  # ask for the last byte again: for a complete file the server would answer 416
        os.truncate(part, done)
    if size is not None and done >= size:
        return size
    request = urllib.request.Request(url, headers={"Range": f"bytes={done}-"} if done else {})  # noqa: S310
    with urllib.request.urlopen(request, timeout=_TIMEOUT_SECONDS) as response:  # noqa: S310
        if not (response.headers.get("Content-Range") or "").startswith(f"bytes {done}-"):
            done = 0
        content_length = response.headers.get("Content-Length", "")
        if not size and content_length.isdecimal():
            size = done + int(content_length)
        if not size:
            raise http.client.HTTPException("does not say how large the file is; name another mirror")
        with open(part, "ab" if done else "wb") as file:
            # A byte more than expected reveals another file.
            while done <= size and (block := response.read1(_BLOCK)):
                file.write(block)
                done += len(block)
                progress(f"fetching {remote.name}", done, size)
    return size


def candidate_urls(mirrors: Iterable[str], names: Sequence[str]) -> list[str]:
    """All candidate URLs of a file: each name under each mirror (a folder or a URL)."""
    urls = []
    for mirror in mirrors:
        base = mirror if "://" in mirror else user_path(mirror).resolve().as_uri()
        urls += [f"{base.rstrip('/')}/{name}" for name in names]
    return urls
