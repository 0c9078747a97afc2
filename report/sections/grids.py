"""What a factorial grid shows: a table, a figure and the sentences of its effects; shared by several sections."""

from collections import defaultdict
from itertools import cycle
from typing import Any

from report import statistics
from report.analysis.effects import Contrast, Effect, comparable
from report.analysis.grids import GridFindings
from report.read.curves import LearningCurve
from report.read.load import Grid
from report.render import blocks, wording
from report.render.blocks import Block, Bullets, Column, Figure, Heading, Table, Text
from report.render.charts import style
from report.render.charts.curves import Curves, small_multiples
from report.render.charts.intervals import Line, ValueAxis, interval_figure
from report.render.markdown import emphasis
from report.sections.names import RANDOM_MARK, configuration_name, level_name, level_value

_BEATS = "beats {}"
_EQUALS = "can't be told apart from {}"
_UNSURE = "is ahead of {}, with nothing to judge the uncertainty by"


def grid_blocks(found: GridFindings) -> list[Block]:
    """The question and the effects of its parameters."""
    grid, effects = found.grid, found.effects
    content: list[Block] = [Heading(f"Grid {grid.name}")]
    if grid.plan and grid.plan.description:
        content.append(Text(emphasis(grid.plan.description)))
    if not grid.completed:
        return [*content, Text(f"None of its {len(grid.runs):,} runs is completed.")]
    if not effects:
        number = wording.plural(len(grid.completed), "completed run")
        return [*content, Text(f"Its {number} differ by their seed alone.")]
    content += [Bullets([effect_sentence(effect) for effect in effects]), *_left_out(grid)]
    return [*content, _effects_figure(grid, effects), _effects_table(grid, effects)]


def effect_sentence(effect: Effect) -> str:
    """What a parameter does, in words and with its uncertainty."""
    if not effect.contrasts:
        name = wording.capital(wording.parameter_name(effect.parameter))
        return f"{name}: no two runs differ in it alone, so its effect can't be singled out."
    groups: dict[str, list[Contrast]] = defaultdict(list)
    for contrast in effect.contrasts:
        groups[_verdict(contrast)].append(contrast)
    clauses = []
    for verdict in (_BEATS, _EQUALS, _UNSURE):
        if others := groups[verdict]:
            listed = [f"{level_name(effect.parameter, one.other)} ({_gap(one)})" for one in others]
            clauses.append(verdict.format(wording.listing(listed)))
    best = level_name(effect.parameter, effect.contrasts[0].best)
    return f"{wording.capital(best)} {' and '.join(clauses)}."


def curve_blocks(found: GridFindings) -> list[Block]:
    """Learning curves of the grid's best configurations, and what they say of overfitting."""
    grid = found.grid
    if not grid.completed:
        return []
    drawn = [(one, found.curves[one.chosen.run_id]) for one in found.best if one.chosen.run_id in found.curves]
    content: list[Block] = [Bullets(_overfitting_sentences(grid, [curve for _, curve in drawn]))]
    if drawn:
        curves = [
            drawn_curve(f"{configuration_name(one)}, seed {one.chosen.config.seed}", curve) for one, curve in drawn
        ]
        caption = (
            f"Learning curves of grid {grid.name}: {wording.plural(len(curves), 'configuration')} with the best "
            "validation F1 (their best seed), n = 1 run a row. Dashed: training; solid: validation; circle: the "
            "epoch whose weights are kept. Panels of a column share their axis."
        )
        content.append(small_multiples(f"curves-{grid.name}", f"Learning curves, grid {grid.name}", caption, curves))
    return content


def drawn_curve(title: str, curve: LearningCurve) -> Curves:
    """A run's learning curve as the charts take it."""
    return Curves(title, curve.epochs, curve.run.result.best_epoch)


def _verdict(contrast: Contrast) -> str:
    if contrast.score.p is None:
        return _UNSURE if contrast.score.value else _EQUALS
    return _BEATS if statistics.is_shown(contrast.score, contrast.q) else _EQUALS


