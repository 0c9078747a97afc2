"""What is said, printed and shown: no name steers the terminal, and a reader that has seen enough ends a program."""

import errno
import os
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from typer.testing import CliRunner

from sentiment.blocks.content import Bullets, DataTable, Text, Tiles, column
from sentiment.blocks.terminal import show
from sentiment.blocks.wording import joined, strong
from sentiment.command_line import command_line
from sentiment.console import printable, visible
from sentiment.runs.run_dir import RunDir
from tests.commands import invoke
from tests.limits import limit

STEERING = "\x1b]0;owned\x07\x1b[2J\x9b31m\u202e\u200b\r"


@given(st.text())
def test_what_is_shown_has_no_control_or_direction_mark(text: str) -> None:
    for shown in (visible(text), printable(text).replace("\n", "")):
        assert not {*shown} & {*map(chr, range(32)), *map(chr, range(0x7F, 0xA0)), "\u202e", "\u200b", "\ufeff"}
        shown.encode("utf-8")


def test_lines_stay_lines_and_letters_stay_letters() -> None:
    assert printable("größer\n  日本 👍🏽") == "größer\n  日本 👍🏽"
    assert printable("a\x1b[31m\tb") == "a⟨U+001B⟩[31m⟨U+0009⟩b"


def test_commands_print_no_steering_marks(trained_with_attention: RunDir, tmp_path: Path) -> None:
    (tmp_path / f"t{STEERING}.csv").write_text("label,text\n1,lovely\n0,awful\n")
    run = trained_with_attention.path
    for arguments in (
        ("predict", run, f"lovely {STEERING}"),
        ("predict", STEERING, "x"),
        ("evaluate", run, "--data", f"{tmp_path}/t{STEERING}.csv"),
    ):
        output = invoke(*arguments).output
        assert "⟨U+001B⟩]0;owned" in output
        assert not {"\x1b", "\x9b", "\x07", "\u202e"} & {*output}


@pytest.mark.slow
def test_terminal_without_the_letters_gets_others_and_no_traceback(trained: RunDir) -> None:
    environment = os.environ | {"PYTHONIOENCODING": "ascii", "LC_ALL": "C"}
    command = [sys.executable, "-m", "sentiment", "predict", str(trained.path), "café 👍 \u22121.5 2\u20133"]
    done = subprocess.run(command, capture_output=True, text=True, env=environment, cwd=Path(__file__).parents[1])
    assert done.returncode == 0, done.stderr
    assert "caf? ? -1.5 2-3" in done.stdout


@pytest.mark.slow
@pytest.mark.parametrize("command", ["sentiment status", "report --help"])
def test_closed_reader_ends_a_command_in_silence(command: str, tmp_path: Path) -> None:
    reader, writer = os.pipe()
    os.close(reader)
    with open(writer, "wb") as output:
        words = [sys.executable, "-m", *command.split()]
        done = subprocess.run(words, stdout=output, stderr=subprocess.PIPE, text=True, cwd=tmp_path, timeout=limit())
    assert (done.returncode, done.stderr) == (1, "")


def test_closed_standard_input_is_an_empty_one(monkeypatch: pytest.MonkeyPatch) -> None:
    app = command_line("a program")
    read: list[str] = []
    app.command()(lambda: read.append(sys.stdin.read()))
    app.registered_commands[0].name = "read"
    monkeypatch.setattr(sys, "stdin", None)  # as Python has it after `<&-`
    app(["read"], standalone_mode=False)
    sys.stdin.close()
    assert read == [""]


def test_broken_pipe_elsewhere_is_an_error_as_any_other() -> None:
    app = command_line("a program")

    @app.command()
    def write_to_another_pipe() -> None:
        raise BrokenPipeError(errno.EPIPE, "Broken pipe", "labelled.csv")

    done = CliRunner().invoke(app, ["write-to-another-pipe"])
    assert done.exit_code == 1
    assert "labelled.csv" in done.output


def test_blocks_are_shown_without_marks_of_markdown_and_with_no_character_that_moves_the_cursor(
    capsys: pytest.CaptureFixture[str],
) -> None:
    columns = [column("Predictor", "name"), column("Accuracy, %", "accuracy", "percent")]
    rows = [{"name": "[red]a\x1b[2J", "accuracy": 0.5, "accuracy_low": 0.4, "accuracy_high": 0.6}]
    table = DataTable("scores", joined([strong("test *1*"), "100 tweets"]), columns, rows)
    show([Text(strong("Use it.")), Tiles([("how sure", "50 %")]), Bullets(["*a* is better"]), table])
    lines = [line.rstrip() for line in capsys.readouterr().out.splitlines()]
    assert lines[:3] == ["Use it.", "how sure     50 %", "  *a* is better"]
    assert lines[3].split("  ")[0] == "test *1* 100 tweets"
    assert lines[4].split() == ["[red]a\u27e8U+001B\u27e9[2J", "50.0", "(40.0\u201360.0)"]
