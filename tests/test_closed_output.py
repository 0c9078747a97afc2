"""A reader that has seen enough, as in `sentiment status | head -3`, ends each program without a word."""

import errno
import os
import subprocess
import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner

from sentiment.command_line import NOBODY_READS, command_line

TIME_LIMIT = 120


def with_closed_reader(*command: object) -> "subprocess.CompletedProcess[str]":
    """Run a program whose standard output is a pipe that nobody reads any more."""
    reader, writer = os.pipe()
    os.close(reader)
    try:
        words = [sys.executable, "-m", *(str(word) for word in command)]
        return subprocess.run(words, stdout=writer, stderr=subprocess.PIPE, text=True, timeout=TIME_LIMIT)
    finally:
        os.close(writer)


@pytest.mark.parametrize(
    "command",
    [
        ("sentiment", "submit", "vader", "--dry-run"),
        ("sentiment", "status"),
        ("jobs", "--help"),
        ("report", "--help"),
    ],
    ids=" ".join,
)
def test_closed_reader_ends_a_command_as_it_ends_other_programs(command: tuple[str, ...]) -> None:
    done = with_closed_reader(*command)
    assert (done.returncode, done.stderr) == (NOBODY_READS, "")


@pytest.mark.slow
def test_closed_reader_ends_training_and_the_same_command_goes_on(small_run_file: Path, tmp_path: Path) -> None:
    command = ("sentiment", "train", small_run_file, "--results", tmp_path)
    done = with_closed_reader(*command)
    assert (done.returncode, done.stderr) == (NOBODY_READS, "")
    again = subprocess.run(
        [sys.executable, "-m", *map(str, command)], capture_output=True, text=True, timeout=TIME_LIMIT
    )
    assert again.returncode == 0, again.stderr


def test_broken_pipe_elsewhere_is_an_error_as_any_other() -> None:
    app = command_line("a program")

    @app.command()
    def write_to_another_pipe() -> None:
        raise BrokenPipeError(errno.EPIPE, "Broken pipe", "labelled.csv")

    done = CliRunner().invoke(app, ["write-to-another-pipe"])
    assert done.exit_code == 1
    assert "labelled.csv" in done.output
