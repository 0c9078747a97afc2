"""The task of modelling language: a tweet's words from those before and after them, and perplexities."""

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch

from sentiment.config import RunConfig
from sentiment.data.batches import EVALUATION_TOKENS, Rows
from sentiment.data.corpus.corpus import Corpus
from sentiment.data.word_vectors.training_text import TrainingText
from sentiment.elmo.language_model import DirectedBatches, DirectedText, DirectedTweets, LanguageModel
from sentiment.errors import DataError
from sentiment.models.evaluation import evaluation_mode
from sentiment.pretrained_runs import perplexity
from sentiment.training.loop.task import Evaluation, StepLoss

# What is predicted besides words: both marks, and any word that is too rare.
_SPECIAL = 3
_MARKS, _UNKNOWN = (0, 1), 2
_LARGEST_SHARE = 10
# The logits of all predicted words are there at once.
_MOST_TOKENS = EVALUATION_TOKENS // 4


@dataclass(frozen=True)
class LanguageText:
    """What a language model learns from, and what its perplexity is measured on."""

    text: TrainingText
    rows: Rows
    """Tweets to learn from."""
    held_out: Rows
    """Others, of the corpus' training part."""
    words: npt.NDArray[np.int64]
    """(types,): the number of each in the vocabulary that is predicted; the most frequent ones come first."""

    @classmethod
    def split(cls, text: TrainingText, corpus: Corpus, config: RunConfig) -> "LanguageText":
        """Hold some training tweets out, and count the words of the others.

        Raises:
            DataError: too little is left.
        """
        settings = config.pretraining
        if settings is None:
            raise ValueError("the configuration asks for no language model")
        lengths = np.diff(text.offsets)
        # The corpus' own tweets come first; of other text it is not known how alike it is.
        own = len(corpus.rows("train"))
        order = np.random.default_rng(settings.seed).permutation(np.flatnonzero(lengths[:own]))
        held_out = np.sort(order[: min(settings.held_out, len(order) // _LARGEST_SHARE)])
        rows = np.setdiff1d(np.flatnonzero(lengths), held_out)
        counts = np.bincount(text.token_ids[_within(rows, lengths)], minlength=len(text.types))
        frequent = [number for number in range(len(text.types)) if counts[number] >= settings.min_count]
        if not len(held_out) or not frequent:
            raise DataError(
                f"{corpus.path}: {len(order):,} training tweets are too few for a language model: a tenth of them is "
                f"held out, and a token has to occur {settings.min_count:,} times in the others (pretraining.min_count)"
            )
        frequent.sort(key=lambda number: (-counts[number], text.types[number]))
        words = np.full(len(text.types), _UNKNOWN, np.int64)
        kept = frequent[: settings.max_words - _SPECIAL]
        words[kept] = np.arange(len(kept)) + _SPECIAL
        return cls(text, rows, held_out, words)

    @property
    def vocabulary(self) -> int:
        """How many words are predicted, with both marks and the unknown one."""
        return max(int(self.words.max()), _UNKNOWN) + 1

    @property
    def tokens(self) -> int:
        """That an epoch reads."""
        return int(np.diff(self.text.offsets)[self.rows].sum())

    @property
    def unknown(self) -> float:
        """The share of the held-out tweets' tokens that are predicted as unknown."""
        lengths = np.diff(self.text.offsets)
        return float((self.words[self.text.token_ids[_within(self.held_out, lengths)]] == _UNKNOWN).mean())


def _within(rows: Rows, lengths: npt.NDArray[np.int64]) -> npt.NDArray[np.bool_]:
    """(tokens,): whether they belong to one of the tweets."""
    chosen = np.zeros(len(lengths), bool)
    chosen[rows] = True
    within: npt.NDArray[np.bool_] = np.repeat(chosen, lengths)
    return within


@dataclass(frozen=True)
class HeldOutLoss:
    """Mean negative logarithms of the probabilities of words, in nats; perplexities are e to the power of them."""

    words: int
    forward: float
    backward: float

    @property
    def loss(self) -> float:
        """The mean of both."""
        return (self.forward + self.backward) / 2


class LanguageTask:
    """A language model and the text that it is trained on."""

    section = "pretraining"

    def __init__(self, config: RunConfig, model: LanguageModel, text: LanguageText, device: torch.device) -> None:
        """Args: model: on the device."""
        self.model = model
        self.text = text
        self.device = device
        self._config = config
        self._tweets = DirectedTweets(
            text.text.types, text.text.token_ids, text.text.offsets, text.words, _MARKS, device
        )
        self._epochs = 0

    def batches(self, epoch: int) -> DirectedBatches:
        """See `Task`."""
        self._epochs = epoch
        return self._tweets.epoch(self.text.rows, self._config.training.batch_size, self._config.seed, epoch)

    def loss(self, batch: DirectedText) -> StepLoss:
        """See `Task`."""
        return StepLoss(self.model(batch).mean)

    def evaluate(self, check: Callable[[], None]) -> Evaluation:
        """See `Task`; called at the end of the epoch that `batches` gave last."""
        found = self.measure(check)
        if not math.isfinite(found.loss):
            raise FloatingPointError("the perplexity of the held-out tweets is not a number")
        tokens = self.text.tokens * (self._epochs + 1)
        row = {"n": found.words, "loss": found.loss, "forward": found.forward, "backward": found.backward}
        forward, backward = perplexity(found.forward), perplexity(found.backward)
        summary = (
            f"{tokens:,} tokens read   perplexity of held-out tweets {forward:.1f} forward, {backward:.1f} backward"
        )
        return Evaluation({"tokens": tokens, "held_out": row}, found, summary)

    def measure(self, check: Callable[[], None] = lambda: None) -> HeldOutLoss:
        """How surprising the held-out tweets are, in both directions.

        Args:
            check: called between batches.
        """
        words, forward, backward = 0, 0.0, 0.0
        with evaluation_mode(self.model):
            for batch in self._tweets.in_order_of_length(self.text.held_out, _MOST_TOKENS):
                check()
                surprise = self.model(batch)
                words += len(surprise.forward)
                forward += surprise.forward.double().sum().item()
                backward += surprise.backward.double().sum().item()
        return HeldOutLoss(words, forward / words, backward / words)
