"""Tables of any format: the same rows from each, every line accounted for, and mistakes named with their place."""

import datetime
import gzip
import io
import json
import re
import shlex
import tempfile
import tracemalloc
from pathlib import Path
from typing import Any
from unittest.mock import patch

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from sentiment.config import ColumnConfig, DataConfig
from sentiment.console import silent
from sentiment.data.rows import Row, RowCounter
from sentiment.data.sources import open_source, usable_rows
from sentiment.data.table import SEVERAL_LINES, WINDOWS_1252, RawRow, Reason, Refusal
from sentiment.data.table_files import open_table
from sentiment.errors import ConfigError, DataError, UsageError
from sentiment.runs.run_dir import Results


def _read(content: bytes | str, name: str = "t.csv", **columns: Any) -> list[Row | Refusal]:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / name
        path.write_bytes(content.encode() if isinstance(content, str) else content)
        config = DataConfig(source=str(path), columns=ColumnConfig.model_validate(columns))
        return list(open_source(config, Results(Path(folder) / "results")).main.read())


GOOD = [Row("2", None, 1, "so good", 2), Row("3", None, 0, "so bad", 3)]


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("t.CSV", b"label,text\r\n1,so good\r\n0,so bad"),
        ("t.csv", b"text,x,label\nso good,,positive\nso bad,,NEG \n"),
        ("t.jsonl.gz", gzip.compress(b'\n{"label": 1, "text": "so good"}\n{"label": false, "text": ""}\n', mtime=0)),
    ],
)
def test_tables_of_any_shape_give_the_same_rows(name: str, content: bytes) -> None:
    rows = _read(content, name)
    assert rows[0] == GOOD[0]
    assert rows[1] == GOOD[1] if "jsonl" not in name else Refusal(3, "empty text")


def test_what_is_no_utf_8_is_read_as_windows_1252_and_told() -> None:
    rows = _read(
        "label,text\n1,caf\u00e9\n".encode()
        + "0,don\u2019t \u201cgo\u201d\n1,caf\u00e9 \x81\n".encode("cp1252", "ignore")
    )
    assert [(row.text, row.remarks) for row in rows if isinstance(row, Row)] == [
        ("caf\u00e9", ()),
        ("don\u2019t \u201cgo\u201d", (WINDOWS_1252,)),
        ("caf\u00e9 ", (WINDOWS_1252,)),
    ]
    # The five bytes that it lacks are no error.
    assert [row.text for row in _read(b"label,text\n1,a\x81\xe9b\n") if isinstance(row, Row)] == ["a\x81\u00e9b"]


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        ("1", "empty text"),
        ("1,a,b", "wrong number of fields"),
        ("1,  ", "empty text"),
        (",hello", "empty label"),
        ("1," + "x" * 200_000, Reason.LONG_FIELD),
        ("1," + "x" * 10_000_000, Reason.LONG_FIELD),
        (",".join(["1", *["x" * 100_000] * 11]), Reason.LONG_FIELD),
    ],
)
def test_malformed_lines_are_refused_and_the_next_one_is_read(line: str, reason: str) -> None:
    refused, last = _read(f"label,text\n{line}\n0,so bad\n")
    assert (refused[:2], last) == ((2, reason), GOOD[1])


@pytest.mark.parametrize(
    ("line", "text", "remark"),
    [
        ('1,"closed" too early', "closed too early", None),
        ('1,"two\nlines"', "two\nlines", SEVERAL_LINES),
        ('1,"a day,\n1 of many"', "a day,\n1 of many", SEVERAL_LINES),
        ('1,"a, day\n1,of many"', "a, day\n1,of many", SEVERAL_LINES),
        ('1,"' + "so\n" * 20 + '"', "so\n" * 20, SEVERAL_LINES),
        ('1,5" long', '5" long', None),
    ],
)
def test_quotes_enclose_texts_and_those_of_several_lines_are_told(line: str, text: str, remark: str | None) -> None:
    (row, last) = _read(f"label,text\n{line}\n0,so bad\n")
    assert row == Row("2", None, 1, text, 2, None, (remark,) if remark else ())
    assert isinstance(last, Row)
    assert last.text == "so bad"


