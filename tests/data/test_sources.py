"""Where tweets come from: sources by name, Sentiment140's archive, VADER's, downloads, files that change."""

import hashlib
import http.client
import io
import os
import shutil
import socket
import ssl
import tarfile
import threading
import time
import zipfile
from collections.abc import Iterator
from contextlib import nullcontext
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from unittest.mock import Mock

import pytest

from jobs.job_kinds import missing_for
from sentiment import download as downloads
from sentiment.config import PARTS, DataConfig, RunConfig
from sentiment.console import silent
from sentiment.data import sources
from sentiment.data.built_in import BUILT_IN
from sentiment.data.corpus import prepare_corpus
from sentiment.data.preparation import HELD_OUT
from sentiment.data.rows import Row
from sentiment.data.table import Refusal
from sentiment.errors import DataError, DownloadError
from sentiment.files import Remote, sha256_of
from sentiment.runs.run_dir import Results
from tests.commands import refused
from tests.data.made_up import sentiment140_lines
from tests.serving import serving

TEST_LINES = ['"4","3","Mon May 11 03:17:40 UTC 2009","tea","ann","I love it"\n', '"2","4","a:b:c","x","bob","It is"\n']


def opened(source: Path | str, results: Results, **options: Any) -> sources.OpenedSource:
    return sources.open_source(DataConfig.model_validate({"source": str(source), **options}), results)


def read(source: Path | str, results: Results) -> list[Row | Refusal]:
    return list(opened(source, results).main.read())


def test_each_name_is_a_source_and_any_other_one_the_path_of_a_table(results: Results, tmp_path: Path) -> None:
    assert {name: opened(name, results).dataset for name in BUILT_IN} == {name: name for name in BUILT_IN}
    own = DataConfig.model_validate({"source": "sample", "columns": {"text": "tweet", "label": "class"}})
    corpus = prepare_corpus(own, results)
    assert (corpus.report.read, corpus.dataset) == (1000, "sample")
    assert not results.downloads.exists()
    lacking = f"its tweets are not in {results.downloads}; fetch them with `{results.command('data', 'vader')}`"
    config = RunConfig(data=DataConfig(source="vader"))
    assert missing_for([config, config], results) == [f"data.source = 'vader': {lacking}"]
    without_files = {name for name in BUILT_IN if sources.source_problem(name, results)}
    assert without_files == {*BUILT_IN} - {"sample"}
    valid = "no such file; valid: sample, sentiment140, tweeteval, vader or the path of a table"
    for source, tests, message in (
        ("~/vadr", {}, rf"/vadr: {valid}"),
        (tmp_path, {}, "is a directory"),
        ("vader", {"gone": {"path": str(tmp_path / "gone.csv")}}, r"gone\.csv: no such file"),
    ):
        with pytest.raises(DataError, match=message):
            opened(source, results, tests=tests)
    sources.fetch_tweets("~/vadr", results, silent)


