"""From what an earlier attempt left behind to a trainer that goes on from there."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, TypeVar

import torch

from sentiment.code_version import describe_other, running_code
from sentiment.errors import CheckpointError
from sentiment.training.context import RunContext
from sentiment.training.device import available_threads, choose_device, make_reproducible
from sentiment.training.hardware import Hardware, tell_other_hardware
from sentiment.training.loop.checkpoint import Checkpoints
from sentiment.training.loop.task import Task
from sentiment.training.loop.trainer import Trainer

T = TypeVar("T", bound=Task)


def resumed_trainer(
    run: RunContext,
    identity: dict[str, str],
    build: Callable[[torch.device, Mapping[str, Any]], T],
    choices: Mapping[str, str | int] | None = None,
) -> Trainer[T]:
    """A trainer in the state of the newest checkpoint, or at the beginning.

    Args:
        identity: what a state must have been made from; its names are used in messages.
        build: makes the task on a device and with the choices, with weights from torch's generator, which is seeded.
        choices: what digits depend on and a new run may choose; one that goes on keeps the choices of its beginning.

    Raises:
        CheckpointError: the state was made from another configuration, from other data or vectors, or by other code.
    """
    config = run.config
    state = _newest_state(run, identity)
    chosen: dict[str, Any] = {"threads": available_threads(config.runtime), **(choices or {})}
    if state:
        chosen = {name: state["identity"][name] for name in chosen}
    device = choose_device(config.runtime.device)
    tell_other_hardware(run, state["hardware"] if state else [], Hardware.of(device).kind)
    make_reproducible(config.runtime, chosen["threads"], config.seed)
    trainer = Trainer(run, build(device, chosen), identity | chosen)
    if state:
        trainer.load_state_dict(state)
        run.console.say(f"goes on after step {trainer.step} in epoch {trainer.epoch + 1}")
    else:
        trainer.begin()
    return trainer


def _newest_state(run: RunContext, identity: dict[str, str]) -> dict[str, Any] | None:
    """The state to resume from, if there is one.

    Args:
        identity: what the state must have been made from; its names are used in messages.

    Raises:
        CheckpointError: it was made from another configuration, from other data or vectors, or by other code.
    """
    folder = run.run_dir.checkpoints
    state, damaged = Checkpoints(folder).newest()
    for message in damaged:
        run.console.say(f"{message}; goes on from {'an older one' if state else 'the beginning'}")
    if state is None:
        return None
    for name, value in identity.items():
        found = state["identity"].get(name, "")
        if name != "code" and found != value:
            raise CheckpointError(
                f"{folder}: the {name} of this run has changed since its last checkpoint "
                f"({found[:8]}, now {value[:8]}); move {run.run_dir.path} away to train anew"
            )
    return state if _suits_code(run, state) else None


def _suits_code(run: RunContext, state: dict[str, Any]) -> bool:
    """Whether to go on from a state with the code that runs now, or else to begin anew.

    Raises:
        CheckpointError: other code has made it, and `runtime.other_code` refuses that.
    """
    made_by, choice = state["identity"]["code"], run.config.runtime.other_code
    if made_by == running_code().training:
        return True
    different = describe_other(run.results, made_by)
    if choice == "refuse":
        raise CheckpointError(
            f"{run.run_dir.path}: step {state['step']} was computed by another version of this program ({different}). "
            "`python FOLDER/sentiment/start_copy.py FOLDER sentiment train ...` runs the code in FOLDER. Or set "
            "runtime.other_code: restart begins the run anew, continue goes on with the code of now, which is recorded "
            "and shown in the report"
        )
    what = (
        f"begins anew, since step {state['step']}" if choice == "restart" else f"goes on, although step {state['step']}"
    )
    run.console.say(f"{what} was computed by another version of this program ({different})")
    if choice == "restart":
        Checkpoints(run.run_dir.checkpoints).delete_all()  # they would be newer than those of the run's new beginning
    return choice == "continue"


def remove_leftovers(folder: Path) -> None:
    """Delete temporary files of killed writers; whoever holds the lock knows that no writer is alive."""
    for path in (*folder.glob(".*.tmp"), *folder.glob("checkpoints/.*.tmp")):
        path.unlink(missing_ok=True)
