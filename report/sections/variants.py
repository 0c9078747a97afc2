"""RNN variants: what cell, direction, depth, width and regularisation do; and how runs learn."""

from report import wording
from report.blocks import Block, Heading, Section
from report.curves import read_curves
from report.datasets import Dataset
from report.figures.curves import full_curves
from report.load import Study
from report.sections.answer import best_configuration
from report.sections.grids import curve_blocks, grid_blocks
from report.sections.kinds import Kind, kind_of


def variants(study: Study, found: list[Dataset]) -> Section:
    """Every grid that varies the net or its training, with learning curves; the best run's in full."""
    content: list[Block] = []
    for grid in study.grids:
        if grid.plan and kind_of(grid) is Kind.VARIANTS:
            content += [*grid_blocks(grid), *curve_blocks(grid, study)]
    best = best_configuration(found[0]) if found else None
    curves = read_curves(best.chosen, best.name, study.problems) if best else None
    if best and curves:
        caption = (
            f"{best.name}, seed {best.chosen.config.seed} (run {best.chosen.run_id}): all metrics on training and "
            f"validation tweets after each epoch, n = {best.chosen.result.metrics['validation'].n:,} validation "
            f"tweets; circle: the epoch whose weights are kept, {curves.best_epoch} of "
            f"{wording.plural(len(curves.epochs), 'epoch')}."
        )
        content.append(Heading("How the best run learned"))
        content.append(full_curves("curves-best", "Learning curves of the best run", caption, curves))
    return Section("RNN variants", content)
