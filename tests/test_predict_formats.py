"""Files of predictions in other forms than CSV, and tables whose delimiter is found out."""

import csv
import gzip
import json
import sys
from datetime import date
from pathlib import Path

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from sentiment.console import silent
from sentiment.data.tables import open_table
from sentiment.errors import DataError, UsageError
from sentiment.inference.models import load_network
from sentiment.inference.output import sheet_value
from sentiment.inference.predict import PredictedFile, predict_file
from sentiment.models.text_model import TextModel
from sentiment.runs.run_dir import RunDir

TEXTS = ["a lovely day", "awful, just awful", "", None, "so happy"]
LABELS = ["positive", "negative", None, None, "positive"]


@pytest.fixture(scope="module")
def predictor(trained: RunDir) -> TextModel:
    return load_network(trained)


@pytest.fixture
def table(tmp_path: Path) -> Path:
    """A Parquet file with columns of several types."""
    columns = {
        "day": pa.array([date(2020, 1, day) for day in range(1, 6)]),
        "text": pa.array(TEXTS, pa.string()),
        "places": pa.array([[1, 2], [], None, [3], [4]], pa.list_(pa.int8())),
    }
    pq.write_table(pa.table(columns), tmp_path / "in.parquet")
    return tmp_path / "in.parquet"


def _predict(predictor: TextModel, source: Path, name: str) -> tuple[Path, PredictedFile]:
    target = source.with_name(name)
    return target, predict_file(predictor, source, target, None, silent)


