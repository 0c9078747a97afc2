"""What a factorial grid shows: a table, a figure and the sentences of its effects; shared by several sections."""

from itertools import cycle
from typing import Any

from report.analysis.datasets import datasets
from report.analysis.effects import Effect, comparable, effects_of, sentence
from report.read.curves import overfitting_sentences, read_curves
from report.read.load import RANDOM_MARK, Grid, Study
from report.render import blocks, wording
from report.render.blocks import Block, Bullets, Column, Figure, Heading, Table, Text
from report.render.charts import style
from report.render.charts.curves import small_multiples
from report.render.charts.intervals import Line, interval_figure
from report.render.markdown import emphasis

_MOST_CURVES = 6


def grid_blocks(grid: Grid) -> list[Block]:
    """The question and the effects of its parameters."""
    description = grid.plan.description if grid.plan else ""
    content: list[Block] = [Heading(f"Grid {grid.name}")]
    if description:
        content.append(Text(emphasis(description)))
    if not grid.completed:
        content.append(Text(f"None of its {len(grid.runs):,} runs is completed."))
        return content
    effects = effects_of(grid.completed)
    if not effects:
        content.append(Text(f"Its {wording.plural(len(grid.completed), 'completed run')} differ by their seed alone."))
        return content
    content += [Bullets([sentence(effect) for effect in effects]), *_left_out(grid), effects_figure(grid, effects)]
    return [*content, effects_table(grid, effects)]


def _left_out(grid: Grid) -> list[Block]:
    """A word on runs that are not compared."""
    number = len(grid.completed) - len(comparable(grid.completed))
    if not number:
        return []
    return [Text(f"{wording.plural(number, 'run')} on [{RANDOM_MARK}] for ELMo's weights left out here.")]


def effects_figure(grid: Grid, effects: list[Effect]) -> Figure:
    """Each value of each parameter, the others averaged out."""
    lines = []
    for effect, colour in zip(effects, cycle(style.COLOURS)):
        lines += [Line(f"{effect.name}: {level.shown}", level.score, colour) for level in effect.levels]
    caption = (
        f"Mean test accuracy of the {len(comparable(grid.completed))} comparable runs of grid {grid.name} by the value "
        "of each parameter, all others averaged out, with Student's 95 % interval over runs. Intervals include the "
        "spread that the other parameters cause; the paired differences in the table do not."
    )
    alt = f"Test accuracy by parameter, grid {grid.name}"
    return interval_figure(f"effects-{grid.name}", alt, caption, lines, "mean test accuracy (%)")


def effects_table(grid: Grid, effects: list[Effect]) -> Table:
    """The same with differences between matched runs."""
    rows = [row for effect in effects for row in _effect_rows(effect)]
    caption = (
        f"Grid {grid.name}: each value against the best of its parameter, over pairs of runs that differ in nothing "
        "else (a run in which a setting does nothing is paired with the mean over its values): mean difference of "
        "test accuracy in points with Student's 95 % interval, p-value of the paired t-test, adjusted for all "
        "comparisons of the grid (Benjamini-Hochberg), and how the seconds per epoch compare (geometric mean)."
    )
    columns = [
        blocks.text("Parameter", "parameter"),
        blocks.text("Value", "value"),
        blocks.count("Runs", "runs"),
        blocks.interval("Test accuracy, %", "accuracy"),
        blocks.difference("Best \u2212 this, points", "behind"),
        blocks.count("Pairs", "pairs"),
        blocks.p_value("Adjusted p", "q"),
        blocks.duration("Per epoch", "seconds"),
        Column("Time, best\u00a0=\u00a01", "time_ratio", lambda row: _ratio(row["time_ratio"])),
    ]
    return Table(f"effects-{grid.name}", caption, columns, rows)


def _effect_rows(effect: Effect) -> list[dict[str, Any]]:
    rows = []
    for level in effect.levels:
        contrast = next((one for one in effect.contrasts if one.other is level), None)
        gap = contrast.score if contrast else None
        rows.append(
            {"parameter": effect.name, "value": level.shown, "runs": level.score.n}
            | blocks.with_bounds("accuracy", level.score)
            | blocks.with_bounds("behind", gap)
            | {"pairs": gap.n if gap else None, "p": gap.p if gap else None, "q": contrast.q if contrast else None}
            | {"seconds": level.seconds, "time_ratio": 1 / contrast.time_ratio.value if contrast else None}
        )
    return rows


def _ratio(ratio: float | None) -> str:
    return wording.DASH if ratio is None else f"\u00d7 {ratio:.2f}"


def curve_blocks(grid: Grid, study: Study) -> list[Block]:
    """Learning curves of its best configurations, and what they say of overfitting."""
    if not grid.completed:
        return []
    found = datasets(Study(study.results, [grid], study.problems))
    configurations = found[0].configurations[:_MOST_CURVES]
    read = [
        read_curves(one.chosen, f"{one.name}, seed {one.chosen.config.seed}", study.problems) for one in configurations
    ]
    curves = [one for one in read if one]
    content: list[Block] = [Bullets(overfitting_sentences(grid.completed, curves))]
    if curves:
        caption = (
            f"Learning curves of grid {grid.name}: {wording.plural(len(curves), 'configuration')} with the best "
            "validation F1 (their best seed), n = 1 run a row. Dashed: training; solid: validation; circle: the "
            "epoch whose weights are kept. Panels of a column share their axis."
        )
        content.append(small_multiples(f"curves-{grid.name}", f"Learning curves, grid {grid.name}", caption, curves))
    return content
