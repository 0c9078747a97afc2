"""A process of its own that copies a run to Weights & Biases: `... process {offline|online|upload} RUN_DIR`.

It shares nothing with training but the files of the run directory, so that whatever happens to W&B (an import of a
second, a start that hangs, a dead service, a full disk, a signal) can neither stop training nor slow it down.

`offline` and `online` run beside training and end when standard input is closed: by training at its end, or by the
system if training dies. `upload` copies the rows that W&B lacks, and ends.

The last line on standard output says what was done or what went wrong (beside training only the latter), and the exit
code is 1 if something failed. What wandb itself prints is in `process.log`, beside wandb's other files.
"""

import os
import select
import signal
import sys
import time
from contextlib import nullcontext
from pathlib import Path
from typing import Any

from sentiment.config import RunConfig
from sentiment.config_file import dotted
from sentiment.errors import LockedError, RunDirError, SentimentError
from sentiment.runs.attempts import ProcessLock
from sentiment.runs.records import WandbRun
from sentiment.runs.run_dir import RunDir
from sentiment.runs.state import read_pruned
from sentiment.tracking.mirror import identity_of

_POLL_SECONDS = 1.0
_READING_SHARE = 0.05  # of one core, at most
_CONFIRM_SECONDS = 5.0
_SECONDS_TO_END = 90  # after the end of training, in case W&B hangs
# Measured: without the flush interval a kill loses 15 s of rows; many services that start at once need more than the
# default of 30 s. Home directories have small quotas, so that caches lie in the run's directory.
_ENVIRONMENT = {
    "WANDB_ERROR_REPORTING": "false",
    "WANDB_X_TRANSACTION_LOG_FLUSH_INTERVAL": "1",
    "WANDB__SERVICE_WAIT": "300",
}
_CACHES = {"WANDB_CACHE_DIR": "cache", "WANDB_DATA_DIR": "staging", "WANDB_ARTIFACT_DIR": "artifacts"}
_SETTINGS: dict[str, Any] = {
    "console": "off",
    "silent": True,
    "disable_code": True,
    "disable_git": True,
    "finish_timeout": 60.0,
    "finish_timeout_raises": True,
}


def main(action: str, folder: str) -> int:
    """Do what the command line says.

    Returns:
        The exit code.
    """
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGUSR1, signal.SIGUSR2):
        signal.signal(number, signal.SIG_IGN)  # they are meant for training or sync, which then ends this process
    run_dir = RunDir(Path(folder))
    try:
        run_dir.wandb_dir.mkdir(exist_ok=True)
        with open(run_dir.wandb_dir / "process.log", "ab") as log:
            os.dup2(log.fileno(), sys.stderr.fileno())
        os.environ.update(_ENVIRONMENT | {name: str(run_dir.wandb_dir / place) for name, place in _CACHES.items()})
        # An offline copy needs no lock, since each attempt writes to a folder of its own.
        lock = nullcontext() if action == "offline" else ProcessLock(run_dir.wandb_dir / "lock", "copies to W&B")
        with lock:
            said = copy(run_dir, identity_of(run_dir), action)
        if action == "upload":
            print(said)
    except Exception as error:  # wandb raises exceptions of any kind
        name = "" if isinstance(error, SentimentError) else f"{type(error).__name__}: "
        print(name + " ".join(str(error).split())[:500])
        return 0 if isinstance(error, LockedError) else 1
    return 0


