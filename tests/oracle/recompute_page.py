"""The second opinion on external test sets."""

from collections import defaultdict
from collections.abc import Sequence
from typing import Any

import numpy as np

from tests.oracle.recompute_designs import SEEDED, Dataset, Side, Tested, corrected, spread_of
from tests.oracle.recompute_files import Row
from tests.oracle.recompute_numbers import (
    Gap,
    Score,
    bounds,
    by_class,
    crossed,
    matched,
    score_of_shares,
    two_models,
)


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
                gaps[one, kind] = _gap(flags, others, classes, spread, dataset.folds)
        means = np.mean([of_fold.mean(axis=0) for of_fold in flags], axis=0)
        recall = float(np.mean([part.mean() for part in by_class(means, labels)]))
        rows[one] = {"n": len(labels), "macro_recall": recall}
        rows[one] |= bounds(dataset.metric, _score(flags, classes, spread, dataset.folds))
    for (one, kind), gap in corrected(gaps).items():
        rows[one] |= bounds(f"gain_over_{kind}", gap) | {f"gain_over_{kind}_q": gap.q}
    return [*rows.values()]


def _gap(ours: list[Any], theirs: list[Any], classes: Any, spread: Any, folds: int) -> Gap:
    if folds:
        return matched([*zip(ours, theirs, strict=True)], classes, overlap=True)
    if spread:
        return crossed(ours, theirs, (True, False), classes, spread)
    return two_models(ours[0][0], theirs[0][0], classes)


def _score(ours: list[Any], classes: Any, spread: Any, folds: int) -> Score:
    nothing = [np.zeros((1, flags.shape[1]), bool) for flags in ours]
    if not folds and not spread:
        return score_of_shares(ours[0][0], classes)
    return _gap(ours, nothing, classes, spread, folds).of_share
