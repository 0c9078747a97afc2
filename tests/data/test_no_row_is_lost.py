"""Whatever is in a table, each of its lines belongs to a row, is refused with its number, or is blank."""

import csv
import io
import json
import re
import tempfile
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from sentiment.config import ColumnConfig, DataConfig, TextFile
from sentiment.data.corpus.corpus import prepare_corpus
from sentiment.data.registry import open_source
from sentiment.data.tables.opened import delimited_records
from sentiment.data.tables.rows import Refusal, Row, TableRecord
from sentiment.data.word_vectors import open_text
from sentiment.errors import ConfigError, DataError
from sentiment.runs.run_dir import Results
from tests.data.made_up import tweets

# No characters that cannot be encoded, and none that training refuses.
_TEXTS = st.text(st.characters(codec="utf-8", exclude_characters="\0"), min_size=1, max_size=40).filter(str.strip)
_SYNTAX = st.text('ab,\t"\n\r 1', max_size=60)
_HOSTILE = st.text('ab01,\t"\n\r\ufeff\u2028 é', min_size=1, max_size=30).filter(str.strip) | _TEXTS
# Python's writer does not quote carriage returns, so that one before the end of a line looks like a part of it.
_HOSTILE = _HOSTILE.map(lambda text: text.rstrip("\r"))
# Within a line; blanks at its ends and carriage returns before them belong to it or not, as programs please.
_LINES = st.text('ab01,\t"\r\0\ufeff\u2028 é', min_size=1, max_size=30).filter(lambda text: text == text.strip() != "")


