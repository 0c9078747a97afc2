"""The second opinion on the effects of settings."""

import math
from collections import defaultdict
from itertools import combinations
from statistics import fmean
from typing import Any

import numpy as np

from tests.oracle.recompute_designs import (
    Dataset,
    Side,
    Tested,
    by_seeds,
    corrected,
    datasets_of,
    gap,
    matched_gap,
    mean_of,
    metric_of,
    only_label,
    score,
    spread_of,
    unused,
    varying,
)
from tests.oracle.recompute_files import Grid, Row
from tests.oracle.recompute_numbers import Gap, bounds


def effects(grid: Grid, tested: list[Tested]) -> list[Row]:
    """Each setting's best value on validation tweets against every other one; all pairs of values are a family."""
    if grid.plan and (grid.plan["method"] == "random" or grid.plan["halving"]):
        return []
    metric = metric_of(tested)
    rows: list[Row] = []
    for kind in ("network", "baseline"):
        names = varying(tested)
        if kind == "baseline":
            names = [name for name in names if name.startswith("data.text.")]
        for effect in _effects_of(tested, names, kind, metric):
            rows += _effect_rows(effect, metric)
    return rows


def label_tables(grid: Grid, tested: list[Tested]) -> dict[str, list[Row]]:
    """Each configuration against the baseline of as many labelled tweets; all of a data set are a family."""
    metric = metric_of(tested)
    tables = {}
    for number, dataset in enumerate(datasets_in_order(tested)):
        if "data.train_rows" not in varying(dataset.tested):
            continue
        configurations = by_seeds(dataset.tested)
        spread = spread_of(configurations, "network", metric)
        gaps = {}
        rows = []
        for position, group in enumerate(configurations):
            readable = [one for one in group if one.test is not None]
            baseline = Side([readable[:1]], "baseline")
            gaps[position] = gap(Side([group], "network"), baseline, spread, metric)
            row: Row = {"train_rows": group[0].settings["data.train_rows"]}
            row |= bounds("score", score(Side([readable], "network"), spread, metric))
            rows.append(row | bounds("baseline", score(baseline, None, metric)))
        for position, found in corrected(gaps).items():
            rows[position] |= bounds("gain_over_baseline", found) | {"adjusted_p": found.q}
        tables[f"labels-{grid.name}{f'-{number}' if number else ''}"] = [
            rows[position] for position in gaps if gaps[position]
        ]
    return tables


def _effects_of(runs: list[Tested], names: list[str], kind: str, metric: str) -> list[Row]:
    effects = []
    for group in (dataset.tested for dataset in datasets_in_order(runs)):
        spread = spread_of(by_seeds(group), "network", metric) if kind == "network" else None
        found = [_effect(group, [name], kind, metric, spread) for name in names]
        found = [effect for effect in found if len(effect["values"]) > 1]
        never_alone = [effect["names"][0] for effect in found if not effect["contrasts"]]
        if kind == "network" and len(never_alone) > 1:
            together = _effect(group, never_alone, kind, metric, spread)
            if together["contrasts"]:
                found = [effect for effect in found if effect["contrasts"]] + [together]
        effects += found
    hypotheses = sum(math.comb(len(effect["values"]), 2) for effect in effects)
    keys = {
        (number, value): pair["gap"]
        for number, effect in enumerate(effects)
        for value, pair in effect["contrasts"].items()
    }
    for (number, value), contrast in corrected(keys, hypotheses).items():
        effects[number]["contrasts"][value]["gap"] = contrast
    return effects


def datasets_in_order(runs: list[Tested]) -> list[Dataset]:
    """The data sets of some runs, in the order of the runs."""
    datasets = datasets_of(None, runs)
    return sorted(datasets, key=lambda dataset: runs.index(dataset.tested[0]))


def _effect(runs: list[Tested], names: list[str], kind: str, metric: str, spread: Any) -> Row:
    """Of one setting, or of several that never vary alone; a value is a tuple with one entry for each."""
    values: dict[Any, list[Tested]] = defaultdict(list)
    for one in runs:
        has_effect = [not name.startswith(unused(one.settings)) for name in names]
        if len(names) > 1 or has_effect[0]:
            value = tuple(one.settings.get(name) if has else None for name, has in zip(names, has_effect, strict=True))
            values[value].append(one)
    ordered = sorted(values, key=lambda value: [_order(part) for part in value])
    constant = {value: only_label(values[value]) if kind == "network" else None for value in ordered}
    validated = {value: mean_of(values[value], "validation", metric, kind) for value in ordered}

    effect: Row = {"names": names, "kind": kind, "values": values, "order": ordered, "contrasts": {}}
    if ordered:
        best = max(ordered, key=lambda value: (constant[value] is None, validated[value]))
        effect["best"] = best
        pairs = {value: matched_pairs(values[best], values[value], *names) for value in ordered if value != best}
        readable = {value: _readable(of_value, kind) for value, of_value in pairs.items()}
        between = _between_pairs([*readable.values()], kind, metric)
        for value, of_value in pairs.items():
            if of_value:
                found = _contrast(readable[value], kind, metric, spread, between)
                effect["contrasts"][value] = {"gap": found}
    return effect


