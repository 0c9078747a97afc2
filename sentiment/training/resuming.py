"""From what an earlier attempt left behind to a trainer that goes on from there, and the record of each attempt."""

import contextlib
import os
import socket
import sys
from collections.abc import Callable, Iterator, Mapping
from importlib import metadata
from pathlib import Path
from typing import Any, TypeVar

import torch

from sentiment.console import Say
from sentiment.data.corpus.corpus import Corpus
from sentiment.data.sources import source_sha256
from sentiment.data.word_vectors import pretrained_file, vectors_fingerprint
from sentiment.errors import CheckpointError, MemoryExhaustedError, RunDirError, TakenOverError
from sentiment.processes import slurm_job, slurm_restarts
from sentiment.runs.code_version import describe_other, environment_hash, running_code
from sentiment.runs.records import Attempt, ElmoRecord, Reason, RunRecord, timestamp
from sentiment.training.checkpoint import Checkpoints
from sentiment.training.context import RunContext
from sentiment.training.device import Hardware, available_threads, choose_device, make_reproducible, tell_other_hardware
from sentiment.training.trainer import Task, Trainer

_PACKAGES = ("torch", "numpy", "nltk", "pandas", "scikit-learn")


class AttemptRecord:
    """Keeps `run.json` up to date during an attempt."""

    def __init__(self, run: RunContext, trainer: Trainer[Any], corpus: Corpus, elmo: ElmoRecord | None = None) -> None:
        """Add an attempt that begins now.

        Args:
            trainer: in the state that the attempt begins with.
            corpus: whose tweets are read.
            elmo: the model whose vectors are read.

        Raises:
            RunDirError: the record of earlier attempts cannot be read.
        """
        hardware = Hardware.of(trainer.device)
        former, code = _read_former(run), running_code()
        if former:
            _tell_changes(former.versions, run.console.say)
        attempt = Attempt(
            host=socket.gethostname(),
            pid=os.getpid(),
            job=slurm_job(),
            restart_count=slurm_restarts(),
            code=code.training,
            git_commit=code.git_commit,
            git_dirty=code.git_dirty,
            environment=environment_hash(),
            device=hardware.gpu or "cpu",
            processor=hardware.processor,
            cpu_capability=hardware.cpu_capability,
            compute_capability=hardware.compute_capability,
            threads=torch.get_num_threads(),
            first_step=trainer.step,
            start=timestamp(),
        )
        self._run_dir = run.run_dir
        self._record = RunRecord(
            run_id=run.config.run_id,
            config_fingerprint=run.config.fingerprint(),
            data_fingerprint=corpus.fingerprint,
            dataset=corpus.dataset,
            elmo=elmo,
            pretrained_sha256=pretrained_sha256(run),
            vectors_fingerprint=vectors_fingerprint(run.config, run.results),
            git_commit=code.git_commit,
            git_dirty=code.git_dirty,
            versions=versions(),
            command=[Path(sys.argv[0]).name, *sys.argv[1:]],
            attempts=[*(former.attempts if former else []), attempt],
            hardware=trainer.hardware,
        )
        self._run_dir.write_record(self._record)

    def add_vocabulary(self, sha256: str) -> None:
        """Record the checksum of the vocabulary, which it has to fit when the weights are used."""
        self._record = self._record.model_copy(update={"vocabulary_sha256": sha256})
        self._run_dir.write_record(self._record)

    def end(self, reason: Reason, last_step: int, detail: str | None = None) -> None:
        """Record how the attempt ended.

        Args:
            last_step: optimiser steps that are done and saved.
            detail: see `Attempt.detail`.
        """
        update = {"end": timestamp(), "reason": reason, "last_step": last_step, "detail": detail}
        attempts = [*self._record.attempts[:-1], self._record.attempts[-1].model_copy(update=update)]
        self._run_dir.write_record(self._record.model_copy(update={"attempts": attempts}))


@contextlib.contextmanager
def failure_recorded(attempt: AttemptRecord, trainer: Trainer[Any]) -> Iterator[None]:
    """An error in the context is recorded as the end of the attempt, and raised again."""
    try:
        yield
    except TakenOverError:
        raise  # the attempts are no longer this process's to write
    except torch.OutOfMemoryError as error:
        smaller = f"a smaller {trainer.task.section}.batch_size or model may fit"
        message = f"the GPU's memory is full at step {trainer.step}; {smaller}"
        attempt.end("failed", trainer.step, message)
        raise MemoryExhaustedError(message) from error
    except Exception as error:
        with contextlib.suppress(OSError):  # fails as well on a full disk; the error itself says more
            attempt.end("failed", trainer.step, f"{type(error).__name__}: {error}")
        raise


def pretrained_sha256(run: RunContext) -> str | None:
    """The SHA-256 of the file of vectors that a run's embedding starts from; None if it starts from random ones.

    Raises:
        DataError: the file is missing or unreadable.
    """
    path = pretrained_file(run.config, run.results)
    return None if path is None else source_sha256(path)


def versions() -> dict[str, str]:
    """Versions of Python and of the packages that results depend on, by name."""
    return {"python": sys.version.split()[0]} | {name: metadata.version(name) for name in _PACKAGES}


def _read_former(run: RunContext) -> RunRecord | None:
    try:
        return run.run_dir.read_record()
    except RunDirError as error:
        raise RunDirError(f"{error}; delete it, and the run goes on without the list of its earlier attempts") from None


def _tell_changes(former: dict[str, str], say: Say) -> None:
    """Say which packages have another version than in the attempt before."""
    for name, version in versions().items():
        if former.get(name, version) != version:
            say(f"{name} was {former[name]} in this run's last attempt and is {version} now: numbers may differ")


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
