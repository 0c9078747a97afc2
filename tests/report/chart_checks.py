"""What each chart must draw, computed from run directories; and ways of drawing it wrongly, each of which must be seen.

A check is given a chart's specification in Vega-Lite and raises AssertionError if it draws anything else.
"""

import json
from collections import defaultdict
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest
from scipy import stats

from report.render import wording
from tests.report.made_up import BASELINE_INTERCEPT, BASELINE_WEIGHTS, TEMPERATURES
from tests.report.written import (
    Written,
    best_seed,
    by_configuration,
    completed,
    mean_f1,
    reads_random_numbers,
    recommended,
)

Spec = dict[str, Any]
Row = dict[str, Any]
Check = Callable[[str, Spec, list[Written]], None]
VALUES = ("value", "height", "count", "times", "y")
GROUPS = ("part", "model", "group", "line", "name")


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
    """What predicts has the star; the recommended configuration's mean with its interval; the baseline's accuracy."""
    group = recommended(runs)
    rows = rows_with(spec, "name", "value", "low", "high")
    means = {
        part: {
            model: 100 * float(np.mean([(run.result or {})[model][part]["accuracy"] for run in group]))
            for model in ("metrics", "baseline", "combination")
        }
        for part in ("validation", "test")
    }
    predicts = max(means["validation"], key=lambda model: means["validation"][model])
    (starred,) = [row for row in rows if row["name"].startswith("\u2605")]
    near([starred["value"]], [means["test"][predicts]])
    near([rows[int(predicts == "combination")]["value"]], [means["test"]["metrics"]])
    result = best_seed(group).result or {}
    n = result["metrics"]["test"]["n"]
    for row in rows:
        wilson = stats.binomtest(round(row["value"] / 100 * n), n).proportion_ci(method="wilson")
        assert row["low"] < row["value"] < row["high"]
        assert row["high"] - row["low"] > 0.6 * 100 * (wilson.high - wilson.low)  # for other tweets at least
    drawn = {row["name"].removeprefix("\u2605 "): row for row in rows}
    for name, part in (("Linear baseline", "baseline"), ("VADER\u2019s lexicon, not trained", "lexicon")):
        test = result[part]["test"]
        expected = [100 * test[key] for key in ("accuracy", "accuracy_low", "accuracy_high")]
        near([drawn[name][key] for key in ("value", "low", "high")], expected)


def check_question(name: str, spec: Spec, runs: list[Written]) -> None:
    """Mean differences between runs that differ in nothing else but their seeds, on the tweets that all have."""
    parameter = name.removeprefix("question-")
    for row in rows_with(spec, "name", "value", "low", "high"):
        title, _, grid = row["name"].removesuffix(")").partition(" (")
        tried = [grid] if grid else sorted({run.grid for run in runs})
        values = {wording.setting(parameter, run.settings.get(parameter)): run.settings.get(parameter) for run in runs}
        first, second = (values[one] for one in title.split(" \u2212 "))
        once = {run.path.name: run for run in reversed(completed(runs))}  # a run of several grids counts once
        of_grids = [[once[run.path.name] for run in completed(runs, one)] for one in tried]
        gaps = [_gap(one, parameter, first, second) for one in of_grids]
        assert any(gap is not None and abs(gap - row["value"]) < 1e-4 for gap in gaps), row
        if row["low"] is not None:
            assert row["low"] + 0.5 < row["value"] < row["high"] - 0.5


def _gap(runs: list[Written], parameter: str, first: Any, second: Any) -> float | None:
    """In points; what cleaning leaves nothing of are the last test tweets."""
    sides: dict[Any, dict[str, list[Any]]] = defaultdict(lambda: defaultdict(list))
    for run in runs:
        ignored = (parameter, "description", "seed")
        others = json.dumps({key: value for key, value in run.settings.items() if key not in ignored}, sort_keys=True)
        labels, scores, _ = run.predictions()
        sides[run.settings.get(parameter)][others].append((scores >= 0.5) == (labels == 1))
    both = [(sides[first][others], sides[second][others]) for others in sides[first] if others in sides[second]]
    if not both:
        return None
    n = min(len(one) for pair in both for side in pair for one in side)
    means = [[np.mean([one[:n].mean() for one in side]) for side in pair] for pair in both]
    return 100 * float(np.mean([one - other for one, other in means]))


