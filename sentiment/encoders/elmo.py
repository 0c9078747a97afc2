"""ELMo (Peters et al. 2018): tokenised tweets in, the vectors of its layers out, equal to allennlp's."""

import itertools
import math
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache, reduce
from pathlib import Path
from typing import Literal, get_args

import numpy as np
import numpy.typing as npt
import torch
import torch.nn.functional as F
from torch import nn

from sentiment.encoders.elmo_files import (
    CHARACTERS,
    DIRECTIONS,
    FORGET_BIAS,
    GATES,
    NO_CHARACTER,
    SENTENCE_END,
    SENTENCE_START,
    CharacterCnn,
    ElmoOptions,
    Lstm,
    cell_group,
    character_ids,
)

Indices = npt.NDArray[np.int64]
# Of a layer, for each of some tweets: hidden states (tweets, vector) and cells (tweets, cells), float32.
State = tuple[torch.Tensor, torch.Tensor]
_CPU_INFO = Path("/proc/cpuinfo")


class Weights:
    """A matrix (inputs, outputs) that rows are multiplied with, by the faster library."""

    def __init__(self, matrix: torch.Tensor) -> None:
        self.inputs = len(matrix)
        self._packed = matrix.device.type == "cpu" and matrix.dtype == torch.float32 and suits_onednn()
        self._matrix = _pack(matrix) if self._packed else matrix

    def times(self, rows: torch.Tensor, bias: torch.Tensor | None = None) -> torch.Tensor:
        """(number, outputs): the product of rows (number, inputs) and the matrix, plus bias (outputs,)."""
        if self._packed:
            return _multiply(rows, self._matrix, bias)
        return torch.mm(rows, self._matrix) if bias is None else torch.addmm(bias, rows, self._matrix)

    def add_times(self, sums: torch.Tensor, rows: torch.Tensor) -> torch.Tensor:
        """The same product added to `sums` (number, outputs), which is changed in place."""
        if self._packed:
            return sums.add_(_multiply(rows, self._matrix, None))
        return sums.addmm_(rows, self._matrix)


@cache
def suits_onednn() -> bool:
    """Whether oneDNN multiplies float32 on this processor rather than MKL, which takes up to twice as long on AMD's.

    Their last digits differ, so no clock decides: all encoders on one kind of processor give the same ones.
    """
    try:
        of_amd = "AuthenticAMD" in _CPU_INFO.read_text(encoding="utf-8", errors="replace")
    except OSError:
        return False
    return of_amd and torch.backends.mkl.is_available() and has_onednn()  # type: ignore[no-untyped-call]


def has_onednn() -> bool:
    """Whether torch has oneDNN's operators, which are not public, and they compute what they are to."""
    rows, matrix, bias = (torch.linspace(-1, 1, 6 * n).view(-1, 6) for n in (4, 6, 1))
    try:
        found = _multiply(rows, _pack(matrix.t()), bias[0])
    except (AttributeError, RuntimeError, TypeError):
        return False
    return torch.allclose(found, rows @ matrix.t() + bias[0], atol=1e-4)


def _pack(matrix: torch.Tensor) -> torch.Tensor:
    return torch.ops.mkldnn._reorder_linear_weight(matrix.t().contiguous())  # type: ignore[no-any-return]


def _multiply(rows: torch.Tensor, packed: torch.Tensor, bias: torch.Tensor | None) -> torch.Tensor:
    # What torch.compile calls for a linear layer on a CPU. The public way, F.linear on `to_mkldnn()` tensors, copies
    # inputs and results: 10 % slower at best, half as fast where they are large.
    return torch.ops.mkldnn._linear_pointwise(rows, packed, bias, "none", [], "")  # type: ignore[no-any-return]


def number_tweets(tweets: Sequence[Sequence[str]]) -> tuple[list[str], Indices, Indices]:
    """The distinct tokens (types) in the order of their first occurrence; the type of each token; tokens per tweet."""
    known: dict[str, int] = {}
    numbers = np.array([known.setdefault(token, len(known)) for tweet in tweets for token in tweet], np.int64)
    return list(known), numbers, np.fromiter(map(len, tweets), np.int64, len(tweets))


