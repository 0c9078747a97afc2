"""The bidirectional language model (Peters et al. 2018): what it says of a batch, and its vectors."""

import math
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import nn

from sentiment.elmo.encoder.products import Library, fastest_library
from sentiment.elmo.language_model.characters import word_vectors
from sentiment.elmo.language_model.lstm import run_lstm
from sentiment.elmo.language_model.products import product
from sentiment.elmo.language_model.softmax import NextWord
from sentiment.elmo.language_model.text import DirectedText
from sentiment.elmo.options import DIRECTIONS, GATES, ElmoOptions, cell_group

_FORGET_BIAS = 1.0


@dataclass(frozen=True)
class Surprise:
    """The negative logarithms of the probabilities of a batch's words, one direction each."""

    forward: torch.Tensor
    """(words,): each word after those before it, and the mark after the last one."""
    backward: torch.Tensor
    """(words,): each word before those after it, and the mark before the first one."""

    @property
    def mean(self) -> torch.Tensor:
        """Over both directions."""
        return (self.forward.mean() + self.backward.mean()) / DIRECTIONS


class LanguageModel(nn.Module):
    """Predicts each word of a tweet from those before it, and from those after it.

    Every tweet begins with zeros as the LSTMs' state, so its vectors are those of the encoder's state `zero`.

    Attributes:
        weights: those of the encoder, named and laid out as in the published files.
    """

    def __init__(self, options: ElmoOptions, words: int, dropout: float, library: Library | None = None) -> None:
        """With random weights from torch's generator.

        Args:
            words: in the vocabulary that is predicted.
            dropout: share of the values that is set to zero in training, of each layer's input and the last output.
            library: of matrix products on a CPU; None: the fastest one here.
        """
        super().__init__()
        self.options = options
        self.library: Library = library or fastest_library(torch.float32)
        self.weights = nn.ParameterDict(
            {name: nn.Parameter(_initial(name, shape)) for name, shape in options.datasets().items()}
        )
        self.next_word = NextWord(options.lstm.projection_dim, words, self.library)
        self._dropout = dropout

    def trainable_parameters(self) -> list[nn.Parameter]:
        """The parameters that the optimiser changes."""
        return list(self.parameters())

    def forward(self, text: DirectedText) -> Surprise:
        """How surprising the words of a batch are."""
        vectors = word_vectors(text.characters, dict(self.weights.items()), self.options.char_cnn, self.library)
        found = []
        for direction in range(DIRECTIONS):
            inside = text.inside
            top = self._layers(F.embedding(text.inputs[direction], vectors), direction)[-1]
            found.append(self.next_word(self._drop(top[inside]), text.targets[direction][inside]))
        return Surprise(*found)

    def layers(self, text: DirectedText) -> tuple[list[torch.Tensor], list[torch.Tensor]]:
        """Forward and backward the output of each layer, (time, batch, vector), the context-free one first."""
        vectors = word_vectors(text.characters, dict(self.weights.items()), self.options.char_cnn, self.library)
        forward, backward = (self._layers(F.embedding(text.inputs[one], vectors), one) for one in range(DIRECTIONS))
        return forward, backward

    def _layers(self, inputs: torch.Tensor, direction: int) -> list[torch.Tensor]:
        lstm, outputs = self.options.lstm, [inputs]
        for layer in range(lstm.n_layers):
            group = cell_group(direction, layer)
            seen = self._drop(outputs[-1])
            matrix, bias = self.weights[f"{group}/W_0"], self.weights[f"{group}/B"]
            size = lstm.projection_dim
            # TensorFlow adds one to the forget gate, which the files don't hold.
            constant = F.pad(bias.new_full((lstm.dim,), _FORGET_BIAS), (2 * lstm.dim, lstm.dim))
            entering = product(seen, matrix[:size], bias + constant, self.library)
            output = run_lstm(entering, matrix[size:], self.weights[f"{group}/W_P_0"], lstm, self.library)
            # Around the layer, not within its recurrence.
            outputs.append(output + seen if layer else output)
        return outputs

    def _drop(self, values: torch.Tensor) -> torch.Tensor:
        return F.dropout(values, self._dropout, self.training)


def _initial(name: str, shape: tuple[int, ...]) -> torch.Tensor:
    """Random weights, scaled so that activations neither vanish nor grow from layer to layer."""
    kind = name.rsplit("/", 1)[-1]
    if kind == "char_embed":
        return torch.empty(shape).uniform_(-1, 1)
    if kind == "b_carry":
        return torch.full(shape, -2.0)  # highways begin with passing on what they get, as in bilm-tf
    if kind == "B" or kind.startswith("b_"):
        return torch.zeros(shape)
    inputs = math.prod(shape[:-1])
    spread = math.sqrt(2 / (inputs + shape[-1] / (GATES if kind == "W_0" else 1)))
    return torch.randn(shape) * spread
