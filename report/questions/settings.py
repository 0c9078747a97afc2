"""What a setting changes: its best value on validation tweets against every other value, on matched runs.

Each setting that a grid varies has a card and rows in the grid's table: cells and widths, directions, dropout, cleaning
(which affects the linear baseline too), attention and ELMo.
"""

import math
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from statistics import fmean
from typing import Any

from report.compare.answers import Answers
from report.compare.claims import Claim, decided, matched_claim
from report.compare.datasets import group_by_tweets
from report.compare.findings import Findings
from report.compare.matching import Runs, is_search, match, seeds_together, unused, varying
from report.evaluated import only_label
from report.read import Grid
from report.render import wording
from report.render.blocks import Block, Card, Question, columns_of
from report.render.charts import Colour, Figure, ValueAxis, interval_figure, sort_key
from report.sections.names import model_name
from sentiment.blocks.content import Bullets, DataTable, Row, Text, with_bounds
from sentiment.blocks.wording import capital, emphasis, joined, listing, spanned
from sentiment.runs.records import ModelKind, mean_score
from sentiment.statistics import words
from sentiment.statistics.estimate import Estimate
from sentiment.statistics.metrics import Metric
from sentiment.statistics.seeds import SeedSpread, spread_of_gaps

# The name of settings that never vary alone in a grid, as those of several base files, and are compared together.
_TOGETHER = "configuration"
# Titles of the cards of known settings, in the order of the page; other settings are called by their names.
CARD_TITLES = {
    _TOGETHER: "Which of these configurations?",
    "model.cell": "GRU or LSTM?",
    "model.hidden_size": "How many hidden units?",
    "model.bidirectional": "One direction or two?",
    "model.layers": "One layer or two?",
    "model.dropout": "Does dropout help?",
    "embedding.dropout": "Does embedding dropout help?",
    "training.clip": "Does tighter gradient clipping help?",
    "training.learning_rate": "Which learning rate?",
    "model.pooling": "Which pooling: last state, mean and maximum, or self-attention?",
    "elmo.model": "Which ELMo, and is it worth what it costs?",
    "encoder.model": "Does a pretrained encoder help, and which?",
    "encoder.use": "Token vectors, tweet vectors, or a fine-tuned encoder?",
    "elmo.layers": "Which of ELMo\u2019s layers?",
    "data.text.stop_words": "Do stop words matter?",
    "data.train_rows": "Do more labelled tweets help?",
}
_AFFECTS_BASELINE = "data.text."
_MAX_VALUES = 8


@dataclass(frozen=True, eq=False)
class SettingValue:
    """One value of a setting, or of several that are compared together, with means over its runs.

    Attributes:
        name: for display, which no other value of the setting has, with a mark for networks that predict one class.
        validated, score: the mean accuracy or macro recall on validation tweets, and on test tweets.
        seconds: the mean wall time of an epoch.
        only_label: the class that all its networks predict for every validation tweet; None if they predict several.
    """

    name: str
    runs: Runs
    validated: float
    score: float
    seconds: float
    only_label: str | None


# Of each setting that is compared, its value.
_Values = tuple[Any, ...]


@dataclass(frozen=True)
class Effect:
    """The effect of a setting on networks, or on their linear baselines.

    Attributes:
        parameters: its name; several names of settings that never vary alone, and are compared together.
        data: the data set, where the grid has several.
        best: the value that is best on validation tweets; None if no run has a value.
        pairs: of each other value, the readable runs with the best value and with it that differ in nothing else but
            their seeds; without values that have no such runs.
        differences: test score with the best value minus that with another one, on the tweets that all these runs have;
            corrected as `effects_of` says; without those that have no common tweets with predictions.
    """

    parameters: tuple[str, ...]
    model: ModelKind
    data: str
    values: list[SettingValue]
    best: SettingValue | None
    pairs: Mapping[SettingValue, Sequence[tuple[Runs, Runs]]]
    differences: Mapping[SettingValue, Estimate] = field(default_factory=dict)

    @property
    def parameter(self) -> str:
        return self.parameters[0] if len(self.parameters) == 1 else _TOGETHER

    @property
    def context(self) -> str:
        """`the linear baseline, vader`; usually empty."""
        return ", ".join(filter(None, ["the linear baseline" if self.model == "baseline" else "", self.data]))


def settings(findings: Findings) -> Question:
    """A card for each setting that a grid varies with a handful of values; searches have a question of their own."""
    numbers = []
    by_setting: dict[str, list[tuple[Grid, Effect]]] = {name: [] for name in CARD_TITLES}
    for grid in findings.study.grids:
        if not is_search(grid):
            answers = findings.answers.with_metric(grid.metric)
            effects = effects_of(grid.completed, answers) + effects_of(grid.completed, answers, "baseline")
            if effects:
                numbers.append(_table(grid, effects))
            for effect in effects:
                by_setting.setdefault(effect.parameter, []).append((grid, effect))
    cards = []
    for name, of_setting in by_setting.items():
        if any(effect.pairs or name in CARD_TITLES for _, effect in of_setting):
            cards.append(_card(name, of_setting))
    return Question(cards, numbers)


