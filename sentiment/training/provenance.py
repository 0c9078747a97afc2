"""`run.json`: what an attempt computes with, and how it ended."""

import contextlib
import os
import socket
import sys
from collections.abc import Callable
from importlib import metadata
from pathlib import Path
from typing import Any

import torch

from sentiment.data.corpus import Corpus
from sentiment.data.sources import source_sha256
from sentiment.data.word_vectors import pretrained_file, vectors_fingerprint
from sentiment.errors import MemoryExhaustedError, RunDirError, TakenOverError
from sentiment.processes import slurm_job, slurm_restarts
from sentiment.runs.code_version import environment_hash, running_code
from sentiment.runs.records import Attempt, ElmoRecord, Reason, RunRecord, timestamp
from sentiment.training.context import RunContext
from sentiment.training.stop import Stop
from sentiment.training.trainer import Trainer

_PACKAGES = ("torch", "numpy", "nltk", "pandas", "scikit-learn")


def begin_attempt(run: RunContext, trainer: Trainer[Any], corpus: Corpus, elmo: ElmoRecord | None = None) -> RunRecord:
    """Record an attempt that begins now, behind those before.

    Args:
        trainer: in the state that the attempt begins with.
        corpus: whose tweets are read.
        elmo: the model whose vectors are read.

    Raises:
        RunDirError: the record of earlier attempts cannot be read.
    """
    try:
        former = run.run_dir.read_record()
    except RunDirError as error:
        raise RunDirError(f"{error}; delete it, and the run goes on without the list of its earlier attempts") from None
    code, versions = running_code(), _versions()
    for name, version in former.versions.items() if former else ():
        if versions.get(name, version) != version:
            run.console.say(f"{name} was {version} in the last attempt and is {versions[name]} now: numbers may differ")
    record = RunRecord(
        run_id=run.config.run_id,
        config_fingerprint=run.config.fingerprint(),
        data_fingerprint=corpus.fingerprint,
        dataset=corpus.dataset,
        elmo=elmo,
        pretrained_sha256=pretrained_sha256(run),
        vectors_fingerprint=vectors_fingerprint(run.config, run.results),
        git_commit=code.git_commit,
        git_dirty=code.git_dirty,
        versions=versions,
        command=[Path(sys.argv[0]).name, *sys.argv[1:]],
        attempts=[*(former.attempts if former else []), _this_attempt(trainer)],
        hardware=trainer.hardware,
    )
    run.run_dir.write_record(record)
    return record


def _versions() -> dict[str, str]:
    """Of Python and of the packages that results depend on, by name."""
    return {"python": sys.version.split()[0]} | {name: metadata.version(name) for name in _PACKAGES}


def _this_attempt(trainer: Trainer[Any]) -> Attempt:
    code = running_code()
    return Attempt(
        host=socket.gethostname(),
        pid=os.getpid(),
        job=slurm_job(),
        restart_count=slurm_restarts(),
        code=code.training,
        git_commit=code.git_commit,
        git_dirty=code.git_dirty,
        environment=environment_hash(),
        device=torch.cuda.get_device_name(trainer.device) if trainer.device.type == "cuda" else "cpu",
        threads=torch.get_num_threads(),
        first_step=trainer.step,
        start=timestamp(),
    )


def finish_attempt(
    run: RunContext, record: RunRecord, trainer: Trainer[Any], work: Callable[[], Stop | None]
) -> Stop | None:
    """Do the work of an attempt and record how it ended.

    Args:
        record: from `begin_attempt`.

    Raises:
        MemoryExhaustedError: the GPU's memory is full.
        Exception: whatever `work` raises.
    """

    def end(reason: Reason, detail: str | None) -> None:
        update = {"end": timestamp(), "reason": reason, "last_step": trainer.step, "detail": detail}
        attempts = [*record.attempts[:-1], record.attempts[-1].model_copy(update=update)]
        run.run_dir.write_record(record.model_copy(update={"attempts": attempts}))

    try:
        stop = work()
    except TakenOverError:
        raise  # the attempts are no longer this process's to write
    except torch.OutOfMemoryError as error:
        smaller = f"a smaller {trainer.task.section}.batch_size or model may fit"
        message = f"the GPU's memory is full at step {trainer.step}; {smaller}"
        end("failed", message)
        raise MemoryExhaustedError(message) from error
    except Exception as error:
        with contextlib.suppress(OSError):  # fails as well on a full disk; the error itself says more
            end("failed", f"{type(error).__name__}: {error}")
        raise
    end(stop.reason if stop else "completed", stop.detail if stop else None)
    return stop


def pretrained_sha256(run: RunContext) -> str | None:
    """The SHA-256 of the file of vectors that a run's embedding starts from; None if it starts from random ones.

    Raises:
        DataError: the file is missing or unreadable.
    """
    path = pretrained_file(run.config, run.results)
    return None if path is None else source_sha256(path)
