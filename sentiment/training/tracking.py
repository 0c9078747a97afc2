"""Copies of a run's metric log and scores at Weights & Biases (W&B); the log stays the source of truth.

During training `mirror_to_wandb` copies the log to W&B; `jobs.sync` uploads it later. Both start this module as a
process of its own, `sentiment.training.tracking {offline|online|upload} RUN_DIR`. It shares only the files of the run
directory with them. So no W&B failure (a slow import, a start that hangs, a dead service, a full disk, a signal) can
stop or slow down training. If tracking is disabled, nothing is started or imported.

`offline` and `online` run beside training and exit when standard input is closed: by training at its end, or by the
system if training dies. `upload` copies the rows that W&B lacks and exits when that is done or when standard input is
closed, because wandb retries for ever without a network. `upload` prints one line with its result or its error;
`offline` and `online` print errors only. The exit code is 1 if something failed. The output of wandb itself is in
`process.log`, beside wandb's other files.
"""

import os
import select
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import Any

from sentiment.config import TrackingConfig
from sentiment.config_file import dotted
from sentiment.console import Say
from sentiment.errors import LockedError, RunDirError, SentimentError, in_one_line
from sentiment.files import fingerprint
from sentiment.processes import in_slurm, wandb_is_installed, wandb_problem
from sentiment.runs.code_version import start_command
from sentiment.runs.locks import Lock
from sentiment.runs.reader import pruned_place
from sentiment.runs.records import EpochRow, Metrics, Part, Result, RunRecord, WandbRun
from sentiment.runs.run_dir import RunDir

# How long after its end training stays for the last rows to be copied. After a warning by Slurm there is little time.
SECONDS_AFTER_COMPLETION = 10.0
SECONDS_AFTER_STOP = 2.0
_POLL_SECONDS = 2.0
_CONFIRM_SECONDS = 5.0
_EXIT_TIMEOUT_SECONDS = 90  # after the end of training, in case W&B hangs
# FLUSH_INTERVAL: without it, a kill loses 15 s of rows (measured). SERVICE_WAIT: many services that start at once need
# more than the default of 30 s (measured). Caches are in the run's directory: home directories have small quotas.
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
    """`offline`, `online` or `disabled`; `auto` is resolved from the environment of this process."""
    if config.wandb != "auto":
        return config.wandb
    if in_sweep():
        return "online"
    return "offline" if in_slurm() and wandb_is_installed() else "disabled"


def in_sweep() -> bool:
    return bool(os.environ.get("WANDB_SWEEP_ID") and os.environ.get("WANDB_RUN_ID"))


def wandb_run_of(run_dir: RunDir) -> WandbRun:
    """The run at W&B: the one chosen by a sweep agent, else that of an earlier attempt, else a new one.

    A new id ends in a hash of the grid and of the first attempt (host, process, time). So it differs from the ids of
    the same configuration in another grid, of another user, and of a run restarted after its directory was moved away.
    """
    stored = run_dir.read(WandbRun)
    chosen = os.environ["WANDB_RUN_ID"] if in_sweep() else None
    if stored and chosen in (None, stored.id):
        return stored
    if chosen:
        return WandbRun(id=chosen, project=os.environ.get("WANDB_PROJECT"), entity=os.environ.get("WANDB_ENTITY"))
    config = run_dir.read_config()
    origin: list[object] = [run_dir.grid, config.run_id]
    if record := run_dir.read(RunRecord):
        first = record.attempts[0]
        origin += [first.host, first.pid, first.start]
    name = f"{config.run_id}-{fingerprint(origin)[:6]}"
    return WandbRun(id=name, project=config.tracking.project, entity=None)


@contextmanager
def mirror_to_wandb(run_dir: RunDir, config: TrackingConfig, say: Say) -> Iterator[None]:
    """Copy the metric log of `run_dir` to W&B, if `config` says so, for as long as the context lasts.

    W&B failures are reported through `say` at the end, and never raised.
    """
    mode = wandb_mode(config)
    missing = wandb_problem(config.wandb)
    if missing:
        say(f"W&B: {missing}; training is not affected")
    if missing or mode == "disabled":
        yield
        return
    process = None
    problem = ""
    try:
        if not run_dir.wandb_file.exists():
            run_dir.write_record(wandb_run_of(run_dir))
        process = subprocess.Popen(  # noqa: S603 - a fixed command
            [*start_command("sentiment.training.tracking"), mode, str(run_dir.path)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,  # so that Ctrl+C reaches only the training process
        )
    except OSError as error:
        problem = f"cannot be started: {error}"
    try:
        yield
    finally:
        if process:
            problem = _wait_for(process, SECONDS_AFTER_COMPLETION if run_dir.completed else SECONDS_AFTER_STOP)
        if problem:
            command = run_dir.results.command("sync")
            say(f"W&B: {problem}; training is not affected, and `{command}` uploads what is missing")


# Keeps detached processes referenced: a Popen that is garbage-collected while its process runs gives a warning.
_DETACHED: list["subprocess.Popen[str]"] = []


def _wait_for(process: "subprocess.Popen[str]", seconds: float) -> str:
    try:
        return process.communicate(timeout=seconds)[0].rstrip()
    except subprocess.TimeoutExpired:
        _DETACHED.append(process)
        return "the last rows are still being copied"


def main(action: str, folder: str) -> int:
    """Command-line entry point; returns the exit code."""
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGUSR1, signal.SIGUSR2):
        signal.signal(number, signal.SIG_IGN)  # they are for training or sync, which then end this process
    if action == "upload":
        threading.Thread(target=_exit_when_stdin_closes, daemon=True).start()
    run_dir = RunDir(Path(folder))
    try:
        run_dir.wandb_dir.mkdir(exist_ok=True)
        with open(run_dir.wandb_dir / "process.log", "ab") as log:
            os.dup2(log.fileno(), sys.stderr.fileno())
        os.environ.update(_ENVIRONMENT)
        os.environ.update({name: str(run_dir.wandb_dir / folder) for name, folder in _CACHES.items()})
        # An offline copy needs no lock, since each attempt writes to a folder of its own.
        lock = nullcontext() if action == "offline" else Lock(run_dir.wandb_dir / "lock", "copies to W&B")
        with lock:
            summary = copy_to_wandb(run_dir, wandb_run_of(run_dir), action)
        if action == "upload":
            print(summary)
    except Exception as error:  # wandb raises exceptions of any kind
        name = "" if isinstance(error, SentimentError) else f"{type(error).__name__}: "
        print(name + in_one_line(error)[:500])
        return 0 if isinstance(error, LockedError) else 1
    return 0


