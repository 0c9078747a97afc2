"""The models that a run offers: its network, its linear baseline, the mean of both, and the mean over seeds."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np

from sentiment.config import RunConfig
from sentiment.data.text.token_rows import TokenRows
from sentiment.data.text.tokenizer import Tokenizer
from sentiment.errors import RunDirError, UsageError
from sentiment.files import fingerprint
from sentiment.inference.text_model import Prediction, Reading, TextModel
from sentiment.models.baseline.lexicon import lexicon_scores
from sentiment.models.baseline.linear_model import LinearModel
from sentiment.records import BASELINE, BOTH, LEXICON, NETWORK, Recommendation
from sentiment.run_dir import RunDir
from sentiment.whole_run import check_file, read_whole

Choice = Recommendation | Literal["seeds"]
CHOICES: tuple[Choice, ...] = ("network", "baseline", "both", "seeds")


class _WithoutAttention:
    """What classifies one text as it does several, without weights of tokens."""

    sequential = False

    def tokenize(self, text: str) -> list[str]:
        """The words of a text, as it is."""
        return text.split()

    def read(self, texts: Sequence[str]) -> Reading:
        """Classify texts."""
        raise NotImplementedError

    def read_rows(self, rows: TokenRows) -> Reading:
        """Classify texts that are tokenised already."""
        return self.read([" ".join(rows.tokens(row)) for row in range(rows.size)])

    def predict(self, text: str) -> Prediction:
        """Classify one text."""
        (probability,), (usable,) = self.read([text])
        return Prediction([], float(probability), bool(usable), None)


class BaselinePredictor(_WithoutAttention):
    """Classifies texts by the linear baseline of a run."""

    name = BASELINE

    def __init__(self, config: RunConfig, model: LinearModel) -> None:
        self.config = config
        self.model = model
        self._tokenizer = Tokenizer(config.data.text)

    def tokenize(self, text: str) -> list[str]:
        """The tokens that the run's network reads as well."""
        return self._tokenizer(text)

    def read(self, texts: Sequence[str]) -> Reading:
        """Classify texts; one without any known n-gram, of characters too, is not usable."""
        return self.read_rows(TokenRows.of_tweets(map(self.tokenize, texts)))

    def read_rows(self, rows: TokenRows) -> Reading:
        """Classify texts that are tokenised already."""
        return Reading(*self.model.judge(rows))


class LexiconPredictor(_WithoutAttention):
    """Classifies texts by VADER's lexicon, which no run has trained."""

    name = LEXICON

    def __init__(self, config: RunConfig) -> None:
        """Args: config: of the run that it stands beside."""
        self.config = config

    def read(self, texts: Sequence[str]) -> Reading:
        """Classify texts as they are, uncleaned."""
        return Reading(lexicon_scores(texts), np.array([bool(text.strip()) for text in texts], bool))


@dataclass(frozen=True)
class MeanPredictor:
    """The mean of several models' probabilities."""

    name: str
    members: tuple[TextModel, ...]

    @property
    def config(self) -> RunConfig:
        """That of the first member."""
        return self.members[0].config

    @property
    def sequential(self) -> bool:
        """Whether any member is."""
        return any(member.sequential for member in self.members)

    def predict(self, text: str) -> Prediction:
        """Classify one text; the weights of its tokens are those of the first member that has any."""
        said = [member.predict(text) for member in self.members]
        attentive = next((one for one in said if one.attention is not None), said[0])
        probability = float(np.mean([one.probability for one in said]))
        return Prediction(attentive.tokens, probability, any(one.usable for one in said), attentive.attention)

    def tokenize(self, text: str) -> list[str]:
        """The tokens of the first member, whose run cleans as those of the others do."""
        return self.members[0].tokenize(text)

    def read(self, texts: Sequence[str]) -> Reading:
        """Classify texts; usable is what any member knows something of."""
        return self.read_rows(TokenRows.of_tweets(map(self.tokenize, texts)))

    def read_rows(self, rows: TokenRows) -> Reading:
        """Classify texts that are tokenised already."""
        return _mean([member.read_rows(rows) for member in self.members])


def _mean(readings: Sequence[Reading]) -> Reading:
    return Reading(
        np.mean([one.probabilities for one in readings], axis=0), np.any([one.usable for one in readings], axis=0)
    )


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
        return MeanPredictor(BOTH, (load_network(run_dir), load_baseline(run_dir)))
    seeds = seeds_of(run_dir)
    return MeanPredictor(mean_of_seeds(seeds), tuple(load_network(seed) for seed in seeds))


def load_network(run_dir: RunDir) -> TextModel:
    """The network of a run; of a combination the mean of its members' networks.

    Raises:
        SentimentError: as `load_predictor`; or a member is missing, or was trained anew.
    """
    from sentiment.inference.predictor import load_predictor  # loads torch

    run = read_whole(run_dir)
    if run.config.combination is None:
        return load_predictor(run_dir)
    members = [RunDir(run_dir.results.runs / place) for place in run.config.combination.members]
    found = []
    for member in members:
        if (result := read_whole(member).result) is None:
            raise RunDirError(f"{member.path}: belongs to the combination {run_dir.path}, but is not completed")
        found.append(result.weights_sha256)
    if run.result and run.result.weights_sha256 != weights_of_members(found):
        raise RunDirError(f"{run_dir.path}: was combined of other runs than its members are now; combine them again")
    return MeanPredictor(NETWORK, tuple(load_predictor(member) for member in members))


def weights_of_members(weights_sha256: Sequence[str]) -> str:
    """The SHA-256 that stands for the weights of a combination, from those of its members."""
    return fingerprint(list(weights_sha256))


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
    models: list[TextModel] = [network]
    if choice in ("baseline", "both") or run_dir.completed:
        baseline = load_baseline(run_dir)
        models += [baseline, MeanPredictor(BOTH, (network, baseline))]
    if choice == "seeds":
        models.append(load_model(run_dir, "seeds"))
    return [*models, LexiconPredictor(network.config)]


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
    return BaselinePredictor(run.config, LinearModel.read(run_dir.baseline_file))


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
