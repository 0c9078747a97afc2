"""The models: configurations by their mean over seeds, and what others have published."""

from typing import Any

from report import statistics
from report.compare.advice import Advice, Rival
from report.compare.datasets import Configuration, Dataset
from report.compare.findings import Findings
from report.compare.usage import usage_of
from report.read.load import PUBLISHED, CompletedRun
from report.render import blocks, wording
from report.render.blocks import Block, Column, Heading, ReportSection, Table
from report.sections.names import LEXICON_REMARK, configuration_name, dataset_name
from report.statistics import Difference
from sentiment.runs.records import Part

_SHOWN = 15
# In the order of their rows below the configurations.
_REFERENCES = ("baseline", "both")
_METRICS = ("accuracy", "precision", "recall", "f1")
_PARTS: tuple[Part, ...] = ("validation", "test")


def leaderboard(findings: Findings) -> ReportSection:
    """Configurations by data set, then figures that others have published."""
    content: list[Block] = []
    for number, dataset in enumerate(findings.datasets, 1):
        content += _of_dataset(dataset, number, findings.advice if number == 1 else None)
    if content:
        content.append(published_figures(findings))
    return ReportSection("The models", content)


def _of_dataset(dataset: Dataset, number: int, advice: Advice | None) -> list[Block]:
    """The configurations on one set of tweets, the best in bold.

    Args:
        number: the place of the data set among all, from 1.
        advice: only of the first data set.
    """
    content: list[Block] = [Heading(f"On {dataset_name(dataset)}")] if number > 1 else []
    gaps = {id(rival.configuration): rival for rival in advice.rivals} if advice else {}
    rows = [
        {"rank": rank, **_configuration_row(one, gap), **_behind(gaps.get(id(one)))}
        for rank, (one, gap) in enumerate(zip(dataset.configurations, dataset.against_baseline, strict=True), 1)
    ]
    name = "leaderboard" if number == 1 else f"leaderboard-{number}"
    tests = max((run.result.metrics["test"].n for run in dataset.runs), default=0)
    caption = (
        f"By configuration on {dataset_name(dataset)}: mean \u00b1 standard deviation over seeds, per cent. Ordered by "
        f"validation F1; the test part ({tests:,} tweets) plays no part in choosing."
    )
    if dataset.folds:
        caption += (
            f" Each tweet was tested in one of {dataset.folds} folds, and the runs of a configuration's folds count as "
            "one, by all of their predictions together; as their training tweets overlap, intervals and tests are "
            "approximate."
        )
    references = _reference_rows((dataset.best or dataset.configurations[0]).chosen)
    if dataset.from_lexicon_authors:
        caption += f" {LEXICON_REMARK}"
    place = next((place for place, one in enumerate(dataset.configurations) if one is dataset.best), 0)
    first = rows[:_SHOWN] if place < _SHOWN else [*rows[: _SHOWN - 1], rows[place]]
    rest = [row for row in rows if row not in first]
    best = first.index(rows[place]) if dataset.best else None
    if advice and advice.predicts in _REFERENCES:
        best = len(first) + _REFERENCES.index(advice.predicts)
    content.append(Table(name, caption, _columns(rows), first + references, best=None if best is None else best + 1))
    if rest:
        others = f"The other {len(rest)} configurations on {dataset_name(dataset)}."
        content.append(Table(f"{name}-rest", others, _columns(rows), rest, folded=True))
    further = "Precision, recall and F1, parameters and attempts of all configurations."
    return [*content, Table(f"{name}-further", further, _further_columns(), rows, folded=True)]


def _behind(rival: Rival | None) -> dict[str, Any]:
    """How much less accurate a rival is than the recommended configuration."""
    return blocks.with_bounds("behind", rival.gap) | {"behind_q": rival.gap.q} if rival else {}


def _columns(rows: list[dict[str, Any]]) -> list[Column]:
    behind = any(row.get("behind") is not None for row in rows)
    return [
        _rank(),
        blocks.text("Model", "model"),
        blocks.percent("Validation F1", "validation_f1"),
        blocks.percent("Test accuracy", "test_accuracy"),
        *([blocks.difference("Best \u2212 this, points", "behind")] if behind else []),
        blocks.text("Against the baseline", "against_baseline"),
        blocks.count("Seeds", "seeds"),
        blocks.text("Overfits", "overfits"),
        blocks.duration("Time per run", "seconds"),
        *([blocks.number("GPU-hours", "gpu_hours", 2)] if any(row["gpu_hours"] for row in rows) else []),
    ]


