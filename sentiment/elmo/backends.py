"""What computes the vectors of tweets as a configuration asks for: our encoder, or allennlp's ELMo."""

from collections.abc import Mapping, Sequence
from typing import Protocol

import torch

from sentiment.config import ElmoConfig
from sentiment.elmo.encoder.encoder import ElmoEncoder, Encoded, Layer
from sentiment.elmo.models import ModelFiles


class Encoder(Protocol):
    """What computes vectors: `ElmoEncoder` or `ReferenceElmo`."""

    @property
    def vector_size(self) -> int:
        """Values per token and layer."""

    def encode(self, tweets: Sequence[Sequence[str]], layers: Sequence[Layer], batch_tweets: int) -> Encoded:
        """Vectors of tokenised tweets, `batch_tweets` of them at a time."""

    def state_dict(self) -> dict[str, torch.Tensor]:
        """The recurrent state that the next batch begins with; empty unless it is carried from batch to batch."""

    def load_state_dict(self, state: Mapping[str, torch.Tensor]) -> None:
        """Go on from what `state_dict` returned."""


def build_own_encoder(config: ElmoConfig, model: ModelFiles, device: torch.device) -> ElmoEncoder:
    """Our encoder with the state and the precision of a configuration.

    Raises:
        ElmoError: a part of the model's file is damaged.
    """
    weights = model.read_weights()
    return ElmoEncoder(model.options, weights, state=config.state, precision=config.precision, device=device)


def build_encoder(config: ElmoConfig, model: ModelFiles, device: torch.device) -> Encoder:
    """The encoder of the backend that a configuration names.

    Raises:
        ElmoError: a part of the model's file is damaged, or allennlp is asked for and not installed.
    """
    if config.backend == "own":
        return build_own_encoder(config, model, device)
    from sentiment.elmo.reference import ReferenceElmo  # loads allennlp

    return ReferenceElmo(model.options_path, model.weights_path, state=config.state, device=device)
