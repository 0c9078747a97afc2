"""How the recommended run learned."""

from report.analysis.findings import BestRun, Findings
from report.render.blocks import Block, ReportSection
from report.render.charts.curves import Curves, full_curves
from report.sections.names import configuration_name


def learning(findings: Findings) -> ReportSection:
    """The three curves that matter; readers can overlay those of any other run."""
    return ReportSection("How it learned", _best_curve(findings.best) if findings.best else [])


def _best_curve(best: BestRun) -> list[Block]:
    if best.curve is None:
        return []
    run, name = best.run, configuration_name(best.configuration)
    caption = (
        f"{name}, seed {run.config.seed}, n = 1 run: training and validation tweets after each epoch. Ring: the "
        f"epoch whose weights are kept, {run.result.best_epoch} of {len(best.curve.epochs)}."
    )
    curves = Curves(name, best.curve.epochs, run.result.best_epoch)
    return [full_curves("curves-best", "Learning curves of the recommended run", caption, curves)]
