"""RNN variants: what cell, direction, depth, width and regularisation do; and how runs learn."""

from report.analysis.datasets import Dataset
from report.analysis.grid_kind import Kind, kind_of
from report.read.curves import read_curves
from report.read.load import Study
from report.render import wording
from report.render.blocks import Block, Heading, ReportSection
from report.render.charts.curves import full_curves
from report.sections.answer import best_configuration
from report.sections.grids import curve_blocks, grid_blocks


def variants(study: Study, found: list[Dataset]) -> ReportSection:
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
    return ReportSection("RNN variants", content)