@pytest.fixture
def archive(results: Results, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A downloaded archive of Sentiment140."""
    path = results.downloads / "trainingandtestdata.zip"
    path.parent.mkdir(parents=True)
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as file:
        file.writestr(sources.TRAINING, "".join(sentiment140_lines(50)))
        file.writestr(sources.MANUAL_TEST, "".join(TEST_LINES))
        file.writestr("../../evil.csv", "never unpacked")
    publish(monkeypatch, "sentiment140", tmp_path / "published", {path.name: path.read_bytes()})
    monkeypatch.setattr(sources, "_FETCHED_WHEN_READ", 0)
    return path


def test_command_data_fetches_all_built_in_sources_of_a_run(
    results: Results, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fetched: list[str] = []
    monkeypatch.setattr(sources, "fetch_tweets", lambda source, *_: fetched.append(source))
    tests = "data.tests={a: {path: vader}}"
    extra_train = "data.extra_train=[{path: sentiment140}]"
    refused(1, "data", "sample", "--set", tests, "--set", extra_train, "--results", tmp_path)
    assert [*dict.fromkeys(fetched)] == ["sample", "sentiment140"]  # vader is the test set, of which `sample` is a part


def test_the_archive_gives_both_sets_without_being_unpacked(archive: Path, results: Results) -> None:
    sources.fetch_tweets("sentiment140", results, silent)
    assert len(read("sentiment140", results)) == 50
    # Of the archive only the tweets labelled by hand test another run.
    assert opened("sentiment140", results).to_test_on.name == "sentiment140:manual"
    (manual,) = opened("vader", results, tests={"mine": {"path": "sentiment140"}}).tests.values()
    assert manual.format == "sentiment140:manual"
    both = opened("sentiment140", results, tests={"sample": {"path": "sample"}})
    assert (both.dataset, list(both.tests)) == ("sentiment140", ["manual", "sample"])
    assert [row.label for row in both.tests["manual"].read() if isinstance(row, Row)] == [1, None]
    assert not (archive.parents[1] / "evil.csv").exists()


def test_an_archive_that_is_missing_or_another_one_is_named(archive: Path, results: Results) -> None:
    archive.write_bytes(archive.read_bytes()[:-1])
    with pytest.raises(DownloadError, match=r"is not the expected file .*; delete it"):
        read("sentiment140", results)
    archive.unlink()
    with pytest.raises(
        DataError, match=r"sentiment140: its tweets are not in .*`sentiment data sentiment140 --results"
    ):
        read("sentiment140", results)


RATED = '1\t2.5\tSo "good"\r\n2\t-0.6\tMeh\r\n3\t0.3\tHm\r\n4\t0\tNothing'


def packed(name: str, content: bytes) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:gz") as archive:
        for member, data in (("../../evil", b"never unpacked"), (name, content)):
            info = tarfile.TarInfo(member)
            info.size = len(data)
            archive.addfile(info, io.BytesIO(data))
    return buffer.getvalue()


def publish(monkeypatch: pytest.MonkeyPatch, source: str, folder: Path, contents: dict[str, bytes]) -> None:
    """Let a built-in data set have files of these contents, published in a folder."""
    files = []
    for name, content in contents.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(content)
        sha256 = hashlib.sha256(content).hexdigest()
        files.append(Remote(name, ((folder / name).as_uri(),), len(content), sha256))
    monkeypatch.setitem(BUILT_IN, source, replace(BUILT_IN[source], files=tuple(files)))


@pytest.fixture
def sdist(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where an archive in an archive is published, as on PyPI, with four tweets."""
    folder = tmp_path / "published"
    inner = packed("hutto_ICWSM_2014/tweets_GroundTruth.txt", RATED.encode())
    outer = packed("vaderSentiment-3.3.2/additional_resources/hutto_ICWSM_2014.tar.gz", inner)
    publish(monkeypatch, "vader", folder, {"v.tar.gz": outer})
    return folder / "v.tar.gz"


@pytest.mark.usefixtures("sdist")
def test_ratings_become_classes_by_sign_and_band(results: Results) -> None:
    rows = read("vader", results)
    assert rows[0] == Row("1", None, 1, 'So "good"', 1)
    assert [row.label for row in rows if isinstance(row, Row)] == [1, 0, None, None]
    three = opened("vader", results, labels=["bad", "so so", "good"]).main.read()
    assert [row.label for row in three if isinstance(row, Row)] == [2, 0, 1, 1]
    # Neutral tweets stay neutral beside one other class.
    two = opened("vader", results, labels=["neutral", "positive"]).main.read()
    assert [row.label for row in two if isinstance(row, Row)] == [1, None, 0, 0]
    assert not list(results.root.parent.rglob("evil"))


def test_a_small_archive_is_fetched_once_when_it_is_read(results: Results, sdist: Path) -> None:
    content = sdist.read_bytes()
    sdist.unlink()
    with pytest.raises(DownloadError, match=r"(?s)No such file.*put the file at .*v\.tar\.gz"):
        read("vader", results)
    sdist.write_bytes(content)
    assert len(read("vader", results)) == 4
    sdist.unlink()
    assert len(read("vader", results)) == 4
    (results.downloads / "v.tar.gz").write_bytes(content[:-1])
    with pytest.raises(DownloadError, match=r"v\.tar\.gz: is not the expected file .*; delete it and try again"):
        read("vader", results)


BENCHMARK = {
    "test": ("2\n0\n1\n", "So good\nso bad\nthe third of may\n"),
    "val": ("1\n2\n0\n", "it is tuesday\nlove you all\nhate it all\n"),
    "train": ("0\n1\n2\n2\n", "awful thing\nsome thing\nlovely thing\nSO  GOOD \n"),
}


@pytest.fixture
def benchmark_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where the files of the benchmark are published."""
    contents = {}
    for name, of_part in BENCHMARK.items():
        for kind, content in zip(("labels", "text"), of_part, strict=True):
            contents[f"tweeteval/{name}_{kind}.txt"] = content.encode()
    publish(monkeypatch, "tweeteval", tmp_path / "published", contents)
    return tmp_path / "published" / "tweeteval"


def test_a_benchmark_is_fetched_once_and_keeps_its_parts(benchmark_folder: Path, results: Results) -> None:
    assert sources.source_problem("tweeteval", results) is not None
    sources.fetch_tweets("tweeteval", results, silent)
    shutil.rmtree(benchmark_folder)
    sources.fetch_tweets("tweeteval", results, silent)
    assert sources.source_problem("tweeteval", results) is None
    corpus = prepare_corpus(DataConfig(source="tweeteval"), results)
    assert (corpus.dataset, corpus.report.classes) == ("tweeteval", ["negative", "neutral", "positive"])
    assert [corpus.labels[corpus.rows(part)].tolist() for part in PARTS] == [[0, 1, 2], [1, 2, 0], [2, 0, 1]]
    assert corpus.report.left_out == {HELD_OUT: 1}
    two = opened("tweeteval", results, labels=["bad", "good"]).main.read()
    assert [row.label for row in two if isinstance(row, Row)][:3] == [1, 0, None]


def test_a_file_is_hashed_once_by_a_process_and_again_if_changed(table: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    reads: list[Path] = []
    monkeypatch.setattr(sources, "sha256_of", lambda path: reads.append(path) or sha256_of(path))
    first, before = sources.cached_sha256(table), table.stat()
    assert sources.cached_sha256(table) == first == sha256_of(table)
    assert len(reads) == 1
    content = table.read_bytes()[::-1]
    while table.stat().st_ctime_ns == before.st_ctime_ns:  # older kernels tell it by ticks
        table.write_bytes(content)
        os.utime(table, ns=(before.st_atime_ns, before.st_mtime_ns))
    assert sources.cached_sha256(table) == sha256_of(table) != first


@pytest.mark.parametrize("content", ["label,text\n1,a\n0,b\n", "label,text\n" + "1,so good\n" * 200])
def test_a_file_that_changes_while_it_is_read_is_refused(tmp_path: Path, results: Results, content: str) -> None:
    path = tmp_path / "t.csv"
    path.write_text(content)
    rows = opened(path, results).main.read()
    next(rows)
    path.write_text(content + content.splitlines(keepends=True)[-1])
    with pytest.raises(DataError, match="changed while it was read"):
        list(rows)


CONTENT = bytes(range(256)) * 4096


class Server(ThreadingHTTPServer):
    """Serves CONTENT on loopback; `cut` says after how many bytes it drops each connection."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.content, self.ranges, self.tells_size = CONTENT, True, True
        self.cut: list[int] = []
        self.asked: list[str | None] = []
        self.held = threading.Lock()  # while it is held, nothing is sent
        self.arrived = threading.Event()
        self.url = f"http://127.0.0.1:{self.server_address[1]}/file.zip"

    def remote(self, *urls: str) -> Remote:
        return Remote("file.zip", urls or (self.url,), len(CONTENT), hashlib.sha256(CONTENT).hexdigest())


class Handler(BaseHTTPRequestHandler):
    server: Server

    def do_GET(self) -> None:
        asked = self.headers.get("Range")
        self.server.asked.append(asked)
        self.server.arrived.set()
        with self.server.held:
            pass
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
    path = downloads.download(server.remote(), tmp_path / "new", lambda *report: seen.append(report))
    assert path.read_bytes() == CONTENT
    assert seen[-1] == ("fetching file.zip", len(CONTENT), len(CONTENT))
    assert downloads.download(server.remote(), tmp_path / "new", silent) == path
    assert server.asked == [None]
    assert sorted(file.name for file in path.parent.iterdir()) == [".file.zip.lock-000001", "file.zip"]


def test_an_interrupted_file_is_continued_where_it_ended_by_a_later_call_too(server: Server, tmp_path: Path) -> None:
    server.cut = [1000, 5000, 0]
    with pytest.raises(DownloadError, match=r"ended after 6,000 of 1,048,576 bytes"):
        downloads.download(server.remote(), tmp_path, silent)
    assert downloads.download(server.remote(), tmp_path, silent).read_bytes() == CONTENT
    assert server.asked == [None, "bytes=1000-", "bytes=6000-", "bytes=6000-"]


def test_a_server_that_cannot_resume_is_read_from_the_start(server: Server, tmp_path: Path) -> None:
    (tmp_path / f"file.zip.{socket.gethostname()}.part").write_bytes(b"x" * 500)
    server.ranges = False
    assert downloads.download(server.remote(), tmp_path, silent).read_bytes() == CONTENT


def test_a_size_that_nobody_gives_is_that_of_the_answer(server: Server, tmp_path: Path) -> None:
    unknown = Remote("file.zip", (server.url,), None, "")
    server.cut = [1000, 5000, 0]
    with pytest.raises(DownloadError, match=r"ended after 5,999 of 1,048,576 bytes"):
        downloads.download(unknown, tmp_path, silent)
    (tmp_path / f"file.zip.{socket.gethostname()}.part").write_bytes(CONTENT)  # killed before it was put in place
    assert downloads.download(unknown, tmp_path, silent).read_bytes() == CONTENT
    assert server.asked == [None, "bytes=999-", "bytes=5998-", f"bytes={len(CONTENT) - 1}-"]
    server.tells_size = False
    with pytest.raises(DownloadError, match=rf"{server.url}: does not say how large the file is"):
        downloads.download(unknown, tmp_path / "b", silent)


@pytest.mark.parametrize("content", [CONTENT[:-1] + b"!", CONTENT + b"more", b"x" * len(CONTENT)])
def test_another_file_is_refused_and_not_kept(server: Server, tmp_path: Path, content: bytes) -> None:
    server.content = content
    with pytest.raises(DownloadError, match=rf"{server.url}: .*not the expected file"):
        downloads.download(server.remote(), tmp_path, silent)
    assert [file.name for file in tmp_path.iterdir()] == [".file.zip.lock-000001"]


def test_the_next_mirror_is_tried_and_all_are_named(server: Server, tmp_path: Path) -> None:
    missing = server.url.replace("file.zip", "gone.zip")
    assert downloads.download(server.remote(missing, server.url), tmp_path / "a", silent).read_bytes() == CONTENT
    with pytest.raises(DownloadError, match=r"(?s)gone\.zip: HTTP Error 404.*put the file at .*b/file\.zip"):
        downloads.download(server.remote(missing), tmp_path / "b", silent)


def test_connection_that_breaks_below_http_is_tried_again_and_told_as_one(
    server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(http.client.HTTPResponse, "read1", Mock(side_effect=ssl.SSLEOFError(8, "EOF occurred")))
    with pytest.raises(DownloadError, match=r"could not be fetched:(?s:.*)EOF occurred"):
        downloads.download(server.remote(), tmp_path, silent)
    assert len(server.asked) == 3


def test_parts_that_hosts_left_behind_go_when_the_file_is_there(server: Server, tmp_path: Path) -> None:
    remote = server.remote()
    for host, seconds in (("gone", 0), ("busy", time.time())):
        part = tmp_path / f"{remote.name}.{host}.part"
        part.touch()
        os.utime(part, (seconds, seconds))
    downloads.download(remote, tmp_path, silent)
    assert [path.name for path in tmp_path.glob("*.part")] == [f"{remote.name}.busy.part"]


def test_what_stands_in_its_place_is_named_and_left_alone(server: Server, tmp_path: Path) -> None:
    (tmp_path / "file.zip").write_bytes(b"mine")
    with pytest.raises(DownloadError, match=r"file\.zip: is not the expected file .*delete it"):
        downloads.download(server.remote(), tmp_path, silent)
    assert (tmp_path / "file.zip").read_bytes() == b"mine"
    with pytest.raises(DownloadError, match="cannot be written"):
        downloads.download(server.remote(), tmp_path / "file.zip", silent)


def test_of_two_downloads_of_one_file_at_once_the_second_waits(server: Server, tmp_path: Path) -> None:
    is_waiting = threading.Event()
    paths = []

    def progress(activity: str, _done: int, _total: int | None) -> None:
        if "already downloads file.zip" in activity:
            is_waiting.set()

    def fetch() -> None:
        paths.append(downloads.download(server.remote(), tmp_path, progress))

    threads = [threading.Thread(target=fetch) for _ in range(2)]
    with server.held:
        threads[0].start()
        server.arrived.wait(20)
        threads[1].start()
        is_waiting.wait(20)
    for thread in threads:
        thread.join()
    assert [path.read_bytes() == CONTENT for path in paths] == [True, True]
    assert server.asked == [None]


def test_of_two_hosts_whose_locks_do_not_pass_each_fetches_its_own(
    server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(downloads, "Lock", lambda *_: nullcontext())
    monkeypatch.setattr("socket.gethostname", lambda: threading.current_thread().name)
    fetch = downloads._fetch
    written: set[Path] = set()

    def recorded(url: str, part: Path, *others: Any) -> int:
        written.add(part)
        return fetch(url, part, *others)

    monkeypatch.setattr(downloads, "_fetch", recorded)
    paths: list[Path] = []
    threads = [
        threading.Thread(target=lambda: paths.append(downloads.download(server.remote(), tmp_path, silent)))
        for _ in range(2)
    ]
    with server.held:
        for thread in threads:
            server.arrived.clear()
            thread.start()
            server.arrived.wait(20)
    for thread in threads:
        thread.join()
    assert [path.read_bytes() == CONTENT for path in paths] == [True, True]
    assert len(written) == 2
    assert [file.name for file in tmp_path.iterdir()] == ["file.zip"]