def _gap(contrast: Contrast) -> str:
    """`+0.1 ± 0.3 points, adjusted p = 0.61, 4 matched pairs`."""
    gap = contrast.score
    spread = "" if gap.half_width is None else f" \u00b1 {100 * gap.half_width:.1f}"
    adjusted = "" if contrast.q is None else f", {wording.p_phrase(contrast.q, 'adjusted p')}"
    return f"{wording.points(gap.value)}{spread} points{adjusted}, {wording.plural(gap.n, 'matched pair')}"


def _left_out(grid: Grid) -> list[Block]:
    """A word on the runs that are not compared."""
    number = len(grid.completed) - len(comparable(grid.completed))
    if not number:
        return []
    are = "is" if number == 1 else "are"
    return [Text(f"{wording.plural(number, 'run')} on [{RANDOM_MARK}] for ELMo's weights {are} left out here.")]


def _effects_figure(grid: Grid, effects: list[Effect]) -> Figure:
    """Each value of each parameter, the others averaged out."""
    lines = []
    for effect, colour in zip(effects, cycle(style.COLOURS)):
        name = wording.parameter_name(effect.parameter)
        lines += [
            Line(f"{name}: {level_value(effect.parameter, level)}", level.score, colour) for level in effect.levels
        ]
    caption = (
        f"Mean test accuracy of the {len(comparable(grid.completed))} comparable runs of grid {grid.name} by the value "
        "of each parameter, all others averaged out, with Student's 95 % interval over runs. Intervals include the "
        "spread that the other parameters cause; the paired differences in the table do not."
    )
    alt = f"Test accuracy by parameter, grid {grid.name}"
    return interval_figure(f"effects-{grid.name}", alt, caption, lines, ValueAxis("mean test accuracy (%)"))


def _effects_table(grid: Grid, effects: list[Effect]) -> Table:
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
        Column("Time, best\u00a0=\u00a01", "time_ratio", lambda row: _ratio(row.get("time_ratio"))),
    ]
    return Table(f"effects-{grid.name}", caption, columns, rows)


def _effect_rows(effect: Effect) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = []
    name = wording.parameter_name(effect.parameter)
    for level in effect.levels:
        contrast = next((one for one in effect.contrasts if one.other is level), None)
        row = {"parameter": name, "value": level_value(effect.parameter, level), "runs": level.score.n}
        row |= blocks.with_bounds("accuracy", level.score) | {"seconds": level.seconds}
        if contrast:
            gap = contrast.score
            row |= blocks.with_bounds("behind", gap) | {"pairs": gap.n, "p": gap.p, "q": contrast.q}
            row["time_ratio"] = 1 / contrast.time_ratio.value
        rows.append(row)
    return rows


def _ratio(ratio: float | None) -> str:
    return wording.DASH if ratio is None else f"\u00d7 {ratio:.2f}"


def _overfitting_sentences(grid: Grid, curves: list[LearningCurve]) -> list[str]:
    """How many runs overfit by the rule of their configuration, and what that looks like in the curves drawn."""
    verdicts = [run.result.overfit for run in grid.completed]
    gaps = [one.gap for one in verdicts]
    number = sum(one.overfits for one in verdicts)
    sentences = [
        f"{number:,} of {wording.plural(len(verdicts), 'run')} overfit, which is to say that {verdicts[0].rule}; the "
        f"gap is {wording.points(sum(gaps) / len(gaps))} points on average, {wording.points(max(gaps))} at most."
    ]
    rising = sum(one.rises_again for one in curves)
    if rising:
        sentences.append(
            f"In {rising} of the {len(curves)} drawn, validation loss ends higher than it was at its best, while "
            "training loss goes on falling: from then on what is learned no longer helps with new tweets."
        )
    elif curves:
        sentences.append(f"In none of the {len(curves)} drawn does validation loss rise again at the end.")
    return sentences
