"""A study of invented runs, written in an instant by the project's own records: the same numbers on every machine."""

import json
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from report.build import build_report, compose
from report.compare.findings import Findings, analyse
from report.read import load_study
from report.render.blocks import Block, ReportTable
from report.render.page import render_markdown
from sentiment.answers.recommendation import recommend_model
from sentiment.answers.table import Added, read_predictions
from sentiment.config import RunConfig
from sentiment.config_file import resolve
from sentiment.data.corpus import Corpus
from sentiment.files import fingerprint, sha256_of, write_atomically
from sentiment.models.text_model import calibrated
from sentiment.runs.corpus_records import MANIFEST, Manifest
from sentiment.runs.records import (
    MODEL_KINDS,
    PREDICTORS,
    Attempt,
    CacheRecord,
    CheckScore,
    EncoderRecord,
    GridPlan,
    Metrics,
    ModelKind,
    Part,
    PlannedRun,
    PredictorKind,
    Result,
    RunRecord,
)
from sentiment.runs.run_dir import KEYS_FILE, TWEETS_FILE, Results, RunDir, sealed
from sentiment.statistics.metrics import measure, with_first_class
from sentiment.training.task import judge_overfit

Spec = dict[str, Any]
PARTS: dict[Part, int] = {"validation": 100, "test": 120, "manual": 60}
BASE: dict[str, Any] = {
    "data": {"source": "invented.csv", "tests": {"manual": {"path": "more.csv"}}},
    "training": {"epochs": 4},
}
TEMPERATURES: dict[ModelKind, float] = {"network": 1.5, "baseline": 0.9, "both": 0.6}
CLASS_SHARES = [0.4, 0.6]
# What a test wants to see escaped.
HOSTILE = [
    "<script>alert('tweet')</script> so sad",
    "**bold** _under_ `code` [link](javascript:alert(1)) | pipe | ![x](http://evil.example/x.png)",
    "\u202etxet desrever\u202c not happy",
    "# heading </td></tr></table> &lt;b&gt; $x^2$ ~~gone~~",
    "loooong" + "o" * 10_000,
]


