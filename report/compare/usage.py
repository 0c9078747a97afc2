"""What runs took: attempts, hours, and work that was lost and redone.

The one place that computes any of it: tables and sentences show what `usage_of` returns.
"""

import itertools
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime

from report.read.load import CompletedRun, Run
from sentiment.runs.records import Attempt, Result, RunRecord


@dataclass(frozen=True)
class Usage:
    """What some runs took together."""

    attempts: int
    signals: int
    """Attempts that a signal ended: preempted or cancelled, with everything saved."""
    deadlines: int
    """Attempts that ended in time before Slurm's limit."""
    requeues: int
    failures: int
    silent: int
    """Attempts without an end: killed, or running at this moment."""
    seconds: float
    """Of all attempts from start to end, preparation included, on whatever device."""
    gpu_hours: float
    cpu_hours: float
    """The same by the device of each attempt."""
    lost_seconds: float
    """Steps that were done twice, since an attempt ended without saving them."""


def usage_of(runs: Iterable[Run | CompletedRun]) -> Usage:
    """What `runs` took together.

    An attempt counts from its start to its end. Where no attempt of a completed run has an end, or all took less than
    the second that the records resolve, the seconds that it trained count instead, on the device of its last attempt.
    """
    written = [(run.record, _result(run)) for run in runs if run.record]
    attempts = [attempt for record, _ in written for attempt in record.attempts]
    reasons = [attempt.reason for attempt in attempts]
    seconds = {"gpu": 0.0, "cpu": 0.0}
    hours = dict(seconds)
    for attempt, duration in (one for record, result in written for one in _durations(record, result)):
        device = "cpu" if attempt.device == "cpu" else "gpu"
        seconds[device] += duration
        hours[device] += duration / 3600
    return Usage(
        attempts=len(attempts),
        signals=reasons.count("signal"),
        deadlines=reasons.count("deadline"),
        requeues=sum(max((one.restart_count for one in record.attempts), default=0) for record, _ in written),
        failures=reasons.count("failed"),
        silent=reasons.count(None),
        seconds=sum(seconds.values()),
        gpu_hours=hours["gpu"],
        cpu_hours=hours["cpu"],
        lost_seconds=sum(_lost_seconds(record, result) for record, result in written if result),
    )


def _result(run: Run | CompletedRun) -> Result | None:
    completed = run.completed if isinstance(run, Run) else run
    return completed.result if completed else None


def _durations(record: RunRecord, result: Result | None) -> list[tuple[Attempt, float]]:
    """Seconds of each attempt that is known to have taken some."""
    found = [
        (attempt, (datetime.fromisoformat(attempt.end) - datetime.fromisoformat(attempt.start)).total_seconds())
        for attempt in record.attempts
        if attempt.end
    ]
    if result and record.attempts and not any(seconds for _, seconds in found):
        return [(record.attempts[-1], result.seconds_trained)]
    return found


def _lost_seconds(record: RunRecord, result: Result) -> float:
    """Steps between the last one of an attempt and the first one of its successor, at the run's mean speed."""
    return _redone_steps(record.attempts) * result.seconds_trained / max(result.steps, 1)


def _redone_steps(attempts: Sequence[Attempt]) -> int:
    pairs = itertools.pairwise(attempts)
    return sum(max(0, former.last_step - later.first_step) for former, later in pairs if former.last_step is not None)