def _order(value: Any) -> Any:
    if value is None:
        return (0, 0.0, "")
    return (1, float(value), str(value)) if isinstance(value, int | float) else (2, 0.0, str(value))


def matched_pairs(firsts: list[Tested], seconds: list[Tested], *names: str) -> list[tuple[list[Tested], list[Tested]]]:
    """Groups that are equal in all settings but these, and the seed."""

    def key(one: Tested) -> str:
        left = {key: value for key, value in one.settings.items() if key not in ("seed", *names)}
        data = one.table if any(name.startswith("data.") for name in names) else one.corpora
        return repr({key: value for key, value in left.items() if not key.startswith(ignored)}) + data

    ignored = tuple({*unused(firsts[0].settings), *unused(seconds[0].settings)})
    ours: dict[str, list[Tested]] = defaultdict(list)
    theirs: dict[str, list[Tested]] = defaultdict(list)
    for one in firsts:
        ours[key(one)].append(one)
    for one in seconds:
        theirs[key(one)].append(one)
    return [(group, theirs[which]) for which, group in ours.items() if which in theirs]


def _readable(pairs: list[tuple[list[Tested], list[Tested]]], kind: str) -> list[tuple[list[Tested], list[Tested]]]:
    readable = [([one for one in ours if one.test], [one for one in theirs if one.test]) for ours, theirs in pairs]
    readable = [(ours, theirs) for ours, theirs in readable if ours and theirs]
    if kind == "baseline":
        distinct: dict[Any, Any] = {}
        for ours, theirs in readable:
            answers = tuple(one.test.right("baseline").tobytes() for one in (ours[0], theirs[0]) if one.test)
            distinct.setdefault(answers, (ours[:1], theirs[:1]))
        readable = [*distinct.values()]
    return readable


def _between_pairs(
    contrasts: list[list[tuple[list[Tested], list[Tested]]]], kind: str, metric: str
) -> tuple[float, int] | None:
    """The mean over any two values of the variance of their differences, and its degrees of freedom."""
    by_value = [
        {ours[0].id: mean_of(theirs, "test", metric, kind) for ours, theirs in pairs} for pairs in contrasts if pairs
    ]
    if len(by_value) < 2:
        return None
    shared = set.intersection(*({*scores} for scores in by_value))
    if len(shared) < 2:
        return None
    best = {ours[0].id: mean_of(ours, "test", metric, kind) for pairs in contrasts for ours, _ in pairs}
    scores = [[of_value[which] for which in sorted(shared)] for of_value in (best, *by_value)]
    variances = [float(np.var(np.subtract(first, second), ddof=1)) for first, second in combinations(scores, 2)]
    return fmean(variances), (len(shared) - 1) * len(by_value)


def _contrast(
    readable: list[tuple[list[Tested], list[Tested]]],
    kind: str,
    metric: str,
    spread: Any,
    between: tuple[float, int] | None,
) -> Gap | None:
    if not readable:
        return None
    is_folded = readable[0][0][0].is_cross_validated
    if not is_folded and spread is None and len(readable) > 1:
        return matched_gap(readable, kind, metric, between)
    firsts, seconds = ([pair[side] for pair in readable] for side in (0, 1))
    return gap(Side(firsts, kind), Side(seconds, kind), spread, metric)


def _effect_rows(effect: Row, metric: str) -> list[Row]:
    rows = []
    for value in effect["order"]:
        runs = effect["values"][value]
        row: Row = {"runs": len(runs)}
        row[metric] = fmean(one.score("test", metric, effect["kind"]) for one in runs)
        row["seconds"] = fmean(
            sum(result["seconds_trained"] for result in one.results) / sum(result["epochs"] for result in one.results)
            for one in runs
        )
        contrast = effect["contrasts"].get(value)
        if contrast:
            found = contrast["gap"]
            if found:
                row |= bounds("difference_to_best", found) | {"tweets": found.n, "p": found.p, "adjusted_p": found.q}
        rows.append(row)
    return rows


def validation_right(one: Tested) -> Any:
    validation = one.part("validation")
    assert validation
    return validation.right("network").astype(float)


def same_validation(runs: list[Tested]) -> bool:
    parts = [one.part("validation") for one in runs]
    keys = {(part.tweets.tobytes(), part.labels.tobytes()) for part in parts if part}
    return len(keys) == 1