def batches_by_length(lengths: Indices, size: int) -> list[Indices]:
    """Indices of tweets in batches of similar length, the longest first: lack of memory shows at once."""
    order = np.argsort(-lengths, kind="stable")
    return [order[start : start + size] for start in range(0, len(order), size)]


@dataclass(frozen=True)
class PackedBatch:
    """A batch in the order in which an LSTM takes it: at each step one row of each tweet that has not ended.

    Both directions have steps of the same sizes, since the backward one begins at each tweet's own end.
    """

    step_sizes: list[int]  # rows of each step, never rising
    inputs: tuple[Indices, Indices]  # forward and backward, each (rows,): the number of the token or mark
    tokens: Indices  # (tokens,): their indices among those of all tweets
    rows: tuple[Indices, Indices]  # forward and backward, each (tokens,): the row of each


def pack(numbers: Indices, lengths: Indices, chosen: Indices, first_mark: int) -> PackedBatch:
    """Lay out the `chosen` tweets, each between its two marks.

    Args:
        numbers: (tokens,): the type of each token of all tweets, whose `lengths` are (tweets,).
        first_mark: number of the mark before each tweet; the one after it has the next number.
    """
    starts = (np.cumsum(lengths) - lengths)[chosen]
    order = np.argsort(-lengths[chosen], kind="stable")
    chosen, starts = chosen[order], starts[order]
    sizes = lengths[chosen] + 2
    step_sizes = len(chosen) - np.cumsum(np.bincount(sizes))[:-1]
    step_starts = np.cumsum(step_sizes) - step_sizes
    place = np.repeat(np.arange(len(chosen)), sizes)
    step = np.arange(sizes.sum()) - np.repeat(np.cumsum(sizes) - sizes, sizes)
    last = sizes[place] - 1
    inside = (step > 0) & (step < last)
    tokens = (starts[place] + step - 1)[inside]
    found = np.where(step == 0, first_mark, first_mark + 1)
    found[inside] = numbers[tokens]
    rows = (step_starts[step] + place, step_starts[last - step] + place)
    inputs = (np.empty_like(found), np.empty_like(found))
    for direction in range(DIRECTIONS):
        inputs[direction][rows[direction]] = found
    return PackedBatch(step_sizes.tolist(), inputs, tokens, (rows[0][inside], rows[1][inside]))


class CharacterNetwork:
    """The context-free part of ELMo (Kim et al. 2016): from a token's characters to its vector.

    Args:
        weights: by their names in the published files, on the device and in the precision of the products.
    """

    def __init__(self, options: CharacterCnn, weights: Mapping[str, torch.Tensor]) -> None:
        self._activation = torch.relu if options.activation == "relu" else torch.tanh
        self._characters = weights["char_embed"]
        self._filters = [
            (width, Weights(weights[f"CNN/W_cnn_{number}"].reshape(-1, count)), weights[f"CNN/b_cnn_{number}"])
            for number, (width, count) in enumerate(options.filters)
        ]

        def both(name: str) -> torch.Tensor:
            # The gate that the files call "carry" multiplies the transformed value.
            return torch.cat([weights[f"{name}_{kind}"] for kind in ("transform", "carry")], dim=-1)

        names = [f"CNN_high_{number}" for number in range(options.n_highway)]
        self._highways = [(Weights(both(f"{name}/W")), both(f"{name}/b")) for name in names]
        self._projection, self._projection_bias = Weights(weights["CNN_proj/W_proj"]), weights["CNN_proj/b_proj"]

    def __call__(self, ids: torch.Tensor) -> torch.Tensor:
        """(tokens, vector) of (tokens, 50) from `character_ids`, in the precision of the weights."""
        rows = ids - 1  # no row of the files is for 0, "no token", which is never asked for
        longest = int((rows != NO_CHARACTER - 1).sum(1).max())
        # All windows beyond the longest token see only "no character" and have one value: computing one is exact.
        widest = max(width for width, _, _ in self._filters)
        characters = F.embedding(rows[:, : min(CHARACTERS, longest + widest)], self._characters)
        maxima = []  # of each filter over all positions
        for width, weight, bias in self._filters:
            # A window is `width` vectors one after the other, so the convolution is one matrix product.
            seen = characters[:, : min(CHARACTERS, longest + width)].unfold(1, width, 1).transpose(2, 3)
            convolved = weight.times(seen.reshape(-1, width * characters.shape[2]))
            # The bias is the same at each position, so it may follow the maximum.
            maxima.append(convolved.view(*seen.shape[:2], -1).amax(1) + bias)
        features = self._activation(torch.cat(maxima, dim=1))
        for weight, bias in self._highways:
            transformed, gate = weight.times(features, bias).chunk(2, dim=1)
            features = torch.lerp(features, torch.relu(transformed), torch.sigmoid(gate))
        return self._projection.times(features, self._projection_bias)


