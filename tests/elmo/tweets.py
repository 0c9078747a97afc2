"""Models and tokens that the tests of ELMo share."""

import random
from dataclasses import dataclass
from pathlib import Path

import torch
from hypothesis import strategies as st

from sentiment.elmo.encoder import ElmoEncoder, Precision
from sentiment.elmo.files import read_options, read_weights
from sentiment.elmo.lstm import StateMode
from sentiment.elmo.products import Library

SHARED_FIXTURES = Path(__file__).parents[3] / "shared" / "elmo_fixtures"

ODD_TOKENS = [
    "",
    "a",
    "I",
    "#ELMo",
    "Café",
    "e\u0301",
    "日本語" * 9,
    "😀👩‍👩‍👧",
    "مرحبا",
    "a" * 47,
    "a" * 48,
    "a" * 49,
    "é" * 24,
    "x" + "é" * 24,
    "http://t.co/" + "z" * 60,
    "\x00",
    "\x7f",
    " ",
    "\u00a0",
    "\ud800x",
    "<S>",
    "</S>",
    "<s>",
    "0",
]

tokens = st.one_of(st.sampled_from(ODD_TOKENS), st.text(max_size=60))
tweets = st.lists(tokens, max_size=50)
batches = st.lists(tweets, min_size=1, max_size=8)


@dataclass(frozen=True)
class Model:
    """The files of one."""

    options: Path
    weights: Path

    def elmo(
        self, state: StateMode = "zero", precision: Precision = "fp32", library: Library | None = None
    ) -> ElmoEncoder:
        """Our encoder."""
        options = read_options(self.options)
        weights = read_weights(self.weights, options)
        return ElmoEncoder(options, weights, state=state, precision=precision, library=library)


def random_tweets(count: int, seed: int = 0, longest: int = 50) -> list[list[str]]:
    """Tweets of odd and of common tokens, among them one of each length that there may be."""
    choose = random.Random(seed)
    words = [*ODD_TOKENS, *(f"word{number}" for number in range(60))]
    lengths = [choose.randint(0, longest) if number > longest else number for number in range(count)]
    choose.shuffle(lengths)
    return [choose.choices(words, k=length) for length in lengths]


def running_on(model: Model, sentences: list[list[str]]) -> list[torch.Tensor]:
    """The top layer of each sentence in the state that the one before has left, as ELMo was trained."""
    elmo, found = model.elmo(), []
    for sentence in sentences:
        found.append(elmo.encode([sentence], ["top"]).layers["top"])
        elmo._initial = elmo._state_after(sentence, elmo._initial)
    return found
