"""Learning curves as runs log them."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from report.read.load import CompletedRun
from sentiment.errors import RunDirError
from sentiment.runs.run_dir import check_file, check_log_row

_PARTS = ("train", "validation")
_METRICS = ("loss", "accuracy", "precision", "recall", "f1")


@dataclass(frozen=True)
class LearningCurve:
    """The metrics of a run on training and validation tweets after each epoch."""

    run: CompletedRun
    epochs: Sequence[dict[str, Any]]
    """Rows of the metric log, each with `epoch`, and with loss, accuracy, precision, recall and F1 of either part."""

    def values(self, part: str, metric: str) -> list[float]:
        """One metric of one part, epoch by epoch."""
        return [float(row[part][metric]) for row in self.epochs]


def read_curve(run: CompletedRun) -> LearningCurve:
    """The rows of a run's epochs.

    Raises:
        RunDirError: the metric log cannot be read, is damaged, or holds no epoch.
    """
    path = run.run_dir.metrics_file
    check_file(path, run.result)
    try:
        rows = [check_log_row(row) for row in run.run_dir.read_metrics()]
        curve = LearningCurve(run, [row for row in rows if row.get("kind") == "epoch"])
        _ = [row[part][name] for row in curve.epochs for part in _PARTS for name in _METRICS]
    except (ValueError, KeyError) as error:
        raise RunDirError(f"{path}: is damaged: {error}") from None
    if not curve.epochs:
        raise RunDirError(f"{path}: holds no epoch")
    return curve
