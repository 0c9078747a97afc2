"""Random studies, written in an instant with the product's own records, that cross what a study can hold."""

import random
import shutil
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow.parquet as pq

from sentiment.answers.table import AnswersDir, AnswersRecord, AnswerTable, Predictor
from sentiment.config import RunConfig
from sentiment.files import fingerprint
from sentiment.runs.corpus_records import MANIFEST
from sentiment.runs.records import PREDICTORS, CheckScore, Part, PredictorKind, RunRecord
from sentiment.runs.run_dir import TWEETS_FILE, Results, RunDir
from sentiment.statistics.metrics import with_first_class
from tests.invented import (
    UNFINISHED,
    Outcome,
    Parameters,
    Study,
    Tested,
    added_dir,
    attempt,
    combinations,
    halve,
    write_added,
    write_unfinished,
)

Values = npt.NDArray[np.float64]
CLASS_NAMES = ("awful", "negative", "neutral", "positive", "great")
EPOCHS = 4
_CAPABILITIES = {"but": 12, "not good": 14}
_WORDS = ("sun", "rain", "not", "tea", "never", "bus", "cat", "don't", "song", "&amp;", "game", "<b>", "snow", "|")


@dataclass(frozen=True)
class Tweets:
    """Labelled tweets: keys, indices of classes, and how hard each is for every model, all of shape (n,)."""

    keys: npt.NDArray[np.int64]
    labels: npt.NDArray[np.int64]
    hardness: Values  # (n, classes)

    def of(self, rows: Sequence[int] | npt.NDArray[Any]) -> "Tweets":
        return Tweets(self.keys[rows], self.labels[rows], self.hardness[rows])


@dataclass
class Author(Study):
    """Writes one random study; what all its runs have in common."""

    base: Parameters = field(init=False)
    rng: random.Random = field(kw_only=True)
    shares: list[float] = field(kw_only=True)
    metric: str = field(kw_only=True)
    sizes: dict[Part, int] = field(kw_only=True)
    tests: dict[str, Tweets] = field(default_factory=dict)
    tables: dict[int, Tweets] = field(default_factory=dict)
    finished: list[RunDir] = field(default_factory=list)
    lexicon: str = "usual"
    linear: dict[str, float] = field(default_factory=dict)
    """The baseline's skill by `data.text.stop_words`, if not 0.8."""
    written: dict[tuple[str, int], Path] = field(default_factory=dict)

    def __post_init__(self) -> None:
        data = {"source": "tweets.csv", "labels": {name: [name] for name in self.classes}, "tests": {}}
        self.base = {"data": data, "training": {"epochs": EPOCHS, "early_stopping": {"metric": self.metric}}}

    @property
    def draws(self) -> np.random.Generator:
        return np.random.default_rng(self.rng.randrange(2**32))

    def table(self, edit: int) -> Tweets:
        """The main table, or after an edit: other tweets, and other labels of some of those that stay."""
        if edit not in self.tables:
            n = self.sizes["validation"] + self.sizes["test"]
            new = draw_tweets(self, n, self.shares)
            if edit:
                old = self.table(0)
                kept = n // 2
                labels = np.where(self.draws.random(kept) < 0.1, new.labels[:kept], old.labels[:kept])
                new = Tweets(
                    np.concatenate([old.keys[:kept], new.keys[kept:]]),
                    np.concatenate([labels, new.labels[kept:]]),
                    new.hardness,
                )
            self.tables[edit] = new
        return self.tables[edit]


def draw_tweets(author: Author, n: int, shares: Sequence[float]) -> Tweets:
    draws = author.draws
    labels = draws.choice(len(shares), n, p=shares)
    labels[: len(shares)] = [index for index, share in enumerate(shares) if share] + [0] * shares.count(0.0)
    keys = draws.choice(2**40, n, replace=False).astype(np.int64)
    return Tweets(keys, labels.astype(np.int64), draws.normal(size=(n, len(shares))))


