"""Table of all runs, and the data for the interactive explorer."""

import shlex
from collections.abc import Sequence
from typing import Any

from report.compare.cost import usage_of
from report.compare.findings import Findings
from report.compare.matching import differing
from report.read import Run, Study
from report.render import wording
from report.render.blocks import Block, Bullets, Column, Explorer, ReportTable, Row, Text, column, columns
from report.sections.names import (
    model_name,
    state_name,
    unfinished,
)
from report.sections.sentences import sentence
from sentiment.runs.records import MACRO_SCORES
from sentiment.runs.state import PAUSED, PLANNED, PRUNED, RUNNING, STOPPED, UNREACHABLE

# States of runs that need no action, or about which this machine knows too little.
_IN_PROGRESS = (RUNNING, PLANNED, PAUSED, STOPPED, UNREACHABLE)
# The columns of a run's metrics on validation and on test tweets, in the order of the CSV file.
_METRICS = ("accuracy", "accuracy_low", "accuracy_high", "loss", *MACRO_SCORES)
# Maximum number of unfinished runs listed; a page with ten thousand would be slow to open.
_MAX_UNFINISHED = 500
# Maximum number of runs named of those that a grid starts from.
_MOST_NAMED = 6


def runs(findings: Findings) -> list[Block]:
    """All runs; unfinished ones with the reason."""
    study_runs = findings.study.runs
    if not study_runs:
        return []
    dataset_names = {
        each.run_id: dataset.name for dataset in findings.datasets for run in dataset.runs for each in run.trained
    }
    has_pruned = any(run.state.state == PRUNED for run in study_runs)
    hidden = {run.run_dir for run in unfinished(study_runs)[_MAX_UNFINISHED:]}
    visible = [run for run in study_runs if run.run_dir not in hidden]
    rows = [_run_row(key, run, dataset_names) for key, run in enumerate(visible)]
    caption = sentence("runs.table", shown=len(rows), number=len(study_runs), has_pruned=has_pruned)
    explorer = Explorer(_explorer_data(visible, rows, findings), [ReportTable("runs", caption, _columns(rows), rows)])
    return [*_stages(findings.study), *_advice(findings.study), explorer]


def _stages(study: Study) -> list[Block]:
    """What each grid that starts from another one took over from it."""
    items = [sentence("runs.stage", plan=plan, most=_MOST_NAMED) for plan in study.stages]
    return [Bullets(items)] if items else []


def _advice(study: Study) -> list[Block]:
    """How many runs are not completed, and how to resume those that have stopped."""
    left = unfinished(study.runs)
    if not left:
        return []
    stopped = sum(run.state.state not in _IN_PROGRESS for run in left)
    command = study.results.command("status")
    return [Text(sentence("runs.unfinished", runs=study.runs, stopped=stopped, command=command))]


def _run_row(key: int, run: Run, dataset_names: dict[str, str]) -> Row:
    usage = usage_of([run])
    row: Row = {"row": key, "grid": run.grid, "run": run.run_id, "state": state_name(run.state.state)}
    row |= {"attempts": usage.attempts, "state_reason": run.state.reason}
    if run.record:
        row |= {"gpu_seconds": usage.training.gpu, "cpu_seconds": usage.training.cpu}
    if not run.completed:
        return row
    config = run.completed.config
    result = run.completed.result
    for part in ("validation", "test"):
        row |= {f"{part}_{name}": getattr(result.metrics[part], name) for name in _METRICS}
    row |= {"parameters": result.parameters, "epochs": result.epochs, "best_epoch": result.best_epoch}
    row |= {"model": model_name(config), "data": dataset_names.get(run.run_id), "seed": config.seed}
    row["seconds"] = result.seconds_trained
    test = {kind: metrics["test"].accuracy for kind, metrics in result.scores.items()}
    row["both_accuracy"] = test["both"]
    row["gain_over_baseline"] = test["network"] - test["baseline"]
    row["overfit_gap"] = result.overfit.gap
    row["overfits"] = "yes" if result.overfits else "no"
    return row


def _columns(rows: list[Row]) -> list[Column]:
    grid = Column("Grid", "grid", lambda row: row["grid"] or "single run")
    return [grid, column("Run", "run"), Column("State", "state", _state), *columns("runs", rows)]


def _state(row: Row) -> str:
    return f"{row['state']}: {row['state_reason']}" if row["state_reason"] else row["state"]


def _explorer_data(visible: list[Run], rows: list[Row], findings: Findings) -> Row:
    completed = {run.completed.run_id: run.completed for run in visible if run.completed}
    settings = {run_id: run.settings for run_id, run in completed.items()}
    varying = differing([*settings.values()])
    scores, optional = (
        [{"title": each.title, "key": each.key, "kind": each.kind} for each in columns(table, rows)]
        for table in ("runs", "explorer")
    )
    keys = ["grid", "run", "state", "state_reason", "model", "data", "test_accuracy_low", "test_accuracy_high"]
    keys += [each["key"] for each in (*scores, *optional)]
    exported = []
    for run, row in zip(visible, rows, strict=True):
        values = {key: row[key] for key in keys if key in row}
        if run.run_dir.config_file.is_file():
            values["path"] = shlex.quote(str(run.run_dir.path))
        if run.completed:
            values["settings"] = [_shown(settings[run.run_id].get(name)) for name in varying]
        exported.append(values)
    data: Row = {"runs": _by_column(exported), "scores": scores, "optional": optional}
    data["options"] = shlex.join(findings.study.results.options)
    data["settings"] = [{"key": name, "title": wording.capital(wording.parameter_name(name))} for name in varying]
    data["curves"] = {run_id: curve for run_id, curve in findings.curves.items() if run_id in completed}
    return data


def _by_column(rows: Sequence[Row]) -> dict[str, list[Any]]:
    """The values of all rows by their keys, rounded to what is shown; the page is a third smaller than with keys in
    each row."""
    keys = dict.fromkeys(key for row in rows for key in row)
    return {key: [_rounded(row.get(key)) for row in rows] for key in keys}


def _shown(value: Any) -> Any:
    """The value of a setting, without folders of this machine."""
    return wording.with_bare_names(value) if isinstance(value, str) else value


def _rounded(value: Any) -> Any:
    return float(f"{value:.6g}") if isinstance(value, float) else value
