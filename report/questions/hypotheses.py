"""What was expected before the runs, and what came out: of a published study's findings, the replication table."""

import math
from collections.abc import Collection
from typing import Any

from markupsafe import Markup

from report.compare.findings import Findings
from report.compare.hypotheses import Verdict, replicated
from report.questions.settings import card_title
from report.render import wording
from report.render.blocks import Block, Document, Table, columns, with_bounds
from report.render.page import anchor
from report.sections.sentences import sentence
from sentiment.runs.hypotheses import BestOf, Measure

# What is compared: the unit of the difference, and how many of them 1 is.
_UNITS: dict[Measure, tuple[str, int]] = {
    "score": ("points", 100),
    "epochs": ("epochs", 1),
    "overfitting": ("points of overfitting", 100),
}


def hypotheses(findings: Findings, cards: Collection[str]) -> list[Block]:
    """A table of all stated hypotheses; empty without hypotheses.

    Args:
        cards: the titles of the cards on the page, to which rows are linked.
    """
    if not findings.verdicts:
        return []
    rows = [_row(verdict) for verdict in findings.verdicts]
    for row, verdict in zip(rows, findings.verdicts, strict=True):
        title = card_title(verdict.hypothesis.setting)
        if title in cards:
            row["card"] = Markup("[more](#{})").format(anchor(title))
    caption = sentence("hypotheses.caption", replicated=replicated(findings.study))
    return [Table("hypotheses", caption, columns("hypotheses", rows), rows)]


def replication_table(findings: Findings) -> list[Document]:
    """The hypotheses in LaTeX."""
    rows = [_row(verdict) for verdict in findings.verdicts]
    values = {"rows": rows, "replicated": replicated(findings.study)}
    return [Document("tables/hypotheses.tex", "hypotheses.tex.j2", values)] if rows else []


def _row(verdict: Verdict) -> dict[str, Any]:
    unit, scale = _UNITS[verdict.hypothesis.measure]
    row: dict[str, Any] = {
        "grid": verdict.grid.name,
        "hypothesis": verdict.hypothesis.claim,
        "published": verdict.hypothesis.published or None,
        "verdict": _verdict(verdict),
        "outcome": verdict.outcome,
        "stated": "after the first result" if verdict.is_late else "before the runs",
        "unit": unit,
        "difference_in_words": None,
        "runs": None,
    }
    difference = verdict.difference
    if difference:
        interval = wording.interval(difference, lambda value: wording.signed(scale * value))
        row["difference_in_words"] = f"{wording.signed(scale * difference.value)} {unit}{wording.bracketed(interval)}"
        first, second = verdict.n_runs
        is_to_baseline = isinstance(verdict.hypothesis.other, BestOf) and verdict.hypothesis.other.model
        row["runs"] = f"{first} and the baseline" if is_to_baseline else f"{first} and {second}"
        row |= with_bounds("difference", difference)
        row["level"] = None if difference.low is None else difference.level
        row |= {"adjusted_p": difference.q, "tweets": difference.n}
    return row


def _verdict(verdict: Verdict) -> str:
    """`shown`, `shown to be false`, or `open` with what the same runs would show; whether it was added later."""
    remarks = ["added later"] if verdict.is_late else []
    if verdict.problem:
        remarks.append(verdict.problem)
    elif verdict.outcome == "open" and verdict.could_show is not None:
        unit, scale = _UNITS[verdict.hypothesis.measure]
        distance = f"{math.ceil(10 * scale * verdict.could_show) / 10:.1f} {unit}"
        has_margin = verdict.hypothesis.within is not None
        remarks.append(f"within {distance} it would be shown" if has_margin else f"{distance} would have shown it")
    return f"{verdict.outcome}{wording.bracketed(*remarks)}"
