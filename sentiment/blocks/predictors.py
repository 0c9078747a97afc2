"""Predictors on some tweets: their scores, each pair of them, and which one is best, as `train`, `evaluate` and the
report show them.

The scores of a table are shares; a row has more values than a reader sees, which a report writes to CSV.
"""

from collections.abc import Mapping, Sequence
from math import comb
from statistics import fmean
from typing import Any

from sentiment.answers.recommendation import Choice
from sentiment.answers.table import Comparison, Predictor
from sentiment.blocks.content import Content, DataTable, Row, Text, columns, with_bounds
from sentiment.blocks.wording import capital
from sentiment.console import plural, visible
from sentiment.runs.records import MODEL_KINDS, PREDICTORS, CheckScore, Metrics
from sentiment.statistics import words
from sentiment.statistics.estimate import Estimate
from sentiment.statistics.metrics import METRIC_NAMES, ClassIndices, Metric, estimate_of, other_answers_remark
from sentiment.statistics.power import MAX_LABELS

_ACCURACY = ["Accuracy, %", "accuracy", "percent"]
_MACRO_RECALL = ["Macro recall, %", "macro_recall", "percent"]
_SCORES = [
    ["Predictor", "predictor"],
    ["Tweets", "n", "count!"],
    _ACCURACY,
    _MACRO_RECALL,
    ["Macro F1, %", "macro_f1", "percent"],
    ["Cost per 1,000 tweets", "cost", "text?", "not known"],
]
_CLASSES = [
    ["Class", "class"],
    ["Tweets", "tweets", "count"],
    ["Precision, %", "precision", "percent"],
    ["Recall, %", "recall", "percent"],
    ["F1, %", "f1", "percent"],
]
_CHOICE = [
    ["Predictor", "predictor"],
    _ACCURACY,
    ["Macro recall, %", "macro_recall", "percent?"],
    ["Below the best one, points", "below", "points", "the best"],
]
_CHECK_LIST = [["Capability", "capability"], ["Sentences", "sentences", "count"]]
# The number of right sentences by the name or kind of a model, then by capability.
CheckList = Mapping[Any, Mapping[str, CheckScore]]


def score_row(name: str, metrics: Metrics) -> Row:
    """The scores of a predictor on the tweets that it has answered."""
    row: Row = {"predictor": name, "n": metrics.n, **with_bounds("accuracy", estimate_of(metrics))}
    return row | {"macro_recall": metrics.macro_recall, "macro_f1": metrics.macro_f1}


def score_table(name: str, caption: Any, rows: Sequence[Row], chosen: str = "") -> DataTable:
    """The scores of predictors, that of the chosen one in bold."""
    best = next((row for row in rows if row["predictor"] == chosen), None)
    return DataTable(name, caption, columns(_SCORES, rows), rows, best)


def score_sentence(score: Estimate, metric: Metric) -> str:
    """`Test accuracy 81.2 % (95 % CI 78.4-83.9) on 1,000 tweets`, without a full stop."""
    return f"Test {METRIC_NAMES[metric]} {words.share(score)} on {plural(int(score.n), 'tweet')}"


def class_rows(metrics: Metrics, classes: Sequence[str]) -> list[Row]:
    """The scores of a predictor by class; a class without tweets has no recall."""
    rows = []
    for index, name in enumerate(classes):
        size = metrics.sizes[index]
        row: Row = {"class": visible(name), "tweets": size, "precision": metrics.precision[index]}
        rows.append(row | {"recall": metrics.recall[index] if size else None, "f1": metrics.f1[index]})
    return rows


def class_table(name: str, metrics: Metrics, classes: Sequence[str]) -> DataTable:
    """The scores of one predictor by class."""
    rows = class_rows(metrics, classes)
    return DataTable("classes", name, columns(_CLASSES, rows), rows)


