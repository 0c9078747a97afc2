"""Tables of any format: the same rows, malformed ones refused, and mistakes named."""

import gzip
import json
from collections.abc import Callable
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from sentiment.config import ColumnConfig, DataConfig, LabelledTable
from sentiment.data.registry import open_source
from sentiment.data.tables.rows import Refusal, Row
from sentiment.data.tables.table import form_of
from sentiment.errors import ConfigError, DataError
from sentiment.runs.run_dir import Results

Read = Callable[..., list[Row | Refusal]]


@pytest.fixture
def read(tmp_path: Path, results: Results) -> Read:
    """Reads a file with this content and name."""

    def rows(content: bytes | str, name: str = "t.csv", **columns: str | int) -> list[Row | Refusal]:
        path = tmp_path / name
        path.write_bytes(content.encode() if isinstance(content, str) else content)
        config = DataConfig(source=str(path), columns=ColumnConfig.model_validate(columns))
        return list(open_source(config, results).main.read())

    return rows


GOOD = [Row("2", None, 1, "so good", 2), Row("3", None, 0, "so bad", 3)]


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("t.csv", b"label,text\n1,so good\n0,so bad\n"),
        ("t.CSV", b"label,text\r\n1,so good\r\n0,so bad"),
        ("t.csv", b"\xef\xbb\xbflabel,text\n1,so good\n0,so bad\n"),
        ("t.csv", b'"label" , "text"\n1,so good\n0,so bad\n'.replace(b" ,", b",").replace(b", ", b",")),
        ("t.csv", b"text,x,label\nso good,,positive\nso bad,,NEG \n"),
        ("t.tsv", b"label\ttext\n4\tso good\n-1\tso bad\n"),
        ("t.csv.gz", gzip.compress(b"label,text\n1,so good\n0,so bad\n", mtime=0)),
        ("t.jsonl.gz", gzip.compress(b'\n{"label": 1, "text": "so good"}\n{"label": false, "text": ""}\n', mtime=0)),
    ],
)
def test_tables_of_any_shape_give_the_same_rows(read: Read, name: str, content: bytes) -> None:
    rows = read(content, name)
    assert rows[0] == GOOD[0]
    assert rows[1] == GOOD[1] if "jsonl" not in name else Refusal(3, "empty text")


def test_columns_can_be_given_by_position_without_a_header(read: Read) -> None:
    rows = read("7,x,ann,1,hello\n", text=4, label=3, id=0, user=2)
    assert rows == [Row("7", "ann", 1, "hello", 1)]


def test_quoted_line_breaks_belong_to_the_text_and_lines_are_counted(read: Read) -> None:
    rows = read('label,text\n1,"so\ngood"\n\n0,so bad\n')
    assert rows == [Row("2", None, 1, "so\ngood", 2, 2), Row("5", None, 0, "so bad", 5)]


def test_each_line_is_decoded_as_its_bytes_allow(read: Read) -> None:
    rows = read("label,text\n1,café\n".encode() + "0,café\n".encode("latin-1"))
    assert [row.text for row in rows if isinstance(row, Row)] == ["café", "café"]


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        ("1", "wrong number of fields"),
        ("1,a,b", "wrong number of fields"),
        ("1,  ", "empty text"),
        ("1,a\0b", "NUL character"),
        (",hello", "empty label"),
        ("1," + "x" * 200_000, "not a valid line: field larger than field limit (131072)"),
        ("1," + "x" * 10_000_000, "not a valid line: field larger than field limit (131072)"),
    ],
)
def test_malformed_lines_are_refused_and_the_next_one_is_read(read: Read, line: str, reason: str) -> None:
    assert read(f"label,text\n{line}\n0,so bad\n") == [Refusal(2, reason), GOOD[1]]


def test_malformed_json_lines_are_refused(read: Read) -> None:
    lines = ['{"label": "1", "text": "a"}', "{oops", "[1]", '{"label": "1"}', '{"label": "1", "text": 5}']
    lines += ['{"text": "b"}', '{"label": 1.0, "text": "half \\ud83d"}', "[" * 100_000]
    reasons = [row.reason if isinstance(row, Refusal) else row.text for row in read("\n".join(lines), "t.jsonl")]
    assert reasons[:4] == ["a", "not a JSON object", "not a JSON object", "empty text"]
    assert reasons[4:] == ["text is not a string", "empty label", "half ?", "not a JSON object"]


