"""Every run by itself: in a table that readers can filter, sort and compare, with what the page needs for that."""

from collections import Counter
from typing import Any

from report.compare.datasets import Comparison, Dataset
from report.compare.findings import Findings
from report.compare.usage import usage_of
from report.read.load import CompletedRun, Run
from report.render import blocks, drawing, wording
from report.render.blocks import Block, Column, Explorer, ReportSection, Table, Text
from report.render.charts.lines import overlay_spec
from report.sections.names import configuration_label, dataset_name, grid_column, predict_command, run_name, state_name
from sentiment.runs.records import Attempt, Part
from sentiment.runs.state import PRUNED

# So many runs without a result are named; a page with ten thousand would be slow to open.
_MOST_UNFINISHED = 500
_METRICS = ("accuracy", "precision", "recall", "f1")
_PARTS: tuple[Part, ...] = ("validation", "test")


def runs(findings: Findings) -> ReportSection:
    """All runs in every state; those without a result with the reason."""
    every, found = findings.study.runs, findings.datasets
    unfinished = [run for run in every if not run.completed and run.state.state != PRUNED]
    left_out = {run.run_dir for run in unfinished[_MOST_UNFINISHED:]}
    content: list[Block] = []
    if pruned := sum(run.state.state == PRUNED for run in every):
        what = f"{pruned:,} of {wording.plural(len(every), 'run')} were pruned by a search: without all of their epochs"
        content.append(Text(f"{what} they have no result, and no place among those that have one."))
    if unfinished:
        content.append(_unfinished(unfinished, len(every)))
    shown = [run for run in every if run.run_dir not in left_out]
    rows = [_row(key, run, found) for key, run in enumerate(shown)]
    which = f"{len(rows):,} of {len(every):,} runs" if left_out else f"All {len(rows):,} runs"
    caption = f"{which}: scores in per cent, accuracies with Wilson's 95 % interval."
    table = Table("runs", caption, _columns(rows), rows)
    content.append(Explorer(_data(shown, rows, findings), [table]))
    return ReportSection("The runs", content)


def _unfinished(unfinished: list[Run], many: int) -> Table:
    caption = (
        f"{len(unfinished):,} of {wording.plural(many, 'run')} without a result. Those of a grid go on with "
        "\u201cpython -m jobs rerun GRID\u201d, single runs with the command that began them."
    )
    if len(unfinished) > _MOST_UNFINISHED:
        caption += f" The first {_MOST_UNFINISHED:,} are shown; \u201cpython -m jobs status --all\u201d lists all."
    columns = [grid_column(), *(blocks.text(title, title.lower()) for title in ("Run", "State", "Why"))]
    rows = [_why_row(run) for run in unfinished[:_MOST_UNFINISHED]]
    return Table("unfinished", caption, columns, rows, folded=len(rows) > 10)


def _why_row(run: Run) -> dict[str, Any]:
    state = state_name(run.state.state)
    return {"grid": run.grid, "run": run.run_id, "state": state, "why": run.state.reason or wording.DASH}


def _row(key: int, run: Run, found: list[Dataset]) -> dict[str, Any]:
    usage = usage_of([run])
    row: dict[str, Any] = {"key": key, "grid": run.grid, "run": run_name(run), "state": state_name(run.state.state)}
    row |= {"attempts": usage.attempts, "gpu_hours": usage.gpu_hours}
    return row | (_result_values(run.completed, found) if run.completed else {})


def _result_values(run: CompletedRun, found: list[Dataset]) -> dict[str, Any]:
    result = run.result
    values: dict[str, Any] = {"model": configuration_label(run)}
    values |= {
        f"{part}_{name}": getattr(result.metrics[part], name)
        for part in _PARTS
        for name in (*_METRICS, "accuracy_low", "accuracy_high")
    }
    values |= {name: getattr(result, name) for name in ("parameters", "epochs", "best_epoch")}
    values |= {"seconds": result.seconds_trained, "gap": result.overfit.gap, "seed": run.config.seed}
    values["overfits"] = "yes" if result.overfit.overfits else "no"
    values["combined"] = result.combination["test"].accuracy
    values["baseline_accuracy"] = result.baseline["test"].accuracy
    values["random_numbers"] = run.is_random
    for dataset in found:
        if run.run_id in dataset.comparisons:
            values |= {"above": result.metrics["test"].accuracy - result.baseline["test"].accuracy}
            values |= {"data": dataset_name(dataset)}
    return values


