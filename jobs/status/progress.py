"""How far a run is, from the few small files that say so; cheap enough for ten thousand runs."""

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic_core import from_json

from sentiment.errors import RunDirError
from sentiment.lock import seems_held
from sentiment.records import Attempt, Failure, GridPlan
from sentiment.run_dir import RunDir

# Enough for the rows of several epochs.
_TAIL_BYTES = 1 << 16


@dataclass(frozen=True)
class Progress:
    """What a run's directory says; all defaults where there is none."""

    completed: bool = False
    attempts: int = 0
    last_attempt: Attempt | None = None
    failure: Failure | None = None
    epoch: int | None = None
    """Epochs completed."""
    step: int | None = None
    score: float | None = None
    """By the grid's metric: of the best epoch once completed, else the best so far."""
    seen: float | None = None
    """The last sign of life, in seconds since 1970."""
    locked: bool = False
    """Whether a process that gives signs of life works in it."""
    damage: str | None = None
    """What could not be read, if anything."""


def read_progress(run_dir: RunDir, plan: GridPlan) -> Progress:
    """Read a run's directory; what is damaged is told, not raised."""
    try:
        record = run_dir.read_record()
        attempts = record.attempts if record else []
        result = run_dir.read_result()
        failure = None if result else run_dir.read_failure()
    except RunDirError as error:
        return Progress(damage=" ".join(str(error).split()))
    last = attempts[-1] if attempts else None
    if result:
        score = _score(plan, {part: metrics.model_dump() for part, metrics in result.metrics.items()})
        return Progress(True, len(attempts), last, epoch=result.epochs, step=result.steps, score=score)
    seen, locked = _sign_of_life(run_dir)
    epochs, last_row = _last_rows(run_dir.metrics_file)
    return Progress(
        attempts=len(attempts),
        last_attempt=last,
        failure=failure,
        epoch=epochs[-1]["epoch"] if epochs else None,
        step=last_row["step"] if last_row else None,
        score=_best(plan, [score for row in epochs if (score := _score(plan, row)) is not None]),
        seen=seen,
        locked=locked,
    )


def _score(plan: GridPlan, row: dict[str, Any]) -> float | None:
    part, _, name = plan.metric.partition("/")
    value = row.get(part, {}).get(name)
    return float(value) if value is not None else None


def _best(plan: GridPlan, scores: list[float]) -> float | None:
    choose = min if plan.goal == "minimize" else max
    return choose(scores, default=None)


def _sign_of_life(run_dir: RunDir) -> tuple[float | None, bool]:
    """When anything was last written, and whether the lock's owner lives."""
    lock_file = run_dir.lock_file
    lock, metrics = _stat(lock_file), _stat(run_dir.metrics_file)
    seen = max((stat.st_mtime for stat in (lock, metrics) if stat), default=None)
    return seen, bool(lock and lock.st_size) and seems_held(lock_file)  # who ends in good order leaves it empty


def _stat(path: Path) -> os.stat_result | None:
    try:
        return path.stat()
    except OSError:
        return None


def _last_rows(path: Path) -> tuple[list[dict[str, Any]], dict[str, Any] | None]:
    """The last epochs' rows, and the last of all rows; a line that is still being written is left out."""
    try:
        with open(path, "rb") as file:
            size = file.seek(0, os.SEEK_END)
            file.seek(max(size - _TAIL_BYTES, 0))
            lines = file.read().split(b"\n")[:-1]
    except OSError:
        return [], None
    whole = lines[1:] if size > _TAIL_BYTES else lines
    epochs = [from_json(line) for line in whole if b'"kind": "epoch"' in line]
    return epochs, from_json(whole[-1]) if whole else None
