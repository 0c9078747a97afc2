"""The study's questions as it asked them, each a sentence with an interval from the grids that ran."""

from collections.abc import Sequence
from dataclasses import dataclass

from report.analysis.findings import Findings
from report.analysis.grids import GridFindings
from report.analysis.questions.effects import Effect
from report.render import wording
from report.render.blocks import Block, Bullets, Card, Figure, Fold, ReportSection, Text
from report.render.charts.intervals import Line, ValueAxis, interval_figure
from report.render.markdown import emphasis, joined
from report.sections.grids.attention import speed_sentences
from report.sections.grids.labels import label_sentence
from report.sections.grids.rungs import spent_sentence
from report.sections.grids.search import direction_sentence, search_sentence
from report.sections.grids.settings import contrast_name, effect_sentence, effects_table, left_out
from report.sections.names import RANDOM_MARK
from report.sections.remarks import METHODS
from report.statistics import Difference

# A forest plot with so many lines shares its row.
_FEW = 2


@dataclass(frozen=True)
class Question:
    """One question of the study."""

    asked: str
    parameters: tuple[str, ...]
    """The settings whose effects answer it, by dotted name."""


QUESTIONS = (
    Question("GRU or LSTM?", ("model.cell",)),
    Question("How wide?", ("model.hidden_size",)),
    Question("One direction or two?", ("model.bidirectional",)),
    Question("One layer or two?", ("model.layers",)),
    Question("Does dropout help?", ("model.dropout", "embedding.dropout")),
    Question("Does tighter gradient clipping help?", ("training.clip",)),
    Question("Which learning rate?", ("training.learning_rate",)),
    Question("Last state, mean and maximum, or self-attention?", ("model.pooling",)),
    Question("Small ELMo or 5.5B?", ("elmo.model",)),
    Question("Which of ELMo\u2019s layers?", ("elmo.layers",)),
    Question("What do stop words matter?", ("data.text.stop_words",)),
)
FASTER = "Does self-attention learn faster, and overfit more?"
LABELS = "What is a label worth?"
SEARCH = "What does a search find, and what does it cost?"


def questions(findings: Findings) -> ReportSection:
    """A card for each question that runs answer, and all comparisons at the end."""
    cards: list[Block] = []
    known = {parameter for one in QUESTIONS for parameter in one.parameters}
    for one in QUESTIONS:
        if blocks := _answers(findings.grids, one.parameters):
            cards.append(Card(one.asked, blocks))
    for parameter in _others(findings.grids, known):
        asked = f"{wording.capital(wording.parameter_name(parameter))}: which value?"
        cards.append(Card(asked, _answers(findings.grids, (parameter,))))
    for asked, sentences in _further(findings):
        if sentences:
            cards.append(Card(asked, [Text(sentence) for sentence in sentences]))
    if not cards:
        return ReportSection("The questions", [Bullets(_grids(findings.grids))] if findings.grids else [])
    first = Text(joined(["The best value on validation tweets against each other one, on test tweets.", METHODS]))
    tables = _tables(findings.grids)
    return ReportSection("The questions", [first, *cards, Fold("The grids and all comparisons in numbers", tables)])


def _further(findings: Findings) -> list[tuple[str, list[str]]]:
    """Questions that no single parameter answers, each with its sentences."""
    speed = [one for found in findings.grids for one in speed_sentences(found)]
    labels = [label_sentence(curve) for found in findings.grids for curve in found.label_curves]
    search = []
    for found in findings.grids:
        if found.search and found.search.trials:
            search.append(f"{found.grid.name}: {search_sentence(found.search)}")
        if found.halving:
            search.append(f"{found.grid.name}: {spent_sentence(found.halving)}")
    return [(FASTER, speed), (LABELS, labels), (SEARCH, search)]


def _others(grids: Sequence[GridFindings], known: set[str]) -> list[str]:
    """Parameters that the study has not asked about, apart from those that have sections of their own."""
    names = dict.fromkeys(effect.parameter for found in grids for effect in _effects(found) if effect.contrasts)
    return [name for name in names if name not in known]


def _effects(found: GridFindings) -> list[Effect]:
    """Of a grid about labels, the label curves answer."""
    return [] if found.label_curves else found.effects


def _answers(grids: Sequence[GridFindings], parameters: tuple[str, ...]) -> list[Block]:
    """A sentence for each grid that varies one of the parameters, then a forest plot of all differences."""
    sentences: list[object] = []
    lines: list[tuple[str, str, Difference]] = []
    for found in grids:
        for effect in _effects(found):
            if effect.parameter in parameters:
                sentences.append(joined([_where(found), effect_sentence(effect)]))
                lines += [
                    (found.grid.name, contrast_name(effect, one), one.score) for one in effect.contrasts if one.score
                ]
        if found.search:
            said = [direction_sentence(found.search, name) for name in parameters]
            sentences += [joined([_where(found), one]) for one in said if one]
    if not sentences:
        return []
    content: list[Block] = [Text(sentence) for sentence in sentences]
    if not lines:
        return content
    several = len({grid for grid, _, _ in lines}) > 1
    named = [Line(f"{name} ({grid})" if several else name, score) for grid, name, score in lines]
    return [*content, _figure(parameters[0], named)]


def _where(found: GridFindings) -> object:
    return emphasis(f"{found.grid.name}:")


def _figure(parameter: str, lines: list[Line]) -> Figure:
    name = wording.parameter_name(parameter)
    alt = f"Differences by {name}"
    is_half = len(lines) <= _FEW
    axis = ValueAxis("difference of test accuracy (points)", marks_zero=True, is_half=is_half)
    tweets = wording.span([line.estimate.n for line in lines])
    caption = f"Right of zero: the first is more accurate. n = {tweets} test tweets."
    return interval_figure(f"question-{parameter}", alt, caption, lines, axis)


def _grids(grids: Sequence[GridFindings]) -> list[object]:
    """Each grid with the question that it was made for, and how far it is."""
    return [
        joined(
            [
                emphasis(f"{found.grid.name}:"),
                found.grid.plan.description if found.grid.plan else "",
                f"({found.grid.completed_count:,} of {wording.plural(len(found.grid.runs), 'run')} completed)",
            ]
        )
        for found in grids
    ]


def _tables(grids: Sequence[GridFindings]) -> list[Block]:
    content: list[Block] = [Bullets(_grids(grids))]
    for found in grids:
        content += left_out(found.grid)
        if _effects(found):
            content.append(effects_table(found.grid, found.effects))
        elif number := sum(run.is_random for run in found.grid.completed):
            content.append(Text(f"{found.grid.name}: {wording.plural(number, 'run')} on {RANDOM_MARK}."))
    return content
