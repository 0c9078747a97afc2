"""Searches in rounds (`method: bayes`): each round's trials are suggested from the results of the rounds before.

The first round is drawn like a random search. For a later one an Optuna study is built in memory from all finished
trials, and its sampler (TPE, with a seed of the round's own) asked for new ones. Suggestions are thus a function of
what is on disk: there is no server, no journal, and nothing that lives as long as the search. A round that is planned
is never planned anew, whatever becomes of its trials later.
"""

import warnings
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from jobs.grids.expand import effective
from jobs.grids.sweep_file import Choices, Distribution, Parameter
from sentiment.config import RunConfig
from sentiment.config_file import read_yaml, resolve
from sentiment.runs.records import GridPlan, PlannedRun, Rounds
from sentiment.runs.run_dir import Results
from sentiment.runs.state import read_progress

# A suggestion may be a run that there is already: after so many for each trial of a round it has fewer trials.
_TRIES = 20
# Quantiles end before 0 and 1, where those of a normal distribution are infinite.
_EDGE = 1e-4


def grow(plan: GridPlan, results: Results) -> tuple[GridPlan, list[RunConfig]] | None:
    """Plan the next round if all planned trials have ended; the plan with it, and the configurations of its trials.

    Trials that failed are left out. Nothing is written: the caller must hold the grid's lock to write the plan.

    Returns:
        None if a trial has still to end, none has a result, all rounds are planned, or nothing new is suggested.
    """
    rounds = plan.rounds
    run_dirs = [results.run_dir(run.run_id, plan.name) for run in plan.runs]
    ended = all(run_dir.completed or run_dir.own_failure() for run_dir in run_dirs)
    if rounds is None or not ended or len(plan.runs) >= rounds.rounds * rounds.per_round:
        return None
    scores = [read_progress(one, plan).score if one.completed else None for one in run_dirs]
    if all(score is None for score in scores):
        return None
    values, known = read_yaml(Path(plan.base)), {run.run_id for run in plan.runs}
    new: list[tuple[PlannedRun, RunConfig]] = []
    for parameters in _suggestions(plan, rounds, scores):
        config = resolve(values, parameters, plan.base)
        if config.run_id not in known:
            known.add(config.run_id)
            index = len(plan.runs) + len(new)
            used = effective(parameters, config)
            new.append((PlannedRun(index=index, run_id=config.run_id, parameters=used), config))
        if len(new) == rounds.per_round:
            break
    if not new:
        return None
    return plan.model_copy(update={"runs": [*plan.runs, *(run for run, _ in new)]}), [config for _, config in new]


def write_space(space: Mapping[str, Choices]) -> dict[str, Any]:
    return {
        name: choices.as_parameter() if isinstance(choices, Distribution) else {"values": list(choices)}
        for name, choices in space.items()
    }


def _read_space(parameters: Mapping[str, Any]) -> dict[str, Choices]:
    flat = (Parameter.model_validate(parameter).flatten(name) for name, parameter in sorted(parameters.items()))
    return {name: choices for one in flat for name, choices in one.items()}


def _suggestions(plan: GridPlan, rounds: Rounds, scores: list[float | None]) -> Iterator[dict[str, Any]]:
    """Parameters of one trial after another; the sampler knows those that it has suggested, and avoids them."""
    import optuna

    optuna.logging.set_verbosity(optuna.logging.WARNING)
    space = _read_space(rounds.space)
    distributions = {name: _distribution(choices) for name, choices in space.items()}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
        sampler = optuna.samplers.TPESampler(
            seed=rounds.seed + len(plan.runs), n_startup_trials=rounds.per_round, constant_liar=True
        )
    study = optuna.create_study(direction=plan.goal, sampler=sampler)
    for run, score in zip(plan.runs, scores, strict=True):
        if score is not None:
            asked = {name: _asked(choices, run.parameters, name) for name, choices in space.items()}
            study.add_trial(optuna.trial.create_trial(params=asked, distributions=distributions, value=score))
    for _ in range(_TRIES * rounds.per_round):
        trial = study.ask(distributions)
        yield {name: _value(choices, trial.params[name]) for name, choices in space.items()}


def _distribution(choices: Choices) -> Any:
    from optuna.distributions import CategoricalDistribution, FloatDistribution

    if isinstance(choices, Distribution) and not choices.values:
        return FloatDistribution(_EDGE, 1 - _EDGE)
    return CategoricalDistribution(_listed(choices))


def _listed(choices: Choices) -> list[Any]:
    return list(choices.values if isinstance(choices, Distribution) else choices)


def _asked(choices: Choices, parameters: Mapping[str, Any], name: str) -> Any:
    """What the sampler would have been asked for to suggest these parameters; those without effect are left out."""
    if not isinstance(choices, Distribution) or choices.values:
        return parameters.get(name, _listed(choices)[0])
    share = choices.share(float(parameters[name])) if name in parameters else 0.5
    return min(max(share, _EDGE), 1 - _EDGE)


def _value(choices: Choices, asked: Any) -> Any:
    return choices.quantile(float(asked)) if isinstance(choices, Distribution) and not choices.values else asked
