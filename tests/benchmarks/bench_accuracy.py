"""Accuracy with intervals on real Sentiment140 tweets, of each model and of the linear baseline on the same tweets.

Not part of `make bench`, since it trains for minutes: `make bench BENCH=accuracy`. Needs a folder with
`sentiment140_sample.csv.gz` (the publishers' format) and `sentiment140_textonly.csv.gz` (label, text).
"""

import argparse
import csv
import gzip
import tempfile
from pathlib import Path

import pyarrow.parquet as pq
from scipy.stats import binomtest

from sentiment.config_file import read_yaml, resolve
from sentiment.records import THRESHOLD
from sentiment.run_dir import Results, RunDir
from sentiment.training.context import RunContext
from sentiment.training.experiment import run_experiment

ROOT = Path(__file__).parents[2]
REAL_TWEETS = ROOT.parent / "shared" / "data"

MODELS = {
    "feed-forward": {"model.kind": "feed_forward", "model.pooling": "mean"},
    "LSTM, last state": {"model.bidirectional": False, "model.pooling": "last"},
    "GRU, last state": {"model.cell": "gru", "model.bidirectional": False, "model.pooling": "last"},
    "BiLSTM, last states": {"model.pooling": "last"},
    "BiLSTM, mean+max": {},
    "BiLSTM, self-attention": {"model.pooling": "attention"},
    "BiLSTM, mean+max, stop words removed, negations kept": {"data.text.stop_words": "keep_negations"},
    "BiLSTM, mean+max, stop words removed": {"data.text.stop_words": "all"},
}


def combine(folder: Path, target: Path) -> None:
    """Write one table of labels and texts from both files of random rows."""
    with open(target, "w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["label", "text"])
        with gzip.open(folder / "sentiment140_sample.csv.gz", "rt", encoding="utf-8", newline="") as sample:
            writer.writerows((row[0], row[5]) for row in csv.reader(sample))
        with gzip.open(folder / "sentiment140_textonly.csv.gz", "rt", encoding="utf-8", newline="") as more:
            writer.writerows((row["label"], row["text"]) for row in csv.DictReader(more))


def difference_from_baseline(run_dir: RunDir) -> float:
    """Exact McNemar test on the test tweets: p-value for equal accuracy of the run and its baseline."""
    table = pq.read_table(run_dir.predictions_file).to_pandas()
    table = table[table["part"] == "test"]
    right = (table["score"] >= THRESHOLD) == (table["label"] == 1)
    baseline_right = (table["baseline"] >= THRESHOLD) == (table["label"] == 1)
    gained, lost = int((right & ~baseline_right).sum()), int((~right & baseline_right).sum())
    return float(binomtest(gained, gained + lost).pvalue)


def summary(run_dir: RunDir) -> str:
    """The scores of a completed run in one line."""
    result = run_dir.read_result()
    if result is None:
        raise RuntimeError(f"{run_dir.path}: was not completed")
    test, manual = result.metrics["test"], result.metrics["second_test"]
    return (
        f"{test.accuracy:.4f} ({test.accuracy_low:.4f}-{test.accuracy_high:.4f}), "
        f"baseline {result.baseline['test'].accuracy:.4f} (p = {difference_from_baseline(run_dir):.2g}), "
        f"mean of both {result.combination['test'].accuracy:.4f}, n = {test.n:,}; "
        f"manual tweets {manual.accuracy:.3f} (n = {manual.n}); "
        f"epoch {result.best_epoch} of {result.epochs}, {result.seconds_trained:.0f} s"
    )


def main() -> None:
    """Train every model with every seed and print its scores."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--tweets", type=Path, default=REAL_TWEETS)
    parser.add_argument("--seeds", type=int, default=1)
    parser.add_argument("--only", default="", help="part of a model's name")
    parser.add_argument("--results", type=Path, help="keep the runs here")
    options = parser.parse_args()
    if not options.tweets.is_dir():
        print(f"accuracy: no real tweets at {options.tweets}; name their folder with --tweets")
        return
    with tempfile.TemporaryDirectory() as folder:
        results = Results(options.results or Path(folder))
        source = Path(folder) / "combined.csv"
        combine(options.tweets, source)
        settings = read_yaml(ROOT / "configs" / "runs" / "sentiment140.yaml")
        data = {"data.source": str(source), "data.second_test": str(options.tweets / "sentiment140_test.csv")}
        for name in (name for name in MODELS if options.only in name):
            for seed in range(1, options.seeds + 1):
                config = resolve(settings, {**MODELS[name], **data, "seed": seed}, "sentiment140.yaml")
                run_dir = results.run_dir(config.run_id)
                run_experiment(RunContext(config, results, run_dir))
                print(f"{name} (seed {seed}): {summary(run_dir)}", flush=True)


if __name__ == "__main__":
    main()
