"""Errors and calibration of the best run, beside the baseline on the same tweets."""

from typing import Any

import numpy as np

from report.analysis import statistics
from report.analysis import tweet_metrics as quality
from report.analysis.datasets import Dataset
from report.read.load import CompletedRun, Study
from report.read.predictions import Scores, read_scores
from report.read.tweets import Tweets, read_tweets
from report.render import blocks, wording
from report.render.blocks import Block, Bullets, Column, ReportSection, Table, Text
from report.render.charts.quality import confusion_figure, groups_figure, ranking_figure, reliability_figure
from report.render.wording import shortened
from report.sections.answer import best_configuration
from sentiment.errors import RunDirError
from sentiment.records import THRESHOLD

_MISTAKES = 10
_LONGEST_TWEET = 280


def errors(study: Study, found: list[Dataset]) -> ReportSection:
    """Of the run that the answer names; empty without one, or if its predictions cannot be read."""
    best = best_configuration(found[0]) if found else None
    if best is None:
        return ReportSection("Errors and calibration", [])
    run = best.chosen
    try:
        scores = read_scores(run, "test")
    except RunDirError:  # named among the problems already
        scores = None
    if scores is None:
        return ReportSection("Errors and calibration", [Text(f"The predictions of run {run.run_id} are missing.")])
    model = f"the best model (run {run.run_id})"
    content: list[Block] = [*_confusion_blocks(model, scores), *_ranking_blocks(model, scores)]
    tweets = read_tweets(scores, study.results)
    if tweets is None:
        folder = study.results.corpus_dir(scores.corpus)
        content.append(Text(f"The texts of the tweets are not here ({folder}), so mistakes and groups can't be shown."))
    else:
        content += [*_group_blocks(model, scores, tweets), _mistakes(run, scores, tweets)]
    return ReportSection("Errors and calibration", content)


def _confusion_blocks(model: str, scores: Scores) -> list[Block]:
    answers = {"model": scores.model >= THRESHOLD, "baseline": scores.baseline >= THRESHOLD}
    counts = {name: quality.confusion(scores.labels, answer) for name, answer in answers.items()}
    n = len(scores.labels)
    caption = (
        f"{wording.capital(model)} and the linear baseline on n = {n:,} test tweets: counts, and rates of each label's "
        "tweets."
    )
    rows = [
        {"model": name, "label": label, "tweets": int(row.sum()), "negative": int(row[0]), "positive": int(row[1])}
        for name, matrix in counts.items()
        for label, row in zip(("negative", "positive"), matrix, strict=True)
    ]
    gap = statistics.f1_difference(scores.labels, answers["model"], answers["baseline"])
    is_shown = bool((gap.low or 0) > 0 or (gap.high or 0) < 0)
    text = (
        f"The F1 of {model} less the baseline's is {wording.points_with_interval(gap)} (percentiles of a bootstrap "
        f"over n = {n:,} tweets){'' if is_shown else ', so the two cannot be told apart'}."
    )
    columns = [
        blocks.text("Model", "model"),
        blocks.text("Label", "label"),
        blocks.count("Tweets", "tweets"),
        blocks.count("Called negative", "negative"),
        blocks.count("Called positive", "positive"),
    ]
    matrices = [("best model", counts["model"]), ("linear baseline", counts["baseline"])]
    return [
        Text(text),
        confusion_figure("confusion", "Confusion matrices", caption, matrices),
        Table("confusion", "The same in numbers.", columns, rows, folded=True),
    ]


