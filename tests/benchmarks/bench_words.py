"""What text without labels, and further labels for training alone, are worth: the same net with and without, paired.

Then the means of each model's seeds, with and without its baseline.

Not part of `make bench`, since it trains for minutes: `make bench BENCH=words`. Needs a folder with the two files of
random rows of `bench_accuracy`, and `sentiment140_slices_textonly.csv.gz` (label, text), which is never tested on. With
`--results DIR` the runs stay, and the same command with more seeds adds to them.
"""

import argparse
import sys
import tempfile
from pathlib import Path
from typing import Any

import numpy as np

from report.read.load import CompletedRun, load_study
from report.read.predictions import read_scores
from report.statistics import Difference, Side, compare, spread_of
from sentiment.config_file import read_yaml, resolve
from sentiment.console import Console
from sentiment.runs.records import Part
from sentiment.runs.run_dir import Results
from sentiment.training.context import RunContext
from sentiment.training.experiment import run_experiment
from tests.benchmarks.bench_accuracy import REAL_TWEETS, ROOT, combine

SLICES = "sentiment140_slices_textonly.csv.gz"
PLAIN = "without vectors"


def models(tweets: Path) -> dict[str, dict[str, Any]]:
    """What each model changes in `configs/runs/sentiment140.yaml`, by its name."""
    slices = [{"path": str(tweets / SLICES)}]
    word2vec = {"embedding.pretrained": "word2vec"}
    return {
        PLAIN: {},
        "word2vec of the training text": word2vec,
        "word2vec of that and of unlabelled text": word2vec | {"vectors.unlabelled": slices},
        "the same text, and its labels for training": word2vec | {"data.extra_train": slices},
    }


def against_plain(right: dict[str, list[Any]]) -> dict[str, Difference]:
    """Each model's accuracy less that of the plain net, for other seeds and other tweets; corrected together."""
    spread = spread_of([one.mean() for one in of_seeds] for of_seeds in right.values())
    others = [name for name in right if name != PLAIN]
    plain = Side([np.stack(right[PLAIN])])
    gaps = compare((Side([np.stack(right[name])]), plain, spread) for name in others)
    return dict(zip(others, gaps, strict=True))


def main() -> None:
    """Train every model with every seed, and print its scores and what it gains."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--tweets", type=Path, default=REAL_TWEETS)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--results", type=Path, help="keep the runs here")
    options = parser.parse_args()
    if not options.tweets.is_dir():
        print(f"words: no real tweets at {options.tweets}; name their folder with --tweets")
        return
    with tempfile.TemporaryDirectory() as folder:
        measure(options.tweets, Results(options.results or Path(folder)), range(1, options.seeds + 1))


def measure(tweets: Path, results: Results, seeds: range) -> None:
    """Train what is not trained yet, and print all."""
    results.root.mkdir(parents=True, exist_ok=True)
    source = results.root / "combined.csv"
    if not source.exists():
        combine(tweets, source)
    settings = read_yaml(ROOT / "configs" / "runs" / "sentiment140.yaml")
    data = {"data.source": str(source), "data.tests.manual.path": str(tweets / "sentiment140_test.csv")}
    console = Console(say=lambda line: print(line, file=sys.stderr), progress=lambda *_: None)
    wanted: dict[str, list[str]] = {name: [] for name in models(tweets)}
    for seed in seeds:
        for name, changes in models(tweets).items():
            config = resolve(settings, changes | data | {"seed": seed}, "sentiment140.yaml")
            run_experiment(RunContext(config, results, results.run_dir(config.run_id), console=console))
            wanted[name].append(config.run_id)
    completed = {run.run_id: run for run in load_study(results, []).completed}
    runs = {name: [completed[run_id] for run_id in of_name] for name, of_name in wanted.items()}
    show(runs)
    show_means(runs)


def show_means(runs: dict[str, list[CompletedRun]]) -> None:
    """How good the mean of a model's seeds is, and that with its baseline; each in a line."""
    for name, of_name in runs.items():
        validation, test = (mean_right(of_name, part) for part in ("validation", "test"))
        for kind, correct in test.items():
            told = f"validation {validation[kind].mean():.4f}; test {correct.mean():.4f}"
            print(f"{name}, {kind}: {told}", flush=True)


def mean_right(runs: list[CompletedRun], part: Part) -> dict[str, Any]:
    """Which tweets of a part the baseline of these runs, the mean of their networks, and that of both have right."""
    scores = [one for run in runs if (one := read_scores(run, part))]
    baseline, network = scores[0].baseline, np.mean([one.model for one in scores], axis=0)
    said = {"its baseline": baseline, f"mean of {len(scores)} seeds": network}
    said |= {f"mean of {len(scores)} seeds and baseline": (network + baseline) / 2}
    return {kind: scores[0].right(probabilities).astype(float) for kind, probabilities in said.items()}


def show(runs: dict[str, list[CompletedRun]]) -> None:
    """A line for each model: accuracies on validation and test tweets, and what it gains over the plain net."""
    right: dict[str, list[Any]] = {}
    for name, of_name in runs.items():
        scores = [one for run in of_name if (one := read_scores(run, "test"))]
        right[name] = [one.right(one.model) for one in scores]
    gains = against_plain(right)
    for name, of_name in runs.items():
        parts = []
        for part in ("validation", "test"):
            values = [run.result.metrics[part].accuracy for run in of_name]  # type: ignore[index]
            parts.append(f"{part} {np.mean(values):.4f} ({', '.join(f'{value:.4f}' for value in values)})")
        gain = gains.get(name)
        told = ""
        if gain:
            told = f"; {gain.value:+.4f} \u00b1 {gain.half_width or 0:.4f}, adjusted p {gain.q or 0.0:.2g}"
        print(f"{name}: {'; '.join(parts)}{told}", flush=True)


if __name__ == "__main__":
    main()
