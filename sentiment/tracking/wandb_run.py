"""A run at Weights & Biases: opened under one name in all attempts, fed with numbered rows, closed with an exit code.

The number of a row in `metrics.jsonl` is its step at W&B, so that both sides agree by counting how far the copy is:
online the server says where the run goes on, offline the files of earlier attempts do. Rows that a new attempt redid
with other digits are noticed online, while wandb's files keep the old ones: nothing is ever uploaded from these. Charts
have the optimiser's steps on their axis all the same. The last row, after those of the metric log, holds what a
completed run adds.
"""

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Literal

from sentiment.config import RunConfig
from sentiment.config_file import dotted
from sentiment.records import RunRecord, WandbRun
from sentiment.run_dir import RunDir
from sentiment.tracking.rows import flat
from sentiment.tracking.sent_rows import OUTCOME, Row, SentRows

Mode = Literal["offline", "online"]
Ending = Literal["completed", "failed", "unfinished"]

# A file of a run that was killed before its first record holds this header alone.
_HEADER_BYTES = 7
_FINISH_SECONDS = 60.0
_CONFIRM_SECONDS = 5.0

# As measured: without the flush a kill loses 15 s of rows, and many starts at once take longer than the usual 30 s.
# Caches would go to the home directory, whose quota is small on clusters.
_ENVIRONMENT = {
    "WANDB_ERROR_REPORTING": "false",
    "WANDB_X_TRANSACTION_LOG_FLUSH_INTERVAL": "1",
    "WANDB__SERVICE_WAIT": "300",
}


def prepare_environment(run_dir: RunDir) -> None:
    """Set what wandb reads when it is imported; which server it talks to is the user's affair."""
    caches = {"WANDB_CACHE_DIR": "cache", "WANDB_DATA_DIR": "staging", "WANDB_ARTIFACT_DIR": "artifacts"}
    os.environ.update(_ENVIRONMENT | {name: str(run_dir.wandb_dir / folder) for name, folder in caches.items()})


class OpenRun:
    """The run at W&B that a run directory is copied to, for as long as this object is in use.

    Raises:
        Exception: of any kind, from every method: no key, no network, a dead service.
    """

    def __init__(self, run_dir: RunDir, identity: WandbRun, mode: Mode, trainer_pid: int | None) -> None:
        """Args: trainer_pid: whose use of CPU and memory is recorded; None records none."""
        import wandb

        config, record = run_dir.read_config(), run_dir.read_record()
        self._run_dir = run_dir
        self._mode = mode
        self._sent = SentRows(run_dir, identity)
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
            mode=mode,
            resume="allow",
            settings=wandb.Settings(**_settings(record, trainer_pid)),
        )
        self._run.define_metric("step")
        self._run.define_metric("*", step_metric="step")
        self.rows = held_rows(run_dir.wandb_dir) if mode == "offline" else self._run.starting_step
        """How many it has."""

    def take(self, first: int, rows: Sequence[Row]) -> None:
        """Add those rows of the metric log that it does not have; the first of them has this number.

        Raises:
            SupersededError: it was sent others in the place of those that it has.
        """
        for row in self._prepare(first, rows):
            self._add(flat(row))

    def take_images(self, number: int, step: int, draw: Callable[[], dict[str, Path]]) -> None:
        """Add pictures as the row of this number, the last one, at an optimiser's step, unless it has them.

        Raises:
            SupersededError: it was sent something else in their place, or more.
        """
        import wandb

        if self._prepare(number, [OUTCOME], last=True):
            self._add({name: wandb.Image(str(path)) for name, path in draw().items()} | {"step": step})

    def summarise(self, values: dict[str, Any]) -> None:
        """Say what stands for the run in tables, instead of its last row."""
        self._run.summary.update(values)

    def close(self, ending: Ending) -> None:
        """Write or upload everything, and say how the run stands."""
        if ending == "unfinished":
            self._run.mark_preempting()
        self._run.finish(exit_code=0 if ending == "completed" else 1)

    def confirmed_rows(self) -> int:
        """How many rows really arrived, once it is closed: W&B itself says nothing when it loses some."""
        if self._mode == "offline":
            return held_rows(self._run_dir.wandb_dir)
        import wandb

        stored = wandb.Api(overrides={"entity": self._run.entity}).run(self._run.path)
        end = time.monotonic() + _CONFIRM_SECONDS
        while (found := int(stored.lastHistoryStep) + 1) < self.rows and time.monotonic() < end:
            time.sleep(0.5)
        return found

    def _prepare(self, first: int, rows: Sequence[Row], last: bool = False) -> Sequence[Row]:
        """The rows that are to be sent, once they are written down."""
        new = rows[max(self.rows - first, 0) :]
        if self._mode == "online":
            self._sent.check(first, rows, last)
            self._sent.note(self.rows, new)
        return new

    def _add(self, values: dict[str, Any]) -> None:
        self._run.log(values, step=self.rows, commit=True)
        self.rows += 1


def delete_run(identity: WandbRun) -> None:
    """Delete a run at W&B, if it is there.

    Raises:
        Exception: of any kind.
    """
    import wandb
    from wandb.apis.public.runs import RunNotFoundError

    api = wandb.Api(overrides={"entity": identity.entity, "project": identity.project})
    try:
        run = api.run(identity.id)
    except wandb.errors.CommError as error:
        if isinstance(error.exc, RunNotFoundError):
            return
        raise
    run.delete()


def held_rows(wandb_dir: Path) -> int:
    """How many rows the files of earlier attempts hold, as wandb's own tool reads them.

    Each file goes on where the one before ended, so that the newest one with rows knows. An unreadable one holds none.
    """
    for file in sorted(wandb_dir.glob("*run-*/run-*.wandb"), key=lambda file: file.parent.name, reverse=True):
        if file.stat().st_size > _HEADER_BYTES and (steps := _steps_in(file)):
            return steps[-1] + 1
    return 0


def _steps_in(file: Path) -> list[int]:
    command = [sys.executable, "-m", "wandb", "leet", "inspect", str(file), "--json"]
    output = subprocess.run(command, capture_output=True, text=True, check=False).stdout  # noqa: S603
    records = (json.loads(line) for line in output.splitlines() if line.startswith("{"))
    return [record["history"]["item"]["_step"] for record in records if record["type"] == "history"]


def _settings(record: RunRecord | None, trainer_pid: int | None) -> dict[str, Any]:
    return {
        "console": "off",
        "silent": True,
        "disable_code": True,
        "disable_git": True,
        "git_commit": record.git_commit if record else None,
        "finish_timeout": _FINISH_SECONDS,
        "finish_timeout_raises": True,
        "x_disable_stats": trainer_pid is None,
    } | ({"x_stats_pid": trainer_pid} if trainer_pid else {})


def _tags(config: RunConfig) -> list[str]:
    model = config.model
    tags = [model.kind, model.pooling, Path(config.data.source).name]
    if model.kind == "rnn":
        tags.append(f"bi{model.cell}" if model.bidirectional else model.cell)
    if config.elmo:
        tags.append(f"elmo {Path(config.elmo.model).name}")
    return [tag[:64] for tag in tags]
