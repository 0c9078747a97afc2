"""What a factorial grid shows: the sentences of its effects, a table and curves; shared by several sections."""

from collections import defaultdict
from typing import Any

from report.analysis.grids import GridFindings
from report.analysis.questions.effects import Contrast, Effect, comparable
from report.read.curves import LearningCurve
from report.read.load import Grid
from report.render import blocks, wording
from report.render.blocks import Block, Column, Figure, Table, Text
from report.render.charts.curves import Curves, small_multiples
from report.sections.names import RANDOM_MARK, configuration_name, level_name, level_value

_BEATS = "beats {}"
_LOSES = "loses to {}"
_EQUALS = "is not shown to differ from {}"
_UNSURE = "was not compared with {} on the same tweets"


def effect_sentence(effect: Effect) -> str:
    """What a parameter does, in words and with its uncertainty."""
    if not effect.contrasts:
        name = wording.capital(wording.parameter_name(effect.parameter))
        return f"{name}: no two runs differ in it alone, so its effect can't be singled out."
    groups: dict[str, list[Contrast]] = defaultdict(list)
    for contrast in effect.contrasts:
        groups[_verdict(contrast)].append(contrast)
    clauses = []
    for verdict in (_BEATS, _LOSES, _EQUALS, _UNSURE):
        if others := groups[verdict]:
            listed = [f"{level_name(effect.parameter, one.other)} ({_gap(one)})" for one in others]
            clauses.append(verdict.format(wording.listing(listed)))
    best = level_name(effect.parameter, effect.contrasts[0].best)
    these = any(one.score and one.score.of_these_models for one in effect.contrasts)
    alone = f" ({wording.THESE_MODELS.capitalize()}.)" if these else ""
    return f"{wording.capital(best)}, best on validation tweets, {' and '.join(clauses)}.{alone}"


def contrast_name(effect: Effect, contrast: Contrast) -> str:
    """What a line in a figure is called: the best value, and the other one."""
    best, other = (level_name(effect.parameter, one) for one in (contrast.best, contrast.other))
    return f"{best} \u2212 {other}"


def curve_figure(found: GridFindings) -> Figure | None:
    """Loss curves of the grid's best configurations; None without any."""
    drawn = [(one, found.curves[one.chosen.run_id]) for one in found.best if one.chosen.run_id in found.curves]
    if not drawn:
        return None
    curves = [drawn_curve(f"{configuration_name(one)}, seed {one.chosen.config.seed}", curve) for one, curve in drawn]
    grid = found.grid.name
    caption = f"Grid {grid}: n = {len(curves)} best by validation F1, their best seed. Ring: the epoch that is kept."
    return small_multiples(f"curves-{grid}", f"Loss curves, grid {grid}", caption, curves)


def drawn_curve(title: str, curve: LearningCurve) -> Curves:
    """A run's learning curve as the charts take it."""
    return Curves(title, curve.epochs, curve.run.result.best_epoch)


def _verdict(contrast: Contrast) -> str:
    if contrast.score is None:
        return _UNSURE
    if not contrast.score.is_shown:
        return _EQUALS
    return _BEATS if contrast.score.value > 0 else _LOSES


def _gap(contrast: Contrast) -> str:
    """`+0.1 points, -0.2 to +0.4; 4 and 4 runs`."""
    gap, runs = contrast.score, f"{contrast.runs[0]:,} and {contrast.runs[1]:,} runs"
    if gap is None:
        return runs
    spread = "" if gap.low is None else f", {wording.points(gap.low)} to {wording.points(gap.high)}"
    return f"{wording.points(gap.value)} points{spread}; {runs}"


def left_out(grid: Grid) -> list[Block]:
    """A word on the runs that are not compared."""
    number = len(grid.completed) - len(comparable(grid.completed))
    if not number:
        return []
    are = "is" if number == 1 else "are"
    return [Text(f"{wording.plural(number, 'run')} on [{RANDOM_MARK}] for ELMo's weights {are} left out here.")]


def effects_table(grid: Grid, effects: list[Effect]) -> Table:
    """The same with differences between matched runs."""
    rows = [row for effect in effects for row in _effect_rows(effect)]
    caption = (
        f"Grid {grid.name}: each value against the one that is best on validation tweets, over runs that differ in "
        "nothing else but their seeds: mean difference of accuracy on the test tweets that all of them have, interval "
        "and p corrected for all pairs of values in the grid; and how the seconds per epoch compare (geometric mean)."
    )
    columns = [
        blocks.text("Parameter", "parameter"),
        blocks.text("Value", "value"),
        blocks.count("Runs", "runs"),
        blocks.interval("Test accuracy, %", "accuracy"),
        blocks.difference("Best \u2212 this, points", "behind"),
        blocks.text("Runs compared", "compared"),
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
            row |= {
                "compared": " and ".join(str(many) for many in contrast.runs),
                "time_ratio": 1 / contrast.time_ratio,
            }
            if gap := contrast.score:
                row |= blocks.with_bounds("behind", gap) | {"tweets": gap.n, "p": gap.p, "q": gap.q}
        rows.append(row)
    return rows


def _ratio(ratio: float | None) -> str:
    return wording.DASH if ratio is None else f"\u00d7 {ratio:.2f}"


def overfitting_sentence(found: GridFindings) -> str | None:
    """How many runs overfit by the rule of their configuration; None if none is completed."""
    verdicts = [run.result.overfit for run in found.grid.completed]
    if not verdicts:
        return None
    gaps = [one.gap for one in verdicts]
    number = sum(one.overfits for one in verdicts)
    return (
        f"{found.grid.name}: {number:,} of {wording.plural(len(verdicts), 'run')}; gap "
        f"{wording.points(sum(gaps) / len(gaps))} points on average, {wording.points(max(gaps))} at most"
    )