def check_curves(name: str, spec: Spec, runs: list[Written]) -> None:
    """Training and validation after each epoch, as logged, and the epoch that is kept."""
    rows = rows_with(spec, "epoch", "part", "value", "best", "panel")
    if name == "curves-best":
        _one_run(
            rows, best_seed(recommended(runs)), {"loss (nats)": "loss", "accuracy (%)": "accuracy", "F1 (%)": "f1"}
        )
        return
    of_grid = by_configuration(completed(runs, name.removeprefix("curves-")))
    ordered = sorted(of_grid, key=lambda group: (reads_random_numbers(group[0]), -mean_f1(group)))
    for panel, group in zip(dict.fromkeys(row["panel"] for row in rows), ordered, strict=False):
        _one_run([row for row in rows if row["panel"] == panel], best_seed(group), {panel: "loss"})


def _one_run(rows: list[Row], run: Written, panels: dict[str, str]) -> None:
    expected = {
        (panel, part, row["epoch"]): (1 if metric == "loss" else 100) * row[key][metric]
        for panel, metric in panels.items()
        for key, part in (("train", "training"), ("validation", "validation"))
        for row in run.epochs
    }
    drawn = {(row["panel"], row["part"], row["epoch"]): row["value"] for row in rows}
    assert drawn == pytest.approx(expected)
    assert {row["epoch"] for row in rows if row["best"]} == {(run.result or {})["best_epoch"]}


def check_progress(name: str, spec: Spec, runs: list[Written]) -> None:
    """Validation accuracy of every run; the mean of all runs of a group at each epoch that all have."""
    drawn: dict[str, list[list[float]]] = defaultdict(list)
    lines: dict[str, list[Row]] = defaultdict(list)
    for row in rows_with(spec, "group", "x", "value", "line"):
        lines[row["line"]].append(row)
    for line in lines.values():
        if line[0]["style"] == "thin":
            drawn[line[0]["group"]].append([row["value"] for row in sorted(line, key=lambda one: one["x"])])
    expected: dict[str, list[list[float]]] = defaultdict(list)
    for run in completed(runs, name.removeprefix("progress-")):
        group = wording.parameter_value("model.pooling", run.settings["model.pooling"])
        expected[group].append([100 * row["validation"]["accuracy"] for row in run.epochs])
    for group, curves in expected.items():
        np.testing.assert_allclose(sorted(drawn[group]), sorted(curves))
    thick = [row for row in rows_with(spec, "line", "style") if row["style"] == "thick"]
    assert {row["line"] for row in thick} == {f"mean of {group}" for group in expected}
    for row in thick:
        near([row["value"]], [float(np.mean([curve[row["x"] - 1] for curve in expected[row["group"]]]))])


def _values(node: Spec) -> list[Row]:
    data = node.get("data")
    return list(data.get("values", [])) if isinstance(data, dict) else []


def check_confusion(_: str, spec: Spec, runs: list[Written]) -> None:
    """Tweets by label and answer of the recommended run and of the baseline."""
    labels, model, baseline = best_seed(recommended(runs)).predictions()
    said = {"best model": model, "linear baseline": baseline}
    names = ["negative", "positive"]
    for row in rows_with(spec, "model", "label", "answer", "count"):
        is_label, is_answer = (
            labels == names.index(row["label"]),
            (said[row["model"]] >= 0.5) == names.index(row["answer"]),
        )
        assert row["count"] == int((is_label & is_answer).sum())
        near([row["rate"]], [100 * row["count"] / int(is_label.sum())])


def check_reliability(_: str, spec: Spec, runs: list[Written]) -> None:
    """The share of positive tweets in ten groups of similar probability."""
    labels, model, baseline = best_seed(recommended(runs)).predictions()
    rows = rows_with(spec, "model", "predicted", "value", "low", "high")
    for name, scores in (("best model", model), ("linear baseline", baseline)):
        groups = np.array_split(np.argsort(scores, kind="stable"), 10)
        drawn = [row for row in rows if row["model"] == name]
        near([row["predicted"] for row in drawn], [100 * float(scores[group].mean()) for group in groups])
        near([row["value"] for row in drawn], [100 * float(labels[group].mean()) for group in groups])
        for row, group in zip(drawn, groups, strict=True):
            bounds = stats.binomtest(int(labels[group].sum()), len(group)).proportion_ci(method="wilson")
            near([row["low"], row["high"]], [100 * bounds.low, 100 * bounds.high])


def check_groups(_: str, spec: Spec, runs: list[Written]) -> None:
    """The accuracies of groups add up to that of all tweets."""
    labels, model, baseline = best_seed(recommended(runs)).predictions()
    rows = rows_with(spec, "model", "group", "value", "low", "high")
    for name, scores in (("best model", model), ("linear baseline", baseline)):
        drawn = [row for row in rows if row["model"] == name]
        sizes = [int(row["said"].split("n = ")[1].replace(",", "")) for row in drawn]
        assert sum(sizes) == len(labels)
        mean = float(np.average([row["value"] for row in drawn], weights=sizes))
        near([mean], [100 * float(((scores >= 0.5) == labels).mean())])
        for row, size in zip(drawn, sizes, strict=True):
            bounds = stats.binomtest(round(row["value"] / 100 * size), size).proportion_ci(method="wilson")
            near([row["low"], row["high"]], [100 * bounds.low, 100 * bounds.high])


