"""Learning curves, calibration and misclassified tweets of the recommended model."""

from collections.abc import Sequence
from html import unescape
from typing import Any

import numpy as np
import pandas as pd

from report.compare.findings import ALL_WRONG, DISPUTED, NEGATED, OTHER, Findings
from report.read import CompletedRun
from report.render import wording
from report.render.blocks import Block, Fold, ReportSection, Row, Table, Text, column
from report.render.charts import Axis, Figure, Point, line_figure, panel_figure, share_point
from report.sections.names import configuration_name
from report.statistics import Flags, Values, wilson
from sentiment.runs.predictions import PartPredictions
from sentiment.runs.records import MODEL_CHOICES, PREDICTORS, ModelChoice

_EXAMPLES_PER_GROUP = 5
_LONGEST_TWEET = 280
_BINS = 10


def learning(findings: Findings) -> ReportSection:
    """Loss, accuracy and F1 curves of the best network; other runs open in the explorer."""
    title = "Learning curves"
    best, recommended = findings.best, findings.recommended
    if recommended is None or best.curve is None:
        return ReportSection(title, [])
    run, name = recommended.run, configuration_name(recommended.configuration)
    caption = (
        f"The best network: {name}, seed {run.config.seed}, n = 1 run. The ring marks the selected epoch "
        f"({run.result.best_epoch} of {len(best.curve)})."
    )
    alt = "Learning curves of the best network"
    return ReportSection(title, [panel_figure("curves-best", alt, caption, best.curve, run.result.best_epoch)])


def errors(findings: Findings) -> ReportSection:
    """Calibration and misclassified tweets of the recommended run; empty if nothing is recommended."""
    recommended, test, title = findings.recommended, findings.best.test, "Errors and calibration"
    if recommended is None:
        return ReportSection(title, [])
    run = recommended.run
    if test is None:
        return ReportSection(title, [Text(f"The predictions of run {run.run_id} are missing.")])
    name = PREDICTORS[recommended.predicts]
    content: list[Block] = [_reliability_diagram(run, test, recommended.predicts), _confusion_table(run, test)]
    if findings.best.tweets is None:
        folder = findings.study.results.corpus_dir(run.corpora[0])
        content.append(
            Text(f"Tweet texts are not available on this machine ({folder}), so misclassified tweets are not listed.")
        )
    else:
        content += _mistakes(findings.best.tweets, run.config.data.label_names, name)
    return ReportSection(title, content)


def reliability(labels: Flags, probabilities: Values) -> list[tuple[float, int, int]]:
    """Per equal-size bin: mean predicted probability, number of positives, size."""
    order = np.argsort(probabilities, kind="stable")
    bins = [rows for rows in np.array_split(order, _BINS) if len(rows)]
    return [(float(probabilities[rows].mean()), int(labels[rows].sum()), len(rows)) for rows in bins]


def _confusion_table(run: CompletedRun, test: PartPredictions) -> Fold:
    labels = run.config.data.label_names
    # The name of a column, with the label and the predicted class, in the order of `counts`.
    cells = [(f"{label}_predicted_{predicted}", label, predicted) for label in labels for predicted in labels]
    rows: list[Row] = []
    for model in MODEL_CHOICES:
        predictor = test.of(model)
        counts = np.bincount(2 * test.labels + predictor.positive, minlength=4)
        row: dict[str, Any] = {key: int(count) for (key, _, _), count in zip(cells, counts, strict=True)}
        # Expected calibration error: the mean distance from the diagonal, weighted by tweets (Naeini et al. 2015).
        bins = reliability(test.labels, predictor.probabilities)
        distance = sum(abs(mean * n - positive) for mean, positive, n in bins)
        row |= {
            "model": PREDICTORS[model],
            "ece": distance / len(test.labels),
            "loss": run.measured("test", model).loss,
        }
        rows.append(row)
    caption = (
        f"Confusion matrix, expected calibration error (ECE, {_BINS} bins) and log loss (nats), "
        f"n = {len(test.labels):,} test tweets."
    )
    columns = [
        column("Model", "model"),
        *(column(wording.capital(f"{label} predicted {predicted}"), key, "count") for key, label, predicted in cells),
        column("ECE (points)", "ece", "percent"),
        column("Log loss", "loss", ".3f"),
    ]
    return Fold(caption, [Table("confusion", "", columns, rows)])


def _reliability_diagram(run: CompletedRun, test: PartPredictions, recommended: ModelChoice) -> Figure:
    points = [Point("calibrated", value, value, "", "calibrated", style="dashed") for value in (0, 100)]
    models: list[ModelChoice] = ["network", "baseline"]
    if recommended == "both":
        models.append("both")
    for model in models:
        name = PREDICTORS[model]
        for mean, positive, n in reliability(test.labels, test.of(model).probabilities):
            share = wilson(positive, n)
            points.append(share_point(name, 100 * mean, share, f"{name}: {wording.share(share)}, n = {n:,}"))
    caption = (
        f"Reliability diagram of the models of run {run.run_id}: observed share of positives "
        f"per decile of the predicted probability, n = {len(test.labels):,} test tweets. Below the diagonal a model "
        "overestimates the probability of positive."
    )
    axes = Axis("mean predicted probability (%)"), Axis("observed positives (%)")
    return line_figure("reliability", "Reliability diagram", caption, points, axes)


def _mistakes(tweets: pd.DataFrame, labels: Sequence[str], name: str) -> list[Block]:
    wrong = tweets[~tweets["right"]]
    sizes = {group: int((wrong["group"] == group).sum()) for group in (ALL_WRONG, DISPUTED, NEGATED, OTHER)}
    groups = [group for group, size in sizes.items() if size]
    if not groups:
        return []
    counts = [f"{sizes[group]:,} {group}" for group in groups]
    text = (
        f"{wording.plural(len(wrong), 'test tweet')} misclassified by the {name}: {wording.listing(counts)}. "
        f"Where all runs are wrong, the label itself may be wrong. The {_EXAMPLES_PER_GROUP} most confident errors of "
        "each group:"
    )
    rows: list[Row] = []
    for group in groups:
        examples = wrong[wrong["group"] == group].head(_EXAMPLES_PER_GROUP).to_dict("records")
        for tweet in examples:
            row = {
                "group": group,
                "tweet": wording.shortened(unescape(str(tweet["text"])), _LONGEST_TWEET),
                "label": labels[tweet["label"]],
            }
            rows.append(row | {key: float(tweet[key]) for key in ("probability", "share_right")})
    columns = [
        column("Tweet", "tweet"),
        column("Label", "label"),
        column("P(positive), %", "probability", "percent"),
        column("Networks correct, %", "share_right", "percent"),
        column("Group", "group"),
    ]
    return [Text("Misclassified tweets", "heading"), Table("mistakes", text, columns, rows)]
