"""What a setting changes: its best value on validation tweets against each other one, between matched runs.

Each setting that a grid varies has a card, its numbers in the same table: cells and widths, directions, dropout,
cleaning (of which the linear baseline has numbers of its own), attention and ELMo.
"""

import math
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import fmean
from typing import Any

from report.compare.datasets import Answers, compared, spread_between
from report.compare.findings import Findings
from report.compare.matching import Runs, comparable, is_search, matched_runs, seeds_together, unused, varying
from report.questions.labels import TRAIN_ROWS
from report.read import Grid
from report.render import charts, wording
from report.render.blocks import Block, Card, Question, Table, Text, column, with_bounds
from report.render.charts import Figure, Line, ValueAxis, interval_figure
from report.render.wording import emphasis, joined
from report.sections.names import RANDOM_MARK
from report.statistics import Difference
from sentiment.runs.records import ModelChoice

# The study's questions, in its order; what else grids vary is asked for by its name.
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
    "elmo.model": "Which ELMo, and is it worth what it costs?",
    "encoder.model": "Does a pretrained encoder help, and which?",
    "encoder.use": "Vectors of tokens, of tweets, or a fine-tuned encoder?",
    "elmo.layers": "Which of ELMo\u2019s layers?",
    "data.text.stop_words": "Do stop words matter?",
}
# How settings begin that change the linear baseline too.
_OF_THE_BASELINE = "data.text."
_MOST_VALUES = 8
# A forest plot with so many lines shares its row.
_FEW = 2
_VERDICTS = (
    "it beats {}",
    "it loses to {} on test tweets",
    "no difference from {} is shown",
    "it can\u2019t be compared with {} on the same tweets",
)
# What takes so many times as long as something else is said to.
_LONGER = 1.1
_LAYERS = ("context-free layer", "first LSTM layer", "top LSTM layer")
_METHOD = (
    "A setting",
    "The value that is best on validation tweets against each other value, over the runs that differ in nothing else "
    "but their seeds; runs that differ in what does nothing on the other side are taken together. Where a grid varies "
    "the number of labels, for each number by itself. Corrected for all pairs of values of all settings of a grid: "
    "seeds that were lucky when they were chosen are lucky on test tweets too.",
)


@dataclass(frozen=True)
class Level:
    """One value of a setting, with means over its runs: `accuracy` on test tweets, `seconds` per epoch.

    Attributes:
        only_label: what all of its nets say of every test tweet; None if they tell tweets apart.
    """

    value: Any
    runs: Runs
    validation_f1: float
    accuracy: float
    seconds: float
    only_label: str | None

    def name(self, parameter: str) -> str:
        """The value, with its parameter's name where that is needed, and with a mark where it is random numbers."""
        mark = f" [{RANDOM_MARK}]" if all(run.is_random for run in self.runs) else ""
        mark += f" [calls every tweet {self.only_label}]" if self.only_label else ""
        return wording.setting(parameter, self.value) + mark


@dataclass(frozen=True)
class Contrast:
    """The best value against another, over runs that differ in nothing else but their seeds.

    Attributes:
        score: test accuracy with the best value less that with the other, on the tweets that all these runs have;
            corrected for all pairs of values in the grid. None if the predictions or the tweets are not here.
    """

    best: Level
    other: Level
    runs: tuple[int, int]
    score: Difference | None

    @property
    def verdict(self) -> str:
        if self.score is None:
            return _VERDICTS[3]
        if not self.score.is_shown or (self.score.value > 0 and self.best.only_label):
            return _VERDICTS[2]
        return _VERDICTS[self.score.value < 0]

    def named(self, parameter: str) -> str:
        """The other value, with the difference where one is shown."""
        name, gap = self.other.name(parameter), self.score
        if gap is None or self.verdict == _VERDICTS[2]:
            return name
        return f"{name} ({wording.points(gap.value)} points)"


