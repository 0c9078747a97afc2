"""Leaderboard: configurations by their mean over seeds, published figures beside them, and all runs in every state."""

from collections.abc import Callable
from typing import Any

from report import statistics
from report.analysis.datasets import Configuration, Dataset
from report.analysis.findings import Findings
from report.analysis.usage import usage_of
from report.read.load import CompletedRun, Run
from report.read.published import PUBLISHED, PublishedScore
from report.render import blocks, wording
from report.render.blocks import Column, Heading, ReportSection, Row, Table, Text
from report.render.markdown import joined, strong
from report.sections.names import LEXICON_REMARK, configuration_name, dataset_name, grid_column, run_name, state_name
from sentiment.records import Part
from sentiment.run_state import PRUNED

_SHOWN = 15
_METRICS = {"accuracy": "accuracy", "precision": "precision", "recall": "recall", "f1": "F1"}
_PARTS: dict[Part, str] = {"validation": "validation", "test": "test", "second_test": "second test"}

# So many runs without a result are named; a page with ten thousand would be slow to open.
_MOST_UNFINISHED = 500


def leaderboard(findings: Findings) -> ReportSection:
    """Configurations by data set, then the runs without a result, then every run by itself."""
    content: list[blocks.Block] = []
    for number, dataset in enumerate(findings.datasets, 1):
        content += _of_dataset(dataset, number, len(findings.datasets))
    return ReportSection("Leaderboard", content + _all_runs(findings.study.runs, findings.datasets))


def _of_dataset(dataset: Dataset, number: int, many: int) -> list[blocks.Block]:
    """The configurations on one set of tweets, the best in bold.

    Args:
        number: the place of the data set among all, from 1; published figures stand beside the first.
        many: how many data sets there are.
    """
    content: list[blocks.Block] = [Heading(f"On {dataset_name(dataset)}")] if many > 1 else []
    rows = [_configuration_row(one, dataset) for one in dataset.configurations]
    for rank, row in enumerate(rows, 1):
        row["rank"] = rank
    published = [_published_row(one) for one in PUBLISHED] if number == 1 else []
    name = "leaderboard" if number == 1 else f"leaderboard-{number}"
    tests = max((run.result.metrics["test"].n for run in dataset.runs), default=0)
    caption = (
        f"By configuration, {dataset_name(dataset)}: mean \u00b1 standard deviation over seeds, in per cent. Ordered "
        f"by validation F1; the test part ({tests:,} tweets) plays no part in choosing. Against the "
        f"baseline: exact McNemar tests on the same tweets, n = {tests:,} each, p-values adjusted together for "
        f"{wording.plural(len(dataset.comparisons), 'run')} (Benjamini-Hochberg, 5 %)."
    )
    if published:
        where = "on all of Sentiment140" + ("" if dataset.is_sentiment140 else ", which are other tweets than these")
        caption += f" Published figures were not measured here but {where}."
    if dataset.folds:
        caption += (
            f" Each tweet was tested in one of {dataset.folds} folds, and the runs of a configuration's folds count as "
            "one, by all of their predictions together; as their training tweets overlap, intervals and tests are "
            "approximate."
        )
    best = None if dataset.configurations[0].is_random else 1
    references = [*_reference_rows(dataset.configurations[0].chosen), *published]
    if dataset.from_lexicon_authors:
        caption += f" {LEXICON_REMARK}"
    content.append(Table(name, caption, _columns(rows), rows[:_SHOWN] + references, best=best))
    if len(rows) > _SHOWN:
        rest = f"The other {len(rows) - _SHOWN} configurations on {dataset_name(dataset)}."
        content.append(Table(f"{name}-rest", rest, _columns(rows), rows[_SHOWN:], folded=True))
    return content