def check_list_table(caption: Any, check_lists: Sequence[CheckList]) -> DataTable:
    """The number of right sentences of each model by capability, the mean over several runs, and of all together."""
    models = [*check_lists[0]]
    rows: list[Row] = []
    for capability, score in check_lists[0][models[0]].items():
        row: Row = {"capability": capability, "sentences": score.n}
        for model in models:
            row[model] = fmean(check_list[model][capability].right for check_list in check_lists)
        rows.append(row)
    rows.append({"capability": "all"} | {key: sum(row[key] for row in rows) for key in ("sentences", *models)})
    titles = [*_CHECK_LIST, *([capital(PREDICTORS.get(model, model)), model, "count"] for model in models)]
    return DataTable("check-list", caption, columns(titles, rows), rows)


def answer_remarks(added: Sequence[Predictor], labels: ClassIndices, part: str = "") -> list[str]:
    """A line for each added predictor with answers that are none of the classes.

    Args:
        part: of a run whose tweets these are, if that must be told.
    """
    remarks = []
    for predictor in added:
        number = predictor.other_answers
        if number:
            where = f", {part}" if part else ""
            remarks.append(f"{predictor.name}{where}: {other_answers_remark(predictor.metrics(labels), number)}")
    return remarks


def pair_sentences(comparisons: Sequence[Comparison], metric: Metric) -> list[str]:
    """A sentence on each pair of predictors."""
    return [comparison.sentence(metric) for comparison in comparisons]


# --- a choice by labels -----------------------------------------------------------------------------------------------


def choice_blocks(name: str, caption: Any, choice: Choice) -> list[Content]:
    """Which predictor is best for a table without labels, how sure that is, and the scores of all."""
    return [*map(Text, choice_sentences(choice)), choice_table(name, caption, choice)]


def choice_sentences(choice: Choice) -> list[str]:
    """Which predictor is best, and its difference from each other one, with what labels would show it."""
    metric = METRIC_NAMES[choice.metric]
    equal = [other for other, labels in choice.labels_to_show.items() if labels is None]
    also = f", and so has {' and '.join(equal)}" if equal else ""
    sentences = [f"{choice.best} has the highest estimated {metric} on {choice.source}{also}."]
    if len(choice.accuracy) > 2:
        pairs = comb(len(choice.accuracy), 2)
        level = words.levels(choice.differences.values())
        sentences.append(
            f"Each of the {len(choice.accuracy)} could have been the best, so intervals and p-values are corrected for "
            f"all {pairs} pairs: {level} % intervals in place of 95 %."
        )
    for other, difference in choice.differences.items():
        further = "" if difference.is_better else f" {_labels_needed(choice, other)}"
        pair = words.pair_sentence(_subject(choice.best), _subject(other), difference, metric)
        sentences.append(pair + further)
    return sentences


def _subject(name: str) -> str:
    """The name of a predictor in a sentence, as that of `Predictor.subject`."""
    return f"the {name}" if name in (PREDICTORS[kind] for kind in MODEL_KINDS) else name


def _labels_needed(choice: Choice, other: str) -> str:
    labels = choice.labels_to_show[other]
    if labels is None:
        return "They are equally good on these labels."
    if labels > MAX_LABELS:
        return f"It would take more than {MAX_LABELS:,} labels to show so small a difference."
    more = max(labels - choice.labels, 0)
    return f"Some {float(f'{more:.2g}'):,.0f} more labels would be likely to show it."


def choice_table(name: str, caption: Any, choice: Choice) -> DataTable:
    """The estimated scores of all predictors, that of the best one in bold."""
    rows: list[Row] = []
    for predictor, score in choice.accuracy.items():
        row: Row = {"predictor": predictor, **with_bounds("accuracy", score)}
        row["macro_recall"] = choice.macro_recall[predictor] if choice.macro_recall else None
        difference = choice.differences.get(predictor)
        if difference:
            row |= with_bounds("below", difference)
            row |= {"q": difference.q, "labels": choice.labels_to_show[predictor]}
        rows.append(row)
    best = next(row for row in rows if row["predictor"] == choice.best)
    return DataTable(name, caption, columns(_CHOICE, rows), rows, best)
