"""Which runs overfit, and by how much: a sentence for each grid."""

from report.compare.findings import Findings
from report.read import Grid
from report.render import wording
from report.render.blocks import Bullets, Card, Question, Text


def overfitting(findings: Findings) -> Question:
    """One card about all grids; readers can open the curves of any run."""
    grids = [grid for grid in findings.study.grids if grid.completed]
    if not grids:
        return Question([])
    rules = sorted({run.result.overfit.rule for grid in grids for run in grid.completed})
    said = Text(f"Runs that overfit, which is to say that {'; or '.join(rules)}:")
    return Question([Card("Which overfit?", [said, Bullets([_sentence(grid) for grid in grids])])])


def _sentence(grid: Grid) -> str:
    verdicts = [run.result.overfit for run in grid.completed]
    gaps, number = [one.gap for one in verdicts], sum(one.overfits for one in verdicts)
    return (
        f"{grid.name}: {number:,} of {wording.plural(len(verdicts), 'run')}; gap "
        f"{wording.points(sum(gaps) / len(gaps))} points on average, {wording.points(max(gaps))} at most"
    )
