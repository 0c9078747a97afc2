"""The second opinion on gold tables, and on what is counted: runs, compute time, data, commands."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import combinations
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from tests.oracle.recompute_designs import ENOUGH, Added, Configuration, share_of_metrics
from tests.oracle.recompute_files import Predictions, Row, Run, Study, class_names, read_added, read_json, with_first
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
    for of_file in added.values():
        found = Added.on(Predictions(tweets, labels, {"added": np.zeros((len(labels), k))}), of_file)
        if found and not of_file["annotator"]:
            predictors.append(("added", found.probabilities["added"]))
    if not predictors:
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


def runs_table(study: Study) -> list[Row]:
    rows = []
    for number, run in enumerate(study.runs):
        usage = usage_of([run])
        row: Row = {"row": number, "attempts": usage.attempts}
        if run.record:
            row |= {"gpu_seconds": usage.gpu, "cpu_seconds": usage.cpu}
        if run.result:
            row |= _completed_row(run)
        rows.append(row)
    return rows


def _completed_row(run: Run) -> Row:
    assert run.result
    row: Row = {}
    for part in ("validation", "test"):
        measured = run.measured(part)
        names = ("accuracy", "accuracy_low", "accuracy_high", "loss", *_METRICS)
        row |= {f"{part}_{name}": measured[name] for name in names}
    result = run.result
    row |= {"parameters": result["parameters"], "epochs": result["epochs"], "best_epoch": result["best_epoch"]}
    row |= {"seed": run.settings["seed"], "seconds": result["seconds_trained"]}
    row["both_accuracy"] = run.measured("test", "both")["accuracy"]
    row["gain_over_baseline"] = run.measured("test")["accuracy"] - run.measured("test", "baseline")["accuracy"]
    row["overfit_gap"] = run.measured("train")["accuracy"] - run.measured("validation")["accuracy"]
    return row


def usage_table(study: Study) -> list[Row]:
    groups = [grid.runs for grid in study.grids]
    if len(groups) > 1:
        groups.append(study.runs)
    rows = []
    for runs in groups:
        usage = usage_of(runs)
        completed = sum(bool(run.result) for run in runs)
        row = {"runs": len(runs), "completed": completed, "attempts": usage.attempts}
        row |= {
            "gpu_hours": (usage.gpu + usage.encoder_gpu) / 3600,
            "cpu_hours": (usage.cpu + usage.encoder_cpu) / 3600,
        }
        attempts = [one for run in runs if run.record for one in run.record["attempts"]]
        row["unknown"] = sum(one["compute_time"] is None for one in attempts)
        row |= {"encoder_gpu_hours": usage.encoder_gpu / 3600, "encoder_cpu_hours": usage.encoder_cpu / 3600}
        rows.append(row)
    return rows


@dataclass(frozen=True)
class Usage:
    """Compute time in seconds: of attempts, and of encoder vectors, once for all runs that read them."""

    attempts: int
    gpu: float
    cpu: float
    encoder_gpu: float
    encoder_cpu: float


def usage_of(runs: Iterable[Run]) -> Usage:
    attempts, times, caches = 0, [(0.0, 0.0)], {}
    once = {(run.record["run_id"], run.record["attempts"][0]["start"]): run for run in runs if run.record}
    for run in once.values():
        assert run.record is not None
        attempts += len(run.record["attempts"])
        known = [one["compute_time"] for one in run.record["attempts"] if one["compute_time"]]
        times += [(time["gpu_seconds"], time["cpu_seconds"]) for time in known]
        if not known and run.result:
            seconds = run.result["seconds_trained"]
            times.append((0.0 if run.record["attempts"][-1]["device"] == "cpu" else seconds, seconds))
        cache = (run.record["encoder"] or {}).get("cache")
        if cache:
            best = caches.get(cache["folder"], (0.0, 0.0))
            caches[cache["folder"]] = max(best, (cache["gpu_seconds"], cache["cpu_seconds"]), key=lambda pair: pair[1])
    gpu, cpu = (sum(column) for column in zip(*times, strict=True))
    encoder_gpu, encoder_cpu = (sum(column) for column in zip(*[*caches.values(), (0.0, 0.0)], strict=True))
    return Usage(attempts, gpu, cpu, encoder_gpu, encoder_cpu)


def cost_of(one: Configuration) -> tuple[float, float]:
    """GPU and CPU seconds of one seed, with all vectors of the encoder, which are computed once."""
    usage = usage_of(one.runs)
    n = len(one.tested)
    return usage.gpu / n + usage.encoder_gpu, usage.cpu / n + usage.encoder_cpu
