"""The models of a trained run, in its directory or in a file of `export`: all are made in one way, and asked alike."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from sentiment.config import RunConfig
from sentiment.errors import RunDirError, UsageError
from sentiment.inference.stored import StoredRun
from sentiment.models.baseline import BaselineModel, LinearModel
from sentiment.models.lexicon import LexiconModel
from sentiment.models.text_model import MeanModel, TextModel
from sentiment.runs.records import BOTH, Recommendation
from sentiment.runs.run_dir import RunDir, check_file, read_whole

if TYPE_CHECKING:
    import torch

    from sentiment.data.vocabulary import Vocabulary
    from sentiment.models.network import NetworkModel

Choice = Recommendation | Literal["seeds"]
CHOICES: tuple[Choice, ...] = ("network", "baseline", "both", "seeds")


def stored_run(run_dir: RunDir) -> StoredRun:
    """A run in its directory, which need not be completed.

    Raises:
        RunDirError: its records are damaged, or not all of one run.
    """
    run = read_whole(run_dir)

    def network() -> "tuple[Vocabulary, dict[str, Any]]":
        from sentiment.inference.network import read_network  # loads torch

        return read_network(run_dir)

    def baseline() -> LinearModel:
        if run.result is None:
            raise UsageError(f"{run_dir.path}: is not completed yet, and its baseline is saved at the end")
        check_file(run_dir.baseline_file, run.result)
        return LinearModel.load(run_dir.baseline_file)

    encoder = run.record.encoder if run.record else None
    return StoredRun(str(run_dir.path), run.config, run.result, encoder, run_dir.results, network, baseline, run_dir)


def load_model(run: StoredRun | RunDir, choice: Choice | None = None) -> TextModel:
    """A model of a run.

    Args:
        choice: which; None takes what the run recommends.

    Raises:
        UsageError: the run has no such model.
        SentimentError: what is stored is missing or damaged, or does not belong together.
    """
    run = stored_run(run) if isinstance(run, RunDir) else run
    choice = choice or run.recommended
    if choice == "seeds":
        seeds = seeds_of(run)
        return MeanModel(mean_of_seeds(seeds), [load_model(seed, "network") for seed in seeds])
    if choice == "both":
        members = [load_model(run, one) for one in ("network", "baseline")]
        return MeanModel(BOTH, members, run.temperature("both"))
    if choice == "baseline":
        return BaselineModel(run.config, run.baseline(), run.temperature("baseline"))
    return _assembled(run)


def load_network(run_dir: RunDir, device: "torch.device | None" = None) -> "NetworkModel":
    """The network with the weights of a run's best epoch so far.

    Args:
        device: that computes; None is a GPU where there is one, else the CPU.

    Raises:
        SentimentError: as `load_model`.
    """
    return _assembled(stored_run(run_dir), device)


def _assembled(run: StoredRun, device: "torch.device | None" = None) -> "NetworkModel":
    from sentiment.inference.network import assemble  # loads torch

    return assemble(run, device)


def models_beside(run: StoredRun, choice: Choice) -> list[TextModel]:
    """What a run is measured with, in the order of tables: network, baseline, their mean, that of seeds if it is
    chosen, and the lexicon; of an unfinished run the first and the last.

    Raises:
        SentimentError: as `load_model`.
    """
    network, lexicon = load_model(run, "network"), LexiconModel(run.config)
    if choice == "network" and run.result is None:
        return [network, lexicon]
    baseline = load_model(run, "baseline")
    both = MeanModel(BOTH, [network, baseline], run.temperature("both"))
    return [network, baseline, both, *([load_model(run, "seeds")] if choice == "seeds" else []), lexicon]


def mean_of_seeds(seeds: Sequence[RunDir]) -> str:
    """What the mean over seeds is called."""
    return f"mean of {len(seeds)} seeds"


def seeds_of(run: StoredRun) -> list[RunDir]:
    """The completed runs in the same folder that differ from a run by nothing but the seed; it is among them.

    Raises:
        UsageError: there is no other one.
    """
    if run.run_dir is None:
        raise UsageError(f"{run.place}: holds one run, and no other seeds; valid are network, baseline and both")
    found, question = [], _without_seed(run.config)
    pattern = f"{run.config.title.rpartition('-s')[0]}-s*/config.json"
    for file in sorted(Path(run.run_dir.path).resolve().parent.glob(pattern)):
        other = RunDir(file.parent)
        try:
            if other.completed and _without_seed(other.read_config()) == question:
                found.append(other)
        except RunDirError:  # which is told where it is asked for
            continue
    if len(found) < 2:
        raise UsageError(f"{run.place}: no other seed of its configuration is completed in its folder")
    return found


def _without_seed(config: RunConfig) -> str:
    return config.model_copy(update={"seed": 0}).canonical().fingerprint()
