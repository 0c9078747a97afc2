"""Batches and models as the tests of models need them."""

import itertools
from typing import Any

import numpy as np
import torch

from sentiment.config import RunConfig
from sentiment.config_file import resolve
from sentiment.encoders.batches import TokenStore
from sentiment.models.classifier import Classifier, build_classifier

VOCABULARY = 50
LENGTHS = (3, 7, 1, 7, 12, 0, 5)

RECURRENT: list[dict[str, Any]] = [
    {"model.cell": cell, "model.bidirectional": both, "model.layers": layers, "model.pooling": pooling}
    for cell, both, layers, pooling in itertools.product(
        ("lstm", "gru"), (False, True), (1, 2), ("last", "mean+max", "attention")
    )
]
FEED_FORWARD: list[dict[str, Any]] = [
    {"model.kind": "feed_forward", "model.layers": layers, "model.pooling": pooling}
    for layers, pooling in itertools.product((1, 2), ("mean", "max", "mean+max", "attention"))
]
EVERY_MODEL = [*RECURRENT, *FEED_FORWARD]


def name(changes: dict[str, Any]) -> str:
    return "-".join(str(value) for value in changes.values())


def config(changes: dict[str, Any]) -> RunConfig:
    return resolve({"embedding": {"size": 6}, "model": {"hidden_size": 5}}, changes, "a test")


def model(changes: dict[str, Any]) -> Classifier:
    """The same weights at each call, large enough to matter."""
    torch.manual_seed(0)
    made = build_classifier(config(changes), VOCABULARY)
    with torch.no_grad():
        for parameter in made.parameters():
            parameter.mul_(3)
    return made


def store(lengths: tuple[int, ...] = LENGTHS, vectors: Any = None) -> TokenStore:
    rng = np.random.default_rng(0)
    offsets = np.cumsum([0, *lengths]).astype(np.int64)
    token_ids = rng.integers(2, VOCABULARY, offsets[-1])
    return TokenStore(token_ids, offsets, rng.integers(0, 2, len(lengths)), torch.device("cpu"), vectors)
