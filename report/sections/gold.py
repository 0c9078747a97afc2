"""Added predictors on gold tables, compared with each other where no run was tested on the tweets."""

from collections.abc import Sequence

import numpy as np
from markupsafe import Markup

from report.compare.datasets import LEXICON_AUTHORS
from report.compare.findings import Findings
from report.render.blocks import Block, Fold, ReportTable, Row, Scale, Text, columns, with_bounds
from report.render.wording import joined, strong
from report.sections.names import cost_per_thousand
from report.sections.sentences import sentence
from sentiment.answers.table import ENOUGH_ANSWERS, AnswerTable, Comparison, StoredAnswers
from sentiment.console import plural
from sentiment.statistics import words
from sentiment.statistics.metrics import estimate_of, kappa


def gold_tables(findings: Findings) -> list[Block]:
    """For each gold table: scores, all comparisons, and where the answers come from."""
    golds = findings.study.golds
    content: list[Block] = []
    for gold in golds:
        if len(golds) > 1:
            content.append(Text(f"On {gold.record.source}", "heading"))
        content += _blocks_of(gold)
    return content


def _blocks_of(gold: StoredAnswers) -> list[Block]:
    comparisons = gold.compare()
    blocks: list[Block] = [Text(lead(gold.table, comparisons), "lead"), _score_table(gold)]
    if comparisons:
        blocks.append(_comparison_table(gold, comparisons))
    origins: list[Block] = []
    for name, record in gold.added.items():
        origins.append(Text(sentence("gold.origin", name=name, record=record)))
        if record.note:
            origins.append(Text(record.note, "note"))
    return [*blocks, Fold("Where the predictions come from", origins)]


def lead(predictions: AnswerTable, comparisons: Sequence[Comparison]) -> Markup:
    """The most accurate predictor, and its comparison with the next one that has answered tweets of it."""
    best = predictions.predictors[0]
    if not best.has_enough_answers:
        return strong(f"No predictor has answered {ENOUGH_ANSWERS} tweets, so none is called the best.")
    metrics = best.metrics(predictions.labels)
    tweets = plural(metrics.n, "tweet")
    said = strong(f"{best.name} classifies {words.percent(metrics.accuracy)} % of {tweets} correctly.")
    if comparisons and comparisons[0].first is best:
        return joined([said, f"{comparisons[0].sentence}."])
    return said


def _score_table(gold: StoredAnswers) -> ReportTable:
    labels = gold.table.labels
    rows: list[Row] = []
    for predictor in gold.table.predictors:
        metrics = predictor.metrics(labels)
        answered = predictor.answered
        row: Row = {
            "predictor": predictor.name,
            "n": metrics.n,
            "missing": predictor.missing,
            "other_answers": predictor.other_answers,
            **with_bounds("accuracy", estimate_of(metrics)),
            "macro_recall": metrics.macro_recall,
            "macro_f1": metrics.macro_f1,
            "kappa": kappa(predictor.predicted[answered], labels[answered]),
        }
        if predictor.other_answers:
            row["accuracy_of_classes"] = metrics.right / (metrics.n - predictor.other_answers)
        if predictor.kind == "added":
            row["cost"] = cost_per_thousand(gold.added[predictor.name]) or None
        rows.append(row)
    table = ReportTable(f"scores-{gold.directory.path.name}", _about_tweets(gold), columns("gold-scores", rows), rows)
    majority = gold.table.of("majority").metrics(labels)
    return table.drawn("accuracy", Scale.of(rows, "accuracy", majority.accuracy))


def _about_tweets(gold: StoredAnswers) -> Markup:
    """How many tweets of which classes there are, and which rows were left out."""
    labels = gold.table.labels
    sizes = np.bincount(labels, minlength=len(gold.record.classes)).tolist()
    return sentence(
        "gold.tweets",
        record=gold.record,
        counts=[f"{size:,} {name}" for size, name in zip(sizes, gold.record.classes, strict=True)],
        number=len(labels),
        majority=gold.table.of("majority").name,
        from_lexicon_authors=gold.record.source in LEXICON_AUTHORS,
    )


def _comparison_table(gold: StoredAnswers, comparisons: Sequence[Comparison]) -> ReportTable:
    rows: list[Row] = []
    for comparison in comparisons:
        first = comparison.first
        second = comparison.second
        row: Row = {"first": first.name, "second": second.name, **comparison.counts._asdict()}
        for key, result in (("accuracy", comparison.accuracy), ("recall", comparison.macro_recall)):
            row |= with_bounds(key, result) | {f"{key}_q": result.q}
        both = first.answered & second.answered
        row["kappa"] = kappa(first.predicted[both], second.predicted[both])
        rows.append(row)
    caption = sentence("gold.comparisons", number=len(rows))
    return ReportTable(f"comparisons-{gold.directory.path.name}", caption, columns("gold-comparisons", rows), rows)
