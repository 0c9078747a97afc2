"""The verdicts on stated hypotheses, written a second time: by the level at which an interval decides."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from statistics import fmean
from typing import Any

import numpy as np
from statsmodels.stats.multitest import multipletests

from tests.oracle.recompute_designs import (
    Side,
    Tested,
    by_seeds,
    datasets_of,
    drawn,
    drawn_gap,
    gap,
    matched_gap,
    matched_pairs,
    metric_of,
    same_data,
    same_validation,
    spread_of,
    unused,
    validation_right,
)
from tests.oracle.recompute_files import Grid, Row, Study
from tests.oracle.recompute_numbers import ALPHA, Gap, crossed, matched, pooled

_ONE_RUN = "no configuration has several seeds, and nothing is known of other seeds"
_OTHER_TWEETS = "the two sides were not tested on the same tweets"


class _OpenError(Exception):
    """Why a hypothesis cannot be judged."""


@dataclass
class _Judged:
    grid: Grid
    hypothesis: Row
    is_late: bool
    found: Gap | None = None
    selected: tuple[int, int] = (1, 1)
    runs: str = ""
    problem: str = ""
    outcome: str = "open"


def hypotheses(study: Study, tested: dict[str, list[Tested]]) -> list[Row]:
    rows: list[Row] = []
    for grid in study.grids:
        stated = grid.plan.get("hypotheses", []) if grid.plan else []
        judged = [_judged(each, grid, tested) for each in stated]
        for is_late in (False, True):
            family = [each for each in judged if each.is_late == is_late]
            rows += [_row(each) for each in _decided(family)]
    return rows


def _judged(stated: Row, grid: Grid, tested: dict[str, list[Tested]]) -> _Judged:
    judged = _Judged(grid, stated["hypothesis"], stated["results"] > 0)
    try:
        return _compared(judged, tested)
    except _OpenError as reason:
        return replace(judged, problem=str(reason))


def _compared(judged: _Judged, tested: dict[str, list[Tested]]) -> _Judged:
    hypothesis = judged.hypothesis
    (other,) = (hypothesis[f"{name}"] for name in _RELATIONS if hypothesis[name] is not None)
    metric = metric_of(tested[judged.grid.name])
    setting = hypothesis["setting"]
    if isinstance(other, dict):
        runs = _readable(tested[judged.grid.name])
        ours = _configurations([one for one in runs if not setting or _has(one, setting, hypothesis["values"])])
        if other["model"]:
            return _of(judged, [ours[0]], [ours[0][:1]], ours, metric, "baseline", (len(ours), 1))
        if other["grid"] not in tested or other["grid"] == "single":
            raise _OpenError(f"grid {other['grid']} is not in this report")
        theirs = _configurations(_readable(tested[other["grid"]]))
        if {one.id for one in ours[0]} & {one.id for one in theirs[0]}:
            raise _OpenError("both sides are the same runs")
        if not same_data(ours[0][0], theirs[0][0]):
            raise _OpenError(_OTHER_TWEETS)
        selected = len(ours), len(theirs)
        if hypothesis["measure"] != "score":
            selected = (len(ours) * len(theirs),) * 2
        return _of(judged, [ours[0]], [theirs[0]], [*ours, *theirs], metric, "network", selected)
    if judged.grid.plan and judged.grid.plan.get("halving"):
        raise _OpenError("the search gave up most trials early, and those that are left are no random sample")
    runs = _readable(tested[judged.grid.name])
    firsts = [one for one in runs if _has(one, setting, hypothesis["values"])]
    seconds = [one for one in runs if _has(one, setting, other)]
    if not firsts or not seconds:
        raise _OpenError("a side has no completed run")
    if judged.grid.plan and judged.grid.plan["method"] == "random":
        return _of_search(judged, by_seeds(firsts), by_seeds(seconds), metric)
    pairs = []
    for group, others in matched_pairs(firsts, seconds, setting):
        if _values(group, setting) == set(hypothesis["values"]) and _values(others, setting) == set(other):
            pairs.append((group, others))
    if not pairs:
        raise _OpenError("no runs with all of these values differ in this setting alone")
    return _of_pairs(judged, pairs, by_seeds(runs), metric)


_RELATIONS = ("better_than", "worse_than", "as_good_as", "no_better_than")


def _readable(tested: list[Tested]) -> list[Tested]:
    runs = [one for one in tested if one.test]
    if not runs:
        raise _OpenError("a side has no completed run")
    if len(datasets_of(None, runs)) > 1:
        raise _OpenError("the runs of a grid were tested on several data sets")
    return runs


def _has(one: Tested, setting: str, values: Sequence[Any]) -> bool:
    return not setting.startswith(unused(one.settings)) and one.settings[setting] in values


def _values(group: list[Tested], setting: str) -> set[Any]:
    return {one.settings[setting] for one in group}


def _configurations(runs: list[Tested]) -> list[list[Tested]]:
    """Those of which one could be recommended, the best on validation tweets first."""
    if not runs:
        raise _OpenError("a side has no completed run")
    (dataset,) = datasets_of(None, runs)
    return dataset.candidates


def _of_pairs(judged: _Judged, pairs: Any, configurations: list[list[Tested]], metric: str) -> _Judged:
    is_folded = pairs[0][0][0].is_cross_validated
    if not is_folded and spread_of(configurations, "network", metric) is None and len(pairs) > 1:
        runs = f"{sum(len(ours) for ours, _ in pairs)} and {sum(len(theirs) for _, theirs in pairs)}"
        if judged.hypothesis["measure"] == "score":
            found = matched_gap(pairs, "network", metric)
            if found is None:
                raise _OpenError(_OTHER_TWEETS)
        else:
            values = _measured(judged, [one for pair in pairs for side in pair for one in side])
            sides = [tuple(np.array([values[one] for one in side]) for side in pair) for pair in pairs]
            found = matched(sides, None, None)
        return replace(judged, found=found, runs=runs)
    firsts = [seeds for ours, _ in pairs for seeds in by_seeds(ours)]
    seconds = [seeds for _, theirs in pairs for seeds in by_seeds(theirs)]
    return _of(judged, firsts, seconds, configurations, metric)


def _of(
    judged: _Judged,
    firsts: Any,
    seconds: Any,
    pool: Any,
    metric: str,
    kind: str = "network",
    selected: tuple[int, int] = (1, 1),
) -> _Judged:
    """Over seeds, or folds."""
    runs = f"{sum(map(len, firsts))} and {sum(map(len, seconds)) if kind == 'network' else 'the baseline'}"
    if judged.hypothesis["measure"] == "score":
        spread = spread_of(pool, "network", metric)
        if spread is None and not firsts[0][0].is_cross_validated:
            raise _OpenError(_ONE_RUN)
        found = gap(Side(firsts, "network"), Side(seconds, kind), spread, metric)
        if found is None:
            raise _OpenError(_OTHER_TWEETS)
    else:
        used = [one for group in (*firsts, *seconds) for one in group]
        values = _measured(judged, used)
        spread = pooled([[float(values[one].mean()) for one in group] for group in by_seeds(used)])
        if spread is None:
            raise _OpenError(_ONE_RUN)
        sides = [[np.array([values[one] for one in group]) for group in side] for side in (firsts, seconds)]
        found = crossed(*sides, (True, True), None, spread, None)
    if found.is_conditional:
        raise _OpenError(_ONE_RUN)
    return replace(judged, found=found, runs=runs, selected=selected)


def _measured(judged: _Judged, runs: list[Tested]) -> Any:
    if any(one.is_cross_validated for one in runs):
        raise _OpenError("epochs and overfitting of cross-validated runs are not compared")
    if judged.hypothesis["measure"] == "epochs":
        return {one: np.array([fmean(result["best_epoch"] for result in one.results)]) for one in runs}
    if not all(one.part("validation") for one in runs) or not same_validation(runs):
        raise _OpenError("the two sides were not validated on the same tweets")
    return {one: one.first.measured("train")["accuracy"] - validation_right(one) for one in runs}


def _of_search(judged: _Judged, firsts: Any, seconds: Any, metric: str) -> _Judged:
    if min(len(firsts), len(seconds)) < 2:
        raise _OpenError("a side has one trial alone")
    if judged.hypothesis["measure"] == "score":
        found = drawn_gap(firsts, seconds, metric)
        if found is None:
            raise _OpenError(_OTHER_TWEETS)
    else:
        values = _measured(judged, [one for group in (*firsts, *seconds) for one in group])
        sides = [
            np.array([np.mean([values[one] for one in group], axis=0) for group in side]) for side in (firsts, seconds)
        ]
        found = drawn(sides[0], sides[1], None, None)
    return replace(judged, found=found, runs=f"{sum(map(len, firsts))} and {sum(map(len, seconds))}")


def _bounds(judged: _Judged, tail: float, ends: int = 1) -> tuple[float, float] | None:
    """The interval that leaves out `tail` at either end, divided for the side whose selection can move that end.

    Beyond a half, its bounds are on the other sides.
    """
    bounds = []
    for end, number in enumerate(judged.selected):
        own = tail / number
        low, high = judged.found.interval(1 - 2 * min(own, 1 - own), ends)
        if low is None or high is None:
            return None
        bounds.append((low, high)[end if own < 0.5 else 1 - end])
    return bounds[0], bounds[1]


def _region(hypothesis: Row) -> tuple[float, float]:
    margin = (hypothesis["within"] or 0) / (1 if hypothesis["measure"] == "epochs" else 100)
    is_good_low = hypothesis["measure"] != "score"
    if hypothesis["as_good_as"] is not None:
        return -margin, margin
    points_up = (hypothesis["better_than"] is not None) != is_good_low
    if hypothesis["no_better_than"] is not None:
        return (-margin, math.inf) if is_good_low else (-math.inf, margin)
    return (0.0, math.inf) if points_up else (-math.inf, 0.0)


def _outcome(judged: _Judged, tail: float) -> str:
    """By the interval that leaves out `tail` at either end; equality is false by that which leaves out half of it."""
    low, high = _region(judged.hypothesis)
    bounds = _bounds(judged, tail)
    ends = int(math.isfinite(low)) + int(math.isfinite(high))
    wider = _bounds(judged, tail / ends, ends)
    if bounds is None or wider is None:
        return "open"
    if low < bounds[0] and bounds[1] < high:
        return "shown"
    return "shown to be false" if wider[1] < low or wider[0] > high else "open"


def _tail(judged: _Judged) -> float:
    """The smallest part that the interval must leave out at either end for a decision."""
    least, most = 1e-14, 1 - 1e-14
    for _ in range(80):
        middle = math.sqrt(least * most)
        if _outcome(judged, middle) == "open":
            least = middle
        else:
            most = middle
    return most


def _decided(family: Sequence[_Judged]) -> list[_Judged]:
    known = [each for each in family if each.found and each.found.p is not None]
    tails = [_tail(each) for each in known]
    adjusted = multipletests(tails, ALPHA, method="fdr_bh")[1].tolist() if tails else []
    decisions = max(sum(q < ALPHA for q in adjusted), 1)
    for each, q in zip(known, adjusted, strict=True):
        tail = decisions * ALPHA / len(known)
        level = 1 - sum(tail / number for number in each.selected)
        assert each.found
        each.outcome = _outcome(each, tail)
        low, high = _bounds(each, tail) or (None, None)
        each.found = replace(each.found, q=q, level=level, low=low, high=high)
    return [*family]


def _row(judged: _Judged) -> Row:
    found = judged.found
    row: Row = {"outcome": judged.outcome}
    if found:
        row |= {"difference": found.value, "difference_low": found.low, "difference_high": found.high}
        row |= {"level": None if found.low is None else found.level, "adjusted_p": found.q}
        row["tweets"] = None if judged.hypothesis["measure"] == "epochs" else found.n
    return row
