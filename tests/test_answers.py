"""Predictions printed for people and for programs."""

import csv
import io
import json
import os
import sys

import pytest
from typer.testing import CliRunner

from sentiment.__main__ import app
from sentiment.commands.using import predict
from sentiment.errors import UsageError
from sentiment.inference.answers import lines_at_once
from sentiment.run_dir import RunDir
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


@pytest.mark.parametrize("form", ["text", "csv", "jsonl"])
def test_standard_input_is_a_tweet_a_line_in_order(trained: RunDir, form: str) -> None:
    given = "such a lovely day\r\n\nawful bus\n\xff lovely".encode("latin-1")
    done = CliRunner().invoke(app, ["predict", str(trained.path), "-", "--format", form], input=given)
    assert done.exit_code == 0, done.output
    lines = done.output.splitlines()[{"text": 2, "csv": 1, "jsonl": 0}[form] :]
    assert len(lines) == 4
    assert ["positive" in line for line in lines] == [True, False, False, True]
    assert "negative" in lines[2]


def test_mistakes_in_what_is_to_be_predicted_are_one_line_each(trained: RunDir) -> None:
    assert "--format xml: valid are text, csv, jsonl" in refused(2, "predict", trained.path, "nice", "--format", "xml")
    assert "predict takes either tweets in quotes, or -" in refused(2, "predict", trained.path)
    assert "--column names a column of --file" in refused(2, "predict", trained.path, "nice", "--column", "text")


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
