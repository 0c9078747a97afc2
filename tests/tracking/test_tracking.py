"""Runs that W&B copies: under which id, all rows once, and faults of W&B that do not affect training."""

import json
import os
import shutil
import signal
import sys
from pathlib import Path

import pytest

from jobs.job_kinds import missing_for
from sentiment.config import DataConfig, RunConfig, TrackingConfig
from sentiment.runs.code_version import running_code
from sentiment.runs.records import RunRecord
from sentiment.runs.run_dir import Results, RunDir
from sentiment.training import tracking
from sentiment.training.tracking import mirror_to_wandb, wandb_mode, wandb_run_of
from tests.limits import wait_for
from tests.small_runs import digest_of
from tests.tracking.conftest import MakeReplayed, MakeRun
from tests.tracking.server import StubServer
from tests.tracking.tracked_run import GRID, PATIENCE_SECONDS, wandb_service


def test_mode_follows_from_where_the_run_is_started_unless_it_is_configured(monkeypatch: pytest.MonkeyPatch) -> None:
    slurm, sweep = {"SLURM_JOB_ID": "7"}, {"WANDB_SWEEP_ID": "s", "WANDB_RUN_ID": "r"}
    for wanted, environment, mode in (
        ("auto", {}, "disabled"),
        ("auto", slurm, "offline"),
        ("auto", sweep, "online"),
        ("auto", {"WANDB_RUN_ID": "r"}, "disabled"),
        ("online", slurm, "online"),
        ("disabled", slurm | sweep, "disabled"),
    ):
        with monkeypatch.context() as patch:
            for name, value in environment.items():
                patch.setenv(name, value)
            assert wandb_mode(TrackingConfig.model_validate({"wandb": wanted})) == mode, environment


