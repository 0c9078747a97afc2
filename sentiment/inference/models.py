"""A trained model in use: network, baseline, lexicon or the mean of the first two, all asked alike."""

from collections.abc import Sequence
from pathlib import Path
from typing import Literal

from sentiment.config import RunConfig
from sentiment.errors import RunDirError, UsageError
from sentiment.models.baseline import LinearModel
from sentiment.models.text_model import BaselinePredictor, LexiconPredictor, MeanPredictor, TextModel, models_of_a_run
from sentiment.runs.records import BOTH, Recommendation
from sentiment.runs.run_dir import RunDir, check_file, read_whole

Choice = Recommendation | Literal["seeds"]
CHOICES: tuple[Choice, ...] = ("network", "baseline", "both", "seeds")


def load_model(run_dir: RunDir, choice: Choice | None = None) -> TextModel:
    """A model of a run.

    Args:
        choice: which; None takes what the run's result recommends, or the network if it recommends nothing.

    Raises:
        UsageError: the run has no such model.
        SentimentError: as `load_predictor`.
    """
    if choice is None:
        choice = recommended(run_dir)
    if choice == "network":
        return load_network(run_dir)
    if choice == "baseline":
        return load_baseline(run_dir)
    if choice == "both":
        baseline = load_baseline(run_dir)
        return MeanPredictor(BOTH, (load_network(run_dir), baseline), _temperature(run_dir, "both"))
    seeds = seeds_of(run_dir)
    return MeanPredictor(mean_of_seeds(seeds), tuple(load_network(seed) for seed in seeds))


def load_network(run_dir: RunDir) -> TextModel:
    """The network of a run.

    Raises:
        SentimentError: its files are missing or damaged.
    """
    from sentiment.inference import network  # loads torch

    return network.load_predictor(run_dir)


def _temperature(run_dir: RunDir, model: Recommendation) -> float:
    result = read_whole(run_dir).result
    return result.temperatures[model] if result else 1.0


def mean_of_seeds(seeds: Sequence[RunDir]) -> str:
    """What the mean over seeds is called."""
    return f"mean of {len(seeds)} seeds"


def recommended(run_dir: RunDir) -> Recommendation:
    """What of a run is best on validation tweets; its network if the run is not completed."""
    result = read_whole(run_dir).result
    return result.recommended if result else "network"


def models_beside(run_dir: RunDir, choice: Choice) -> list[TextModel]:
    """The chosen model of a run and those that it is compared with, as far as the run has them; each once.

    Raises:
        UsageError: the run has no such model.
        SentimentError: as `load_predictor`.
    """
    network = load_network(run_dir)
    if choice == "network" and not run_dir.completed:
        return [network, LexiconPredictor(network.config)]
    *models, lexicon = models_of_a_run(network, load_baseline(run_dir), _temperature(run_dir, "both"))
    return [*models, *([load_model(run_dir, "seeds")] if choice == "seeds" else []), lexicon]


def load_baseline(run_dir: RunDir) -> BaselinePredictor:
    """The linear baseline that was saved with a run.

    Raises:
        UsageError: the run has none yet.
        RunDirError: it is not the one that belongs to the result, or damaged.
    """
    run = read_whole(run_dir)
    if run.result is None:
        raise UsageError(f"{run_dir.path}: is not completed yet, and its baseline is saved at the end")
    check_file(run_dir.baseline_file, run.result)
    model = LinearModel.read(run_dir.baseline_file)
    return BaselinePredictor(run.config, model, run.result.temperatures["baseline"])


def seeds_of(run_dir: RunDir) -> list[RunDir]:
    """The completed runs in the same folder that differ from a run by nothing but the seed; it is among them.

    Raises:
        UsageError: there is no other one.
    """
    question = _without_seed(run_dir.read_config())
    stem = run_dir.read_config().title.rpartition("-s")[0]
    found = []
    for config_file in sorted(Path(run_dir.path).resolve().parent.glob(f"{stem}-s*/config.json")):
        other = RunDir(config_file.parent)
        try:
            same = other.completed and _without_seed(other.read_config()) == question
        except RunDirError:
            continue
        if same:
            found.append(other)
    if len(found) < 2:
        raise UsageError(f"{run_dir.path}: no other seed of its configuration is completed in {run_dir.path.parent}")
    return found


def _without_seed(config: RunConfig) -> str:
    return config.model_copy(update={"seed": 0}).canonical().fingerprint()