def test_parquet_is_read_by_name_or_position(tmp_path: Path, results: Results) -> None:
    path = tmp_path / "t.parquet"
    table = pa.table({"mood": [1.0, None, 0.0], "who": ["ann", None, "bob"], "text": ["so good", "x", None]})
    pq.write_table(table, path)
    for label, user in (("mood", "who"), (0, 1)):
        columns = ColumnConfig(label=label, user=user)
        rows = list(open_source(DataConfig(source=str(path), columns=columns), results).main.read())
        assert rows == [Row("1", "ann", 1, "so good", 1), Refusal(2, "empty label"), Refusal(3, "empty text")]


def test_a_wrong_column_names_the_file_its_columns_and_the_closest(read: Read) -> None:
    content = json.dumps({"label": 1, "tweet_text": "a"})
    for name, text in (("t.csv", "label,tweet_text\n1,a\n"), ("t.jsonl", content)):
        with pytest.raises(ConfigError, match=rf"{name}: data\.columns\.text: no column 'tweet_txt'; .*'tweet_text'\?"):
            read(text, name, text="tweet_txt")


@pytest.mark.parametrize(
    ("content", "name", "columns", "message"),
    [
        ("1,a\n", "t.csv", {"text": 2, "label": 0}, r"no column 2; there are 2, counted from 0"),
        ("1,a\n", "t.csv", {"text": -1, "label": 0}, r"no column -1"),
        ("text,text,label\na,b,1\n", "t.csv", {}, r"several columns are called 'text'"),
    ],
)
def test_impossible_columns_are_errors(
    read: Read, content: str, name: str, columns: dict[str, int], message: str
) -> None:
    with pytest.raises(ConfigError, match=message):
        read(content, name, **columns)


@pytest.mark.parametrize(
    ("content", "name", "message"),
    [
        ("label,text\n1,a\nmeh,b\n", "t.csv", r"t\.csv:3: unknown label 'meh'; known are '0', .*data\.labels"),
        ("label,text\n" + "z" * 500 + ",b\n", "t.csv", "unknown label 'z{60}…'"),
        ("", "t.csv", r"t\.csv: is empty"),
        ("", "t.jsonl", r"t\.jsonl: is empty"),
        ("", "t.parquet", r"t\.parquet: is not a valid Parquet file"),
        ("label,text\n".encode("utf-16"), "t.csv", "is in UTF-16"),
        (b"not packed", "t.csv.gz", "truncated or not a gzip file"),
        (
            gzip.compress(b"label,text\n" + b"1,so good\n" * 999, mtime=0)[:-20],
            "t.csv.gz",
            "truncated or not a gzip file",
        ),
        ("x", "t.xls", r"valid endings: \.csv, \.tsv"),
        ("x", "t.parquet.gz", "cannot tell the format"),
        ("x", "t", "cannot tell the format"),
    ],
)
def test_files_that_cannot_be_used_are_named(read: Read, content: bytes | str, name: str, message: str) -> None:
    with pytest.raises(DataError, match=message):
        read(content, name)


def test_missing_files_and_folders_are_named(tmp_path: Path, results: Results) -> None:
    with pytest.raises(DataError, match=r"vadr: no such file; valid: sample, sentiment140, vader or the path"):
        open_source(DataConfig(source="vadr"), results)
    with pytest.raises(DataError, match="is a directory"):
        open_source(DataConfig(source=str(tmp_path)), results)
    with pytest.raises(DataError, match=r"gone\.csv: no such file"):
        open_source(DataConfig(tests={"gone": LabelledTable(path=str(tmp_path / "gone.csv"))}), results)


@pytest.mark.parametrize(("name", "form"), [("a.tab", "tsv"), ("a.NDJSON", "jsonl"), ("a.b.csv.GZ", "csv")])
def test_the_form_is_told_by_the_end_of_the_name(name: str, form: str) -> None:
    assert form_of(Path(name)) == form
