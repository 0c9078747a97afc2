"""VADER's rated tweets: fetched with pip, checked, and labelled by their ratings."""

import hashlib
import io
import subprocess
import sys
import tarfile
from pathlib import Path

import pytest

from sentiment.data.sources import vader
from sentiment.data.tables.rows import Row
from sentiment.errors import DataError, DownloadError
from sentiment.runs.run_dir import Results

TWEETS = '1\t2.5\tSo "good"\r\n2\t-0.6\tMeh\r\n3\t0.3\tHm\r\n4\t0\tNothing'


def packed(name: str, content: bytes) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:gz") as archive:
        for member, data in (("../../evil", b"never unpacked"), (name, content)):
            info = tarfile.TarInfo(member)
            info.size = len(data)
            archive.addfile(info, io.BytesIO(data))
    return buffer.getvalue()


@pytest.fixture
def sdist(monkeypatch: pytest.MonkeyPatch) -> bytes:
    """An archive in an archive, as on PyPI, with four tweets."""
    inner = packed("hutto_ICWSM_2014/tweets_GroundTruth.txt", TWEETS.encode())
    content = packed("vaderSentiment-3.3.2/additional_resources/hutto_ICWSM_2014.tar.gz", inner)
    monkeypatch.setattr(vader, "ARCHIVE_SHA256", hashlib.sha256(content).hexdigest())
    monkeypatch.setattr(vader, "TWEETS_SHA256", hashlib.sha256(TWEETS.encode()).hexdigest())
    return content


@pytest.fixture
def pip(monkeypatch: pytest.MonkeyPatch) -> list[list[str]]:
    """A pip that gives nothing; the list holds how it was called."""
    calls: list[list[str]] = []

    def run(command: list[str], **options: object) -> "subprocess.CompletedProcess[str]":
        calls.append(command)
        return subprocess.CompletedProcess(command, 1, "", "ERROR: no network\n")

    monkeypatch.setattr(subprocess, "run", run)
    return calls


def test_ratings_become_labels_by_sign_and_band(tmp_path: Path, sdist: bytes) -> None:
    path = tmp_path / "v.tar.gz"
    path.write_bytes(sdist)
    rows = list(vader.read_vader(path, 0.5))
    assert rows[0] == Row("1", None, 1, 'So "good"', 1)
    assert [row.label for row in rows if isinstance(row, Row)] == [1, 0, None, None]
    assert [row.label for row in vader.read_vader(path, 0.0) if isinstance(row, Row)] == [1, 0, 1, None]
    assert not (tmp_path.parent / "evil").exists()


def test_pip_is_asked_for_the_archive_with_its_hash(
    results: Results, sdist: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    def run(command: list[str], **options: object) -> "subprocess.CompletedProcess[str]":
        assert command[:4] == [sys.executable, "-m", "pip", "download"]
        assert "--require-hashes" in command
        assert vader.ARCHIVE_SHA256 in Path(command[-1]).read_text()
        (Path(command[command.index("--dest") + 1]) / vader.ARCHIVE).write_bytes(sdist)
        return subprocess.CompletedProcess(command, 0, "", "")

    monkeypatch.setattr(subprocess, "run", run)
    path = vader.fetch_vader(results)
    assert path == results.downloads / vader.ARCHIVE
    assert [file.name for file in results.downloads.iterdir()] == [vader.ARCHIVE]


def test_an_archive_put_there_by_hand_is_taken(results: Results, sdist: bytes, pip: list[list[str]]) -> None:
    results.downloads.mkdir(parents=True)
    (results.downloads / vader.ARCHIVE).write_bytes(sdist)
    assert vader.fetch_vader(results).read_bytes() == sdist
    assert pip == []


def test_without_network_the_error_says_what_pip_said_and_where_to_put_the_file(
    results: Results, pip: list[list[str]]
) -> None:
    with pytest.raises(DownloadError) as caught:
        vader.fetch_vader(results)
    assert "ERROR: no network" in str(caught.value)
    assert str(results.downloads / vader.ARCHIVE) in str(caught.value)
    assert list(results.downloads.iterdir()) == []


def test_a_pip_that_hangs_is_given_up(results: Results, monkeypatch: pytest.MonkeyPatch) -> None:
    def run(command: list[str], **options: object) -> None:
        raise subprocess.TimeoutExpired(command, 600)

    monkeypatch.setattr(subprocess, "run", run)
    with pytest.raises(DownloadError, match="no answer within 600 seconds"):
        vader.fetch_vader(results)


@pytest.mark.parametrize("damage", ["cut", "other", "not an archive"])
def test_a_damaged_archive_is_named(tmp_path: Path, sdist: bytes, damage: str) -> None:
    path = tmp_path / "v.tar.gz"
    path.write_bytes({"cut": sdist[:-60], "other": packed("x", b"y"), "not an archive": b"hello"}[damage])
    with pytest.raises(DataError, match=r"v\.tar\.gz: is damaged, delete it"):
        list(vader.read_vader(path, 0.5))


def test_other_tweets_in_the_archive_are_noticed(tmp_path: Path, sdist: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "v.tar.gz"
    path.write_bytes(sdist)
    monkeypatch.setattr(vader, "TWEETS_SHA256", "0" * 64)
    with pytest.raises(DataError, match="is not the expected file"):
        list(vader.read_vader(path, 0.5))
