"""What version 1.0 wrote is read by every later version 1.x, and what it could be asked for can still be asked for."""

import json
import shutil
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from sentiment.files import ROOT
from sentiment.runs.run_dir import Results
from sentiment.version import FORMAT, __version__
from tests.commands import invoke, succeed
from tests.damage.trials import quick_and_without_slurm
from tests.promise.make import ARCHIVE, PUBLIC, probabilities, public

PROMISED: dict[str, Any] = json.loads(PUBLIC.read_text())


@pytest.fixture
def study(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Results:
    with zipfile.ZipFile(ARCHIVE) as archive:
        archive.extractall(tmp_path)
    monkeypatch.chdir(tmp_path)
    return Results()


@pytest.mark.slow
def test_results_of_version_1_0_are_read(study: Results) -> None:
    (run,) = (file.parent for file in study.runs.glob("single/*/result.json"))
    for kind, answers in probabilities().items():
        assert np.allclose(answers, PROMISED["answers"][kind], atol=1e-4), kind
    assert succeed("predict", "model.zip", "so sad") == succeed("predict", run, "so sad")
    assert "network" in succeed("evaluate", run)
    assert "positive" in succeed("share", run, "new.csv", "--labelled", "sheet.csv")
    states = json.loads(succeed("status", "some", "--json"))[0]["rows"]
    assert [row["state"] for row in states] == ["COMPLETED", "COMPLETED"]
    with quick_and_without_slurm():
        succeed("report")
    assert "teacher" in (study.report / "report.md").read_text()


@pytest.mark.slow
def test_run_that_version_1_0_began_is_resumed(study: Results) -> None:
    options = ("--set", "training.epochs=2", "--set", "seed=7", "--set", "runtime.other_code=continue")
    assert "resuming after step 5" in succeed("train", "configs/base.yaml", *options)


def test_corpora_may_be_deleted(study: Results) -> None:
    """They are made again, with the same tweets in the same parts, so that an unfinished run goes on."""
    (manifest,) = study.corpora.glob("*/manifest.json")
    shutil.rmtree(study.corpora)
    assert invoke("data", "tweets.csv", "--config", "configs/base.yaml").exit_code == 0
    assert [*study.corpora.glob("*/manifest.json")] == [manifest]


def test_commands_options_fields_and_methods_of_version_1_0_are_still_there() -> None:
    now = public()
    for name, options in PROMISED["commands"].items():
        assert {*options} <= {*now["commands"][name]}, name
    assert PROMISED["configuration"].items() <= now["configuration"].items()  # a default is part of a run's identity
    for name, parameters in PROMISED["python"].items():
        assert now["python"][name][: len(parameters)] == parameters, name


def test_what_is_public_names_all_files_of_a_run() -> None:
    page = (ROOT / "results" / "README.md").read_text()
    with zipfile.ZipFile(ARCHIVE) as archive:
        files = [Path(name) for name in archive.namelist() if name.startswith("results/runs/")]
    names = {file.name for file in files if not file.name.startswith(".")}
    assert [name for name in names if not name.startswith(("lock", "step-")) and name not in page] == []


def test_citation_changes_and_format_have_the_number_of_the_version() -> None:
    release = __version__.partition(".dev")[0]
    assert f"\nversion: {release}\n" in (ROOT / "CITATION.cff").read_text()
    assert f"\n## {release}\n" in (ROOT / "CHANGELOG.md").read_text()
    assert int(release.partition(".")[0]) == FORMAT
