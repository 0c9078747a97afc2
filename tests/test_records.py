"""Records and rows as they are read back: whole, of this version, or refused with the name of the file."""

import re
from pathlib import Path

import pytest

from sentiment.errors import RunDirError
from sentiment.runs.records import Failure, timestamp
from sentiment.runs.run_dir import read_record, read_rows

FAILURE = Failure(job=None, time=timestamp(), error="DataError", reason="no tweets", traceback="…")


def _refusal(path: Path) -> str:
    with pytest.raises(RunDirError, match=re.escape(str(path))) as caught:
        read_record(path, Failure)
    return str(caught.value)


def test_record_reads_back_as_itself_and_a_missing_one_as_none(tmp_path: Path) -> None:
    path = tmp_path / "failure.json"
    assert read_record(path, Failure) is None
    path.write_text(FAILURE.model_dump_json(), encoding="utf-8")
    assert read_record(path, Failure) == FAILURE


def test_record_of_another_version_is_refused_with_both_versions(tmp_path: Path) -> None:
    path = tmp_path / "failure.json"
    path.write_text('{"schema_version": 9, "more": 1}', encoding="utf-8")
    assert "has schema version 9, this program reads 1" in _refusal(path)


@pytest.mark.parametrize("content", ["", "{", "[]", "7", '{"schema_version": 1}'])
def test_file_that_is_no_record_is_refused(tmp_path: Path, content: str) -> None:
    path = tmp_path / "failure.json"
    path.write_text(content, encoding="utf-8")
    assert "is not a valid record" in _refusal(path)


def test_record_that_cannot_be_read_is_refused(tmp_path: Path) -> None:
    assert "cannot be read" in _refusal(tmp_path)


def test_row_that_is_still_being_written_is_left_out(tmp_path: Path) -> None:
    path = tmp_path / "metrics.jsonl"
    assert read_rows(path) == []
    path.write_text('{"step": 1}\n{"step": 2}\n{"st', encoding="utf-8")
    assert read_rows(path) == [{"step": 1}, {"step": 2}]


def test_rows_that_are_damaged_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "metrics.jsonl"
    for content in (b'{"step": 1}\n\0\0\0\n{"step": 2}\n', b"\xff\n"):
        path.write_bytes(content)
        with pytest.raises(RunDirError, match=re.escape(str(path))):
            read_rows(path)