# Tokens at a time: on a CPU the result of a convolution stays in a core's cache until its maximum is taken.
_CHUNK_CPU, _CHUNK_GPU = 128, 4096
# Cells whose gates are computed together: likewise (5 to 8 % faster). On a GPU, where starting an operation costs, all.
_BLOCK_CPU = 256


class LstmLayer:
    """An LSTM with projection (Sak et al. 2014) as in ELMo (Peters et al. 2018), frozen; without peepholes.

    With the previous step's c and h: c = clip(f * c + i * tanh(j)), h = clip((o * tanh(c)) P).

    Args:
        weights: of a whole model, by their names in the published files; those of the layer begin with `group`.
        numbered_inputs: inputs repeat and are given by number, so each is multiplied with the weights once.
    """

    def __init__(
        self,
        options: Lstm,
        weights: Mapping[str, torch.Tensor],
        group: str,
        device: torch.device,
        precision: torch.dtype,
        numbered_inputs: bool,
    ) -> None:
        self._cell_clip, self._state_clip = options.cell_clip or math.inf, options.proj_clip or math.inf
        blocked = device.type == "cpu" and options.dim % _BLOCK_CPU == 0
        self._block = _BLOCK_CPU if blocked else options.dim

        def laid_out(array: torch.Tensor) -> torch.Tensor:
            """(..., gates * cells) to (blocks, ..., gates * block): the gates of a block's cells stand together."""
            gates = array.view(*array.shape[:-1], GATES, options.dim)
            # The three with a sigmoid first: input, forget, output. Twice the candidate: see `__call__`.
            gates = gates[..., [0, 2, 3, 1], :] * torch.tensor([1.0, 1.0, 1.0, 2.0])[:, None]
            blocks = gates.view(*gates.shape[:-1], -1, self._block).movedim(-2, 0)
            return blocks.flatten(-2).contiguous()

        def weights_of(array: torch.Tensor) -> Weights:
            return Weights(array.to(device, precision))

        size, matrix, bias = options.projection_dim, weights[f"{group}/W_0"], weights[f"{group}/B"].clone()
        bias[2 * options.dim : 3 * options.dim] += FORGET_BIAS
        # Inputs that are not numbered stand before the state, so that one product does for both.
        recurrent = matrix[size:] if numbered_inputs else matrix
        self._input = [weights_of(one) for one in laid_out(matrix[:size])] if numbered_inputs else None
        self._recurrent = [weights_of(one) for one in laid_out(recurrent)]
        self._bias = laid_out(bias).to(device, precision)
        self._projection = weights_of(weights[f"{group}/W_P_0"])
        self._precision = precision

    @torch.no_grad()
    def __call__(
        self, inputs: torch.Tensor, numbers: torch.Tensor | None, step_sizes: list[int], state: State
    ) -> tuple[torch.Tensor, State]:
        """The output over a packed batch, (rows, vector), and the state after each tweet's own last step; all float32.

        Args:
            inputs: (rows, vector) of float32, or (distinct inputs, vector) if they are given by number.
            numbers: (rows,): the input of each row; None if inputs are not given by number.
            state: before the first step.
        """
        hidden, cells = state
        tweets, size = hidden.shape
        ends = list(itertools.accumulate(step_sizes))
        output = torch.empty(ends[-1], size, device=hidden.device)
        operand = hidden.new_empty(tweets, self._recurrent[0].inputs, dtype=self._precision)
        operand[:, -size:] = hidden
        # A copy even where the order stays: it is changed in place.
        blocks = cells.reshape(tweets, -1, self._block).transpose(0, 1).clone(memory_format=torch.contiguous_format)
        gated = hidden.new_empty(tweets, cells.shape[1])
        addends = list(self._bias)
        if self._input is not None:
            given = inputs.to(self._precision)
            addends = [block.times(given, bias) for block, bias in zip(self._input, addends, strict=True)]
        for end, count in zip(ends, step_sizes, strict=True):
            rows, here = slice(end - count, end), operand[:count]
            if numbers is None:
                here[:, :size] = inputs[rows]
            for block, memory in enumerate(blocks[:, :count]):
                if numbers is None:
                    gates = self._recurrent[block].times(here, addends[block])
                else:
                    gates = self._recurrent[block].add_times(addends[block].index_select(0, numbers[rows]), here)
                enter, keep, leave, candidate = gates.float().sigmoid_().chunk(GATES, dim=1)
                # tanh(x) = 2 * sigmoid(2 * x) - 1, the inner 2 is in the weights: several times faster on a CPU.
                memory.mul_(keep).addcmul_(enter, candidate, value=2).sub_(enter)
                memory.clamp_(-self._cell_clip, self._cell_clip)
                activated = torch.mul(memory, 2, out=candidate).sigmoid_().mul_(2).sub_(1)
                torch.mul(activated, leave, out=gated[:count, block * self._block : (block + 1) * self._block])
            projected = self._projection.times(gated[:count].to(self._precision)).float()
            output[rows] = projected.clamp_(-self._state_clip, self._state_clip)
            here[:, -size:] = projected
        return output, (operand[:, -size:].float(), blocks.transpose(0, 1).reshape(tweets, -1))


