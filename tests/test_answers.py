"""Predictions printed for people and for programs."""

import csv
import io
import json
import os
import sys
from pathlib import Path

import pandas as pd
import pytest
from typer.testing import CliRunner

from sentiment.__main__ import app, predict
from sentiment.errors import UsageError
from sentiment.inference.terminal import lines_at_once
from sentiment.runs.run_dir import RunDir
from tests.test_command_line import invoke, refused

TEXTS = ["such a lovely, happy day", 'awful "broken"', ""]


def test_csv_and_json_lines_say_the_same_as_the_text(trained: RunDir) -> None:
    table = list(csv.DictReader(io.StringIO(invoke("predict", trained.path, *TEXTS, "--format", "csv").output)))
    lines = [
        json.loads(one) for one in invoke("predict", trained.path, *TEXTS, "--format", "jsonl").output.splitlines()
    ]
    assert [row["text"] for row in table] == [line["text"] for line in lines] == TEXTS
    assert [row["label"] for row in table] == ["positive", "negative", ""]
    assert [line["label"] for line in lines] == ["positive", "negative", None]
    text = invoke("predict", trained.path, *TEXTS).output.splitlines()[2:]
    for row, line, shown in zip(table[:2], lines[:2], text, strict=False):
        assert float(row["probability"]) == line["probability"] >= 0.5
        assert f"{100 * line['probability']:.1f} %" in shown
    assert text[2].endswith("(no usable words)")


def _labelled(run: RunDir, *options: object) -> list[tuple[str, float]]:
    done = invoke("predict", run.path, *TEXTS[:2], "--format", "csv", *options)
    return [(row["label"], float(row["probability"])) for row in csv.DictReader(io.StringIO(done.output))]


def test_threshold_is_from_where_on_the_label_is_positive(trained: RunDir) -> None:
    (_, happy), (_, awful) = _labelled(trained)
    above = _labelled(trained, "--threshold", (1 + happy) / 2)
    assert above == [("negative", pytest.approx(1 - happy, abs=1e-5)), ("negative", awful)]
    below = _labelled(trained, "--threshold", (1 - awful) / 2)
    assert below == [("positive", happy), ("positive", pytest.approx(1 - awful, abs=1e-5))]
    done = invoke("predict", trained.path, *TEXTS[:2], "--threshold", (1 + happy) / 2)
    assert "; positive from " in done.output.splitlines()[0]
    assert [line.split()[0] for line in done.output.splitlines()[2:]] == ["negative", "negative"]


@pytest.mark.parametrize("suffix", [".csv", ".parquet"])
def test_threshold_decides_in_files_too(trained: RunDir, tmp_path: Path, suffix: str) -> None:
    given, out = tmp_path / f"in{suffix}", tmp_path / f"out{suffix}"
    table = pd.DataFrame({"text": TEXTS[:2]})
    table.to_parquet(given) if suffix == ".parquet" else table.to_csv(given, index=False)
    assert invoke("predict", trained.path, "--file", given, "--out", out, "--threshold", 0).exit_code == 0
    found = pd.read_parquet(out) if suffix == ".parquet" else pd.read_csv(out)
    assert list(found["label"]) == ["positive", "positive"]
    assert found["probability"][1] < 0.5 < found["probability"][0]


@pytest.mark.parametrize("threshold", ["-0.1", "1.5", "nan"])
def test_threshold_that_is_no_probability_is_refused(trained: RunDir, threshold: str) -> None:
    said = f"threshold {threshold}: is compared with probabilities; valid is 0 to 1"
    assert said in refused(2, "predict", trained.path, "x", f"--threshold={threshold}")
    assert said in refused(2, "evaluate", trained.path, "--data", "x.csv", f"--threshold={threshold}")


@pytest.mark.parametrize("form", ["text", "csv", "jsonl"])
def test_standard_input_is_a_tweet_a_line_in_order(trained: RunDir, form: str) -> None:
    given = "such a lovely day\r\n\nawful bus\n\xff lovely".encode("latin-1")
    done = CliRunner().invoke(app, ["predict", str(trained.path), "-", "--format", form], input=given)
    assert done.exit_code == 0, done.output
    lines = done.output.splitlines()[{"text": 2, "csv": 1, "jsonl": 0}[form] :]
    assert len(lines) == 4
    assert ["positive" in line for line in lines] == [True, False, False, True]
    assert "negative" in lines[2]


def test_stream_is_answered_line_by_line_at_once(trained: RunDir, monkeypatch: pytest.MonkeyPatch) -> None:
    """What is sent in one piece is read together; a line that is not whole yet waits for its end."""
    reader, writer = os.pipe()
    sent = [b"lovely\nso ", b"sad\r\n\nhap", b"py"]
    got: list[list[str]] = []
    with os.fdopen(reader, "rb") as stream:
        os.write(writer, sent[0])
        for lines in lines_at_once(stream):
            got.append(lines)
            if sent := sent[1:]:
                os.write(writer, sent[0])
            elif writer is not None and len(got) == 3:
                os.close(writer)
    assert got == [["lovely"], ["so sad", ""], [], ["happy"]]


def test_closed_standard_input_is_told_in_a_line(trained: RunDir, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdin", None)  # as Python has it after `<&-`
    with pytest.raises(UsageError, match="standard input is closed"):
        predict(trained.path, ["-"])
