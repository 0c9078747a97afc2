"""The fraction of training time that checkpoints take at the default interval, as runs record it."""

import argparse
import tempfile
from pathlib import Path

from sentiment.config_file import resolve
from sentiment.runs.run_dir import Results
from sentiment.training.experiment import run_experiment
from sentiment.training.stop import RunContext
from tests.benchmarks.bench_data import made_up_tweets, write_source
from tests.benchmarks.timing import announce

SETTINGS = {
    "training.epochs": 5,
    "training.early_stopping.patience": None,
}


def main() -> None:
    """Train a BiLSTM-64 with a vocabulary of realistic size and print the cost of saving."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--tweets", type=int, default=40_000)
    count = parser.parse_args().tweets
    announce(f"checkpoints, {count:,} made-up tweets, five epochs")
    with tempfile.TemporaryDirectory() as folder:
        source = Path(folder) / "tweets.csv"
        write_source(source, list(made_up_tweets(count)))
        results = Results(Path(folder) / "results")
        config = resolve({}, SETTINGS | {"data.source": str(source)}, "the benchmark")
        run_dir = results.run_dir(config.run_id)
        run_experiment(RunContext(config, results, run_dir))
        result = run_dir.read_result()
        if result is None:
            raise RuntimeError("the run was not completed")
        saves = [row["seconds"] for row in run_dir.read_timings() if row["kind"] == "save"]
    share = result.checkpoint_seconds / result.seconds_trained
    print(
        f"checkpoints: {len(saves)} saves of {result.parameters:,} parameters, {max(saves):.2f} s the slowest, "
        f"in {result.seconds_trained:.0f} s of training: {share:.2%} of the time"
    )


if __name__ == "__main__":
    main()
