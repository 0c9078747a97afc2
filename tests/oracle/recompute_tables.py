"""The second opinion on gold tables, and on what is counted: runs, compute time, data, commands."""

from collections import Counter
from collections.abc import Sequence
from itertools import combinations
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from tests.oracle.recompute_designs import ENOUGH, Added, Dataset, share_of_metrics
from tests.oracle.recompute_files import Predictions, Row, Run, Study, class_names, read_added, read_json, with_first
from tests.oracle.recompute_numbers import answer, counts_of, family, kappa, metrics, of_counts, two_models
from tests.oracle.recompute_words import PREDICTORS, bounds, model_name, setting_text, usage_of

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
    predictors: list[tuple[str, str, Any]] = []
    k = len(classes)
    for name, of_file in added.items():
        found = Added.on(Predictions(tweets, labels, {"added": np.zeros((len(labels), k))}), of_file)
        if found and not of_file["annotator"]:
            predictors.append((name, "added", found.probabilities["added"]))
    if not predictors:
        return {}

    def measured(probabilities: Any) -> Row:
        rows = ~np.isnan(probabilities[:, 0])
        return metrics(labels[rows], probabilities[rows])

    predictors.sort(key=lambda one: (measured(one[2])["n"] < ENOUGH, -measured(one[2])["accuracy"]))
    for kind in record["kinds"]:
        later = table[[f"{kind}_{name}" for name in classes[1:]]].to_numpy(float)
        predictors.append((PREDICTORS[kind], kind, with_first(later)))
    rows = []
    for name, _, probabilities in predictors:
        numbers = measured(probabilities)
        is_answered = ~np.isnan(probabilities[:, 0])
        others = int((is_answered & (answer(probabilities) < 0)).sum())
        row: Row = {"predictor": name, "n": numbers["n"], "missing": int((~is_answered).sum()), "other_answers": others}
        row |= bounds("accuracy", share_of_metrics(numbers, "accuracy"))
        if others:
            row["accuracy_of_classes"] = round(numbers["accuracy"] * numbers["n"]) / (numbers["n"] - others)
        row |= {"macro_recall": numbers["macro_recall"], "macro_f1": numbers["macro_f1"]}
        row["kappa"] = kappa(answer(probabilities)[is_answered], labels[is_answered])
        rows.append(row)
    compared = _gold_comparisons([one for one in predictors if one[1] != "majority"], labels)
    return {f"scores-{folder.name}": rows, f"comparisons-{folder.name}": compared}


def _gold_comparisons(predictors: Sequence[tuple[str, str, Any]], labels: Any) -> list[Row]:
    pairs, accuracies, recalls = [], [], []
    for first, second in combinations(predictors, 2):
        both = ~np.isnan(first[2][:, 0]) & ~np.isnan(second[2][:, 0])
        if not both.any():
            continue
        ours, theirs = (answer(one[2])[both] for one in (first, second))
        truth = labels[both]
        pairs.append((first, second, kappa(ours, theirs), int(both.sum())))
        accuracies.append(two_models(ours == truth, theirs == truth))
        recalls.append(of_counts(counts_of(ours == truth, theirs == truth, truth)))
    rows = []
    for pair, accuracy, recall in zip(pairs, family(accuracies), family(recalls), strict=True):
        first, second, agreement, n = pair
        b, c, _ = accuracy.counts[0]
        row: Row = {"first": first[0], "second": second[0], "only_first": b, "only_second": c, "n": n}
        for key, found in (("accuracy", accuracy), ("recall", recall)):
            row |= bounds(key, found) | {f"{key}_q": found.q}
        rows.append(row | {"kappa": agreement})
    return rows


