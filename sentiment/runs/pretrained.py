"""Language models that were or are trained here: their directories, and what stands in them, read without torch."""

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from sentiment.errors import RunDirError
from sentiment.files import FolderEntry, as_json, fingerprint
from sentiment.runs.records import SCHEMA_VERSION, Count, Record, SchemaVersion
from sentiment.runs.run_dir import Results, RunDir, check_log_row, read_record
from sentiment.runs.state import COMPLETED, RunState, judge, read_progress

# Logarithms of perplexities beyond this are those of a model that says nothing.
_LARGEST_LOSS = 100.0


class TextCount(Record):
    """What became of the tweets of one unlabelled file."""

    read: Count
    used: Count
    held_out: Count
    """Left out since the validation or a test part has the same tweet, or another one of the author."""
    repeated: Count
    """Left out since the training part or an earlier line has it."""
    refused: Count
    """Not readable, or without any token."""

    def render(self) -> str:
        """For a terminal."""
        return (
            f"{self.used:,} of {self.read:,} tweets, without {self.held_out:,} of validation or test or of their "
            f"authors, {self.repeated:,} repeated and {self.refused:,} empty ones"
        )


class Perplexity(Record):
    """Of the held-out tweets, for each word and the mark at the end."""

    forward: float
    backward: float


class PretrainedCard(Record):
    """`card.json`: what a language model was trained on and how good it is; written last."""

    schema_version: SchemaVersion = SCHEMA_VERSION
    model: str
    """The value of `elmo.model`."""
    fingerprint: str
    """SHA-256 of all that decides its weights; the folder is named after it."""
    settings: dict[str, Any]
    corpus: str
    """The fingerprint of the corpus whose training part was read, without its labels."""
    source: str
    training_tweets: Count
    """Tweets of that part, with those that perplexities were measured on."""
    held_out_tweets: Count
    unlabelled: dict[str, TextCount]
    """By the path of each further file."""
    unlabelled_sha256: dict[str, str]
    init: str | None
    """The model whose weights it began with; None: random ones."""
    init_fingerprint: str | None
    words: Count
    """That are predicted, with both marks and the unknown one."""
    unknown: float
    """Share of the held-out tweets' words that are predicted as unknown, which makes perplexities lower."""
    parameters: Count
    """Without those that only predict words, which are not kept."""
    tokens: Count
    """That an epoch reads."""
    epochs: Count
    best_epoch: Count
    steps: Count
    perplexity: Perplexity
    seconds_trained: float
    options_sha256: str
    weights_sha256: str

    @property
    def files_fingerprint(self) -> str:
        """That of the model's files, as runs record it (`ModelFiles.fingerprint`)."""
        return fingerprint([self.options_sha256, self.weights_sha256])

    def render_lines(self) -> list[str]:
        """For a terminal."""
        lines = [
            f"{self.model}: {self.parameters:,} weights, {self.tokens * self.best_epoch:,} tokens read in "
            f"{self.best_epoch} epochs",
            f"  perplexity of {self.held_out_tweets:,} training tweets that were held out: "
            f"{self.perplexity.forward:.1f} forward, {self.perplexity.backward:.1f} backward "
            f"(vocabulary {self.words:,}, {100 * self.unknown:.1f} % unknown)",
            f"  {self.training_tweets:,} training tweets of {self.source}: their text alone",
        ]
        lines += [f"  {path}: {count.render()}" for path, count in self.unlabelled.items()]
        return lines


@dataclass(frozen=True)
class PretrainedDir(RunDir):
    """The directory of a language model: that of a run, whose outcome are the two files of an ELMo model."""

    options_file = FolderEntry("options.json")
    """The model's sizes, in the published format."""
    weights_file = FolderEntry("weights.hdf5")
    """Its weights, likewise."""
    card_file = FolderEntry("card.json")
    """Written last: the model is complete if and only if it exists."""

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


@dataclass(frozen=True)
class PerplexityPoint:
    """What an epoch's evaluation found."""

    epoch: int
    tokens: int
    """Read so far, repeated ones as often as they were read."""
    forward: float
    backward: float


def read_points(run_dir: RunDir) -> list[PerplexityPoint]:
    """The perplexities of all epochs so far.

    Raises:
        RunDirError: the metric log is not that of a language model.
    """
    try:
        rows = [check_log_row(row) for row in run_dir.read_metrics() if row.get("kind") == "epoch"]
        return [
            PerplexityPoint(row["epoch"], int(row["tokens"]), *(_measured(row, one) for one in _DIRECTIONS))
            for row in rows
        ]
    except (KeyError, TypeError, ValueError) as error:
        raise RunDirError(f"{run_dir.metrics_file}: is not the log of a language model: {error}") from None


def _measured(row: dict[str, Any], direction: str) -> float:
    if math.isnan(loss := row["held_out"][direction]):
        raise ValueError(f"held_out.{direction} after step {row['step']} is not a number")
    return perplexity(loss)


_DIRECTIONS = ("forward", "backward")


def pretrained_dirs(results: Results) -> Iterator[PretrainedDir]:
    """All directories of language models, in the order of their names."""
    return (PretrainedDir(file.parent) for file in sorted(results.pretrained.glob("*/config.json")))


@dataclass(frozen=True)
class OwnModel:
    """A language model, complete or not."""

    name: str
    """Of its folder."""
    state: RunState
    """As its directory says, whatever a queue knows."""
    attempts: int
    """All lives of the tasks that trained it."""
    step: int | None
    points: list[PerplexityPoint]
    """One for each epoch so far."""
    card: PretrainedCard | None
    """None unless it is complete."""


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
        found.append(OwnModel(run_dir.path.name, state, progress.attempts, step, points, card))
    return found, problems


def perplexity(loss: float) -> float:
    """e to the power of a mean negative logarithm of probabilities; of a model that has run away a very large number.

    Args:
        loss: in nats.
    """
    return math.exp(min(loss, _LARGEST_LOSS))
