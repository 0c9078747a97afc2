"""What an ELMo of one's own tweets is worth: tokens a second, perplexity, and accuracy with and without it, paired.

Not part of `make bench`, since it trains for hours at the size of the preset: `make bench BENCH=pretraining`. Needs a
folder with `sentiment140_sample.csv.gz` (the publishers' format), and `sentiment140_textonly.csv.gz` and
`sentiment140_slices_textonly.csv.gz` (label, text), of which only text is read. With fewer rows and `--set`, which
changes the section `pretraining`, it takes minutes. With `--results DIR` the model and the runs stay, and the same
command goes on. Seconds are those of the processor, so that what else a machine does changes them little.
"""

import argparse
import csv
import gzip
import sys
import tempfile
import time
from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np

from report.read.load import CompletedRun, load_study
from report.read.predictions import read_scores
from report.statistics import Side, compare, spread_of
from sentiment.config_file import parse_override, read_yaml, resolve
from sentiment.console import Console
from sentiment.runs.pretrained import pretrained_dirs, read_points
from sentiment.runs.run_dir import Results
from sentiment.training.context import RunContext
from sentiment.training.experiment import run_experiment
from sentiment.training.pretraining import run_pretraining
from sentiment.training.stop import StopRequest
from tests.benchmarks.bench_accuracy import REAL_TWEETS, ROOT

UNLABELLED = ("sentiment140_textonly.csv.gz", "sentiment140_slices_textonly.csv.gz")
NONE, VECTORS, OWN = "none", "word2vec of the same text", "own ELMo beside"


def write_text(tweets: Path, target: Path, rows: int | None) -> Path:
    """Text without labels, a tweet a line, the same number from each file."""
    with open(target, "w", encoding="utf-8") as file:
        for name in UNLABELLED:
            with gzip.open(tweets / name, "rt", encoding="utf-8", newline="") as table:
                texts = (" ".join(row["text"].split()) for row in csv.DictReader(table))
                file.writelines(f"{text}\n" for text in islice(texts, rows and rows // len(UNLABELLED)))
    return target


def arms_of(settings: dict[str, Any], model: str, pretraining: dict[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    """What each arm changes, by its name."""
    vectors = {"vectors.unlabelled": settings["unlabelled"], "vectors.vocabulary": "training"}
    yield NONE, {}
    yield VECTORS, {"embedding.pretrained": "word2vec"} | vectors
    own = {"elmo.model": model, "pretraining.unlabelled": settings["unlabelled"]}
    yield OWN, own | {f"pretraining.{name}": value for name, value in pretraining.items()}


def main() -> None:
    """Train the language model and every classifier with every seed, and print what came out."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--tweets", type=Path, default=REAL_TWEETS)
    parser.add_argument("--results", type=Path, help="keep the runs here")
    parser.add_argument("--model", default="pretrained/tweet")
    parser.add_argument("--rows", type=int, help="labelled rows; default all")
    parser.add_argument("--unlabelled", type=int, help="further rows of text; default all")
    parser.add_argument("--labels", type=int, nargs="+", default=[1000, 5000, 2_000_000])
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--set", action="append", default=[], help="epochs=2 and the like, of the language model")
    options = parser.parse_args()
    if not options.tweets.is_dir():
        print(f"pretraining: no real tweets at {options.tweets}; name their folder with --tweets")
        return
    with tempfile.TemporaryDirectory() as folder:
        measure(options, Results(options.results or Path(folder)))


def measure(options: argparse.Namespace, results: Results) -> None:
    """Train what is not trained yet, and print all."""
    results.root.mkdir(parents=True, exist_ok=True)
    text = write_text(options.tweets, results.root / "text.txt", options.unlabelled)
    data = {"data.source": str(options.tweets / "sentiment140_sample.csv.gz"), "data.max_rows": options.rows}
    data |= {"data.tests.manual.path": str(options.tweets / "sentiment140_test.csv"), "runtime.threads": 1}
    base = read_yaml(ROOT / "configs" / "runs" / "sentiment140.yaml")
    training = {"training.batch_size": 64, "training.learning_rate": 0.001, "training.epochs": 30}
    console = Console(say=lambda line: print(line, file=sys.stderr, flush=True), progress=lambda *_: None)
    wanted: dict[int, dict[str, list[str]]] = {}
    shared = {"unlabelled": [{"path": str(text)}]}
    pretraining = dict(parse_override(one) for one in options.set)
    for seed in range(1, options.seeds + 1):
        for labels in options.labels:
            for name, changes in arms_of(shared, options.model, pretraining):
                parameters = data | training | changes | {"data.train_rows": labels, "seed": seed}
                config = resolve(base, parameters, "sentiment140.yaml")
                start = time.process_time()
                run_pretraining([config], results, StopRequest(), console)
                told = time.process_time() - start
                if told > 1:
                    print(f"language model: {told:.0f} s of the processor", flush=True)
                run_experiment(RunContext(config, results, results.run_dir(config.run_id), console=console))
                wanted.setdefault(labels, {}).setdefault(name, []).append(config.run_id)
    show_models(results)
    completed = {run.run_id: run for run in load_study(results, []).completed}
    for labels, of_arms in wanted.items():
        show(labels, {name: [completed[run_id] for run_id in of_name] for name, of_name in of_arms.items()})


def show_models(results: Results) -> None:
    """Perplexities against tokens."""
    for run_dir in pretrained_dirs(results):
        if card := run_dir.read_card():
            print("\n".join(card.render_lines()))
        for point in read_points(run_dir):
            print(f"  {point.tokens:,} tokens read: {point.forward:.1f} forward, {point.backward:.1f} backward")


def show(labels: int, runs: dict[str, list[CompletedRun]]) -> None:
    """A line for each arm: accuracy on validation and test tweets, and its paired differences from the others."""
    right: dict[str, np.ndarray] = {}
    for name, of_name in runs.items():
        scores = [one for run in of_name if (one := read_scores(run, "test"))]
        right[name] = np.stack([one.right(one.model) for one in scores])
    spread = spread_of(of_name.mean(axis=1) for of_name in right.values())
    for name, of_name in runs.items():
        parts = []
        for part in ("validation", "test"):
            values = [run.result.metrics[part].accuracy for run in of_name]  # type: ignore[index]
            parts.append(f"{part} {np.mean(values):.4f} ({', '.join(f'{value:.4f}' for value in values)})")
        for other in [NONE, VECTORS]:
            if name not in (other, NONE):
                (gain,) = compare([(Side([right[name]]), Side([right[other]]), spread)])
                parts.append(f"{gain.value:+.4f} \u00b1 {gain.half_width or 0:.4f} against {other}")
        trained = of_name[0].result.metrics["train"].n
        print(f"{labels:,} labels ({trained:,} measured), {name}: {'; '.join(parts)}", flush=True)


if __name__ == "__main__":
    main()
