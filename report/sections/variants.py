"""RNN variants: what cell, direction, depth, width and regularisation do; and how the best run learned."""

from report.analysis.findings import BestRun, Findings
from report.analysis.grids import Kind
from report.render import wording
from report.render.blocks import Block, Heading, ReportSection
from report.render.charts.curves import full_curves
from report.sections.grids import curve_blocks, drawn_curve, grid_blocks
from report.sections.names import configuration_name


def variants(findings: Findings) -> ReportSection:
    """Every grid that varies the net or its training, then the best run's learning curves in full."""
    content: list[Block] = []
    for found in findings.grids:
        if found.kind is Kind.VARIANTS:
            content += [*grid_blocks(found), *curve_blocks(found)]
    if findings.best:
        content += _best_curve(findings.best)
    return ReportSection("RNN variants", content)


def _best_curve(best: BestRun) -> list[Block]:
    if best.curve is None:
        return []
    run, name = best.run, configuration_name(best.configuration)
    caption = (
        f"{name}, seed {run.config.seed} (run {run.run_id}): all metrics on training and validation tweets after each "
        f"epoch, n = {run.result.metrics['validation'].n:,} validation tweets; circle: the epoch whose weights are "
        f"kept, {run.result.best_epoch} of {wording.plural(len(best.curve.epochs), 'epoch')}."
    )
    figure = full_curves("curves-best", "Learning curves of the best run", caption, drawn_curve(name, best.curve))
    return [Heading("How the best run learned"), figure]