def _rank() -> Column:
    return Column("#", "rank", lambda row: row.get("rank") or wording.DASH)


def _further_columns() -> list[Column]:
    return [
        _rank(),
        blocks.text("Model", "model"),
        blocks.percent("Validation accuracy", "validation_accuracy"),
        *(blocks.percent(f"Test {title}", f"test_{title.lower()}") for title in ("precision", "recall", "F1")),
        *(blocks.percent(f"Validation {metric}", f"validation_{metric}") for metric in ("precision", "recall")),
        blocks.difference("Less the baseline, points", "above_baseline"),
        blocks.p_value("Adjusted p", "baseline_q"),
        blocks.count("Parameters", "parameters"),
        blocks.number("Best epoch", "best_epoch", 1),
        blocks.count("Attempts", "attempts"),
    ]


def published_figures(findings: Findings) -> Block:
    """What others measured: beside our figures only where the tweets are the same, else folded away with the reason."""
    rows = [
        {"model": one.model, "accuracy": one.accuracy, "bound": one.bound, "part": one.part} | vars(one.source)
        for one in PUBLISHED
    ]
    columns = [
        blocks.text("Model", "model"),
        Column("Accuracy, %", "accuracy", lambda row: f"{row['bound']} {wording.percent(row['accuracy'])}".strip()),
        blocks.text("Measured on", "part"),
        Column("Source", "authors", lambda row: f"{row['authors']}: {row['title']}", numeric=False),
        blocks.text("Link", "link"),
        blocks.text("Data", "data"),
    ]
    is_same = findings.main is not None and findings.main.is_sentiment140
    reason = (
        "the same collection of tweets, but each source split it anew, so figures compare roughly"
        if is_same
        else "measured on other tweets than these, so not comparable with any figure here"
    )
    return Table("published", f"Published figures: {reason}.", columns, rows, folded=not is_same)


def _configuration_row(one: Configuration, gap: Difference | None) -> dict[str, Any]:
    row: dict[str, Any] = {"model": configuration_name(one), "seeds": len(one.runs)}
    for part in _PARTS:
        for metric in _METRICS:
            values = one.values(part, metric)
            row[f"{part}_{metric}"] = one.mean(part, metric)
            row[f"{part}_{metric}_sd"] = statistics.deviation(values)
    row |= {"against_baseline": _verdict(gap), "above_baseline": gap.value if gap else None}
    if gap:
        row |= blocks.with_bounds("above_baseline", gap) | {"baseline_q": gap.q}
    overfits = sum(run.result.overfit.overfits for run in one.runs)
    row["overfits"] = "no" if not overfits else "yes" if overfits == len(one.runs) else f"{overfits} of {len(one.runs)}"
    row["parameters"] = one.runs[0].result.parameters
    row["best_epoch"] = sum(run.result.best_epoch for run in one.runs) / len(one.runs)
    usage = usage_of(one.runs)
    row["seconds"] = usage.seconds / len(one.runs)
    row |= {"attempts": usage.attempts, "gpu_hours": usage.gpu_hours}
    row["random_numbers"] = one.is_random
    return row


def _verdict(gap: Difference | None) -> str:
    if gap is None:
        return wording.DASH
    if not gap.is_shown:
        return "not shown"
    return f"{'better' if gap.value > 0 else 'worse'}{', these models' if gap.of_these_models else ''}"


def _reference_rows(run: CompletedRun) -> list[dict[str, Any]]:
    """The baselines on the tweets of a run; tweets cleaned in another way would give another linear one."""
    names = {
        "linear baseline, tweets cleaned as for the recommended net": run.result.baseline,
        "mean of the recommended net (its best seed) and the linear baseline": run.result.combination,
        "VADER's lexicon, not trained": run.result.lexicon,
    }
    return [
        {"model": name} | {f"{part}_{metric}": getattr(of[part], metric) for part in _PARTS for metric in _METRICS}
        for name, of in names.items()
    ]