def write_random_study(folder: Path, seed: int) -> Results:
    """Write the study of a seed: its results are in `folder`."""
    rng = random.Random(seed)
    results = Results(folder)
    k = rng.choice([2, 2, 3, 3, 4, 5])
    classes = tuple(CLASS_NAMES[: k - 2]) + CLASS_NAMES[3:5] if k > 2 else ("negative", "positive")
    rare = rng.random() < 0.4
    weights = [rng.uniform(0.5, 1.5) for _ in classes]
    weights[rng.randrange(k)] *= 0.06 if rare else 1
    shares = [weight / sum(weights) for weight in weights]
    metric = rng.choice(["loss", "accuracy", "macro_recall", "macro_f1"])
    sizes: dict[Part, int] = {"validation": rng.choice([25, 60, 120]), "test": rng.choice([20, 60, 150, 400])}
    author = Author(results, classes=classes, rng=rng, shares=shares, metric=metric, sizes=sizes)
    author.lexicon = rng.choice(["usual", "ties"])
    _draw_tests(author)
    if rng.random() < 0.93:
        _write_runs(author)
    if rng.random() < 0.25 or not author.finished:
        write_gold(author, f"gold{rng.randrange(9)}.csv")
    return results


def _draw_tests(author: Author) -> None:
    rng = author.rng
    for name in rng.sample(["others", "airline", "manual"], rng.choice([0, 0, 1, 2])):
        shares = author.shares
        if rng.random() < 0.3:  # a class that the test set lacks
            lacking = rng.randrange(len(shares))
            left = [0.0 if index == lacking else share for index, share in enumerate(shares)]
            shares = [share / sum(left) for share in left]
        tweets = draw_tweets(author, rng.choice([10, 30, 90]), shares)
        if rng.random() < 0.5:  # tweets that the main table has too
            shared = author.table(0).of(range(5))
            tweets = Tweets(
                *(np.concatenate(pair) for pair in zip(vars(shared).values(), vars(tweets).values(), strict=True))
            )
        author.tests[name] = tweets
        author.base["data"]["tests"][name] = {"path": f"{name}.csv"}


def _write_runs(author: Author) -> None:
    rng = author.rng
    for name in rng.sample([*_GRIDS], rng.choice([0, 1, 1, 2])):
        values, method = _grid_values(author, name)
        _write_grid(author, name, values, method)
    if rng.random() < 0.08:
        _write_trials(author)
    if rng.random() < 0.15:
        _write_halved(author)
    if rng.random() < 0.4 or not author.finished:
        runs = combinations({"seed": range(1, rng.choice([1, 2, 3]) + 1)})
        folds = rng.choice([None, None, 2, 3])
        for parameters in _with_folds(runs, folds):
            write_run(author, author.config(parameters, "single"), "single", rng.uniform(0.3, 2.0))
    for run_dir in rng.sample(author.finished, min(len(author.finished), 3)):
        if rng.random() < 0.5:
            add_to(author, run_dir)
    for run_dir in rng.sample(author.finished, min(len(author.finished), 2)):
        if rng.random() < 0.15:
            _damage(author, run_dir)


_CLEANED = ["none", "all"]
_GRIDS: dict[str, dict[str, list[Any]]] = {
    "cells": {"model.cell": ["lstm", "gru"], "model.hidden_size": [16, 64]},
    "widths": {"model.hidden_size": [8, 32, 128]},
    "labels": {"data.train_rows": [50, 100, None]},
    "cleaning": {"data.text.stop_words": ["none", "keep_negations", "all"]},
    "cleaned_cells": {"data.text.stop_words": _CLEANED, "model.cell": ["lstm", "gru"]},
    "cleaned_links": {"data.text.stop_words": _CLEANED, "data.text.urls": ["mask", "keep"]},
    "pooling": {"model.pooling": ["last", "attention", "mean+max"]},
    "elmo": {"elmo.model": ["small", "medium"], "elmo.layers": ["mix", "top"]},
    "sweep": {
        "training.learning_rate": [0.0001, 0.001, 0.01],
        "model.dropout": [0.0, 0.1],
        "model.cell": ["lstm", "gru"],
    },
}
_NUMBERS = {"cells": ("model.hidden_size", (1, 2)), "elmo": ("elmo.model", (1, 2))}
_NUMBERS |= {"widths": ("model.hidden_size", (2, 3)), "pooling": ("model.pooling", (2, 3))}
_NUMBERS |= {"labels": ("data.train_rows", (3, 2))}
"""How many of the values of a setting a grid may have."""


