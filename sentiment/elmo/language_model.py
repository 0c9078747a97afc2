"""ELMo's bidirectional language model (Peters et al. 2018) as it is trained, with gradients.

`sentiment.elmo.encoder` computes the same vectors without gradients, several times as fast; tests hold both together.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import pairwise
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
import torch.nn.functional as F
from torch import nn

from sentiment.data.batches import Batch, TokenStore
from sentiment.elmo.encoder import CharacterNetwork
from sentiment.elmo.files import (
    DIRECTIONS,
    FORGET_BIAS,
    GATES,
    SENTENCE_END,
    SENTENCE_START,
    ElmoOptions,
    Lstm,
    cell_group,
    character_ids,
)
from sentiment.elmo.products import FixedWeights, LearnedWeights, Library, choose_library, weights_gradient

# Numbers of tokens in a store, which reserves 0 and 1.
_FIRST_MARK, _LAST_MARK, _FIRST_TYPE = 2, 3, 4


@dataclass(frozen=True)
class DirectedText:
    """A batch in both directions, each from its own first step on; step k predicts what stands at step k + 1.

    Attributes:
        characters: (distinct tokens and marks, 50) of int64.
        inputs: forward and backward, each (time, batch): which of them stands at a step.
        targets: forward and backward, each (time, batch): the word of the vocabulary that comes next.
        inside: (time, batch) of bool: whether something of the tweet comes next.
    """

    characters: torch.Tensor
    inputs: tuple[torch.Tensor, torch.Tensor]
    targets: tuple[torch.Tensor, torch.Tensor]
    inside: torch.Tensor


class DirectedTweets:
    """Many tweets on a device, in batches of `store`.

    Args:
        types: all distinct tokens.
        token_ids: (tokens,) indices of `types`.
        offsets: (tweets + 1,) where each tweet starts and the last one ends; none is empty.
        words: (types,): the number of each type in the vocabulary that is predicted.
        marks: those of the marks before and after a tweet.
    """

    def __init__(
        self,
        types: Sequence[str],
        token_ids: npt.NDArray[np.integer],
        offsets: npt.NDArray[np.int64],
        words: npt.NDArray[np.int64],
        marks: tuple[int, int],
        device: torch.device,
    ) -> None:
        self.store = TokenStore(token_ids.astype(np.int64) + _FIRST_TYPE, offsets, None, device)
        # Two rows that no batch asks for come first.
        characters = character_ids(["", "", SENTENCE_START, SENTENCE_END, *types]).astype(np.int16)
        self._characters = torch.from_numpy(characters).to(device)
        self._words = torch.from_numpy(np.concatenate([[0, 0, *marks], words]).astype(np.int64)).to(device)

    def directed(self, batch: Batch) -> DirectedText:
        """A batch in both directions."""
        tweets, longest = batch.token_ids.shape
        lengths = batch.lengths[:, None]
        marked = torch.full((tweets, longest + 2), _LAST_MARK, device=batch.lengths.device)
        marked[:, 0] = _FIRST_MARK
        marked[:, 1:-1] = torch.where(batch.mask, batch.token_ids, _LAST_MARK)
        steps = torch.arange(longest + 2, device=batch.lengths.device).expand(tweets, -1)
        # After its first mark a tweet has nothing more to be read backward; what stands there is not looked at.
        backward = marked.gather(1, (lengths + 1 - steps).clamp(min=0))
        distinct, numbers = torch.unique(torch.stack([marked, backward]), return_inverse=True)
        found, words = numbers.transpose(1, 2), self._words[torch.stack([marked, backward])].transpose(1, 2)
        inside = (steps[:, :-1] <= lengths).t()
        return DirectedText(
            self._characters[distinct].long(),
            (found[0, :-1].contiguous(), found[1, :-1].contiguous()),
            (words[0, 1:].contiguous(), words[1, 1:].contiguous()),
            inside,
        )


_Gradients = tuple[torch.Tensor, torch.Tensor, torch.Tensor, None, None]


class _Steps(torch.autograd.Function):
    """The recurrent part, from zeros: (time, batch, 4 * cells) to (time, batch, vector).

    The gradient is written out, since a graph of single operations takes twice as long: products with the weights'
    gradients are then one for all steps instead of one for each.
    """

    @staticmethod
    def forward(
        ctx: Any,
        entering: torch.Tensor,
        recurrent: torch.Tensor,
        projection: torch.Tensor,
        options: Lstm,
        library: Library,
    ) -> torch.Tensor:
        # Gates in the order of the files: input, candidate, forget, output.
        time, batch, size = *entering.shape[:2], options.dim
        with_recurrent, with_projection = FixedWeights(recurrent, library), FixedWeights(projection, library)
        gates = entering.clone()
        cells = entering.new_zeros(time + 1, batch, size)
        activated = entering.new_empty(time, batch, size)
        states = entering.new_zeros(time + 1, batch, options.projection_dim)
        for step in range(time):
            if step:
                with_recurrent.add_times(gates[step], states[step])
            enter, candidate, keep, leave = gates[step].chunk(GATES, dim=1)
            enter.sigmoid_()
            # tanh(x) = 2 * sigmoid(2 * x) - 1 is several times faster on a CPU.
            candidate.mul_(2).sigmoid_().mul_(2).sub_(1)
            gates[step, :, 2 * size :].sigmoid_()
            memory = torch.mul(cells[step], keep, out=cells[step + 1]).addcmul_(enter, candidate)
            if options.cell_clip is not None:
                memory.clamp_(-options.cell_clip, options.cell_clip)
            torch.mul(memory, 2, out=activated[step]).sigmoid_().mul_(2).sub_(1)
            state = with_projection.times(activated[step] * leave)
            if options.proj_clip is not None:
                state.clamp_(-options.proj_clip, options.proj_clip)
            states[step + 1] = state
        ctx.save_for_backward(gates, cells, activated, states, recurrent, projection)
        ctx.options, ctx.library = options, library
        return states[1:].clone()

    @staticmethod
    def backward(ctx: Any, *gradients: torch.Tensor) -> _Gradients:
        gates, cells, activated, states, recurrent, projection = ctx.saved_tensors
        options, size = ctx.options, ctx.options.dim
        with_recurrent = FixedWeights(recurrent.t(), ctx.library)
        with_projection = FixedWeights(projection.t(), ctx.library)
        # From the gradient of the output to that of the unclipped projection.
        projected = gradients[0].clone(memory_format=torch.contiguous_format)
        of_gates = torch.empty_like(gates)
        of_cells = torch.zeros_like(cells[0])
        for step in reversed(range(len(gates))):
            if step + 1 < len(gates):
                with_recurrent.add_times(projected[step], of_gates[step + 1])
            if options.proj_clip is not None:
                projected[step].mul_(states[step + 1].abs() < options.proj_clip)
            outward = with_projection.times(projected[step])
            enter, candidate, keep, leave = gates[step].chunk(GATES, dim=1)
            to_enter, to_candidate, to_keep, to_leave = of_gates[step].chunk(GATES, dim=1)
            tanh = activated[step]
            _through_sigmoid(outward * tanh, leave, to_leave)
            of_cells.add_(torch.ops.aten.tanh_backward(outward.mul_(leave), tanh))
            if options.cell_clip is not None:
                of_cells.mul_(cells[step + 1].abs() < options.cell_clip)
            _through_sigmoid(of_cells * candidate, enter, to_enter)
            torch.ops.aten.tanh_backward.grad_input(of_cells * enter, candidate, grad_input=to_candidate)
            _through_sigmoid(of_cells * cells[step], keep, to_keep)
            of_cells.mul_(keep)
        leaving = (activated * gates[:, :, 3 * size :]).view(-1, size)
        of_projection = weights_gradient(leaving, projected.view(-1, projected.shape[2]), ctx.library)
        before = states[:-1].reshape(-1, states.shape[2])
        of_recurrent = weights_gradient(before, of_gates.view(-1, GATES * size), ctx.library)
        return of_gates, of_recurrent, of_projection, None, None


def _through_sigmoid(gradient: torch.Tensor, activated: torch.Tensor, result: torch.Tensor) -> None:
    """From the gradient of a sigmoid's output to that of its input, in one pass over memory."""
    torch.ops.aten.sigmoid_backward.grad_input(gradient, activated, grad_input=result)


