"""Whether a run is copied to Weights & Biases, and to which run there."""

import os
from typing import Any

from sentiment.allocation import in_slurm
from sentiment.config import RunConfig, TrackingConfig
from sentiment.files import fingerprint
from sentiment.records import WandbRun
from sentiment.run_dir import RunDir


def wandb_mode(config: TrackingConfig) -> str:
    """`offline`, `online` or `disabled`; who is started by W&B's agent is expected there."""
    if config.wandb != "auto":
        return config.wandb
    if in_sweep():
        return "online"
    return "offline" if in_slurm() else "disabled"


def in_sweep() -> bool:
    """Whether W&B's agent started this process, for a run that it has named already."""
    return bool(os.environ.get("WANDB_SWEEP_ID") and os.environ.get("WANDB_RUN_ID"))


def identity_of(run_dir: RunDir) -> WandbRun:
    """The run at W&B: what W&B's agent says, else what was decided in an earlier attempt, else a name for ever.

    The name tells runs of other grids apart, and those of other people or of a directory that was moved away: the hash
    is of the first attempt, too.

    Raises:
        RunDirError: the run directory cannot be read.
    """
    known = run_dir.read_wandb()
    if in_sweep():
        of_agent = WandbRun(
            id=os.environ["WANDB_RUN_ID"],
            project=os.environ.get("WANDB_PROJECT"),
            entity=os.environ.get("WANDB_ENTITY"),
        )
        return known if known and known.id == of_agent.id else of_agent
    if known:
        return known
    config, record = run_dir.read_config(), run_dir.read_record()
    first = record.attempts[0] if record else None
    life = [run_dir.grid, config.run_id, *([first.host, first.pid, first.start] if first else [])]
    return WandbRun(id=_name(config, life), project=config.tracking.project, entity=config.tracking.entity)


def successor_of(identity: WandbRun, config: RunConfig) -> WandbRun:
    """The run at W&B that takes the place of one that is deleted, whose name W&B gives to no other for a week."""
    return identity.model_copy(update={"id": _name(config, [identity.id]), "confirmed_rows": 0})


def _name(config: RunConfig, life: list[Any]) -> str:
    return f"{config.run_id}-{fingerprint(life)[:6]}"
