"""The second opinion on gold tables."""

from collections.abc import Sequence
from itertools import combinations
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from tests.oracle.recompute_designs import ENOUGH, Added, share_of_metrics
from tests.oracle.recompute_files import Predictions, Row, class_names, read_added, read_json, with_first
from tests.oracle.recompute_numbers import answer, bounds, counts_of, family, kappa, metrics, of_counts, two_models

Tables = dict[str, list[Row]]
_METRICS = ("macro_precision", "macro_recall", "macro_f1")


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
