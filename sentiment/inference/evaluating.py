"""What `evaluate` shows: a run's models beside its baselines, on its own data or on a labelled file."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import PurePath
from typing import Any

from sentiment.config import RunConfig
from sentiment.config_file import resolve
from sentiment.console import Progress
from sentiment.errors import DataError, UsageError
from sentiment.inference.combined import (
    Choice,
    mean_of_seeds,
    models_beside,
    recommended,
    seeds_of,
)
from sentiment.inference.evaluate_file import FileEvaluation
from sentiment.inference.known_tweets import KnownTweets
from sentiment.inference.scores import NamedScores, own_scores_of_seeds
from sentiment.inference.terminal import check_table, difference_lines, reference_lines, result_table, scores_table
from sentiment.progress_bar import OUT, say
from sentiment.records import BASELINE, BOTH, LEXICON, MODEL_NAMES, NETWORK, THRESHOLD, Metrics, Part
from sentiment.run_dir import Results, RunDir
from sentiment.whole_run import read_whole


def evaluate_on_own(run_dir: RunDir, choice: Choice | None) -> dict[str, Any]:
    """Show the scores of a completed run, and how much its chosen model differs from the others on test tweets.

    Args:
        choice: None takes the model that the result recommends.

    Returns:
        The metrics of the chosen model by part; those of all models in `models`, what was chosen in `chosen`, and how
        many sentences of the check list each model has right by capability in `check_list`.

    Raises:
        UsageError: the run is not completed, or has no such model.
        RunDirError: its files are missing or damaged.
    """
    run = read_whole(run_dir)
    result = run.result
    if result is None:
        raise UsageError(
            f"{run_dir.path}: is not completed yet; with --data FILE its best weights so far are evaluated"
        )
    seeds = seeds_of(run_dir) if choice == "seeds" else [run_dir]
    name = mean_of_seeds(seeds) if choice == "seeds" else MODEL_NAMES[choice or recommended(run_dir)]
    found: dict[str, dict[Part, Metrics]] = {
        NETWORK: result.metrics,
        BASELINE: result.baseline,
        BOTH: result.combination,
        LEXICON: result.lexicon,
    }
    found.setdefault(name, {})
    others = [one for one in seeds if one.path.name != run_dir.path.name]
    own = {part: own_scores_of_seeds([run_dir, *others], part, name) for part in result.parts[1:]}
    remarks = reference_lines(run_dir, result)  # all is read before anything is shown
    OUT.print(result_table(result, name))
    for part, scores in own.items():
        if scores is not None and choice == "seeds":
            found[name][part] = scores.metrics()[name]
            OUT.print(scores_table(part, scores, name))
    if test := own["test"]:
        _say_differences(test, name, run.config)
    OUT.print(check_table(result.check_list, name))
    for line in remarks:
        say(line)
    models = {one: {part: of_part.model_dump() for part, of_part in parts.items()} for one, parts in found.items()}
    return models[name] | {"chosen": name, "models": models, "check_list": result.check_list}


def evaluate_on_file(
    run_dir: RunDir,
    choice: Choice | None,
    parameters: dict[str, Any],
    results: Results,
    progress: Progress,
    threshold: float = THRESHOLD,
) -> dict[str, Any]:
    """Show the scores of a run's models on a labelled file, and how much the chosen one differs from the others.

    Tweets that a model was trained on or chosen by, and others of their authors, are not scored, but counted.

    Args:
        choice: None takes the model that the result recommends.
        parameters: values of the section `data`, by dotted name: the file, and where it differs from the run's table.
        results: where named data sets are found.
        progress: told how many rows are read.
        threshold: from which probability on the models say positive.

    Returns:
        The metrics of the chosen model; those of all models in `models`, what was chosen in `chosen`, the numbers of
        rows that are not scored, by reason, in `left_out`, and in `knows_training` whether it could be told what the
        models were trained on; and the threshold.

    Raises:
        SentimentError: the run has no such model, or the file cannot be used.
    """
    choice = choice or recommended(run_dir)
    models = models_beside(run_dir, choice)
    name = models[-2].name if choice == "seeds" else MODEL_NAMES[choice]
    config = models[0].config
    named = resolve(config.model_dump(), parameters, str(run_dir.config_file))
    known, untold = _known(seeds_of(run_dir) if choice == "seeds" else [run_dir])
    outcome = FileEvaluation(models, name, known).run(named.data, results, progress)
    scores = replace(outcome.scores, threshold=threshold)
    OUT.print(scores_table(PurePath(named.data.source).name, scores, name))
    if threshold != THRESHOLD:
        say(f"  positive from {threshold:g} on; {LEXICON} from {THRESHOLD:g} on")
    for line in [*outcome.render_lines(), *untold]:
        say(f"  {line}")
    _say_differences(scores, name, config)
    metrics = {one: of_model.model_dump() for one, of_model in scores.metrics().items()}
    left_out = {reason: rows.count for reason, rows in outcome.left_out.counted().items()}
    told = {"left_out": left_out, "knows_training": known is not None, "threshold": threshold}
    return metrics[name] | {"chosen": name, "models": metrics} | told


def _known(run_dirs: Sequence[RunDir]) -> tuple[KnownTweets | None, list[str]]:
    """What the models of runs know, and what is to be told if that is not known."""
    try:
        return KnownTweets.of(run_dirs), []
    except DataError as error:
        return None, [f"warning: which of these tweets the model was trained on cannot be told: {error}"]


def _say_differences(scores: NamedScores, name: str, config: RunConfig) -> None:
    for line in [*difference_lines(scores, name), *scores.warnings(config.data.label_names)]:
        say(line)