def _ranking_blocks(model: str, scores: Scores) -> list[Block]:
    of_model = quality.rank("best model", scores.labels, scores.model)
    of_baseline = quality.rank("linear baseline", scores.labels, scores.baseline)
    n, positives = len(scores.labels), float(scores.labels.mean())
    caption = (
        f"{wording.capital(model)} and the linear baseline, n = {n:,} test tweets, {wording.percent(positives)} % of "
        "them positive. Dotted: what chance would give."
    )
    curves = ([of_model.roc, of_baseline.roc], [of_model.recall, of_baseline.recall])
    said = [
        quality.reliability("best model", scores.labels, scores.model),
        quality.reliability("linear baseline", scores.labels, scores.baseline),
    ]
    off = [wording.percent(quality.calibration_error(one)) for one in said]
    reliability_caption = (
        f"Do probabilities mean what they say? Ten groups of equally many test tweets, n = {n:,}, by what {model} and "
        "the baseline say; Wilson's 95 % intervals. Below the diagonal: too optimistic."
    )
    sentences = [
        f"The area under the ROC curve is {of_model.auc:.3f}, the baseline's {of_baseline.auc:.3f}; chance gives 0.5.",
        f"Probabilities are off by {off[0]} points on average (expected calibration error, ten groups), the baseline's "
        f"by {off[1]}.",
    ]
    return [
        Bullets(sentences),
        ranking_figure("ranking", "ROC and precision-recall curves", caption, *curves, positives),
        reliability_figure("reliability", "Reliability diagram", reliability_caption, said),
    ]


def _group_blocks(model: str, scores: Scores, tweets: Tweets) -> list[Block]:
    groups = {
        "length": quality.length_groups(tweets.lengths),
        "negation": quality.negation_groups([str(text) for text in tweets.texts]),
    }
    axes = {"length": "tokens in the tweet", "negation": ""}
    what = {"length": "by length", "negation": "with and without negating words"}
    content: list[Block] = []
    rows: list[dict[str, Any]] = []
    for kind, members in groups.items():
        by_model = quality.accuracy_by_group(scores.right(scores.model), members)
        by_baseline = quality.accuracy_by_group(scores.right(scores.baseline), members)
        sizes = ", ".join(f"{name}: {one.n:,}" for (name, _), one in zip(members, by_model, strict=True))
        caption = f"Accuracy {what[kind]}, {model} and baseline, Wilson's 95 % intervals; tweets: {sizes}."
        names = [name for name, _ in members]
        models = [("best model", by_model), ("linear baseline", by_baseline)]
        content.append(groups_figure(f"by-{kind}", f"Accuracy {what[kind]}", caption, axes[kind], names, models))
        for name, one, baseline in zip(names, by_model, by_baseline, strict=True):
            rows.append(
                {"group": f"{kind} {name}" if kind == "length" else name, "tweets": one.n}
                | blocks.with_bounds("model", one)
                | blocks.with_bounds("baseline", baseline)
            )
    columns = [blocks.text("Tweets", "group"), blocks.count("n", "tweets")]
    columns += [blocks.interval("Best model, %", "model"), blocks.interval("Baseline, %", "baseline")]
    numbers = Table("groups", "The same in numbers.", columns, rows, folded=True)
    return [Text(_negation_sentence(scores, groups["negation"])), *content, numbers]


def _negation_sentence(scores: Scores, groups: list[tuple[str, Any]]) -> str:
    """Whether the net is better than the baseline where order matters."""
    for name, members in groups:
        if name == "with negation":
            gap = statistics.mcnemar(scores.right(scores.model)[members], scores.right(scores.baseline)[members])
            verdict = "" if statistics.is_shown(gap) else ", which can't be told from nothing"
            return (
                f"On the {gap.n:,} test tweets with a negating word, the best model's accuracy less the baseline's is "
                f"{wording.tested(gap)}{verdict}."
            )
    return "No test tweet has a negating word."


def _mistakes(run: CompletedRun, scores: Scores, tweets: Tweets) -> Table:
    rows = [
        {
            "tweet": shortened(str(tweets.texts[place]), _LONGEST_TWEET),
            "label": "positive" if scores.labels[place] else "negative",
            "score": float(scores.model[place]),
            "baseline": float(scores.baseline[place]),
        }
        for place in quality.most_confident_mistakes(scores, _MISTAKES)
    ]
    n = int(np.sum(~scores.right(scores.model)))
    caption = f"The {len(rows)} of {n:,} mistakes on test tweets that run {run.run_id} is most sure of."
    columns = [
        Column("Tweet", "tweet", lambda row: row["tweet"], numeric=False),
        blocks.text("Label", "label"),
        blocks.percent("Probability of positive, %", "score"),
        blocks.percent("Baseline's, %", "baseline"),
    ]
    return Table("mistakes", caption, columns, rows)
