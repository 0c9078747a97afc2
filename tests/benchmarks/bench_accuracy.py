"""Accuracy with intervals on real tweets, of each model and of the baselines on the same tweets.

Not part of `make bench`, since it trains for minutes: `make bench BENCH=accuracy`. Needs a folder with
`sentiment140_sample.csv.gz` (the publishers' format) and `sentiment140_textonly.csv.gz` (label, text). With --baselines
no network is trained: the linear baseline and the lexicon are compared, on those tweets and, in five folds, on the
rated tweets `vader`. With --times 14 the linear baseline is fitted to so many copies of the tweets, for time and memory
at the size of all of Sentiment140.
"""

import argparse
import csv
import gzip
import resource
import tempfile
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
from scipy.stats import binomtest

from sentiment.config import RunConfig
from sentiment.config_file import read_yaml, resolve
from sentiment.console import silent
from sentiment.data.corpus import prepare_corpus
from sentiment.data.text import TokenRows
from sentiment.models.baseline import fit_linear_model
from sentiment.models.lexicon import corpus_lexicon
from sentiment.runs.records import PARTS, THRESHOLD
from sentiment.runs.run_dir import Results, RunDir
from sentiment.training.experiment import run_experiment
from sentiment.training.stop import RunContext
from sentiment.training.task import measure, paired_differences

ROOT = Path(__file__).parents[2]
REAL_TWEETS = ROOT.parent / "shared" / "data"

FOLDS = 5

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
    test, manual = result.metrics["test"], result.metrics["manual"]
    return (
        f"{test.accuracy:.4f} ({test.accuracy_low:.4f}-{test.accuracy_high:.4f}), "
        f"baseline {result.baseline['test'].accuracy:.4f} (p = {difference_from_baseline(run_dir):.2g}), "
        f"mean of both {result.combination['test'].accuracy:.4f}, n = {test.n:,}; "
        f"manual tweets {manual.accuracy:.3f} (n = {manual.n}); "
        f"epoch {result.best_epoch} of {result.epochs}, {result.seconds_trained:.0f} s"
    )


def baselines_on_test_tweets(config: RunConfig, results: Results) -> None:
    """The linear baseline and the lexicon on the test part, which no choice has seen."""
    corpus = prepare_corpus(config.data, results)
    rows = corpus.rows("test")
    said: dict[str, np.ndarray] = {"lexicon": corpus_lexicon(corpus, rows)[rows]}
    start = time.perf_counter()
    model, settings = fit_linear_model(corpus, silent)
    seconds, peak = time.perf_counter() - start, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6
    said["linear"] = model.read(TokenRows(corpus.types, corpus.token_ids, corpus.offsets).take(rows)).probabilities
    print(f"linear: {settings}, {len(corpus.rows('train')):,} tweets in {seconds:.0f} s, peak {peak:.1f} GB")
    print_comparison(np.asarray(corpus.labels)[rows], said)


def baseline_of_copies(config: RunConfig, results: Results, times: int) -> None:
    """Seconds and memory of the linear baseline on copies of the tweets."""
    corpus = prepare_corpus(config.data, results)
    size = corpus.offsets[-1]
    many = replace(
        corpus,
        token_ids=np.tile(corpus.token_ids, times),
        offsets=np.concatenate([[0], *(corpus.offsets[1:] + copy * size for copy in range(times))]),
        labels=np.tile(corpus.labels, times),
        parts=np.tile(corpus.parts, times),
        weights=np.tile(corpus.weights, times),
    )
    start = time.perf_counter()
    fit_linear_model(many, silent)
    seconds, peak = time.perf_counter() - start, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6
    print(f"linear: {len(many.rows('train')):,} tweets in {seconds:.0f} s, peak {peak:.1f} GB", flush=True)


def baselines_in_folds(config: RunConfig, results: Results) -> None:
    """The same on all tweets of a small data set: of ten slices two are tested, one is for validation, seven train."""
    corpus = prepare_corpus(config.data, results)
    rows = np.arange(len(corpus.labels))
    slices = np.random.default_rng(0).permutation(len(rows)) % (2 * FOLDS)
    said: dict[str, np.ndarray] = {"lexicon": corpus_lexicon(corpus, rows), "linear": np.empty(len(rows))}
    for fold in range(FOLDS):
        parts = np.where(slices // 2 == fold, PARTS.index("test"), PARTS.index("train"))
        parts[slices == (2 * fold + 2) % (2 * FOLDS)] = PARTS.index("validation")
        model, _ = fit_linear_model(replace(corpus, parts=parts), silent)
        tested = rows[slices // 2 == fold]
        tweets = TokenRows(corpus.types, corpus.token_ids, corpus.offsets).take(tested)
        said["linear"][tested] = model.read(tweets).probabilities
    print_comparison(np.asarray(corpus.labels), said)


def print_comparison(labels: np.ndarray, said: dict[str, np.ndarray]) -> None:
    """The accuracy of each model, and by how much the linear baseline exceeds the lexicon."""
    for name, probabilities in said.items():
        scores = measure(labels, probabilities.astype(np.float64))
        print(
            f"  {name}: {scores.accuracy:.4f} ({scores.accuracy_low:.4f}-{scores.accuracy_high:.4f}), n = {scores.n:,}"
        )
    right = {name: (said[name] >= THRESHOLD) == (labels == 1) for name in ("linear", "lexicon")}
    (gap,) = paired_differences(right["linear"], [right["lexicon"]])
    print(f"  linear - lexicon: {gap.value:+.4f} ({gap.low:+.4f} to {gap.high:+.4f}), p = {gap.p:.2g}", flush=True)


def main() -> None:
    """Train every model with every seed and print its scores."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--tweets", type=Path, default=REAL_TWEETS)
    parser.add_argument("--seeds", type=int, default=1)
    parser.add_argument("--only", default="", help="part of a model's name")
    parser.add_argument("--baselines", action="store_true", help="compare the baselines, without any network")
    parser.add_argument("--times", type=int, default=0, help="fit the linear baseline to so many copies of the tweets")
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
        data = {"data.source": str(source), "data.tests.manual.path": str(options.tweets / "sentiment140_test.csv")}
        if options.times:
            baseline_of_copies(resolve(settings, data, "sentiment140.yaml"), results, options.times)
            return
        if options.baselines:
            baselines_on_test_tweets(resolve(settings, data, "sentiment140.yaml"), results)
            baselines_in_folds(resolve({}, {"data.source": "vader"}, "the defaults"), results)
            return
        for name in (name for name in MODELS if options.only in name):
            for seed in range(1, options.seeds + 1):
                config = resolve(settings, {**MODELS[name], **data, "seed": seed}, "sentiment140.yaml")
                run_dir = results.run_dir(config.run_id)
                run_experiment(RunContext(config, results, run_dir))
                print(f"{name} (seed {seed}): {summary(run_dir)}", flush=True)


if __name__ == "__main__":
    main()