@pytest.mark.parametrize("columns", ["text", "n,text", "text,n", "n,text,mood", "text,mood"])
@pytest.mark.parametrize("first", [0, 1, 40])
@pytest.mark.parametrize("apart", [1, 10, 60, 110, None])
def test_a_quote_that_encloses_rows_is_asked_about_and_its_answer_brings_them_back(
    tmp_path: Path, columns: str, first: int, apart: int | None
) -> None:
    """Two stray quotes, or one that never closes."""
    names = columns.split(",")
    rows = [{"n": str(n), "text": f"tweet {n} is fine on day {n}", "mood": "01"[n % 2]} for n in range(200)]
    rows[first]["text"] = '"' + rows[first]["text"]
    if apart:
        rows[first + apart]["text"] += '"'
    path = tmp_path / "t.csv"
    header = {name: name for name in names}
    path.write_text("".join(",".join(row[name] for name in names) + "\n" for row in [header, *rows]))
    unquoted = open_table(path, header=True, quotes=False).read_all()
    texts = [record.fields[names.index("text")] for record in unquoted if isinstance(record, RawRow)]
    assert texts == [row["text"] for row in rows]
    if len(names) == 1 and apart and apart < 100:  # it may be a tweet of many lines
        records = [*open_table(path, header=True).read_all()]
        told = [record for record in records if isinstance(record, RawRow) and record.remarks]
        assert [record.line for record in told] == [first + 2]
        assert len(records) == len(rows) - apart
        return
    problem = "(closes|encloses)" if apart else "does not close"
    with pytest.raises(UsageError, match=rf"t\.csv:{first + 2}: a quote opens here, and {problem}.*--no-quotes"):
        [*open_table(path, header=True).read_all()]
    if apart:
        assert len([*open_table(path, header=True, quotes=True).read_all()]) == len(rows) - apart


def test_the_delimiter_is_found_where_quotes_are_characters(tmp_path: Path) -> None:
    path = tmp_path / "t.csv"
    path.write_text('"good;1\n"bad, sad;0\n' * 3)
    rows = open_table(path, quotes=False).read_all()
    assert [record.fields for record in rows] == [['"good', "1"], ['"bad, sad', "0"]] * 3


def test_a_short_row_has_empty_cells_at_its_end() -> None:
    rows = _read("label,text,place\n1,so good\n0,so bad,here\n1\n")
    assert rows == [*GOOD, Refusal(4, "empty text")]


@pytest.mark.parametrize(
    ("content", "positions", "rows"),
    [
        ("label,text\n1,so good\n0,so bad\n", {"text": 1, "label": 0}, GOOD),
        (
            "1,so good\n0,so bad\n",
            {"text": 1, "label": 0},
            [GOOD[0]._replace(id="1", line=1), GOOD[1]._replace(id="2", line=2)],
        ),
        ("1,so good\n", {"text": 1, "label": 0}, [GOOD[0]._replace(id="1", line=1)]),
    ],
)
def test_the_first_line_is_a_header_or_a_tweet_however_columns_are_given(
    content: str, positions: dict[str, int], rows: list[Row]
) -> None:
    assert _read(content, **positions) == rows


def test_a_table_may_begin_with_many_blank_lines() -> None:
    assert [row.text for row in _read("\n" * 300 + "label,text\n1,so good\n") if isinstance(row, Row)] == ["so good"]


@given(st.text('ab,"\n 1', max_size=60).filter(str.strip))
@example('a,"b\nc,d"\n')
@example('a,b\n"c\nd",e,f\n')
def test_each_line_belongs_to_one_row_or_refusal_or_is_blank(text: str) -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "t.csv"
        path.write_text(text)
        try:
            rows = [*open_table(path, header=False, quotes=True).read_all()]
        except (DataError, UsageError):
            return
        lines = text.splitlines()
        covered: list[int] = []
        for row in rows:
            inner = "".join(row.fields).count("\n") if isinstance(row, RawRow) else 0
            covered += range(row.line, row.line + inner + 1)
        left = {*range(1, len(lines) + 1)} - {*covered}
        assert len(covered) == len({*covered}) or any(isinstance(row, Refusal) for row in rows)
        if not any(isinstance(row, Refusal) for row in rows):
            assert not "".join(lines[line - 1] for line in left).strip(' ,"')


