"""A second opinion on the CSV tables of a report, from the files of the runs; here the rankings, and all tables."""

from pathlib import Path

from tests.oracle.recompute_designs import (
    SEEDED,
    Dataset,
    Side,
    added_metrics,
    answered,
    datasets_of,
    deviation,
    share_of_metrics,
    tested_of,
)
from tests.oracle.recompute_files import Row, read_study
from tests.oracle.recompute_hypotheses import hypotheses
from tests.oracle.recompute_numbers import Gap, answer, bounds, kappa, mean_score
from tests.oracle.recompute_page import external_tests
from tests.oracle.recompute_questions import effects, label_tables
from tests.oracle.recompute_tables import Tables, gold_tables

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
