"""Tables without labels: which predictor is best, by the labels of tweets on which the predictors differ."""

from typing import Any

from markupsafe import Markup

from report.compare.findings import Findings
from report.render.blocks import Block, ReportTable, Row, Text, columns, with_bounds
from report.render.wording import joined, strong
from report.sections.sentences import sentence
from sentiment.answers.recommendation import Choice
from sentiment.statistics import words
from sentiment.statistics.metrics import METRIC_NAMES


def unlabelled_tables(findings: Findings) -> list[Block]:
    """For each table: the best predictor, and all of them with their differences from it."""
    blocks: list[Block] = []
    for name, choice in findings.study.choices.items():
        blocks += [Text(_lead(choice), "lead"), _table(name, choice)]
    return blocks


def _lead(choice: Choice) -> Markup:
    """The best predictor, and how much better it is than each other one."""
    best = f"{choice.best} has the highest estimated {METRIC_NAMES[choice.metric]} on {choice.source}."
    sentences: list[Any] = [strong(best)]
    for other, difference in choice.differences.items():
        shown = "shown" if difference.is_better else "not shown"
        gap = f"{words.points(difference.value)} points above {other} ({words.interval(difference)}; {shown})"
        sentences.append(f"It is {gap}.")
    return joined(sentences)


def _table(name: str, choice: Choice) -> ReportTable:
    rows: list[Row] = []
    for predictor, score in choice.accuracy.items():
        row: Row = {"predictor": predictor, **with_bounds("accuracy", score)}
        if choice.macro_recall:
            row["macro_recall"] = choice.macro_recall[predictor]
        if predictor != choice.best:
            difference = choice.differences[predictor]
            row |= with_bounds("below", difference)
            row |= {"q": difference.q, "labels": choice.labels_to_show[predictor]}
        rows.append(row)
    caption = sentence("unlabelled.scores", choice=choice)
    return ReportTable(f"unlabelled-{name}", caption, columns("unlabelled", rows), rows)
