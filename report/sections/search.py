"""Random search."""

from report import wording
from report.load import Grid


def search_sentence(grid: Grid) -> str:
    """TODO"""
    return wording.plural(len(grid.finished), "trial")