def _grid_values(author: Author, name: str) -> tuple[dict[str, list[Any]], str]:
    """The values of a grid, of one setting often not all, and its method."""
    values = dict(_GRIDS[name])
    if name in _NUMBERS:
        setting, numbers = _NUMBERS[name]
        number = author.rng.choice(numbers)
        values[setting] = values[setting][-number:] if name == "labels" else values[setting][:number]
    return values, "random" if name == "sweep" else "grid"


def _with_folds(runs: Iterable[Parameters], folds: int | None) -> list[Parameters]:
    if folds is None:
        return [*runs]
    return [run | {"data.folds": folds, "data.fold": fold} for run in runs for fold in range(1, folds + 1)]


def _write_grid(author: Author, name: str, values: dict[str, Sequence[Any]], method: str) -> None:
    rng = author.rng
    settings = combinations(values)
    is_search = method != "grid"
    if is_search:
        settings = rng.sample(settings, rng.choice([3, 5, 8]))
    seeds = 1 if is_search else rng.choice([1, 2, 2, 3, 3, 6])
    if len(settings) * seeds > 12:
        seeds = 3 if len(settings) <= 4 else 2
    folds = rng.choice([None, None, None, 2, 3]) if len(settings) * seeds <= 6 else None
    uneven = rng.random() < 0.3
    runs = []
    for setting in settings:
        number = max(1, seeds - (rng.random() < 0.5)) if uneven else seeds
        runs += [setting | ({} if is_search else {"seed": seed}) for seed in range(1, number + 1)]
    stated = _hypotheses(author, values) if rng.random() < 0.6 else []
    configs = plan_grid(author, name, _with_folds(runs, folds), method=method, hypotheses=stated)
    if rng.random() < 0.05:
        author.results.grid_file(name).unlink()
    edited_from = rng.choice([None, None, None, 2]) if folds is None else None
    skills: dict[str, float] = {}
    failing = rng.random() < 0.4
    for config in configs:
        setting = fingerprint(config.model_copy(update={"seed": 0}).model_dump(mode="json"))
        skill = skills.setdefault(setting, rng.choice([0.0, rng.uniform(0.3, 2.0), rng.uniform(0.8, 1.2), 3.0]))
        if failing and rng.random() < 0.2:
            _write_unfinished(author, config, name)
            continue
        edit = int(edited_from is not None and config.seed >= edited_from)
        write_run(author, config, name, skill, edit)


def _hypotheses(author: Author, values: dict[str, Sequence[Any]]) -> list[dict[str, Any]]:
    """Hypotheses about the values of a grid, and about its best configuration."""
    rng = author.rng
    stated = []
    for number in range(rng.choice([1, 2, 4])):
        hypothesis: dict[str, Any] = {
            "claim": f"It is so, {number}.",
            "measure": rng.choice(["score", "epochs", "overfitting"]),
        }
        relation = rng.choice(["better_than", "worse_than", "as_good_as", "no_better_than"])
        if relation in ("as_good_as", "no_better_than"):
            hypothesis["within"] = rng.choice([0.5, 5.0, 60.0])
        varied = [name for name, listed in values.items() if len(listed) > 1]
        other = rng.choice(["values", "values", "grid", "model"])
        if other == "values" and varied:
            hypothesis["setting"] = rng.choice(varied)
            listed = rng.sample([*values[hypothesis["setting"]]], len(values[hypothesis["setting"]]))
            middle = rng.randrange(1, len(listed))
            hypothesis |= {"values": listed[:middle], relation: listed[middle:]}
        elif other == "grid":
            hypothesis[relation] = {"grid": rng.choice(["cells", "widths", "elsewhere"])}
        else:
            hypothesis |= {"measure": "score", relation: {"model": "baseline"}}
        time = "2026-01-01T00:00:00+00:00"
        stated.append({"hypothesis": hypothesis, "stated_at": time, "results": rng.choice([0, 1])})
    return stated


def _write_trials(author: Author) -> None:
    """A search of so many trials that more is said of it."""
    rates = [0.0001 * 2**number for number in range(6)]
    settings = combinations({"training.learning_rate": rates, "model.dropout": [0.0, 0.1, 0.2, 0.3, 0.4, 0.5]})
    chosen = author.rng.sample(settings, author.rng.choice([30, 35]))
    for config in plan_grid(author, "trials", chosen):
        write_run(author, config, "trials", author.rng.uniform(0.3, 2.0))


