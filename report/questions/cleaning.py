"""Does cleaning matter to the linear baseline too: what it does to nets is the effect of a setting like any other."""

from dataclasses import dataclass
from itertools import combinations
from typing import Any

from report.compare.answers import Answers, compared
from report.compare.findings import Findings
from report.compare.matching import comparable, matched_runs, varied
from report.questions.question import Question
from report.read.load import Grid
from report.render import drawing, wording
from report.render.blocks import Bullets, Card, Figure
from report.render.charts.intervals import Line, ValueAxis, interval_figure
from report.statistics import Difference

STOP_WORDS = "data.text.stop_words"


@dataclass(frozen=True)
class CleaningGap:
    """The linear baseline under one way of cleaning less that under another."""

    first: Any
    second: Any
    """Values of `data.text.stop_words`."""
    gap: Difference
    """Test accuracy, on the tweets that both have; corrected for all pairs of the grid."""

    @property
    def name(self) -> str:
        """`stop words kept - all stop words removed`."""
        return " \u2212 ".join(wording.setting(STOP_WORDS, one) for one in (self.first, self.second))

    @property
    def sentence(self) -> str:
        """In words, with its uncertainty."""
        verdict = "" if self.gap.is_shown else ": not shown to differ"
        return f"{self.name}, on the n = {self.gap.n:,} test tweets that both have: {wording.claim(self.gap)}{verdict}."


def cleaning(findings: Findings) -> Question:
    """A card for each grid that varies which stop words are removed."""
    cards: list[Card] = []
    for grid in findings.study.grids:
        if gaps := baseline_gaps(grid, findings.answers):
            sentences = Bullets([one.sentence for one in gaps])
            cards.append(Card("Do stop words matter to the linear baseline too?", [sentences, _figure(grid, gaps)]))
    return Question(cards)


def baseline_gaps(grid: Grid, answers: Answers) -> list[CleaningGap]:
    """All pairs of ways to treat stop words; those whose tweets can't be matched are left out."""
    if STOP_WORDS not in varied(grid):
        return []
    runs = answers.readable(comparable(grid.completed))
    values = dict.fromkeys(run.settings[STOP_WORDS] for run in runs)
    found = [(pair, matched_runs(runs, STOP_WORDS, *pair)) for pair in combinations(values, 2)]
    both = [(pair, matched[0]) for pair, matched in found if matched]  # one net of each is enough
    sides = (([[one.first[0]]], [[one.second[0]]]) for _, one in both)
    gaps = compared(answers.pair(*side, None, "baseline") for side in sides)
    return [CleaningGap(*pair, gap) for (pair, _), gap in zip(both, gaps, strict=True) if gap]


def _figure(grid: Grid, gaps: list[CleaningGap]) -> Figure:
    tweets = wording.span([one.gap.n for one in gaps])
    caption = f"Grid {grid.name}, the linear baseline. Right of zero: better with the first. n = {tweets} test tweets."
    lines = [Line(one.name, one.gap, drawing.ORANGE) for one in gaps]
    axis = ValueAxis("difference of test accuracy (points)", marks_zero=True)
    return interval_figure(f"cleaning-{grid.name}", "The baseline by cleaning", caption, lines, axis)