def check_attention(name: str, spec: Spec, runs: list[Written]) -> None:
    """The weights of each tweet's tokens, in even shares: their mean is one, and they are those of the file."""
    files = [run.path / "attention.jsonl" for run in runs if (run.path / "attention.jsonl").exists()]
    samples = [json.loads(line) for line in files[0].read_text().splitlines()]
    expected = set()
    for sample in samples:
        hops = sample["weights"] if name.startswith("hops") else [np.mean(sample["weights"], axis=0)]
        expected |= {(round(float(w) * len(hop), 4), place) for hop in hops for place, w in enumerate(hop)}
    lines: dict[float, list[Row]] = defaultdict(list)
    for row in rows_with(spec, "token", "times", "x", "y"):
        lines[row["y"]].append(row)
    drawn = {
        (round(row["times"], 4), place)
        for line in lines.values()
        for place, row in enumerate(sorted(line, key=lambda one: one["x"]))
    }
    assert drawn <= expected
    if name.startswith("attention"):
        shown = {tuple(row["token"] for row in sorted(line, key=lambda one: one["x"])) for line in lines.values()}
        tweets = [sample["tokens"] for sample in samples if tuple(sample["tokens"])[:1] in {one[:1] for one in shown}]
        pieces = [row["reason"] for row in rows_with(spec, "reason", "x", "y")]
        assert pieces == [piece for tokens in tweets for piece in _reasons(tokens)]


def _reasons(tokens: list[str]) -> list[str]:
    """What the invented baseline says of a tweet, and by how much its log-odds fall without each word that it knows."""
    known = [BASELINE_WEIGHTS[token] for token in tokens if token in BASELINE_WEIGHTS]
    known = [weight / TEMPERATURES["baseline"] for weight in known]
    odds, intercept = sum(known) / len(known) ** 0.5, BASELINE_INTERCEPT / TEMPERATURES["baseline"]
    said = f"baseline, positive {100 / (1 + np.exp(-odds - intercept)):.1f} %:"
    falls = []
    for token in tokens:
        if token in BASELINE_WEIGHTS:
            rest = sum(known) - BASELINE_WEIGHTS[token] / TEMPERATURES["baseline"]
            fall = odds - rest / max(len(known) - 1, 1) ** 0.5
            falls.append((-abs(fall), f"{token} {wording.signed(fall)}"))
    return [said, *(piece for _, piece in sorted(falls))]


def mutated(spec: Spec) -> Iterator[tuple[str, Spec]]:
    """The specification with one mistake each, as far as there is anything to mistake."""
    changes = ((_swap, "groups swapped"), (_shift, "values shifted"), (_flatten, "intervals of no width"))
    for change, wrong in (*changes, (_exchange, "reasons of another tweet")):
        other = json.loads(json.dumps(spec))
        changed = [change(rows) for node in nodes(other) if (rows := _values(node))]
        if any(changed):
            yield wrong, other
    other = json.loads(json.dumps(spec))
    for node in nodes(other):
        if node.get("type") == "quantitative" and node.get("axis", True) is not None:
            node["scale"] = {**(node.get("scale") or {}), "reverse": True}
    if other != spec:
        yield "an axis turned round", other


def _swap(rows: list[Row]) -> bool:
    for group in GROUPS:
        names = list(dict.fromkeys(row[group] for row in rows if group in row))
        if len(names) > 1:
            turned = dict(zip(names, [*names[1:], names[0]], strict=True))
            for row in rows:
                row[group] = turned[row[group]]
            return True
    return False


def _shift(rows: list[Row]) -> bool:
    for value in VALUES:
        values = [row.get(value) for row in rows]
        if value in rows[0] and len({*values}) > 1:
            for row, other in zip(rows, [*values[1:], values[0]], strict=True):
                row[value] = other
            return True
    return False


def _exchange(rows: list[Row]) -> bool:
    if "reason" not in rows[0]:
        return False
    rows[-1]["reason"] = rows[0]["reason"]
    return True


def _flatten(rows: list[Row]) -> bool:
    changed = False
    for row in rows:
        if row.get("low") is not None and row["low"] < row["high"] - 1e-6:
            row["low"] = row["high"] = row["value"]
            changed = True
    return changed
