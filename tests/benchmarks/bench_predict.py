"""How fast the command labels a file of 200,000 tweets, against one process that reads, classifies and writes in turn.

Run with `python -m tests.benchmarks.bench_predict`; the network is that of `configs/runs/rnn.yaml` after one epoch, as
its weights change no time. The plain way calls the same model on one core, chunk by chunk, as one would by hand.
Seconds are those of whole processes.
"""

import csv
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import torch

from sentiment.config_file import read_yaml, resolve
from sentiment.inference.combined import CHOICES, load_model
from sentiment.records import THRESHOLD
from sentiment.run_dir import Results, RunDir
from sentiment.training.context import RunContext
from sentiment.training.runs.experiment import run_experiment
from tests.benchmarks.bench_accuracy import ROOT
from tests.benchmarks.bench_data import SHARED, made_up_tweets, real_tweets, write_source

TRAINED_ON = 20_000
LABELLED = 200_000
CHUNK = 16_384


def trained_run(source: Path, results: Results) -> RunDir:
    """A completed run on a file of tweets."""
    path = ROOT / "configs" / "runs" / "rnn.yaml"
    changes = {"data.source": str(source), "training.epochs": 1, "runtime.device": "cpu", "tracking.wandb": "disabled"}
    config = resolve(read_yaml(path), changes, str(path))
    run_dir = results.run_dir(config.run_id)
    run_experiment(RunContext(config, results, run_dir))
    return run_dir


def seconds_of(*command: str) -> float:
    """A whole process, from start to end."""
    start = time.perf_counter()
    subprocess.run([sys.executable, "-m", *command], check=True, capture_output=True, cwd=ROOT)
    return time.perf_counter() - start


def predict_plainly(run: Path, source: Path, choice: str) -> None:
    """What one would write by hand: one process with one thread."""
    torch.set_num_threads(1)
    model = load_model(RunDir(run), next(one for one in CHOICES if one == choice))
    with open(source, encoding="utf-8", newline="") as file, open(source.with_name("plain.csv"), "w") as target:
        rows = list(csv.reader(file))[1:]
        writer = csv.writer(target)
        for first in range(0, len(rows), CHUNK):
            chunk = rows[first : first + CHUNK]
            found = model.read([text for _, text in chunk]).probabilities.tolist()
            labels = ["positive" if probability >= THRESHOLD else "negative" for probability in found]
            writer.writerows([*row, *answer] for row, *answer in zip(chunk, labels, found, strict=True))


def main() -> None:
    """Print seconds and ratios for the network, the baseline and the mean of both, and the time for one tweet."""
    if len(sys.argv) > 1:
        predict_plainly(Path(sys.argv[1]), Path(sys.argv[2]), sys.argv[3])
        return
    with tempfile.TemporaryDirectory() as folder:
        tweets = list(real_tweets()) if SHARED.exists() else list(made_up_tweets(LABELLED))
        print(f"{LABELLED:,} tweets, {'real, some repeated' if SHARED.exists() else 'made up by a Zipf law'}")
        small, large = Path(folder) / "small.csv", Path(folder) / "large.csv"
        write_source(small, tweets[:: len(tweets) // TRAINED_ON])
        write_source(large, [tweets[number % len(tweets)] for number in range(LABELLED)])
        run, target = trained_run(small, Results(Path(folder) / "results")), large.with_name("labelled.csv")
        file = ("--file", str(large), "--out", str(target))
        for model in ("network", "baseline", "both"):
            command = seconds_of("sentiment", "predict", str(run.path), *file, "--with", model)
            plain = seconds_of("tests.benchmarks.bench_predict", str(run.path), str(large), model)
            one = seconds_of("sentiment", "predict", str(run.path), "what a lovely day", "--with", model)
            ratio = f"{plain / command:.2f} times as long"
            print(f"predict --with {model}: {command:.1f} s; plainly {plain:.1f} s, {ratio}; one tweet {one:.1f} s")


if __name__ == "__main__":
    main()
