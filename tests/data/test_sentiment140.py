"""The format of Sentiment140, as a CSV file and in the archive of its publishers."""

import hashlib
import zipfile
from dataclasses import replace
from pathlib import Path

import pytest

from sentiment.config import DataConfig, LabelledTable
from sentiment.console import silent
from sentiment.data.registry import find_source, open_source
from sentiment.data.sources import sentiment140 as published
from sentiment.data.tables import sentiment140
from sentiment.data.tables.rows import Refusal, Row
from sentiment.errors import DataError
from sentiment.runs.run_dir import Results
from tests.data.made_up import sentiment140_lines

TEST_LINES = ['"4","3","Mon May 11 03:17:40 UTC 2009","tea","ann","I love it"\n', '"2","4","a:b:c","x","bob","It is"\n']


@pytest.fixture
def archive(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An archive like that of the publishers, with 50 and 2 rows."""
    path = tmp_path / "trainingandtestdata.zip"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as file:
        file.writestr(sentiment140.TRAINING, "".join(sentiment140_lines(50)))
        file.writestr(sentiment140.MANUAL_TEST, "".join(TEST_LINES))
        file.writestr("../../evil.csv", "never unpacked")
    monkeypatch.setattr(sentiment140, "MEMBER_ROWS", {sentiment140.TRAINING: 50, sentiment140.MANUAL_TEST: 2})
    return path


def read(source: Path | str, results: Results) -> tuple[list[Row | Refusal], list[Row | Refusal]]:
    opened = open_source(DataConfig(source=str(source)), results)
    return list(opened.main.read()), [row for file in opened.tests.values() for row in file.read()]


def test_a_csv_file_is_known_by_its_form(tmp_path: Path, results: Results) -> None:
    path = tmp_path / "any.csv"
    path.write_text("".join([*sentiment140_lines(2), '"4","9"\n']))
    rows, test = read(path, results)
    assert [row.label for row in rows[:2] if isinstance(row, Row)] == [1, 0]
    assert isinstance(rows[0], Row)
    assert (rows[0].id, rows[0].user, rows[0].line) == ("0", "user0", 1)
    assert rows[2] == Refusal(3, "wrong number of fields")
    assert test == []


def test_another_table_of_six_columns_is_not_taken_for_it(tmp_path: Path, results: Results) -> None:
    path = tmp_path / "any.csv"
    path.write_text("label,text,a,b,c,d\n1,so good,,,,\n")
    assert read(path, results)[0] == [Row("2", None, 1, "so good", 2)]


def test_an_unknown_label_is_an_error_that_names_the_line(tmp_path: Path, results: Results) -> None:
    path = tmp_path / "any.csv"
    path.write_text("".join(sentiment140_lines(1)) + '"3","1","a:b:c","q","u","text"\n')
    with pytest.raises(DataError, match=r"any\.csv:2: unknown label '3'; known are '0', '2', '4'"):
        read(path, results)


def test_the_archive_gives_both_sets_without_being_unpacked(archive: Path, results: Results) -> None:
    rows, test = read(archive, results)
    assert len(rows) == 50
    assert [row.label for row in test if isinstance(row, Row)] == [1, None]
    assert not (archive.parents[1] / "evil.csv").exists()
    assert open_source(DataConfig(source=str(archive)), results).dataset_of(50) == "sentiment140"


def test_only_the_tweets_labelled_by_hand_are_a_test_set_of_other_tweets(archive: Path, results: Results) -> None:
    for path in (str(archive), "sentiment140"):
        (test,) = open_source(DataConfig(tests={"mine": LabelledTable(path=path)}), results).tests.values()
        assert test.form == f"sentiment140/{sentiment140.MANUAL_TEST}"
    opened = open_source(DataConfig(source=str(archive), tests={"sample": LabelledTable(path="sample")}), results)
    assert list(opened.tests) == ["manual", "sample"]


def test_the_downloaded_archive_is_used_by_name(
    archive: Path, results: Results, monkeypatch: pytest.MonkeyPatch
) -> None:
    content = archive.read_bytes()
    known = replace(published.ARCHIVE, size=len(content), sha256=hashlib.sha256(content).hexdigest())
    monkeypatch.setattr(published, "ARCHIVE", known)
    with pytest.raises(DataError, match=r"trainingandtestdata\.zip: no such file; `make data DATA=sentiment140`"):
        read("sentiment140", results)
    results.downloads.mkdir(parents=True)
    place = results.downloads / known.name
    place.write_bytes(content)
    find_source("sentiment140").fetch(results, silent)
    assert len(read("sentiment140", results)[0]) == 50
    place.write_bytes(content[:-1])
    with pytest.raises(DataError, match="is not the expected file; delete it"):
        read("sentiment140", results)


def test_missing_rows_are_noticed(archive: Path, results: Results, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sentiment140.MEMBER_ROWS, sentiment140.TRAINING, 1_600_000)
    with pytest.raises(DataError, match="has 50 rows where 1,600,000 are expected"):
        read(archive, results)


def test_a_damaged_archive_is_named(archive: Path, results: Results) -> None:
    content = bytearray(archive.read_bytes())
    content[200] ^= 255
    archive.write_bytes(content)
    with pytest.raises(DataError, match="damaged or no zip archive"):
        read(archive, results)
    archive.write_bytes(b"no zip at all")
    with pytest.raises(DataError, match="damaged or no zip archive"):
        read(archive, results)


def test_another_archive_is_refused(tmp_path: Path, results: Results) -> None:
    path = tmp_path / "other.zip"
    with zipfile.ZipFile(path, "w") as file:
        file.writestr("readme", "hello")
    with pytest.raises(DataError, match=r"holds no training\.1600000"):
        read(path, results)
