"""Predictions for files: every row keeps its place, whatever is in it, and memory stays bounded."""

import csv
import gzip
import json
import os
import time
import tracemalloc
from pathlib import Path

import numpy as np
import pytest

from sentiment.console import silent
from sentiment.errors import DataError, UsageError
from sentiment.inference.models import load_network
from sentiment.inference.predict import predict_file
from sentiment.models.text_model import Reading, TextModel
from sentiment.runs.run_dir import RunDir
from tests.conftest import MakeExperiment
from tests.small_runs import StopWhen, invented_tweets


@pytest.fixture(scope="module")
def predictor(trained: RunDir) -> TextModel:
    return load_network(trained)


def _predict(predictor: TextModel, source: Path, column: str | None = None) -> list[list[str]]:
    target = source.with_name("out put.csv")
    count = predict_file(predictor, source, target, column, silent).rows
    with open(target, encoding="utf-8", newline="") as file:
        rows = list(csv.reader(file))
    assert count == len(rows) - 1
    return rows


def _file(folder: Path, name: str, text: str) -> Path:
    path = folder / name
    if path.suffix == ".gz":
        path.write_bytes(gzip.compress(text.encode()))
    else:
        path.write_text(text, encoding="utf-8", newline="")
    return path


@pytest.mark.parametrize("name", ["it's.csv", "a.tsv", "a.csv.gz", "a.tsv.gz"])
def test_rows_come_back_in_order_with_label_and_probability(predictor: TextModel, tmp_path: Path, name: str) -> None:
    delimiter = "\t" if "tsv" in name else ","
    lines = ["n", "text"], ["1", "a lovely day"], ["2", "awful, just awful"], ["3", "so happy"]
    quote = "" if "tsv" in name else '"'
    text = "".join(delimiter.join(f"{quote}{field}{quote}" for field in line) + "\n" for line in lines)
    rows = _predict(predictor, _file(tmp_path, name, text))
    assert rows[0] == ["n", "text", "label", "probability"]
    assert [row[:2] for row in rows[1:]] == [list(line) for line in lines[1:]]
    for row in rows[1:]:
        positive = predictor.read_texts([row[1]]).probabilities[0]
        assert row[2] == ("positive" if positive >= 0.5 else "negative")
        assert float(row[3]) == pytest.approx(max(positive, 1 - positive), abs=1e-5)


@pytest.mark.parametrize("cores", [1, 3])
def test_chunks_that_are_computed_side_by_side_come_back_in_order(
    predictor: TextModel, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, cores: int
) -> None:
    texts = [text for _, text in invented_tweets(700)]
    source = _file(tmp_path, "a.csv", "".join(f"{text}\n" for text in ["text", *(f'"{text}"' for text in texts)]))
    expected = predictor.read_texts(texts).probabilities
    monkeypatch.setattr("sentiment.inference.predict.CHUNK", 50)
    monkeypatch.setattr("sentiment.inference.predict.available_cores", lambda: cores)
    waits = iter([0.02, 0.0, 0.01] * 5)
    usual = predictor.read
    monkeypatch.setattr(predictor, "read", lambda rows: (time.sleep(next(waits)), usual(rows))[1])
    rows = _predict(predictor, source)
    assert [row[0] for row in rows[1:]] == texts
    assert [float(row[2]) for row in rows[1:]] == pytest.approx(np.maximum(expected, 1 - expected), abs=1e-5)


