"""What a user gives to make arrives as it was given: nothing in it is run, split or lost."""

import os
import shutil
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
AWKWARD = [
    "my tweets.csv",
    "jo's.csv",
    'a "b".csv',
    "x; touch bad;",
    "$HOME.csv",
    "`touch bad`.csv",
    "$(touch bad)",
    "*",
]


@pytest.fixture
def clone(tmp_path: Path) -> Path:
    """A clone that is installed already, with programs that only write their arguments down."""
    for name in ("Makefile", "pyproject.toml"):
        shutil.copy(ROOT / name, tmp_path / name)
    for folder in (".ci", "configs"):
        shutil.copytree(ROOT / folder, tmp_path / folder)
    (tmp_path / ".venv" / "bin").mkdir(parents=True)
    for name in ("python", "sentiment"):
        program = tmp_path / ".venv" / "bin" / name
        program.write_text('#!/bin/sh\nfor word; do printf "%s\\036" "$word"; done >> said; echo >> said\n')
        program.chmod(0o755)
    for name in ("installed", "installed-dev"):
        (tmp_path / ".venv" / name).touch()
    return tmp_path


def _run(clone: Path, *arguments: str) -> "subprocess.CompletedProcess[str]":
    """Make, without what an outer make has left in the environment, its variables among them."""
    environment = {name: os.environ[name] for name in ("PATH", "HOME") if name in os.environ}
    return subprocess.run(["make", *arguments], cwd=clone, env=environment, capture_output=True, text=True)


def _make(clone: Path, *arguments: str) -> list[list[str]]:
    """What each command that make starts is given."""
    done = _run(clone, *arguments)
    assert done.returncode == 0, done.stderr
    said = clone / "said"
    lines = said.read_text().split("\n")[:-1] if said.exists() else []
    said.unlink(missing_ok=True)
    return [line.split("\036")[:-1] for line in lines]


@pytest.mark.parametrize("name", AWKWARD)
def test_awkward_names_reach_the_command_unchanged(clone: Path, name: str) -> None:
    expected = ["train", name, "--results", name, "--data", name, "--set", "seed=2", "--set", "model.layers=2"]
    given = (f"RUN={name}", f"DATA={name}", f"RESULTS={name}", "SET=seed=2 model.layers=2")
    assert _make(clone, "run", *given) == [expected]
    assert _make(clone, "data", f"DATA={name}")[0][:4] == ["data", name, "--config", "rnn"]
    for target in ("status", "rerun", "cancel", "report", "submit", "help"):
        _make(clone, target, f"GRID={name}", f"SET={name}", f"RUN={name}", f"DATA=$(shell {name})")
    assert not (clone / "bad").exists()


def test_several_grids_are_several_arguments(clone: Path) -> None:
    assert _make(clone, "report", "GRID=rnn elmo") == [["report", "rnn", "elmo", "--results", "results"]]
    submitted = _make(clone, "submit", "GRID=rnn elmo", "SET=seed=2", "DRY_RUN=1", "LOCAL=1")
    rest = ["--results", "results", "--dry-run", "--local", "--set", "seed=2"]
    assert submitted == [["submit", grid, *rest] for grid in ("rnn", "elmo")]
    assert _make(clone, "submit-elmo") == [["submit", "elmo", "--results", "results"]]


def test_variable_that_make_does_not_have_is_refused_with_what_was_meant(clone: Path) -> None:
    done = _run(clone, "run", "seed=3")
    assert done.returncode == 2
    assert 'make has no variable seed; did you mean SET="seed=..."?' in done.stderr
    assert not (clone / "said").exists()


def test_help_fits_a_terminal_of_80_columns_and_setup_says_how_to_call_the_program(clone: Path) -> None:
    done = _run(clone)
    assert max(map(len, done.stdout.splitlines())) < 80
    assert "any of: attention" in done.stdout
    assert "`. .venv/bin/activate` puts `sentiment` on the path" in _run(clone, "setup").stdout