def copy(run_dir: RunDir, identity: WandbRun, action: str) -> str:
    """Copy a run; what was done.

    Online, the server says how many rows it has from earlier attempts, and the others follow. Offline, every attempt
    writes all rows to a new folder: the newest holds the whole run.

    Raises:
        RunDirError: W&B has fewer rows than it was sent.
    """
    run = _open(run_dir, identity, action)
    before = sent = run.starting_step
    pause, training = _POLL_SECONDS, action != "upload"
    while True:
        training = training and not _training_has_ended(pause)
        completed = run_dir.completed  # asked first, since the result is written after the last row
        begin = time.monotonic()
        rows = run_dir.read_metrics()
        pause = max(_POLL_SECONDS, (time.monotonic() - begin) / _READING_SHARE)
        for number, row in enumerate(rows[sent:], start=sent):
            run.log(dotted(row, "/"), step=number, commit=True)
        sent = max(sent, len(rows))
        if not training:
            break
    ended = _close(run, run_dir, completed)
    if action == "offline":
        return f"{sent} rows in wandb's files"
    confirmed = _confirmed_rows(run, sent)
    if run_dir.read_wandb() in (None, identity):  # else a sweep's agent chose another id for this time
        run_dir.write_record(identity.model_copy(update={"confirmed_rows": confirmed, "ended": ended}))
    if confirmed < sent:
        raise RunDirError(f"{run_dir.path}: W&B has {confirmed} of {sent} rows")
    return f"{sent} rows at W&B, {sent - before} of them new"


def _open(run_dir: RunDir, identity: WandbRun, action: str) -> Any:
    """The run at W&B; charts have the optimiser's steps on their axis, and the use of CPU is that of training."""
    import wandb

    config, record = run_dir.read_config(), run_dir.read_record()
    usage = {"x_disable_stats": True} if action == "upload" else {"x_stats_pid": os.getppid()}
    run = wandb.init(
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
        mode="offline" if action == "offline" else "online",
        resume="allow",
        settings=wandb.Settings(**_SETTINGS | usage, git_commit=record.attempts[-1].git_commit if record else None),
    )
    run.define_metric("step")
    run.define_metric("*", step_metric="step")
    return run


def _close(run: Any, run_dir: RunDir, completed: bool) -> bool:
    """Write or upload everything, and say how the run stands; whether it has ended.

    A run that may go on is marked as preempted, since W&B calls a run without an end crashed after five minutes. One
    that a search has pruned is finished, with its place in the summary.
    """
    result, record, pruned = run_dir.read_result(), run_dir.read_record(), read_pruned(run_dir)
    if completed and result:
        metrics = result.model_dump(include={"metrics"})["metrics"]
        run.summary.update(dotted(metrics, "/") | {"best_epoch": result.best_epoch})
    elif pruned:
        run.summary.update({"pruned": True, "rung": pruned.rung, "rank": pruned.rank, "of": pruned.trials})
    elif record is None or record.attempts[-1].reason != "failed":
        run.mark_preempting()
    ended = completed or pruned is not None
    run.finish(exit_code=0 if ended else 1)
    return ended


def _confirmed_rows(run: Any, sent: int) -> int:
    """How many rows the server has, once the run is closed: wandb does not say when it loses some."""
    import wandb

    stored = wandb.Api(overrides={"entity": run.entity}).run(run.path)
    end = time.monotonic() + _CONFIRM_SECONDS
    while (found := int(stored.lastHistoryStep) + 1) < sent and time.monotonic() < end:
        time.sleep(0.5)
    return found


def _tags(config: RunConfig) -> list[str]:
    model = config.model
    cell = [f"bi{model.cell}" if model.bidirectional else model.cell] if model.kind == "rnn" else []
    frozen = [f"{'elmo ' if config.elmo else ''}{Path(config.frozen.model).name}"] if config.frozen else []
    return [tag[:64] for tag in (model.kind, model.pooling, Path(config.data.source).name, *cell, *frozen)]


def _training_has_ended(seconds: float) -> bool:
    """Whether training has closed its end of the pipe; it is given so many seconds to do so."""
    if not select.select([sys.stdin], [], [], seconds)[0]:
        return False
    signal.alarm(_SECONDS_TO_END)
    return True


if __name__ == "__main__":
    code = main(*sys.argv[1:])
    sys.stdout.flush()
    os._exit(code)  # what wandb does at exit may hang
