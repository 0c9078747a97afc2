"""Copies a run to Weights & Biases while it trains, or does nothing.

The copying is done by a process of its own (`tracking_process`); training starts it, closes a pipe when it ends, and
tells what the process says. Where tracking is disabled, nothing is started or imported.
"""

import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager

from sentiment.config import TrackingConfig
from sentiment.run_dir import RunDir
from sentiment.training.console import Say
from sentiment.training.tracking_identity import identity_of, in_sweep, wandb_mode

# At a stop the time is nearly over, and what the process does not manage any more is made good later.
_SECONDS_AFTER_COMPLETION = 15.0
_SECONDS_AFTER_STOP = 2.0
_MADE_GOOD = "training goes on, and `python -m jobs sync` copies metrics.jsonl later"


@contextmanager
def mirrored(run_dir: RunDir, config: TrackingConfig, say: Say) -> Iterator[None]:
    """Copy the metric log of `run_dir` to W&B, if `config` says so, for as long as the context lasts.

    Args:
        say: told once if W&B fails; nothing is ever raised for it.
    """
    mode = wandb_mode(config)
    process = None if mode == "disabled" else _start(run_dir, mode, say)
    try:
        yield
    finally:
        if process is not None:
            _end(process, run_dir, say)


def mirror_again(run_dir: RunDir, config: TrackingConfig, say: Say) -> None:
    """Copy a run that is completed already for W&B's agent, which waits for one that it has named."""
    if in_sweep():
        with mirrored(run_dir, config, say):
            pass


def _start(run_dir: RunDir, mode: str, say: Say) -> "subprocess.Popen[str] | None":
    command = [sys.executable, "-m", "sentiment.training.tracking_process", "follow", mode, str(run_dir.path)]
    try:
        if not run_dir.wandb_file.exists():
            run_dir.write_wandb(identity_of(run_dir))
        run_dir.wandb_dir.mkdir(exist_ok=True)
        with open(run_dir.wandb_dir / "process.log", "ab") as log:
            process = subprocess.Popen(  # noqa: S603 - a fixed command
                command,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=log,
                text=True,
                start_new_session=True,  # Ctrl+C means training
            )
    except OSError as error:
        say(f"W&B: {error}; {_MADE_GOOD}")
        return None
    threading.Thread(target=_tell, args=(process, say), name="W&B", daemon=True).start()
    return process


def _tell(process: "subprocess.Popen[str]", say: Say) -> None:
    for line in process.stdout or ():
        say(f"W&B: {line.rstrip()}; {_MADE_GOOD}")


def _end(process: "subprocess.Popen[str]", run_dir: RunDir, say: Say) -> None:
    if process.stdin:
        process.stdin.close()
    try:
        process.wait(_SECONDS_AFTER_COMPLETION if run_dir.completed else _SECONDS_AFTER_STOP)
    except subprocess.TimeoutExpired:
        say("W&B: is not through yet and goes on by itself; `python -m jobs sync` copies what it does not manage")
