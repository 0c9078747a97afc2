"""How fast the command labels a file of tweets, against one process that reads, classifies and writes in turn.

Run with `python -m tests.benchmarks.bench_predict [--tweets N]`; the network is that of `configs/runs/rnn.yaml` after
one epoch, as its weights change no time. The plain way calls the same model on one core, chunk by chunk, as one would
by hand. Seconds are those of whole processes. Tweets are made up where there are no real ones.
"""

import argparse
import csv
import subprocess
import sys
import tempfile
from functools import partial
from pathlib import Path

import torch

from sentiment.config_file import read_yaml, resolve
from sentiment.predicting.stored import open_stored
from sentiment.runs.records import DEFAULT_THRESHOLD, MODEL_KINDS
from sentiment.runs.run_dir import Results, RunDir
from sentiment.training.experiment import run_experiment
from sentiment.training.stop import RunContext
from tests.benchmarks.bench_data import some_tweets, write_source
from tests.benchmarks.bench_models import ROOT
from tests.benchmarks.timing import announce, spent

CHUNK = 16_384


def trained_run(source: Path, results: Results) -> RunDir:
    """A completed run on a file of tweets."""
    path = ROOT / "configs" / "runs" / "rnn.yaml"
    changes = {"data.source": str(source), "training.epochs": 1, "runtime.device": "cpu", "tracking.wandb": "disabled"}
    config = resolve(read_yaml(path), changes, str(path))
    run_dir = results.run_dir(config.run_id)
    run_experiment(RunContext(config, results, run_dir))
    return run_dir


def run(*command: str) -> None:
    """A whole process, from start to end."""
    subprocess.run([sys.executable, "-m", *command], check=True, capture_output=True, cwd=ROOT)


def predict_plainly(run: Path, source: Path, choice: str) -> None:
    """What one would write by hand: one process with one thread."""
    torch.set_num_threads(1)
    model = open_stored(run).model(next(one for one in MODEL_KINDS if one == choice))
    with open(source, encoding="utf-8", newline="") as file, open(source.with_name("plain.csv"), "w") as target:
        rows = list(csv.reader(file))[1:]
        writer = csv.writer(target)
        for first in range(0, len(rows), CHUNK):
            chunk = rows[first : first + CHUNK]
            positive = model.classify_texts([text for _, text in chunk]).probabilities[:, 1].tolist()
            labels = ["positive" if probability >= DEFAULT_THRESHOLD else "negative" for probability in positive]
            writer.writerows([*row, *answer] for row, *answer in zip(chunk, labels, positive, strict=True))


def main() -> None:
    """Print seconds and ratios for the network, the baseline and the mean of both."""
    if len(sys.argv) == 4:
        predict_plainly(Path(sys.argv[1]), Path(sys.argv[2]), sys.argv[3])
        return
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--tweets", type=int, default=50_000)
    count = parser.parse_args().tweets
    with tempfile.TemporaryDirectory() as folder:
        tweets, what = some_tweets(count)
        announce(f"predict, {what}")
        small, large = Path(folder) / "small.csv", Path(folder) / "large.csv"
        write_source(small, tweets[::10])
        write_source(large, tweets)
        print("training a network for one epoch", flush=True)
        trained, target = trained_run(small, Results(Path(folder) / "results")), large.with_name("labelled.csv")
        file = ("--file", str(large), "--out", str(target))
        for model in ("network", "baseline", "both"):
            command = spent(partial(run, "sentiment", "predict", str(trained.path), *file, "--with", model))
            plain = spent(partial(run, "tests.benchmarks.bench_predict", str(trained.path), str(large), model))
            ratios = f"{plain.clock / command.clock:.2f} times as long, {plain.processor / command.processor:.2f} times"
            print(f"predict --with {model}: {command}; plainly {plain}: {ratios} the processor", flush=True)


if __name__ == "__main__":
    main()
