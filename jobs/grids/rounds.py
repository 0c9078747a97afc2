"""Batched Bayesian optimisation (`method: bayes`): the results of earlier rounds suggest the trials of the next one.

The first round is drawn like a random search. For each later round an Optuna study is rebuilt in memory from the
finished trials, and its TPE sampler, seeded per round, suggests new ones. Suggestions depend only on files on disk: no
database and no long-running process is needed. A planned round never changes, whatever becomes of its trials.
"""

import warnings
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from jobs.grids.expand import effective
from jobs.grids.sweep_file import Choices, Parameter
from sentiment.config import RunConfig
from sentiment.config_file import read_yaml, resolve
from sentiment.runs.records import GridPlan, PlannedRun, Rounds
from sentiment.runs.run_dir import Results
from sentiment.runs.state import read_progress

# Suggestions that repeat existing runs are skipped; after this many for each trial the round stays smaller.
_SUGGESTIONS_PER_TRIAL = 20


def plan_next_round(plan: GridPlan, results: Results) -> tuple[GridPlan, list[RunConfig]] | None:
    """The plan with the next round, and the configurations of its trials, if all planned trials have ended.

    Trials that failed are left out. Nothing is written: the caller must hold the grid's lock to write the plan.

    Returns:
        None if a trial is unfinished, no trial has a result, all rounds are planned, or no new run was suggested.
    """
    rounds = plan.rounds
    run_dirs = [results.run_dir(run.run_id, plan.name) for run in plan.runs]
    ended = all(run_dir.completed or run_dir.own_failure() for run_dir in run_dirs)
    if rounds is None or not ended or len(plan.runs) >= rounds.rounds * rounds.per_round:
        return None
    scores = [read_progress(run_dir, plan).score if run_dir.completed else None for run_dir in run_dirs]
    if all(score is None for score in scores):
        return None
    base_values = read_yaml(Path(plan.base))
    runs = [*plan.runs]
    configs: list[RunConfig] = []
    for parameters in _suggestions(plan, rounds, scores):
        config = resolve(base_values, parameters, plan.base)
        if all(config.run_id != run.run_id for run in runs):
            run = PlannedRun(index=len(runs), run_id=config.run_id, parameters=effective(parameters, config))
            runs.append(run)
            configs.append(config)
        if len(configs) == rounds.per_round:
            break
    return (plan.model_copy(update={"runs": runs}), configs) if configs else None


def _suggestions(plan: GridPlan, rounds: Rounds, scores: list[float | None]) -> Iterator[dict[str, Any]]:
    """The parameters of one trial after another; the sampler avoids its pending suggestions (constant liar)."""
    import optuna

    optuna.logging.set_verbosity(optuna.logging.WARNING)
    space = {name: Parameter.model_validate(parameter).choices for name, parameter in sorted(rounds.space.items())}
    distributions = {name: _distribution(choices) for name, choices in space.items()}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
        sampler = optuna.samplers.TPESampler(
            seed=rounds.seed + len(plan.runs), n_startup_trials=rounds.per_round, constant_liar=True
        )
    study = optuna.create_study(direction=plan.goal, sampler=sampler)
    for run, score in zip(plan.runs, scores, strict=True):
        if score is not None:
            params = {name: _to_optuna(choices, run.parameters, name) for name, choices in space.items()}
            study.add_trial(optuna.trial.create_trial(params=params, distributions=distributions, value=score))
    for _ in range(_SUGGESTIONS_PER_TRIAL * rounds.per_round):
        trial = study.ask(distributions)
        suggested = {}
        for name, choices in space.items():
            value = trial.params[name]
            suggested[name] = value if choices.values else choices.quantile(float(value))
        yield suggested


def _distribution(choices: Choices) -> Any:
    from optuna.distributions import CategoricalDistribution, FloatDistribution

    if choices.values:
        return CategoricalDistribution(list(choices.values))
    return FloatDistribution(0, 1)


def _to_optuna(choices: Choices, parameters: Mapping[str, Any], name: str) -> Any:
    """Optuna's value of a run's parameter; a parameter without effect in the run gets a default."""
    if choices.values:
        return parameters.get(name, choices.values[0])
    return choices.cdf(float(parameters[name])) if name in parameters else 0.5