def effects_of(runs: Runs, answers: Answers, model: ModelKind = "network") -> list[Effect]:
    """The effects of the settings that vary among `runs` on one model.

    Everything is estimated from these runs alone, and corrected for these alone: for all pairs of values of all
    settings. Settings that never vary alone, as those of several base files, are compared together, as one setting.
    """
    names = varying(runs)
    if model == "baseline":
        names = [name for name in names if name.startswith(_AFFECTS_BASELINE)]
    effects: list[Effect] = []
    claims: dict[SettingValue, Claim] = {}
    datasets = group_by_tweets(runs)
    for name, group in datasets:
        data = name if len(datasets) > 1 else ""
        alike = seeds_together(group)
        for effect in _effects_on(data, names, model, group, answers):
            effects.append(effect)
            matched = {value: _distinct(pairs, model) for value, pairs in effect.pairs.items()}
            spread = _spread(matched, model, answers.metric)
            for value, pairs in matched.items():
                claims[value] = matched_claim(pairs, alike, model, answers.metric, spread)
    number = sum(math.comb(len(effect.values), 2) for effect in effects)
    differences = decided(claims, answers, number)
    return [replace(effect, differences=differences) for effect in effects]


def _effects_on(data: str, names: Sequence[str], model: ModelKind, runs: Runs, answers: Answers) -> list[Effect]:
    """The effects on the runs of one data set, not decided yet."""
    single = [_effect([name], model, data, runs, answers) for name in names]
    effects = [effect for effect in single if len(effect.values) > 1]
    confounded = [effect.parameter for effect in effects if not effect.pairs]
    if model == "network" and len(confounded) > 1:
        joint_effect = _effect(confounded, model, data, runs, answers)
        if joint_effect.pairs:
            effects = [*(effect for effect in effects if effect.pairs), joint_effect]
    return [effect for effect in effects if len(effect.values) <= _MAX_VALUES]


def _distinct(pairs: Sequence[tuple[Runs, Runs]], model: ModelKind) -> Sequence[tuple[Runs, Runs]]:
    """The pairs of which none repeats another: linear baselines of the same corpora, as of two networks, are one."""
    if model != "baseline":
        return pairs
    by_corpora = {(*firsts[0].corpora, *seconds[0].corpora): (firsts[:1], seconds[:1]) for firsts, seconds in pairs}
    return list(by_corpora.values())


def _spread(
    matched: Mapping[SettingValue, Sequence[tuple[Runs, Runs]]], model: ModelKind, metric: Metric
) -> SeedSpread | None:
    """How the differences to the best value vary between the configurations that have all values."""
    import pandas as pd

    def score(runs: Runs) -> float:
        return mean_score(run.score("test", metric, model) for run in runs)

    gaps = {
        value: {firsts[0].run_id: score(firsts) - score(seconds) for firsts, seconds in pairs}
        for value, pairs in matched.items()
    }
    return spread_of_gaps(pd.DataFrame(gaps).dropna().to_numpy(float))


def _effect(parameters: Sequence[str], model: ModelKind, data: str, runs: Runs, answers: Answers) -> Effect:
    """The effect of settings among some runs, not decided yet."""
    values = _values(runs, parameters, model, answers)
    best = max(values, key=lambda value: (value.only_label is None, value.validated), default=None)
    pairs = {}
    for other in values:
        groups = match(best.runs, other.runs, parameters) if best and other is not best else []
        if groups:
            readable = [(answers.readable(firsts), answers.readable(seconds)) for firsts, seconds in groups]
            pairs[other] = [(firsts, seconds) for firsts, seconds in readable if firsts and seconds]
    return Effect(tuple(parameters), model, data, values, best, pairs)


def _values(runs: Runs, parameters: Sequence[str], model: ModelKind, answers: Answers) -> list[SettingValue]:
    """The values of one setting, or the combinations of several; runs in which a single setting has no effect count for
    none."""
    groups: dict[_Values, Runs] = defaultdict(list)
    for run in runs:
        prefixes = unused(run)
        combination = tuple(None if name.startswith(prefixes) else run.settings.get(name) for name in parameters)
        if len(parameters) > 1 or not parameters[0].startswith(prefixes):
            groups[combination].append(run)
    labels = {values: only_label(group) if model == "network" else None for values, group in groups.items()}
    names = _names(parameters, groups, labels)
    values = []
    for combination in sorted(groups, key=lambda combination: [sort_key(value) for value in combination]):
        group = groups[combination]
        validated = mean_score(run.score("validation", answers.metric, model) for run in group)
        score = mean_score(run.score("test", answers.metric, model) for run in group)
        seconds = fmean(run.seconds_per_epoch for run in group)
        values.append(SettingValue(names[combination], group, validated, score, seconds, labels[combination]))
    return values


