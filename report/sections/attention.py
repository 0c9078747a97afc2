"""Self-attention: does it learn faster, does it overfit sooner, and what does it look at."""

import json
from collections import defaultdict
from statistics import median
from typing import Any

from report.analysis import effects, statistics
from report.analysis.datasets import Configuration, Dataset
from report.analysis.grid_kind import Kind, kind_of
from report.read.curves import read_curves
from report.read.load import CompletedRun, Grid, Study
from report.render import blocks, wording
from report.render.blocks import Block, Bullets, Column, Figure, Heading, ReportSection, Table, Text
from report.render.charts.curves import AccuracyCurves, progress_figure
from report.render.charts.heatmap import FULL, Attended, heatmap_figure
from report.sections.grids import curve_blocks, grid_blocks
from sentiment.records import THRESHOLD

_POOLING = "model.pooling"
_EXAMPLES = 3


def attention(study: Study, found: list[Dataset]) -> ReportSection:
    """Every grid with attention in it, and the tweets that the best attention model was shown."""
    content: list[Block] = []
    for grid in study.grids:
        if kind_of(grid) is Kind.ATTENTION:
            content += [*grid_blocks(grid), *_speed_blocks(grid, study), *curve_blocks(grid, study)]
    configurations = [one for dataset in found[:1] for one in dataset.configurations]
    with_attention = [one for one in configurations if one.runs[0].config.model.pooling == "attention"]
    if with_attention:
        content += _heatmap_blocks(with_attention[0], study)
    return ReportSection("Self-attention", content)


def _speed_blocks(grid: Grid, study: Study) -> list[Block]:
    """Epochs until given accuracies, and the overfitting gap, by what is done with the states."""
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
    if figure := _progress(grid, groups, study):
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
    columns = [blocks.text("States become one vector by", "pooling"), blocks.count("Runs", "runs")]
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


def _progress(grid: Grid, groups: dict[str, list[CompletedRun]], study: Study) -> Figure | None:
    progress = []
    for name, runs in groups.items():
        curves = [one for run in runs if (one := read_curves(run, name, study.problems))]
        if curves:
            values = [[float(row["validation"]["accuracy"]) for row in one.epochs] for one in curves]
            progress.append(AccuracyCurves(name, values))
    if not progress:
        return None
    caption = (
        f"Grid {grid.name}: validation accuracy by epoch; thin: the {sum(len(one.runs) for one in progress)} runs; "
        "thick: mean of those that are still training, which early stopping makes fewer from left to right."
    )
    return progress_figure(f"progress-{grid.name}", f"Accuracy by epoch, grid {grid.name}", caption, progress)


def _heatmap_blocks(best: Configuration, study: Study) -> list[Block]:
    run = best.chosen
    content: list[Block] = [Heading("What it looks at")]
    samples = _samples(run, study.problems)
    right = [one for one in samples if (one["score"] >= THRESHOLD) == (one["label"] == 1)]
    wrong = [one for one in samples if (one["score"] >= THRESHOLD) != (one["label"] == 1)]
    for verdict, of_verdict in (("right", right), ("wrong", wrong)):
        chosen = sorted(of_verdict, key=lambda one: -abs(one["score"] - THRESHOLD))[:_EXAMPLES]
        if not chosen:
            content.append(Text(f"None of the {len(samples)} sample tweets is {verdict}."))
            continue
        tweets = [Attended(_heading(one), one["tokens"], one["weights"]) for one in chosen]
        caption = (
            f"Test tweets that {best.name} (run {run.run_id}) has {verdict}: the {len(chosen)} it is most sure of "
            f"among {len(of_verdict)} of a random sample of n = {len(samples)}. A line for each hop and for their "
            f"mean; the stronger the colour of a token, the more weight; full colour is {FULL} times an even share. "
            "At most 40 tokens are shown. Weights show where the net looks, not why it decides as it does."
        )
        alt = f"Attention on tweets that are {verdict}"
        content.append(heatmap_figure(f"attention-{verdict}", alt, caption, tweets))
    return content


def _heading(sample: dict[str, Any]) -> str:
    label = "positive" if sample["label"] == 1 else "negative"
    return f"label {label}, probability of positive {wording.percent(sample['score'])} %"


def _samples(run: CompletedRun, problems: list[str]) -> list[dict[str, Any]]:
    """Rows of the attention file whose shape is right; a damaged file is a problem more."""
    path = run.run_dir.attention_file
    try:
        rows = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
        return [row for row in rows if row["tokens"] and all(len(hop) == len(row["tokens"]) for hop in row["weights"])]
    except (OSError, ValueError, KeyError, TypeError) as error:
        problems.append(f"{path}: cannot be read: {error}")
        return []