def test_malformed_json_lines_are_refused() -> None:
    lines = ['{"label": "1", "text": "a"}', "{oops", "[1]", '{"label": "1"}', '{"label": "1", "text": 5}']
    lines += ['{"text": "b"}', '{"label": 1.0, "text": "half \\ud83d"}', "[" * 100_000, "x" * (1 << 20)]
    lines += ['{"label": 1, "text": {"b": 1}}']
    reasons = [row.reason if isinstance(row, Refusal) else row.text for row in _read("\n".join(lines), "t.jsonl")]
    assert reasons[:4] == ["a", "not a JSON object", "not a JSON object", "empty text"]
    assert reasons[4:8] == ["5", "empty label", "half ?", "not a JSON object"]
    assert reasons[8:] == [Reason.LONG_FIELD, "text is not a string"]


@pytest.mark.parametrize(
    "line", ['{"label": 1}', '{"text": "a"}', '{"label": 1, "text": ["a", "b"]}', "{oops", "x" * (1 << 20)]
)
def test_rows_are_left_out_for_the_reason_that_the_message_names(tmp_path: Path, line: str) -> None:
    path = tmp_path / "t.jsonl"
    good = [json.dumps({"label": number % 2, "text": f"tweet {number}"}) for number in range(40)]
    path.write_text("\n".join([*good, *[line] * 5]))
    file = open_source(DataConfig(source=str(path)), Results(tmp_path)).main
    with pytest.raises(DataError, match=r"5 of 45 rows cannot be used") as refusal:
        list(usable_rows(file, RowCounter(), silent))
    advised = re.search("--leave-out ('.*')", str(refusal.value))
    assert advised, refusal.value
    (reason,) = shlex.split(advised[1])
    assert DataConfig(leave_out=(reason,)).leave_out == (reason,)
    assert len([*usable_rows(file, RowCounter(), silent, [reason])]) == 40


def _parquet(names: list[str], *columns: list[Any]) -> bytes:
    buffer = io.BytesIO()
    pq.write_table(pa.Table.from_arrays([*map(pa.array, columns)], names), buffer)
    return buffer.getvalue()


def test_parquet_is_read_by_name_or_position() -> None:
    content = _parquet(["mood", "who", "text"], [1.0, None, 0.0], ["ann", None, "bob"], ["so good", "x", None])
    for label, user in (("mood", "who"), (0, 1)):
        rows = _read(content, "t.parquet", label=label, user=user)
        assert rows == [Row("1", "ann", 1, "so good", 1), Refusal(2, "empty label"), Refusal(3, "empty text")]


def test_parquet_reads_further_columns_only_to_see_whether_a_row_is_blank(tmp_path: Path) -> None:
    path = tmp_path / "t.parquet"
    for texts, lines, reads in ((["a", "b", "c"], [1, 2, 3], [["text"]]), (["a", "", ""], [1, 2], [["text"], None])):
        path.write_bytes(_parquet(["who", "text"], ["ann", "bob", None], texts))
        table = open_table(path)
        read = pq.ParquetFile.iter_batches
        with patch.object(pq.ParquetFile, "iter_batches", autospec=True, side_effect=read) as batches:
            assert [row.line for row in table.read([1])] == lines
        asked = [call.kwargs["columns"] for call in batches.call_args_list]
        assert [sorted(columns) for columns in asked] == [sorted(columns or table.names) for columns in reads]


def _book(path: Path, *sheets: tuple[str, list[list[Any]]]) -> Any:
    openpyxl = pytest.importorskip("openpyxl", reason="the extra xlsx is not installed")
    book = openpyxl.Workbook()
    book.remove(book.active)
    for title, rows in sheets:
        sheet = book.create_sheet(title)
        for row in rows:
            sheet.append(row)
    book.save(path)
    return book


def test_workbook_is_read_as_other_tables_without_digits_that_it_lacks(tmp_path: Path) -> None:
    path, long = tmp_path / "t.xlsx", 1.234567890123457e16
    rows = [[1, "so good", datetime.datetime(2024, 1, 2)], [None] * 3]
    rows += [["neg", "None", datetime.datetime(2024, 1, 2, 3, 4)], [4.0, None, 7.0], [0, "so bad", long], [1, "x", 7.0]]
    _book(path, ("tweets", [["mood", "text", "who"], *rows]))
    assert _read(path.read_bytes(), "t.xlsx", label="mood", user="who") == [
        Row("2", "2024-01-02", 1, "so good", 2),
        Row("4", "2024-01-02 03:04:00", 0, "None", 4),
        Refusal(5, "empty text"),
        Row("6", "1.234567890123457e+16", 0, "so bad", 6),
        Row("7", "7", 1, "x", 7),
    ]


