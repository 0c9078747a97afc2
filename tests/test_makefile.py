"""What a user gives to make arrives as it was given: nothing in it is run, split or lost."""

import json
import os
import shutil
import subprocess
import sys
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
    """A clone that is installed already, with a Python that only writes its arguments down."""
    for name in ("Makefile", "pyproject.toml"):
        shutil.copy(ROOT / name, tmp_path / name)
    for folder in (".ci", "configs"):
        shutil.copytree(ROOT / folder, tmp_path / folder)
    python = tmp_path / ".venv" / "bin" / "python"
    python.parent.mkdir(parents=True)
    script = "import json, sys; open('said', 'a').write(json.dumps(sys.argv[1:]) + '\\n')"
    python.write_text(f"#!{sys.executable}\n{script}\n")
    python.chmod(0o755)
    for name in ("installed", "installed-dev"):
        (tmp_path / ".venv" / name).touch()
    return tmp_path


def _make(clone: Path, *arguments: str) -> list[list[str]]:
    """What each command that make starts is given."""
    done = subprocess.run(["make", *arguments], cwd=clone, env=_environment(), capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    said = clone / "said"
    lines = said.read_text().splitlines() if said.exists() else []
    said.unlink(missing_ok=True)
    return [json.loads(line) for line in lines]


def _environment() -> dict[str, str]:
    """Without what an outer make has left in it, its variables among them."""
    return {name: os.environ[name] for name in ("PATH", "HOME") if name in os.environ}


@pytest.mark.parametrize("name", AWKWARD)
def test_awkward_names_reach_the_command_unchanged(clone: Path, name: str) -> None:
    ((*_, results, option, data),) = _make(clone, "run", f"DATA={name}", f"RESULTS={name}")
    assert (results, option, data) == (name, "--data", name)
    ((_, _, _, data, *_),) = _make(clone, "data", f"DATA={name}")
    assert data == name
    ((_, _, _, config, *_),) = _make(clone, "run", f"RUN={name}")
    assert config == f"configs/runs/{name}.yaml"
    assert not (clone / "bad").exists()


TARGETS = ["status", "logs", "rerun", "cancel", "sync", "report", "submit", "elmo-weights", "help"]


@pytest.mark.parametrize("target", TARGETS)
def test_nothing_in_a_name_is_run(clone: Path, target: str) -> None:
    for text in ("x; touch bad;", "$(shell touch bad)", "$$(touch bad)", "`touch bad`", "' touch bad '"):
        _make(clone, target, f"GRID={text}", f"MODELS={text}", f"SET={text}", f"RERUN={text}", f"RUN={text}")
        assert not (clone / "bad").exists(), text


def test_several_changes_and_grids_are_several_arguments(clone: Path) -> None:
    (arguments,) = _make(clone, "run", "SET=model.hidden_size=32 seed=2")
    assert arguments[-4:] == ["--set", "model.hidden_size=32", "--set", "seed=2"]
    (arguments,) = _make(clone, "report", "GRID=rnn elmo")
    assert arguments[-4:] == ["--grid", "rnn", "--grid", "elmo"]
    submitted = _make(clone, "submit", "GRID=rnn elmo", "SET=seed=2", "DRY_RUN=1")
    assert [one[3] for one in submitted] == ["rnn", "elmo"]
    assert all(one[-3:] == ["--dry-run", "--set", "seed=2"] for one in submitted)
    ((*_, local),) = _make(clone, "submit", "GRID=vader", "LOCAL=1")
    assert local == "--local"
    assert [one[3] for one in _make(clone, "submit-elmo")] == ["elmo"]
    assert [one[3] for one in _make(clone, "submit")] == ["smoke"]


def test_variable_that_make_does_not_have_is_refused_with_what_was_meant(clone: Path) -> None:
    done = subprocess.run(["make", "run", "seed=3"], cwd=clone, env=_environment(), capture_output=True, text=True)
    assert done.returncode == 2
    assert 'make has no variable seed; did you mean SET="seed=..."?' in done.stderr
    assert not (clone / "said").exists()


def test_options_on_a_table_may_hold_blanks(clone: Path) -> None:
    given = ["TEXT_COLUMN=Tweet Text", "LABEL_COLUMN=my $mood", "POSITIVE=so happy", "NEGATIVE=it's sad"]
    wanted = ["--text-column", "Tweet Text", "--label-column", "my $mood", "--positive", "so happy"]
    for target in ("run", "data"):
        (arguments,) = _make(clone, target, "DATA=a b.csv", *given)
        assert arguments[-8:] == [*wanted, "--negative", "it's sad"]


def test_help_fits_a_terminal_of_80_columns(clone: Path) -> None:
    done = subprocess.run(["make"], cwd=clone, env=_environment(), capture_output=True, text=True, check=True)
    assert max(map(len, done.stdout.splitlines())) < 80
    assert "any of: attention" in done.stdout
