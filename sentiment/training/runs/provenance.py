"""Provenance of a run: code, versions, and for each attempt its host, Slurm job and end."""

import contextlib
import os
import socket
import sys
from collections.abc import Iterator
from importlib import metadata
from pathlib import Path
from typing import Any

import torch

from sentiment.allocation import slurm_job, slurm_restarts
from sentiment.code_version import environment_hash, running_code
from sentiment.console import Say
from sentiment.data.corpus.corpus import Corpus
from sentiment.data.tables.source_hash import source_sha256
from sentiment.data.word_vectors.store import pretrained_file, vectors_fingerprint
from sentiment.errors import MemoryExhaustedError, RunDirError, TakenOverError
from sentiment.records import Attempt, ElmoRecord, Reason, RunRecord, timestamp
from sentiment.training.context import RunContext
from sentiment.training.hardware import Hardware
from sentiment.training.loop.trainer import Trainer

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
