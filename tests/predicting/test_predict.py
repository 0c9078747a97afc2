"""Predictions for files, whose rows keep their place in each form of table, and for the terminal and programs."""

import csv
import gzip
import io
import json
import math
import os
import signal
import time
import tracemalloc
from collections.abc import Callable, Sequence
from copy import copy
from datetime import date
from functools import partial
from multiprocessing import get_context
from multiprocessing.connection import wait
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from typer.testing import CliRunner

from sentiment.__main__ import app
from sentiment.config import ColumnConfig
from sentiment.console import silent
from sentiment.data.guess_columns import Reading
from sentiment.errors import ConfigError, DataError, KilledError, SentimentError, UsageError
from sentiment.models.text_model import Predictions, TextModel
from sentiment.predicting.explain import read_available_lines
from sentiment.predicting.files import in_parallel, predict_file
from sentiment.predicting.stored import open_stored
from sentiment.runs.run_dir import RunDir
from tests.commands import invoke
from tests.data.made_up import sentiment140_lines, tweets
from tests.small_runs import invented_tweets

TEXTS = ["a lovely day", "awful, just awful", "", None, "so happy"]
LABELS = ["positive", "negative", None, None, "positive"]
FORMATS = "csv", "jsonl", "text"


@pytest.fixture(scope="module")
def network(trained: RunDir) -> TextModel:
    return open_stored(trained.path).model("network")


Write = Callable[[str, object], Path]


@pytest.fixture
def write(tmp_path: Path) -> Write:
    def made(name: str, content: Any) -> Path:
        path = tmp_path / name
        if isinstance(content, dict):
            pq.write_table(pa.table(content), path)
        else:
            path.write_bytes(gzip.compress(content.encode()) if path.suffix == ".gz" else content.encode())
        return path

    return made


def _to(network: TextModel, source: Path, name: str, column: str | int | None = None) -> tuple[Path, list[str]]:
    target = source.with_name(name)
    return target, predict_file(network, source, target, Reading(column), silent)[1]


def _rows(network: TextModel, source: Path, column: str | int | None = None) -> list[list[str]]:
    target = source.with_name("out put.csv")
    number, _ = predict_file(network, source, target, Reading(column), silent)
    with open(target, encoding="utf-8", newline="") as file:
        rows = list(csv.reader(file))
    assert number == len(rows) - 1
    return rows


@pytest.mark.parametrize("name", ["it's.csv", "a.tsv", "a.csv.gz", "a.tsv.gz"])
def test_rows_come_back_in_order_with_label_and_probability(network: TextModel, write: Write, name: str) -> None:
    quote, delimiter = ("", "\t") if "tsv" in name else ('"', ",")
    lines = ["n", "text"], ["1", "a lovely day"], ["2", "awful, just awful"], ["3", "so happy"]
    text = "".join(delimiter.join(f"{quote}{field}{quote}" for field in line) + "\n" for line in lines)
    rows = _rows(network, write(name, text))
    assert rows[0] == ["n", "text", "label", "probability"]
    assert [row[:2] for row in rows[1:]] == [list(line) for line in lines[1:]]
    for row in rows[1:]:
        _, positive = network.classify_texts([row[1]]).probabilities[0]
        assert row[2] == ("positive" if positive >= 0.5 else "negative")
        assert float(row[3]) == pytest.approx(max(positive, 1 - positive), abs=1e-5)


@pytest.mark.parametrize("cores", [1, 3])
def test_chunks_come_in_order(network: TextModel, write: Write, monkeypatch: pytest.MonkeyPatch, cores: int) -> None:
    texts = [text for _, text in invented_tweets(700)]
    source = write("a.csv", "".join(f"{text}\n" for text in ["text", *(f'"{text}"' for text in texts)]))
    expected = network.classify_texts(texts).probabilities
    monkeypatch.setattr("sentiment.predicting.files.CHUNK", 50)
    monkeypatch.setattr("sentiment.predicting.files.available_cores", lambda: cores)
    waits = iter([0.02, 0.0, 0.01] * 5)
    usual = network.classify
    monkeypatch.setattr(network, "classify", lambda rows: (time.sleep(next(waits)), usual(rows))[1])
    rows = _rows(network, source)
    assert [row[0] for row in rows[1:]] == texts
    assert [float(row[2]) for row in rows[1:]] == pytest.approx(expected.max(axis=1), abs=1e-5)


