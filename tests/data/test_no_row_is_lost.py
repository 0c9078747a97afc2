"""Whatever is in a table, each of its lines belongs to a row, is refused with its number, or is blank."""

import csv
import io
import json
import tempfile
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from sentiment.config import ColumnConfig, DataConfig
from sentiment.data.corpus.corpus import prepare_corpus
from sentiment.data.registry import open_source
from sentiment.data.tables.delimited import UNCLOSED, DelimitedRecord, delimited_records
from sentiment.data.tables.rows import Refusal, Row
from sentiment.errors import ConfigError, DataError
from sentiment.run_dir import Results
from tests.data.made_up import tweets

# No characters that cannot be encoded, and none that training refuses.
_TEXTS = st.text(st.characters(codec="utf-8", exclude_characters="\0"), min_size=1, max_size=40).filter(str.strip)
_SYNTAX = st.text('ab,\t"\n\r 1', max_size=60)
_PLAIN = st.text(st.characters(codec="utf-8", exclude_characters='\0"\r\n,\t'), min_size=1).filter(str.strip)


def _read(content: bytes, name: str, **columns: Any) -> list[Row | Refusal]:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / name
        path.write_bytes(content)
        config = DataConfig(source=str(path), columns=ColumnConfig.model_validate(columns))
        return list(open_source(config, Results(Path(folder) / "results")).main.read())


def _written(rows: list[tuple[str, str]], delimiter: str, quoting: int, end: str) -> str:
    text = io.StringIO()
    csv.writer(text, delimiter=delimiter, quoting=quoting, lineterminator=end).writerows(rows)
    return text.getvalue()


@given(
    st.lists(st.tuples(st.sampled_from(["0", "1"]), _TEXTS), min_size=1, max_size=8),
    st.sampled_from([("t.csv", ","), ("t.tsv", "\t")]),
    st.sampled_from(["\n", "\r\n"]),
    st.sampled_from(["utf-8", "utf-8-sig"]),
)
@example(
    [("1", 'a "quoted" word'), ("0", '"begins and ends"'), ("1", "two\nlines\n"), ("0", '","')],
    ("t.csv", ","),
    "\n",
    "utf-8",
)
def test_what_a_program_writes_is_read_back_row_by_row(
    rows: list[tuple[str, str]], form: tuple[str, str], end: str, encoding: str
) -> None:
    name, delimiter = form
    content = _written([("label", "text"), *rows], delimiter, csv.QUOTE_ALL, end).encode(encoding)
    found = _read(content, name)
    assert [(str(row.label), row.text) for row in found if isinstance(row, Row)] == rows
    assert len(found) == len(rows)


@given(_SYNTAX, st.sampled_from([",", "\t"]))
@example('a,"b\nc,d\n', ",")
@example('a,"b', ",")
@example('a,b\n"c\nd",e,f\n', ",")
def test_each_line_belongs_to_one_record_or_refusal(text: str, delimiter: str) -> None:
    lines = text.splitlines(keepends=True) if "\r" not in text else text.replace("\r", "").splitlines(keepends=True)
    expected = 1
    for record in delimited_records(lines, delimiter, keep_blank_lines=True):
        assert record.line == expected
        expected += record.lines if isinstance(record, DelimitedRecord) else 1
    assert expected == len(lines) + 1


@given(st.lists(_PLAIN, min_size=2, max_size=12), st.data())
def test_a_quote_that_is_never_closed_costs_its_own_line_only(texts: list[str], data: st.DataObject) -> None:
    lines = [f"1,{text}\n" for text in texts]
    bad = data.draw(st.integers(0, len(lines) - 1))
    lines[bad] = f'1,"{texts[bad]}\n'
    found = _read(("label,text\n" + "".join(lines)).encode(), "t.csv")
    assert found[bad] == Refusal(bad + 2, UNCLOSED)
    assert [row.text for row in found if isinstance(row, Row)] == [*texts[:bad], *texts[bad + 1 :]]


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


@pytest.mark.parametrize(
    ("bad", "refused"),
    [
        ('0,"never closed', [3]),
        ('0,"closed" but not at the end of the field\n1,"never', [4]),
        ('"0,never closed', [3]),
        ('0,"closed by the next', [3]),
        ('0,x,"too many fields\n1,and here it closes"', [3]),
    ],
)
def test_quotes_that_do_not_fit_are_refused_and_the_next_line_is_read(bad: str, refused: list[int]) -> None:
    found = _read(f'label,text\n1,first\n{bad}\n1,"good, as it is"\n0,last\n'.encode(), "t.csv")
    assert [row.line for row in found if isinstance(row, Refusal)] == refused
    assert [row.text for row in found if isinstance(row, Row)][-2:] == ["good, as it is", "last"]


def test_record_of_thousands_of_lines_is_a_quote_that_is_not_closed() -> None:
    found = _read(('label,text\n1,"begins\n' + "0,x\n" * 3000 + '1,ends"\n').encode(), "t.csv")
    assert found[0] == Refusal(2, UNCLOSED)
    assert len(found) == 3002


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
        (b'"label,text\n1,a\n', "t.csv", DataError, r"t\.csv:1: the names of the columns cannot be read"),
        (b'{"label": 1, "text": "a", "text": "b"}', "t.jsonl", None, "two fields of the same name"),
    ],
)
def test_tables_that_lose_rows_when_read_naively_are_refused(
    content: bytes, name: str, error: type[Exception] | None, message: str
) -> None:
    if error is None:
        assert _read(content, name) == [Refusal(1, message)]
    else:
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
    with pytest.raises(DataError, match=r"t\.parquet: a value after row 0 is out of range"):
        _read(buffer.getvalue(), "t.parquet", id="day")


def test_swallowed_lines_count_towards_the_share_of_malformed_rows(tmp_path: Path, results: Results) -> None:
    rows = [f"{label},{text}\n" for label, text in tweets(400)]
    rows[::10] = [row.replace(",", ',"', 1) for row in rows[::10]]
    table = tmp_path / "t.csv"
    table.write_text("label,text\n" + "".join(rows))
    with pytest.raises(DataError, match="40 of 400 rows are malformed, more than 5%: 40 a quote opens that"):
        prepare_corpus(DataConfig(source=str(table)), results)


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


def test_file_that_changes_while_it_is_read_is_refused(tmp_path: Path, results: Results) -> None:
    table = tmp_path / "t.csv"
    table.write_text("label,text\n1,a\n0,b\n")
    rows = open_source(DataConfig(source=str(table)), results).main.read()
    next(rows)
    table.write_text("label,text\n1,a\n0,bc\n")
    with pytest.raises(DataError, match="was changed while it was read"):
        list(rows)
