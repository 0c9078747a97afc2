"""Self-attention: does it learn faster, does it overfit sooner, and what does it look at."""

from collections import defaultdict
from statistics import median
from typing import Any

from report import statistics
from report.analysis.findings import AttentionFindings, Findings
from report.analysis.grids import GridFindings, Kind
from report.analysis.questions.speed import POOLING
from report.read.load import CompletedRun, Grid
from report.read.predictions import AttentionSample
from report.render import blocks, wording
from report.render.blocks import Block, Bullets, Column, Figure, Fold, Heading, ReportSection, Table, Text
from report.render.charts.curves import AccuracyCurves, progress_figure
from report.render.charts.heatmap import Attended, heatmap_figure
from report.sections.names import configuration_name

_EXAMPLES = 3
_REASONS = 4


def attention(findings: Findings) -> ReportSection:
    """Every grid with attention in it, and the tweets that the best attention model was shown."""
    content: list[Block] = []
    for found in findings.grids:
        if found.kind is Kind.ATTENTION:
            content += _speed_blocks(found)
    if findings.attention:
        content += _heatmap_blocks(findings.attention)
    return ReportSection("Self-attention", content)


def _speed_blocks(found: GridFindings) -> list[Block]:
    """The best epoch, and the overfitting gap, by how states are pooled."""
    grid = found.grid
    groups: dict[str, list[CompletedRun]] = defaultdict(list)
    for run in sorted(grid.completed, key=lambda run: run.config.model.pooling):
        groups[wording.parameter_value(POOLING, run.config.model.pooling)].append(run)
    if not groups:
        return []
    content: list[Block] = []
    if sentences := speed_sentences(found):
        content.append(Bullets(sentences))
    elif len(groups) == 1:
        content.append(Text("No plain recurrent net was trained beside it in this grid, so nothing can be compared."))
    content += [_epochs_table(grid, groups)]
    if figure := _progress(found, groups):
        content.append(figure)
    return content


def speed_sentences(found: GridFindings) -> list[str]:
    """Whether self-attention has its best epoch earlier than other poolings, and overfits more; a sentence each."""
    return [
        f"Against {wording.parameter_value(POOLING, one.other)}, self-attention has its best epoch "
        f"{_by(one.best_epoch, 'epochs later', 'epochs earlier', 1)}, and its overfitting gap is "
        f"{_by(one.gap, 'points larger', 'points smaller', 100)}; {one.runs[0]:,} and {one.runs[1]:,} runs."
        for one in found.pooling
    ]


def _by(difference: statistics.Difference, more: str, less: str, scale: int) -> str:
    """The difference in words, with its interval."""
    value = scale * difference.value
    shown = "" if difference.is_shown else "not shown"
    if difference.low is None or difference.high is None:
        return f"{abs(value):.1f} {more if value >= 0 else less} ({shown})"
    interval = f"{wording.signed(scale * difference.low)} to {wording.signed(scale * difference.high)}"
    said = ", ".join(one for one in (interval, shown, wording.THESE_MODELS * difference.of_these_models) if one)
    return f"{abs(value):.1f} {more if value >= 0 else less} ({said})"


def _epochs_table(grid: Grid, groups: dict[str, list[CompletedRun]]) -> Table:
    rows: list[dict[str, Any]] = [
        {"pooling": name, "runs": len(runs), "best_epoch": median(run.result.best_epoch for run in runs)}
        | blocks.with_bounds("gap", statistics.mean([run.result.overfit.gap for run in runs]))
        for name, runs in groups.items()
    ]
    columns = [
        blocks.text("Pooling", "pooling"),
        blocks.count("Runs", "runs"),
        Column("Best epoch", "best_epoch", lambda row: f"{row['best_epoch']:g}"),
        blocks.difference("Overfitting gap, points", "gap"),
    ]
    caption = (
        f"Grid {grid.name}: median of the best epochs; mean gap between training and validation accuracy with "
        "Student's 95 % interval over runs."
    )
    return Table(f"epochs-{grid.name}", caption, columns, rows)


