"""Whether a run is copied to Weights & Biases, and which run there is its copy."""

import os

from sentiment.allocation import in_slurm
from sentiment.config import TrackingConfig
from sentiment.files import fingerprint
from sentiment.records import WandbRun
from sentiment.run_dir import RunDir


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
    if in_sweep():
        chosen = WandbRun(
            id=os.environ["WANDB_RUN_ID"],
            project=os.environ.get("WANDB_PROJECT"),
            entity=os.environ.get("WANDB_ENTITY"),
        )
        return known if known and known.id == chosen.id else chosen
    if known:
        return known
    config, record = run_dir.read_config(), run_dir.read_record()
    first = record.attempts[0] if record else None
    origin = [run_dir.grid, config.run_id, *([first.host, first.pid, first.start] if first else [])]
    name = f"{config.run_id}-{fingerprint(origin)[:6]}"
    return WandbRun(id=name, project=config.tracking.project, entity=config.tracking.entity)
