"""Small random studies of one grid, of which a relation chooses configurations, tweets and predictors; and copies."""

import os
import random
import shutil
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from sentiment.config import RunConfig
from sentiment.runs.records import PREDICTORS, GridPlan, Part, Result, RunRecord
from sentiment.runs.run_dir import Results, RunDir
from tests.invented import Parameters, added_dir, measured
from tests.relations.studies import Author, plan_grid, write_answers, write_run


def new_author(folder: Path, seed: int, metric: str = "accuracy", test: int = 200) -> Author:
    """Writes a study of two classes, with 120 validation tweets."""
    sizes: dict[Part, int] = {"validation": 120, "test": test}
    return Author(Results(folder), rng=random.Random(seed), shares=[0.5, 0.5], metric=metric, sizes=sizes)


def write_grid(
    author: Author,
    settings: Sequence[Parameters],
    skill: Callable[[RunConfig], float],
    name: str = "cells",
    metric: str = "",
) -> list[RunDir]:
    """The completed runs of a grid, ranked by a metric, or by the author's, which stops them."""
    metric = metric or author.metric
    goal = "minimize" if metric == "loss" else "maximize"
    configs = plan_grid(author, name, [*settings], method="grid", metric=f"validation/{metric}", goal=goal)
    for config in configs:
        write_run(author, config, name, skill(config))
    return [author.results.run_dir(config.run_id, name) for config in configs]


def write_cells(author: Author, seeds: int = 2) -> list[RunDir]:
    """Two cells, of which one may be much better, over some seeds."""
    skills = {cell: author.rng.choice([0.0, 0.5, 1.0, 3.0]) for cell in ("lstm", "gru")}
    settings = [{"model.cell": cell, "seed": seed} for cell in skills for seed in range(1, seeds + 1)]
    return write_grid(author, settings, lambda config: skills[config.model.cell])


def copied(results: Results, folder: Path) -> Results:
    """A copy of a study by hard links, so that a file may be replaced but not changed in place."""
    shutil.copytree(results.root, folder, copy_function=os.link, ignore=shutil.ignore_patterns("report"))
    return Results(folder)


def edit_answers(run_dir: RunDir, edit: Callable[[pd.DataFrame], pd.DataFrame | None]) -> None:
    """Change a run's predictions in place, or for those that `edit` returns, and its recorded scores with them."""
    table = pq.read_table(run_dir.predictions_file).to_pandas()
    edited = edit(table)
    table = table if edited is None else edited
    run_dir.predictions_file.unlink()
    columns = {name: pa.array(table[name]) for name in table.columns}
    columns["part"] = pa.array(table["part"].astype(str)).dictionary_encode()
    pq.write_table(pa.table(columns), run_dir.predictions_file)
    result = run_dir.read(Result)
    scores = {kind: dict(parts) for kind, parts in result.scores.items()}
    for part, rows in table.groupby("part", observed=True):
        for kind in PREDICTORS:
            later = rows[f"{kind}_positive"].to_numpy(float)
            scores[kind][str(part)] = measured(rows["label"].to_numpy(int), np.stack([1 - later, later], axis=1))
    run_dir.result_file.unlink()
    run_dir.write_record(result.model_copy(update={"scores": scores}))


def add_answers(author: Author, run_dir: RunDir, name: str, answered: dict[str, int], skill: float = 1.0) -> None:
    """A predictor with so many answers on tweets of some parts, of which a share `skill` is right."""
    table = pq.read_table(run_dir.predictions_file, columns=["part", "tweet", "label"]).to_pandas()
    said: dict[int, Any] = {}
    for part, number in answered.items():
        for tweet, label in table[table["part"] == part][["tweet", "label"]].to_numpy()[:number].tolist():
            answer = label if author.rng.random() < skill else 1 - label
            said[tweet] = author.classes[answer]
    write_answers(author, added_dir(author.results, run_dir), name, said, annotator=False)


def reorder(results: Results, name: str) -> None:
    """Plan the runs of a grid in the opposite order, and turn the rows of all predictions round."""
    plan = results.read_grid(name)
    turned = [run.model_copy(update={"index": index}) for index, run in enumerate(reversed(plan.runs))]
    results.grid_file(name).unlink()
    results.write_grid(GridPlan.model_validate(plan.model_dump() | {"runs": turned}))
    for planned in plan.runs:
        edit_answers(results.run_dir(planned.run_id, name), _turn)


def set_clocks(results: Results, later: str) -> None:
    """Let a grid have been planned, and its runs have been trained, a year after all others."""
    for grid in sorted(path.name for path in results.runs.iterdir()):
        year = "2027" if grid == later else "2026"
        plan = results.read_grid(grid)
        results.grid_file(grid).unlink()
        results.write_grid(plan.model_copy(update={"planned_at": f"{year}-01-01T00:00:00+00:00"}))
        for planned in plan.runs:
            run_dir = results.run_dir(planned.run_id, grid)
            record = run_dir.read(RunRecord)
            start = f"{year}-01-01T10:00:00+00:00"
            attempts = [attempt.model_copy(update={"start": start, "end": start}) for attempt in record.attempts]
            run_dir.record_file.unlink()
            run_dir.write_record(record.model_copy(update={"attempts": attempts}))


def _turn(table: pd.DataFrame) -> None:
    """Turn the rows of each part round, in place."""
    order = [row for part in table["part"].unique() for row in table.index[table["part"] == part][::-1]]
    for name in table.columns:
        table[name] = table[name].to_numpy()[order]
