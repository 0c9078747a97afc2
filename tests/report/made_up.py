"""A study of invented runs of two classes, of which a test chooses how good each is: the same on every machine."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from report.build import build_report, compose
from report.compare.findings import Findings, analyse
from report.read import load_study
from report.render.blocks import Block
from report.render.page import render_markdown
from sentiment.blocks.content import DataTable
from sentiment.config import RunConfig
from sentiment.files import fingerprint
from sentiment.models.text_model import calibrated
from sentiment.runs.records import MODEL_KINDS, PREDICTORS, CheckScore, ModelKind, Part, PredictorKind
from sentiment.runs.run_dir import RunDir
from sentiment.statistics.metrics import with_first_class
from tests import invented
from tests.invented import Tested, added_dir, write_added

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

_ATTENTION = [
    {"tweet": 100, "label": 1, "predicted": 1, "probability": 0.9, "tokens": ["so", "happy", "<script>"]}
    | {"weights": [[0.1, 0.7, 0.2], [0.2, 0.7, 0.1]]},
    {"tweet": 101, "label": 0, "predicted": 1, "probability": 0.8, "tokens": ["not", "\u202e", "x" * 10_000]}
    | {"weights": [[0.5, 0.3, 0.2], [0.2, 0.3, 0.5]]},
]

_EPOCHS: list[dict[Part, tuple[float, float]]] = [
    {"train": (-0.1, 1.2), "validation": (-0.1, 1.2)},
    {"train": (-0.02, 1.1), "validation": (-0.02, 1.05)},
    {"train": (0.0, 1.0), "validation": (0.0, 1.0)},
    {"train": (-0.01, 0.9), "validation": (-0.01, 1.1)},
]


@dataclass
class Study(invented.Study):
    """Where a test writes runs, and how good each setting makes them."""

    base: dict[str, Any] = field(default_factory=lambda: BASE)
    parts: dict[Part, int] = field(default_factory=lambda: dict(PARTS))
    """How many tweets each part has."""
    turned: bool = False
    """Whether the labels of test tweets are turned round."""
    skills: dict[Part, float] = field(default_factory=dict)
    """The skill of all runs on some parts, whatever they have elsewhere."""
    every: dict[Part, int] = field(default_factory=dict)
    """Of how many tweets of a part one is positive, where it isn't one of two."""

    def single(self, parameters: dict[str, Any], **changes: Any) -> RunDir:
        return self.complete(self.config(parameters), **changes)

    def findings(self) -> Findings:
        return analyse(load_study(self.results, []))

    def report(self, folder: Path) -> str:
        """The report of all runs in Markdown, written into a folder."""
        build_report(self.results, [], folder)
        return (folder / "report.md").read_text(encoding="utf-8")

    def text(self) -> str:
        """The report in Markdown, without its drawings."""
        return render_markdown(compose(self.findings()))

    def complete(
        self,
        config: RunConfig,
        grid: str = "single",
        skill: float = 1.0,
        emptied: int = 0,
        linear: float = 0.9,
        **record: Any,
    ) -> RunDir:
        """Write all files of a completed run; of the last `emptied` test tweets cleaning leaves nothing.

        Its scores' distance of the classes is `skill`, that of its baseline's `linear`.
        """
        known = "sentiment140" if config.data.source == "sentiment140" else "table"
        result: dict[str, Any] = {"class_shares": CLASS_SHARES, "temperatures": TEMPERATURES}
        result["check_list"] = _check_list(skill) if config.data.is_english else {}
        outcome = invented.Outcome(
            data=fingerprint(config.data.model_dump(mode="json")),
            table=fingerprint(config.data.source),
            tested=self._tested(config, (skill, linear), emptied),
            gains={"network": 0.02 + 0.06 * skill, "lexicon": 0.0},
            epochs=_EPOCHS,
            texts=self._text,
            attention=_ATTENTION,
            record={"dataset": known} | record,
            result=result | {"seconds_trained": 0.04 * config.model.hidden_size},
        )
        return self.write(config, grid, outcome)

    def add(self, run_dir: RunDir, name: str, said: dict[int, float | None], **fields: Any) -> Path:
        """Write what `sentiment add` would: the second class from .5 on, else the first."""
        predictions = {tweet: None if value is None else self.classes[value >= 0.5] for tweet, value in said.items()}
        return write_added(added_dir(self.results, run_dir), name, predictions, **fields)

    def _tested(self, config: RunConfig, skills: tuple[float, float], emptied: int) -> dict[Part, Tested]:
        """Each part's tweets and answers; each fold has tweets of its own, but for further test sets."""
        rng = np.random.default_rng(int(fingerprint([config.seed, skills[0]]), 16) % 2**32)
        kinds = [kind for kind in PREDICTORS if kind != "lexicon" or config.data.is_english]
        tested: dict[Part, Tested] = {}
        first = 0
        for part, n in self.parts.items():
            every = self.every.get(part, 2)
            fold = config.data.fold if part in ("validation", "test") else None
            keys = np.arange(first, first + n) + 10_000 * (fold or 0)
            labels = (np.arange(n) % every == every - 1).astype(np.int64)
            first += n
            model, linear = _answers(part, labels, (self.skills.get(part, skills[0]), skills[1]), rng)
            if part == "test" and self.turned:
                labels = 1 - labels
            kept = n - (emptied if part == "test" else 0)
            probabilities = {kind: _probabilities(kind, model[:kept], linear[:kept]) for kind in kinds}
            tested[part] = Tested(keys[:kept], labels[:kept], probabilities)
        return tested

    def _text(self, key: int) -> str:
        """Tweets that any model has wrong are hostile ones, so that they are shown."""
        number = key % 10_000
        hostile = number - self.parts["validation"]
        if 0 <= hostile < len(HOSTILE):
            return HOSTILE[hostile]
        return f"tweet {number} is {'not ' * (number % 3 == 0)}good"


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


