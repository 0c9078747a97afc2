"""Which runs overfit: how many of each grid, and the loss curves of its best configurations."""

from report.compare.datasets import configurations_of, group_by_tweets
from report.compare.findings import Findings
from report.compare.matching import is_search
from report.questions.question import Question
from report.read.load import Grid, read_curve, read_each
from report.render import wording
from report.render.blocks import Block, Bullets, Card, Fold, Text
from report.render.charts.lines import Curves, small_multiples
from report.sections.names import configuration_name

_MOST_CURVES = 6


def overfitting(findings: Findings) -> Question:
    """One card about all grids; curves are folded away, since readers can overlay any they want."""
    grids = [grid for grid in findings.study.grids if grid.completed]
    if not grids:
        return Question([])
    rules = {run.result.overfit.rule for grid in grids for run in grid.completed}
    curves, problems = [], []
    for grid in grids:
        if not is_search(grid):
            figure, unread = _curves(grid)
            curves += figure
            problems += unread
    said = Text(f"Runs that overfit, which is to say that {'; or '.join(sorted(rules))}:")
    content: list[Block] = [said, Bullets([_sentence(grid) for grid in grids])]
    if curves:
        title = f"Loss curves of the best configurations of {wording.plural(len(curves), 'grid')}"
        content.append(Fold(title, curves))
    return Question([Card("Which overfit?", content)], problems=problems)


def _sentence(grid: Grid) -> str:
    verdicts = [run.result.overfit for run in grid.completed]
    gaps, number = [one.gap for one in verdicts], sum(one.overfits for one in verdicts)
    return (
        f"{grid.name}: {number:,} of {wording.plural(len(verdicts), 'run')}; gap "
        f"{wording.points(sum(gaps) / len(gaps))} points on average, {wording.points(max(gaps))} at most"
    )


def _curves(grid: Grid) -> tuple[list[Block], list[str]]:
    """Of the best configurations on the tweets that most runs have."""
    best = configurations_of(max(group_by_tweets(grid.completed), key=len))[:_MOST_CURVES]
    found, problems = read_each([one.chosen for one in best], read_curve)
    curves = [
        Curves(f"{configuration_name(one)}, seed {curve.run.config.seed}", curve.epochs, curve.run.result.best_epoch)
        for one in best
        if (curve := found.get(one.chosen.run_id))
    ]
    if not curves:
        return [], problems
    caption = (
        f"Grid {grid.name}: n = {len(curves)} best by validation F1, their best seed. Ring: the epoch that is kept."
    )
    return [small_multiples(f"curves-{grid.name}", f"Loss curves, grid {grid.name}", caption, curves)], problems
