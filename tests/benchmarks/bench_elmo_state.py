"""In which state ELMo should begin a tweet, by any real model: `zero` or `warm`.

First, how far the vectors of either are from those in the state that the model was trained in, which runs on from
sentence to sentence; then how well a classifier does with either, with the same seeds. Tweets are the embedded sample
and, for the classifier, VADER's or a table of yours. `MODEL` is a published name or a folder:
`python -m tests.benchmarks.bench_elmo_state MODEL`.
"""

import argparse
import tempfile
from pathlib import Path

import numpy as np
import torch
from scipy import stats

from sentiment.config import ElmoConfig
from sentiment.config_file import resolve
from sentiment.data.corpus.corpus import prepare_corpus
from sentiment.elmo.backends import build_own_encoder
from sentiment.elmo.encoder.encoder import Layer
from sentiment.elmo.encoder.state import StateMode
from sentiment.elmo.models import ModelFiles, find_elmo
from sentiment.run_dir import Results
from sentiment.training.context import RunContext
from sentiment.training.runs.experiment import run_experiment

CPU = torch.device("cpu")
LAYERS: tuple[Layer, ...] = ("first", "top")


def distances(model: ModelFiles, tweets: list[list[str]]) -> None:
    """Relative distance (L2) of the vectors of each mode from those with a running state, batch size 1."""
    vectors = {}
    states: tuple[StateMode, ...] = ("carry", "zero", "warm")
    for state in states:
        elmo = build_own_encoder(ElmoConfig(model=model.name, state=state, cache="off"), model, CPU)
        vectors[state] = elmo.encode(tweets, LAYERS, batch_tweets=1 if state == "carry" else 1024).layers
    for layer in LAYERS:
        running = vectors["carry"][layer]
        far = {state: float((vectors[state][layer] - running).norm() / running.norm()) for state in ("zero", "warm")}
        print(
            f"{layer} layer, {len(tweets)} tweets: from the running state, zero is {far['zero']:.1%} away, "
            f"warm {far['warm']:.1%}: {far['zero'] / far['warm']:.1f} times less"
        )


def accuracies(model: ModelFiles, source: str, seeds: int, results: Results) -> None:
    """Validation accuracy of a BiLSTM on the top layer alone, from each state, paired by seed."""
    found: dict[str, list[float]] = {"zero": [], "warm": []}
    for seed in range(1, seeds + 1):
        for state, scores in found.items():
            parameters = {
                "seed": seed,
                "data.source": source,
                "data.text.lowercase": False,
                "data.validation_fraction": 0.3,
                "elmo.model": model.name,
                "elmo.layers": "top",
                "elmo.combine": "alone",
                "elmo.state": state,
                "model.hidden_size": 64,
                "training.batch_size": 64,
                "training.learning_rate": 0.003,
                "training.epochs": 12,
                "runtime.threads": torch.get_num_threads(),
            }
            config = resolve({}, parameters, "the benchmark")
            run_dir = results.run_dir(config.run_id)
            run_experiment(RunContext(config, results, run_dir))
            result = run_dir.read_result()
            assert result is not None
            scores.append(result.metrics["validation"].accuracy)
    zero, warm = (np.array(found[state]) for state in ("zero", "warm"))
    difference = stats.ttest_rel(warm, zero).confidence_interval()
    print(
        f"validation accuracy, {seeds} seeds: zero {zero.mean():.4f}, warm {warm.mean():.4f}; "
        f"warm - zero {(warm - zero).mean():+.4f} (95 %: {difference.low:+.4f} to {difference.high:+.4f})"
    )


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", nargs="?", default="small")
    parser.add_argument("--data", default="vader")
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--results", type=Path, default=Path("results"), help="where models and downloads are")
    parser.add_argument("--threads", type=int, default=1)
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    model = find_elmo(arguments.model, Results(arguments.results).elmo_models)
    with tempfile.TemporaryDirectory() as folder:
        own = Results(Path(folder))
        sample = resolve({}, {"data.source": "sample", "data.text.lowercase": False}, "the benchmark")
        corpus = prepare_corpus(sample.data, own)
        distances(model, [corpus.tokens(row) for row in range(len(corpus.labels))])
        accuracies(model, arguments.data, arguments.seeds, own)


if __name__ == "__main__":
    main()
