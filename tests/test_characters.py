"""Nothing in a tweet or a name steers the terminal."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from typer.testing import CliRunner

from sentiment.__main__ import app
from sentiment.console import printable, visible
from sentiment.runs.run_dir import RunDir

STEERING = "\x1b]0;owned\x07\x1b[2J\x9b31m\u202e\u200b\r"


@given(st.text())
def test_what_is_shown_has_no_control_or_direction_mark(text: str) -> None:
    for shown in (visible(text), printable(text).replace("\n", "")):
        assert not {*shown} & {*map(chr, range(32)), *map(chr, range(0x7F, 0xA0)), "\u202e", "\u200b", "\ufeff"}
        shown.encode("utf-8")


def test_lines_stay_lines_and_letters_stay_letters() -> None:
    assert printable("größer\n  日本 👍🏽") == "größer\n  日本 👍🏽"
    assert printable("a\x1b[31m\tb") == "a⟨U+001B⟩[31m⟨U+0009⟩b"


@pytest.mark.parametrize(
    "arguments", [["predict", "{run}", "lovely {bad}"], ["predict", "{bad}", "x"], ["show", "{bad}"]]
)
def test_commands_print_what_they_were_given_without_its_control_characters(
    trained: RunDir, arguments: list[str]
) -> None:
    given = [one.format(run=trained.path, bad=STEERING) for one in arguments]
    output = CliRunner().invoke(app, given).output
    assert "⟨U+001B⟩]0;owned⟨U+0007⟩" in output
    assert not {"\x1b", "\x9b", "\x07", "\u202e"} & {*output}


def test_attention_and_file_names_are_shown_without_control_characters(
    trained_with_attention: RunDir, tmp_path: Path
) -> None:
    output = CliRunner().invoke(app, ["predict", str(trained_with_attention.path), f"lovely {STEERING} day"]).output
    assert "\x1b" not in output
    odd = tmp_path / f"t{STEERING.replace('/', '')}.csv"
    odd.write_text("label,text\n1,lovely\n0,awful\n")
    output = CliRunner().invoke(app, ["evaluate", str(trained_with_attention.path), "--data", str(odd)]).output
    assert "2 tweets" in output
    assert not {"\x1b", "\x9b", "\x07"} & {*output}


@pytest.mark.slow
def test_terminal_without_the_letters_gets_others_and_no_traceback(trained: RunDir) -> None:
    environment = os.environ | {"PYTHONIOENCODING": "ascii", "LC_ALL": "C"}
    command = [sys.executable, "-m", "sentiment", "predict", str(trained.path), "café 👍"]
    done = subprocess.run(command, capture_output=True, text=True, env=environment, cwd=Path(__file__).parents[1])
    assert done.returncode == 0, done.stderr
    assert "caf? ?" in done.stdout