def _names(
    parameters: Sequence[str], groups: Mapping[_Values, Runs], labels: Mapping[_Values, str | None]
) -> dict[_Values, str]:
    """The display names of values, with what tells apart those of one architecture."""
    plain = {}
    for values, group in groups.items():
        name = wording.setting(parameters[0], values[0]) if len(parameters) == 1 else model_name(group[0].config)
        plain[values] = f"{name} [always predicts {labels[values]}]" if labels[values] else name
    names = {}
    for values, name in plain.items():
        alike = [other for other, other_name in plain.items() if other_name == name]
        parts = [name]
        for parameter, value, others in zip(parameters, values, zip(*alike, strict=True), strict=True):
            if len({*others}) > 1:
                parts.append(wording.setting(parameter, value))
        names[values] = ", ".join(parts)
    return names


def _card(parameter: str, effects: Sequence[tuple[Grid, Effect]]) -> Card:
    content: list[Block] = []
    for grid, effect in effects:
        context = ", ".join(filter(None, [grid.name, effect.context]))
        content.append(Text(joined([emphasis(f"{context}:"), best_value(effect)])))
        sentences = pair_sentences(effect, grid.metric_name)
        content += [Bullets(sentences)] if sentences else []
    lines = _lines(effects)
    if len(lines) > 1:
        metrics = sorted({grid.metric_name for grid, effect in effects if effect.pairs})
        content.append(_figure(parameter, lines, " or ".join(metrics)))
    return Card(card_title(parameter), content)


def best_value(effect: Effect) -> str:
    """Which value of a setting is the best on validation tweets, or why that says nothing of the setting."""
    if effect.best is None or not effect.pairs:
        setting = capital(wording.parameter_name(effect.parameter))
        return (
            f"{setting}: no two runs differ only in this setting, so its effect cannot be separated from those of "
            "other settings."
        )
    text = f"Best on validation tweets: {effect.best.name}."
    if len(effect.parameters) == 1:
        return text
    names = listing([wording.parameter_name(parameter) for parameter in effect.parameters])
    return f"{text} These configurations differ in {names}, none of which varies alone."


def pair_sentences(effect: Effect, metric_name: str) -> list[str]:
    """A sentence on the best value and each other one with which it can be compared."""
    compared = [(other, effect.differences.get(other)) for other in effect.pairs]
    return [words.pair_sentence("It", other.name, gap, metric_name) for other, gap in compared if gap]


def card_title(parameter: str) -> str:
    """The title of a setting's card."""
    return CARD_TITLES.get(parameter, f"Which {wording.parameter_name(parameter)}?")


# A row of the forest plot: label, difference, colour.
_Line = tuple[str, Estimate, Colour]


def _lines(effects: Sequence[tuple[Grid, Effect]]) -> list[_Line]:
    """A row of the forest plot for each comparison; it names its grid where several are compared."""
    several = len({grid.name for grid, effect in effects if effect.pairs}) > 1
    lines: list[_Line] = []
    for grid, effect in effects:
        context = words.bracketed(", ".join(filter(None, [grid.name if several else "", effect.context])))
        colour: Colour = "orange" if effect.model == "baseline" else "blue"
        for other in effect.pairs:
            if effect.best and other in effect.differences:
                name = f"{effect.best.name} {words.MINUS} {other.name}{context}"
                lines.append((name, effect.differences[other], colour))
    return lines


def _figure(parameter: str, lines: Sequence[_Line], metric: str) -> Figure:
    title = f"difference in test {metric} (points), first minus second"
    axis = ValueAxis(title, marks_zero=True)
    differences = [difference for _, difference, _ in lines]
    alt = f"Test {metric} differences by {wording.parameter_name(parameter)}"
    n = spanned([difference.n for difference in differences])
    level = words.levels(differences)
    caption = f"Bars: {level} % intervals, corrected for all comparisons of the grid; n = {n} test tweets."
    return interval_figure(f"question-{parameter}", alt, caption, lines, axis)


def _table(grid: Grid, effects: list[Effect]) -> DataTable:
    caption = f"Grid {grid.name}: each value is compared with the best one on validation tweets, over matched runs."
    rows = [_row(effect, value, grid.metric) for effect in effects for value in effect.values]
    shown = columns_of("effects", rows, metric=grid.metric, metric_name=grid.metric_name)
    return DataTable(f"effects-{grid.name}", caption, shown, rows)


def _row(effect: Effect, value: SettingValue, metric: Metric) -> Row:
    row: Row = {
        "parameter": wording.parameter_name(effect.parameter),
        "model": effect.context or "networks",
        "value": value.name,
        "runs": len(value.runs),
        metric: value.score,
        "seconds": value.seconds,
    }
    pairs = effect.pairs.get(value)
    if pairs is not None:
        firsts = sum(len(runs) for runs, _ in pairs)
        seconds = sum(len(runs) for _, runs in pairs)
        row["runs_compared"] = f"{firsts} and {seconds}"
    difference = effect.differences.get(value)
    if difference:
        row |= with_bounds("difference_to_best", difference)
        row |= {"tweets": difference.n, "p": difference.p, "adjusted_p": difference.q}
    return row
