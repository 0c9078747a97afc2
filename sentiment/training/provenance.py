"""Provenance of a run: commit, versions, and for each attempt its host, Slurm job and end."""

import os
import socket
import subprocess
import sys
from importlib import metadata
from pathlib import Path

import torch

from sentiment.allocation import slurm_job, slurm_restarts
from sentiment.data.tables.source_hash import source_sha256
from sentiment.records import Attempt, ElmoRecord, Reason, RunRecord, timestamp
from sentiment.training.context import RunContext
from sentiment.training.hardware import Hardware
from sentiment.training.trainer import Trainer

_PACKAGES = ("torch", "numpy", "nltk", "pandas", "scikit-learn")


class AttemptRecord:
    """Keeps `run.json` up to date during an attempt."""

    def __init__(self, run: RunContext, trainer: Trainer, elmo: ElmoRecord | None) -> None:
        """Add an attempt that begins now.

        Args:
            trainer: in the state that the attempt begins with.
        """
        corpus, hardware = trainer.data.corpus, Hardware.of(trainer.device)
        former = run.run_dir.read_record()
        attempt = Attempt(
            host=socket.gethostname(),
            pid=os.getpid(),
            job=slurm_job(),
            restart_count=slurm_restarts(),
            device=hardware.gpu or "cpu",
            processor=hardware.processor,
            cpu_capability=hardware.cpu_capability,
            compute_capability=hardware.compute_capability,
            threads=torch.get_num_threads(),
            first_step=trainer.step,
            start=timestamp(),
        )
        commit, dirty = git_state()
        self._run_dir = run.run_dir
        self._record = RunRecord(
            run_id=run.config.run_id,
            config_fingerprint=run.config.fingerprint(),
            data_fingerprint=corpus.fingerprint,
            dataset=corpus.dataset,
            elmo=elmo,
            pretrained_sha256=pretrained_sha256(run),
            git_commit=commit,
            git_dirty=dirty,
            versions=versions(),
            command=[Path(sys.argv[0]).name, *sys.argv[1:]],
            attempts=[*(former.attempts if former else []), attempt],
            hardware=trainer.hardware,
        )
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


def pretrained_sha256(run: RunContext) -> str | None:
    """The SHA-256 of the file of vectors that a run's embedding starts from; None if it starts from random ones.

    Raises:
        DataError: the file is missing or unreadable.
    """
    path = run.config.embedding.pretrained
    return None if path is None else source_sha256(Path(path), run.results)


def git_state() -> tuple[str | None, bool | None]:
    """The commit of this program, and whether its files differ from it; (None, None) outside of a git checkout."""
    commit = _git("rev-parse", "HEAD")
    if commit is None:
        return None, None
    changes = _git("status", "--porcelain", "--untracked-files=no")
    return commit, None if changes is None else bool(changes)


def versions() -> dict[str, str]:
    """Versions of Python and of the packages that results depend on, by name."""
    return {"python": sys.version.split()[0]} | {name: metadata.version(name) for name in _PACKAGES}


def _git(*arguments: str) -> str | None:
    folder = Path(__file__).resolve().parent
    try:
        done = subprocess.run(  # noqa: S603 - a fixed command
            ["git", "-C", str(folder), *arguments], capture_output=True, text=True, check=True, timeout=10
        )
    except (OSError, subprocess.SubprocessError):
        return None
    return done.stdout.strip()
