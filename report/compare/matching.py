"""Which runs belong together: all folds of one configuration, seeds alone, one setting and nothing else."""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import Any, TypeVar

import numpy as np

from report import statistics
from report.read import FIELD, Answerer, CompletedRun, Grid, Scores, Study, read_scores
from sentiment.config import ElmoConfig, EncoderConfig
from sentiment.errors import RunDirError
from sentiment.runs.records import THRESHOLD, Metrics, Record, Result

R = TypeVar("R", bound=Record)

# They say which tweets are tested, and with what luck, not what the model is.
_NO_QUESTIONS = {"seed", "data.folds", "data.fold"}
_OF_ELMO = tuple(f"elmo.{name}" for name in ElmoConfig.model_fields if name != "model")
_OF_ENCODER = tuple(f"encoder.{name}" for name in EncoderConfig.model_fields if name != "model")
Runs = list[CompletedRun]


def unused(run: CompletedRun) -> tuple[str, ...]:
    """How the names of settings begin that do nothing in a run."""
    absent = (*(() if run.config.elmo else _OF_ELMO), *(() if run.config.encoder else _OF_ENCODER))
    return (*run.config.unused_fields(), *absent)


def seeds_together(runs: Iterable[CompletedRun]) -> list[Runs]:
    groups: dict[str, Runs] = defaultdict(list)
    for run in runs:
        groups[run.config.model_copy(update={"seed": 0}).fingerprint()].append(run)
    return list(groups.values())


def comparable(runs: Runs) -> Runs:
    """The runs without those whose ELMo vectors are random numbers, unless all are of that kind."""
    return [run for run in runs if not run.is_random] or runs


def varying(runs: Iterable[CompletedRun]) -> list[str]:
    """Names of the settings that differ between runs in which they do something, in the order of the schema."""
    used = [(run.settings, unused(run)) for run in runs]
    names = dict.fromkeys(name for settings, _ in used for name in settings if name not in _NO_QUESTIONS)
    return [name for name in names if len({one.get(name) for one, without in used if not name.startswith(without)}) > 1]


def matched_runs(runs: Sequence[CompletedRun], parameter: str, first: Any, second: Any) -> list[tuple[Runs, Runs]]:
    """The runs with one value of a parameter, and those with another that differ in nothing else but their seeds.

    Settings that do nothing with one of the values can't be equal on both sides: runs that differ in those are taken
    together.
    """
    sides = [[run for run in runs if run.settings.get(parameter) == value] for value in (first, second)]
    ignored = set().union(*(set.intersection(*({*unused(run)} for run in side)) for side in sides if side))
    firsts, seconds = (_by_others(side, parameter, ignored) for side in sides)
    return [(of_first, seconds[others]) for others, of_first in firsts.items() if others in seconds]


def _by_others(runs: Runs, parameter: str, ignored: set[str]) -> dict[Any, Runs]:
    """Runs by their other settings but the seed, without those that are ignored or do nothing in a run."""
    found: dict[Any, Runs] = defaultdict(list)
    for run in runs:
        without = (*ignored, *unused(run))
        others = [one for one in run.settings.items() if one[0] not in (parameter, "seed")]
        found[frozenset(one for one in others if not one[0].startswith(without))].append(run)
    return found


def is_search(grid: Grid) -> bool:
    """Whether its runs are trials of a search, which differ in everything at once."""
    return grid.plan is not None and (grid.plan.method in ("random", "bayes") or bool(grid.rungs))


def with_folds_pooled(study: Study) -> Study:
    """The study in which each configuration that has all folds counts as one run in place of one a fold.

    That run was tested once on each tweet of the data. Where a fold is missing, or its predictions cannot be read, the
    runs stay as they are, each on test tweets of its own.
    """
    *grids, single = (replace(grid, completed=pool_folds(grid.completed)) for grid in (*study.grids, study.single))
    return replace(study, grids=grids, single=single)


def pool_folds(runs: Iterable[CompletedRun]) -> Runs:
    """Completed runs, those of all folds of a configuration as one, at the place of the first of them."""
    groups: dict[str, Runs] = defaultdict(list)
    for run in runs:
        groups[run.run_id if run.config.data.folds is None else _without_fold(run).config.fingerprint()].append(run)
    return [one for group in groups.values() for one in _pooled(group)]


def _without_fold(run: CompletedRun) -> CompletedRun:
    data = run.config.data.model_copy(update={"fold": None})
    parameters = {name: value for name, value in run.parameters.items() if name != "data.fold"}
    return replace(run, config=run.config.model_copy(update={"data": data}), parameters=parameters)


def _pooled(runs: Runs) -> Runs:
    """The one run that stands for those of all folds; the runs themselves if they are not complete."""
    number = runs[0].config.data.folds
    if number is None or sorted(run.config.data.fold or 0 for run in runs) != [*range(1, number + 1)]:
        return runs
    folds = sorted(runs, key=lambda run: run.config.data.fold or 0)
    whole = replace(_without_fold(folds[0]), folds=tuple(folds))
    try:
        scores = read_scores(whole, "test")
    except RunDirError:  # told where the runs are compared one by one
        return runs
    return [replace(whole, result=_result(folds, scores))] if scores else runs


def _result(folds: Runs, scores: Scores) -> Result:
    """Means over the folds, but for the test part, of which each tweet was tested once."""
    results = [run.result for run in folds]
    update: dict[str, object] = {
        name: {part: _mean([run.measured(part, model) for run in folds]) for part in results[0].parts}
        | {"test": _measured(scores, model)}
        for model, name in FIELD.items()
    }
    most = sum(one.overfit.overfits for one in results) * 2 > len(results)
    update["overfit"] = _mean([one.overfit for one in results]).model_copy(update={"overfits": most})
    update["seconds_trained"] = sum(one.seconds_trained for one in results)
    return _mean(results).model_copy(update=update)


def _mean(records: Sequence[R]) -> R:
    """The first with the mean of each number that is no count."""
    numbers = [name for name, value in records[0] if isinstance(value, float)]
    means = {name: float(np.mean([getattr(one, name) for one in records])) for name in numbers}
    return records[0].model_copy(update=means)


def _measured(scores: Scores, model: Answerer) -> Metrics:
    from sklearn.metrics import log_loss, precision_recall_fscore_support

    said = scores.said[model]
    right = statistics.wilson(int(scores.right(model).sum()), len(said))
    precision, recall, f1, _ = precision_recall_fscore_support(
        scores.labels, said >= THRESHOLD, average="binary", zero_division=0
    )
    found = {"accuracy": right.value, "accuracy_low": right.low, "accuracy_high": right.high}
    found |= {"precision": float(precision), "recall": float(recall), "f1": float(f1)}
    return Metrics.model_validate(found | {"n": len(said), "loss": float(log_loss(scores.labels, said, labels=[0, 1]))})
