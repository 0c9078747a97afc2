"""Language models that were or are trained here: their directories, and what stands in them, read without torch."""

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import NamedTuple

from sentiment.errors import RunDirError
from sentiment.files import FolderEntry, as_json
from sentiment.runs.records import Count, FileRecord, Record
from sentiment.runs.run_dir import Results, RunDir, read_record
from sentiment.runs.state import COMPLETED, RunState, judge, read_progress

# Logarithms of perplexities beyond this are those of a model that says nothing.
_LARGEST_LOSS = 100.0


class TextCount(Record):
    """What became of the tweets of one unlabelled file.

    Attributes:
        held_out: left out since the validation or a test part has the same tweet, or another one of the author.
        repeated: left out since the training part or an earlier line has it.
        refused: not readable, or without any token.
    """

    read: Count
    used: Count
    held_out: Count
    repeated: Count
    refused: Count

    def render(self) -> str:
        """For a terminal."""
        return (
            f"{self.used:,} of {self.read:,} tweets, without {self.held_out:,} of validation or test or of their "
            f"authors, {self.repeated:,} repeated and {self.refused:,} empty ones"
        )


class PretrainedCard(FileRecord):
    """`card.json`: what a language model was trained on and how good it is; written last.

    Attributes:
        fingerprint: SHA-256 of all that decides its weights; the folder is named after it.
        files_fingerprint: that of the model's files, as runs record it (`ModelFiles.fingerprint`).
        training_tweets: of the corpus' training part, with those that perplexities were measured on.
        unlabelled: by the path of each further file.
        init: the model whose weights it began with; None: random ones.
        words: that are predicted, with both marks and the unknown one.
        unknown: share of the held-out tweets' words that are predicted as unknown, which makes perplexities lower.
        parameters: without those that only predict words, which are not kept.
        tokens: that an epoch reads.
        forward, backward: perplexity of the held-out tweets, for each word and the mark at the end.
    """

    model: str
    fingerprint: str
    files_fingerprint: str
    source: str
    training_tweets: Count
    held_out_tweets: Count
    unlabelled: dict[str, TextCount]
    init: str | None
    words: Count
    unknown: float
    parameters: Count
    tokens: Count
    epochs: Count
    best_epoch: Count
    steps: Count
    forward: float
    backward: float
    seconds_trained: float

    def render_lines(self) -> list[str]:
        """For a terminal."""
        return [
            f"{self.model}: {self.parameters:,} weights, {self.tokens * self.best_epoch:,} tokens read in "
            f"{self.best_epoch} epochs",
            f"  perplexity of {self.held_out_tweets:,} training tweets that were held out: {self.forward:.1f} forward, "
            f"{self.backward:.1f} backward (vocabulary {self.words:,}, {100 * self.unknown:.1f} % unknown)",
            f"  {self.training_tweets:,} training tweets of {self.source}: their text alone",
            *(f"  {path}: {count.render()}" for path, count in self.unlabelled.items()),
        ]


@dataclass(frozen=True)
class PretrainedDir(RunDir):
    """The directory of a language model: that of a run, whose outcome are the two files of an ELMo model.

    Attributes:
        card_file: written last: the model is complete if and only if it exists.
    """

    options_file = FolderEntry("options.json")
    weights_file = FolderEntry("weights.hdf5")
    card_file = FolderEntry("card.json")

    @property
    def completed(self) -> bool:
        """Whether the model is complete."""
        return self.card_file.exists()

    def read_card(self) -> PretrainedCard | None:
        """The card; None unless the model is complete."""
        return read_record(self.card_file, PretrainedCard)

    def write_card(self, card: PretrainedCard) -> None:
        """Complete the model."""
        self.write(self.card_file, as_json(card.model_dump(mode="json")))


class PerplexityPoint(NamedTuple):
    """What an epoch's evaluation found; tokens are all that were read so far."""

    epoch: int
    tokens: int
    forward: float
    backward: float


def read_points(run_dir: RunDir) -> list[PerplexityPoint]:
    """The perplexities of all epochs so far.

    Raises:
        RunDirError: the metric log is not that of a language model.
    """
    rows, _ = run_dir.read_epochs()
    try:
        losses = [(row["epoch"], int(row["tokens"]), row["held_out"]) for row in rows]
        return [
            PerplexityPoint(epoch, tokens, perplexity(loss["forward"]), perplexity(loss["backward"]))
            for epoch, tokens, loss in losses
        ]
    except (KeyError, TypeError, ValueError) as error:
        raise RunDirError(f"{run_dir.metrics_file}: is not the log of a language model: {error}") from None


def pretrained_dirs(results: Results) -> Iterator[PretrainedDir]:
    """All directories of language models, in the order of their names."""
    return (PretrainedDir(file.parent) for file in sorted(results.pretrained.glob("*/config.json")))


class OwnModel(NamedTuple):
    """A language model, complete or not; its state is what its directory says."""

    name: str
    state: RunState
    attempts: int
    step: int | None
    points: list[PerplexityPoint]


def read_own_models(results: Results) -> tuple[list[OwnModel], list[str]]:
    """All language models that can be read, and a line for each that cannot."""
    found, problems = [], []
    for run_dir in pretrained_dirs(results):
        try:
            card, points = run_dir.read_card(), read_points(run_dir)
        except RunDirError as error:
            problems.append(" ".join(str(error).split()))
            continue
        progress = read_progress(run_dir)
        state = RunState(COMPLETED) if card else judge(progress)
        step = card.steps if card else progress.step
        found.append(OwnModel(run_dir.path.name, state, progress.attempts, step, points))
    return found, problems


def perplexity(loss: float) -> float:
    """e to the power of a mean negative logarithm of probabilities, in nats; of a model that has run away a very large
    number."""
    return math.exp(min(loss, _LARGEST_LOSS))
