"""Cross-validation: the runs of all folds of one configuration become one, tested once on each tweet of the data."""

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import replace

import numpy as np

from report import statistics
from report.read import CompletedRun, Study, read_scores
from sentiment.errors import RunDirError
from sentiment.runs.records import Metrics, Overfit, Part, Result


def with_folds_pooled(study: Study) -> Study:
    """The study in which each configuration that has all folds counts as one run in place of one a fold.

    Where a fold is missing, or its predictions cannot be read, the runs stay as they are, each on test tweets of its
    own.
    """
    *grids, single = (replace(grid, completed=pool_folds(grid.completed)) for grid in (*study.grids, study.single))
    return replace(study, grids=grids, single=single)


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
    results = [run.result for run in runs]
    positives = [int(scores.labels.sum()) for run in runs if (scores := read_scores(run, "test"))]
    times = ("seconds_per_epoch", "checkpoint_seconds")
    update: dict[str, object] = {name: float(np.mean([getattr(one, name) for one in results])) for name in times}
    update |= {"seconds_trained": sum(one.seconds_trained for one in results)}
    update |= {"overfit": _overfit([one.overfit for one in results])}
    for name in ("metrics", "baseline", "combination", "lexicon"):
        folds: list[dict[Part, Metrics]] = [getattr(result, name) for result in results]
        scores_of_all = {part: _mean([fold[part] for fold in folds]) for part in folds[0]}
        update[name] = scores_of_all | {"test": _together([fold["test"] for fold in folds], positives)}
    return results[0].model_copy(update=update)


def _together(folds: list[Metrics], positives: list[int]) -> Metrics:
    n = sum(fold.n for fold in folds)
    right = sum(round(fold.accuracy * fold.n) for fold in folds)
    hits = sum(round(fold.recall * number) for fold, number in zip(folds, positives, strict=True))
    missed = sum(positives) - hits
    false_alarms = n - right - missed
    accuracy = statistics.wilson(right, n)
    precision, recall = hits / max(hits + false_alarms, 1), hits / max(sum(positives), 1)
    return Metrics(
        n=n,
        loss=float(np.average([fold.loss for fold in folds], weights=[fold.n for fold in folds])),
        accuracy=accuracy.value,
        accuracy_low=accuracy.low or 0.0,
        accuracy_high=accuracy.high or 0.0,
        precision=precision,
        recall=recall,
        f1=2 * hits / max(2 * hits + missed + false_alarms, 1),
    )


def _mean(folds: list[Metrics]) -> Metrics:
    """Of parts of which folds share tweets: the mean over the folds, with the number of tweets of the first."""
    values = {name: float(np.mean([getattr(fold, name) for fold in folds])) for name in Metrics.model_fields}
    return Metrics.model_validate(values | {"n": folds[0].n})


def _overfit(folds: list[Overfit]) -> Overfit:
    names = ("train_accuracy", "validation_accuracy", "gap")
    means = {name: float(np.mean([getattr(fold, name) for fold in folds])) for name in names}
    most = sum(fold.overfits for fold in folds) * 2 > len(folds)
    return folds[0].model_copy(update=means | {"overfits": most})