def _columns(rows: list[dict[str, Any]]) -> list[Column]:
    gpu = any(row["gpu_hours"] for row in rows)
    return [
        grid_column(),
        blocks.text("Run", "run"),
        blocks.text("State", "state"),
        blocks.percent("Validation F1", "validation_f1"),
        blocks.interval("Test accuracy", "test_accuracy"),
        blocks.points("Above the baseline", "above"),
        blocks.text("Overfits", "overfits"),
        blocks.count("Best epoch", "best_epoch"),
        blocks.duration("Trained for", "seconds"),
        *([blocks.number("GPU-hours", "gpu_hours", 2)] if gpu else []),
    ]


_MORE = {
    "seed": ("Seed", "count"),
    "validation_accuracy": ("Validation accuracy", "percent"),
    "test_precision": ("Test precision", "percent"),
    "test_recall": ("Test recall", "percent"),
    "test_f1": ("Test F1", "percent"),
    "combined": ("Mean with the baseline", "percent"),
    "gap": ("Overfitting gap", "percent"),
    "parameters": ("Parameters", "count"),
    "epochs": ("Epochs", "count"),
    "attempts": ("Attempts", "count"),
}
"""Columns that readers can add, besides the settings in which runs differ."""


def _data(shown: list[Run], rows: list[dict[str, Any]], findings: Findings) -> dict[str, Any]:
    """Plain values for the page's script, which finds the command of a run by its row in the table of all commands."""
    completed = {run.completed.run_id: run.completed for run in shown if run.completed}
    varying = _varying(list(completed.values()))
    places = {run.run_dir: place for place, run in enumerate(findings.study.runs)}
    comparisons = {run_id: one for dataset in findings.datasets for run_id, one in dataset.comparisons.items()}
    each = []
    for run, row in zip(shown, rows, strict=True):
        values = {name: row[name] for name in ("grid", "run", "state", "model", "data", *_MORE) if name in row}
        values |= {"path": str(run.run_dir.path), "why": run.state.reason}
        values["command"] = places[run.run_dir]
        values["attempted"] = [_attempt(one) for one in run.record.attempts] if run.record else []
        if run.completed:
            settings = run.completed.settings
            values["settings"] = {name: _plain(settings.get(name)) for name in varying}
            values["predict"] = predict_command(run.completed, findings.study.results)
            values |= _tested(comparisons.get(run.completed.run_id))
        each.append(values)
    return {
        "runs": each,
        "more": [{"key": key, "title": title, "kind": kind} for key, (title, kind) in _MORE.items()],
        "settings": [{"key": name, "title": wording.capital(wording.parameter_name(name))} for name in varying],
        "curves": {run_id: curve for run_id, curve in findings.learned.items() if run_id in completed},
        "answers": findings.packed.packed() if findings.packed else None,
        "overlay": {"wide": _themed(overlay_spec(drawing.WIDE)), "narrow": _themed(overlay_spec(drawing.NARROW))},
        "names": list(next(iter(completed.values())).config.data.label_names) if completed else [],
    }


def _tested(comparison: Comparison | None) -> dict[str, Any]:
    if comparison is None:
        return {}
    points = [[round(said, 4), round(share, 4), n] for said, share, n in comparison.calibration]
    return {"confusion": comparison.confusion, "calibration": points}


def _attempt(one: Attempt) -> list[str]:
    end = one.end or wording.DASH
    times = [moment[:19].replace("T", " ") for moment in (one.start, end)]
    return [*times, one.host, one.job or wording.DASH, one.device, one.reason or "no end recorded"]


def _varying(completed: list[CompletedRun]) -> list[str]:
    """The settings in which any two runs differ, in the order of the schema; the seed has a column of its own."""
    values: dict[str, Counter[str]] = {}
    for run in completed:
        for name, value in run.settings.items():
            values.setdefault(name, Counter())[str(value)] += 1
    return [
        name for name, found in values.items() if name != "seed" and (len(found) > 1 or found.total() < len(completed))
    ]


def _plain(value: Any) -> Any:
    return value if isinstance(value, int | float | str | bool | None) else str(value)


def _themed(spec: Any) -> Any:
    """A specification in the page's colours."""
    if isinstance(spec, dict):
        return {name: _themed(value) for name, value in spec.items()}
    if isinstance(spec, list):
        return [_themed(value) for value in spec]
    return drawing.THEME.get(spec, spec) if isinstance(spec, str) else spec