# The context-free vector of a token (twice), and the outputs of both LSTM layers.
Layer = Literal["token", "first", "top"]
LAYERS: tuple[Layer, ...] = get_args(Layer)

StateMode = Literal["zero", "warm"]
# The state after these sentences is `warm`. Tokens stand between spaces; the vectors in caches depend on them.
WARM_TEXT = (
    "The weather was fine on Sunday , so we took the train to the coast and walked along the beach until the evening .",
    "I had a really good time with my friends , thank you all for coming !",
    "He said that he could not come because he had to work late again .",
)

Precision = Literal["fp32", "bf16", "fp16"]

# Larger batches are no faster: products of 1024 rows run at the processor's limit.
BATCH_TWEETS = 1024


class ElmoEncoder:
    """The bidirectional language model of Peters et al. (2018), frozen; a tweet's vectors depend on the tweet alone.

    Args:
        weights: as `read_weights` gives them; they are laid out for `device`, and not moved later.
        state: in which an LSTM begins a tweet: `zero`; or `warm`, that after a fixed text.
        precision: of the matrix products; cells, sums of gates and results are float32.
    """

    def __init__(
        self,
        options: ElmoOptions,
        weights: Mapping[str, np.ndarray],
        *,
        state: StateMode = "zero",
        precision: Precision = "fp32",
        device: torch.device | str = "cpu",
    ) -> None:
        lstm, self.vector_size, self.device = options.lstm, options.vector_size, torch.device(device)
        dtype = {"fp32": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16}[precision]
        tensors = {name: torch.from_numpy(values) for name, values in weights.items()}
        placed = {name: values.to(self.device, dtype) for name, values in tensors.items() if not name.startswith("RNN")}
        self._characters = CharacterNetwork(options.char_cnn, placed)
        self._layers = [
            [
                LstmLayer(lstm, tensors, cell_group(side, n), self.device, dtype, numbered_inputs=n == 0)
                for n in range(lstm.n_layers)
            ]
            for side in range(DIRECTIONS)
        ]
        self._known: dict[str, int] = {}
        self._table = torch.empty(0, lstm.projection_dim, device=self.device)
        self._marks = self.type_vectors([SENTENCE_START, SENTENCE_END])
        zeros = (torch.zeros(1, size, device=self.device) for size in (lstm.projection_dim, lstm.dim))
        self._initial: list[list[State]] = [[(next(zeros), next(zeros))] * lstm.n_layers] * DIRECTIONS
        for sentence in WARM_TEXT if state == "warm" else ():
            self.run_on(sentence.split())

    def type_vectors(self, tokens: Sequence[str]) -> torch.Tensor:
        """(tokens, vector / 2) of float32: context-free vectors; the layer `token` holds each of them twice."""
        if self._known.keys() >= set(tokens):
            return self._table[[self._known[token] for token in tokens]]
        return self._context_free(character_ids(tokens))

    def learn(self, tokens: Sequence[str], vectors: Sequence[np.ndarray]) -> None:
        """Take the `vectors` of the layer `token`, in parts, for those of single tokens, instead of computing them."""
        self._known = {token: number for number, token in enumerate(tokens)}
        halves = [torch.from_numpy(part[:, : self.vector_size // DIRECTIONS].copy()) for part in vectors]
        self._table = torch.cat([self._table[:0].cpu(), *halves]).to(self.device)

    @torch.no_grad()
    def run_on(self, sentence: Sequence[str]) -> None:
        """Let the coming tweets begin in the state after this sentence."""
        types, numbers, lengths = number_tweets([sentence])
        batch = pack(numbers, lengths, np.zeros(1, np.int64), len(types))
        self._initial = [end for _, end in self._run(batch, self.type_vectors(types), len(LAYERS) - 1)]

    def encode(
        self, tweets: Sequence[Sequence[str]], layers: Collection[str] = LAYERS, batch_tweets: int = BATCH_TWEETS
    ) -> dict[str, torch.Tensor]:
        """The layers asked for, each (tokens of all tweets, vector) of float32, whatever `batch_tweets` is."""
        types, numbers, lengths = number_tweets(tweets)
        return self._encode(self.type_vectors(types), numbers, lengths, layers, batch_tweets)

    def encode_ids(self, ids: torch.Tensor) -> tuple[list[torch.Tensor], torch.Tensor]:
        """All layers of sentences of `batch_to_ids`, (sentences, time, vector), zeros after their ends; and the mask,
        (sentences, time), that is true up to there."""
        mask = (ids > 0).any(2).cpu()
        distinct, numbers = np.unique(ids.cpu().numpy()[mask.numpy()], axis=0, return_inverse=True)
        lengths, types = mask.sum(1).numpy(), self._context_free(distinct)
        found = self._encode(types, numbers.reshape(-1), lengths, LAYERS, BATCH_TWEETS)
        mask = mask.to(self.device)
        layers = [torch.zeros(*mask.shape, self.vector_size, device=self.device) for _ in LAYERS]
        for layer, vectors in zip(layers, found.values(), strict=True):
            layer[mask] = vectors
        return layers, mask

    @torch.no_grad()
    def _encode(
        self, type_vectors: torch.Tensor, numbers: Indices, lengths: Indices, layers: Collection[str], batch_tweets: int
    ) -> dict[str, torch.Tensor]:
        shape, wanted = (len(numbers), self.vector_size), [layer for layer in LAYERS if layer in layers]
        found: dict[str, torch.Tensor] = {layer: torch.empty(shape, device=self.device) for layer in wanted}
        if "token" in found:
            found["token"][:] = type_vectors[self._placed(numbers)].repeat(1, DIRECTIONS)
        for chosen in batches_by_length(lengths, batch_tweets) if found.keys() - {"token"} else ():
            batch = pack(numbers, lengths, chosen, len(type_vectors))
            target = self._placed(batch.tokens)
            for direction, (outputs, _) in enumerate(self._run(batch, type_vectors, 2 if "top" in found else 1)):
                sources = self._placed(batch.rows[direction])
                for layer, output in zip(LAYERS[1:], outputs, strict=False):
                    if layer in found:
                        found[layer].chunk(DIRECTIONS, dim=1)[direction][target] = output.index_select(0, sources)
        return found

    @torch.no_grad()
    def _context_free(self, ids: Indices) -> torch.Tensor:
        """(tokens, vector / 2) of float32; tokens of similar length go together, so that little is computed in vain."""
        vectors = torch.empty(len(ids), self.vector_size // DIRECTIONS, device=self.device)
        order = torch.from_numpy(np.argsort((ids != NO_CHARACTER).sum(1), kind="stable"))
        size = _CHUNK_GPU if self.device.type == "cuda" else _CHUNK_CPU
        for start in range(0, len(ids), size):
            chunk = order[start : start + size]
            of_chunk = self._characters(torch.from_numpy(ids)[chunk].to(self.device))
            vectors[chunk.to(self.device)] = of_chunk.float()
        return vectors

    def _run(
        self, batch: PackedBatch, type_vectors: torch.Tensor, depth: int
    ) -> Iterator[tuple[list[torch.Tensor], list[State]]]:
        """Of each direction the outputs of the lowest `depth` layers, (rows, vector), and their states at the end."""
        # The first layer's product with its weights is computed once for each distinct input of this batch.
        distinct, numbers = np.unique(np.stack(batch.inputs), return_inverse=True)
        # The two marks have the highest numbers, and every batch has them.
        inputs = torch.cat([type_vectors[self._placed(distinct[:-2])], self._marks])
        tweets, by_direction = batch.step_sizes[0], self._placed(numbers.reshape(DIRECTIONS, -1))
        for layers, initial, one in zip(self._layers, self._initial, by_direction, strict=True):
            outputs: list[torch.Tensor] = []
            ends = []
            for layer, state in zip(layers[:depth], initial, strict=False):
                given, which = (outputs[-1], None) if outputs else (inputs, one)
                hidden, cells = (part.expand(tweets, -1) for part in state)
                output, end = layer(given, which, batch.step_sizes, (hidden, cells))
                if outputs:  # around the layer, not within its recurrence
                    output += given
                outputs.append(output)
                ends.append(end)
            yield outputs, ends

    def _placed(self, indices: Indices) -> torch.Tensor:
        return torch.from_numpy(indices).to(self.device)


class ScalarMix(nn.Module):
    """gamma * sum over k of softmax(weights)_k * layer_k, with gamma 1 at first; as allennlp's.

    Without `initial_scalar_parameters`, which the softmax is taken of, all layers count alike at first.
    """

    def __init__(
        self, mixture_size: int, initial_scalar_parameters: Sequence[float] | None = None, trainable: bool = True
    ) -> None:
        super().__init__()
        initial = [0.0] * mixture_size if initial_scalar_parameters is None else list(initial_scalar_parameters)
        self.weights = nn.Parameter(torch.tensor(initial, dtype=torch.float32), trainable)
        self.gamma = nn.Parameter(torch.ones(()), trainable)

    def forward(self, tensors: Sequence[torch.Tensor]) -> torch.Tensor:
        """(..., vector), in the precision of the parameters, of layers of the same shape."""
        # Stored layers may be of half precision, which is too little to add up and to train in.
        shares = torch.softmax(self.weights, 0)
        weighted = (share * tensor.to(shares.dtype) for share, tensor in zip(shares, tensors, strict=True))
        mixed: torch.Tensor = self.gamma * reduce(torch.add, weighted)
        return mixed
