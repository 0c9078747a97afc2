"""What does a setting do: its best value on validation tweets against each other one, between matched runs."""

import math
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import fmean
from typing import Any

from report import statistics
from report.compare.answers import Answers, accuracy_of, compared, spread_between
from report.compare.findings import Findings
from report.compare.matching import Matched, comparable, is_search, matched_runs, seeds_together, varied, varying
from report.questions.labels import TRAIN_ROWS
from report.questions.question import Question
from report.read.load import CompletedRun, Grid
from report.render import blocks, wording
from report.render.blocks import Block, Card, Column, Figure, Table, Text
from report.render.charts.intervals import Line, ValueAxis, interval_figure
from report.render.markdown import emphasis, joined
from report.sections.names import RANDOM_MARK
from report.statistics import Difference

ASKED = {
    "model.cell": "GRU or LSTM?",
    "model.hidden_size": "How wide?",
    "model.bidirectional": "One direction or two?",
    "model.layers": "One layer or two?",
    "model.dropout": "Does dropout help?",
    "embedding.dropout": "Does dropout of vectors help?",
    "training.clip": "Does tighter gradient clipping help?",
    "training.learning_rate": "Which learning rate?",
    "model.pooling": "Last state, mean and maximum, or self-attention?",
    "elmo.model": "Small ELMo or 5.5B?",
    "elmo.layers": "Which of ELMo\u2019s layers?",
    "data.text.stop_words": "What do stop words matter?",
}
"""The study's questions, in its order; what else grids vary is asked for by its name."""
# A forest plot with so many lines shares its row.
_FEW = 2
_VERDICTS = ("beats", "loses to", "is not shown to differ from", "was not compared on the same tweets with")
_METHOD = (
    "A setting",
    "The value that is best on validation tweets against each other value, over the runs that differ in nothing else "
    "but their seeds; runs that differ in what does nothing on the other side are taken together. Corrected for all "
    "pairs of values of all settings of a grid: seeds that were lucky when they were chosen are lucky on test tweets "
    "too.",
)


@dataclass(frozen=True)
class Level:
    """One value of a parameter, all others averaged out."""

    value: Any
    is_random: bool
    """Whether all runs with it read random numbers in place of ELMo."""
    runs: int
    validation_f1: float
    """Mean over runs: what the best value is chosen by."""
    accuracy: float
    """Mean over runs, on test tweets."""
    seconds: float
    """Mean per epoch."""

    def name(self, parameter: str, is_short: bool = False) -> str:
        """The value, with its parameter's name where that is needed, and with a mark where it is random numbers."""
        shown = wording.parameter_value if is_short else wording.setting
        return shown(parameter, self.value) + (f" [{RANDOM_MARK}]" if self.is_random else "")


@dataclass(frozen=True)
class Contrast:
    """The best value against another, over runs that differ in nothing else but their seeds."""

    best: Level
    other: Level
    runs: tuple[int, int]
    """How many of each are compared."""
    score: Difference | None
    """Test accuracy with the best value less that with the other, on the tweets that all these runs have; corrected for
    all pairs of values in the grid. None if predictions can't be read, or the tweets can't be matched."""
    time_ratio: float
    """Seconds per epoch, best by other (geometric mean)."""

    @property
    def verdict(self) -> str:
        """What the best value does to the other."""
        if self.score is None:
            return _VERDICTS[3]
        return _VERDICTS[2 if not self.score.is_shown else 0 if self.score.value > 0 else 1]

    @property
    def numbers(self) -> str:
        """`+0.1 points, -0.2 to +0.4; 4 and 4 runs`."""
        gap, runs = self.score, f"{self.runs[0]:,} and {self.runs[1]:,} runs"
        if gap is None:
            return runs
        spread = "" if gap.low is None else f", {wording.points(gap.low)} to {wording.points(gap.high)}"
        return f"{wording.points(gap.value)} points{spread}; {runs}"