def _progress(found: GridFindings, groups: dict[str, list[CompletedRun]]) -> Figure | None:
    grid, progress = found.grid, []
    for name, runs in groups.items():
        if curves := [found.curves[run.run_id] for run in runs if run.run_id in found.curves]:
            progress.append(AccuracyCurves(name, [one.values("validation", "accuracy") for one in curves]))
    if not progress:
        return None
    caption = (
        f"Grid {grid.name}: validation accuracy by epoch; thin: the {sum(len(one.runs) for one in progress)} runs; "
        "thick: mean of all of them, as far as all went."
    )
    return progress_figure(f"progress-{grid.name}", f"Accuracy by epoch, grid {grid.name}", caption, progress)


def _heatmap_blocks(found: AttentionFindings) -> list[Block]:
    content: list[Block] = [Heading("What it looks at")]
    names = found.configuration.config.data.label_names
    name, run_id, n = configuration_name(found.configuration), found.configuration.chosen.run_id, len(found.samples)
    for verdict in ("right", "wrong"):
        of_verdict = [one for one in found.samples if one.is_right == (verdict == "right")]
        chosen = sorted(of_verdict, key=lambda one: -one.confidence)[:_EXAMPLES]
        if not chosen:
            content.append(Text(f"None of the {n} sample tweets is {verdict}."))
            continue
        tweets = [
            Attended(_heading(one, names), one.tokens, _mean_of_hops(one), _reasons(one, names)) for one in chosen
        ]
        caption = (
            f"Test tweets that {name} (run {run_id}) has {verdict}: the {len(chosen)} it is most sure of among "
            f"{len(of_verdict)} of a random sample of n = {n}. Shade: mean weight over hops. Weights show where the "
            "net looks, not why it decides as it does."
        )
        if any(one.baseline for one in chosen):
            caption += (
                " Below each tweet the linear baseline, with the words whose absence would change its log-odds of "
                f"{names[1]} most: with a plus those that speak for it."
            )
        alt = f"Attention on tweets that are {verdict}"
        content.append(heatmap_figure(f"attention-{verdict}", alt, caption, tweets))
        if len(chosen[0].weights) > 1:
            content.append(_hops(verdict, chosen))
    return content


def _hops(verdict: str, chosen: list[AttentionSample]) -> Fold:
    """The same tweets, hop by hop."""
    tweets = [
        Attended(f"tweet {place}, hop {hop}", one.tokens, weights)
        for place, one in enumerate(chosen, 1)
        for hop, weights in enumerate(one.weights, 1)
    ]
    caption = f"n = {len(chosen)} tweets, each hop by itself: the penalty on equal hops decides how much they differ."
    figure = heatmap_figure(f"hops-{verdict}", f"Attention hop by hop, tweets that are {verdict}", caption, tweets)
    return Fold("Hop by hop", [figure])


def _mean_of_hops(sample: AttentionSample) -> list[float]:
    return [sum(column) / len(sample.weights) for column in zip(*sample.weights, strict=True)]


def _reasons(sample: AttentionSample, names: tuple[str, str]) -> list[str]:
    """What the linear baseline says of the tweet, and the words that it says so for, the strongest first."""
    if sample.baseline is None:
        return []
    pairs = sorted(zip(sample.tokens, sample.baseline.weights, strict=True), key=lambda pair: -abs(pair[1]))
    shown = [f"{wording.shortened(token, 24)} {wording.signed(by)}" for token, by in pairs[:_REASONS] if round(by, 1)]
    return [f"baseline, {names[1]} {wording.percent(sample.baseline.score)} %:", *shown]


def _heading(sample: AttentionSample, names: tuple[str, str]) -> str:
    label = names[int(sample.is_positive)]
    return f"label {label}, probability of {names[1]} {wording.percent(sample.score)} %"