def run_lstm(
    entering: torch.Tensor, recurrent: torch.Tensor, projection: torch.Tensor, options: Lstm, library: Library
) -> torch.Tensor:
    """Run a layer over a batch whose tweets all begin with the first step, from a state of zeros.

    What follows a tweet's end changes nothing before it.

    Args:
        entering: (time, batch, 4 * cells): what the inputs add to the gates, with their biases; gates in the order of
            the published files: input, candidate, forget, output.
        recurrent: (vector, 4 * cells)
        projection: (cells, vector)

    Returns:
        The states after each step, (time, batch, vector).
    """
    states: torch.Tensor = _Steps.apply(entering, recurrent, projection, options, library)  # type: ignore[no-untyped-call]
    return states


# The most frequent words are distinguished at once; of the others first only which group they belong to.
_GROUPS = (1_000, 8_000, 40_000)
# By this factor the vectors of each further group are shorter.
_SHORTER = 2


class NextWord(nn.Module):
    """The probability of each word of a vocabulary, which begins with the most frequent ones.

    Exact, unlike a sampled softmax: its mean is the logarithm of the perplexity. Edouard Grave et al. (2017),
    https://arxiv.org/abs/1609.04309.

    Args:
        words: of the vocabulary.
    """

    def __init__(self, vector_size: int, words: int, library: Library) -> None:
        super().__init__()
        ends = [*(end for end in _GROUPS if end < words), words]
        self._first, self._library = ends[0], library
        self._groups = list(pairwise(ends))
        self.first = _Linear(vector_size, self._first + len(self._groups), library)
        self.shorter = nn.ParameterList()
        self.others = nn.ModuleList()
        for number, (start, end) in enumerate(self._groups, start=1):
            size = max(vector_size // _SHORTER**number, 1)
            self.shorter.append(nn.Parameter(torch.randn(vector_size, size) * vector_size**-0.5))
            self.others.append(_Linear(size, end - start, library))

    def forward(self, vectors: torch.Tensor, words: torch.Tensor) -> torch.Tensor:
        """The negative logarithm of the probability of each word, (positions,).

        Args:
            vectors: (positions, vector).
            words: (positions,) of int64.
        """
        chosen = words.clamp(max=self._first - 1)
        for number, (start, end) in enumerate(self._groups):
            chosen = torch.where((words >= start) & (words < end), self._first + number, chosen)
        found = F.cross_entropy(self.first(vectors), chosen, reduction="none")
        for (start, end), shorter, group in zip(self._groups, self.shorter, self.others, strict=True):
            rows = torch.nonzero((words >= start) & (words < end)).squeeze(1)
            if len(rows):
                short = LearnedWeights(shorter, self._library).times(vectors.index_select(0, rows))
                within = F.cross_entropy(group(short), words[rows] - start, reduction="none")
                found = found.index_add(0, rows, within)
        return found


class _Linear(nn.Module):
    def __init__(self, inputs: int, outputs: int, library: Library) -> None:
        super().__init__()
        self.matrix = nn.Parameter(torch.randn(inputs, outputs) * inputs**-0.5)
        self.bias = nn.Parameter(torch.zeros(outputs))
        self._library = library

    def forward(self, vectors: torch.Tensor) -> torch.Tensor:
        return LearnedWeights(self.matrix, self._library).times(vectors, self.bias)


class LanguageModel(nn.Module):
    """Predicts each word of a tweet from those before it, and from those after it.

    Every tweet begins with zeros as the LSTMs' state, so its vectors are those of the encoder's state `zero`.

    It begins with random weights from torch's generator.

    Args:
        words: in the vocabulary that is predicted.
        dropout: share of the values that is set to zero in training, of each layer's input and the last output.
        library: of matrix products; None: the one that suits this processor.

    Attributes:
        weights: those of the encoder, named and laid out as in the published files.
    """

    def __init__(self, options: ElmoOptions, words: int, dropout: float, library: Library | None = None) -> None:
        super().__init__()
        self.options = options
        self.library = library or choose_library(torch.float32, torch.device("cpu"))
        self.weights = nn.ParameterDict(
            {name: nn.Parameter(_initial(name, shape)) for name, shape in options.datasets().items()}
        )
        self.next_word = NextWord(options.lstm.projection_dim, words, self.library)
        self._dropout = dropout

    def load(self, weights: Mapping[str, np.ndarray]) -> None:
        """Set the weights of the encoder to those of a file; what predicts words is in no file and stays as it is."""
        with torch.no_grad():
            for name, values in weights.items():
                self.weights[name].copy_(torch.from_numpy(values))

    def trainable_parameters(self) -> list[nn.Parameter]:
        return list(self.parameters())

    def forward(self, text: DirectedText) -> tuple[torch.Tensor, torch.Tensor]:
        """The negative logarithms of the probabilities of a batch's words, each (words,): forward of each word after
        those before it, and of the mark after the last one; backward likewise."""
        vectors = self._word_vectors(text)
        found = []
        for direction in range(DIRECTIONS):
            inside = text.inside
            top = self._layers(F.embedding(text.inputs[direction], vectors), direction)[-1]
            found.append(self.next_word(self._drop(top[inside]), text.targets[direction][inside]))
        return found[0], found[1]

    def _word_vectors(self, text: DirectedText) -> torch.Tensor:
        """(distinct tokens and marks, vector): the context-free ones."""
        product = partial(LearnedWeights, library=self.library)
        return CharacterNetwork(self.options.char_cnn, dict(self.weights.items()), product)(text.characters)

    def _layers(self, inputs: torch.Tensor, direction: int) -> list[torch.Tensor]:
        """The output of each layer, (time, batch, vector), the context-free one first."""
        lstm, outputs = self.options.lstm, [inputs]
        for layer in range(lstm.n_layers):
            group = cell_group(direction, layer)
            seen = self._drop(outputs[-1])
            matrix, bias = self.weights[f"{group}/W_0"], self.weights[f"{group}/B"]
            size = lstm.projection_dim
            # TensorFlow adds one to the forget gate, which the files don't hold.
            constant = F.pad(bias.new_full((lstm.dim,), FORGET_BIAS), (2 * lstm.dim, lstm.dim))
            entering = LearnedWeights(matrix[:size], self.library).times(seen, bias + constant)
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


def encoder_weights(state: Mapping[str, torch.Tensor], options: ElmoOptions) -> dict[str, np.ndarray]:
    """Those of the encoder, named as in the published files, out of the `state_dict` of a model."""
    return {name: state[f"weights.{name}"].detach().cpu().numpy() for name in options.datasets()}