class _Process(TextModel):
    """Says by which process a text is classified; holds the GIL, as the baseline does."""

    holds_gil = True
    of_tests = os.getpid()

    def classify_texts(self, texts: Sequence[str]) -> Predictions:
        if os.getpid() != self.of_tests:
            signal.raise_signal(signal.SIGINT)  # as Ctrl+C, which the terminal sends to all processes
        if "kill" in texts:
            os.kill(os.getpid(), signal.SIGKILL)
        return Predictions(np.full((len(texts), 2), os.getpid()), np.ones(len(texts), bool))


@pytest.mark.parametrize(("cores", "chunks", "are_forked"), [(1, 9, False), (3, 1, False), (3, 9, True)])
def test_processes_classify_where_there_are_cores_and_chunks_for_them(
    monkeypatch: pytest.MonkeyPatch, cores: int, chunks: int, are_forked: bool
) -> None:
    monkeypatch.setattr("sentiment.predicting.files.available_cores", lambda: cores)
    processes = set()
    for number, (chunk, predictions) in enumerate(in_parallel(_Process(), ([str(n)] for n in range(chunks)), list)):
        assert chunk == [str(number)]
        processes.add(int(predictions.probabilities[0, 0]))
    assert len(processes) <= cores
    assert (os.getpid() not in processes) == are_forked


def test_processes_give_the_bits_of_one(trained: RunDir, write: Write, monkeypatch: pytest.MonkeyPatch) -> None:
    baseline = open_stored(trained.path).model("baseline")
    source = write("a.csv", "text\n" + "".join(f'"{text}"\n' for _, text in invented_tweets(700)))
    monkeypatch.setattr("sentiment.predicting.files.CHUNK", 50)
    written = []
    for cores in (1, 3):
        monkeypatch.setattr("sentiment.predicting.files.available_cores", lambda cores=cores: cores)
        written.append(_to(baseline, source, "out.csv")[0].read_bytes())
    assert written[0] == written[1]


def test_process_that_is_killed_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sentiment.predicting.files.available_cores", lambda: 2)
    with pytest.raises(KilledError, match="a process that classified tweets was killed"):
        [*in_parallel(_Process(), [["a"], ["kill"], ["b"], ["c"]], list)]


