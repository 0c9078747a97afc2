"""Errors and calibration of the best run, beside the baseline on the same tweets."""

from html import unescape
from typing import Any

import numpy as np

from report.compare import datasets as tweet_metrics
from report.compare.findings import BestRun, Findings
from report.compare.mistakes import Mistakes, Places
from report.read.load import CompletedRun
from report.read.predictions import Scores, Tweets
from report.render import blocks, wording
from report.render.blocks import Block, Heading, ReportSection, Table, Text
from report.render.charts import quality
from report.render.charts.lines import Curves, full_curves
from report.render.charts.quality import Reliability
from report.sections.names import configuration_name
from report.statistics import Difference
from sentiment.runs.records import MODEL_NAMES, THRESHOLD

_SHOWN = 6
_LONGEST_TWEET = 280


def mistake_blocks(found: Mistakes, run: CompletedRun, scores: Scores, tweets: Tweets) -> list[Block]:
    """A table for each group that has members."""
    n = sum(len(group) for group in (found.every_run, found.disputed, found.negated, found.others))
    groups = (
        (
            "every-run",
            f"Wrong in all {found.runs:,} runs: the label may be wrong",
            "all runs have wrong",
            found.every_run,
        ),
        ("disputed", "Runs disagree: irony, or two feelings at once", "runs disagree about", found.disputed),
        ("negated", "With a negating word", "have a negating word", found.negated),
        ("others", "The rest", "are none of these", found.others),
    )
    said = [f"{len(group):,} {verb}" for _, _, verb, group in groups if len(group)]
    if not said:
        return []
    text = Text(
        f"Of {n:,} mistakes on test tweets {wording.listing(said)}. Each group begins with the surest mistakes."
    )
    tables = [_table(key, name, group, (found, run, scores, tweets)) for key, name, _, group in groups if len(group)]
    return [Heading("Mistakes"), text, *tables]


def _table(key: str, name: str, group: Places, about: tuple[Mistakes, CompletedRun, Scores, Tweets]) -> Table:
    found, run, scores, tweets = about
    rows: list[dict[str, Any]] = [
        {
            "tweet": wording.shortened(unescape(str(tweets.texts[place])), _LONGEST_TWEET),
            "label": run.config.data.label_names[int(scores.labels[place])],
            "score": float(scores.model[place]),
            "baseline": float(scores.baseline[place]),
            "share_right": float(found.share_right[place]),
        }
        for place in group[:_SHOWN]
    ]
    columns = [
        blocks.text("Tweet", "tweet"),
        blocks.text("Label", "label"),
        blocks.percent("Probability of positive, %", "score"),
        blocks.percent("Baseline's, %", "baseline"),
        blocks.percent("Runs right, %", "share_right"),
    ]
    caption = f"{name}: {len(rows)} of {len(group):,}."
    return Table(f"mistakes-{key}", caption, columns, rows, folded=key in ("negated", "others"))


def learning(findings: Findings) -> ReportSection:
    """The three curves that matter; readers can overlay those of any other run."""
    return ReportSection("How it learned", _best_curve(findings.best) if findings.best else [])


def _best_curve(best: BestRun) -> list[Block]:
    if best.curve is None:
        return []
    run, name = best.run, configuration_name(best.configuration)
    caption = (
        f"{name}, seed {run.config.seed}, n = 1 run: training and validation tweets after each epoch. Ring: the "
        f"epoch whose weights are kept, {run.result.best_epoch} of {len(best.curve.epochs)}."
    )
    curves = Curves(name, best.curve.epochs, run.result.best_epoch)
    return [full_curves("curves-best", "Learning curves of the recommended run", caption, curves)]


_MODEL, _BASELINE = "best model", "linear baseline"


def errors(findings: Findings) -> ReportSection:
    """What the run that the answer names does wrong; empty if there is no such run."""
    best = findings.best
    if best is None:
        return ReportSection("Errors and calibration", [])
    run, scores = best.run, best.scores
    if scores is None:
        return ReportSection("Errors and calibration", [Text(f"The predictions of run {run.run_id} are missing.")])
    model = f"the best model (run {run.run_id})"
    matrices, numbers = _confusion_blocks(model, scores, run.config.data.label_names)
    content: list[Block] = [*_calibration_blocks(model, scores), matrices, numbers]
    if best.tweets is None:
        folder = findings.study.results.corpus_dir(scores.corpus)
        content.append(Text(f"The texts of the tweets are not here ({folder}), so mistakes and groups can't be shown."))
    else:
        content += [Text(_negation_sentence(best.negated))] if best.negated else []
        content += _group_blocks(model, scores, best.tweets)
        if best.mistakes:
            content += mistake_blocks(best.mistakes, run, scores, best.tweets)
    return ReportSection("Errors and calibration", content)