def _columns(rows: list[dict[str, Any]]) -> list[Column]:
    has_second = any(row.get("second_test_accuracy") is not None for row in rows)
    second = [blocks.percent(f"Second test {_METRICS[metric]}", f"second_test_{metric}") for metric in _METRICS]
    return [
        Column("#", "rank", lambda row: row.get("rank") or wording.DASH),
        Column("Model", "model", _model, numeric=False),
        blocks.percent("Validation F1", "validation_f1"),
        Column("Validation accuracy", "validation_accuracy", _accuracy("validation_accuracy")),
        Column("Test accuracy", "test_accuracy", _accuracy("test_accuracy")),
        blocks.points("Points above the baseline", "above_baseline"),
        blocks.text("Against the baseline", "against_baseline"),
        blocks.count("Seeds", "seeds"),
        blocks.text("Overfits", "overfits"),
        *(blocks.percent(f"Test {_METRICS[metric]}", f"test_{metric}") for metric in ("precision", "recall", "f1")),
        *(blocks.percent(f"Validation {metric}", f"validation_{metric}") for metric in ("precision", "recall")),
        *(second if has_second else []),
        blocks.count("Parameters", "parameters"),
        blocks.number("Best epoch", "best_epoch", 1),
        blocks.duration("Time per run", "seconds"),
        blocks.number("GPU-hours", "gpu_hours", 2),
        blocks.count("Attempts", "attempts"),
    ]


def _model(row: Row) -> Any:
    return joined([strong("published"), row["model"]]) if row.get("published") else row["model"]


def _accuracy(key: str) -> Callable[[Row], str]:
    """How to show an accuracy, and that it is a ceiling where a published one is."""

    def show(row: Row) -> str:
        bound = f"{row['bound']} " if row.get("bound") and row.get(key) is not None else ""
        return f"{bound}{blocks.percent('', key).show(row)}"

    return show


def _configuration_row(one: Configuration, dataset: Dataset) -> dict[str, Any]:
    row: dict[str, Any] = {"published": False, "model": configuration_name(one), "seeds": len(one.runs)}
    for part in _PARTS:
        for metric in _METRICS:
            values = one.values(part, metric)
            row[f"{part}_{metric}"] = one.mean(part, metric)
            row[f"{part}_{metric}_sd"] = statistics.deviation(values)
    compared = [run for run in one.runs if run.run_id in dataset.comparisons]
    gaps = [dataset.comparisons[run.run_id].baseline for run in compared]
    shown = [dataset.adjusted[run.run_id] < statistics.ALPHA for run in compared]
    row["above_baseline"] = sum(gap.value for gap in gaps) / len(gaps) if gaps else None
    row["against_baseline"] = _verdict([(gap.value, is_shown) for gap, is_shown in zip(gaps, shown, strict=True)])
    overfits = sum(run.result.overfit.overfits for run in one.runs)
    row["overfits"] = "no" if not overfits else "yes" if overfits == len(one.runs) else f"{overfits} of {len(one.runs)}"
    row["parameters"] = one.runs[0].result.parameters
    row["best_epoch"] = sum(run.result.best_epoch for run in one.runs) / len(one.runs)
    usage = usage_of(one.runs)
    row["seconds"] = usage.seconds / len(one.runs)
    row |= {"attempts": usage.attempts, "gpu_hours": usage.gpu_hours}
    row["random_numbers"] = one.is_random
    return row


def _verdict(gaps: list[tuple[float, bool]]) -> str:
    """In how many seeds the difference from the baseline is shown, and in which direction."""
    if not gaps:
        return wording.DASH
    better = sum(is_shown and value > 0 for value, is_shown in gaps)
    worse = sum(is_shown and value < 0 for value, is_shown in gaps)
    found = (("better", better), ("worse", worse))
    words = [f"{what} in\u00a0{number}\u00a0of\u00a0{len(gaps)}" for what, number in found if number]
    return ", ".join(words) or "not shown"


def _reference_rows(run: CompletedRun) -> list[dict[str, Any]]:
    """The baselines on the tweets of a run; tweets cleaned in another way would give another linear one."""
    names = {"linear baseline, tweets cleaned as for the first": run.result.baseline}
    if run.result.lexicon:
        names["VADER's lexicon, not trained"] = run.result.lexicon
    return [
        {"published": False, "model": name}
        | {f"{part}_{metric}": getattr(of[part], metric) for part in _PARTS if part in of for metric in _METRICS}
        for name, of in names.items()
    ]


def _published_row(one: PublishedScore) -> dict[str, Any]:
    part = "validation" if one.part == "validation" else "test"
    row = {"published": True, "model": f"{one.model} ({one.part})", "bound": one.bound, "remark": one.remark}
    return row | {f"{part}_accuracy": one.accuracy}


