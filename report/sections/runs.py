"""Table of all runs, and the data for the interactive explorer."""

import shlex
from collections.abc import Sequence
from typing import Any

from markupsafe import Markup

from report.compare.cost import usage_of
from report.compare.findings import Findings
from report.compare.matching import differing
from report.read import Run, Study
from report.render import wording
from report.render.blocks import Block, Explorer, columns_of
from report.sections.names import (
    model_name,
    state_name,
    unfinished,
    unfinished_sentence,
)
from sentiment.blocks.content import Bullets, Column, DataTable, Row, Text, column
from sentiment.blocks.wording import capital, emphasis, joined
from sentiment.console import plural
from sentiment.runs.records import MACRO_SCORES, StartsFrom
from sentiment.runs.run_dir import SINGLE
from sentiment.runs.state import PAUSED, PLANNED, PRUNED, UNKNOWN, RunState

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
    caption = _caption(len(rows), len(study_runs), has_pruned)
    explorer = Explorer(_explorer_data(visible, rows, findings), [DataTable("runs", caption, _columns(rows), rows)])
    return [*_stages(findings.study), *_advice(findings.study), explorer]


def _stages(study: Study) -> list[Block]:
    """What each grid that starts from another one took over from it."""
    items = [stage(plan.name, plan.starts_from) for plan in study.stages if plan.starts_from]
    return [Bullets(items)] if items else []


def stage(name: str, start: StartsFrom) -> Markup:
    """What a grid took over from the one that it starts from, and why runs were left out."""
    said = f"is empty, since no run of grid {start.grid} fits the rule: {start.rule}."
    if start.run_ids:
        more = len(start.run_ids) - _MOST_NAMED
        named = ", ".join(start.run_ids[:_MOST_NAMED]) + (f" and {more:,} more" if more > 0 else "")
        said = f"starts from {plural(len(start.run_ids), 'run')} of grid {start.grid} (rule: {start.rule}): {named}."
    return joined([emphasis(f"{name}:"), said, *(f"Left out: {line}." for line in start.left_out)])


def _caption(shown: int, number: int, has_pruned: bool) -> str:
    which = f"All {number:,} runs" if shown == number else f"{shown:,} of {number:,} runs shown"
    pruned = " Runs pruned by a search have no result." if has_pruned else ""
    return f"{which}. Scores in %; test accuracy with Wilson 95 % interval.{pruned}"


def _advice(study: Study) -> list[Block]:
    """How many runs are not completed, and how to resume those that have ended."""
    left = unfinished(study.runs)
    if not left:
        return []
    ended = sum(_has_ended(run.state) for run in left)
    text = f"{unfinished_sentence(study.runs)}."
    if ended:
        command = study.results.command("status")
        text += (
            f" {plural(ended, 'run')} ended without a result. \u201c{command}\u201d shows how to resume those of "
            "grids; the command that started a single run resumes it."
        )
    return [Text(text)]


def _has_ended(run: RunState) -> bool:
    """Whether a run without a result has ended, as far as is known here, and does not go on by itself."""
    return not (run.active or run.interrupted or run.state in (PLANNED, PAUSED, UNKNOWN))


def _run_row(key: int, run: Run, dataset_names: dict[str, str]) -> Row:
    usage = usage_of([run])
    grid = None if run.run_dir.grid == SINGLE else run.run_dir.grid
    row: Row = {"row": key, "grid": grid, "run": run.run_id, "state": state_name(run.state.state)}
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
    return [grid, column("Run", "run"), Column("State", "state", _state), *columns_of("runs", rows)]


def _state(row: Row) -> str:
    return f"{row['state']}: {row['state_reason']}" if row["state_reason"] else row["state"]


def _explorer_data(visible: list[Run], rows: list[Row], findings: Findings) -> Row:
    completed = {run.completed.run_id: run.completed for run in visible if run.completed}
    settings = {run_id: run.settings for run_id, run in completed.items()}
    varying = differing([*settings.values()])
    scores, optional = (
        [{"title": each.title, "key": each.key, "kind": each.kind} for each in columns_of(table, rows)]
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
    data["settings"] = [{"key": name, "title": capital(wording.parameter_name(name))} for name in varying]
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
