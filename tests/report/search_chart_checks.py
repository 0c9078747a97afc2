"""What charts of searches, labels, cleaning and ELMo must draw, computed from run directories."""

import json
import math
from collections import defaultdict
from datetime import datetime
from itertools import pairwise
from typing import Any

import numpy as np
import pytest

from report.render import wording
from tests.report.chart_checks import Row, Spec, near, rows_with
from tests.report.written import Written, completed, reads_random_numbers

ALL_LABELS = 400
STOP_WORDS = "data.text.stop_words"
LAYERS = ["context-free", "first LSTM layer", "top LSTM layer"]


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


def check_importance(name: str, spec: Spec, runs: list[Written]) -> None:
    """What the score depends on comes first; shares are of one whole."""
    rows = rows_with(spec, "name", "value", "low", "high")
    trials = completed(runs, name.removeprefix("importance-"))
    scores = [(run.result or {})["metrics"]["validation"]["f1"] for run in trials]
    by_rate: dict[float, list[float]] = defaultdict(list)
    for run, score in zip(trials, scores, strict=True):
        by_rate[run.settings["training.learning_rate"]].append(score)
    within = sum(len(group) * np.var(group) for group in by_rate.values()) / len(scores)
    assert within < 0.2 * np.var(scores)
    assert rows[0]["name"] == "learning rate"
    assert [row["value"] for row in rows] == sorted((row["value"] for row in rows), reverse=True)
    assert sum(row["value"] for row in rows) == pytest.approx(100, abs=40)
    assert all(row["low"] - 1e-6 <= row["value"] <= row["high"] + 1e-6 for row in rows)


def check_cost(_: str, spec: Spec, runs: list[Written]) -> None:
    """Minutes from the attempts of each run, and its test accuracy."""
    drawn = {(row["group"].split()[0] == "ELMo", round(row["x"], 4), round(row["value"], 4)) for row in
             rows_with(spec, "group", "x", "value")}  # fmt: skip
    once = {run.path.name: run for run in reversed(completed(runs))}.values()
    expected = {(bool(run.config["elmo"]), round(_minutes(run), 4), round(run.accuracy, 4)) for run in once}
    assert drawn == expected


def _minutes(run: Written) -> float:
    attempts = json.loads((run.path / "run.json").read_text())["attempts"]
    return sum(
        (datetime.fromisoformat(one["end"]) - datetime.fromisoformat(one["start"])).total_seconds() / 60
        for one in attempts
    )


def check_layers(_: str, spec: Spec, runs: list[Written]) -> None:
    """The mean of each layer's learned weights over the runs that mix them."""
    once = {run.path.name: run for run in completed(runs)}.values()
    real = [run for run in once if not reads_random_numbers(run)]
    mixtures = [one for run in real if (one := (run.result or {})["mixture"])]
    for row in rows_with(spec, "name", "value"):
        near([row["value"]], [100 * float(np.mean([mixture[LAYERS.index(row["name"])] for mixture in mixtures]))])


def check_cleaning(name: str, spec: Spec, runs: list[Written]) -> None:
    """Differences of the baseline's accuracy on the tweets that both ways of cleaning leave: all but the last ones."""
    found: dict[str, Any] = {}
    for run in completed(runs, name.removeprefix("cleaning-")):
        labels, _, scores = run.predictions()
        found[wording.setting(STOP_WORDS, run.settings[STOP_WORDS])] = (scores >= 0.5) == (labels == 1)
    for row in rows_with(spec, "name", "value", "low", "high"):
        first, second = (found[one] for one in row["name"].split(" \u2212 "))
        n = min(len(first), len(second))
        near([row["value"]], [100 * float(first[:n].mean() - second[:n].mean())])
        assert row["low"] is None or row["low"] <= row["value"] <= row["high"] != row["low"]


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


def check_budget(_: str, spec: Spec, runs: list[Written]) -> None:
    """A full search ends with all its epochs, and near its best score; one in rungs with its best."""
    lines: dict[str, list[Row]] = defaultdict(list)
    for row in rows_with(spec, "group", "x", "value", "style"):
        lines[row["group"]].append(row)
    for line, rows in lines.items():
        of_grid = completed(runs, line.split(" (")[0])
        best = max(100 * (run.result or {})["metrics"]["validation"]["accuracy"] for run in of_grid)
        assert [row["x"] for row in rows] == sorted(row["x"] for row in rows)
        if rows[0]["style"] == "steps":
            near([rows[-1]["value"]], [best])
        else:
            values = [row["value"] for row in rows]
            assert values == sorted(values)
            assert best - 2 < values[-1] <= best + 1e-6
            assert rows[-1]["x"] == pytest.approx(sum((run.result or {})["epochs"] for run in of_grid))
