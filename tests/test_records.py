"""Records and rows as they are read back: whole, of this version, or refused with the name of the file."""

import re
from pathlib import Path

import pytest

from sentiment.errors import RunDirError
from sentiment.runs.records import Failure, timestamp
from sentiment.runs.run_dir import read_record, read_rows

FAILURE = Failure(job=None, time=timestamp(), error="DataError", reason="no tweets", traceback="…")


def test_record_reads_back_as_itself_and_a_missing_one_as_none(tmp_path: Path) -> None:
    path = tmp_path / "failure.json"
    assert read_record(path, Failure) is None
    path.write_text(FAILURE.model_dump_json(), encoding="utf-8")
    assert read_record(path, Failure) == FAILURE


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ('{"schema_version": 9, "more": 1}', "has schema version 9, this program reads 1"),
        *((content, "is not a valid record") for content in ("", "{", "[]", "7", '{"schema_version": 1}')),
    ],
)
def test_file_that_is_no_record_of_this_version_is_refused(tmp_path: Path, content: str, message: str) -> None:
    path = tmp_path / "failure.json"
    path.write_text(content, encoding="utf-8")
    with pytest.raises(RunDirError, match=f"{re.escape(str(path))}: {message}"):
        read_record(path, Failure)
    with pytest.raises(RunDirError, match=f"{re.escape(str(tmp_path))}: cannot be read"):
        read_record(tmp_path, Failure)


def test_row_that_is_still_being_written_is_left_out_and_damaged_ones_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "metrics.jsonl"
    assert read_rows(path) == []
    path.write_text('{"step": 1}\n{"step": 2}\n{"st', encoding="utf-8")
    assert read_rows(path) == [{"step": 1}, {"step": 2}]
    for content in (b'{"step": 1}\n\0\0\0\n{"step": 2}\n', b"\xff\n"):
        path.write_bytes(content)
        with pytest.raises(RunDirError, match=re.escape(str(path))):
            read_rows(path)
