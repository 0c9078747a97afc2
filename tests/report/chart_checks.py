"""What each chart must draw, computed from run directories.

A check is given a chart's specification in Vega-Lite and raises AssertionError if it draws anything else.
`tests/mutants` has ways of drawing it wrongly.
"""

import json
import math
import re
from collections import defaultdict
from collections.abc import Callable, Iterator
from itertools import pairwise
from typing import Any

import numpy as np
import pytest
from scipy import stats

from report.render import wording
from tests.report.written import Written, best_seed, completed, recommended

Spec = dict[str, Any]
Row = dict[str, Any]
Check = Callable[[str, Spec, list[Written]], None]


def nodes(spec: Any) -> Iterator[dict[str, Any]]:
    """All objects within a specification."""
    if isinstance(spec, dict):
        yield spec
        for name, value in spec.items():
            if name != "values":
                yield from nodes(value)
    elif isinstance(spec, list):
        for one in spec:
            yield from nodes(one)


def rows_with(spec: Spec, *fields: str) -> list[Row]:
    """The rows of the first data in a specification that has these fields."""
    for node in nodes(spec):
        values = node.get("data", {}).get("values") if isinstance(node.get("data"), dict) else None
        if values and set(fields) <= values[0].keys():
            return list(values)
    raise AssertionError(f"nothing with {fields} is drawn")


def axes_ascend(spec: Spec) -> None:
    """Everything that is larger stands farther to the right, or higher."""
    for node in nodes(spec):
        assert not node.get("reverse"), "an axis is turned round"
        domain = node.get("domain")
        if isinstance(domain, list) and all(isinstance(one, int | float) for one in domain):
            assert domain == sorted(domain), "an axis is turned round"


def near(found: list[float], expected: list[float]) -> None:
    """Equal up to rounding."""
    assert found == pytest.approx(expected, abs=1e-4)


def check_answer(_: str, spec: Spec, runs: list[Written]) -> None:
    """The star is at the top, by what it stands for; the baseline's and the lexicon's accuracy."""
    group = recommended(runs)
    rows = rows_with(spec, "name", "value", "low", "high")
    assert [row["name"][0] == "\u2605" for row in rows] == [True] + [False] * (len(rows) - 1)
    model = "combination" if "Mean of" in rows[0]["name"] else "metrics"
    mean = np.mean([(run.result or {})[model]["test"]["accuracy"] for run in group])
    near([rows[0]["value"]], [100 * float(mean)])
    result, drawn = best_seed(group).result or {}, {row["name"]: row for row in rows}
    n = result["metrics"]["test"]["n"]
    for row in rows:
        wilson = stats.binomtest(round(row["value"] / 100 * n), n).proportion_ci(method="wilson")
        assert row["low"] < row["value"] < row["high"]
        assert row["high"] - row["low"] > 0.6 * 100 * (wilson.high - wilson.low)  # for other tweets at least
    for name, part in (("Linear baseline", "baseline"), ("VADER\u2019s lexicon, not trained", "lexicon")):
        test = result[part]["test"]
        expected = [100 * test[key] for key in ("accuracy", "accuracy_low", "accuracy_high")]
        near([drawn[name][key] for key in ("value", "low", "high")], expected)


def check_question(_: str, spec: Spec, runs: list[Written]) -> None:
    """Each difference within its interval, with digits for what is drawn."""
    for row in rows_with(spec, "name", "value", "low", "high", "shown"):
        assert row["low"] <= row["value"] <= row["high"]
        digits = re.findall(r"[\d.]+", row["shown"].replace("\u2212", "-"))
        assert [float(one) for one in digits] == pytest.approx(
            [abs(row[key]) for key in ("value", "low", "high")], abs=0.051
        )


def check_curves(_: str, spec: Spec, runs: list[Written]) -> None:
    """Training and validation after each epoch, as logged, and the epoch that is kept."""
    run = best_seed(recommended(runs))
    rows = rows_with(spec, "epoch", "part", "value", "best", "panel")
    panels = {"loss (nats)": "loss", "accuracy (%)": "accuracy", "F1 (%)": "f1"}
    expected = {
        (panel, part, row["epoch"]): (1 if metric == "loss" else 100) * row[key][metric]
        for panel, metric in panels.items()
        for key, part in (("train", "training"), ("validation", "validation"))
        for row in run.epochs
    }
    drawn = {(row["panel"], row["part"], row["epoch"]): row["value"] for row in rows}
    assert drawn == pytest.approx(expected)
    assert {row["epoch"] for row in rows if row["best"]} == {(run.result or {})["best_epoch"]}


def check_reliability(_: str, spec: Spec, runs: list[Written]) -> None:
    """The share of positive tweets in ten groups of similar probability."""
    labels, model, baseline = best_seed(recommended(runs)).predictions()
    rows = rows_with(spec, "group", "x", "value", "low", "high")
    for name, scores in (("net", model), ("linear baseline", baseline)):
        groups = np.array_split(np.argsort(scores, kind="stable"), 10)
        drawn = [row for row in rows if row["group"] == name]
        near([row["x"] for row in drawn], [100 * float(scores[group].mean()) for group in groups])
        near([row["value"] for row in drawn], [100 * float(labels[group].mean()) for group in groups])
        for row, group in zip(drawn, groups, strict=True):
            bounds = stats.binomtest(int(labels[group].sum()), len(group)).proportion_ci(method="wilson")
            near([row["low"], row["high"]], [100 * bounds.low, 100 * bounds.high])
    near([row["x"] for row in rows if row["group"] == "calibrated"], [0, 100])
    near([row["value"] for row in rows if row["group"] == "calibrated"], [0, 100])