def _write_halved(author: Author) -> None:
    """A search in rungs that end after epochs 1 and 2: trials that were not promoted are pruned."""
    settings = combinations({"model.hidden_size": [24, 48], "model.dropout": [0.0, 0.1, 0.2, 0.3, 0.4, 0.5]})
    halving = {"epochs": [1, 2], "eta": author.rng.choice([2.0, 3.0])}
    chosen = author.rng.sample(settings, author.rng.choice([9, 12]))
    already = len(author.finished)
    for config in plan_grid(author, "halving", chosen, halving=halving):
        write_run(author, config, "halving", author.rng.choice([0.5, 1.0, 2.0]))
    author.finished[already:] = halve(author.results, "halving", author.finished[already:], halving["epochs"])


def plan_grid(author: Author, name: str, settings: list[Parameters], **fields: Any) -> list[RunConfig]:
    """Plan a grid, by default a random search; the configurations of its runs."""
    metrics = ["validation/macro_f1", "validation/accuracy", "validation/macro_recall", "validation/loss"]
    metric = author.rng.choice(metrics)
    values = {"method": "random", "metric": metric, "goal": "minimize" if metric.endswith("loss") else "maximize"}
    return author.write_grid(name, f"What of {name}?", settings, **values | fields)


def _write_unfinished(author: Author, config: RunConfig, grid: str) -> None:
    if author.rng.random() < 0.3:
        return  # planned only
    write_unfinished(author.run_dir(config, grid), config, author.rng.choice(UNFINISHED))