@dataclass(frozen=True)
class Effect:
    """What one parameter does."""

    parameter: str
    """Its dotted name."""
    levels: list[Level]
    contrasts: list[Contrast]

    @property
    def sentence(self) -> str:
        """In words, with its uncertainty."""
        if not self.contrasts:
            name = wording.capital(wording.parameter_name(self.parameter))
            return f"{name}: no two runs differ in it alone, so its effect can't be singled out."
        clauses = []
        for verdict in _VERDICTS:
            alike = [one for one in self.contrasts if one.verdict == verdict]
            if listed := [f"{one.other.name(self.parameter)} ({one.numbers})" for one in alike]:
                clauses.append(f"{verdict} {wording.listing(listed)}")
        these = any(one.score and one.score.of_these_models for one in self.contrasts)
        alone = f" ({wording.capital(wording.THESE_MODELS)}.)" if these else ""
        best = wording.capital(self.contrasts[0].best.name(self.parameter))
        return f"{best}, best on validation tweets, {' and '.join(clauses)}.{alone}"


def settings(findings: Findings) -> Question:
    """A card for each setting that a grid varies; searches and grids about labels have questions of their own."""
    found = [
        (grid, effects_of(grid.completed, findings.answers))
        for grid in findings.study.grids
        if not is_search(grid) and TRAIN_ROWS not in varied(grid)
    ]
    parameters = dict.fromkeys(one.parameter for _, effects in found for one in effects)
    known = [name for name in ASKED if name in parameters]
    others = [
        name
        for name in parameters
        if name not in ASKED and any(one.contrasts for _, effects in found for one in effects if one.parameter == name)
    ]
    cards = [_card(name, found) for name in [*known, *others]]
    numbers: list[Block] = []
    for grid, effects in found:
        numbers += [*_left_out(grid), *([_table(grid, effects)] if effects else [])]
    return Question(cards, numbers, [_METHOD] if cards else [])


def effects_of(runs: list[CompletedRun], answers: Answers) -> list[Effect]:
    """The effect of every setting that varies among `runs`; those on random numbers are left out."""
    runs = comparable(runs)
    found = {parameter: levels for parameter in varying(runs) if (levels := _levels(runs, parameter))}
    contrasts = [
        (parameter, best, other, matched)
        for parameter, levels in found.items()
        for best in [max(levels, key=lambda level: level.validation_f1)]
        for other in levels
        if other is not best and (matched := matched_runs(runs, parameter, best.value, other.value))
    ]
    spread = spread_between(seeds_together(runs))
    pairs = (
        answers.pair([one.first for one in matched], [one.second for one in matched], spread)
        for _, _, _, matched in contrasts
    )
    scores = compared(pairs, sum(statistics.pairs_of(len(levels)) for levels in found.values()))
    effects: dict[str, list[Contrast]] = {parameter: [] for parameter in found}
    for (parameter, best, other, matched), score in zip(contrasts, scores, strict=True):
        many = (sum(len(one.first) for one in matched), sum(len(one.second) for one in matched))
        effects[parameter].append(Contrast(best, other, many, score, _time_ratio(matched)))
    return [Effect(parameter, found[parameter], effects[parameter]) for parameter in found]


def _levels(runs: list[CompletedRun], parameter: str) -> list[Level]:
    groups: dict[Any, list[CompletedRun]] = defaultdict(list)
    for run in runs:
        if not parameter.startswith(run.config.unused_fields()):
            groups[run.settings.get(parameter)].append(run)
    return [_level(value, groups[value]) for value in sorted(groups, key=_order)]


def _order(value: Any) -> tuple[int, float, str]:
    is_number = isinstance(value, int | float)
    return (0 if value is None else 1 if is_number else 2, float(value) if is_number else 0.0, str(value))


def _level(value: Any, runs: list[CompletedRun]) -> Level:
    return Level(
        value=value,
        is_random=all(run.is_random for run in runs),
        runs=len(runs),
        validation_f1=fmean(run.result.metrics["validation"].f1 for run in runs),
        accuracy=fmean(accuracy_of(run) for run in runs),
        seconds=fmean(run.result.seconds_per_epoch for run in runs),
    )


