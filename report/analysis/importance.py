"""Which parameters of a random search matter: fANOVA by optuna, with the spread over resampled trials."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from report.analysis.statistics import Estimate
from report.render.charts.parallel import is_logarithmic

# Below it a forest over a handful of parameters says more of chance than of them.
ENOUGH_TRIALS = 30
_RESAMPLES = 20
_TREES = 24


def importances(settings: Sequence[dict[str, Any]], scores: Sequence[float]) -> dict[str, Estimate]:
    """Share of the variance of `scores` that each parameter explains, the most important first.

    The bounds are the middle 90 % over trials drawn anew with replacement; they show how far few trials carry.
    """
    rng = np.random.default_rng(0)
    whole = _fanova(settings, scores)
    drawn = []
    for _ in range(_RESAMPLES):
        chosen = rng.integers(len(scores), size=len(scores))
        drawn.append(_fanova([settings[number] for number in chosen], [scores[number] for number in chosen]))
    found = {}
    for name in sorted(whole, key=lambda name: -whole[name]):
        low, high = np.quantile([one.get(name, 0.0) for one in drawn], (0.05, 0.95))
        found[name] = Estimate(whole[name], float(low), float(high), len(scores))
    return found


def _fanova(settings: Sequence[dict[str, Any]], scores: Sequence[float]) -> dict[str, float]:
    import optuna
    from optuna.importance import FanovaImportanceEvaluator, get_param_importances

    optuna.logging.set_verbosity(optuna.logging.WARNING)
    distributions = {name: _distribution([one[name] for one in settings]) for name in settings[0]}
    study = optuna.create_study(direction="maximize")
    study.add_trials(
        [
            optuna.trial.create_trial(params=dict(one), distributions=distributions, value=score)
            for one, score in zip(settings, scores, strict=True)
        ]
    )
    evaluator = FanovaImportanceEvaluator(n_trees=_TREES, seed=0)
    return {name: float(share) for name, share in get_param_importances(study, evaluator=evaluator).items()}


def _distribution(values: Sequence[Any]) -> Any:
    from optuna.distributions import CategoricalDistribution, FloatDistribution

    if any(isinstance(value, bool) or not isinstance(value, int | float) for value in values):
        return CategoricalDistribution(list(dict.fromkeys(values)))
    return FloatDistribution(min(values), max(values), log=is_logarithmic(values))
