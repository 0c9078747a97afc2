"""What W&B adds to a run beside training without it, as seconds and as shares of a run of five minutes.

Run with `python -m tests.benchmarks.bench_tracking`. The same run is trained with tracking disabled and offline, in
turns; a row is logged at every tenth step, five times as often as by default.
"""

import statistics
import tempfile
import time
from pathlib import Path

from sentiment.config_file import resolve
from sentiment.run_dir import Results, RunDir
from sentiment.training.console import Console
from sentiment.training.experiment import run_experiment
from sentiment.training.stop import StopRequest
from sentiment.training.tracking_mirror import mirrored
from tests.benchmarks.bench_data import made_up_tweets, write_source

TWEETS = 5_000
ROUNDS = 3
RUN_SECONDS = 300.0
SETTINGS = {"training.epochs": 3, "training.batch_size": 32, "training.log_every": 10}
MODES = ("disabled", "offline")


def main() -> None:
    """Print all measurements."""
    with tempfile.TemporaryDirectory() as folder:
        source = Path(folder) / "tweets.csv"
        write_source(source, list(made_up_tweets(TWEETS)))
        results = Results(Path(folder) / "results")
        train(results, source, "disabled", "warm-up")
        runs: dict[str, list[RunDir]] = {mode: [] for mode in MODES}
        for number in range(ROUNDS):
            for mode in MODES:
                runs[mode].append(train(results, source, mode, f"{mode}-{number}"))
        steps = {mode: [seconds_per_step(run_dir) for run_dir in runs[mode]] for mode in MODES}
        starts, ends = zip(*(start_and_end(run_dir) for run_dir in runs["disabled"] + runs["offline"]), strict=True)
    for name, values in (("start", starts), ("end", ends)):
        for mode, some in zip(MODES, (values[:ROUNDS], values[ROUNDS:]), strict=True):
            seconds = statistics.median(some)
            print(f"{name}, {mode}: {seconds:.4f} s, {seconds / RUN_SECONDS:.3%} of a run of {RUN_SECONDS:.0f} s")
    disabled, offline = (statistics.median(steps[mode]) for mode in MODES)
    print(
        f"step, disabled {disabled * 1e3:.2f} ms, offline {offline * 1e3:.2f} ms: {offline / disabled - 1:+.1%} "
        f"by the medians of {ROUNDS} runs, {min(steps['offline']) / min(steps['disabled']) - 1:+.1%} by the fastest"
    )


def train(results: Results, source: Path, mode: str, name: str) -> RunDir:
    """A completed run in a grid of its own."""
    config = resolve({}, {**SETTINGS, "data.source": str(source), "tracking.wandb": mode}, "the benchmark")
    run_dir = results.run_dir(config.run_id, name)
    run_experiment(config, results, run_dir, StopRequest(), Console(lambda line: None, lambda what, done, total: None))
    return run_dir


def seconds_per_step(run_dir: RunDir) -> float:
    """Of training, with the evaluation after each epoch."""
    result = run_dir.read_result()
    if result is None:
        raise RuntimeError(f"{run_dir.path}: was not completed")
    return result.seconds_trained / result.steps


def start_and_end(run_dir: RunDir) -> tuple[float, float]:
    """Seconds that training waits before its first step, and after its last."""
    tracking = run_dir.read_config().tracking
    before = len(list(run_dir.wandb_dir.glob("offline-run-*")))
    begin = time.perf_counter()
    with mirrored(run_dir, tracking, print):
        started = time.perf_counter() - begin
        while tracking.wandb != "disabled" and len(list(run_dir.wandb_dir.glob("offline-run-*"))) == before:
            time.sleep(0.05)
        begin = time.perf_counter()
    return started, time.perf_counter() - begin


if __name__ == "__main__":
    main()