def _parts(author: Author, config: RunConfig, edit: int) -> dict[Part, Tweets]:
    """The tweets of each part; cleaning that removes stop words empties a few test tweets."""
    table = author.table(edit)
    n = len(table.keys)
    rows = np.arange(n)
    data = config.data
    if data.folds and data.fold:
        is_test = rows % data.folds == data.fold - 1
        others = rows[~is_test]
        chosen = {"test": rows[is_test], "validation": others[: max(len(others) // 3, 10)]}
    else:
        cut = author.sizes["validation"]
        chosen = {"validation": rows[:cut], "test": rows[cut:]}
    if data.text.stop_words == "all":
        chosen["test"] = chosen["test"][: len(chosen["test"]) - 2]
    return {part: table.of(of_part) for part, of_part in chosen.items()} | author.tests


def _probabilities(author: Author, tweets: Tweets, skill: float, way: str, own: np.random.Generator) -> Values:
    """A model's probabilities of the classes, (n, classes); `way` may make it answer one class, or leave ties."""
    k = len(author.classes)
    n = len(tweets.keys)
    if way == "one class":
        return np.tile(np.eye(k)[0] * 0.4 + 0.6 / k, (n, 1))
    logits = 1.5 * skill * np.eye(k)[tweets.labels] + tweets.hardness + 0.7 * own.normal(size=(n, k))
    exponents = np.exp(logits - logits.max(axis=1, keepdims=True))
    probabilities = exponents / exponents.sum(axis=1, keepdims=True)
    if way == "ties":
        probabilities = np.round(probabilities * 4) / 4
        probabilities[:, 0] = np.maximum(1 - probabilities[:, 1:].sum(axis=1), 0)
        probabilities /= probabilities.sum(axis=1, keepdims=True)
    return with_first_class(probabilities[:, 1:].astype(np.float32))


def write_run(author: Author, config: RunConfig, grid: str, skill: float, edit: int = 0) -> None:
    run_dir = author.run_dir(config, grid)
    if run_dir.path.exists():
        return
    if (config.run_id, edit) in author.written:  # the same run in another grid: training is deterministic
        shutil.copytree(author.written[config.run_id, edit], run_dir.path)
        return
    author.written[config.run_id, edit] = run_dir.path
    rng = author.rng
    parts = _parts(author, config, edit)
    tested = _tested(author, config, parts, skill, edit)
    data = fingerprint([config.data.model_dump(mode="json"), edit])
    has_corpus = author.results.corpus_dir(data).exists() or rng.random() >= 0.1  # it may be on another machine
    outcome = Outcome(
        data=data,
        table=fingerprint(["tweets.csv", edit]),
        tested=tested,
        gains=dict.fromkeys(PREDICTORS, 0.04),
        epochs=[_epoch(rng) for _ in range(EPOCHS)],
        texts=text_of if has_corpus else None,
        attention=[*_attention(author, parts["test"])] if config.model.pooling == "attention" else [],
        record={"attempts": _attempts(rng)},
        result={
            "best_epoch": rng.randrange(1, EPOCHS + 1),
            "class_shares": _majority(len(author.classes)),
            "temperatures": {"network": 1.5, "baseline": 0.9, "both": 0.8},
            "only_label": _only_class(tested["validation"]),
            "check_list": _check_list(rng) if config.data.is_english else {},
            "seconds_trained": rng.uniform(0.5, 4000),
        },
    )
    author.finished.append(author.write(config, grid, outcome))


def _tested(
    author: Author, config: RunConfig, parts: dict[Part, Tweets], skill: float, edit: int
) -> dict[Part, Tested]:
    """The answers of the predictors of a run."""
    way = author.rng.choice(["usual"] * 8 + ["one class", "ties"])
    of_text = fingerprint([config.data.text.model_dump(), config.data.fold, edit])
    linear = np.random.default_rng(int(of_text, 16) % 2**32)
    own = author.draws
    tested = {}
    for part, tweets in parts.items():
        network = _probabilities(author, tweets, skill, way, own)
        baseline = _probabilities(author, tweets, author.linear.get(config.data.text.stop_words, 0.8), "usual", linear)
        answers: dict[PredictorKind, Values] = {"network": network, "baseline": baseline}
        answers["both"] = _sharper((network + baseline) / 2)
        if config.data.is_english:
            lexicon = np.random.default_rng(7)
            answers["lexicon"] = _probabilities(author, tweets, 0.5, author.lexicon, lexicon)
        answers["majority"] = np.tile(_majority(len(author.classes)), (len(tweets.keys), 1))
        tested[part] = Tested(tweets.keys, tweets.labels, answers)
    return tested


def _majority(k: int) -> list[float]:
    """The shares of k classes among the training tweets."""
    return [index / (k * (k + 1) / 2) for index in range(1, k + 1)]


def _only_class(validation: Tested) -> int | None:
    network = Predictor("network", "network", validation.probabilities["network"])
    return AnswerTable(validation.keys, validation.labels, [network]).of("network").only_class


def _attempts(rng: random.Random) -> list[Any]:
    """One, or two of which a deadline stopped the first; on a processor or on a GPU, some without a known time."""
    is_gpu = rng.random() < 0.3
    cpu_seconds = rng.uniform(1, 5000)
    time: dict[str, float] | None = {"cpu_seconds": cpu_seconds, "gpu_seconds": rng.uniform(1, 900) if is_gpu else 0}
    if cpu_seconds < 500:
        time = None
    device = {"device": "NVIDIA H100 80GB HBM3"} if is_gpu else {}
    if rng.random() < 0.2:
        return [attempt(reason="deadline", last_step=20, compute_time=time, **device), attempt(first_step=15)]
    return [attempt(compute_time=time, **device)]


def _sharper(probabilities: Values) -> Values:
    powers = probabilities**1.25
    return with_first_class((powers / powers.sum(axis=1, keepdims=True))[:, 1:].astype(np.float32))


def _check_list(rng: random.Random) -> dict[PredictorKind, dict[str, CheckScore]]:
    kinds: tuple[PredictorKind, ...] = ("network", "baseline", "both", "lexicon")
    return {kind: {name: CheckScore(rng.randrange(n + 1), n) for name, n in _CAPABILITIES.items()} for kind in kinds}


def _epoch(rng: random.Random) -> dict[Part, tuple[float, float]]:
    changes: dict[Part, tuple[float, float]] = {}
    for part in ("train", "validation"):
        factor = rng.uniform(0.8, 1.3)
        changes[part] = (rng.uniform(-0.15, 0.08), factor)
    return changes


def _attention(author: Author, test: Tweets) -> Iterator[dict[str, Any]]:
    for tweet, label in zip(test.keys[:6].tolist(), test.labels[:6].tolist(), strict=True):
        tokens = author.rng.sample(_WORDS, 4)
        weights = [author.rng.random() for _ in tokens]
        weights = [weight / sum(weights) for weight in weights]
        row = {"tweet": tweet, "label": label, "predicted": author.rng.randrange(len(author.classes))}
        yield row | {"probability": author.rng.random(), "tokens": tokens, "weights": [weights, weights[::-1]]}


def text_of(key: int) -> str:
    """The text of a tweet, by its key."""
    return " ".join(random.Random(key).choices(_WORDS, k=5))


def _answers(author: Author, keys: npt.NDArray[np.int64], labels: npt.NDArray[np.int64], gaps: bool) -> dict[int, Any]:
    """What an added predictor says, with tweets that it doesn't answer, and answers that are none of the classes."""
    rng = author.rng
    k = len(author.classes)
    skill = rng.uniform(0.2, 1.0)
    other = rng.choice([0, 0, 0.05, 0.4]) if gaps else 0
    missing = rng.choice([0, 0, 0.1, 0.6]) if gaps else 0
    said: dict[int, Any] = {}
    for key, label in zip(keys.tolist(), labels.tolist(), strict=True):
        if rng.random() < missing:
            continue
        answer = label if rng.random() < skill else rng.randrange(k)
        said[key] = author.classes[answer]
        if rng.random() < other:
            said[key] = None
    return said


def write_answers(author: Author, folder: Path, name: str, said: dict[int, Any], **changes: Any) -> None:
    """An added predictor of which its author knows no more than of others."""
    rng = author.rng
    values: dict[str, Any] = {"file_sha256": f"{rng.randrange(16**8):064x}", "note": "asked"}
    values |= {"annotator": rng.random() < 0.3, "cost": rng.choice([None, 0.42]), "seconds": rng.choice([None, 95.0])}
    write_added(folder, name, said, **values | changes)


def add_to(author: Author, run_dir: RunDir) -> None:
    table = pq.read_table(run_dir.predictions_file, columns=["part", "tweet", "label"]).to_pandas()
    parts = ["validation", "test"] if author.rng.random() < 0.7 else ["test"]
    rows = table[table["part"].isin(parts)]
    said = _answers(author, rows["tweet"].to_numpy(), rows["label"].to_numpy().astype(np.int64), True)
    name = author.rng.choice(["llm", "Anna", "api 2"])
    write_answers(author, added_dir(author.results, run_dir), name, said)


def write_gold(author: Author, source: str) -> None:
    rng = author.rng
    tweets = draw_tweets(author, rng.choice([8, 40, 120]), author.shares)
    digest = fingerprint([source, len(tweets.keys)])
    directory = AnswersDir.of(author.results, source, digest)
    kinds: list[PredictorKind] = ["lexicon", "majority"] if rng.random() < 0.7 else ["majority"]
    predictors = []
    k = len(author.classes)
    for kind in kinds:
        values = _probabilities(author, tweets, 0.5, rng.choice(["usual", "ties"]), author.draws)
        if kind == "majority":
            values = np.tile(np.bincount(tweets.labels, minlength=k) / len(tweets.labels), (len(tweets.keys), 1))
        predictors.append(Predictor(kind, kind, values))
    keys = tweets.keys.tolist()
    table = AnswerTable(tweets.keys, tweets.labels, predictors, [*map(str, keys)], [*map(text_of, keys)])
    record: dict[str, Any] = {"source": source, "fingerprint": digest, "labels": " ".join(author.classes)}
    record |= {"kinds": kinds, "left_out": {"no label": 3}, "read_from": "0" * 64, "table_sha256": ""}
    directory.write(table, AnswersRecord.model_validate(record))
    for name in rng.sample(["llm", "Anna", "Ben", "api 2"], rng.choice([1, 2, 3])):
        said = _answers(author, tweets.keys, tweets.labels, rng.random() < 0.5)
        write_answers(author, directory.added, name, said)


def _damage(author: Author, run_dir: RunDir) -> None:
    """Damage or delete a file that belongs to a run."""
    added = added_dir(author.results, run_dir)
    corpus = author.results.corpus_dir(run_dir.read(RunRecord).data_fingerprint)
    files = [run_dir.predictions_file, run_dir.result_file, run_dir.metrics_file, run_dir.record_file]
    files += [corpus / MANIFEST, corpus / TWEETS_FILE, author.results.grid_file(run_dir.grid)]
    files += sorted(added.glob("*.json"))
    path = author.rng.choice([file for file in files if file.exists()])
    if author.rng.random() < 0.5:
        path.unlink()
    else:
        path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
