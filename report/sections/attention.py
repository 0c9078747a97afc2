"""Self-attention: does it learn faster, does it overfit sooner, and what does it look at."""

from collections import defaultdict
from statistics import median
from typing import Any

from report import statistics
from report.analysis import effects
from report.analysis.findings import AttentionFindings, Findings
from report.analysis.grids import GridFindings, Kind
from report.read.load import CompletedRun, Grid
from report.read.predictions import AttentionSample
from report.render import blocks, wording
from report.render.blocks import Block, Bullets, Column, Figure, Heading, ReportSection, Table, Text
from report.render.charts.curves import AccuracyCurves, progress_figure
from report.render.charts.heatmap import FULL, Attended, heatmap_figure
from report.sections.grids import curve_blocks, grid_blocks
from report.sections.names import configuration_name

_POOLING = "model.pooling"
_EXAMPLES = 3


def attention(findings: Findings) -> ReportSection:
    """Every grid with attention in it, and the tweets that the best attention model was shown."""
    content: list[Block] = []
    for found in findings.grids:
        if found.kind is Kind.ATTENTION:
            content += [*grid_blocks(found), *_speed_blocks(found), *curve_blocks(found)]
    if findings.attention:
        content += _heatmap_blocks(findings.attention)
    return ReportSection("Self-attention", content)


def _speed_blocks(found: GridFindings) -> list[Block]:
    """Epochs until given accuracies, and the overfitting gap, by how states are pooled."""
    grid = found.grid
    groups: dict[str, list[CompletedRun]] = defaultdict(list)
    for run in sorted(grid.completed, key=lambda run: run.config.model.pooling):
        groups[wording.parameter_value(_POOLING, run.config.model.pooling)].append(run)
    if not groups:
        return []
    content: list[Block] = []
    if sentences := _comparison_sentences(grid.completed):
        content.append(Bullets(sentences))
    elif len(groups) == 1:
        content.append(Text("No plain recurrent net was trained beside it in this grid, so nothing can be compared."))
    content += [_epochs_table(grid, groups)]
    if figure := _progress(found, groups):
        content.append(figure)
    return content


def _comparison_sentences(runs: list[CompletedRun]) -> list[str]:
    others = {run.config.model.pooling for run in runs} - {"attention"}
    sentences = []
    for other in sorted(others):
        name = wording.parameter_value(_POOLING, other)
        epochs = effects.matched_differences(runs, _POOLING, "attention", other, lambda run: run.result.best_epoch)
        gaps = effects.matched_differences(runs, _POOLING, "attention", other, effects.overfitting_gap)
        if not epochs:
            continue
        sooner, gap = statistics.paired_difference(epochs), statistics.paired_difference(gaps)
        sentences.append(
            f"Against {name}, self-attention has its best epoch {_by(sooner, 'epochs later', 'epochs earlier', 1)} "
            f"and an overfitting gap {_by(gap, 'points larger', 'points smaller', 100)} (paired t-tests, n = {gap.n} "
            "pairs)."
        )
    return sentences


def _by(difference: statistics.Difference, more: str, less: str, scale: int) -> str:
    half = "" if difference.half_width is None else f" \u00b1 {scale * difference.half_width:.1f}"
    amount = f"{scale * abs(difference.value):.1f}{half} {more if difference.value >= 0 else less}"
    if difference.p is None:
        return amount
    return f"{amount} ({wording.p_phrase(difference.p)}{'' if statistics.is_shown(difference) else ', not shown'})"


def _epochs_table(grid: Grid, groups: dict[str, list[CompletedRun]]) -> Table:
    wanted = sorted({name for run in grid.completed for name in run.result.epochs_to_accuracy}, key=float)
    rows = []
    for name, runs in groups.items():
        row: dict[str, Any] = {"pooling": name, "runs": len(runs)}
        for accuracy in wanted:
            epochs = [epoch for run in runs if (epoch := run.result.epochs_to_accuracy.get(accuracy)) is not None]
            row[accuracy] = median(epochs) if epochs else None
            row[f"{accuracy}_reached"] = len(epochs)
        rows.append(row | blocks.with_bounds("gap", statistics.mean([run.result.overfit.gap for run in runs])))
    columns = [blocks.text("Pooling", "pooling"), blocks.count("Runs", "runs")]
    columns += [Column(f"{wording.percent(float(one))} %", one, _epochs_shower(one)) for one in wanted]
    columns.append(blocks.difference("Overfitting gap, points", "gap"))
    caption = (
        f"Grid {grid.name}: median epoch in which validation accuracy first reached each value, and in how many runs "
        "it did; mean gap between training and validation accuracy with Student's 95 % interval over runs."
    )
    return Table(f"epochs-{grid.name}", caption, columns, rows)


def _epochs_shower(accuracy: str) -> Any:
    def show(row: blocks.Row) -> str:
        reached = row[f"{accuracy}_reached"]
        return f"never in {row['runs']}" if not reached else f"{row[accuracy]:g} ({reached} of {row['runs']})"

    return show


def _progress(found: GridFindings, groups: dict[str, list[CompletedRun]]) -> Figure | None:
    grid, progress = found.grid, []
    for name, runs in groups.items():
        if curves := [found.curves[run.run_id] for run in runs if run.run_id in found.curves]:
            progress.append(AccuracyCurves(name, [one.values("validation", "accuracy") for one in curves]))
    if not progress:
        return None
    caption = (
        f"Grid {grid.name}: validation accuracy by epoch; thin: the {sum(len(one.runs) for one in progress)} runs; "
        "thick: mean of those that are still training, which early stopping makes fewer from left to right."
    )
    return progress_figure(f"progress-{grid.name}", f"Accuracy by epoch, grid {grid.name}", caption, progress)


def _heatmap_blocks(found: AttentionFindings) -> list[Block]:
    content: list[Block] = [Heading("What it looks at")]
    name, run_id, n = configuration_name(found.configuration), found.configuration.chosen.run_id, len(found.samples)
    for verdict in ("right", "wrong"):
        of_verdict = [one for one in found.samples if one.is_right == (verdict == "right")]
        chosen = sorted(of_verdict, key=lambda one: -one.confidence)[:_EXAMPLES]
        if not chosen:
            content.append(Text(f"None of the {n} sample tweets is {verdict}."))
            continue
        tweets = [
            Attended(_heading(one, found.configuration.config.data.label_names), one.tokens, one.weights)
            for one in chosen
        ]
        caption = (
            f"Test tweets that {name} (run {run_id}) has {verdict}: the {len(chosen)} it is most sure of among "
            f"{len(of_verdict)} of a random sample of n = {n}. A line for each hop and for their mean; the stronger "
            f"the colour of a token, the more weight; full colour is {FULL} times an even share. At most 40 tokens are "
            "shown. Weights show where the net looks, not why it decides as it does."
        )
        alt = f"Attention on tweets that are {verdict}"
        content.append(heatmap_figure(f"attention-{verdict}", alt, caption, tweets))
    return content


def _heading(sample: AttentionSample, names: tuple[str, str]) -> str:
    label = names[int(sample.is_positive)]
    return f"label {label}, probability of {names[1]} {wording.percent(sample.score)} %"