def runs_table(study: Study, datasets: Sequence[Dataset]) -> list[Row]:
    names = {run.id: dataset.name for dataset in datasets for one in dataset.tested for run in one.folds}
    rows = []
    for number, run in enumerate(study.runs):
        usage = usage_of([run])
        row: Row = {"row": number, "grid": None if run.grid == "single" else run.grid, "run": run.id}
        row |= {"attempts": usage.attempts, "state": run.state}
        if run.record:
            row |= {"gpu_seconds": usage.gpu, "cpu_seconds": usage.cpu}
        if run.result:
            row |= _completed_row(run) | {"data": names.get(run.id)}
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
    row |= {"model": model_name(run.settings), "seed": run.settings["seed"], "seconds": result["seconds_trained"]}
    row["both_accuracy"] = run.measured("test", "both")["accuracy"]
    row["gain_over_baseline"] = run.measured("test")["accuracy"] - run.measured("test", "baseline")["accuracy"]
    row["overfit_gap"] = run.measured("train")["accuracy"] - run.measured("validation")["accuracy"]
    row["overfits"] = "yes" if row["overfit_gap"] > 0.05 else "no"
    return row


def usage_table(study: Study) -> list[Row]:
    groups = [(grid.name if grid.name != "single" else "single runs", grid.runs) for grid in study.grids]
    if len(groups) > 1:
        groups.append(("all", study.runs))
    rows = []
    for name, runs in groups:
        usage = usage_of(runs)
        completed = sum(bool(run.result) for run in runs)
        row = {"grid": name, "runs": len(runs), "completed": completed, "attempts": usage.attempts}
        row |= {
            "gpu_hours": (usage.gpu + usage.encoder_gpu) / 3600,
            "cpu_hours": (usage.cpu + usage.encoder_cpu) / 3600,
        }
        attempts = [one for run in runs if run.record for one in run.record["attempts"]]
        row["unknown"] = sum(one["compute_time"] is None for one in attempts)
        row |= {"encoder_gpu_hours": usage.encoder_gpu / 3600, "encoder_cpu_hours": usage.encoder_cpu / 3600}
        rows.append(row)
    return rows


def data_table(study: Study) -> list[Row]:
    """Row counts of each corpus."""
    by_corpus: dict[str, Run] = {}
    numbers: Counter[str] = Counter()
    for run in study.completed:
        assert run.record
        by_corpus[run.record["data_fingerprint"]] = run
        numbers[run.record["data_fingerprint"]] += 1
    rows = []
    for run in study.completed:
        assert run.record
        fingerprint = run.record["data_fingerprint"]
        if fingerprint not in by_corpus:
            continue
        run = by_corpus.pop(fingerprint)
        words = setting_text("data.text.stop_words", run.settings["data.text.stop_words"])
        row: Row = {"source": run.settings["data.source"], "fingerprint": fingerprint[:12], "stop_words": words}
        row["runs"] = numbers[fingerprint]
        manifest = study.manifest(run)
        if manifest:
            report = manifest["report"]
            row |= {"read": report["read"], "kept": report["kept"]}
            row["duplicates"] = sum(n for why, n in report["left_out"].items() if why.startswith("duplicates"))
            own = ("train", "validation", "test")
            for part, counts in report["parts"].items():
                row[part if part in own else f"test_set_{part}"] = counts["rows"]
        rows.append(row)
    return rows


def evaluated(run: Run) -> Row:
    """What `evaluate RUN --out` says of the run's own predictors: their metrics by name and part."""
    assert run.result
    models: Row = {}
    for kind in run.result["scores"]:
        models[PREDICTORS[kind]] = {
            part: named(run.measured(part, kind), run.classes) for part in run.result["scores"][kind]
        }
    return models


def named(measured: Row, classes: Sequence[str]) -> Row:
    """Metrics by name, those of each class by its name."""
    shown = {name: value for name, value in measured.items() if name not in ("sizes", "precision", "recall")}
    for name in ("precision", "recall"):
        shown[name] = dict(zip(classes, measured[name], strict=True))
    pairs = zip(measured["precision"], measured["recall"], strict=True)
    shown["f1"] = dict(zip(classes, (2 * p * r / (p + r) if p + r else 0.0 for p, r in pairs), strict=True))
    return shown