def copy_to_wandb(run_dir: RunDir, identity: WandbRun, action: str) -> str:
    """Copy a run and return a summary.

    Online, the server reports how many rows it has from earlier attempts, and only the others are sent. Offline, every
    attempt writes all rows to a new folder, so that the newest folder holds the whole run.

    Raises:
        RunDirError: W&B has fewer rows than were sent.
    """
    run = _open(run_dir, identity, action)
    classes = run_dir.read_config().data.label_names
    rows_before = run.starting_step
    rows_sent = rows_before
    training = action != "upload"
    while True:
        training = training and not _wait_for_training_end()
        completed = run_dir.completed  # checked before reading, because the result is written after the last row
        rows = run_dir.read_metrics()
        for number, row in enumerate(rows[rows_sent:], start=rows_sent):
            values = row.model_dump()
            if isinstance(row, EpochRow):
                values |= _named(row.metrics, classes)
            run.log(dotted(values, "/"), step=number, commit=True)
        rows_sent = max(rows_sent, len(rows))
        if not training:
            break
    ended = _close(run, run_dir, completed, classes)
    if action == "offline":
        return f"{rows_sent} rows in wandb's files"
    confirmed = _confirmed_rows(run, rows_sent)
    if run_dir.read(WandbRun) in (None, identity):  # otherwise a sweep agent assigned another id to this attempt
        run_dir.write_record(identity.model_copy(update={"confirmed_rows": confirmed, "ended": ended}))
    if confirmed < rows_sent:
        raise RunDirError(f"{run_dir.path}: W&B has {confirmed} of {rows_sent} rows")
    return f"{rows_sent} rows at W&B, {rows_sent - rows_before} of them new"


def _open(run_dir: RunDir, identity: WandbRun, action: str) -> Any:
    import wandb

    config = run_dir.read_config()
    record = run_dir.read(RunRecord)
    settings = dict(_SETTINGS)
    if action == "upload":
        settings["x_disable_stats"] = True
    else:
        settings["x_stats_pid"] = os.getppid()
    settings["git_commit"] = record.attempts[-1].git_commit if record else None
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
        settings=wandb.Settings(**settings),
    )
    run.define_metric("step")
    run.define_metric("*", step_metric="step")
    return run


def _named(metrics: Mapping[Part, Metrics], classes: Sequence[str]) -> dict[str, Any]:
    return {part: scores.named(classes) for part, scores in metrics.items()}


def _close(run: Any, run_dir: RunDir, completed: bool, classes: Sequence[str]) -> bool:
    """Flush everything, set the final W&B status, and return whether the run has ended.

    A run that may be resumed is marked as preempted, because W&B marks a run that was not finished as crashed after
    five minutes. A pruned run is finished, with its rank in the summary.
    """
    result = run_dir.read(Result)
    record = run_dir.read(RunRecord)
    pruned = pruned_place(run_dir)
    if completed and result:
        run.summary.update(dotted(_named(result.metrics, classes), "/") | {"best_epoch": result.best_epoch})
    elif pruned:
        run.summary.update({"pruned": True, "rung": pruned.rung, "rank": pruned.rank, "of": pruned.trials})
    elif record is None or record.attempts[-1].reason != "failed":
        run.mark_preempting()
    ended = completed or pruned is not None
    run.finish(exit_code=0 if ended else 1)
    return ended


def _confirmed_rows(run: Any, sent: int) -> int:
    """The number of rows that the server has after the run is closed, as wandb does not report lost rows."""
    import wandb

    stored = wandb.Api(overrides={"entity": run.entity}).run(run.path)
    end = time.monotonic() + _CONFIRM_SECONDS
    while (confirmed := int(stored.lastHistoryStep) + 1) < sent and time.monotonic() < end:
        time.sleep(0.5)
    return confirmed


def _exit_when_stdin_closes() -> None:
    sys.stdin.read()
    os._exit(1)


def _wait_for_training_end() -> bool:
    """Wait up to `_POLL_SECONDS`; if training has ended, set the alarm that ends this process."""
    if not select.select([sys.stdin], [], [], _POLL_SECONDS)[0]:
        return False
    signal.alarm(_EXIT_TIMEOUT_SECONDS)
    return True


if __name__ == "__main__":
    code = main(*sys.argv[1:])
    sys.stdout.flush()
    os._exit(code)  # wandb's exit handlers may hang
