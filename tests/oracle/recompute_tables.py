"""A second opinion on the CSV tables of a report, from the files of the runs."""

import math
from collections import defaultdict
from collections.abc import Sequence
from itertools import combinations
from pathlib import Path
from statistics import fmean
from typing import Any

import numpy as np
import pandas as pd

from tests.oracle.recompute_designs import (
    ENOUGH,
    SEEDED,
    Added,
    Dataset,
    Side,
    Tested,
    added_metrics,
    answered,
    by_seeds,
    corrected,
    datasets_of,
    deviation,
    gap,
    matched_gap,
    matched_pairs,
    mean_of,
    metric_of,
    only_label,
    score,
    share_of_metrics,
    spread_of,
    tested_of,
    unused,
    varying,
)
from tests.oracle.recompute_files import (
    Grid,
    Predictions,
    Row,
    class_names,
    read_added,
    read_json,
    read_study,
    with_first,
)
from tests.oracle.recompute_hypotheses import hypotheses
from tests.oracle.recompute_numbers import (
    Gap,
    Score,
    answer,
    bounds,
    by_class,
    counts_of,
    crossed,
    family,
    kappa,
    matched,
    mean_score,
    metrics,
    of_counts,
    score_of_shares,
    two_models,
)

Tables = dict[str, list[Row]]
_METRICS = ("accuracy", "macro_precision", "macro_recall", "macro_f1")


def recompute(folder: Path) -> Tables:
    """The tables of the report on everything in a results folder: rows by name, with the keys of the CSV files."""
    study = read_study(folder)
    tested = {grid.name: tested_of(grid) for grid in study.grids}
    datasets = datasets_of(study, (one for group in tested.values() for one in group))
    tables: Tables = {}
    for number, dataset in enumerate(datasets, 1):
        tables["leaderboard" if number == 1 else f"leaderboard-{number}"] = _leaderboard(dataset)
    tables |= {"test-sets": external_tests(datasets)}
    for grid in study.grids:
        if grid.name != "single":
            tables[f"effects-{grid.name}"] = effects(grid, tested[grid.name])
            tables |= label_tables(grid, tested[grid.name])
    tables |= {"hypotheses": hypotheses(study, tested)}
    for gold in sorted((folder / "answers").glob("*/table.json")):
        tables |= gold_tables(gold.parent)
    return {name: rows for name, rows in tables.items() if rows}


def _means(side: Side) -> Row:
    row: Row = {}
    for part in ("validation", "test"):
        for metric in _METRICS:
            values = side.values(part, metric)
            row |= {f"{part}_{metric}": mean_score(values), f"{part}_{metric}_sd": deviation(values)}
    return row


def _compared(found: Gap | None, is_model: bool) -> Row:
    """The columns of the comparison with the recommended model."""
    if found is None:
        row = bounds("difference", None) | {"difference_q": None, "verdict": "\u2013"}
        return row | {"difference": 0.0} if is_model else row
    row = bounds("difference", found) | {"difference_q": found.q}
    verdict = "better" if found.is_better else "worse"
    return row | {"verdict": verdict if found.is_significant else "not significant"}


def _leaderboard(dataset: Dataset) -> list[Row]:
    rows = []
    for ranked in dataset.ranking:
        row = _added_row(dataset, ranked) if ranked.kind == "added" else _row(dataset, ranked)
        row["validation_score"] = ranked.score
        row["rank"] = None
        if ranked.score is not None:
            row["rank"] = 1 + sum(one.score is not None and one.score > ranked.score for one in dataset.ranking)
        row |= _compared(dataset.differences.get(ranked), ranked is dataset.model)
        rows.append(row)
    return rows


def _row(dataset: Dataset, side: Side) -> Row:
    found = dataset.score(side)
    row: Row = {"n": found.n, **_means(side), **bounds("score", found)}
    if side.kind in SEEDED:
        readable = [one for one in side.tested if one.test is not None]
        row["seeds"] = len(readable) or len(side.tested)
    return row


def _added_row(dataset: Dataset, side: Side) -> Row:
    test = side.tested[0].test
    measured = added_metrics(test)
    rows = answered(test)
    row: Row = {"n": measured["n"]}
    row["kappa"] = kappa(answer(test.probabilities["added"])[rows], test.labels[rows])
    row |= {f"test_{name}": measured[name] for name in _METRICS}
    return row | bounds("score", share_of_metrics(measured, dataset.metric))


def gold_tables(folder: Path) -> Tables:
    """The scores of predictors on a gold table, and the comparison of each pair."""
    record = read_json(folder / "table.json")
    if record is None:
        return {}
    classes = class_names(record["labels"])
    added = read_added(folder / "added", classes)
    table = pd.read_parquet(folder / "table.parquet")
    labels = table["label"].to_numpy(int)
    tweets = table["tweet"].to_numpy()
    predictors: list[tuple[str, Any]] = []
    k = len(classes)
    is_answered_by_somebody = False
    for of_file in added.values():
        found = Added.on(Predictions(tweets, labels, {"added": np.zeros((len(labels), k))}), of_file)
        is_answered_by_somebody |= found is not None
        if found and not of_file["annotator"]:
            predictors.append(("added", found.probabilities["added"]))
    if not is_answered_by_somebody:
        return {}

    def measured(probabilities: Any) -> Row:
        rows = ~np.isnan(probabilities[:, 0])
        return metrics(labels[rows], probabilities[rows])

    predictors.sort(key=lambda one: (measured(one[1])["n"] < ENOUGH, -measured(one[1])["accuracy"]))
    for kind in record["kinds"]:
        later = table[[f"{kind}_{name}" for name in classes[1:]]].to_numpy(float)
        predictors.append((kind, with_first(later)))
    rows = []
    for _, probabilities in predictors:
        numbers = measured(probabilities)
        is_answered = ~np.isnan(probabilities[:, 0])
        others = int((is_answered & (answer(probabilities) < 0)).sum())
        row: Row = {"n": numbers["n"], "missing": int((~is_answered).sum()), "other_answers": others}
        row |= bounds("accuracy", share_of_metrics(numbers, "accuracy"))
        if others:
            row["accuracy_of_classes"] = round(numbers["accuracy"] * numbers["n"]) / (numbers["n"] - others)
        row |= {"macro_recall": numbers["macro_recall"], "macro_f1": numbers["macro_f1"]}
        row["kappa"] = kappa(answer(probabilities)[is_answered], labels[is_answered])
        rows.append(row)
    compared = _gold_comparisons([one for kind, one in predictors if kind != "majority"], labels)
    return {f"scores-{folder.name}": rows, f"comparisons-{folder.name}": compared}