@dataclass(frozen=True)
class Effect:
    """What one setting does to nets, or to their linear baselines."""

    parameter: str
    model: ModelChoice
    labels: int | None  # training tweets at most, where the grid varies that
    levels: list[Level]
    contrasts: list[Contrast]

    @property
    def context(self) -> str:
        """`the linear baseline, at most 100 labels`; mostly nothing."""
        baseline = ["the linear baseline"] if self.model == "baseline" else []
        return ", ".join([*baseline, *([f"at most {wording.plural(self.labels, 'label')}"] if self.labels else [])])

    @property
    def sentence(self) -> str:
        if not self.contrasts:
            name = wording.capital(wording.parameter_name(self.parameter))
            return f"{name}: no two runs differ in it alone, so its effect can't be singled out."
        best, said = self.contrasts[0].best.name(self.parameter), []
        for verdict in _VERDICTS:
            if alike := [one.named(self.parameter) for one in self.contrasts if one.verdict == verdict]:
                said.append(verdict.format(wording.listing(alike, "or" if verdict == _VERDICTS[2] else "and")))
        further = self._cost() if self.parameter.startswith("elmo.") else ""
        return f"Best on validation tweets: {best}; {', and '.join(said)}.{further}"

    def _cost(self) -> str:
        longer = [
            f"{ratio:.1f} times as long as {one.other.name(self.parameter)}"
            for one in self.contrasts
            if (ratio := one.best.seconds / max(one.other.seconds, 1e-9)) > _LONGER
        ]
        said = f" It takes, for an epoch, {wording.listing(longer)}." if longer else ""
        mixtures = [run.result.mixture for level in self.levels for run in level.runs if run.result.mixture]
        if self.parameter in ("elmo.model", "elmo.layers") and mixtures:
            shares = [fmean(of_layer) for of_layer in zip(*mixtures, strict=True)]
            listed = [f"{wording.percent(one)} % {name}" for one, name in zip(shares, _LAYERS, strict=False)]
            said += f" Nets learn to mix {wording.listing(listed)}."
        return said


def settings(findings: Findings) -> Question:
    """A card for each setting that a grid varies with a handful of values; searches have a question of their own."""
    found = [
        (grid, effects)
        for grid in findings.study.grids
        if not is_search(grid) and (effects := grid_effects(grid, findings.answers))
    ]
    parameters: dict[str, bool] = {}
    for effect in (one for _, effects in found for one in effects):
        parameters[effect.parameter] = bool(effect.contrasts) or parameters.get(effect.parameter, False)
    known = [name for name in ASKED if name in parameters]
    others = [name for name, is_compared in parameters.items() if is_compared and name not in ASKED]
    cards = [_card(name, found) for name in [*known, *others]]
    numbers: list[Block] = [_table(grid, effects) for grid, effects in found]
    return Question(cards, numbers, [_METHOD] if cards else [])


def grid_effects(grid: Grid, answers: Answers) -> list[Effect]:
    """The effects of all settings on nets, then those on the linear baseline."""
    return effects_of(grid.completed, answers) + effects_of(grid.completed, answers, "baseline")


def effects_of(runs: Runs, answers: Answers, model: ModelChoice = "network") -> list[Effect]:
    """The effect of settings that vary among `runs` on one model; those on random numbers are left out.

    The number of labels has a question of its own.
    """
    runs = comparable(runs)
    names = [name for name in varying(runs) if name != TRAIN_ROWS]
    if model == "baseline":
        names = [name for name in names if name.startswith(_OF_THE_BASELINE)]
    found = [
        Effect(name, model, labels, levels, [])
        for labels, alike in _by_labels(runs)
        for name in names
        if 1 < len(levels := _levels(alike, name, model, answers)) <= _MOST_VALUES
    ]
    matched = [
        (effect, best, other, both)
        for effect in found
        for best in [max(effect.levels, key=lambda level: (level.only_label is None, level.validation_f1))]
        for other in effect.levels
        if other is not best
        if (both := matched_runs([*best.runs, *other.runs], effect.parameter, best.value, other.value))
    ]
    spreads = {labels: spread_between(seeds_together(alike)) for labels, alike in _by_labels(runs)}
    pairs = (
        answers.pair([one for one, _ in both], [one for _, one in both], spreads[effect.labels], model)
        for effect, _, _, both in matched
    )
    scores = compared(pairs, sum(math.comb(len(effect.levels), 2) for effect in found))
    for (effect, best, other, both), score in zip(matched, scores, strict=True):
        many = (sum(len(one) for one, _ in both), sum(len(one) for _, one in both))
        effect.contrasts.append(Contrast(best, other, many, score))
    return found


def _by_labels(runs: Runs) -> list[tuple[int | None, Runs]]:
    """Runs by their number of labels, the fewest first; all as one where that does not vary."""
    groups: dict[int | None, Runs] = defaultdict(list)
    for run in sorted(runs, key=lambda run: run.config.data.train_rows or math.inf):
        groups[run.config.data.train_rows].append(run)
    return [*groups.items()] if len(groups) > 1 else [(None, runs)]


