"""What bf16 costs in scores and gains in time on this CPU: the same seeds in both precisions, on real tweets.

Not part of `make bench`, since it trains for minutes: `make bench BENCH=precision`. Needs the folder that
`bench_accuracy` needs.
"""

import argparse
import statistics
import tempfile
from pathlib import Path

from sentiment.config_file import read_yaml, resolve
from sentiment.records import Result
from sentiment.run_dir import Results
from sentiment.training.context import RunContext
from sentiment.training.runs.experiment import run_experiment
from tests.benchmarks.bench_accuracy import REAL_TWEETS, ROOT, combine

SEEDS = 1, 2, 3
# A part of the tweets and of the epochs: differences between precisions show early.
CHANGES = {"data.max_rows": 60_000, "training.epochs": 3, "runtime.device": "cpu"}


def result_of(table: Path, seed: int, precision: str, results: Results) -> Result:
    """Train one run."""
    path = ROOT / "configs" / "runs" / "sentiment140.yaml"
    changes = CHANGES | {"data.source": str(table), "seed": seed, "training.precision": precision}
    config = resolve(read_yaml(path), changes, str(path))
    run_dir = results.run_dir(config.run_id)
    run_experiment(RunContext(config, results, run_dir))
    result = run_dir.read_result()
    assert result is not None
    return result


def main() -> None:
    """Print validation accuracy and seconds for each seed, and the differences."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, default=REAL_TWEETS)
    parser.add_argument("--results", type=Path, help="kept, so that runs that are complete are not trained again")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        table = (options.results or Path(folder)) / "tweets.csv"
        table.parent.mkdir(parents=True, exist_ok=True)
        if not table.exists():
            combine(options.data, table)
        differences, ratios = [], []
        for seed in SEEDS:
            both = [result_of(table, seed, precision, Results(table.parent)) for precision in ("fp32", "bf16")]
            accuracies = [one.metrics["validation"].accuracy for one in both]
            seconds = [one.seconds_per_epoch for one in both]
            differences.append(accuracies[1] - accuracies[0])
            ratios.append(seconds[0] / seconds[1])
            print(
                f"seed {seed}: validation accuracy {accuracies[0]:.4f} in fp32, {accuracies[1]:.4f} in bf16; "
                f"{seconds[0]:.1f} s and {seconds[1]:.1f} s an epoch",
                flush=True,
            )
    spread = statistics.stdev(differences)
    print(f"bf16 - fp32: {statistics.mean(differences):+.4f} on average, standard deviation {spread:.4f}")
    print(f"bf16 is {statistics.median(ratios):.2f} x as fast, with deterministic operations and dropout")


if __name__ == "__main__":
    main()
