"""Compute time of runs, in CPU and GPU seconds, with the share of their encoder."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from report.evaluated import CompletedRun
from report.read import Run
from sentiment.runs.records import CacheRecord, ComputeTime, Result, RunRecord


class Seconds(NamedTuple):
    """Compute time; ordered by GPU time first, which is the scarcer one."""

    gpu: float
    cpu: float

    @property
    def in_words(self) -> str:
        """Hours of the GPU, or of the CPU if no GPU was held."""
        return f"{(self.gpu or self.cpu) / 3600:,.2f} {'GPU' if self.gpu else 'CPU'}-hours"


@dataclass(frozen=True)
class Usage:
    """Compute time of all attempts of some runs.

    Attributes:
        training: of all attempts but those whose process was killed, whose time is unknown: a lower bound then.
        unknown: how many attempts these are.
        encoding: of the encoder vectors that the runs read, computed once for all runs that read them.
    """

    attempts: int
    training: Seconds
    encoding: Seconds
    unknown: int = 0

    def total(self, factor: float = 1) -> Seconds:
        """The total if `factor` times as much had been trained; encoder vectors are computed once all the same."""
        gpu = factor * self.training.gpu + self.encoding.gpu
        cpu = factor * self.training.cpu + self.encoding.cpu
        return Seconds(gpu, cpu)


def usage_of(runs: Iterable[Run | CompletedRun]) -> Usage:
    """The compute time of `runs` together; a run of which several grids have a copy counts once."""
    attempts = 0
    unknown = 0
    training: list[ComputeTime] = []
    caches: dict[str, CacheRecord] = {}
    known = {(run.record.run_id, run.record.attempts[0].start): (run.record, run.result) for run in runs if run.record}
    for record, result in known.values():
        attempts += len(record.attempts)
        unknown += sum(attempt.compute_time is None for attempt in record.attempts)
        training += _training_times(record, result)
        cache = record.encoder.cache if record.encoder else None
        # The cache may have grown since earlier runs, so that its last state counts.
        if cache and (cache.folder not in caches or cache.cpu_seconds > caches[cache.folder].cpu_seconds):
            caches[cache.folder] = cache
    return Usage(attempts, _sum(training), _sum([*caches.values()]), unknown)


def _training_times(record: RunRecord, result: Result | None) -> list[ComputeTime]:
    """The known times of attempts; if none is known, the seconds that a completed run trained."""
    times = [attempt.compute_time for attempt in record.attempts if attempt.compute_time]
    if times or result is None:
        return times
    is_cpu = record.attempts[-1].device == "cpu"
    seconds = result.seconds_trained
    return [ComputeTime(cpu_seconds=seconds, gpu_seconds=0.0 if is_cpu else seconds)]


def _sum(times: Sequence[ComputeTime]) -> Seconds:
    return Seconds(sum(time.gpu_seconds for time in times), sum(time.cpu_seconds for time in times))