def test_no_process_outlives_the_one_that_started_it(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each holds an end of a pipe, which is read to its end when all of them have ended."""
    monkeypatch.setattr("sentiment.predicting.files.available_cores", lambda: 2)
    reader, writer = os.pipe()

    def begin() -> None:
        os.setpgid(0, 0)
        for _ in in_parallel(_Process(), ([str(n)] for n in range(9)), list):
            os.write(writer, b"begun")
            signal.pause()

    parent = get_context("fork").Process(target=begin)
    parent.start()
    os.close(writer)
    with os.fdopen(reader, "rb") as opened:
        assert opened.read(5) == b"begun"
        parent.kill()
        try:
            assert wait([reader], timeout=60)
        finally:
            os.killpg(parent.pid, signal.SIGKILL)  # what outlives it would keep a reader of the tests' output waiting
        assert opened.read() == b""
    parent.join()


def test_sigterm_leaves_no_file_that_is_not_complete(
    trained: RunDir, write: Write, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = write("a.csv", "text\na lovely day\n")
    monkeypatch.setattr(TextModel, "answers", lambda *_: signal.raise_signal(signal.SIGTERM))
    done = invoke("predict", trained.path, "--file", source, "--out", source.with_name("out.csv"))
    assert done.exit_code == 128 + signal.SIGTERM
    assert [*source.parent.iterdir()] == [source]


def test_what_has_no_prediction_keeps_its_place_and_is_counted_with_its_lines(network: TextModel, write: Write) -> None:
    text = '1,lovely\n2,\n3,"  "\n4\n5,so, so, sad\n6,{}\n7,"so\nhappy"\n8,sad\n9,xyzzy :3\n'
    source = write("a.csv", "id,text\n" + text.format("lovely " * 30_000))
    rows = _rows(network, source)
    assert [row[0] for row in rows[1:]] == ["1", "2", "3", "4", "5", "", "7", "8", "9"]
    assert [bool(row[3]) for row in rows[1:]] == [True, False, False, False, False, False, True, True, False]
    assert rows[5][1] == "so, so, sad"  # the text is whole
    assert rows[7][1] == "so\nhappy"
    assert sorted(_to(network, source, "again.csv")[1]) == [
        "1 row of several lines (line 8)",
        "1 row without a prediction: a field longer than 131,072 characters (line 7)",
        "1 row without a prediction: no word that the model knows (line 11)",
        "1 row without a prediction: wrong number of fields (line 6)",
        "3 rows without a prediction: empty text (line 3, 4, 5)",
    ]
    lines = write("lines.txt", "lovely\n\nsad\n")
    assert _to(network, lines, "lines.csv")[1] == ["1 row without a prediction: empty text (line 2)"]


def test_column_is_chosen_by_name_by_the_run_or_because_it_is_the_only_one(network: TextModel, write: Write) -> None:
    two = write("two.csv", "tweet,text\nawful,lovely\n")
    assert _rows(network, two, "tweet")[1][2] == "negative"
    assert _rows(network, two)[1][2] == "positive"
    assert _rows(network, write("only.csv", "Tweet\nawful\n"))[1][1] == "negative"
    listed = write("a.csv", "such a lovely day\nawful\n")  # without a name
    assert [row[0] for row in _rows(network, listed)] == ["0", "such a lovely day", "awful"]
    with pytest.raises(ConfigError, match=r"two\.csv: --text-column: no column 'txt'; the file has 'tweet', 'text'"):
        _rows(network, two, "txt")
    twice = write("twice.csv", "text,text\nlovely,sad\n")
    with pytest.raises(UsageError, match=r"2 columns can hold the texts; .*--text-column=NAME\. Columns: 0 .*; 1 "):
        _rows(network, twice)
    assert _rows(network, twice, 1)[1][2] == "negative"


def test_column_of_another_name_is_found_and_told(network: TextModel, write: Write) -> None:
    source = write("a.csv", "id;Tweet\n1;lovely, so lovely\n2;awful\n")
    target, told = _to(network, source, "out.csv")
    assert [row[2] for row in csv.reader(target.read_text().splitlines())] == ["label", "positive", "negative"]
    assert told == ["guessed data.columns.text: Tweet (--text-column=NAME says otherwise)"]


def test_file_without_a_header_is_read_by_form_position_or_run(network: TextModel, write: Write) -> None:
    rows = _rows(network, write("a.csv", "".join(sentiment140_lines(3))))
    assert [row[5] for row in rows[1:]] == [text for _, text in tweets(3)]
    assert all(row[-1] for row in rows)
    by_position = copy(network)
    data = network.config.data.model_copy(update={"columns": ColumnConfig(label=0, text=1)})
    by_position.config = network.config.model_copy(update={"data": data})
    source = write("b.csv", "0,lovely\n1,awful\n")
    for rows in (_rows(by_position, source), _rows(network, source, 1)):
        assert [row[:2] for row in rows] == [["0", "1"], ["0", "lovely"], ["1", "awful"]]
    with pytest.raises(ConfigError, match="--text-column: no column 2; there are 2, counted from 0"):
        _rows(network, source, 2)


def test_input_is_not_overwritten_and_nor_are_its_columns(network: TextModel, write: Write, tmp_path: Path) -> None:
    source = write("a.csv", "label,text\n0,lovely\n")
    (tmp_path / "link.csv").symlink_to(source)
    for name in ("a.csv", "link.csv"):
        with pytest.raises(UsageError, match=f"{name}: is a file that is read"):
            _to(network, source, name)
    rows = _rows(network, source)
    assert rows[0] == ["label", "text", "predicted_label", "probability"]
    assert rows[1][:2] == ["0", "lovely"]


def test_output_appears_when_it_is_complete(network: TextModel, write: Write, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sentiment.predicting.files.CHUNK", 100)
    source = write("a.csv.gz", "text\n" + "".join(f"so lovely {n}\n" for n in range(2000)))
    source.write_bytes(source.read_bytes()[:-20])
    with pytest.raises(DataError, match="truncated"):
        _rows(network, source)
    assert list(source.parent.iterdir()) == [source]


@pytest.mark.slow
def test_memory_does_not_grow_with_the_file(network: TextModel, write: Write, monkeypatch: pytest.MonkeyPatch) -> None:
    """The network is left out: it sees a chunk at a time, and would only make this slow."""
    known = np.ones(256, bool)
    monkeypatch.setattr(
        network, "classify", lambda rows: Predictions(np.tile([0.25, 0.75], (rows.size, 1)), known[: rows.size])
    )
    monkeypatch.setattr("sentiment.predicting.files.CHUNK", 256)

    def peak(count: int) -> int:
        lines = (f"tweet {n % 1_000} is {'lovely ' * 30}\n" for n in range(count))  # more than is read at once
        source = write(f"{count}.csv", "text\n" + "".join(lines))
        tracemalloc.start()
        try:
            _to(network, source, "out.csv")
            return tracemalloc.get_traced_memory()[1]
        finally:
            tracemalloc.stop()

    assert peak(10_000) < 2.5 * peak(2_500)  # how many chunks are held at once depends on the threads


@pytest.fixture
def table(write: Write) -> Path:
    days, places = [date(2020, 1, day) for day in range(1, 6)], pa.array([[1, 2], [], None, [3], [4]])
    return write("in.parquet", {"day": days, "text": TEXTS, "places": places})


def test_parquet_keeps_types_and_order(
    network: TextModel, table: Path, write: Write, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sentiment.predicting.files.CHUNK", 2)
    target, outcome = _to(network, table, "out.parquet")
    before, after = pq.read_table(table), pq.read_table(target)
    assert after.select(before.column_names).equals(before)
    assert after.column_names[-2:] == ["label", "probability"]
    assert after["label"].to_pylist() == LABELS
    assert [share is None for share in after["probability"].to_pylist()] == [label is None for label in LABELS]
    assert outcome == ["2 rows without a prediction: empty text (line 3, 4)"]
    pq.write_table(before.slice(0, 0), table)
    assert pq.read_table(_to(network, table, "out.parquet")[0]).column_names == after.column_names
    found = pq.read_table(_to(network, write("in.csv", "n,text\n1,a lovely day\n2,\n3,awful\n"), "out.parquet")[0])
    assert found.schema.field("probability").type == pa.float64()
    assert found["label"].to_pylist() == ["positive", None, "negative"]


def test_json_lines_to_json_lines_leaves_values_what_they_are(network: TextModel, write: Write, tmp_path: Path) -> None:
    objects: list[dict[str, Any]] = [
        {"text": "a lovely day", "yes": True, "none": None, "n": 1, "x": 1.0, "more": {"a": [1, "b"]}, "name": "1"},
        {"text": "awful", "n": 12345678901234567890, "other": [False]},
        {"n": 1.5},
    ]
    source = write("in.jsonl", "\n".join([*(json.dumps(one) for one in objects), "no object"]) + "\n")
    target, outcome = _to(network, source, "out.jsonl")
    found = [json.loads(line) for line in target.read_text().splitlines()]
    assert [one.pop("label") for one in found] == ["positive", "negative", None, None]
    assert [one.pop("probability") is None for one in found] == [False, False, True, True]
    assert [json.dumps(one) for one in found[:3]] == [json.dumps(one) for one in objects]
    assert outcome[1] == "1 row without a prediction: not a JSON object (line 4)"
    nan = write("nan.jsonl", '{"text": "awful", "x": NaN, "y": [-Infinity, 1e999]}\n')
    assert '"x": null, "y": [null, null]' in _to(network, nan, "out.jsonl")[0].read_text()
    table = tmp_path / "nan.parquet"
    pq.write_table(pa.table({"text": ["awful"], "x": [math.inf], "y": [[math.nan]]}), table)
    assert '"x": null, "y": [null]' in _to(network, table, "out.jsonl")[0].read_text()
    target, outcome = _to(network, source, "out.csv")
    assert target.read_text().splitlines()[1].startswith('a lovely day,true,,1,1.0,"[1, ""b""]",1,,positive,')
    assert target.read_text().splitlines()[2].startswith("awful,,,12345678901234567890,,,,[false],negative,")
    late = write("late.jsonl", '{"text": "lovely"}\n{"text": "awful", "label": "mine"}\n')
    assert '"label": "mine", "predicted_label": "negative"' in _to(network, late, "out.jsonl")[0].read_text()


@pytest.mark.parametrize(
    ("name", "text", "out", "said"),
    [
        ("in.csv", "text,note,note\nawful,1,2\n", "out.jsonl", r"in\.csv: several columns are called 'note'"),
        ("in.csv", "text\nawful\n", "out.xls", r"out\.xls: .*valid: .csv, .tsv"),
        ("in.xlsx", "PK", "out.csv", r"in\.xlsx: "),
        ("in.csv", "text\nawful\n", "out.parquet.gz", r"out\.parquet\.gz: .*valid: "),
    ],
)
def test_what_a_form_cannot_hold_is_told_and_nothing_is_written(
    network: TextModel, write: Write, name: str, text: str, out: str, said: str
) -> None:
    source = write(name, text)
    with pytest.raises(SentimentError, match=said):
        _to(network, source, out)
    assert [*source.parent.iterdir()] == [source]


def test_texts_come_out_as_they_were(network: TextModel, write: Write) -> None:
    rows = _rows(network, write("a.csv", 'id,text\n1,"so\rlovely"\n2,sad\n'))
    assert [row[:2] for row in rows[1:]] == [["1", "so\rlovely"], ["2", "sad"]]
    target, _ = _to(network, write("in.tsv", 'n\ttext\n1\t"a lovely day"\n2\t"awful" she said\n'), "out.tsv")
    texts = [row[1] for row in csv.reader(target.read_text().splitlines(), delimiter="\t")]
    assert texts == ["text", "a lovely day", "awful she said"]
    texts = ['"so" lovely', "so\tawful", "so\nlovely", "so\rawful"]
    source = write("in.jsonl", "".join(json.dumps({"text": text}) + "\n" for text in texts))
    for name, delimiter in (("out.tsv", "\t"), ("out.csv", ",")):
        target, _ = _to(network, source, name)
        lines = io.StringIO(target.read_bytes().decode(), newline="")
        assert [row[0] for row in csv.reader(lines, delimiter=delimiter)] == ["text", *texts]


def test_workbook_keeps_formulas_and_numbers(network: TextModel, write: Write, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("openpyxl", reason="the extra xlsx is not installed")
    lines = [{"text": "=lovely()", "n": 3, "id": 2**60}, {"text": "awful", "n": 0.5}, {"text": "", "n": 7}]
    text = "".join(json.dumps(line) + "\n" for line in lines)
    first, _ = _to(network, write("in.jsonl", text), "first.xlsx")
    target, outcome = _to(network, first, "second.xlsx", "text")
    assert outcome == ["1 row without a prediction: empty text (line 4)"]
    found = pd.read_excel(target, na_filter=False, engine="openpyxl").to_numpy(object).tolist()
    assert [row[:3] for row in found] == [["=lovely()", 3, str(2**60)], ["awful", 0.5, ""], ["", 7, ""]]
    assert [row[3] for row in found] == [row[5] for row in found] == ["positive", "negative", ""]
    monkeypatch.setattr("sentiment.predicting.files._MAX_COLUMNS", 8)
    wide = {"text": "awful", **dict.fromkeys("abcdef", 1)}  # nine with label and probability
    for line in ({"text": "so\0awful"}, {"text": "long " * 7_000}, wide):
        with pytest.raises(DataError, match=r"out\.xlsx: row [12] has '.*', which a workbook cannot hold"):
            _to(network, write("odd.jsonl", json.dumps(line)), "out.xlsx")
    broken, _ = _to(network, write("lines.jsonl", json.dumps({"text": "so\r\nawful"})), "lines.xlsx")
    assert pd.read_excel(broken, engine="openpyxl")["text"].tolist() == ["so\nawful"]  # as Excel breaks lines
    odd = write("in.parquet", {"text": ["awful"], "said": ["#N/A"], "n": [float("inf")]})
    table, _ = _to(network, odd, "odd.xlsx")
    assert pd.read_excel(table, na_filter=False, engine="openpyxl").to_numpy(object).tolist()[0][:3] == [
        "awful",
        "#N/A",
        float("inf"),
    ]


def test_name_that_says_compressed_is_compressed(network: TextModel, table: Path) -> None:
    for name in ("out.csv", "out.jsonl"):
        packed, plain = (_to(network, table, one)[0] for one in (f"{name}.gz", name))
        assert gzip.decompress(packed.read_bytes()) == plain.read_bytes()


SHOWN = ["such a lovely, happy day", 'awful "broken"', ""]


def test_csv_and_json_lines_say_the_same_as_the_text(trained: RunDir) -> None:
    as_csv, as_lines, text = (invoke("predict", trained.path, *SHOWN, "--format", one).output for one in FORMATS)
    table, lines = list(csv.DictReader(io.StringIO(as_csv))), [json.loads(one) for one in as_lines.splitlines()]
    assert [row["text"] for row in table] == [line["text"] for line in lines] == SHOWN
    assert [row["label"] for row in table] == ["positive", "negative", ""]
    assert [line["label"] for line in lines] == ["positive", "negative", None]
    for row, line, shown in zip(table[:2], lines[:2], text.splitlines()[2:], strict=False):
        assert float(row["probability"]) == line["probability"] >= 0.5
        assert f"{100 * line['probability']:.1f} %" in shown
    assert text.splitlines()[4].endswith("(no word that the model knows)")


@pytest.mark.parametrize(("form", "first"), [("text", 2), ("csv", 1), ("jsonl", 0)])
def test_standard_input_is_a_tweet_a_line_in_order(trained: RunDir, form: str, first: int) -> None:
    given = "such a lovely day\r\n\nawful bus\n\xff lovely".encode("latin-1")
    done = CliRunner().invoke(app, ["predict", str(trained.path), "-", "--format", form], input=given)
    assert done.exit_code == 0, done.output
    lines = done.output.splitlines()[first:]
    assert ["positive" in line for line in lines] == [True, False, False, True]
    assert "negative" in lines[2]


def test_stream_is_answered_line_by_line_at_once() -> None:
    """What is sent in one piece is read together; a line that is not whole yet waits for its end."""
    reader, writer = os.pipe()
    sent, got = [b"lovely\nso ", b"sad\r\n\nhap", b"py\x81\xe9"], list[list[str]]()
    with os.fdopen(reader, "rb") as stream:
        os.write(writer, sent[0])
        for lines in read_available_lines(stream):
            got.append(lines)
            if sent := sent[1:]:
                os.write(writer, sent[0])
            elif len(got) == 3:
                os.close(writer)
    assert got == [["lovely"], ["so sad", ""], [], ["happy\x81\u00e9"]]  # as a line of a file is read


@pytest.mark.parametrize("name", ["out.csv", "out.jsonl", "out.parquet"])
def test_probabilities_of_all_classes_have_columns_of_their_own_and_sum_to_1(
    trained: RunDir, tmp_path: Path, name: str
) -> None:
    table = pd.DataFrame({"text": TEXTS, "probability_negative": range(len(TEXTS))})
    table.to_json(tmp_path / "in.jsonl", orient="records", lines=True)
    words = ("--file", tmp_path / "in.jsonl", "--out", tmp_path / name, "--probabilities")
    assert invoke("predict", trained.path, *words).exit_code == 0
    read = {"csv": pd.read_csv, "jsonl": partial(pd.read_json, lines=True), "parquet": pd.read_parquet}
    found = read[name.split(".")[1]](tmp_path / name)
    *columns, first, second = found.columns
    assert (columns[-2:], first, second) == (
        ["label", "probability"],
        "predicted_probability_negative",
        "probability_positive",
    )
    answered = found.dropna(subset="label")
    assert answered["label"].tolist() == [label for label in LABELS if label]
    np.testing.assert_allclose(answered[first] + answered[second], 1, atol=1.01e-6)
    np.testing.assert_array_equal(answered[[first, second]].max(axis=1), answered["probability"])


def test_probabilities_of_all_classes_are_shown_for_a_tweet(trained: RunDir) -> None:
    (line,) = invoke("predict", trained.path, "awful", "--format", "jsonl", "--probabilities").output.splitlines()
    answer = json.loads(line)
    assert [*answer] == ["label", "probability", "probability_negative", "probability_positive", "text"]
    shown = invoke("predict", trained.path, "awful", "--probabilities").output
    assert f"negative {100 * answer['probability_negative']:.1f} %, positive" in shown


def test_name_of_a_table_in_place_of_a_tweet_is_read_as_a_table(trained: RunDir, write: Write, tmp_path: Path) -> None:
    source = write("t.csv", "text\na lovely day\n")
    answers = []
    for words in ((source,), ("--file", source)):
        done = invoke("predict", trained.path, *words, "--out", tmp_path / "o.csv")
        assert done.exit_code == 0, done.output
        answers.append((tmp_path / "o.csv").read_text())
    assert answers[0] == answers[1]
    assert "a lovely day,positive" in answers[0]