def test_a_killed_process_ends_predictions_with_an_error_and_no_file(
    predictor: TextModel, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = _file(tmp_path, "a.csv", "text\n" + "lovely\n" * 50)
    monkeypatch.setattr("sentiment.inference.predict.CHUNK", 10)
    monkeypatch.setattr("sentiment.inference.predict.available_cores", lambda: 2)
    monkeypatch.setattr("sentiment.inference.predict.start_tokenizing", os._exit)
    with pytest.raises(DataError, match="a worker process was killed while texts were tokenised; is there enough mem"):
        _predict(predictor, source)
    assert [path.name for path in tmp_path.iterdir()] == ["a.csv"]


def test_empty_and_malformed_rows_keep_their_place(predictor: TextModel, tmp_path: Path) -> None:
    huge = "lovely " * 30_000
    text = f'id,text\n1,lovely\n2,\n3,"  "\n4\n5,happy,too,many\n6,{huge}\n7,"so\nhappy"\n8,sad\n9,xyzzy\n'
    rows = _predict(predictor, _file(tmp_path, "a.csv", text))
    assert [row[0] for row in rows[1:]] == ["1", "2", "3", "4", "5", "", "7", "8", "9"]
    assert [bool(row[3]) for row in rows[1:]] == [True, False, False, False, False, False, True, True, False]
    assert rows[7][1] == "so\nhappy"
    assert all(len(row) == 4 for row in rows)


def test_blank_line_is_an_empty_text_only_where_there_is_one_column(predictor: TextModel, tmp_path: Path) -> None:
    single = _predict(predictor, _file(tmp_path, "a.csv", "\ntext\nlovely\n\nsad\n"))
    assert [row[0] for row in single] == ["text", "lovely", "", "sad"]
    assert [bool(row[2]) for row in single[1:]] == [True, False, True]
    several = _predict(predictor, _file(tmp_path, "b.csv", "id,text\n1,lovely\n\n2,sad\n"))
    assert [row[0] for row in several] == ["id", "1", "2"]


def test_json_lines_take_their_columns_from_the_first_object(predictor: TextModel, tmp_path: Path) -> None:
    lines = [
        "not json",
        json.dumps({"text": "lovely", "n": 1, "more": {"a": [1]}}),
        "",
        "[1, 2]",
        json.dumps({"n": 2, "text": None}),
        json.dumps({"n": 3, "text": "sad", "other": 1}),
        '{"n": 4, "text": "half a pair \\ud83d happy"}',
        "[" * 100_000,
    ]
    rows = _predict(predictor, _file(tmp_path, "a.jsonl", "\n".join(lines) + "\n"))
    assert rows[0] == ["text", "n", "more", "label", "probability"]
    assert [row[1] for row in rows[1:]] == ["", "1", "", "2", "3", "4", ""]
    assert [bool(row[-1]) for row in rows[1:]] == [False, True, False, False, True, True, False]


def test_column_is_chosen_by_name_by_the_run_or_because_it_is_the_only_one(
    predictor: TextModel, tmp_path: Path
) -> None:
    two = _file(tmp_path, "two.csv", "tweet,text\nawful,lovely\n")
    expected = {
        name: predictor.read_texts([word]).probabilities[0] for name, word in (("tweet", "awful"), ("text", "lovely"))
    }
    shown = {name: pytest.approx(max(share, 1 - share), abs=1e-5) for name, share in expected.items()}
    assert float(_predict(predictor, two, "tweet")[1][3]) == shown["tweet"]
    assert float(_predict(predictor, two)[1][3]) == shown["text"]
    only = _file(tmp_path, "only.csv", "Tweet\nawful\n")
    assert float(_predict(predictor, only)[1][2]) == shown["tweet"]
    with pytest.raises(
        UsageError, match="has no column 'txt'; --column names the one with the tweets: 'tweet', 'text'"
    ):
        _predict(predictor, two, "txt")


def test_what_has_no_prediction_is_counted_with_its_lines(predictor: TextModel, tmp_path: Path) -> None:
    source = _file(tmp_path, "a.csv", 'id,text\n1,lovely\n2,\n3\n4,so, so, sad\n5,"so\nhappy"\n6,happy\n7,xyzzy :3\n')
    outcome = predict_file(predictor, source, tmp_path / "out.csv", None, silent)
    assert outcome.rows == 7
    assert (tmp_path / "out.csv").read_text().splitlines()[4] == '4,"so, so, sad",,'  # its text is whole
    assert outcome.render_lines() == [
        "1 without a prediction: empty text (line 3)",
        "2 without a prediction: wrong number of fields (line 4, 5)",
        "1 without a prediction: no usable words (line 9)",
    ]
    objects = _file(tmp_path, "a.jsonl", '{"text": "lovely"}\n{oops\n{"text": "sad", "n": 1}\n')
    assert predict_file(predictor, objects, tmp_path / "out.csv", None, silent).render_lines() == [
        "1 without a prediction: not a JSON object (line 2)",
        "1 have fields that the first object lacks; these are left out (line 3)",
    ]


def test_quote_that_is_never_closed_loses_no_tweet(predictor: TextModel, tmp_path: Path) -> None:
    lines = [f"{number},tweet {number} is lovely\n" for number in range(5_000)]
    lines[1_000] = '1000,"tweet 1000 is lovely\n'
    rows = _predict(predictor, _file(tmp_path, "a.csv", "id,text\n" + "".join(lines)))
    assert [row[0] for row in rows[1:]] == ["" if n == 1_000 else str(n) for n in range(5_000)]
    assert rows[1_001] == ["", "", "", ""]
    assert all(row[2] for n, row in enumerate(rows) if n != 1_001)


def test_list_of_tweets_without_a_name_keeps_its_first(predictor: TextModel, tmp_path: Path) -> None:
    source = _file(tmp_path, "a.csv", "such a lovely day\nawful\n")
    assert [row[0] for row in _predict(predictor, source)] == ["0", "such a lovely day", "awful"]
    assert [row[0] for row in _predict(predictor, source, "such a lovely day")] == ["such a lovely day", "awful"]


def test_carriage_return_in_a_text_comes_out_as_it_was(predictor: TextModel, tmp_path: Path) -> None:
    rows = _predict(predictor, _file(tmp_path, "a.csv", 'id,text\n1,"so\rlovely"\n2,sad\n'))
    assert [row[:2] for row in rows[1:]] == [["1", "so\rlovely"], ["2", "sad"]]


def test_input_is_not_overwritten(predictor: TextModel, tmp_path: Path) -> None:
    source = _file(tmp_path, "a.csv", "text\nlovely\n")
    link = tmp_path / "link.csv"
    link.symlink_to(source)
    for target in (source, link):
        with pytest.raises(UsageError, match=f"{target.name}: is the file that is read"):
            predict_file(predictor, source, target, None, silent)
    assert source.read_text() == "text\nlovely\n"


def test_column_whose_name_stands_twice_is_refused(predictor: TextModel, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="several columns are called 'text'"):
        _predict(predictor, _file(tmp_path, "a.csv", "text,text\nlovely,sad\n"))


def test_columns_that_are_there_already_are_not_overwritten(predictor: TextModel, tmp_path: Path) -> None:
    rows = _predict(predictor, _file(tmp_path, "a.csv", "label,text\n0,lovely\n"))
    assert rows[0] == ["label", "text", "predicted_label", "probability"]
    assert rows[1][:2] == ["0", "lovely"]


def test_run_that_was_trained_on_a_file_without_header_reads_one(experiment: MakeExperiment, tmp_path: Path) -> None:
    table = tmp_path / "no header.csv"
    with open(table, "w", encoding="utf-8", newline="") as file:
        csv.writer(file).writerows(invented_tweets(400))
    run = experiment(data__source=str(table), data__columns__label=0, data__columns__text=1, training__epochs=1)
    run.complete()
    rows = _predict(load_network(run.run_dir), _file(tmp_path, "a.csv", "0,lovely\n1,awful\n"))
    assert [row[:2] for row in rows] == [["0", "1"], ["0", "lovely"], ["1", "awful"]]


@pytest.mark.parametrize(
    ("name", "text", "expected"),
    [
        ("a.csv", "", "is empty"),
        ("a.jsonl", "", "is empty"),
        ("a.jsonl", "nothing\n", "holds no rows; line 1 is refused: not a JSON object"),
        ("a.jsonl", "\n\n", "holds no rows"),
        ("a.parquet", "PAR1", "is not a valid Parquet file"),
        ("a.doc", "text\n", "cannot tell the format from the name"),
        ("a.csv.gz", "", "is empty"),
    ],
)
def test_file_that_cannot_be_read_is_named_and_nothing_is_written(
    predictor: TextModel, tmp_path: Path, name: str, text: str, expected: str
) -> None:
    source = _file(tmp_path, name, text)
    with pytest.raises(DataError, match=rf"{name}(: .*|:1: ){expected}"):
        _predict(predictor, source)
    assert list(tmp_path.iterdir()) == [source]


@pytest.mark.slow
def test_output_appears_when_it_is_complete(predictor: TextModel, tmp_path: Path) -> None:
    source = tmp_path / "a.csv.gz"
    lines = ("text\n" + "so lovely\n" * 100_000).encode()
    source.write_bytes(gzip.compress(lines)[:-20])
    with pytest.raises(DataError, match="truncated"):
        _predict(predictor, source)
    assert list(tmp_path.iterdir()) == [source]


def _peak_of(predictor: TextModel, folder: Path, count: int) -> int:
    source = _file(folder, f"{count}.csv", "text\n" + "".join(f"tweet {n} is lovely\n" for n in range(count)))
    tracemalloc.start()
    try:
        predict_file(predictor, source, source.with_suffix(".out.csv"), None, silent)
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


@pytest.mark.slow
def test_memory_does_not_grow_with_the_file(
    predictor: TextModel, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The network is left out: it sees a chunk at a time, and would only make this slow."""
    known = np.ones(1024, bool)
    monkeypatch.setattr(predictor, "read", lambda rows: Reading(0.75 * known[: rows.size], known[: rows.size]))
    monkeypatch.setattr("sentiment.inference.predict.CHUNK", 1024)
    small = _peak_of(predictor, tmp_path, 10_000)
    large = _peak_of(predictor, tmp_path, 60_000)
    assert large < 1.5 * small


def test_predictions_do_not_depend_on_what_else_is_asked(predictor: TextModel) -> None:
    texts = [text for _, text in invented_tweets(60)]
    together = predictor.read_texts(texts).probabilities
    alone = [predictor.read_texts([text]).probabilities[0] for text in texts]
    assert together == pytest.approx(alone, abs=1e-6)
    assert len(predictor.read_texts([]).probabilities) == 0


def test_text_without_tokens_has_a_probability_and_no_attention(trained_with_attention: RunDir) -> None:
    model = load_network(trained_with_attention)
    assert model.tokenize("   ") == []
    assert model.attention([]) is None
    assert 0 < model.read_texts(["   "]).probabilities[0] < 1


def test_attention_is_one_weight_per_token(trained_with_attention: RunDir) -> None:
    weights = load_network(trained_with_attention).attention(["what", "a", "lovely", "day"])
    assert weights is not None
    assert len(weights) == 4
    assert sum(weights) == pytest.approx(1)


def test_unfinished_run_predicts_with_its_best_weights_so_far(experiment: MakeExperiment) -> None:
    run = experiment()
    assert run.attempt(StopWhen(lambda asked: asked == 25)) is not None
    assert 0 < load_network(run.run_dir).read_texts(["lovely"]).probabilities[0] < 1
