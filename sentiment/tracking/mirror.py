"""Copies a run to Weights & Biases while it trains, in a process of its own (`sentiment.tracking.process`).

Training starts that process, closes a pipe to it at the end, and passes on its first message. Where tracking is
disabled, nothing is started or imported.
"""

import subprocess
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from sentiment.code_version import start_command
from sentiment.config import TrackingConfig
from sentiment.console import Say
from sentiment.run_dir import RunDir
from sentiment.tracking.identity import identity_of, in_sweep, wandb_mode

# How long training waits at its end for the rest to be copied. After a warning by Slurm there is little time.
SECONDS_AFTER_COMPLETION = 10.0
SECONDS_AFTER_STOP = 2.0


@contextmanager
def mirrored(run_dir: RunDir, config: TrackingConfig, say: Say) -> Iterator[None]:
    """Copy the metric log of `run_dir` to W&B, if `config` says so, for as long as the context lasts.

    Args:
        say: told once if W&B fails, which raises no exception.
    """
    told: list[str] = []

    def tell(problem: str) -> None:
        if not told:
            told.append(problem)
            say(f"W&B: {problem}; training is not affected, and `python -m jobs sync` uploads what is missing")

    mode = wandb_mode(config)
    process = None
    if mode != "disabled":
        try:
            process = _start(run_dir, mode)
        except OSError as error:
            tell(str(error))
    if process is None or process.stdin is None:
        yield
        return
    teller = threading.Thread(target=_pass_on, args=(process, tell), name="W&B", daemon=True)
    teller.start()
    try:
        yield
    finally:
        process.stdin.close()
        teller.join(SECONDS_AFTER_COMPLETION if run_dir.completed else SECONDS_AFTER_STOP)
        if teller.is_alive():
            tell("the last rows are still being copied")


def mirror_again(run_dir: RunDir, config: TrackingConfig, say: Say) -> None:
    """Copy a run that is completed already if W&B's sweep agent started it, since the agent waits for a new run."""
    if in_sweep():
        with mirrored(run_dir, config, say):
            pass


def _start(run_dir: RunDir, mode: str) -> "subprocess.Popen[str]":
    if not run_dir.wandb_file.exists():
        run_dir.write_wandb(identity_of(run_dir))
    return subprocess.Popen(  # noqa: S603 - a fixed command
        [*start_command("sentiment.tracking.process"), mode, str(run_dir.path)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,  # Ctrl+C is for training alone
    )


def _pass_on(process: "subprocess.Popen[str]", tell: Callable[[str], None]) -> None:
    with process:
        for line in process.stdout or ():
            tell(line.rstrip())