def _levels(runs: Runs, parameter: str, model: ModelChoice, answers: Answers) -> list[Level]:
    groups: dict[Any, Runs] = defaultdict(list)
    for run in runs:
        if not parameter.startswith(unused(run)):
            groups[run.settings.get(parameter)].append(run)
    return [
        Level(
            value=value,
            runs=of,
            validation_f1=fmean(run.measured("validation", model).f1 for run in of),
            accuracy=fmean(run.measured("test", model).accuracy for run in of),
            seconds=fmean(run.result.seconds_trained / run.result.epochs for run in of),
            only_label=answers.only_label(of) if model == "network" else None,
        )
        for value, of in sorted(groups.items(), key=lambda one: _order(one[0]))
    ]


def _order(value: Any) -> tuple[int, float, str]:
    is_number = isinstance(value, int | float)
    return (0 if value is None else 1 if is_number else 2, float(value) if is_number else 0.0, str(value))


def _card(parameter: str, found: Sequence[tuple[Grid, list[Effect]]]) -> Card:
    effects = [(grid, one) for grid, effects in found for one in effects if one.parameter == parameter]
    content: list[Block] = [
        Text(joined([emphasis(f"{', '.join(filter(None, [grid.name, one.context]))}:"), one.sentence]))
        for grid, one in effects
    ]
    gaps = [one.score for _, effect in effects for one in effect.contrasts if one.score and one.score.is_shown]
    content += map(Text, wording.of_these_models(gaps))
    several = len({grid.name for grid, one in effects if one.contrasts}) > 1
    lines: list[Line] = []
    for grid, effect in effects:
        where = ", ".join(filter(None, [grid.name if several else "", effect.context]))
        colour = charts.ORANGE if effect.model == "baseline" else charts.BLUE
        for one in effect.contrasts:
            name = f"{one.best.name(parameter)} \u2212 {one.other.name(parameter)}{f' ({where})' if where else ''}"
            lines += [(name, one.score, colour)] if one.score else []
    if lines:
        content.append(_figure(parameter, lines))
    title = f"{wording.capital(wording.parameter_name(parameter))}: which value?"
    return Card(ASKED.get(parameter, title), content)


def _figure(parameter: str, lines: list[Line]) -> Figure:
    title = "points of test accuracy; right of zero the first is better"
    axis = ValueAxis(title, marks_zero=True, is_half=len(lines) <= _FEW)
    tweets = " to ".join(dict.fromkeys(f"{of(one.n for _, one, _ in lines):,}" for of in (min, max)))
    alt = f"Differences by {wording.parameter_name(parameter)}"
    return interval_figure(f"question-{parameter}", alt, f"n = {tweets} test tweets.", lines, axis)


def _table(grid: Grid, effects: list[Effect]) -> Table:
    caption = (
        f"Grid {grid.name}: each value against the one that is best on validation tweets, over runs that differ in "
        "nothing else but their seeds."
    )
    if number := sum(run.is_random for run in grid.completed):
        caption += f" Left out: {wording.plural(number, 'run')} on [{RANDOM_MARK}] for ELMo's weights."
    columns = [
        column("Setting", "parameter"),
        *([column("Of", "of")] if any(effect.context for effect in effects) else []),
        column("Value", "value"),
        column("Runs", "runs", "count"),
        column("Test accuracy, %", "accuracy", "percent"),
        column("Best \u2212 this, points", "behind", "points"),
        column("Runs compared", "compared"),
        column("Adjusted p", "q", "p"),
        column("Per epoch", "seconds", "duration"),
    ]
    rows = [_row(effect, level) for effect in effects for level in effect.levels]
    return Table(f"effects-{grid.name}", caption, columns, rows)


def _row(effect: Effect, level: Level) -> dict[str, Any]:
    row: dict[str, Any] = {
        "parameter": wording.parameter_name(effect.parameter),
        "of": effect.context or "nets",
        "value": level.name(effect.parameter),
        "runs": len(level.runs),
        "accuracy": level.accuracy,
        "seconds": level.seconds,
    }
    if contrast := next((one for one in effect.contrasts if one.other is level), None):
        row["compared"] = " and ".join(map(str, contrast.runs))
        if gap := contrast.score:
            row |= with_bounds("behind", gap) | {"tweets": gap.n, "p": gap.p, "q": gap.q}
    return row
