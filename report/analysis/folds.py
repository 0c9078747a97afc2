"""Cross-validation: the runs of all folds of one configuration become one, tested once on each tweet of the data."""

from collections import defaultdict
from collections.abc import Callable, Iterable
from dataclasses import replace

import numpy as np
import numpy.typing as npt

from report import statistics
from report.read.load import CompletedRun, Study
from report.read.predictions import Scores, read_scores
from sentiment.errors import RunDirError
from sentiment.records import Metrics, Overfit, Part, Result


def with_folds_pooled(study: Study) -> Study:
    """The study in which each configuration that has all folds counts as one run in place of one a fold.

    Where a fold is missing, or its predictions cannot be read, the runs stay as they are, each on test tweets of its
    own.
    """
    grids = [replace(grid, completed=pool_folds(grid.completed)) for grid in study.grids]
    return replace(study, grids=grids, completed_singles=pool_folds(study.completed_singles))


def pool_folds(runs: Iterable[CompletedRun]) -> list[CompletedRun]:
    """Completed runs, those of all folds of a configuration as one, at the place of the first of them."""
    groups: dict[str, list[CompletedRun]] = defaultdict(list)
    for run in runs:
        groups[run.run_id if run.config.data.folds is None else _without_fold(run).config.fingerprint()].append(run)
    return [one for group in groups.values() for one in (_pooled(group) or group)]


def _without_fold(run: CompletedRun) -> CompletedRun:
    data = run.config.data.model_copy(update={"fold": None})
    parameters = {name: value for name, value in run.parameters.items() if name != "data.fold"}
    return replace(run, config=run.config.model_copy(update={"data": data}), parameters=parameters)


def _pooled(runs: list[CompletedRun]) -> list[CompletedRun] | None:
    """The one run that stands for those of all folds; None if they are not complete."""
    number = runs[0].config.data.folds
    if number is None or sorted(run.config.data.fold or 0 for run in runs) != [*range(1, number + 1)]:
        return None
    runs = sorted(runs, key=lambda run: run.config.data.fold or 0)
    try:
        result = _result(runs)
    except RunDirError:  # told where the runs are compared one by one
        return None
    return [replace(_without_fold(runs[0]), result=result, folds=tuple(runs))]


def _result(runs: list[CompletedRun]) -> Result:
    """The result of the first fold with the scores and times of all.

    Raises:
        RunDirError: predictions cannot be read.
    """
    results = [run.result for run in runs]
    scores = [one for run in runs if (one := read_scores(run, "test"))]
    pick: dict[str, Callable[[Scores], npt.NDArray[np.float64]]] = {
        "metrics": lambda one: one.model,
        "baseline": lambda one: one.baseline,
        "combination": lambda one: one.combined,
    }
    measured = {}
    for name, probabilities in pick.items():
        folds: list[dict[Part, Metrics]] = [getattr(result, name) for result in results]
        measured[name] = {part: _mean([fold[part] for fold in folds]) for part in folds[0]}
        measured[name]["test"] = _measured([fold["test"] for fold in folds], scores, probabilities)
    times = ("seconds_per_epoch", "checkpoint_seconds")
    update: dict[str, object] = {name: float(np.mean([getattr(one, name) for one in results])) for name in times}
    update |= measured | {"seconds_trained": sum(one.seconds_trained for one in results)}
    update |= {"overfit": _overfit([one.overfit for one in results])}
    return results[0].model_copy(update=update)


def _measured(
    folds: list[Metrics], scores: list[Scores], probabilities: Callable[[Scores], npt.NDArray[np.float64]]
) -> Metrics:
    """Scores on the test tweets of all folds together."""
    labels = np.concatenate([one.labels for one in scores])
    right = np.concatenate([one.right(probabilities(one)) for one in scores])
    said_positive = labels == right
    hits = int((labels & right).sum())
    accuracy = statistics.wilson(int(right.sum()), len(right))
    precision, recall = hits / max(int(said_positive.sum()), 1), hits / max(int(labels.sum()), 1)
    return Metrics(
        n=len(right),
        loss=float(np.average([fold.loss for fold in folds], weights=[fold.n for fold in folds])),
        accuracy=accuracy.value,
        accuracy_low=accuracy.low or 0.0,
        accuracy_high=accuracy.high or 0.0,
        precision=precision,
        recall=recall,
        f1=2 * precision * recall / (precision + recall) if hits else 0.0,
    )


def _mean(folds: list[Metrics]) -> Metrics:
    """Of parts of which folds share tweets: the mean over the folds, with the number of tweets of the first."""
    values = {name: float(np.mean([getattr(fold, name) for fold in folds])) for name in Metrics.model_fields}
    return Metrics.model_validate(values | {"n": folds[0].n})


def _overfit(folds: list[Overfit]) -> Overfit:
    """Whether most folds overfit, and their mean gap."""
    names = ("train_accuracy", "validation_accuracy", "gap")
    means = {name: float(np.mean([getattr(fold, name) for fold in folds])) for name in names}
    most = sum(fold.overfits for fold in folds) * 2 > len(folds)
    return folds[0].model_copy(update=means | {"overfits": most})