def _gold_comparisons(predictors: Sequence[Any], labels: Any) -> list[Row]:
    pairs, accuracies, recalls = [], [], []
    for first, second in combinations(predictors, 2):
        both = ~np.isnan(first[:, 0]) & ~np.isnan(second[:, 0])
        if not both.any():
            continue
        ours, theirs = (answer(one)[both] for one in (first, second))
        truth = labels[both]
        pairs.append((kappa(ours, theirs), int(both.sum())))
        accuracies.append(two_models(ours == truth, theirs == truth))
        recalls.append(of_counts(counts_of(ours == truth, theirs == truth, truth)))
    rows = []
    for pair, accuracy, recall in zip(pairs, family(accuracies), family(recalls), strict=True):
        agreement, n = pair
        b, c, _ = accuracy.counts[0]
        row: Row = {"only_first": b, "only_second": c, "n": n}
        for key, found in (("accuracy", accuracy), ("recall", recall)):
            row |= bounds(key, found) | {f"{key}_q": found.q}
        rows.append(row | {"kappa": agreement})
    return rows


def external_tests(datasets: Sequence[Dataset]) -> list[Row]:
    """Every model on every external test set: a family for each set and each data set that models were trained on."""
    rows: list[Row] = []
    for dataset in datasets:
        for name in {part for one in dataset.tested for part in _parts(one)} - {"train", "validation", "test"}:
            rows += _external(dataset, name)
    return rows


def _parts(one: Tested) -> set[str]:
    return {*one.results[0]["scores"]["network"]}


def _flags(side: Side, name: str) -> list[Any]:
    """Which tweets of a part each run has right, (runs, tweets): an array for each fold."""
    by_fold: dict[Any, list[Any]] = defaultdict(list)
    for one in side.tested:
        for run in one.folds:
            if run.predictions and name in run.predictions:
                by_fold[run.settings["data.fold"]].append(run.predictions[name].right(side.kind))
    return [np.array(of_fold) for of_fold in by_fold.values()]


def _labels(side: Side, name: str) -> Any:
    runs = [run for one in side.tested for run in one.folds]
    return next(run.predictions[name].labels for run in runs if run.predictions and name in run.predictions)


def _external(dataset: Dataset, name: str) -> list[Row]:
    networks = [one for one in dataset.models if one.kind == "network"]
    references = {one.kind: one for one in dataset.references}
    baseline = dataset.leader("baseline")
    shown = [*networks, dataset.alternative, baseline, *references.values(), dataset.model]
    references["baseline"] = baseline
    against = {"network": ("baseline", "lexicon"), "both": ("baseline", "lexicon"), "baseline": ("lexicon",)}
    groups = [[one for one in network.tested if name in _parts(one)] for network in networks]
    groups = [group for group in groups if group]
    rows: dict[Side, Row] = {}
    gaps = {}
    for one in dict.fromkeys(shown):
        flags = _flags(one, name)
        if not flags:
            continue
        labels = _labels(one, name)
        classes = labels if dataset.metric == "macro_recall" else None
        is_over_seeds = one.kind in SEEDED and not dataset.folds
        spread = spread_of(groups, one.kind, dataset.metric, name) if is_over_seeds else None
        for kind in against.get(one.kind, ()):
            others = _flags(references[kind], name) if kind in references else []
            if others:
                gaps[one, kind] = _on_test_set(flags, others, classes, spread, dataset.folds)
        means = np.mean([of_fold.mean(axis=0) for of_fold in flags], axis=0)
        recall = float(np.mean([part.mean() for part in by_class(means, labels)]))
        rows[one] = {"n": len(labels), "macro_recall": recall}
        rows[one] |= bounds(dataset.metric, _score_on_test_set(flags, classes, spread, dataset.folds))
    for (one, kind), found in corrected(gaps).items():
        rows[one] |= bounds(f"gain_over_{kind}", found) | {f"gain_over_{kind}_q": found.q}
    return [*rows.values()]


def _on_test_set(ours: list[Any], theirs: list[Any], classes: Any, spread: Any, folds: int) -> Gap:
    if folds:
        return matched([*zip(ours, theirs, strict=True)], classes, overlap=True)
    if spread:
        return crossed(ours, theirs, (True, False), classes, spread)
    return two_models(ours[0][0], theirs[0][0], classes)


def _score_on_test_set(ours: list[Any], classes: Any, spread: Any, folds: int) -> Score:
    nothing = [np.zeros((1, flags.shape[1]), bool) for flags in ours]
    if not folds and not spread:
        return score_of_shares(ours[0][0], classes)
    return _on_test_set(ours, nothing, classes, spread, folds).of_share


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
