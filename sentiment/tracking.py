"""Copies of a run's metric log and scores at Weights & Biases (W&B); the log stays the source of truth.

Training copies by `mirrored`, and `jobs.sync` uploads. Both start this module as a process of its own,
`sentiment.tracking {offline|online|upload} RUN_DIR`, which shares nothing with them but the files of the run directory,
so that whatever happens to W&B (an import of a second, a start that hangs, a dead service, a full disk, a signal) can
neither stop training nor slow it down. Where tracking is disabled, nothing is started or imported.

`offline` and `online` run beside training and end when standard input is closed: by training at its end, or by the
system if training dies. `upload` copies the rows that W&B lacks; it ends with them, or when its input is closed, since
wandb retries for ever without a network. A line on standard output says what was done or what went wrong (beside
training only the latter), and the exit code is 1 if something failed. What wandb itself prints is in `process.log`,
beside wandb's other files.
"""

import os
import select
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import Any

from sentiment.config import TrackingConfig
from sentiment.config_file import dotted
from sentiment.console import Say
from sentiment.errors import LockedError, RunDirError, SentimentError
from sentiment.files import fingerprint
from sentiment.processes import in_slurm
from sentiment.runs.code_version import start_command
from sentiment.runs.locks import ProcessLock
from sentiment.runs.records import Result, RunRecord, WandbRun
from sentiment.runs.run_dir import RunDir
from sentiment.runs.state import read_pruned

# How long training waits at its end for the rest to be copied. After a warning by Slurm there is little time.
SECONDS_AFTER_COMPLETION = 10.0
SECONDS_AFTER_STOP = 2.0
_POLL_SECONDS = 2.0
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


def wandb_mode(config: TrackingConfig) -> str:
    """`offline`, `online` or `disabled`; `auto` is resolved from the place where this process runs."""
    if config.wandb != "auto":
        return config.wandb
    if in_sweep():
        return "online"
    return "offline" if in_slurm() else "disabled"


def in_sweep() -> bool:
    return bool(os.environ.get("WANDB_SWEEP_ID") and os.environ.get("WANDB_RUN_ID"))


def identity_of(run_dir: RunDir) -> WandbRun:
    """The run at W&B: the sweep agent's choice, else that of an earlier attempt, else a new id that never changes.

    A new id ends in a hash of the grid and of the first attempt (host, process, time), so that it differs from the ids
    of the same configuration in another grid, of another user, and of a directory that was moved away and begun anew.
    """
    known = run_dir.read(WandbRun)
    if in_sweep():
        chosen = os.environ["WANDB_RUN_ID"]
        project, entity = os.environ.get("WANDB_PROJECT"), os.environ.get("WANDB_ENTITY")
        return known if known and known.id == chosen else WandbRun(id=chosen, project=project, entity=entity)
    if known:
        return known
    config, record = run_dir.read_config(), run_dir.read(RunRecord)
    first = record.attempts[0] if record else None
    origin = [run_dir.grid, config.run_id, *([first.host, first.pid, first.start] if first else [])]
    name = f"{config.run_id}-{fingerprint(origin)[:6]}"
    return WandbRun(id=name, project=config.tracking.project, entity=config.tracking.entity)


@contextmanager
def mirrored(run_dir: RunDir, config: TrackingConfig, say: Say) -> Iterator[None]:
    """Copy the metric log of `run_dir` to W&B, if `config` says so, for as long as the context lasts.

    At the end `say` is told if W&B failed, which raises no exception.
    """
    if (mode := wandb_mode(config)) == "disabled":
        yield
        return
    process, problem = None, ""
    try:
        if not run_dir.wandb_file.exists():
            run_dir.write_record(identity_of(run_dir))
        process = subprocess.Popen(  # noqa: S603 - a fixed command
            [*start_command("sentiment.tracking"), mode, str(run_dir.path)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,  # Ctrl+C is for training alone
        )
    except OSError as error:
        problem = f"cannot be started: {error}"
    try:
        yield
    finally:
        if process:
            problem = _end(process, SECONDS_AFTER_COMPLETION if run_dir.completed else SECONDS_AFTER_STOP)
        if problem:
            say(f"W&B: {problem}; training is not affected, and `sentiment sync` uploads what is missing")


_LEFT: list["subprocess.Popen[str]"] = []
"""References to processes that go on by themselves; Popen warns of those that are collected."""


def _end(process: "subprocess.Popen[str]", seconds: float) -> str:
    try:
        return process.communicate(timeout=seconds)[0].rstrip()
    except subprocess.TimeoutExpired:
        _LEFT.append(process)
        return "the last rows are still being copied"


def main(action: str, folder: str) -> int:
    """Do what the command line says; the exit code."""
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGUSR1, signal.SIGUSR2):
        signal.signal(number, signal.SIG_IGN)  # they are meant for training or sync, which then ends this process
    if action == "upload":
        threading.Thread(target=_end_with_sync, daemon=True).start()
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
    """Copy a run; what was done. A RunDirError says that W&B has fewer rows than it was sent.

    Online, the server says how many rows it has from earlier attempts, and the others follow. Offline, every attempt
    writes all rows to a new folder: the newest holds the whole run.
    """
    run = _open(run_dir, identity, action)
    before = sent = run.starting_step
    training = action != "upload"
    while True:
        training = training and not _training_has_ended()
        completed = run_dir.completed  # asked first, since the result is written after the last row
        rows = run_dir.read_metrics()
        for number, row in enumerate(rows[sent:], start=sent):
            run.log(dotted(row, "/"), step=number, commit=True)
        sent = max(sent, len(rows))
        if not training:
            break
    ended = _close(run, run_dir, completed)
    if action == "offline":
        return f"{sent} rows in wandb's files"
    confirmed = _confirmed_rows(run, sent)
    if run_dir.read(WandbRun) in (None, identity):  # else a sweep's agent chose another id for this time
        run_dir.write_record(identity.model_copy(update={"confirmed_rows": confirmed, "ended": ended}))
    if confirmed < sent:
        raise RunDirError(f"{run_dir.path}: W&B has {confirmed} of {sent} rows")
    return f"{sent} rows at W&B, {sent - before} of them new"


def _open(run_dir: RunDir, identity: WandbRun, action: str) -> Any:
    import wandb

    config, record = run_dir.read_config(), run_dir.read(RunRecord)
    usage = {"x_disable_stats": True} if action == "upload" else {"x_stats_pid": os.getppid()}
    run = wandb.init(
        id=identity.id,
        project=identity.project,
        entity=identity.entity,
        group=run_dir.grid,
        name=config.run_id,
        notes=config.description,
        job_type="train",
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
    result, record, pruned = run_dir.read(Result), run_dir.read(RunRecord), read_pruned(run_dir)
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


def _end_with_sync() -> None:
    sys.stdin.read()
    os._exit(1)


def _training_has_ended() -> bool:
    if not select.select([sys.stdin], [], [], _POLL_SECONDS)[0]:
        return False
    signal.alarm(_SECONDS_TO_END)
    return True


if __name__ == "__main__":
    code = main(*sys.argv[1:])
    sys.stdout.flush()
    os._exit(code)  # what wandb does at exit may hang