def check_attention(_: str, spec: Spec, runs: list[Written]) -> None:
    """The weights of each tweet's tokens, in even shares: the mean over hops of those of the file."""
    files = [run.path / "attention.jsonl" for run in runs if (run.path / "attention.jsonl").exists()]
    samples = [json.loads(line) for line in files[0].read_text().splitlines()]
    expected = set()
    for sample in samples:
        mean = np.mean(sample["weights"], axis=0)
        expected |= {(round(float(w) * len(mean), 4), place) for place, w in enumerate(mean)}
    lines: dict[float, list[Row]] = defaultdict(list)
    for row in rows_with(spec, "token", "times", "x", "y"):
        lines[row["y"]].append(row)
    drawn = {
        (round(row["times"], 4), place)
        for line in lines.values()
        for place, row in enumerate(sorted(line, key=lambda one: one["x"]))
    }
    assert drawn == expected


ALL_LABELS = 400


def _trials(runs: list[Written], grid: str) -> list[Written]:
    return [run for run in runs if run.grid == grid]


def check_parallel(name: str, spec: Spec, runs: list[Written]) -> None:
    """Each trial's line passes its settings in their order, and ends at its validation F1."""
    lines: dict[int, list[Row]] = defaultdict(list)
    for row in rows_with(spec, "trial", "axis", "height", "score"):
        lines[row["trial"]].append(row)
    trials = completed(runs, name.removeprefix("parallel-"))
    scores = [100 * (run.result or {})["metrics"]["validation"]["f1"] for run in trials]
    drawn = {trial: sorted(line, key=lambda row: row["axis"]) for trial, line in lines.items()}
    near(sorted(line[-1]["score"] for line in drawn.values()), sorted(scores))
    low, high = min(scores), max(scores)
    for line in drawn.values():
        near([line[-1]["height"]], [(line[-1]["score"] - low) / (high - low)])
    for parameter in ("training.learning_rate", "model.dropout"):
        values = sorted({run.settings[parameter] for run in trials})
        title = wording.parameter_name(parameter)
        axis = next(row["axis"] for row in rows_with(spec, "axis", "title") if row["title"].split("|")[0] == title)
        shown = {line[0]["said"]: line[axis]["height"] for line in drawn.values()}
        by_value: dict[float, list[float]] = defaultdict(list)
        for said, height in shown.items():
            value = next(one for one in values if f"{wording.setting(parameter, one)}," in said.replace(";", ","))
            by_value[value].append(height)
        assert max(by_value[values[0]]) < 0.05
        assert min(by_value[values[-1]]) > 0.95
        for less, more in pairwise(values):
            assert max(by_value[less]) < min(by_value[more])


def check_importance(_: str, spec: Spec, runs: list[Written]) -> None:
    """What the score depends on comes first; shares are of one whole."""
    rows = rows_with(spec, "name", "value", "low", "high")
    assert rows[0]["name"].startswith("learning rate (+")
    assert [row["value"] for row in rows] == sorted((row["value"] for row in rows), reverse=True)
    assert sum(row["value"] for row in rows) == pytest.approx(100, abs=40)
    assert all(row["low"] - 1e-6 <= row["value"] <= row["high"] + 1e-6 for row in rows)


def check_labels(name: str, spec: Spec, runs: list[Written]) -> None:
    """Means over seeds by the number of labels, and the baseline's accuracy."""
    of_grid = completed(runs, name.removeprefix("labels-"))
    for row in rows_with(spec, "group", "x", "value", "low", "high"):
        same = [run for run in of_grid if _labels(run) == row["x"]]
        if row["group"] == "linear baseline":
            accuracies = {100 * (run.result or {})["baseline"]["test"]["accuracy"] for run in same}
            assert any(row["value"] == pytest.approx(one, abs=1e-4) for one in accuracies)
        else:
            vectors = "word2vec" in row["group"]
            seeds = [run.accuracy for run in same if (run.settings["embedding.pretrained"] == "word2vec") == vectors]
            near([row["value"]], [float(np.mean(seeds))])
        assert row["low"] < row["value"] < row["high"]


def _labels(run: Written) -> Any:
    return run.settings["data.train_rows"] or ALL_LABELS


def check_rungs(name: str, spec: Spec, runs: list[Written]) -> None:
    """Every trial's score after each epoch, by whether it was trained to the end."""
    expected = sorted(
        (bool(run.result), row["epoch"], round(100 * row["validation"]["accuracy"], 4))
        for run in _trials(runs, name.removeprefix("rungs-"))
        for row in run.epochs
    )
    drawn = sorted(
        (row["group"] == "trained to the end", row["x"], round(row["value"], 4))
        for row in rows_with(spec, "group", "x", "value")
    )
    assert drawn == expected
    for row in rows_with(spec, "group", "x", "value"):
        assert math.isclose(row["value"], float(row["said"].split(": ")[-1].removesuffix(" %")), abs_tol=0.051)


CHECKS: dict[str, Check] = {
    "answer": check_answer,
    "question-": check_question,
    "curves-best": check_curves,
    "reliability": check_reliability,
    "attention": check_attention,
    "parallel-": check_parallel,
    "importance-": check_importance,
    "labels-": check_labels,
    "rungs-": check_rungs,
}