def test_parquet_to_parquet_keeps_types_and_order(
    predictor: TextModel, table: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sentiment.inference.predict.CHUNK", 2)
    target, outcome = _predict(predictor, table, "out.parquet")
    before, after = pq.read_table(table), pq.read_table(target)
    assert after.select(before.column_names).equals(before)
    assert after.column_names[-2:] == ["label", "probability"]
    assert after["label"].to_pylist() == LABELS
    assert [share is None for share in after["probability"].to_pylist()] == [label is None for label in LABELS]
    assert outcome.rows == 5
    assert outcome.render_lines() == ["2 without a prediction: empty text (line 3, 4)"]


def test_empty_parquet_file_comes_back_with_its_columns(predictor: TextModel, tmp_path: Path) -> None:
    pq.write_table(pa.table({"text": pa.array([], pa.string())}), tmp_path / "in.parquet")
    target, outcome = _predict(predictor, tmp_path / "in.parquet", "out.parquet")
    assert outcome.rows == 0
    assert pq.read_table(target).column_names == ["text", "label", "probability"]


@pytest.mark.parametrize("name", ["out.csv", "out.tsv", "out.jsonl"])
def test_parquet_to_text_has_a_row_for_each(predictor: TextModel, table: Path, name: str) -> None:
    target, outcome = _predict(predictor, table, name)
    assert outcome.rows == 5
    if name.endswith("jsonl"):
        lines = [json.loads(line) for line in target.read_text().splitlines()]
        assert [line["label"] for line in lines] == LABELS
        assert lines[0]["day"] == "2020-01-01"
        assert lines[2]["probability"] is None
    else:
        read = pd.read_csv(target, sep="\t" if name.endswith("tsv") else ",")
        assert [None if label != label else label for label in read["label"]] == LABELS


def test_csv_to_parquet_has_text_and_a_number(
    predictor: TextModel, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "in.csv").write_text("n,text\n1,a lovely day\n2,\n3,awful\n", encoding="utf-8")
    target, _ = _predict(predictor, tmp_path / "in.csv", "out.parquet")
    found = pq.read_table(target)
    assert found.schema.field("probability").type == pa.float64()
    assert found["n"].to_pylist() == ["1", "2", "3"]
    assert found["label"].to_pylist() == ["positive", None, "negative"]


def test_mistakes_in_parquet_files_are_named(predictor: TextModel, table: Path, tmp_path: Path) -> None:
    (tmp_path / "bad.parquet").write_bytes(b"PAR1 no")
    with pytest.raises(DataError, match=r"bad\.parquet: is not a valid Parquet file"):
        _predict(predictor, tmp_path / "bad.parquet", "out.parquet")
    assert not (tmp_path / "out.parquet").exists()
    with pytest.raises(UsageError, match="has no column 'tweet'"):
        predict_file(predictor, table, tmp_path / "out.parquet", "tweet", silent)


@pytest.mark.parametrize(
    ("text", "delimiter"),
    [
        ("text,label\na;b;c,1\n", ","),
        ("text;label\na, b and c;1\nd;0\n", ";"),
        ("id;text;label\n" + "1;fine;1\n" * 9 + "a line break\n", ";"),
        ("text\tlabel\na\t1\n", "\t"),
        ("text|label\na|1\n", "|"),
        ("text\nnice; and so on\nfine\n", ","),
        ("a; b\nc\nd\n", ","),
    ],
)
def test_delimiter_is_judged_by_the_first_lines(tmp_path: Path, text: str, delimiter: str) -> None:
    (tmp_path / "some.csv").write_text(text, encoding="utf-8")
    assert open_table(tmp_path / "some.csv", lambda _: False).delimiter == delimiter
    (tmp_path / "some.tsv").write_text(text, encoding="utf-8")
    assert open_table(tmp_path / "some.tsv", lambda _: False).delimiter == "\t"


def test_file_with_semicolons_is_predicted_as_it_was_meant(predictor: TextModel, tmp_path: Path) -> None:
    (tmp_path / "in.csv").write_text("id;text\n1;a lovely day, really\n2;awful\n", encoding="utf-8")
    target, _ = _predict(predictor, tmp_path / "in.csv", "out.csv")
    assert pd.read_csv(target)["label"].tolist() == ["positive", "negative"]


@pytest.mark.parametrize("name", ["in.csv", "in.jsonl", "in.parquet", "in.csv.gz"])
def test_progress_knows_about_how_many_rows_there_are(predictor: TextModel, tmp_path: Path, name: str) -> None:
    table = pd.DataFrame({"n": range(300), "text": "a lovely day"})
    if name == "in.parquet":
        table.to_parquet(tmp_path / name)
    elif name == "in.jsonl":
        table.to_json(tmp_path / name, orient="records", lines=True)
    else:
        table.to_csv(tmp_path / name, index=False)
    told: list[tuple[int, int | None]] = []
    predict_file(
        predictor, tmp_path / name, tmp_path / "out.csv", None, lambda _, done, total: told.append((done, total))
    )
    done, total = told[-1]
    assert done == 300
    assert total in ((None,) if name.endswith("gz") else (300, 301))


def test_json_lines_to_json_lines_leaves_values_what_they_are(predictor: TextModel, tmp_path: Path) -> None:
    objects = [
        {"text": "a lovely day", "yes": True, "none": None, "n": 1, "x": 1.0, "more": {"a": [1, "b"]}, "name": "1"},
        {"text": "awful", "n": 12345678901234567890, "other": [False]},
        {"n": 1.5},
    ]
    lines = [json.dumps(one, ensure_ascii=False) for one in objects]
    (tmp_path / "in.jsonl").write_text("\n".join([*lines, "no object"]) + "\n")
    target, outcome = _predict(predictor, tmp_path / "in.jsonl", "out.jsonl")
    found = [json.loads(line) for line in target.read_text().splitlines()]
    assert [one.pop("label") for one in found] == ["positive", "negative", None, None]
    assert [one.pop("probability") is None for one in found] == [False, False, True, True]
    assert [json.dumps(one) for one in found[:3]] == [json.dumps(one) for one in objects]
    assert outcome.render_lines()[1] == "1 without a prediction: not a JSON object (line 4)"
    target, _ = _predict(predictor, tmp_path / "in.jsonl", "out.csv")
    assert target.read_text().splitlines()[1].startswith('a lovely day,true,,1,1.0,"{""a"": [1, ""b""]}",1,positive,')


def test_field_that_would_be_overwritten_is_named(predictor: TextModel, tmp_path: Path) -> None:
    (tmp_path / "in.jsonl").write_text('{"text": "awful"}\n{"text": "awful", "label": "mine"}\n')
    with pytest.raises(DataError, match=r"out\.jsonl: line 2 .* has a field 'label'"):
        _predict(predictor, tmp_path / "in.jsonl", "out.jsonl")
    assert not (tmp_path / "out.jsonl").exists()


def test_column_that_json_lines_would_lose_is_named(predictor: TextModel, tmp_path: Path) -> None:
    (tmp_path / "in.csv").write_text("text,note,note\nawful,1,2\n")
    with pytest.raises(UsageError, match=r"in\.csv: several columns are called 'note'"):
        _predict(predictor, tmp_path / "in.csv", "out.jsonl")
    assert _predict(predictor, tmp_path / "in.csv", "out.csv")[0].read_text().startswith("text,note,note,label,")


def test_numbers_that_are_none_are_null_in_json_lines(predictor: TextModel, tmp_path: Path) -> None:
    pq.write_table(pa.table({"text": ["awful"], "weight": [float("nan")]}), tmp_path / "in.parquet")
    assert '"weight": null' in _predict(predictor, tmp_path / "in.parquet", "out.jsonl")[0].read_text()


def test_cell_keeps_each_digit_of_a_tweets_id() -> None:
    assert sheet_value(1467810369123456789) == "1467810369123456789"
    assert [sheet_value(value) for value in (7, 0.5, None, True)] == [7, 0.5, None, True]


@pytest.mark.parametrize("name", ["out.csv.gz", "out.tsv.gz", "out.jsonl.gz"])
def test_name_that_says_compressed_is_compressed(predictor: TextModel, table: Path, name: str) -> None:
    packed, _ = _predict(predictor, table, name)
    plain, _ = _predict(predictor, table, name.removesuffix(".gz"))
    assert gzip.decompress(packed.read_bytes()) == plain.read_bytes()


@pytest.mark.parametrize("name", ["out.zip", "out.txt", "out.json", "out.csv.bz2", "out.parquet.gz", "out.xlsx"])
def test_name_of_another_form_is_refused_and_nothing_is_written(
    predictor: TextModel, table: Path, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "openpyxl", None)
    expected = "pip install openpyxl" if name.endswith("xlsx") else "valid endings: .csv, .tsv"
    with pytest.raises(UsageError, match=rf"{name}: .*{expected}"):
        _predict(predictor, table, name)
    assert not table.with_name(name).exists()
    workbook = table.with_name("in.xlsx")
    workbook.write_bytes(b"PK")
    with pytest.raises(DataError, match=r"in\.xlsx: .*pip install openpyxl"):
        _predict(predictor, workbook, "out.csv")


def test_quotation_marks_of_tab_separated_tweets_stay(predictor: TextModel, tmp_path: Path) -> None:
    (tmp_path / "in.tsv").write_text('n\ttext\n1\t"a lovely day"\n2\t"awful" she said\n3\t"so happy\n')
    target, outcome = _predict(predictor, tmp_path / "in.tsv", "out.tsv")
    with open(target, newline="") as file:
        texts = [row[1] for row in csv.reader(file, delimiter="\t", quoting=csv.QUOTE_NONE)]
    assert texts == ["text", '"a lovely day"', '"awful" she said', '"so happy']
    assert outcome.rows == 3