def test_slurm_tasks_without_wandb_are_not_copied(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SLURM_JOB_ID", "7")
    (tmp_path / "wandb").mkdir()
    monkeypatch.setattr("sys.path", [str(tmp_path)])
    monkeypatch.delitem(sys.modules, "wandb", raising=False)
    assert wandb_mode(TrackingConfig()) == "disabled"


def test_copy_that_is_asked_for_without_wandb_is_told_once_before_a_grid_and_beside_a_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sentiment.processes.wandb_is_installed", lambda: False)
    wanted = TrackingConfig(wandb="online")
    line = "tracking.wandb = 'online': the package wandb is not installed; install sentiment-grids[wandb]"
    (missing,) = missing_for([RunConfig(data=DataConfig(source="sample"), tracking=wanted)] * 2, Results(tmp_path))
    assert missing.startswith(line)
    told: list[str] = []
    with mirror_to_wandb(RunDir(tmp_path / "run"), wanted, told.append):
        assert told == [f"W&B: {missing}; training is not affected"]


def test_name_at_wandb_stays_through_attempts_but_not_grids_and_beginnings(trained: RunDir, tmp_path: Path) -> None:
    def copy(grid: str) -> RunDir:
        shutil.copytree(trained.path, tmp_path / grid / "run")
        return RunDir(tmp_path / grid / "run")

    first = copy("colours")
    name = wandb_run_of(first).id
    record = first.read(RunRecord)
    first.write_record(record.model_copy(update={"attempts": [*record.attempts, record.attempts[0]]}))
    assert wandb_run_of(first).id == name
    assert name.startswith(record.run_id)
    decided = wandb_run_of(first).model_copy(update={"project": "another"})
    first.write_record(decided)
    assert wandb_run_of(first) == decided
    first.wandb_file.unlink()
    assert wandb_run_of(copy("shapes")).id != name
    anew = record.attempts[0].model_copy(update={"start": "2030-01-01T00:00:00+00:00"})
    first.write_record(record.model_copy(update={"attempts": [anew]}))
    assert wandb_run_of(first).id != name


@pytest.mark.slow
def test_third_attempt_leaves_each_row_once(begin: MakeReplayed, server: StubServer, trained: RunDir) -> None:
    replayed, rows = begin(), len(trained.read_metrics())
    replayed.log(0)
    with replayed.mirror_to_wandb():
        replayed.log(5)
        replayed.wait_for_copy(1)
        os.kill(*replayed.copying_processes, signal.SIGKILL)  # as when a node fails
    assert replayed.said == []
    replayed.log(3)  # the checkpoint that the second attempt resumes from
    with replayed.mirror_to_wandb():
        replayed.log(8)
        replayed.wait_for_copy(2)
        os.kill(wandb_service(*replayed.copying_processes), signal.SIGTERM)  # as at a preemption
        replayed.log(9)
        wait_for(lambda: not replayed.copying_processes, "W&B")
    assert len(replayed.said) == 1
    replayed.log(7)
    with replayed.mirror_to_wandb():
        replayed.log(rows)
        replayed.complete_like(trained)
    assert len(replayed.said) == 1
    assert len(replayed.offline_files) == 3
    assert replayed.offline_rows == replayed.rows
    code, output = replayed.sync()
    assert code == 0, output
    (stored,) = server.runs.values()
    assert stored.rows == replayed.rows


@pytest.mark.more
def test_rows_redone_after_a_kill_are_sent_once(begin: MakeReplayed, server: StubServer, trained: RunDir) -> None:
    replayed = begin(tracking__wandb="online")
    replayed.log(0)
    with replayed.mirror_to_wandb():
        replayed.log(8)
        wait_for(lambda: server.runs and len(next(iter(server.runs.values())).history) == 8, "W&B")
        os.kill(*replayed.copying_processes, signal.SIGKILL)
    replayed.log(3)
    with replayed.mirror_to_wandb():
        replayed.log(len(replayed.lines))
        replayed.complete_like(trained)
    assert replayed.said == []
    (stored,) = server.runs.values()
    assert stored.rows == replayed.rows


@pytest.mark.slow
def test_online_run_arrives_with_what_describes_it(
    run: MakeRun, server: StubServer, trained: RunDir, home: Path
) -> None:
    running_code.cache_clear()  # an earlier test may have asked for the commit where no git was to be found
    online = run(tracking__wandb="online", tracking__project="tweets")
    assert online.complete() == digest_of(trained)
    assert online.told == []
    ((run_id, stored),) = server.runs.items()
    assert run_id.startswith(f"{online.config.run_id}-")
    assert stored.rows == online.rows
    assert stored.project == "tweets"
    assert stored.exit_code == 0
    assert (stored.attributes["groupName"], stored.attributes["jobType"]) == (GRID, "train")
    assert stored.config["model.hidden_size"] == online.config.model.hidden_size
    assert stored.config["training.early_stopping.patience"] == online.config.training.early_stopping.patience
    record, result = online.record, online.result
    assert stored.attributes.get("commit") == record.attempts[-1].git_commit
    assert stored.summary["validation/accuracy"] == pytest.approx(result.metrics["validation"].accuracy)
    assert stored.summary["test/macro_f1"] == pytest.approx(result.metrics["test"].macro_f1)
    assert [path for path in home.rglob("*") if "wandb" in path.name] == []


@pytest.mark.slow
def test_offline_run_asks_no_server_and_sync_uploads_it_whatever_its_files(run: MakeRun, server: StubServer) -> None:
    offline = run(model__pooling="attention")
    offline.complete()
    assert server.requests == 0
    assert offline.offline_rows == offline.rows
    (file,) = offline.offline_files
    file.write_bytes(file.read_bytes()[:3000] + b"damage")
    count = len(offline.rows)
    said = f"{GRID}/{offline.config.run_id}: {count} rows at W&B, {count} of them new\n"
    assert offline.sync() == (0, said)
    (stored,) = server.runs.values()
    assert stored.rows == offline.rows
    asked = server.requests
    code, output = offline.sync()
    assert (code, server.requests) == (0, asked)
    assert "nothing new" in output


@pytest.mark.slow
@pytest.mark.parametrize("fault", ["no key", "500", "no answer"])
def test_training_neither_waits_for_a_wandb_that_fails_nor_depends_on_it(
    run: MakeRun, server: StubServer, trained: RunDir, monkeypatch: pytest.MonkeyPatch, fault: str
) -> None:
    monkeypatch.setattr(tracking, "SECONDS_AFTER_COMPLETION", 0.2)
    if fault == "no key":
        monkeypatch.delenv("WANDB_API_KEY")
    elif fault == "no answer":
        server.hangs.set()
    else:
        server.status = int(fault)
    unlucky = run(tracking__wandb="online")
    assert unlucky.complete() == digest_of(trained)
    assert len(unlucky.told) == 1
    assert "sentiment sync" in unlucky.told[0]


def test_a_completed_run_waits_longer_for_its_copy_than_one_that_must_stop(
    begin: MakeReplayed, trained: RunDir, monkeypatch: pytest.MonkeyPatch
) -> None:
    waited: list[float] = []
    monkeypatch.setattr(tracking, "SECONDS_AFTER_COMPLETION", 600.0)
    monkeypatch.setattr(tracking, "start_command", lambda _module: ["true"])
    monkeypatch.setattr(
        tracking, "_wait_for", lambda process, seconds: waited.append(seconds) or process.communicate()[0]
    )
    replayed = begin()
    with replayed.mirror_to_wandb():
        pass
    with replayed.mirror_to_wandb():
        replayed.complete_like(trained)
    assert waited == [PATIENCE_SECONDS, 600.0]


def test_wandb_that_cannot_be_started_stops_no_training(begin: MakeReplayed, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tracking, "start_command", lambda _module: ["no such program"])
    replayed = begin()
    with replayed.mirror_to_wandb():
        assert replayed.said == []
    (told,) = replayed.said
    assert "no such program" in told


@pytest.mark.slow
def test_agent_of_a_sweep_finds_the_run_under_the_name_that_it_gave(
    run: MakeRun, server: StubServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    parameters = tmp_path / "parameters.yaml"
    parameters.write_text(json.dumps({"wandb_version": 1, "model.hidden_size": {"value": 6}}))
    names = {"SWEEP_ID": "sweep1", "PROJECT": "tweets", "ENTITY": "somebody", "SWEEP_PARAM_PATH": str(parameters)}
    for name, value in names.items():
        monkeypatch.setenv(f"WANDB_{name}", value)
    drawn = run(tracking__wandb="auto", model__hidden_size=6)
    for agent_run in ("first", "again"):
        monkeypatch.setenv("WANDB_RUN_ID", agent_run)
        assert drawn.attempt() is None
        assert drawn.told == []
    assert sorted(server.runs) == ["again", "first"]
    for stored in server.runs.values():
        assert (stored.sweep, stored.project, stored.exit_code) == ("sweep1", "tweets", 0)
        assert stored.rows == drawn.rows
        assert stored.config["model.hidden_size"] == 6
        assert "validation/accuracy" in stored.summary


@pytest.mark.slow
def test_run_that_is_not_tracked_writes_nothing_of_wandb_and_is_not_uploaded(run: MakeRun, server: StubServer) -> None:
    untracked, disabled = run(tracking__wandb="auto"), run(tracking__wandb="disabled", seed=2)
    untracked.complete()
    assert not untracked.run_dir.wandb_dir.exists()
    assert not untracked.run_dir.wandb_file.exists()
    code, output = untracked.sync()
    assert (code, "no run was trained with W&B tracking" in output) == (0, True)
    disabled.run_dir.create(disabled.config)
    code, output = disabled.sync(disabled.config.run_id)
    assert (code, "tracking.wandb is disabled" in output) == (0, True)
    assert server.requests == 0