def tables_of(blocks: Iterable[Block]) -> dict[str, DataTable]:
    """The tables of a report or of a section, by name."""
    return {block.name: block for block in blocks if isinstance(block, DataTable)}


def read_table(folder: Path, name: str) -> list[dict[str, Any]]:
    """The rows of a table of the report in `folder`; what is empty is None."""
    table = pd.read_csv(folder / "tables" / f"{name}.csv").astype(object)
    return table.where(table.notna(), None).to_dict("records")


def _probabilities(
    kind: PredictorKind, model: npt.NDArray[np.float64], linear: npt.NDArray[np.float64]
) -> npt.NDArray[np.float64]:
    """Of a predictor, (n, 2), from those of the second class of the network and of the baseline."""
    majority = np.full(len(linear), CLASS_SHARES[1])
    later = {"network": model, "baseline": linear, "lexicon": linear**2, "majority": majority}.get(kind)
    if later is None:
        later = calibrated(with_first_class((model + linear)[:, None] / 2), TEMPERATURES["both"])[:, 1]
    return with_first_class(later.astype(np.float32).astype(np.float64)[:, None])


def _check_list(skill: float) -> dict[PredictorKind, dict[str, CheckScore]]:
    right = {kind: min(12, place + round(6 * skill)) for place, kind in enumerate([*MODEL_KINDS, "lexicon"])}
    return {kind: {"but": CheckScore(n, 12), "not good": CheckScore(n // 2, 14)} for kind, n in right.items()}


def _answers(part: Part, labels: Any, skills: tuple[float, float], rng: np.random.Generator) -> tuple[Any, Any]:
    """A model's and the baseline's probabilities; the first test tweets are wrong with certainty."""
    n = len(labels)
    model = 1 / (1 + np.exp(-(skills[0] * (2 * labels - 1) + rng.normal(size=n))))
    linear = 1 / (1 + np.exp(-(skills[1] * (2 * labels - 1) + np.random.default_rng(5).normal(size=n))))
    if part == "test":
        certain = len(HOSTILE)
        model[:certain] = np.where(labels[:certain] == 1, 0.001, 0.999)
    return model.astype(np.float32).astype(np.float64), linear.astype(np.float32).astype(np.float64)
