"""All calls of wandb. Anything here may raise an exception of any kind: no key, no network, a dead service."""

import json
import os
import time
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from sentiment.config import RunConfig
from sentiment.config_file import dotted
from sentiment.errors import RunDirError
from sentiment.runs.records import WandbRun
from sentiment.runs.run_dir import RunDir
from sentiment.runs.state import read_pruned

Row = dict[str, Any]

_NUMBER = "_step"


def rows_to_copy(run_dir: RunDir) -> tuple[list[Row], bool]:
    """The rows of the metric log, whose indices are their steps at W&B, and whether they are all of a completed run."""
    completed = run_dir.completed  # asked first, since the result is written after the last row
    return run_dir.read_metrics(), completed


class SentRows:
    """The rows that one run at W&B was sent, by number; not all of them need have arrived.

    They are kept in a file, whose loss means only that a difference from the log is no longer noticed.
    """

    def __init__(self, run_dir: RunDir, identity: WandbRun) -> None:
        self._path = run_dir.wandb_dir / f"sent-{identity.id}.jsonl"
        self._rows: dict[int, Row] = {}
        if self._path.exists():
            for line in self._path.read_text(encoding="utf-8", errors="replace").splitlines():
                with suppress(ValueError, RecursionError):  # an empty line, or one that a crash cut off
                    row = json.loads(line)
                    self._rows[row.pop(_NUMBER)] = row

    def first_difference(self, rows: Sequence[Row], completed: bool) -> int | None:
        """The number of the first row that W&B was sent and that is another one in `rows`; None if there is none.

        Args:
            rows: all rows of the run so far.
            completed: whether no further ones come, so that W&B may have been sent no more than these.
        """
        others = [n for n, row in self._rows.items() if (row != rows[n] if n < len(rows) else completed)]
        return min(others, default=None)

    def check(self, rows: Sequence[Row], completed: bool) -> None:
        """Compare all rows of the run so far with those that were sent.

        Raises:
            RunDirError: they differ.
        """
        if (number := self.first_difference(rows, completed)) is not None:
            raise RunDirError(
                f"metrics.jsonl has other rows than W&B was sent, from row {number} on, and W&B takes none back"
            )

    def note(self, first: int, rows: Sequence[Row]) -> None:
        """Record durably that `rows`, the first of which has the number `first`, are about to be sent."""
        if rows:
            numbered = dict(enumerate(rows, first))
            with open(self._path, "a", encoding="utf-8") as file:
                # A row begins with the line feed, since a crash may have cut off the row before.
                file.writelines("\n" + json.dumps({_NUMBER: number} | row) for number, row in numbered.items())
                file.flush()
                os.fsync(file.fileno())
            self._rows |= numbered


_CONFIRM_SECONDS = 5.0

# Measured: without the flush interval a kill loses 15 s of rows; many services that start at once need more than the
# default of 30 s.
_ENVIRONMENT = {
    "WANDB_ERROR_REPORTING": "false",
    "WANDB_X_TRANSACTION_LOG_FLUSH_INTERVAL": "1",
    "WANDB__SERVICE_WAIT": "300",
}
_SETTINGS: dict[str, Any] = {
    "console": "off",
    "silent": True,
    "disable_code": True,
    "disable_git": True,
    "finish_timeout": 60.0,
    "finish_timeout_raises": True,
}


def prepare_environment(folder: Path) -> None:
    """Set what wandb reads when it is imported; its caches go to `folder`, since home directories have small quotas."""
    caches = {"WANDB_CACHE_DIR": "cache", "WANDB_DATA_DIR": "staging", "WANDB_ARTIFACT_DIR": "artifacts"}
    os.environ.update(_ENVIRONMENT | {name: str(folder / place) for name, place in caches.items()})


