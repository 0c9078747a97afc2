"""A second opinion on the figures of a report: expected tables, texts and drawn values, from the files of the runs."""

import math
import re
from dataclasses import replace
from pathlib import Path
from statistics import fmean
from typing import Any

import numpy as np

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
from tests.oracle.recompute_page import about, external_tests, main_page, unfinished
from tests.oracle.recompute_papers import checklist, latex_cells
from tests.oracle.recompute_questions import questions, together
from tests.oracle.recompute_tables import data_tables, gold_table, runs_table, usage_table
from tests.oracle.recompute_words import (
    DASH,
    NAMES_WITH_DIGITS,
    Opinion,
    Unknown,
    Written,
    bounds,
    claim_figures,
    cost_figures,
    cost_of,
    count,
    model_name,
    name_of,
    predictor_name,
    share_figures,
    usage_of,
)

_METRICS = ("accuracy", "macro_precision", "macro_recall", "macro_f1")
_MOST_CONFIGURATIONS = 15


def recompute(folder: Path) -> Opinion:
    """The opinion on the report of everything in a results folder."""
    study = read_study(folder)
    opinion = Opinion()
    opinion.names |= {*NAMES_WITH_DIGITS, str(folder)}
    tested = {grid.name: tested_of(grid) for grid in study.grids}
    datasets = datasets_of(study, (one for group in tested.values() for one in group))
    for number, dataset in enumerate(datasets, 1):
        _leaderboard(opinion, dataset, number)
        opinion.names |= {dataset.name, *(one.id for one in dataset.tested)}
    about(opinion, study, datasets)
    unfinished(opinion, study)
    if datasets:
        main_page(opinion, study, datasets)
        _answers(opinion, datasets[0])
    external_tests(opinion, datasets)
    for grid in study.grids:
        if grid.name != "single":
            questions(opinion, study, grid, tested[grid.name])
    hypotheses(opinion, study, tested)
    together(opinion)
    for gold in sorted((folder / "gold").glob("*/gold.json")):
        gold_table(opinion, gold.parent)
    if study.runs:
        opinion.checklist = checklist(study, datasets)
        opinion.checklist.names |= {name for name in opinion.names if ", fold " not in name}
        opinion.checklist.names |= {f"test tweets of {dataset.name}, and" for dataset in datasets[:1]}
        opinion.checklist.names |= {one.name for dataset in datasets for one in dataset.added}
    runs_table(opinion, study, datasets)
    usage_table(opinion, study)
    data_tables(opinion, study)
    return opinion


def _answers(opinion: Opinion, dataset: Dataset) -> None:
    parts = {one.id: (one.test, one.test.right("network")) for one in dataset.tested if one.test}
    of_runs = range(len(dataset.tested[0].first.classes))
    for one in dataset.added:
        rows = np.flatnonzero(answered(one.test))
        part = replace(one.test, tweets=one.test.tweets[rows], labels=one.test.labels[rows])
        parts[f"{one.name} (added)"] = part, one.test.right("added")[rows]
    for name, (part, right) in parts.items():
        opinion.answers[name] = [
            (int(right[part.labels == label].sum()), int((part.labels == label).sum())) for label in of_runs
        ]


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


def _leaderboard(opinion: Opinion, dataset: Dataset, number: int) -> None:
    """All predictors, of which networks after the first ones stand in the file alone."""
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
        opinion.names |= {name_of(one), model_name(one.tested[0].settings)}
    chosen = dataset.best or dataset.configurations[0]
    references = []
    for kind in chosen.tested[0].kinds[1:]:
        found = share_of_metrics(chosen.best_seed.on_test(kind), dataset.metric)
        if kind in ("both", "baseline"):
            found = dataset.score(chosen, kind)
        row = {"model": predictor_name(chosen, kind), "n": found.n, **_means(chosen, kind), **bounds("score", found)}
        is_compared = kind == "both" and dataset.alternative == "both"
        references.append(row | _compared(dataset.gain if is_compared else None))
        opinion.names.add(predictor_name(chosen, kind))
    added = [_added_row(dataset, one) for one in dataset.added]
    opinion.names |= {row["model"] for row in added}
    for one in dataset.added:
        _added_details(opinion, dataset, one)
    hidden = [id(rows[one]) for one in dataset.configurations[_MOST_CONFIGURATIONS:] if one is not dataset.best]
    ranked = [*rows.values(), *references, *added]
    ranked.sort(
        key=lambda row: -math.inf if row["validation_macro_f1"] is None else row["validation_macro_f1"], reverse=True
    )
    ranked.sort(key=lambda row: (row["validation_macro_f1"] is None, row.get("random_numbers", False)))
    for rank, row in enumerate(ranked, 1):
        row["rank"] = None if row["validation_macro_f1"] is None else rank
    name = "leaderboard" if number == 1 else f"leaderboard-{number}"
    opinion.tables[name] = ranked
    opinion.shown[name] = [row for row in ranked if id(row) not in hidden]
    opinion.latex[name] = [latex_cells(row) for row in opinion.shown[name]]
    numbers = [count(len(ranked))] if len(ranked) > len(opinion.shown[name]) else []
    opinion.say(
        f"predictors on {re.escape(dataset.name)}, ranked",
        *([count(len(opinion.shown[name]))] if numbers else []),
        *numbers,
        "95",
        *([str(dataset.folds)] if dataset.folds else []),
    )


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


def _added_details(opinion: Opinion, dataset: Dataset, one: Added) -> None:
    measured = added_metrics(one.test)
    rows = answered(one.test)
    agreement = kappa(answer(one.test.probabilities["added"])[rows], one.test.labels[rows])
    figures: list[Any] = [
        *share_figures(share_of_metrics(measured, dataset.metric)),
        count(measured["n"]),
        Written.by(lambda number: f"{number:.2f}", agreement),
    ]
    below = dataset.below_recommended.get(one.name)
    figures += claim_figures(below) if below else []
    cost = cost_figures(one.record)
    figures += ["1,000", *cost] if cost else []
    figures.append(Unknown("origin", ".*"))
    opinion.say("on .* test tweets?; Cohen.s kappa", *figures)
