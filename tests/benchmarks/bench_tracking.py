"""The time that W&B adds to a run, in seconds and as a share of a run of five minutes.

Run with `python -m tests.benchmarks.bench_tracking`. The same run is trained with tracking disabled and offline, in
turns, for a short time and for a longer one; both include the start of W&B's processes beside the first steps. A row is
logged every ten steps, five times as often as by default. How much training slows down can be measured on an idle
machine only, the processor time of W&B's processes on any.
"""

import ctypes
import os
import resource
import statistics
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

from sentiment.config_file import resolve
from sentiment.runs.run_dir import Results
from sentiment.training.context import RunContext
from sentiment.training.experiment import run_experiment
from tests.benchmarks.bench_data import made_up_tweets, write_source

TWEETS = 5_000
ROUNDS = 5
RUN_SECONDS = 300.0
SETTINGS = {"training.batch_size": 32, "training.log_every": 10, "training.early_stopping.patience": None}
SHORT, LONG = 2, 12  # epochs
MODES = ("disabled", "offline")

# PR_SET_CHILD_SUBREAPER: orphaned descendants become children of this process, which can then wait for them.
_ADOPT_ORPHANS = 36


def main() -> None:
    """Print all measurements."""
    ctypes.CDLL(None).prctl(_ADOPT_ORPHANS, 1, 0, 0, 0)
    with tempfile.TemporaryDirectory() as folder:
        source = Path(folder) / "tweets.csv"
        write_source(source, list(made_up_tweets(TWEETS)))
        results = Results(Path(folder) / "results")
        train(results, source, "disabled", SHORT, "warm-up")
        kinds = [(mode, epochs) for mode in MODES for epochs in (SHORT, LONG)]
        measured: dict[tuple[str, int], list[Cost]] = {kind: [] for kind in kinds}
        for number in range(ROUNDS):
            for mode, epochs in kinds:
                measured[mode, epochs].append(train(results, source, mode, epochs, f"{mode}-{epochs}-{number}"))
    for epochs in (SHORT, LONG):
        disabled, offline = measured["disabled", epochs], measured["offline", epochs]
        print(f"{offline[0].rows} rows:")
        for name, what in (("run", "the whole run"), ("training", "training alone")):
            without, beside = ([getattr(cost, name) for cost in costs] for costs in (disabled, offline))
            lost = statistics.median(beside) - statistics.median(without)
            print(f"  {what}: {spread(without)}, offline {spread(beside)}: {lost:+.2f} s, {share(lost)}")
        used = statistics.median(cost.processor for cost in offline)
        print(f"  W&B's processes: {used:.1f} s of processor time, {share(used)}")
    without, beside = (
        statistics.median(cost.training for cost in measured[mode, LONG])
        - statistics.median(cost.training for cost in measured[mode, SHORT])
        for mode in MODES
    )
    print(f"the steps that only the longer run has: {without:.2f} s, offline {beside / without - 1:+.1%}")


@dataclass(frozen=True)
class Cost:
    """What one run took, in seconds."""

    run: float
    training: float
    """Including the evaluation after each epoch."""
    processor: float
    """Processor time of the processes beside it."""
    rows: int


def share(seconds: float) -> str:
    """Seconds as a share of a usual run."""
    return f"{seconds / RUN_SECONDS:.2%} of a run of {RUN_SECONDS:.0f} s"


def spread(values: list[float]) -> str:
    """The median, and the range."""
    return f"{statistics.median(values):.2f} s ({min(values):.2f} to {max(values):.2f})"


def train(results: Results, source: Path, mode: str, epochs: int, name: str) -> Cost:
    """Train a run in a grid of its own."""
    changes = {"data.source": str(source), "tracking.wandb": mode, "training.epochs": epochs}
    config = resolve({}, SETTINGS | changes, "the benchmark")
    run_dir = results.run_dir(config.run_id, name)
    processor, begin = processor_seconds_of_children(), time.perf_counter()
    run_experiment(RunContext(config, results, run_dir))
    seconds = time.perf_counter() - begin
    result = run_dir.read_result()
    if result is None:
        raise RuntimeError(f"{run_dir.path}: was not completed")
    processor = processor_seconds_of_children() - processor
    return Cost(seconds, result.seconds_trained, processor, len(run_dir.read_metrics()))


def processor_seconds_of_children() -> float:
    """Wait for all children to end, and return the processor time that they have used so far."""
    try:
        while True:
            os.wait()
    except ChildProcessError:
        pass
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


if __name__ == "__main__":
    main()
