"""What computes the vectors of tweets as a configuration asks for: our encoder, or allennlp's ELMo."""

from collections.abc import Sequence
from typing import Protocol

import torch

from sentiment.config import ElmoConfig
from sentiment.elmo.encoder import ElmoEncoder, Encoded, Layer
from sentiment.elmo.models import ModelFiles
from sentiment.elmo.products import Library


class Encoder(Protocol):
    """What computes vectors: `ElmoEncoder` or `ReferenceElmo`."""

    @property
    def vector_size(self) -> int:
        """Values per token and layer."""

    @property
    def library(self) -> Library:
        """Which one multiplies the matrices; the last digits of vectors depend on it."""

    def encode(self, tweets: Sequence[Sequence[str]], layers: Sequence[Layer], batch_tweets: int) -> Encoded:
        """Vectors of tokenised tweets, `batch_tweets` of them at a time."""


def build_own_encoder(
    config: ElmoConfig, model: ModelFiles, device: torch.device, library: Library | None = None
) -> ElmoEncoder:
    """Our encoder with the state and the precision of a configuration.

    Args:
        library: of the matrix products; None: the fastest one here.

    Raises:
        ElmoError: a part of the model's file is damaged, or torch lacks the library here.
    """
    state, precision = config.state, config.precision
    return ElmoEncoder(
        model.options, model.read_weights(), state=state, precision=precision, device=device, library=library
    )


def build_encoder(
    config: ElmoConfig, model: ModelFiles, device: torch.device, library: Library | None = None
) -> Encoder:
    """The encoder of the backend that a configuration names.

    Args:
        library: of our encoder's matrix products; None: the fastest one here.

    Raises:
        ElmoError: a part of the model's file is damaged, torch lacks the library here, or allennlp is asked for and not
            installed.
    """
    if config.backend == "own":
        return build_own_encoder(config, model, device, library)
    from sentiment.elmo.reference import ReferenceElmo  # loads allennlp

    return ReferenceElmo(model.options_path, model.weights_path, state=config.state, device=device)
