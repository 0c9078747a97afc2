"""The second opinion on external test sets."""

from collections import defaultdict
from collections.abc import Sequence
from typing import Any

import numpy as np

from tests.oracle.recompute_designs import SEEDED, Candidate, Dataset, spread_of
from tests.oracle.recompute_files import Row
from tests.oracle.recompute_numbers import (
    Gap,
    Score,
    bounds,
    by_class,
    crossed,
    family,
    matched,
    score_of_shares,
    two_models,
)


def external_tests(datasets: Sequence[Dataset]) -> list[Row]:
    """Every model on every external test set: a family for each set and each data set that models were trained on."""
    rows: list[tuple[Any, Row]] = []
    for dataset in datasets:
        names = sorted(
            {name for one in dataset.tested for name in one.results[0]["scores"]["network"]}
            - {"train", "validation", "test"}
        )
        for name in names:
            rows += _external(dataset, name)
    rows.sort(key=lambda pair: pair[0])
    return [row for _, row in rows]


def _external(dataset: Dataset, name: str) -> list[tuple[Any, Row]]:
    def parts_of(candidate: Candidate) -> dict[Any, list[Any]]:
        parts: dict[Any, list[Any]] = defaultdict(list)
        for tested in candidate.tested:
            for run in tested.folds:
                if run.predictions and name in run.predictions:
                    parts[run.settings["data.fold"]].append(run.predictions[name])
        return parts

    def flags(candidate: Candidate) -> list[Any]:
        return [np.array([part.right(candidate.kind) for part in seeds]) for seeds in parts_of(candidate).values()]

    ranked = [one for one in dataset.ranking if isinstance(one, Candidate)]
    networks = [one for one in ranked if one.kind == "network"]
    references = {one.kind: one for one in ranked if one.kind in ("lexicon", "majority")}
    shown = [*networks, dataset.alternative, dataset.baseline, *references.values(), dataset.model]
    references["baseline"] = dataset.baseline
    against = {"network": ("baseline", "lexicon"), "both": ("baseline", "lexicon"), "baseline": ("lexicon",)}
    found, gaps = [], []
    for one in dict.fromkeys(shown):
        parts = parts_of(one)
        if not parts:
            continue
        labels = next(iter(parts.values()))[0].labels
        classes = labels if dataset.metric == "macro_recall" else None
        groups = [[run for run in other.tested if name in run.results[0]["scores"]["network"]] for other in networks]
        groups = [group for group in groups if group]
        spread = None
        if one.kind in SEEDED and not dataset.folds:
            spread = spread_of(groups, one.kind, dataset.metric, name)
        for reference in against.get(one.kind, ()):
            if reference in references and parts_of(references[reference]):
                gap = _gap(flags(one), flags(references[reference]), classes, spread, dataset.folds)
                gaps.append(((one, reference), gap))
        is_best = one is dataset.model
        row: Row = {"n": len(labels)}
        means = np.mean([one_set.mean(axis=0) for one_set in flags(one)], axis=0)
        row["macro_recall"] = float(np.mean([part.mean() for part in by_class(means, labels)]))
        row |= bounds(dataset.metric, _score(flags(one), classes, spread, dataset.folds))
        found.append(((name, dataset.name, not is_best), row, one))
    corrected = dict(zip([key for key, _ in gaps], family([gap for _, gap in gaps]), strict=True))
    for _, row, one in found:
        for reference in ("baseline", "lexicon"):
            if (one, reference) in corrected:
                gap = corrected[one, reference]
                row |= bounds(f"gain_over_{reference}", gap) | {f"gain_over_{reference}_q": gap.q}
    return [(key, row) for key, row, *_ in found]


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
    found = _gap(ours, nothing, classes, spread, folds)
    low, high = found.interval(0.95)
    if low is None or high is None:
        return Score(found.value, None, None, found.n)
    return Score(found.value, max(low, 0.0), min(high, 1.0), found.n)
