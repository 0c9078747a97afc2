"""Models and tokens that the tests of ELMo share."""

import random
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

import h5py
import numpy as np
import pytest
import torch
from hypothesis import strategies as st

from sentiment.config import EncoderPrecision
from sentiment.encoders.elmo import LAYERS, ElmoEncoder, StateMode, has_onednn
from sentiment.encoders.elmo_files import ElmoOptions, read_weights
from sentiment.encoders.pretrained import read_options
from tests.encoders.random_elmo import TINY_OPTIONS, write_random_model

SHARED_FIXTURES = Path(__file__).parents[3] / "shared" / "elmo_fixtures"

HAS_ALLENNLP = find_spec("allennlp") is not None
needs_allennlp = pytest.mark.skipif(not HAS_ALLENNLP, reason="allennlp, the reference, is not installed")
LIBRARIES = ["torch", "onednn"] if has_onednn(torch.float32) else ["torch"]


def _published(cells: int, vector: int, highways: int) -> ElmoOptions:
    sizes = TINY_OPTIONS.model_dump()
    filters = ((1, 32), (2, 32), (3, 64), (4, 128), (5, 256), (6, 512), (7, 1024))
    sizes["char_cnn"] |= {"embedding": {"dim": 16}, "filters": filters, "n_highway": highways}
    sizes["lstm"] |= {"dim": cells, "projection_dim": vector}
    return ElmoOptions.model_validate(sizes)


# Of the published models (Peters et al. 2018), and of `tiny`.
SIZES = {
    "tiny": TINY_OPTIONS,
    "small": _published(1024, 128, 1),
    "medium": _published(2048, 256, 1),
    "original": _published(4096, 512, 2),
}

Tweets = list[list[str]]
Layers = Mapping[str, torch.Tensor]

ODD_TOKENS = ["", "a", "I", "#ELMo", "Café", "e\u0301", "日本語" * 9, "😀👩‍👩‍👧", "مرحبا", "a" * 47, "a" * 48, "a" * 49]
ODD_TOKENS += ["é" * 24, "x" + "é" * 24, "http://t.co/" + "z" * 60, "\x00", "\x7f", " ", "\u00a0", "\ud800x"]
ODD_TOKENS += ["<S>", "</S>", "<s>", "0"]

tokens = st.one_of(st.sampled_from(ODD_TOKENS), st.text(max_size=60))
batches = st.lists(st.lists(tokens, max_size=50), min_size=1, max_size=8)


@dataclass(frozen=True)
class Model:
    options: Path
    weights: Path

    def elmo(self, state: StateMode = "zero", precision: EncoderPrecision = "fp32") -> ElmoEncoder:
        options = read_options(self.options)
        weights = read_weights(self.weights, options)
        return ElmoEncoder(options, weights, state=state, precision=precision)


def random_tweets(count: int, seed: int = 0, longest: int = 50) -> Tweets:
    """Tweets of odd and of common tokens, among them one of each length that there may be."""
    choose = random.Random(seed)
    words = [*ODD_TOKENS, *(f"word{number}" for number in range(60))]
    lengths = [choose.randint(0, longest) if number > longest else number for number in range(count)]
    choose.shuffle(lengths)
    return [choose.choices(words, k=length) for length in lengths]


def strong_model(folder: Path, size: str, strength: float, seed: int = 0) -> Model:
    """Random weights, those of an LSTM's inputs and outputs by a factor larger; at 8, gates saturate and values are
    clipped."""
    model = Model(*write_random_model(folder, SIZES[size], seed))
    with h5py.File(model.weights, "r+") as file:
        for name in SIZES[size].datasets():
            values = file[name][...]
            if name.endswith("W_P_0"):
                values *= np.float32(strength)
            elif name.endswith("W_0"):
                values[: len(values) // 2] *= np.float32(strength)
                # Weaker feedback makes up for stronger output: else the network is chaotic and amplifies rounding.
                values[len(values) // 2 :] /= np.float32(strength)
            file[name][...] = values
    return model


def of_tweet(layers: Layers, tweets: Tweets, number: int) -> dict[str, torch.Tensor]:
    start = sum(map(len, tweets[:number]))
    return {layer: vectors[start : start + len(tweets[number])] for layer, vectors in layers.items()}


def largest_difference(found: Layers, wanted: Layers) -> float:
    return max(float((found[layer] - wanted[layer]).abs().max()) for layer in LAYERS)


def running_on(model: Model, sentences: Tweets) -> list[torch.Tensor]:
    """The top layer of each sentence in the state that the one before has left, as ELMo was trained."""
    elmo, found = model.elmo(), []
    for sentence in sentences:
        found.append(elmo.encode([sentence], ["top"])["top"])
        elmo.set_initial_state(sentence)
    return found
