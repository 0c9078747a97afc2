"""Whether a run is tracked, under which id, and how its rows are read and named."""

import shutil
from pathlib import Path

import pytest

from sentiment.config import TrackingConfig
from sentiment.runs.records import RunRecord
from sentiment.runs.run_dir import RunDir
from sentiment.tracking import identity_of, wandb_mode


@pytest.mark.parametrize(
    ("wanted", "environment", "mode"),
    [
        ("auto", {}, "disabled"),
        ("auto", {"SLURM_JOB_ID": "7"}, "offline"),
        ("auto", {"WANDB_SWEEP_ID": "s", "WANDB_RUN_ID": "r"}, "online"),
        ("auto", {"WANDB_RUN_ID": "r"}, "disabled"),
        ("online", {"SLURM_JOB_ID": "7"}, "online"),
        ("disabled", {"SLURM_JOB_ID": "7", "WANDB_SWEEP_ID": "s", "WANDB_RUN_ID": "r"}, "disabled"),
    ],
)
def test_mode_follows_from_where_the_run_is_started_unless_it_is_configured(
    wanted: str, environment: dict[str, str], mode: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    assert wandb_mode(TrackingConfig.model_validate({"wandb": wanted})) == mode


def test_name_at_wandb_stays_through_all_attempts_and_differs_between_grids_and_beginnings(
    trained: RunDir, tmp_path: Path
) -> None:
    def copy(grid: str) -> RunDir:
        shutil.copytree(trained.path, tmp_path / grid / "run")
        return RunDir(tmp_path / grid / "run")

    first = copy("colours")
    name = identity_of(first).id
    record = first.read(RunRecord)
    assert record is not None
    first.write_record(record.model_copy(update={"attempts": [*record.attempts, record.attempts[0]]}))
    assert identity_of(first).id == name
    assert name.startswith(record.run_id)
    decided = identity_of(first).model_copy(update={"project": "another"})
    first.write_record(decided)
    assert identity_of(first) == decided
    first.wandb_file.unlink()
    assert identity_of(copy("shapes")).id != name
    anew = record.attempts[0].model_copy(update={"start": "2030-01-01T00:00:00+00:00"})
    first.write_record(record.model_copy(update={"attempts": [anew]}))
    assert identity_of(first).id != name
