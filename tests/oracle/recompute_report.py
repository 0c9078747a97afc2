"""A second opinion on the CSV tables of a report, from the files of the runs; here the rankings, and all tables."""

import math
from pathlib import Path
from statistics import fmean

from tests.oracle.recompute_designs import (
    Added,
    Configuration,
    Dataset,
    added_metrics,
    answered,
    datasets_of,
    deviation,
    share_of_metrics,
    tested_of,
)
from tests.oracle.recompute_files import Row, read_study
from tests.oracle.recompute_hypotheses import hypotheses
from tests.oracle.recompute_numbers import Gap, answer, kappa, mean_score
from tests.oracle.recompute_page import check_list, errors, external_tests, mistakes
from tests.oracle.recompute_questions import effects
from tests.oracle.recompute_tables import Tables, data_table, gold_tables, runs_table, usage_table
from tests.oracle.recompute_words import DASH, bounds, cost_of, name_of, predictor_name, usage_of

_METRICS = ("accuracy", "macro_precision", "macro_recall", "macro_f1")


def recompute(folder: Path) -> Tables:
    """The tables of the report on everything in a results folder: rows by name, with the keys of the CSV files."""
    study = read_study(folder)
    tested = {grid.name: tested_of(grid) for grid in study.grids}
    datasets = datasets_of(study, (one for group in tested.values() for one in group))
    tables: Tables = {}
    for number, dataset in enumerate(datasets, 1):
        tables["leaderboard" if number == 1 else f"leaderboard-{number}"] = _leaderboard(dataset)
    if datasets and datasets[0].best:
        tables |= check_list(datasets[0].best) | errors(datasets[0])
        tables["mistakes"] = mistakes(datasets[0])
    tables |= {"test-sets": external_tests(datasets)}
    for grid in study.grids:
        if grid.name != "single":
            tables[f"effects-{grid.name}"] = effects(grid, tested[grid.name])
    tables |= {"hypotheses": hypotheses(study, tested)}
    for gold in sorted((folder / "gold").glob("*/gold.json")):
        tables |= gold_tables(gold.parent)
    tables |= {"runs": runs_table(study, datasets), "usage": usage_table(study), "data": data_table(study)}
    return {name: rows for name, rows in tables.items() if rows}


def _means(one: Configuration, kind: str) -> Row:
    row: Row = {}
    for part in ("validation", "test"):
        for metric in _METRICS:
            values = one.values(part, metric, kind)
            row |= {f"{part}_{metric}": mean_score(values), f"{part}_{metric}_sd": deviation(values)}
    return row


def _compared(found: Gap | None) -> Row:
    """The columns of the comparison with the baseline."""
    row: Row = bounds("gain_over_baseline", found) | {"gain_q": found.q if found else None, "verdict": DASH}
    if found is None:
        return row
    if found.is_significant:
        return row | {"verdict": "better" if found.is_better else "worse"}
    known = [abs(bound) for bound in (found.low, found.high) if bound is not None]
    return row | {"verdict": "not significant", "apart_by": max(known) if known else None}


def _leaderboard(dataset: Dataset) -> list[Row]:
    rows: dict[Configuration, Row] = {}
    for one in dataset.configurations:
        above = dataset.against_baseline.get(one)
        overfitting = sum(run.overfits for run in one.tested)
        n = len(one.tested)
        gpu, cpu = cost_of(one)
        found = dataset.score(one)
        row = {
            "model": name_of(one),
            "seeds": len(one.readable) or n,
            "n": found.n,
            **_means(one, "network"),
            **bounds("score", found),
        }
        row |= _compared(above) | {"gpu_seconds": gpu, "cpu_seconds": cpu}
        row["overfits"] = {0: "no", n: "yes"}.get(overfitting, f"{overfitting} of {n}")
        if one.only_label:
            row |= {"verdict": "predicts one class only", "overfits": None}
        row["parameters"] = round(fmean(run.result["parameters"] for run in one.tested[0].folds if run.result))
        row["best_epoch"] = fmean(fmean(result["best_epoch"] for result in run.results) for run in one.tested)
        row["attempts"] = usage_of(one.runs).attempts
        below = dataset.rivals.get(one)
        row |= bounds("difference_to_best", below) | {"difference_to_best_q": below.q if below else None}
        rows[one] = row
    chosen = dataset.best or dataset.configurations[0]
    references = []
    for kind in chosen.tested[0].kinds[1:]:
        found = share_of_metrics(chosen.best_seed.on_test(kind), dataset.metric)
        if kind in ("both", "baseline"):
            found = dataset.score(chosen, kind)
        row = {"model": predictor_name(chosen, kind), "n": found.n, **_means(chosen, kind), **bounds("score", found)}
        is_compared = kind == "both" and dataset.alternative == "both"
        references.append(row | _compared(dataset.gain if is_compared else None))
    added = [_added_row(dataset, one) for one in dataset.added]
    ranked = [*rows.values(), *references, *added]
    ranked.sort(
        key=lambda row: -math.inf if row["validation_macro_f1"] is None else row["validation_macro_f1"], reverse=True
    )
    ranked.sort(key=lambda row: (row["validation_macro_f1"] is None, row.get("random_numbers", False)))
    for rank, row in enumerate(ranked, 1):
        row["rank"] = None if row["validation_macro_f1"] is None else rank
    return ranked


def _added_row(dataset: Dataset, one: Added) -> Row:
    measured = added_metrics(one.test)
    n = len(one.test.tweets)
    others = int((answered(one.test) & (answer(one.test.probabilities["added"]) < 0)).sum())
    kind = "human annotator" if one.record["annotator"] else "added"
    kind += f", {measured['n']:,} of {n:,} tweets" if measured["n"] < n else ""
    if others:
        plural = "answers count" if others > 1 else "answer counts"
        kind += f"; its {others:,} other {plural} as wrong"
    rows = answered(one.test)
    row = {"model": f"{one.name} ({kind})", "test_macro_f1": measured["macro_f1"], "n": measured["n"]}
    row["kappa"] = kappa(answer(one.test.probabilities["added"])[rows], one.test.labels[rows])
    validation = added_metrics(one.validation) if one.validation and answered(one.validation).any() else None
    row["validation_macro_f1"] = validation["macro_f1"] if validation and validation["n"] >= 30 else None
    row |= bounds("score", share_of_metrics(measured, dataset.metric))
    row |= _compared(dataset.added_above_baseline.get(one.name))
    key = "best" if dataset.model == "network" else "recommended"
    return row | bounds(f"difference_to_{key}", dataset.below_recommended.get(one.name))
