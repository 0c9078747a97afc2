"""Every run by itself: in a table that readers can filter, sort and compare, with what the page needs for that."""

import json
from typing import Any

from report.compare.advice import usage_of
from report.compare.findings import Findings
from report.read import Run
from report.render import charts, wording
from report.render.blocks import Column, Explorer, ReportSection, Table, Text, column
from report.sections.names import GRID_COLUMN, model_name, predict_command, run_name, state_name
from sentiment.runs.state import PRUNED

# So many runs without a result are named; a page with ten thousand would be slow to open.
_MOST_UNFINISHED = 500


def runs(findings: Findings) -> ReportSection:
    """All runs in every state; those without a result with the reason."""
    every = findings.study.runs
    names = {run.run_id: dataset.name for dataset in findings.datasets for run in dataset.runs}
    unfinished = [run.run_dir for run in every if not run.completed and run.state.state != PRUNED]
    left_out = {*unfinished[_MOST_UNFINISHED:]}
    told = (
        f"{len(unfinished):,} of {wording.plural(len(every), 'run')} have no result: \u201csentiment rerun GRID\u201d "
        "goes on with those of a grid, the command that began it with a single one."
    )
    shown = [run for run in every if run.run_dir not in left_out]
    rows = [_row(key, run, names) for key, run in enumerate(shown)]
    which = f"{len(rows):,} of {len(every):,} runs" if left_out else f"All {len(rows):,} runs"
    caption = f"{which}: scores in per cent, accuracies with Wilson's 95 % interval."
    if any(run.state.state == PRUNED for run in every):
        caption += " Those that a search has pruned, without all of their epochs, have no result."
    table = Table("runs", caption, _columns(rows), rows)
    explorer = Explorer(_data(shown, rows, findings), [table])
    return ReportSection("The runs", [*([Text(told)] if unfinished else []), explorer])


def _row(key: int, run: Run, names: dict[str, str]) -> dict[str, Any]:
    usage = usage_of([run])
    row: dict[str, Any] = {"key": key, "grid": run.grid, "run": run_name(run), "state": state_name(run.state.state)}
    row |= {"attempts": usage.attempts, "gpu_hours": usage.gpu_hours, "why": run.state.reason}
    if not run.completed:
        return row
    config, result = run.completed.config, run.completed.result
    for part in ("validation", "test"):
        row |= {f"{part}_{name}": one for name, one in result.metrics[part].model_dump().items()}
    baseline = result.baseline["test"].accuracy
    row |= {name: getattr(result, name) for name in ("parameters", "epochs", "best_epoch")}
    row |= {"model": model_name(config), "data": names.get(run.run_id), "seed": config.seed}
    row |= {"seconds": result.seconds_trained, "gap": result.overfit.gap, "both": result.both["test"].accuracy}
    row |= {"above": result.metrics["test"].accuracy - baseline, "random_numbers": run.completed.is_random}
    return row | {"overfits": "yes" if result.overfit.overfits else "no"}


def _columns(rows: list[dict[str, Any]]) -> list[Column]:
    gpu = any(row["gpu_hours"] for row in rows)
    return [
        GRID_COLUMN,
        column("Run", "run"),
        Column("State", "state", lambda row: ": ".join(filter(None, [row["state"], row["why"]])), numeric=False),
        column("Validation F1", "validation_f1", "percent"),
        column("Test accuracy", "test_accuracy", "percent"),
        column("Above the baseline", "above", "points"),
        column("Overfits", "overfits"),
        column("Best epoch", "best_epoch", "count"),
        column("Trained for", "seconds", "duration"),
        *([column("GPU-hours", "gpu_hours", ",.2f")] if gpu else []),
    ]


# Columns that readers can add, besides the settings in which runs differ.
_MORE = {
    "seed": ("Seed", "count"),
    "validation_accuracy": ("Validation accuracy", "percent"),
    "test_precision": ("Test precision", "percent"),
    "test_recall": ("Test recall", "percent"),
    "test_f1": ("Test F1", "percent"),
    "both": ("Mean with the baseline", "percent"),
    "gap": ("Overfitting gap", "percent"),
    "parameters": ("Parameters", "count"),
    "epochs": ("Epochs", "count"),
    "attempts": ("Attempts", "count"),
}


def _data(shown: list[Run], rows: list[dict[str, Any]], findings: Findings) -> dict[str, Any]:
    completed = {run.completed.run_id: run.completed for run in shown if run.completed}
    settings = [run.settings for run in completed.values()]
    names = dict.fromkeys(name for one in settings for name in one if name != "seed")
    varying = [name for name in names if len({str(one.get(name)) for one in settings}) > 1]
    places = {run.run_dir: place for place, run in enumerate(findings.study.runs)}
    each = []
    for run, row in zip(shown, rows, strict=True):
        values = {name: row[name] for name in ("grid", "run", "state", "why", "model", "data", *_MORE) if name in row}
        values |= {"path": str(run.run_dir.path), "command": places[run.run_dir]}
        if run.completed:
            values["settings"] = {name: run.completed.settings.get(name) for name in varying}
            values["predict"] = predict_command(run.completed, findings.study.results)
        each.append(values)
    overlays = {"wide": charts.overlay_spec(charts.WIDE), "narrow": charts.overlay_spec(charts.NARROW)}
    return {
        "runs": each,
        "more": [{"key": key, "title": title, "kind": kind} for key, (title, kind) in _MORE.items()],
        "settings": [{"key": name, "title": wording.capital(wording.parameter_name(name))} for name in varying],
        "curves": {run_id: curve for run_id, curve in findings.learned.items() if run_id in completed},
        "answers": findings.packed,
        "added": [one.run_id for one in findings.main.added] if findings.main else [],
        "overlay": json.loads(charts.themed(json.dumps(overlays))),
        "names": list(next(iter(completed.values())).config.data.label_names) if completed else [],
    }
