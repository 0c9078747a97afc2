"""Learning curves as runs log them."""

from collections.abc import Sequence

from report.read.load import CompletedRun
from report.render import wording
from report.render.charts.curves import METRICS, Curves
from sentiment.errors import RunDirError


def read_curves(run: CompletedRun, title: str, problems: list[str]) -> Curves | None:
    """The rows of a run's epochs; None, and a problem more, if they cannot be read."""
    path = run.run_dir.metrics_file
    try:
        epochs = [row for row in run.run_dir.read_metrics() if row["kind"] == "epoch"]
        for row in epochs:
            float(row["epoch"]), *(float(row[part][name]) for part in ("train", "validation") for name in METRICS)
    except (RunDirError, ValueError, KeyError, TypeError) as error:
        problems.append(str(error) if isinstance(error, RunDirError) else f"{path}: is damaged: {error}")
        return None
    if not epochs:
        problems.append(f"{path}: holds no epoch")
        return None
    return Curves(title, epochs, run.result.best_epoch)


def overfitting_sentences(runs: Sequence[CompletedRun], curves: Sequence[Curves]) -> list[str]:
    """How many runs know their training tweets too well, by the rule, and what that looks like."""
    overfit = [run for run in runs if run.result.overfit.overfits]
    rule = runs[0].result.overfit.rule
    gaps = [run.result.overfit.gap for run in runs]
    sentences = [
        f"{len(overfit):,} of {wording.plural(len(runs), 'run')} overfit, which is to say that {rule}; the gap is "
        f"{wording.points(sum(gaps) / len(gaps))} points on average, {wording.points(max(gaps))} at most."
    ]
    rising = [one for one in curves if one.epochs[-1]["validation"]["loss"] > _best_loss(one)]
    if curves:
        sentences.append(
            f"In {len(rising)} of the {len(curves)} drawn, validation loss ends higher than it was at its best, while "
            "training loss goes on falling: from then on what is learned no longer helps with new tweets."
            if rising
            else f"In none of the {len(curves)} drawn does validation loss rise again at the end."
        )
    return sentences


def _best_loss(curves: Curves) -> float:
    return min(float(row["validation"]["loss"]) for row in curves.epochs)
