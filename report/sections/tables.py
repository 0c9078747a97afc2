"""Tables to which predictors were added: with labels all are compared, without labels the best one was chosen."""

from collections.abc import Mapping, Sequence

import numpy as np
from markupsafe import Markup

from report.compare.datasets import LEXICON_AUTHORS
from report.compare.findings import Findings
from report.render.blocks import Block, Details, columns_of
from report.sections.names import LEXICON_REMARK, METHODS, cost_per_thousand
from sentiment.answers.recommendation import Choice
from sentiment.answers.table import ENOUGH_ANSWERS, Added, Agreement, AnswerTable, Comparison, StoredAnswers
from sentiment.blocks.content import DataTable, Row, Scale, Text, with_bounds
from sentiment.blocks.predictors import answer_remarks, choice_blocks, score_row, score_table
from sentiment.blocks.wording import joined, listing, strong
from sentiment.console import plural
from sentiment.statistics import words
from sentiment.statistics.metrics import kappa


def labelled_tables(findings: Findings) -> list[Block]:
    """For each labelled table: scores, all comparisons, and where the answers come from."""
    tables = findings.study.labelled
    content: list[Block] = []
    for stored in tables:
        if len(tables) > 1:
            content.append(Text(f"On {stored.record.source}", "heading"))
        content += _blocks_of(stored)
    return content


def _blocks_of(stored: StoredAnswers) -> list[Block]:
    comparisons = stored.compare()
    blocks: list[Block] = []
    if stored.added_predictors:
        blocks.append(Text(lead(stored.table, comparisons), "lead"))
    for annotator in stored.annotators:
        blocks.append(Text(Agreement.of(annotator, stored.table.labels).sentence(annotator.name)))
    blocks += map(Text, answer_remarks(stored.added_predictors, stored.table.labels))
    blocks.append(_score_table(stored))
    if comparisons:
        blocks.append(_comparison_table(stored, comparisons))
    return [*blocks, origins(stored.added)]


def origins(added: Mapping[str, Added]) -> Details:
    """Where the answers of added predictors come from, by name, and what they cost."""
    blocks: list[Block] = []
    for name, record in added.items():
        cost = cost_per_thousand(record)
        per_thousand = f"; per 1,000 tweets: {cost}" if cost else ""
        blocks.append(Text(f"{name}: {record.file} (SHA-256 {record.file_sha256[:12]}){per_thousand}"))
        if record.note:
            blocks.append(Text(record.note, "note"))
    return Details("Where their answers come from", blocks)


def lead(predictions: AnswerTable, comparisons: Sequence[Comparison]) -> Markup:
    """The most accurate predictor, and its comparison with the next one that has answered tweets of it."""
    best = predictions.predictors[0]
    if not best.has_enough_answers:
        return strong(f"No predictor has answered {ENOUGH_ANSWERS} tweets, so none is called the best.")
    metrics = best.metrics(predictions.labels)
    tweets = plural(metrics.n, "tweet")
    score = strong(f"{best.name} classifies {words.percent(metrics.accuracy)} % of {tweets} correctly.")
    if comparisons and comparisons[0].first is best:
        return joined([score, comparisons[0].sentence("accuracy")])
    return score


def _score_table(stored: StoredAnswers) -> DataTable:
    labels = stored.table.labels
    rows: list[Row] = []
    for predictor in stored.table.predictors:
        metrics = predictor.metrics(labels)
        answered = predictor.answered
        row = score_row(predictor.name, metrics)
        row |= {"missing": predictor.missing, "other_answers": predictor.other_answers}
        row["kappa"] = kappa(predictor.predicted[answered], labels[answered])
        if predictor.kind == "added":
            row["cost"] = cost_per_thousand(stored.added[predictor.name]) or None
        rows.append(row)
    table = score_table(f"scores-{stored.directory.path.name}", _about_tweets(stored), rows)
    majority = stored.table.of("majority").metrics(labels)
    return table.drawn("accuracy", Scale.of(rows, "accuracy", majority.accuracy))


def _about_tweets(stored: StoredAnswers) -> Markup:
    """How many tweets of which classes there are, and which rows were left out."""
    labels = stored.table.labels
    sizes = np.bincount(labels, minlength=len(stored.record.classes)).tolist()
    record = stored.record
    counts = listing([f"{size:,} {name}" for size, name in zip(sizes, record.classes, strict=True)])
    left_out = "".join(f"; {rows:,} rows left out ({reason})" for reason, rows in record.left_out.items())
    majority = stored.table.of("majority").name
    parts = [
        f"{len(labels):,} tweets of {record.source}: {counts}{left_out}; fingerprint {record.fingerprint[:12]}.",
        "Accuracy with its 95 % interval, also drawn, on the tweets that a predictor has answered; an answer that is "
        f"none of the classes is wrong. Dashed line: {majority}.",
    ]
    return joined([*parts, LEXICON_REMARK] if record.source in LEXICON_AUTHORS else parts)


def _comparison_table(stored: StoredAnswers, comparisons: Sequence[Comparison]) -> DataTable:
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
    corrected = f"p-values and intervals are corrected for {plural(len(rows), 'comparison')}."
    caption = joined([f"Each pair of predictors is compared on the tweets that both answer; {corrected}", METHODS])
    return DataTable(f"comparisons-{stored.directory.path.name}", caption, columns_of("table-comparisons", rows), rows)


def tables_without_labels(findings: Findings) -> list[Block]:
    """For each table: the best predictor, and all of them with their differences from it."""
    blocks: list[Block] = []
    for name, choice in findings.study.choices.items():
        blocks += choice_blocks(f"choice-{name}", choice_caption(choice), choice)
    return blocks


def choice_caption(choice: Choice) -> str:
    """From which labels the scores are estimated."""
    skipped = f" {choice.skipped:,} more tweets were found to be of no class." if choice.skipped else ""
    return (
        f"Estimates for {choice.tweets:,} tweets of {choice.source}, on {choice.differing:,} of which the predictors "
        f"differ, from the labels of {choice.labels:,} tweets, {choice.labels_where_different:,} of them among these; "
        f"each label counts for the tweets that it stands for, and accuracies have 95 % confidence intervals.{skipped}"
    )
