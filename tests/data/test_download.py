"""Downloads: resumed, verified, and refused if they are not the expected file."""

import hashlib
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from sentiment.console import silent
from sentiment.data.sources import Remote, download
from sentiment.errors import DownloadError
from tests.serving import serving

CONTENT = bytes(range(256)) * 4096


class Server(ThreadingHTTPServer):
    """Serves CONTENT on loopback; `cut` says after how many bytes it drops each connection."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.content, self.ranges, self.tells_size = CONTENT, True, True
        self.cut: list[int] = []
        self.asked: list[str | None] = []
        self.url = f"http://127.0.0.1:{self.server_address[1]}/file.zip"

    def remote(self, *urls: str) -> Remote:
        return Remote("file.zip", urls or (self.url,), len(CONTENT), hashlib.sha256(CONTENT).hexdigest())


class Handler(BaseHTTPRequestHandler):
    server: Server

    def do_GET(self) -> None:
        asked = self.headers.get("Range")
        self.server.asked.append(asked)
        start = int(asked.removeprefix("bytes=").rstrip("-")) if asked and self.server.ranges else 0
        total = len(self.server.content)
        if self.path != "/file.zip" or start >= total:
            self.send_error(404 if start < total else 416)
            return
        self.send_response(206 if start else 200)
        if start:
            self.send_header("Content-Range", f"bytes {start}-{total - 1}/{total}")
        if self.server.tells_size:
            self.send_header("Content-Length", str(total - start))
        self.end_headers()
        end = start + self.server.cut.pop(0) if self.server.cut else total
        self.wfile.write(self.server.content[start:end])

    def log_message(self, format: str, *args: object) -> None:
        pass


@pytest.fixture
def server() -> Iterator[Server]:
    with serving(Server()) as running:
        yield running


def test_a_file_arrives_and_is_not_fetched_twice(server: Server, tmp_path: Path) -> None:
    seen: list[tuple[str, int, int | None]] = []
    path = download(server.remote(), tmp_path / "new", lambda *report: seen.append(report))
    assert path.read_bytes() == CONTENT
    assert seen[-1] == ("fetching file.zip", len(CONTENT), len(CONTENT))
    assert download(server.remote(), tmp_path / "new", silent) == path
    assert server.asked == [None]
    assert [file.name for file in path.parent.iterdir()] == ["file.zip"]


def test_an_interrupted_file_is_continued_where_it_ended_by_a_later_call_too(server: Server, tmp_path: Path) -> None:
    server.cut = [1000, 5000, 0]
    with pytest.raises(DownloadError, match=r"ended after 6,000 of 1,048,576 bytes"):
        download(server.remote(), tmp_path, silent)
    assert download(server.remote(), tmp_path, silent).read_bytes() == CONTENT
    assert server.asked == [None, "bytes=1000-", "bytes=6000-", "bytes=6000-"]


def test_a_server_that_cannot_resume_is_read_from_the_start(server: Server, tmp_path: Path) -> None:
    (tmp_path / "file.zip.part").write_bytes(b"x" * 500)
    server.ranges = False
    assert download(server.remote(), tmp_path, silent).read_bytes() == CONTENT


def test_a_size_that_nobody_gives_is_that_of_the_answer(server: Server, tmp_path: Path) -> None:
    unknown = Remote("file.zip", (server.url,), None, "")
    server.cut = [1000, 5000, 0]
    with pytest.raises(DownloadError, match=r"ended after 5,999 of 1,048,576 bytes"):
        download(unknown, tmp_path, silent)
    (tmp_path / "file.zip.part").write_bytes(CONTENT)  # killed before it was put in place
    assert download(unknown, tmp_path, silent).read_bytes() == CONTENT
    assert server.asked == [None, "bytes=999-", "bytes=5998-", f"bytes={len(CONTENT) - 1}-"]
    server.tells_size = False
    with pytest.raises(DownloadError, match=rf"{server.url}: does not say how large the file is"):
        download(unknown, tmp_path / "b", silent)


@pytest.mark.parametrize("content", [CONTENT[:-1] + b"!", CONTENT + b"more", b"x" * len(CONTENT)])
def test_another_file_is_refused_and_not_kept(server: Server, tmp_path: Path, content: bytes) -> None:
    server.content = content
    with pytest.raises(DownloadError, match=rf"{server.url}: .*not the expected file"):
        download(server.remote(), tmp_path, silent)
    assert list(tmp_path.iterdir()) == []


def test_the_next_mirror_is_tried_and_all_are_named(server: Server, tmp_path: Path) -> None:
    missing = server.url.replace("file.zip", "gone.zip")
    assert download(server.remote(missing, server.url), tmp_path / "a", silent).read_bytes() == CONTENT
    with pytest.raises(DownloadError, match=r"(?s)gone\.zip: HTTP Error 404.*put the file at .*b/file\.zip"):
        download(server.remote(missing), tmp_path / "b", silent)


def test_what_stands_in_its_place_is_named_and_left_alone(server: Server, tmp_path: Path) -> None:
    (tmp_path / "file.zip").write_bytes(b"mine")
    with pytest.raises(DownloadError, match=r"file\.zip: is not the expected file .*delete it"):
        download(server.remote(), tmp_path, silent)
    assert (tmp_path / "file.zip").read_bytes() == b"mine"
    with pytest.raises(DownloadError, match="cannot be written"):
        download(server.remote(), tmp_path / "file.zip", silent)