def _texts(content: bytes, name: str) -> list[str]:
    """Of the rows, without labels."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / name
        path.write_bytes(content)
        file = open_text(
            TextFile(path=str(path), column="text"), Results(Path(folder) / "results"), "vectors.unlabelled"
        )
        return [row.text for row in file.read() if isinstance(row, Row)]


def _could_be_rows(text: str, delimiter: str) -> bool:
    """Whether a text has so many lines that begin with a number that they are taken for rows."""
    first = [line.partition(delimiter)[0] for line in text.split("\n")[1:]]
    return sum(not line or bool(re.search(r"\d", line) and not re.search(r"[^\W\d_]", line)) for line in first) > 2


def _read(content: bytes, name: str, **columns: Any) -> list[Row | Refusal]:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / name
        path.write_bytes(content)
        config = DataConfig(source=str(path), columns=ColumnConfig.model_validate(columns))
        return list(open_source(config, Results(Path(folder) / "results")).main.read())


def _read_or_refused(content: bytes, name: str) -> list[Row | Refusal] | None:
    """The rows; None if the file is refused in a line that names the place."""
    try:
        return _read(content, name)
    except DataError as error:
        if re.search(rf"{name}:\d+: (a quote opens here|unknown label)", str(error)):
            return None
        raise


def _written(rows: list[tuple[str, str]], delimiter: str, quoting: int, end: str) -> str:
    text = io.StringIO()
    csv.writer(text, delimiter=delimiter, quoting=quoting, lineterminator=end).writerows(rows)
    return text.getvalue()


@given(
    st.lists(st.tuples(st.sampled_from(["0", "1"]), _HOSTILE), min_size=1, max_size=8),
    st.sampled_from([("t.csv", ","), ("t.tsv", "\t")]),
    st.sampled_from(["csv", "quoted", "pandas"]),
    st.sampled_from(["\n", "\r\n"]),
    st.sampled_from(["utf-8", "utf-8-sig"]),
)
@example([("1", "a\n0,b"), ("0", "c")], ("t.csv", ","), "csv", "\n", "utf-8")
@example([("1", 'a "quoted" word'), ("0", '"all"'), ("1", "two\nlines\n")], ("t.tsv", "\t"), "quoted", "\n", "utf-8")
def test_what_a_program_writes_is_read_back_row_by_row_or_refused(
    rows: list[tuple[str, str]], form: tuple[str, str], program: str, end: str, encoding: str
) -> None:
    """Refused, or split into lines that are no rows, is a quoted field of lines that all look like rows."""
    name, delimiter = form
    if program == "pandas":
        frame = pd.DataFrame(rows, columns=["label", "text"])
        content = frame.to_csv(index=False, sep=delimiter, lineterminator=end)
    else:
        quoting = csv.QUOTE_ALL if program == "quoted" else csv.QUOTE_MINIMAL
        content = _written([("label", "text"), *rows], delimiter, quoting, end)
    found = _read_or_refused(content.encode(encoding), name)
    if found is not None and not any(_could_be_rows(text, delimiter) for _, text in rows):
        assert [(str(row.label), row.text) for row in found if isinstance(row, Row)] == rows
        assert len(found) == len(rows)


@given(
    st.lists(st.tuples(st.sampled_from(["0", "1"]), _LINES), min_size=1, max_size=8),
    st.sampled_from([("t.csv", ","), ("t.tsv", "\t")]),
    st.sampled_from(["\n", "\r\n"]),
)
@example([("1", '"begins'), ("0", "between"), ("0", 'ends"')], ("t.csv", ","), "\n")
@example([("1", '"a whole tweet"'), ("0", "b")], ("t.tsv", "\t"), "\n")
@example([("1", '"so" she said'), ("0", 'a "b"')], ("t.csv", ","), "\n")
def test_what_is_written_by_hand_without_quoting_keeps_each_line_or_refuses_it(
    rows: list[tuple[str, str]], form: tuple[str, str], end: str
) -> None:
    """Only in CSV a text that stands in quotes as a whole, or beside a comma, is read without them."""
    name, delimiter = form
    content = "".join(f"{label}{delimiter}{text}{end}" for label, text in [("label", "text"), *rows])
    found = _read_or_refused(content.encode(), name)
    if found is None or any(not text.strip('" ') for _, text in rows):  # a lone quote is no tweet, and may be CSV
        return
    assert [row.line for row in found] == list(range(2, len(rows) + 2))
    for (label, text), row in zip(rows, found, strict=True):
        if isinstance(row, Refusal):
            assert delimiter in text or "\0" in text
        elif not ((delimiter == "," or "\r" in text) and text.startswith('"') and text.endswith('"')):
            assert (str(row.label), row.text) == (label, text)


@given(_SYNTAX, st.sampled_from([",", "\t"]))
@example('a,"b\nc,d\n', ",")
@example('a,"b', ",")
@example('a,b\n"c\nd",e,f\n', ",")
def test_each_line_belongs_to_one_record_or_refusal(text: str, delimiter: str) -> None:
    lines = text.replace("\r", "").splitlines(keepends=True)
    expected = 1
    try:
        for record in delimited_records(lambda: iter(lines), delimiter, "t.csv"):
            assert record.line == expected
            expected += record.lines if isinstance(record, TableRecord) else 1
    except DataError as error:
        assert re.match(r"t\.csv:\d+: a quote opens here", str(error))  # noqa: PT017
    else:
        assert expected == len(lines) + 1


@pytest.mark.parametrize("columns", ["n,text", "text,n", "n,text,mood"])
def test_two_stray_quotes_swallow_nothing(columns: str) -> None:
    """In a file in which other quotes do span lines, it is not clear which is meant."""
    values = [{"n": str(n), "text": f"tweet {n} is fine", "mood": "01"[n % 2]} for n in range(5_000)]
    values[1_000]["text"] = '"' + values[1_000]["text"]
    values[1_240]["text"] += '"'
    lines = [",".join(value[name] for name in columns.split(",")) + "\n" for value in values]
    content = "".join([columns + "\n", *lines])
    assert _texts(content.encode(), "t.csv") == [value["text"] for value in values]
    spanning = ",".join(
        {"n": "7", "text": '"two lines\nin one, tweet"', "mood": "0"}[name] for name in columns.split(",")
    )
    with pytest.raises(DataError, match=r"t\.csv:1002: a quote opens here and closes in line 1242"):
        _texts(f"{content}{spanning}\n".encode(), "t.csv")


def test_quotes_that_no_program_writes_are_text() -> None:
    rows = ["1,first", '0,"never closed', '0,"closed" but not at the end', '1,"good, as it is"', '0,5" wide', "1,a, b"]
    found = _read("\n".join(["label,text", *rows, ""]).encode(), "t.csv")
    texts = ["first", '"never closed', '"closed" but not at the end', "good, as it is", '5" wide']
    assert [row.text for row in found if isinstance(row, Row)] == texts
    assert found[-1] == Refusal(7, "wrong number of fields")


def test_one_column_spans_lines_only_if_a_program_wrote_it() -> None:
    assert _texts(b'text\n"two\nlines"\n"one, line"\nplain\n', "t.csv") == ["two\nlines", "one, line", "plain"]
    with pytest.raises(DataError, match=r"t\.csv:2: a quote opens here and closes in line 3, but each of these lines"):
        _texts(b'text\n"two\nlines"\nplain\n', "t.csv")


@given(st.lists(st.binary(max_size=30).filter(lambda line: b"\n" not in line), min_size=1, max_size=8))
def test_each_json_line_is_a_row_a_refusal_or_blank(lines: list[bytes]) -> None:
    content = b"\n".join([json.dumps({"label": 1, "text": "a"}).encode(), *lines])
    found = _read(content, "t.jsonl")
    blank = sum(not line.decode("latin-1").strip() for line in lines)
    assert len(found) == 1 + len(lines) - blank


@given(st.lists(st.tuples(st.sampled_from([0, 1, None]), st.none() | _TEXTS), min_size=1, max_size=20))
def test_each_row_of_parquet_is_a_row_or_a_refusal(rows: list[tuple[int | None, str | None]]) -> None:
    buffer = io.BytesIO()
    columns = list(zip(*rows, strict=True))
    pq.write_table(
        pa.table({"label": pa.array(columns[0], pa.int8()), "text": pa.array(columns[1], pa.string())}), buffer
    )
    found = _read(buffer.getvalue(), "t.parquet")
    assert [row.line for row in found] == list(range(1, len(rows) + 1))
    for (label, text), row in zip(rows, found, strict=True):
        assert (
            isinstance(row, Refusal)
            if label is None or text is None
            else row == Row(str(row.line), None, label, text, row.line)
        )


def test_line_that_is_cut_for_its_length_is_refused_even_if_its_fields_are_short() -> None:
    fields = ["x" * 100_000 for _ in range(11)]
    found = _read(",".join(["1", *fields]).encode() + b"\n" + b"0" + b",y" * 11 + b"\n", "t.csv", label=0, text=11)
    assert [type(row) for row in found] == [Refusal, Row]
    long = json.dumps({"label": 1, "text": "x" * (1 << 20)}).encode()
    assert _read(b'{"label": 1, "text": "a"}\n' + long, "t.jsonl")[1] == Refusal(2, "longer than 1,048,576 bytes")


@pytest.mark.parametrize(
    ("content", "name", "error", "message"),
    [
        (b"label,text\r1,a\r0,b\r", "t.csv", DataError, "lines end in carriage returns"),
        (b'"label,text\n1,a\n', "t.csv", ConfigError, """no column 'label'; the file has '"label', 'text'"""),
        (b'{"label": 1, "text": "a", "text": "b"}', "t.jsonl", DataError, r"t\.jsonl:1: .*two fields of the same name"),
    ],
)
def test_tables_that_lose_rows_when_read_naively_are_refused(
    content: bytes, name: str, error: type[Exception], message: str
) -> None:
    with pytest.raises(error, match=message):
        _read(content, name)


def test_parquet_with_one_name_for_two_columns_or_a_date_out_of_range_is_named() -> None:
    buffer = io.BytesIO()
    pq.write_table(
        pa.Table.from_arrays([pa.array([1]), pa.array(["a"]), pa.array(["b"])], ["label", "text", "text"]), buffer
    )
    with pytest.raises(ConfigError, match="several columns are called 'text'"):
        _read(buffer.getvalue(), "t.parquet", text=1)
    buffer = io.BytesIO()
    late = pa.array([10**18], pa.timestamp("ms"))
    pq.write_table(pa.table({"label": [1], "text": ["a"], "day": late}), buffer)
    assert _read(buffer.getvalue(), "t.parquet", id="day")[0][0] == "<value out of range: 1000000000000000000>"


def test_rows_that_span_lines_are_told(tmp_path: Path, results: Results) -> None:
    table = tmp_path / "t.csv"
    rows = [f"{label},{text}\n" for label, text in tweets(400)]
    table.write_text("label,text\n" + "".join([*rows, '1,"one tweet\non two lines"\n']))
    report = prepare_corpus(DataConfig(source=str(table)), results).report
    assert "  1 span several lines (line 402), as their quotes say" in report.render_lines()


def test_part_without_tweets_says_what_was_refused(tmp_path: Path, results: Results) -> None:
    table = tmp_path / "t.parquet"
    pq.write_table(pa.table({"label": [1] * 5, "text": [["nested"]] * 5}), table)
    with pytest.raises(DataError, match=r"refused were 5 text is not a string \(line 1, 2, 3, 4, 5\)"):
        prepare_corpus(DataConfig(source=str(table)), results)
