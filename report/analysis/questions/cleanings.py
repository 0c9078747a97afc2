"""What cleaning does to the linear baseline; what it does to nets is the effect of a setting like any other."""

from dataclasses import dataclass
from itertools import combinations
from typing import Any

from report.analysis.comparison.answers import Answers, compared
from report.analysis.questions.effects import comparable
from report.read.load import Grid
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


def baseline_gaps(grid: Grid, answers: Answers) -> list[CleaningGap]:
    """All pairs of ways to treat stop words; those whose tweets can't be matched are left out."""
    runs = {run.settings.get(STOP_WORDS): run for run in reversed(answers.readable(comparable(grid.completed)))}
    both = list(combinations(reversed(runs), 2))
    gaps = compared(answers.pair([[runs[one]]], [[runs[other]]], None, "baseline") for one, other in both)
    return [CleaningGap(one, other, gap) for (one, other), gap in zip(both, gaps, strict=True) if gap]
