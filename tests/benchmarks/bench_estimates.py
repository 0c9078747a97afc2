"""What the rule of thumb of `sentiment-jobs submit GRID --dry-run` says, beside what real runs on this CPU take.

Seconds are those of the processor, on one core: what else the machine does changes them little. An epoch's are the
difference between a run of two epochs and one of a single epoch, so that neither loading nor testing counts.
Not part of `make bench`, since it trains for minutes: `make bench BENCH=estimates`. Needs the folder that
`bench_accuracy` needs.
"""

import argparse
import tempfile
import time
from pathlib import Path
from typing import Any

import torch

from jobs.planning.rule_of_thumb import SECONDS_PER_MULTIPLICATION, SECONDS_PER_STEP, epoch_core_seconds, work
from sentiment.config import RunConfig
from sentiment.config_file import resolve
from sentiment.run_dir import Results
from sentiment.training.context import RunContext
from sentiment.training.runs.experiment import run_experiment
from tests.benchmarks.bench_accuracy import REAL_TWEETS

TABLE = "sentiment140_sample.csv.gz"
COMMON = {"data.max_rows": 6_000, "runtime.device": "cpu", "runtime.threads": 1, "training.batch_size": 256}
SIZES: list[dict[str, Any]] = [
    {"model.kind": "feed_forward", "model.hidden_size": 64},
    {"model.hidden_size": 16},
    {"model.hidden_size": 16, "training.batch_size": 32},
    {"model.hidden_size": 64},
    {"model.hidden_size": 64, "training.batch_size": 32},
    {"model.hidden_size": 64, "model.layers": 2, "model.cell": "gru"},
    {"model.hidden_size": 256},
    {"model.hidden_size": 256, "model.bidirectional": False},
]


def processor_seconds(changes: dict[str, Any], results: Results) -> tuple[RunConfig, float, int]:
    """Train a run; its configuration, the seconds, and the number of its training tweets."""
    config = resolve({}, changes, "this benchmark")
    run_dir = results.run_dir(config.run_id)
    before = time.process_time()
    run_experiment(RunContext(config, results, run_dir))
    seconds = time.process_time() - before
    result = run_dir.read_result()
    assert result is not None
    return config, seconds, result.metrics["train"].n


def main() -> None:
    """A line for each size: measured, by the rule, and their ratio."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, default=REAL_TWEETS)
    options = parser.parse_args()
    torch.set_num_threads(1)
    print(
        f"rule: {SECONDS_PER_STEP * 1e3:g} ms a step, {1e-9 / SECONDS_PER_MULTIPLICATION:.3g} billion products a second"
    )
    with tempfile.TemporaryDirectory() as folder:
        common = COMMON | {"data.source": str(options.data / TABLE)}
        processor_seconds(common | {"training.epochs": 1, "seed": 2}, Results(Path(folder)))  # prepares the tweets
        for size in SIZES:
            one = processor_seconds(common | size | {"training.epochs": 1}, Results(Path(folder)))
            config, two, tweets = processor_seconds(common | size | {"training.epochs": 2}, Results(Path(folder)))
            measured, rule = two - one[1], epoch_core_seconds(config, tweets)
            told = ", ".join(f"{name}={value}" for name, value in size.items())
            print(
                f"{measured:7.2f} s an epoch of {tweets:,} tweets, by the rule {rule:7.2f} s, "
                f"ratio {measured / rule:.2f}  ({told}; {work(config):,} products a token)",
                flush=True,
            )


if __name__ == "__main__":
    main()