def _time_ratio(matched: list[Matched]) -> float:
    sides = [
        [fmean(math.log(max(run.result.seconds_per_epoch, 1e-9)) for run in side) for side in (one.first, one.second)]
        for one in matched
    ]
    return math.exp(fmean(first - second for first, second in sides))


def _card(parameter: str, found: Sequence[tuple[Grid, list[Effect]]]) -> Card:
    """A sentence for each grid that varies the parameter, then a forest plot of all differences."""
    effects = [(grid, one) for grid, effects in found for one in effects if one.parameter == parameter]
    content: list[Block] = [Text(joined([emphasis(f"{grid.name}:"), one.sentence])) for grid, one in effects]
    several = len({grid.name for grid, one in effects if one.contrasts}) > 1
    lines = [
        Line(_line_name(parameter, one) + (f" ({grid.name})" if several else ""), one.score)
        for grid, effect in effects
        for one in effect.contrasts
        if one.score
    ]
    if lines:
        content.append(_figure(parameter, lines))
    name = wording.capital(wording.parameter_name(parameter))
    return Card(ASKED.get(parameter, f"{name}: which value?"), content)


def _line_name(parameter: str, contrast: Contrast) -> str:
    return f"{contrast.best.name(parameter)} \u2212 {contrast.other.name(parameter)}"


def _figure(parameter: str, lines: list[Line]) -> Figure:
    axis = ValueAxis("difference of test accuracy (points)", marks_zero=True, is_half=len(lines) <= _FEW)
    tweets = wording.span([line.estimate.n for line in lines])
    caption = f"Right of zero: the first is more accurate. n = {tweets} test tweets."
    alt = f"Differences by {wording.parameter_name(parameter)}"
    return interval_figure(f"question-{parameter}", alt, caption, lines, axis)


def _left_out(grid: Grid) -> list[Block]:
    number = sum(run.is_random for run in grid.completed)
    if not number:
        return []
    verb = "left out of comparisons" if number < len(grid.completed) else "all that it has"
    are = "is" if number == 1 else "are"
    return [Text(f"{grid.name}: {wording.plural(number, 'run')} on [{RANDOM_MARK}] for ELMo's weights {are} {verb}.")]


def _table(grid: Grid, effects: list[Effect]) -> Table:
    caption = (
        f"Grid {grid.name}: each value against the one that is best on validation tweets, over runs that differ in "
        "nothing else but their seeds; and how the seconds per epoch compare (geometric mean)."
    )
    columns = [
        blocks.text("Parameter", "parameter"),
        blocks.text("Value", "value"),
        blocks.count("Runs", "runs"),
        blocks.percent("Test accuracy, %", "accuracy"),
        blocks.difference("Best \u2212 this, points", "behind"),
        blocks.text("Runs compared", "compared"),
        blocks.p_value("Adjusted p", "q"),
        blocks.duration("Per epoch", "seconds"),
        Column("Time, best\u00a0=\u00a01", "time_ratio", lambda row: _ratio(row.get("time_ratio"))),
    ]
    rows = [_row(effect, level) for effect in effects for level in effect.levels]
    return Table(f"effects-{grid.name}", caption, columns, rows)


def _row(effect: Effect, level: Level) -> dict[str, Any]:
    row: dict[str, Any] = {
        "parameter": wording.parameter_name(effect.parameter),
        "value": level.name(effect.parameter, is_short=True),
    }
    row |= {name: getattr(level, name) for name in ("runs", "accuracy", "seconds")}
    contrast = next((one for one in effect.contrasts if one.other is level), None)
    if contrast:
        row |= {"compared": " and ".join(map(str, contrast.runs)), "time_ratio": 1 / contrast.time_ratio}
        if gap := contrast.score:
            row |= blocks.with_bounds("behind", gap) | {"tweets": gap.n, "p": gap.p, "q": gap.q}
    return row


def _ratio(ratio: float | None) -> str:
    return wording.DASH if ratio is None else f"\u00d7 {ratio:.2f}"
