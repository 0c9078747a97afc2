"""How the recommended run learned; whether its probabilities mean what they say, and which tweets it has wrong."""

from html import unescape

import numpy as np
import pandas as pd

from report.compare.findings import ALL_WRONG, DISPUTED, NEGATED, OTHER, Findings
from report.read import Answerer, CompletedRun, Scores
from report.render import wording
from report.render.blocks import Block, Fold, ReportSection, Row, Table, Text, column
from report.render.charts import Axis, Point, line_figure, panel_figure, share_point
from report.sections.names import configuration_name
from report.statistics import Flags, Values, wilson
from sentiment.runs.records import MODEL_NAMES, THRESHOLD

_SHOWN = 5
_LONGEST_TWEET = 280
_GROUPS = 10


def learning(findings: Findings) -> ReportSection:
    """The three curves that matter; readers can open those of any other run."""
    best, recommended = findings.best, findings.recommended
    if recommended is None or best.curve is None:
        return ReportSection("How it learned", [])
    run, name = recommended.run, configuration_name(recommended.configuration)
    caption = (
        f"{name}, seed {run.config.seed}, n = 1 run. Ring: the epoch that is kept, {run.result.best_epoch} of "
        f"{len(best.curve)}."
    )
    alt = "Learning curves of the recommended run"
    figure = panel_figure("curves-best", alt, caption, best.curve, run.result.best_epoch)
    return ReportSection("How it learned", [figure])


def errors(findings: Findings) -> ReportSection:
    """What the run that the answer names does wrong; empty if there is no such run."""
    recommended, scores, title = findings.recommended, findings.best.scores, "Errors and calibration"
    if recommended is None:
        return ReportSection(title, [])
    run = recommended.run
    if scores is None:
        return ReportSection(title, [Text(f"The predictions of run {run.run_id} are missing.")])
    content: list[Block] = [_reliability(run, scores), _numbers(run, scores)]
    if findings.best.tweets is None:
        folder = findings.study.results.corpus_dir(run.corpora[0])
        content.append(Text(f"The texts of the tweets are not here ({folder}), so mistakes can't be shown."))
    else:
        content += _mistakes(findings.best.tweets, run.config.data.label_names)
    return ReportSection(title, content)


def reliability(labels: Flags, said: Values) -> list[tuple[float, int, int]]:
    """For ten groups of equally many tweets their mean probability, how many are positive, and of how many."""
    groups = [group for group in np.array_split(np.argsort(said, kind="stable"), _GROUPS) if len(group)]
    return [(float(said[group].mean()), int(labels[group].sum()), len(group)) for group in groups]


def _numbers(run: CompletedRun, scores: Scores) -> Fold:
    rows: list[Row] = []
    for model, name in MODEL_NAMES.items():
        said = scores.said[model]
        counts = np.bincount(2 * scores.labels + (said >= THRESHOLD), minlength=4)
        row = {f"called_{place}": int(count) for place, count in enumerate(counts)} | {"model": name}
        # Expected calibration error: the mean distance from the diagonal, weighted by tweets (Naeini et al. 2015).
        off = sum(abs(mean * n - positive) for mean, positive, n in reliability(scores.labels, said))
        rows.append(row | {"error": off / len(said), "loss": run.measured("test", model).loss})
    caption = (
        f"Confusion and calibration on n = {len(scores.labels):,} test tweets: by how many points probabilities are "
        "off on average (expected calibration error, ten groups), and the log loss (nats)."
    )
    names = run.config.data.label_names
    titles = [f"{label} called {called}" for label in names for called in names]
    columns = [
        column("Model", "model"),
        *(column(wording.capital(title), f"called_{place}", "count") for place, title in enumerate(titles)),
        column("Off by, points", "error", "percent"),
        column("Log loss", "loss", ".3f"),
    ]
    return Fold(caption, [Table("confusion", "", columns, rows)])


def _reliability(run: CompletedRun, scores: Scores) -> Block:
    points = [Point("calibrated", at, at, "", "calibrated", style="dashed") for at in (0, 100)]
    models: dict[str, Answerer] = {"net": "network", "linear baseline": "baseline"}
    for name, model in models.items():
        for mean, positive, n in reliability(scores.labels, scores.said[model]):
            share = wilson(positive, n)
            points.append(share_point(name, 100 * mean, share, f"{name}: {wording.share(share)}, n = {n:,}"))
    caption = (
        f"Do probabilities mean what they say? n = {len(scores.labels):,} test tweets in ten groups by what the net "
        f"(run {run.run_id}) and the baseline say. Below the dotted line: too optimistic."
    )
    axes = Axis("mean probability of positive (%)"), Axis("positive tweets (%)")
    return line_figure("reliability", "Reliability diagram", caption, points, axes)


def _mistakes(tweets: pd.DataFrame, names: tuple[str, str]) -> list[Block]:
    wrong = tweets[~tweets["right"]]
    counts = [(group, int((wrong["group"] == group).sum())) for group in (ALL_WRONG, DISPUTED, NEGATED, OTHER)]
    said = [f"{number:,} {group}" for group, number in counts if number]
    if not said:
        return []
    text = (
        f"{wording.plural(len(wrong), 'mistake')} on test tweets: {wording.listing(said)}. Where all runs are wrong "
        f"the label may be. The {_SHOWN} surest of each group:"
    )
    rows = [
        {
            "group": group,
            "tweet": wording.shortened(unescape(str(one["text"])), _LONGEST_TWEET),
            "label": names[one["label"]],
            **{key: float(one[key]) for key in ("network", "baseline", "share_right")},
        }
        for group, _ in counts
        for one in wrong[wrong["group"] == group].head(_SHOWN).to_dict("records")
    ]
    columns = [
        column("Tweet", "tweet"),
        column("Label", "label"),
        column("Probability of positive, %", "network", "percent"),
        column("Baseline's, %", "baseline", "percent"),
        column("Runs right, %", "share_right", "percent"),
        column("Group", "group"),
    ]
    return [Text("Mistakes", "heading"), Table("mistakes", text, columns, rows)]