def _confusion_blocks(model: str, scores: Scores, names: tuple[str, str]) -> list[Block]:
    answers = {"model": scores.model >= THRESHOLD, "baseline": scores.baseline >= THRESHOLD}
    counts = {name: tweet_metrics.confusion(scores.labels, answer) for name, answer in answers.items()}
    n = len(scores.labels)
    caption = (
        f"{wording.capital(model)} and the linear baseline on n = {n:,} test tweets: counts, and rates of each label's "
        "tweets."
    )
    rows = [
        {"model": name, "label": label, "tweets": int(row.sum()), "negative": int(row[0]), "positive": int(row[1])}
        for name, matrix in counts.items()
        for label, row in zip(names, matrix, strict=True)
    ]
    columns = [
        blocks.text("Model", "model"),
        blocks.text("Label", "label"),
        blocks.count("Tweets", "tweets"),
        blocks.count(f"Called {names[0]}", "negative"),
        blocks.count(f"Called {names[1]}", "positive"),
    ]
    matrices = [(_MODEL, counts["model"]), (_BASELINE, counts["baseline"])]
    return [
        quality.confusion_figure("confusion", "Confusion matrices", caption, matrices, names),
        Table("confusion", "Confusion in numbers.", columns, rows, folded=True),
    ]


def _calibration_blocks(model: str, scores: Scores) -> list[Block]:
    calibrations = {name: tweet_metrics.calibrate(scores.labels, said) for name, said in _both(scores).items()}
    caption = (
        f"Do probabilities mean what they say? Ten groups of equally many test tweets, n = {len(scores.labels):,}, by "
        f"what {model} and the baseline say; Wilson's 95 % intervals. Below the diagonal: too optimistic."
    )
    said = [Reliability(name, one.predicted, one.observed) for name, one in calibrations.items()]
    return [
        _calibration_table(scores),
        quality.reliability_figure("reliability", "Reliability diagram", caption, said),
    ]


def _calibration_table(scores: Scores) -> Table:
    rows: list[dict[str, Any]] = []
    for model, name in MODEL_NAMES.items():
        row: dict[str, Any] = {"model": name, "temperature": float(np.mean(scores.temperatures[model]))}
        for key, said in (("before", scores.uncalibrated(model)), ("after", scores.said[model])):
            row[f"error_{key}"] = tweet_metrics.calibrate(scores.labels, said).error
            row[f"loss_{key}"] = tweet_metrics.log_loss(scores.labels, said)
        rows.append(row)
    caption = (
        f"Calibration on n = {len(scores.labels):,} test tweets: by how many points probabilities are off on average "
        "(expected calibration error, ten groups), and the log loss (nats), before and after the log-odds were divided "
        "by a temperature that was fitted on validation tweets. It changes no label."
    )
    columns = [
        blocks.text("Model", "model"),
        blocks.number("Temperature", "temperature", 2),
        blocks.percent("Off by, before", "error_before"),
        blocks.percent("Off by", "error_after"),
        blocks.number("Log loss, before", "loss_before", 3),
        blocks.number("Log loss", "loss_after", 3),
    ]
    return Table("calibration", caption, columns, rows)


def _both(scores: Scores) -> dict[str, tweet_metrics.Values]:
    return {_MODEL: scores.model, _BASELINE: scores.baseline}


def _group_blocks(model: str, scores: Scores, tweets: Tweets) -> list[Block]:
    lengths = tweet_metrics.length_groups(tweets.lengths)
    negations = tweet_metrics.negation_groups([str(text) for text in tweets.texts])
    by_length = {f"{low}\u2013{high}" if high else f"\u2265 {low}": members for (low, high), members in lengths}
    by_negation = {f"{'with' if negated else 'without'} negation": members for negated, members in negations}
    content: list[Block] = []
    rows: list[dict[str, Any]] = []
    for kind, groups, what, axis, prefix in (
        ("length", by_length, "by length", "tokens in the tweet", "length "),
        ("negation", by_negation, "with and without negating words", "", ""),
    ):
        found = {
            name: tweet_metrics.accuracy_by_group(scores.right(said), list(groups.values()))
            for name, said in _both(scores).items()
        }
        sizes = ", ".join(f"{name}: {one.n:,}" for name, one in zip(groups, found[_MODEL], strict=True))
        caption = f"Accuracy {what}, {model} and baseline, Wilson's 95 % intervals; tweets: {sizes}."
        figure = quality.groups_figure(
            f"by-{kind}", f"Accuracy {what}", caption, axis, list(groups), list(found.items())
        )
        content.append(figure)
        rows += [
            {"group": f"{prefix}{name}", "tweets": one.n}
            | blocks.with_bounds("model", one)
            | blocks.with_bounds("baseline", baseline)
            for name, one, baseline in zip(groups, found[_MODEL], found[_BASELINE], strict=True)
        ]
    columns = [blocks.text("Tweets", "group"), blocks.count("n", "tweets")]
    columns += [blocks.interval("Best model, %", "model"), blocks.interval("Baseline, %", "baseline")]
    return [*content, Table("groups", "The same in numbers.", columns, rows, folded=True)]


def _negation_sentence(gap: Difference) -> str:
    """Whether the net is better than the baseline where order matters."""
    verdict = "" if gap.is_shown else ": not shown to differ from zero"
    return (
        f"On the {gap.n:,} test tweets with a negating word, the accuracy of the best net less that of the baseline "
        f"is {wording.claim(gap)}{verdict}."
    )