def _all_runs(runs: list[Run], found: list[Dataset]) -> list[blocks.Block]:
    unfinished = [run for run in runs if not run.completed and run.state.state != PRUNED]
    left_out = {run.run_dir for run in unfinished[_MOST_UNFINISHED:]}
    rows = [_run_row(run, found) for run in runs if run.run_dir not in left_out]
    content: list[blocks.Block] = [Heading("Every run")]
    if pruned := sum(run.state.state == PRUNED for run in runs):
        what = f"{pruned:,} of {wording.plural(len(runs), 'run')} were pruned by a search: without all of their epochs"
        content.append(Text(f"{what} they have no result, and no place among those that have one."))
    if unfinished:
        caption = (
            f"{len(unfinished):,} of {wording.plural(len(runs), 'run')} without a result. Those of a grid go on with "
            "\u201cpython -m jobs rerun GRID\u201d, single runs with the command that began them."
        )
        if left_out:
            caption += f" The first {_MOST_UNFINISHED:,} are shown; \u201cpython -m jobs status --all\u201d lists all."
        columns = [grid_column(), *(blocks.text(title, title.lower()) for title in ("Run", "State", "Why"))]
        content.append(Table("unfinished", caption, columns, [_why_row(run) for run in unfinished[:_MOST_UNFINISHED]]))
    which = f"{len(rows):,} of {len(runs):,} runs" if left_out else f"All {len(rows):,} runs"
    caption = f"{which}: scores in per cent, accuracies with Wilson's 95 % interval."
    content.append(Table("runs", caption, _run_columns(rows), rows, folded=True))
    return content


def _why_row(run: Run) -> dict[str, Any]:
    state = state_name(run.state.state)
    return {"grid": run.grid, "run": run.run_id, "state": state, "why": run.state.reason or wording.DASH}


def _run_row(run: Run, found: list[Dataset]) -> dict[str, Any]:
    usage = usage_of([run])
    row: dict[str, Any] = {"grid": run.grid, "run": run_name(run), "state": state_name(run.state.state)}
    row |= {"attempts": usage.attempts, "gpu_hours": usage.gpu_hours}
    return row | (_result_values(run.completed, found) if run.completed else {})


def _result_values(run: CompletedRun, found: list[Dataset]) -> dict[str, Any]:
    result = run.result
    values: dict[str, Any] = {
        f"{part}_{name}": getattr(result.metrics[part], name)
        for part in _PARTS
        if part in result.metrics
        for name in (*_METRICS, "accuracy_low", "accuracy_high")
    }
    values |= {name: getattr(result, name) for name in ("parameters", "epochs", "best_epoch")}
    values |= {"seconds": result.seconds_trained, "gap": result.overfit.gap}
    values["overfits"] = "yes" if result.overfit.overfits else "no"
    values["combined"] = result.combination["test"].accuracy
    values["baseline_accuracy"] = result.baseline["test"].accuracy
    values["random_numbers"] = run.is_random
    for dataset in found:
        if comparison := dataset.comparisons.get(run.run_id):
            baseline = comparison.baseline
            values |= {"mcnemar_only_run": baseline.only_first, "mcnemar_only_baseline": baseline.only_second}
            values |= {"mcnemar_p": baseline.p, "mcnemar_q": dataset.adjusted[run.run_id]}
    return values


def _run_columns(rows: list[dict[str, Any]]) -> list[Column]:
    columns = [
        grid_column(),
        blocks.text("Run", "run"),
        blocks.text("State", "state"),
    ]
    for part, title in _PARTS.items():
        if any(f"{part}_accuracy" in row for row in rows):
            columns.append(blocks.interval(f"{title.capitalize()} accuracy", f"{part}_accuracy"))
            columns += [blocks.percent(name.capitalize(), f"{part}_{name}") for name in ("precision", "recall")]
            columns.append(blocks.percent("F1", f"{part}_f1"))
    return [
        *columns,
        blocks.percent("Baseline, test", "baseline_accuracy"),
        blocks.percent("Mean with baseline, test", "combined"),
        blocks.p_value("p against baseline", "mcnemar_p"),
        blocks.p_value("adjusted p", "mcnemar_q"),
        blocks.text("Overfits", "overfits"),
        blocks.count("Parameters", "parameters"),
        blocks.count("Epochs", "epochs"),
        blocks.count("Best epoch", "best_epoch"),
        blocks.duration("Trained for", "seconds"),
        blocks.number("GPU-hours", "gpu_hours", 2),
        blocks.count("Attempts", "attempts"),
    ]
