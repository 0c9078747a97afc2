"""How nets learned: the recommended run's curves, which grids overfit, and the curves of their best on demand."""

from report.analysis.findings import BestRun, Findings
from report.render import wording
from report.render.blocks import Block, Bullets, Fold, ReportSection, Text
from report.render.charts.curves import full_curves
from report.sections.grids.settings import curve_figure, drawn_curve, overfitting_sentence
from report.sections.names import configuration_name


def learning(findings: Findings) -> ReportSection:
    """The three curves that matter; further ones folded away, since readers can overlay any they want."""
    content: list[Block] = _best_curve(findings.best) if findings.best else []
    sentences = [one for found in findings.grids if (one := overfitting_sentence(found))]
    if sentences:
        rules = {run.result.overfit.rule for found in findings.grids for run in found.grid.completed}
        content += [Text(f"Runs that overfit, which is to say that {'; or '.join(sorted(rules))}:"), Bullets(sentences)]
    more: list[Block] = [figure for found in findings.grids if (figure := curve_figure(found))]
    if more:
        content.append(Fold(f"Loss curves of the best configurations of {wording.plural(len(more), 'grid')}", more))
    return ReportSection("How they learned", content)


def _best_curve(best: BestRun) -> list[Block]:
    if best.curve is None:
        return []
    run, name = best.run, configuration_name(best.configuration)
    caption = (
        f"{name}, seed {run.config.seed}, n = 1 run: training and validation tweets after each epoch. Ring: the "
        f"epoch whose weights are kept, {run.result.best_epoch} of {len(best.curve.epochs)}."
    )
    return [
        full_curves("curves-best", "Learning curves of the recommended run", caption, drawn_curve(name, best.curve))
    ]
