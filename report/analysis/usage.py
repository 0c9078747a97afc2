"""What runs took: attempts, hours, work that was lost and redone, and an estimate of the energy."""

import itertools
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from report.read.load import Run, attempt_seconds
from sentiment.records import Attempt

# Rated power of boards in watts, by what the device's name contains; of a CPU by thread.
_WATTS = {"H200": 700, "H100": 700, "A100": 400, "V100": 300, "P100": 250, "L40": 300, "L4": 72, "A10": 150, "T4": 70}
_OTHER_GPU, _CPU_THREAD = 300, 10
METHOD = (
    f"hours times the rated power of the GPU's board ({_OTHER_GPU} W where the model is not known) or {_CPU_THREAD} W "
    "for each CPU thread, without cooling: an upper bound for boards that are not always busy"
)


@dataclass(frozen=True)
class Usage:
    """Of some runs together."""

    attempts: int
    signals: int
    """Ended by a signal: preempted or cancelled, with everything saved."""
    deadlines: int
    """Ended in time before Slurm's limit."""
    requeues: int
    failures: int
    silent: int
    """Attempts without an end: killed, or running at this moment."""
    gpu_hours: float
    cpu_hours: float
    lost_seconds: float
    """Steps that were done twice, since an attempt ended without saving them."""
    kilowatt_hours: float


def usage_of(runs: Iterable[Run]) -> Usage:
    """Added up over all attempts that wrote down their end."""
    with_record = [run for run in runs if run.record]
    attempts = [attempt for run in with_record if run.record for attempt in run.record.attempts]
    hours = {"gpu": 0.0, "cpu": 0.0}
    energy = 0.0
    for run in with_record:
        record = run.record
        ended = [attempt for attempt in record.attempts if attempt.end] if record else []
        for attempt, seconds in zip(ended, attempt_seconds(record) if record else [], strict=True):
            hours["cpu" if attempt.device == "cpu" else "gpu"] += seconds / 3600
            energy += seconds / 3600 * _watts(attempt) / 1000
    reasons = [attempt.reason for attempt in attempts]
    return Usage(
        attempts=len(attempts),
        signals=reasons.count("signal"),
        deadlines=reasons.count("deadline"),
        requeues=sum(
            max((one.restart_count for one in run.record.attempts), default=0) for run in with_record if run.record
        ),
        failures=reasons.count("failed"),
        silent=reasons.count(None),
        gpu_hours=hours["gpu"],
        cpu_hours=hours["cpu"],
        lost_seconds=sum(_lost_seconds(run) for run in with_record),
        kilowatt_hours=energy,
    )


def _lost_seconds(run: Run) -> float:
    """Of a completed run: steps between an attempt's last and its successor's first, at the run's mean speed."""
    if run.completed is None:
        return 0.0
    result = run.completed.result
    redone = _redone_steps(run.completed.record.attempts)
    return redone * result.seconds_trained / max(result.steps, 1)


def _redone_steps(attempts: Sequence[Attempt]) -> int:
    pairs = itertools.pairwise(attempts)
    return sum(max(0, former.last_step - later.first_step) for former, later in pairs if former.last_step is not None)


def _watts(attempt: Attempt) -> float:
    if attempt.device == "cpu":
        return float(_CPU_THREAD * attempt.threads)
    return float(next((watts for name, watts in _WATTS.items() if name in attempt.device), _OTHER_GPU))
