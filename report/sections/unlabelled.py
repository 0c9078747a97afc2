"""Tables without labels: which predictor is best, by the labels of tweets on which the predictors differ."""

from report.compare.findings import Findings
from report.render.blocks import Block, ReportTable, Row, Text, columns, with_bounds
from report.sections.sentences import sentence
from sentiment.answers.recommendation import Choice
from sentiment.statistics.estimate import Estimate


def unlabelled_tables(findings: Findings) -> list[Block]:
    """For each table: the best predictor, and all of them with their differences from it."""
    blocks: list[Block] = []
    for name, choice in findings.study.choices.items():
        blocks += [Text(sentence("unlabelled.lead", choice=choice), "lead"), _table(name, choice)]
    return blocks


def _table(name: str, choice: Choice) -> ReportTable:
    rows: list[Row] = []
    for predictor, score in choice.accuracy.items():
        row: Row = {"predictor": predictor, **with_bounds("accuracy", Estimate(*score, choice.tweets))}
        if choice.macro_recall:
            row["macro_recall"] = choice.macro_recall[predictor]
        if predictor != choice.best:
            difference = choice.differences[predictor]
            row |= {"below": difference.difference, "below_low": difference.low, "below_high": difference.high}
            row |= {"q": difference.p, "labels": choice.labels_to_show[predictor]}
        rows.append(row)
    caption = sentence("unlabelled.scores", choice=choice)
    return ReportTable(f"unlabelled-{name}", caption, columns("unlabelled", rows), rows)