def test_workbook_is_read_from_its_first_visible_sheet_and_names_the_others(tmp_path: Path) -> None:
    path = tmp_path / "t.xlsx"
    sheets = {"old": [["x"], ["no"]], "tweets": [["text"], ["so good"]], "more": [["text"], ["so bad"]]}
    book = _book(path, *sheets.items())
    book["old"].sheet_state = "hidden"
    book.save(path)
    table = open_table(path)
    assert table.names == ["text"]
    assert [record.fields for record in table.read([0]) if isinstance(record, RawRow)] == [["so good"]]
    assert [*table.sheets] == ["tweets", "more"]


@pytest.mark.slow
def test_workbook_with_one_cell_far_out_takes_no_memory_for_all_that_are_empty(tmp_path: Path) -> None:
    path = tmp_path / "t.xlsx"
    book = _book(path, ("tweets", [["label", "text"], [1, "so good"], *[[0, "bad"]] * 50]))
    book["tweets"]["XFD2"] = "a slip of the hand"
    book.save(path)
    open_table(path, header=True)  # loads its modules
    tracemalloc.start()
    table = open_table(path, header=True)
    assert tracemalloc.get_traced_memory()[1] < 5_000_000
    tracemalloc.stop()
    rows = [record.fields for record in table.read([0, 1]) if isinstance(record, RawRow)]
    assert (len(rows), {len(row) for row in rows}) == (51, {2**14})
    assert [*rows[0][:2], rows[0][-1]] == [1, "so good", "a slip of the hand"]


@pytest.mark.parametrize(
    ("content", "name", "message"),
    [
        ("label,text\n1,a\nmeh,b\n", "t.csv", r"t\.csv:3: unknown label 'meh' .known are '0', .*data\.labels"),
        ("label,text\n" + "z" * 500 + ",b\n", "t.csv", "unknown label 'z{60}…"),
        ("", "t.csv", r"t\.csv: is empty"),
        ("\n\n", "t.csv", r"t\.csv: holds no rows"),
        ("{oops", "t.jsonl", r"t\.jsonl: holds no rows; line 1 is refused: not a JSON object"),
        ("", "t.parquet", r"t\.parquet: is not a valid Parquet file"),
        ("label,text\n1,so good\n".encode("utf-16-le"), "t.csv", "is in UTF-16 without"),
        ("text\tlabel\nso good\t1\n".encode("utf-16-be"), "t.tsv", "is in UTF-16"),
        (",".join(f"column{n}" for n in range(10_000)) + "\n1\n", "t.csv", "no column '.*', and 9,980 more$"),
        (b"not packed", "t.csv.gz", "truncated, damaged or not compressed"),
        (gzip.compress(b"label,text\n" + b"1,so good\n" * 999, mtime=0)[:-20], "t.csv.gz", "truncated, damaged or"),
        ("x", "t.xls", r"valid endings: \.csv, \.tsv, .*\.xlsx"),
        ("x", "t.parquet.gz", "cannot tell the format"),
        ("text,text,label\na,b,1\n", "t.csv", r"several columns are called 'text'"),
        (_parquet(["label", "text", "text"], [1], ["a"], ["b"]), "t.parquet", r"several columns are called 'text'"),
    ],
)
def test_files_that_cannot_be_used_are_named(content: bytes | str, name: str, message: str) -> None:
    with pytest.raises((ConfigError, DataError), match=message):
        _read(content, name)


@pytest.mark.parametrize(
    ("name", "content", "text", "message"),
    [
        ("t.csv", "label,tweet\n1,a\n", "twet", r"columns\.text: no column 'twet'; the file has 'label', 'tweet'"),
        ("t.csv", "1,a\n", 2, r"no column 2; there are 2, counted from 0"),
        ("t.csv", "1,a\n", -1, r"no column -1"),
    ],
)
def test_columns_that_a_table_lacks_are_named(name: str, content: str, text: str | int, message: str) -> None:
    with pytest.raises((ConfigError, DataError), match=rf"{name}: .*{message}"):
        _read(content, name, text=text, label=0 if isinstance(text, int) else "label")
