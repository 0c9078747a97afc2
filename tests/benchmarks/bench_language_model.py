"""How fast the language model is trained: tokens a second and core, against the same model by torch's own gradients.

`make bench BENCH=language_model`. Both are timed in turns in one process by the processor's time, on one thread, with
updates by Adam and dropout, on random tweets of the length of real ones with words as frequent as Zipf says. The plain
way computes each step of an LSTM by single operations, since torch's own LSTM has neither of ELMo's clips, and
multiplies as torch does by itself.
"""

import argparse
import random
import time
from contextlib import ExitStack
from unittest.mock import patch

import numpy as np
import torch

from sentiment.data.batches import Batch
from sentiment.elmo import language_model
from sentiment.elmo.files import GATES, SIZES, Lstm
from sentiment.elmo.language_model import DirectedTweets, LanguageModel
from sentiment.elmo.products import LearnedWeights, Library
from tests.benchmarks.timing import announce

TYPES, TWEETS, MEAN_LENGTH, BATCH = 30_000, 6_000, 15, 128
SPECIAL = 3


def plain_lstm(
    entering: torch.Tensor, recurrent: torch.Tensor, projection: torch.Tensor, options: Lstm, _library: Library
) -> torch.Tensor:
    """As `run_lstm`, in the way in which it is written first."""
    state = entering.new_zeros(entering.shape[1], options.projection_dim)
    cells, states = entering.new_zeros(entering.shape[1], options.dim), []
    for step in entering:
        enter, candidate, keep, leave = (step + state @ recurrent).chunk(GATES, dim=1)
        cells = cells * keep.sigmoid() + enter.sigmoid() * candidate.tanh()
        if options.cell_clip is not None:
            cells = cells.clamp(-options.cell_clip, options.cell_clip)
        state = (leave.sigmoid() * cells.tanh()) @ projection
        if options.proj_clip is not None:
            state = state.clamp(-options.proj_clip, options.proj_clip)
        states.append(state)
    return torch.stack(states)


class PlainWeights(LearnedWeights):
    """As torch multiplies by itself."""

    def times(self, rows: torch.Tensor, bias: torch.Tensor | None = None) -> torch.Tensor:
        product = rows @ self._matrix
        return product if bias is None else product + bias


def random_tweets() -> DirectedTweets:
    """Tweets that nobody wrote."""
    generator, letters = np.random.default_rng(0), random.Random(0)
    lengths = np.clip(generator.poisson(MEAN_LENGTH, TWEETS), 3, 35)
    token_ids = generator.zipf(1.2, lengths.sum()) % TYPES
    types = ["".join(letters.choices("etaoinshrdlu", k=letters.randint(2, 9))) + str(n % 7) for n in range(TYPES)]
    offsets = np.concatenate([[0], np.cumsum(lengths)])
    return DirectedTweets(types, token_ids, offsets, np.arange(TYPES) + SPECIAL, (0, 1), torch.device("cpu"))


class Way:
    """One way to train, and the processor's time that it took so far."""

    def __init__(self, size: str, plain: bool) -> None:
        torch.manual_seed(0)
        self.model = LanguageModel(SIZES[size], TYPES + SPECIAL, 0.1)
        self._optimizer = torch.optim.Adam(self.model.trainable_parameters(), 1e-3, fused=True)
        self._plain = plain
        self.tokens, self.seconds = 0, 0.0

    def step(self, tweets: DirectedTweets, batch: Batch) -> None:
        """Train on a batch."""
        start = time.process_time()
        text = tweets.directed(batch)
        with ExitStack() as stack:
            if self._plain:
                stack.enter_context(patch.object(language_model, "run_lstm", plain_lstm))
                stack.enter_context(patch.object(language_model, "LearnedWeights", PlainWeights))
            forward, backward = self.model(text)
            self._optimizer.zero_grad()
            (forward.mean() + backward.mean()).backward()
        torch.nn.utils.clip_grad_norm_(self.model.trainable_parameters(), 1.0)
        self._optimizer.step()
        self.seconds += time.process_time() - start
        self.tokens += int(text.inside[1:].sum())


def main() -> None:
    """Train in both ways by turns."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--size", default="tweet", choices=SIZES)
    parser.add_argument("--steps", type=int, default=10)
    options = parser.parse_args()
    torch.set_num_threads(1)
    announce(f"language model of size {options.size}")
    tweets, ways = random_tweets(), [Way(options.size, plain) for plain in (False, True)]
    batches = tweets.store.epoch(np.arange(TWEETS), BATCH, 1, 0)
    for number in range(options.steps + 1):
        for way in ways:
            way.step(tweets, batches[number])
            if not number:  # what happens only once
                way.tokens, way.seconds = 0, 0.0
    ours, plain = (way.tokens / way.seconds for way in ways)
    print(f"  products by {ways[0].model.library}, batches of {BATCH} tweets")
    print(f"  {ours:,.0f} tokens a second and core: {ours / plain:.2f} times as fast as single operations")
    print(f"  {plain:,.0f} by single operations")


if __name__ == "__main__":
    main()