class OpenRun:
    """A run at W&B while rows are added to it; charts have the optimiser's steps on their axis.

    Online, the server says how many rows it has from earlier attempts, and the others follow. Offline, every attempt
    writes all rows to a new folder: the newest holds the whole run, whatever became of the others.
    """

    def __init__(self, run_dir: RunDir, identity: WandbRun, online: bool, trainer_pid: int | None) -> None:
        """Open the run.

        Args:
            trainer_pid: the process whose use of CPU and memory is recorded; None records none.
        """
        import wandb

        config, record = run_dir.read_config(), run_dir.read_record()
        settings = {"x_stats_pid": trainer_pid} if trainer_pid else {"x_disable_stats": True}
        self._run_dir = run_dir
        self._completed = False
        self.ended = False
        """Whether W&B was told that the run is completed or pruned, once it is closed."""
        self._sent = SentRows(run_dir, identity) if online else None
        self._run = wandb.init(
            id=identity.id,
            project=identity.project,
            entity=identity.entity,
            group=run_dir.grid,
            name=config.run_id,
            notes=config.description,
            job_type="train",
            tags=_tags(config),
            config=dotted(config.identity()),
            dir=str(run_dir.path),
            mode="online" if online else "offline",
            resume="allow",
            settings=wandb.Settings(**_SETTINGS | settings, git_commit=record.git_commit if record else None),
        )
        self._run.define_metric("step")
        self._run.define_metric("*", step_metric="step")
        self.rows: int = self._run.starting_step
        """How many it has."""

    def add(self, rows: Sequence[Row], completed: bool) -> None:
        """Add those of `rows`, which are all rows of the run so far, that it does not have.

        Raises:
            RunDirError: it was sent other rows in the place of some of these.
        """
        new = rows[self.rows :]
        if self._sent:
            self._sent.check(rows, completed)
            self._sent.note(self.rows, new)
        for row in new:
            self._run.log(dotted(row, "/"), step=self.rows, commit=True)
            self.rows += 1
        self._completed = completed

    def close(self) -> None:
        """Write or upload everything, and say how the run stands.

        A run that may go on is marked as preempted, since W&B calls a run without an end crashed after five minutes.
        One that a search has pruned is finished, with its place in the summary.
        """
        result, record, pruned = self._run_dir.read_result(), self._run_dir.read_record(), read_pruned(self._run_dir)
        if self._completed and result:
            metrics = result.model_dump(include={"metrics"})["metrics"]
            self._run.summary.update(dotted(metrics, "/") | {"best_epoch": result.best_epoch})
        elif pruned:
            self._run.summary.update({"pruned": True, "rung": pruned.rung, "rank": pruned.rank, "of": pruned.trials})
        elif record is None or record.attempts[-1].reason != "failed":
            self._run.mark_preempting()
        self.ended = self._completed or pruned is not None
        self._run.finish(exit_code=0 if self.ended else 1)

    def confirmed_rows(self) -> int:
        """How many rows the server has, once the run is closed online: wandb does not say when it loses some."""
        import wandb

        stored = wandb.Api(overrides={"entity": self._run.entity}).run(self._run.path)
        end = time.monotonic() + _CONFIRM_SECONDS
        while (found := int(stored.lastHistoryStep) + 1) < self.rows and time.monotonic() < end:
            time.sleep(0.5)
        return found


def upload_report(folder: Path, project: str, entity: str) -> int:
    """Upload a report as a new version of the artifact `report`; how many files it has.

    Args:
        folder: holds the report, and in `wandb` what wandb writes, which is not uploaded.
        project: empty for the account's own, as is `entity`.
    """
    import wandb

    files = [path for path in folder.rglob("*") if path.is_file() and not path.is_relative_to(folder / "wandb")]
    artifact = wandb.Artifact("report", type="report")
    for path in files:
        artifact.add_file(str(path), str(path.relative_to(folder)))
    with wandb.init(
        project=project or None,
        entity=entity or None,
        job_type="report",
        dir=str(folder),
        mode="online",
        settings=wandb.Settings(**_SETTINGS, x_disable_stats=True),
    ) as run:
        run.log_artifact(artifact).wait()
    return len(files)


def _tags(config: RunConfig) -> list[str]:
    model = config.model
    cell = [f"bi{model.cell}" if model.bidirectional else model.cell] if model.kind == "rnn" else []
    elmo = [f"elmo {Path(config.elmo.model).name}"] if config.elmo else []
    return [tag[:64] for tag in (model.kind, model.pooling, Path(config.data.source).name, *cell, *elmo)]