@dataclass(frozen=True)
class Study:
    """Where invented runs are written, and how good each setting makes them."""

    results: Results
    parts: dict[Part, int] = field(default_factory=lambda: dict(PARTS))
    """How many tweets each part has."""
    turned: bool = False
    """Whether the labels of test tweets are turned round."""
    skills: dict[Part, float] = field(default_factory=dict)
    """The skill of all runs on some parts, whatever they have elsewhere."""
    every: dict[Part, int] = field(default_factory=dict)
    """Of how many tweets of a part one is positive, where it isn't one of two."""

    def write_grid(self, name: str, description: str, runs: Sequence[dict[str, Any]], **plan: Any) -> list[RunConfig]:
        """Plan a grid of `runs` (their parameters); nothing is run yet."""
        configs = [resolve(BASE, parameters, name) for parameters in runs]
        planned = [
            PlannedRun(index=index, run_id=config.run_id, parameters=dict(parameters))
            for index, (config, parameters) in enumerate(zip(configs, runs, strict=True))
        ]
        values = {
            "method": "grid",
            "planned_at": "2026-01-01T00:00:00+00:00",
            "metric": "validation/macro_f1",
            "goal": "maximize",
        } | plan
        values = {"base": "configs/runs/rnn.yaml", "name": name, "description": description, "runs": planned} | values
        self.results.write_grid(GridPlan.model_validate(values))
        return configs

    def single(self, parameters: dict[str, Any], **changes: Any) -> RunDir:
        return self.complete(resolve(BASE, parameters, "base"), **changes)

    def findings(self) -> Findings:
        return analyse(load_study(self.results, []))

    def report(self, folder: Path) -> str:
        """The report of all runs in Markdown, written into a folder."""
        build_report(self.results, [], folder)
        return (folder / "report.md").read_text(encoding="utf-8")

    def text(self) -> str:
        """The report in Markdown, without its drawings."""
        return render_markdown(compose(self.findings()))

    def run_dir(self, config: RunConfig, grid: str = "single") -> RunDir:
        return self.results.run_dir(config.run_id, grid)

    def complete(
        self,
        config: RunConfig,
        grid: str = "single",
        skill: float = 1.0,
        emptied: int = 0,
        linear: float = 0.9,
        corpus: Corpus | None = None,
        **record: Any,
    ) -> RunDir:
        """Write all files of a completed run; of the last `emptied` test tweets cleaning leaves nothing.

        Its scores' distance of the classes is `skill`, that of its baseline's `linear`. Tweets and labels are those of
        `corpus`, if there is one.
        """
        run_dir = self.run_dir(config, grid)
        run_dir.create(config)
        rng = np.random.default_rng(int(fingerprint([config.seed, skill]), 16) % 2**32)
        scores, keys = {}, {}
        for part, (labels, keys_of_part) in self._tested(config, corpus).items():
            kept = len(labels) - (emptied if part == "test" else 0)
            drawn = _scores(part, labels, (self.skills.get(part, skill), linear), rng)
            scores[part] = tuple(values[:kept] for values in drawn)
            keys[part] = keys_of_part[:kept]
        if self.turned:
            scores["test"] = (1 - scores["test"][0], *scores["test"][1:])
        data = corpus.fingerprint if corpus else fingerprint(config.data.model_dump(mode="json"))
        self._write_corpus(data, min(config.data.train_rows or 400, 400), scores, keys)
        _write_predictions(run_dir, scores, keys)
        if config.model.pooling == "attention":
            _write_attention(run_dir)
        table = corpus.report.table_sha256 if corpus else fingerprint(config.data.source)
        run_record = {
            "data_fingerprint": data,
            "table_sha256": table,
            "attempts": [attempt()],
            "encoder": _elmo(config),
        } | record
        run_dir.write_record(new_record(config, **run_record))
        result = _result(config, skill, scores)
        _write_epochs(run_dir, result.metrics)
        validation = read_predictions(run_dir, result, "validation", config.data.label_names)
        recommended = recommend_model(validation, config.training.early_stopping.metric)
        run_dir.write_record(result.model_copy(update={"recommended": recommended}))
        return run_dir

    def add(self, run_dir: RunDir, name: str, said: dict[int, float | None], **fields: Any) -> Path:
        """Write what `sentiment add` would: the second class from .5 on, else the first."""
        names = run_dir.read_config().data.label_names
        predictions = {tweet: None if value is None else names[value >= 0.5] for tweet, value in said.items()}
        path = self.results.added_dir(run_dir.read(RunRecord).data_fingerprint) / f"{name}.json"
        path.parent.mkdir(parents=True, exist_ok=True)
        values = {"file": "x.csv", "file_sha256": "a" * 64, "note": "", "annotator": False, "tweets": len(said)}
        values |= {"cost": None, "seconds": None, "predictions": predictions} | fields
        write_atomically(path, sealed(Added.model_validate(values)))
        return path

    def _tested(self, config: RunConfig, corpus: Corpus | None) -> dict[Part, tuple[Any, Any]]:
        """Labels and keys by part; each fold has tweets of its own, but for further test sets."""
        if corpus:
            rows = {part: corpus.rows(part) for part in corpus.part_names[1:]}
            return {part: (corpus.labels[of_part], corpus.keys[of_part]) for part, of_part in rows.items()}
        tested: dict[Part, tuple[Any, Any]] = {}
        first = 0
        for part, n in self.parts.items():
            every = self.every.get(part, 2)
            fold = config.data.fold if part in ("validation", "test") else None
            keys = np.arange(first, first + n) + 10_000 * (fold or 0)
            tested[part] = ((np.arange(n) % every == every - 1).astype(np.int8), keys)
            first += n
        return tested

    def _write_corpus(
        self, data: str, trained: int, scores: dict[Part, tuple[Any, ...]], keys: dict[Part, Any]
    ) -> None:
        folder = self.results.corpus_dir(data)
        if folder.exists():
            return
        folder.mkdir(parents=True)
        texts = [f"tweet {number} is {'not ' * (number % 3 == 0)}good" for number in range(sum(self.parts.values()))]
        for place, text in enumerate(HOSTILE):  # on tweets that any model has wrong, so that they are shown
            texts[self.parts["validation"] + place] = text
        columns: dict[str, list[Any]] = {"part": [], "label": [], "text": []}
        for part, (labels, *_) in scores.items():
            columns["part"] += [part] * len(labels)
            columns["label"] += labels.tolist()
            columns["text"] += [texts[key % 10_000] for key in keys[part]]
        pq.write_table(pa.table(columns), folder / TWEETS_FILE)
        np.save(folder / KEYS_FILE, np.concatenate(list(keys.values())))
        sizes = {"train": trained, **self.parts}
        report = {"classes": ["negative", "positive"], "tests": {}, "extra_train": [], "refused": {}, "remarks": {}}
        report |= {"parts": {part: {"rows": n, "classes": [n // 2, n // 2]} for part, n in sizes.items()}}
        report |= {"read": 300, "kept": 280, "left_out": {"duplicates dropped": 20}, "tokens": 1, "types": 1}
        digests = {name: sha256_of(folder / name) for name in (TWEETS_FILE, KEYS_FILE)}
        values = {
            "fingerprint": data,
            "report": report | {"table_sha256": "0" * 64, "unnamed_authors": {}},
            "sha256": digests,
        }
        write_atomically(folder / MANIFEST, sealed(Manifest.model_validate(values)))


def nodes(spec: Any) -> Iterator[Spec]:
    """All objects within a specification of Vega-Lite, but for rows of data."""
    if isinstance(spec, dict):
        yield spec
        spec = [value for name, value in spec.items() if name != "values"]
    for one in spec if isinstance(spec, list) else ():
        yield from nodes(one)


def rows_with(spec: Spec, *fields: str) -> list[dict[str, Any]]:
    """The rows of the first data in a specification that has these fields."""
    data = [node["data"]["values"] for node in nodes(spec) if isinstance(node.get("data"), dict)]
    return next(list(values) for values in data if values and set(fields) <= values[0].keys())


def tables_of(blocks: Iterable[Block]) -> dict[str, ReportTable]:
    """The tables of a report or of a section, by name."""
    return {block.name: block for block in blocks if isinstance(block, ReportTable)}


def read_table(folder: Path, name: str) -> list[dict[str, Any]]:
    """The rows of a table of the report in `folder`; what is empty is None."""
    table = pd.read_csv(folder / "tables" / f"{name}.csv").astype(object)
    return table.where(table.notna(), None).to_dict("records")  # type: ignore[return-value]


def attempt(**changes: Any) -> Attempt:
    values = {"host": "node-1", "pid": 7, "job": "41_0", "code": "c"}
    values |= {"device": "cpu", "threads": 2, "versions": {"python": "3.12.1", "torch": "2.6.0"}}
    values |= {"git_commit": "c0ffee" * 6 + "c0ff", "git_dirty": False, "git_remote": "https://host.org/me/tweets"}
    values |= {"first_step": 0, "last_step": 40, "start": "2026-01-01T10:00:00+00:00", "reason": "completed"}
    values |= {"end": "2026-01-01T10:01:00+00:00", "compute_time": {"cpu_seconds": 90, "gpu_seconds": 0}}
    return Attempt.model_validate(values | changes)


def new_record(config: RunConfig, **changes: Any) -> RunRecord:
    values = {"run_id": config.run_id, "data_fingerprint": "0" * 64}
    values |= {"table_sha256": "0" * 64}
    values |= {"dataset": "sentiment140" if config.data.source == "sentiment140" else "table"}
    values |= {"attempts": [attempt()]}
    values |= {"command": ["__main__.py", "train", "configs/runs/rnn.yaml"]}
    return RunRecord.model_validate(values | changes)


def _result(config: RunConfig, skill: float, scores: dict[Part, tuple[Any, ...]]) -> Result:
    kinds = [kind for kind in PREDICTORS if kind != "lexicon" or config.data.is_english]
    measured: dict[PredictorKind, dict[Part, Metrics]] = {}
    for kind in kinds:
        measured[kind] = {
            part: _measured(labels.tobytes(), _probabilities(kind, model, linear).tobytes())
            for part, (labels, model, linear) in scores.items()
        }
        by = {"network": 0.02 + 0.06 * skill, "lexicon": 0.0}.get(kind, 0.02)
        measured[kind]["train"] = _better(measured[kind]["validation"], by)
    network = measured["network"]
    return Result(
        run_id=config.run_id,
        stopped_by="all epochs",
        epochs=4,
        steps=40,
        best_epoch=3,
        parameters=1000 * config.model.hidden_size,
        scores=measured,
        class_shares=CLASS_SHARES,
        recommended="network",
        temperatures=TEMPERATURES,
        check_list=_check_list(skill) if config.data.is_english else {},
        baseline_settings={"C": 1.0},
        overfit=judge_overfit(network["train"].accuracy, network["validation"].accuracy),
        encoder=_elmo(config),
        mixture=[0.5, 0.3, 0.2] if config.elmo and config.elmo.layers == "mix" else None,
        seconds_trained=0.04 * config.model.hidden_size,
        files_sha256={},
        weights_sha256="0" * 64,
    )


def _probabilities(kind: PredictorKind, model: Any, linear: Any) -> Any:
    """Of a predictor, from those of the network and of the baseline."""
    if kind == "both":
        return calibrated(with_first_class((model + linear)[:, None] / 2), TEMPERATURES["both"])[:, 1]
    majority = np.full(len(linear), np.float32(CLASS_SHARES[1]), np.float64)
    return {"network": model, "baseline": linear, "lexicon": linear**2, "majority": majority}[kind]


def _check_list(skill: float) -> dict[PredictorKind, dict[str, CheckScore]]:
    right = {kind: min(12, place + round(6 * skill)) for place, kind in enumerate([*MODEL_KINDS, "lexicon"])}
    return {kind: {"but": CheckScore(n, 12), "not good": CheckScore(n // 2, 14)} for kind, n in right.items()}


def _elmo(config: RunConfig) -> EncoderRecord | None:
    if config.elmo is None:
        return None
    model = config.elmo.model
    cache = CacheRecord(folder=model, cpu_seconds=30, gpu_seconds=20)
    return EncoderRecord(model=model, fingerprint="e" * 64, cache=cache)


def _scores(part: Part, labels: Any, skills: tuple[float, float], rng: np.random.Generator) -> tuple[Any, Any, Any]:
    """Labels, a model's and the baseline's probabilities; the first test tweets are wrong with certainty."""
    n = len(labels)
    model = 1 / (1 + np.exp(-(skills[0] * (2 * labels - 1) + rng.normal(size=n))))
    linear = 1 / (1 + np.exp(-(skills[1] * (2 * labels - 1) + np.random.default_rng(5).normal(size=n))))
    if part == "test":
        certain = len(HOSTILE)
        model[:certain] = np.where(labels[:certain] == 1, 0.001, 0.999)
    return labels, model.astype(np.float32).astype(np.float64), linear.astype(np.float32).astype(np.float64)


@cache
def _measured(labels: bytes, probabilities: bytes) -> Metrics:
    return measure(np.frombuffer(labels, np.int8), with_first_class(np.frombuffer(probabilities, np.float64)[:, None]))


def _better(metrics: Metrics, by: float) -> Metrics:
    update: dict[str, Any] = {"accuracy": min(1.0, metrics.accuracy + by), "loss": metrics.loss * 0.8}
    for name in ("precision", "recall"):
        update[name] = [min(1.0, score + by) for score in getattr(metrics, name)]
    return metrics.model_copy(update=update)


def _write_epochs(run_dir: RunDir, network: dict[Part, Metrics]) -> None:
    rows: list[dict[str, Any]] = []
    for epoch, (rise, loss) in enumerate(((-0.1, 1.2), (-0.02, 1.05), (0.0, 1.0), (-0.01, 1.1)), 1):
        rows.append({"kind": "step", "step": 10 * epoch, "epoch": epoch, "loss": 0.5})
        rows.append({"kind": "epoch", "step": 10 * epoch, "epoch": epoch, "best": epoch == 3})
        for part, factor in (("train", 1.3 - 0.1 * epoch), ("validation", loss)):
            metrics = network[part]
            changes = {"accuracy": metrics.accuracy + rise, "loss": metrics.loss * factor}
            rows[-1][part] = metrics.model_copy(update=changes).model_dump()
    run_dir.metrics_file.write_text("".join(json.dumps(row) + "\n" for row in rows))


def _write_predictions(run_dir: RunDir, scores: dict[Part, tuple[Any, ...]], keys: dict[Part, Any]) -> None:
    tables = []
    for part, (labels, model, linear) in scores.items():
        columns: dict[str, Any] = {"part": pa.array([part] * len(labels)).dictionary_encode()}
        columns |= {"tweet": pa.array(keys[part], pa.int64()), "label": pa.array(labels, pa.int8())}
        for kind in PREDICTORS:
            columns[f"{kind}_positive"] = pa.array(_probabilities(kind, model, linear).astype(np.float32))
        tables.append(pa.table(columns))
    pq.write_table(pa.concat_tables(tables).unify_dictionaries(), run_dir.predictions_file)


def _write_attention(run_dir: RunDir) -> None:
    tweets = (
        (1, 1, 0.9, ["so", "happy", "<script>"], [0.1, 0.7, 0.2]),
        (0, 1, 0.8, ["not", "\u202e", "x" * 10_000], [0.5, 0.3, 0.2]),
    )
    names = ("tweet", "label", "predicted", "probability", "tokens", "weights")
    rows = [(100 + place, *one, [weights, weights[::-1]]) for place, (*one, weights) in enumerate(tweets)]
    run_dir.attention_file.write_text("".join(json.dumps(dict(zip(names, row, strict=True))) + "\n" for row in rows))
