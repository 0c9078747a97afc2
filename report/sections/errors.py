"""Calibration, misclassified tweets and check list of the recommended model."""

from collections.abc import Sequence

import numpy as np
import pandas as pd

from report.compare.datasets import Configuration
from report.compare.findings import Findings
from report.evaluated import EvaluatedRun
from report.render.blocks import Block, Details, columns_of
from report.render.charts import Axis, Figure, Point, line_figure, share_point
from sentiment.answers.table import AnswerTable
from sentiment.blocks.content import DataTable, Row, Text, column
from sentiment.blocks.predictors import check_list_table, class_rows
from sentiment.blocks.wording import shortened
from sentiment.console import plural, unescaped
from sentiment.runs.records import MODEL_KINDS, PREDICTORS, PredictorKind
from sentiment.statistics import words
from sentiment.statistics.estimate import share_estimate
from sentiment.statistics.metrics import CALIBRATION_BINS, calibration_error

_MAX_EXAMPLES = 15
_MAX_TWEET_LENGTH = 280


def errors(findings: Findings) -> list[Block]:
    """Calibration, misclassified tweets and check list; empty if nothing is recommended."""
    recommended = findings.recommended
    test = findings.test
    if recommended is None:
        return []
    run = recommended.run
    kind = recommended.model.kind
    check_list = _check_list(recommended.model.configuration)
    if test is None:
        return [Text(f"The predictions of run {run.run_id} are missing."), *check_list]
    content: list[Block] = [_reliability_diagram(run, test, kind), _confusion_table(run, test)]
    if findings.tweets is None:
        folder = findings.study.results.corpus_dir(run.corpora[0])
        missing = f"Tweet texts are not available on this machine ({folder})"
        content.append(Text(f"{missing}, so misclassified tweets are not listed."))
    else:
        content += _mistakes(findings.tweets, run.config.data.label_names, PREDICTORS[kind])
    return [*content, *check_list]


def _confusion_table(run: EvaluatedRun, test: AnswerTable) -> Details:
    names = run.config.data.label_names
    by_class: list[Row] = []
    by_model: list[Row] = []
    for model in MODEL_KINDS:
        predicted = test.of(model).predicted
        metrics = run.test_metrics[model]
        for label, row in enumerate(class_rows(metrics, names)):
            counts = np.bincount(predicted[test.labels == label], minlength=len(names)).tolist()
            row |= {f"predicted_{other}": count for other, count in zip(names, counts, strict=True)}
            by_class.append({"model": PREDICTORS[model]} | row)
        ece = calibration_error(test.of(model).calibration(test.labels))
        by_model.append({"model": PREDICTORS[model], "ece": ece, "loss": metrics.loss})
    caption = (
        f"Confusion matrix, expected calibration error (ECE, {CALIBRATION_BINS} bins) and log loss (nats), "
        f"n = {len(test.labels):,} test tweets of run {run.run_id}."
    )
    shown = columns_of("confusion", by_class)
    shown += [column(f"Predicted {name}", f"predicted_{name}", "count") for name in names]
    shown += columns_of("precision-recall", by_class)
    tables: list[Block] = [
        DataTable("confusion", "", shown, by_class),
        DataTable("calibration", "", columns_of("calibration", by_model), by_model),
    ]
    return Details(caption, tables)


def _reliability_diagram(run: EvaluatedRun, test: AnswerTable, recommended: PredictorKind) -> Figure:
    chance = 100 / len(run.config.data.label_names)
    points = [Point("calibrated", value, value, "", style="dashed") for value in (chance, 100)]
    for model in dict.fromkeys(("network", "baseline", recommended)):
        name = PREDICTORS[model]
        for mean, right, n in test.of(model).calibration(test.labels):
            share = share_estimate(right, n)
            points.append(share_point(name, 100 * mean, share, f"{name}: {words.share(share)}, n = {n:,}"))
    caption = (
        f"Reliability diagram of the models of run {run.run_id}: accuracy per decile of the probability of the "
        f"predicted class, n = {len(test.labels):,} test tweets. Below the diagonal a model is overconfident."
    )
    axes = Axis("mean probability of the predicted class (%)"), Axis("right (%)")
    return line_figure("reliability", "Reliability diagram", caption, points, axes)


def _mistakes(tweets: pd.DataFrame, labels: Sequence[str], name: str) -> list[Block]:
    wrong = tweets[~tweets["right"]]
    if wrong.empty:
        return []
    rows: list[Row] = []
    for tweet in wrong.sort_values("share_right", kind="stable").head(_MAX_EXAMPLES).to_dict("records"):
        text = shortened(unescaped(str(tweet["text"])), _MAX_TWEET_LENGTH)
        row: Row = {"tweet": text, "label": labels[tweet["label"]], "predicted": labels[tweet["predicted"]]}
        rows.append(row | {key: float(tweet[key]) for key in ("probability", "share_right")})
    caption = (
        f"{plural(len(wrong), 'test tweet')} misclassified by the {name}; first those that the fewest networks have "
        "right, the most confident error before others. Where all runs are wrong, the label itself may be wrong."
    )
    return [Text("Misclassified tweets", "heading"), DataTable("mistakes", caption, columns_of("mistakes", rows), rows)]


def _check_list(configuration: Configuration) -> list[Block]:
    """Mean scores on the check list; empty if tweets are not English."""
    scores = [run.result.check_list for run in configuration.completed]
    if not scores[0]:
        return []
    mean = f", mean of {len(scores)} runs" if scores[1:] else ""
    caption = (
        "Number of correctly classified sentences of the check list per capability, for each model of the best "
        f"configuration{mean} (inspired by CheckList, Ribeiro et al. 2020). Not used for model selection."
    )
    return [Text("Check list", "heading"), check_list_table(caption, scores)]
