"""The command that the report prints for a run is the one that repeats it."""

import json
import shlex
from pathlib import Path
from typing import Any

import pytest

from report.build import build_report
from report.read import load_study
from report.sections.provenance import command_of
from sentiment.config import RunConfig
from sentiment.config_file import load_config, resolve
from sentiment.runs.run_dir import Results
from tests.report.made_up import BASE, Study
from tests.report.written import read_table

_PARAMETERS: list[dict[str, Any]] = [
    {"model.hidden_size": 32, "training.learning_rate": 1e-5, "model.bidirectional": False},
    {
        "data.source": "it's my \u00ab$HOME\u00bb `file` # 1.csv",
        "data.columns.label": "yes",
        "data.columns.text": "1e3",
    },
    {"training.clip": None, "data.labels.positive": ["4", "happy: very"]},
    {"data.source": "two\nlines.csv", "data.columns.text": "'quoted'", "data.columns.label": 3},
    {"elmo": {"model": "small", "layers": "top"}},
    {},
]


def _resolved(command: str) -> RunConfig:
    """What the command line makes of a printed command."""
    program, (path, *options) = shlex.split(command)[:4], shlex.split(command)[4:]
    assert program == ["python", "-m", "sentiment", "train"]
    overrides = [value for option, value in zip(options[::2], options[1::2], strict=True) if option == "--set"]
    return load_config(Path(path), overrides)


@pytest.fixture
def study(tmp_path: Path) -> Study:
    """Empty."""
    return Study(Results(tmp_path / "results"))


@pytest.fixture
def base_file(tmp_path: Path) -> Path:
    """What all runs start from."""
    path = tmp_path / "configs of mine" / "base.yaml"
    path.parent.mkdir()
    path.write_text(json.dumps(BASE))
    return path


def test_command_of_a_planned_run_resolves_to_that_run(study: Study, base_file: Path, tmp_path: Path) -> None:
    configs = study.write_grid("rnn", "Which?", {}, _PARAMETERS, base=str(base_file))
    build_report(study.results, [], tmp_path / "out")
    rows = read_table(tmp_path / "out", "commands")
    assert [_resolved(row["command"]).run_id for row in rows] == [config.run_id for config in configs]
    assert "--set model.bidirectional=false --set model.hidden_size=32" in rows[0]["command"]


def test_command_of_a_single_run_is_the_one_that_was_typed(study: Study, base_file: Path) -> None:
    config = resolve(BASE, {"seed": 5}, "base")
    typed = ["__main__.py", "train", str(base_file), "--set", "seed=5", "--results", str(study.results.root)]
    study.complete(config, command=typed)
    (run,) = load_study(study.results, []).single.runs
    command = command_of(run, None)
    assert command
    assert _resolved(command).run_id == config.run_id
    assert command.endswith(f"--set seed=5 --results {study.results.root}")


@pytest.mark.parametrize("grid", ["single", "rnn"])
def test_run_that_no_plan_names_and_nobody_typed_is_repeated_from_its_stored_configuration(
    study: Study, grid: str
) -> None:
    config = resolve(BASE, {"seed": 5, "training.learning_rate": 1e-5}, "base")
    study.complete(config, grid, command=["_submit.py", "/some/folder"])
    (run,) = load_study(study.results, []).runs
    command = command_of(run, None)
    assert command
    assert _resolved(command).run_id == config.run_id


def test_directory_without_a_record_has_no_command(study: Study) -> None:
    config = resolve(BASE, {}, "base")
    study.run_dir(config).create(config)
    (run,) = load_study(study.results, []).runs
    assert command_of(run, None) is None
