"""Copies a run to Weights & Biases while it trains, in a process of its own (`sentiment.tracking.process`).

Training starts that process, closes a pipe to it at the end, and passes on its first message. Where tracking is
disabled, nothing is started or imported.
"""

import os
import subprocess
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from sentiment.config import TrackingConfig
from sentiment.console import Say
from sentiment.files import fingerprint
from sentiment.processes import in_slurm
from sentiment.runs.code_version import start_command
from sentiment.runs.records import WandbRun
from sentiment.runs.run_dir import RunDir


def wandb_mode(config: TrackingConfig) -> str:
    """`offline`, `online` or `disabled`; `auto` is resolved from the place where this process runs."""
    if config.wandb != "auto":
        return config.wandb
    if in_sweep():
        return "online"
    return "offline" if in_slurm() else "disabled"


def in_sweep() -> bool:
    """Whether W&B's sweep agent started this process; it has then chosen the run's id already."""
    return bool(os.environ.get("WANDB_SWEEP_ID") and os.environ.get("WANDB_RUN_ID"))


def identity_of(run_dir: RunDir) -> WandbRun:
    """The run at W&B: the sweep agent's choice, else that of an earlier attempt, else a new id that never changes.

    A new id ends in a hash of the grid and of the first attempt (host, process, time), so that it differs from the ids
    of the same configuration in another grid, of another user, and of a directory that was moved away and begun anew.

    Raises:
        RunDirError: the run directory cannot be read.
    """
    known = run_dir.read_wandb()
    if known and (not in_sweep() or known.id == os.environ["WANDB_RUN_ID"]):
        return known
    if in_sweep():
        project, entity = os.environ.get("WANDB_PROJECT"), os.environ.get("WANDB_ENTITY")
        return WandbRun(id=os.environ["WANDB_RUN_ID"], project=project, entity=entity)
    config, record = run_dir.read_config(), run_dir.read_record()
    first = record.attempts[0] if record else None
    origin = [run_dir.grid, config.run_id, *([first.host, first.pid, first.start] if first else [])]
    name = f"{config.run_id}-{fingerprint(origin)[:6]}"
    return WandbRun(id=name, project=config.tracking.project, entity=config.tracking.entity)


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

    if (mode := wandb_mode(config)) == "disabled":
        yield
        return
    try:
        if not run_dir.wandb_file.exists():
            run_dir.write_record(identity_of(run_dir))
        process = subprocess.Popen(  # noqa: S603 - a fixed command
            [*start_command("sentiment.tracking.process"), mode, str(run_dir.path)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,  # Ctrl+C is for training alone
        )
    except OSError as error:
        tell(str(error))
        yield
        return
    teller = threading.Thread(target=_pass_on, args=(process, tell), name="W&B", daemon=True)
    teller.start()
    try:
        yield
    finally:
        if process.stdin:
            process.stdin.close()
        teller.join(SECONDS_AFTER_COMPLETION if run_dir.completed else SECONDS_AFTER_STOP)
        if teller.is_alive():
            tell("the last rows are still being copied")


def mirror_again(run_dir: RunDir, config: TrackingConfig, say: Say) -> None:
    """Copy a run that is completed already if W&B's sweep agent started it, since the agent waits for a new run."""
    if in_sweep():
        with mirrored(run_dir, config, say):
            pass


def _pass_on(process: "subprocess.Popen[str]", tell: Callable[[str], None]) -> None:
    with process:
        for line in process.stdout or ():
            tell(line.rstrip())
