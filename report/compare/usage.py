"""What runs took: attempts and hours. The one place that computes any of it."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime

from report.read import CompletedRun, Run
from sentiment.runs.records import Attempt, Result, RunRecord


@dataclass(frozen=True)
class Usage:
    """What some runs took together.

    Attributes:
        stopped: attempts that ended in time with everything saved: preempted, cancelled, or before Slurm's limit.
        failures: attempts that failed.
        silent: attempts without an end: killed, or running at this moment.
        seconds: of all attempts from start to end, preparation included, on whatever device.
        gpu_hours: the same on GPUs.
        cpu_hours: the same on CPUs.
    """

    attempts: int
    stopped: int
    failures: int
    silent: int
    seconds: float
    gpu_hours: float
    cpu_hours: float


def usage_of(runs: Iterable[Run | CompletedRun]) -> Usage:
    """What `runs` took together.

    An attempt counts from its start to its end. Where no attempt of a completed run has an end, or all took less than
    the second that the records resolve, the seconds that it trained count instead, on the device of its last attempt.
    """
    written = [(run.record, run.result) for run in runs if run.record]
    reasons = [attempt.reason for record, _ in written for attempt in record.attempts]
    seconds = {"gpu": 0.0, "cpu": 0.0}
    for attempt, duration in (one for record, result in written for one in _durations(record, result)):
        seconds["cpu" if attempt.device == "cpu" else "gpu"] += duration
    return Usage(
        attempts=len(reasons),
        stopped=reasons.count("signal") + reasons.count("deadline"),
        failures=reasons.count("failed"),
        silent=reasons.count(None),
        seconds=sum(seconds.values()),
        gpu_hours=seconds["gpu"] / 3600,
        cpu_hours=seconds["cpu"] / 3600,
    )


def _durations(record: RunRecord, result: Result | None) -> list[tuple[Attempt, float]]:
    found = [
        (attempt, (datetime.fromisoformat(attempt.end) - datetime.fromisoformat(attempt.start)).total_seconds())
        for attempt in record.attempts
        if attempt.end
    ]
    if result and record.attempts and not any(seconds for _, seconds in found):
        return [(record.attempts[-1], result.seconds_trained)]
    return found
