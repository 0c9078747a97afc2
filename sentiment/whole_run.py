"""A run directory read as a whole: its files are all there, are valid, and belong to one run.

Each file by itself may be in order and yet be that of another run, copied or renamed by hand. What the program says of
a run must not mix two of them, so `status`, the report, `predict` and `evaluate` read the records of a run here.
"""

from dataclasses import dataclass
from pathlib import Path

from sentiment.config import RunConfig
from sentiment.errors import RunDirError, UsageError
from sentiment.files import sha256_of
from sentiment.records import Result, RunRecord
from sentiment.run_dir import RunDir

_ANEW = "move the directory away to train the run anew"


@dataclass(frozen=True)
class WholeRun:
    """The configuration and records of one run."""

    config: RunConfig
    record: RunRecord | None
    """None before the first attempt."""
    result: Result | None
    """None unless the run is completed."""


def trained_run(path: Path) -> RunDir:
    """The directory of a run that has begun.

    Raises:
        UsageError: it is none; says what is there instead.
    """
    run_dir = RunDir(path)
    if run_dir.config_file.exists():
        return run_dir
    if not path.exists():
        raise UsageError(f"{path}: no such directory; `train` prints a run's directory, as results/runs/single/RUN_ID")
    runs = sorted(file.parent.name for file in path.glob("*/config.json")) if path.is_dir() else []
    hint = f"; its runs are: {', '.join(runs[:5])}{' ...' if len(runs) > 5 else ''}" if runs else ""
    raise UsageError(f"{path}: is not a run's directory{hint or '; `train` prints it, such as results/runs/single/…'}")


def read_whole(run_dir: RunDir) -> WholeRun:
    """Read and compare the records of a run.

    Raises:
        RunDirError: one cannot be read or is missing, or they are those of different runs.
    """
    if not run_dir.config_file.exists():
        raise RunDirError(f"{run_dir.path}: holds no {run_dir.config_file.name}")
    run = WholeRun(run_dir.read_config(), run_dir.read_record(), run_dir.read_result())
    refuse_mixed(run_dir, run)
    return run


def refuse_mixed(run_dir: RunDir, run: WholeRun) -> None:
    """Compare the records of a run that are read already.

    Raises:
        RunDirError: one is missing, or they are those of different runs.
    """
    if run.record is None:
        if run.result:
            raise RunDirError(f"{run_dir.path}: is completed, but {run_dir.record_file.name} is missing; {_ANEW}")
        if run_dir.vocabulary_file.exists():  # which is written after it
            raise RunDirError(
                f"{run_dir.record_file}: is missing; `train` goes on from the checkpoints and writes it anew"
            )
        return
    if run.record.config_fingerprint != run.config.fingerprint():
        raise RunDirError(f"{run_dir.path}: config.json is not that of run {run.record.run_id} in run.json; {_ANEW}")
    if run.result and run.result.run_id != run.record.run_id:
        raise RunDirError(f"{run_dir.path}: result.json is that of run {run.result.run_id}, not of {run.record.run_id}")


def check_file(path: Path, result: Result | None) -> None:
    """Check that a file is the one that a result names.

    Raises:
        RunDirError: it is missing, cannot be read, or is another one.
    """
    known = result.files_sha256.get(path.name) if result else None
    if known is not None and _sha256(path) != known:
        raise RunDirError(f"{path}: is not the file that belongs to this result (its SHA-256 differs); {_ANEW}")


def check_vocabulary(run_dir: RunDir, record: RunRecord | None) -> None:
    """The same for the vocabulary of a run that need not be completed.

    Raises:
        RunDirError: likewise.
    """
    path = run_dir.vocabulary_file
    if record and record.vocabulary_sha256 is not None and _sha256(path) != record.vocabulary_sha256:
        raise RunDirError(f"{path}: is not the vocabulary that the run was trained with (its SHA-256 differs); {_ANEW}")


def missing_files(run_dir: RunDir) -> list[str]:
    """Names of the files that a completed run should have and has not."""
    trained = (run_dir.best_weights, run_dir.last_weights, run_dir.vocabulary_file, run_dir.metrics_file)
    wanted = () if run_dir.read_config().combination else trained  # whose members have them
    return [path.name for path in (*wanted, run_dir.predictions_file) if not path.exists()]


def refuse_incomplete(run_dir: RunDir) -> None:
    """Say of a completed run that files are missing, and how that is mended.

    Raises:
        RunDirError: files are missing.
    """
    if missing := missing_files(run_dir):
        raise RunDirError(f"{run_dir.path}: is completed, but lacks {', '.join(missing)}; bring them back, or {_ANEW}")


def _sha256(path: Path) -> str:
    try:
        return sha256_of(path)
    except OSError as error:
        raise RunDirError(f"{path}: cannot be read: {error}") from None
