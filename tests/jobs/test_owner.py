"""One user on one cluster has the jobs of a folder of results; everybody else reads, and takes nothing for lost."""

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from jobs.__main__ import app
from jobs.session import LaunchOptions, cancel_grid, rerun_grid
from jobs.status import read_status
from jobs.submissions import SubmissionDir
from sentiment.errors import UsageError
from sentiment.files import write_json
from sentiment.runs.records import Failure
from sentiment.runs.run_dir import Results
from tests.jobs.fake_slurm import FakeSlurm
from tests.jobs.submitted import PLAN, submitted

ANNA = {"user": "anna", "cluster": "big"}
ASK_THERE = "submitted by anna on cluster big; ask there"


def _of_anna(results: Results) -> SubmissionDir:
    results.write_grid(PLAN)
    folder = submitted(results, "train", "7", [run.run_id for run in PLAN.runs])
    write_json(results.slurm / "owner.json", ANNA)
    return folder


@pytest.mark.parametrize("has_slurm", [True, False])
def test_what_somebody_else_submitted_is_unknown_and_goes_on_as_far_as_is_known(
    results: Results, slurm: FakeSlurm, has_slurm: bool
) -> None:
    _of_anna(results)
    if not has_slurm:
        (slurm.folder / "scontrol").write_text("#!/bin/sh\necho Could not establish a configuration source >&2; exit 1")
    done = CliRunner().invoke(app, ["status", "--json", "--results", str(results.root)])
    (grid,) = json.loads(done.output)
    assert {row["state"] for row in grid["rows"]} == {"UNKNOWN"}
    assert ({row["reason"] for row in grid["rows"]} == {ASK_THERE}) is has_slurm
    assert done.exit_code == 3


def test_failure_that_the_job_itself_wrote_down_is_known_to_everybody(results: Results, slurm: FakeSlurm) -> None:
    _of_anna(results)
    run_dir = results.run_dir("run-1", "g")
    run_dir.path.mkdir(parents=True)
    run_dir.write_record(Failure(job="7_1", time="", error="DivergedError", reason="the loss is nan", traceback=""))
    (grid,) = read_status(results)
    assert [row.state for row in grid.rows] == ["UNKNOWN", "FAILED", "UNKNOWN"]


def test_somebody_else_neither_submits_nor_cancels(results: Results, slurm: FakeSlurm, tmp_path: Path) -> None:
    _of_anna(results)
    expected = "these are the jobs of anna on cluster big, not of root on test: give this command there, or use another"
    with pytest.raises(UsageError, match=expected):
        rerun_grid(results, PLAN, ["lost"], set(), LaunchOptions(tmp_path / "cluster.yaml"))
    with pytest.raises(UsageError, match=expected):
        cancel_grid(results, PLAN, set(), print)
    assert not any(order.startswith(("sbatch", "scancel")) for order in slurm.orders)


def test_first_to_submit_owns_the_folder(results: Results, slurm: FakeSlurm, tmp_path: Path) -> None:
    results.write_grid(PLAN)
    submitted(results, "train", "7", ["run-0"])
    cancel_grid(results, PLAN, set(), print)
    assert json.loads((results.slurm / "owner.json").read_text()) == {"user": "root", "cluster": "test"}


def test_numbers_of_submissions_grow_whatever_the_clock_says(results: Results) -> None:
    folders = [submitted(results, "train", "7", ["run-0"]) for _ in range(11)]
    folders[3].withdraw()  # its number is not given away again
    folders.append(submitted(results, "train", "7", ["run-0"]))
    assert [folder.number for folder in folders] == list(range(1, 13))
