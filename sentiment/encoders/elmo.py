"""ELMo (Peters et al. 2018): tokenised tweets in, the vectors of its layers out, equal to allennlp's within 1e-5."""

import itertools
import math
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache, reduce
from pathlib import Path
from typing import TYPE_CHECKING, Literal, Self, get_args

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

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
    read_weights,
)
from sentiment.tokens import BATCH_TWEETS, Indices, Integers, TokenRows, Tweets, batches_by_length, positions_of

if TYPE_CHECKING:
    from sentiment.config import ElmoConfig, EncoderPrecision
    from sentiment.encoders.pretrained import ElmoFiles

# LSTM state (h, c) of one layer: h is (tweets, vector) and c is (tweets, cells), both float32.
State = tuple[Tensor, Tensor]
_CPU_INFO = Path("/proc/cpuinfo")


class PackedMatrix:
    """A matrix (inputs, outputs) in the layout of the library that multiplies with it faster."""

    def __init__(self, matrix: Tensor) -> None:
        self.inputs = len(matrix)
        self._packed = matrix.device.type == "cpu" and suits_onednn(matrix.dtype)
        self._matrix = _pack(matrix) if self._packed else matrix

    def multiply(self, rows: Tensor, bias: Tensor | None = None) -> Tensor:
        """(number, outputs): the product of rows (number, inputs) and the matrix, plus bias (outputs,)."""
        if self._packed:
            return _multiply(rows, self._matrix, bias)
        if bias is None:
            return torch.mm(rows, self._matrix)
        return torch.addmm(bias, rows, self._matrix)

    def add_product_(self, sums: Tensor, rows: Tensor) -> Tensor:
        """Add the product of rows (number, inputs) and the matrix to `sums` (number, outputs), in place."""
        if self._packed:
            return sums.add_(_multiply(rows, self._matrix, None))
        return sums.addmm_(rows, self._matrix)


@cache
def suits_onednn(dtype: torch.dtype) -> bool:
    """Whether to multiply by oneDNN with a matrix in its own layout.

    Where it can multiply bfloat16 it does so in any case, and would otherwise change the layout at each product. For
    float32, MKL takes up to twice as long on AMD processors. The libraries round differently, so the choice depends on
    the CPU and not on a benchmark.
    """
    if dtype == torch.bfloat16:
        return has_onednn(dtype)
    try:
        is_amd = "AuthenticAMD" in _CPU_INFO.read_text(encoding="utf-8", errors="replace")
    except OSError:
        return False
    return is_amd and torch.backends.mkl.is_available() and has_onednn(dtype)  # type: ignore[no-untyped-call]


def has_onednn(dtype: torch.dtype) -> bool:
    """Whether torch has oneDNN's private operators and they compute correct results.

    They multiply bfloat16 only on processors with some of the instructions of AVX-512.
    """
    rows, matrix, bias = (torch.linspace(-1, 1, 6 * n, dtype=dtype).view(-1, 6) for n in (4, 6, 1))
    try:
        product = _multiply(rows, _pack(matrix.t()), bias[0])
    except (AttributeError, RuntimeError, TypeError):
        return False
    return torch.allclose(product, rows @ matrix.t() + bias[0], atol=16 * torch.finfo(dtype).eps)


def _pack(matrix: Tensor) -> Tensor:
    return torch.ops.mkldnn._reorder_linear_weight(matrix.t().contiguous())  # type: ignore[no-any-return]


def _multiply(rows: Tensor, packed: Tensor, bias: Tensor | None) -> Tensor:
    # The operator that torch.compile calls for a linear layer on a CPU. The public way, F.linear on `to_mkldnn()`
    # tensors, copies inputs and results: it is 10 % slower at best, and half as fast for large ones.
    return torch.ops.mkldnn._linear_pointwise(rows, packed, bias, "none", [], "")  # type: ignore[no-any-return]


@dataclass(frozen=True)
class PackedBatch:
    """A packed batch (as torch's PackedSequence): at each time step one row per unfinished tweet.

    Both directions have steps of the same sizes, since the backward one begins at each tweet's own end.
    """

    step_sizes: list[int]  # rows per time step, non-increasing
    inputs: list[Integers]  # forward and backward, each (rows,): the index of the type or boundary token
    tokens: Integers  # (tokens,): their indices among the tokens of all tweets
    packed_rows: list[Integers]  # forward and backward, each (tokens,): the row of each token


def pack(rows: TokenRows, chosen: Integers) -> PackedBatch:
    """Pack the `chosen` tweets, each with its start and end token, whose indices follow those of the types."""
    lengths = np.diff(rows.offsets)
    chosen = chosen[np.argsort(-lengths[chosen], kind="stable")]
    starts = rows.offsets[chosen]
    sizes = lengths[chosen] + 2

    step_sizes = len(chosen) - np.cumsum(np.bincount(sizes))[:-1]
    step_starts = np.cumsum(step_sizes) - step_sizes

    # For each position of each tweet, with its start and end token: the tweet, the time step, and the last time step.
    tweet = np.repeat(np.arange(len(chosen)), sizes)
    step = positions_of(np.zeros_like(sizes), sizes)
    last = sizes[tweet] - 1
    is_token = (step > 0) & (step < last)
    tokens = (starts[tweet] + step - 1)[is_token]
    start_token = len(rows.types)
    types = np.where(step == 0, start_token, start_token + 1)
    types[is_token] = rows.token_ids[tokens]

    inputs = []
    token_rows = []
    for direction_step in (step, last - step):
        packed_rows = step_starts[direction_step] + tweet
        packed_types = np.empty_like(types)
        packed_types[packed_rows] = types
        inputs.append(packed_types)
        token_rows.append(packed_rows[is_token])
    return PackedBatch(step_sizes.tolist(), inputs, tokens, token_rows)


class CharacterNetwork:
    """The context-free part of ELMo (Kim et al. 2016): from a token's characters to its vector.

    Args:
        weights: by their names in the published files, on the device and in the precision of the matrix products.
    """

    def __init__(self, options: CharacterCnn, weights: Mapping[str, Tensor]) -> None:
        self._activation = torch.relu if options.activation == "relu" else torch.tanh
        self._characters = weights["char_embed"]
        self._filters = [
            (width, PackedMatrix(weights[f"CNN/W_cnn_{number}"].reshape(-1, count)), weights[f"CNN/b_cnn_{number}"])
            for number, (width, count) in enumerate(options.filters)
        ]

        def transform_and_carry(name: str) -> Tensor:
            # Naming in the files is swapped: their "carry" gate is the transform gate.
            return torch.cat([weights[f"{name}_{kind}"] for kind in ("transform", "carry")], dim=-1)

        names = [f"CNN_high_{number}" for number in range(options.n_highway)]
        self._highways = [
            (PackedMatrix(transform_and_carry(f"{name}/W")), transform_and_carry(f"{name}/b")) for name in names
        ]
        self._projection = PackedMatrix(weights["CNN_proj/W_proj"])
        self._projection_bias = weights["CNN_proj/b_proj"]

    def __call__(self, ids: Tensor) -> Tensor:
        """(tokens, vector) from the `character_ids` (tokens, 50), in the precision of the weights."""
        rows = ids - 1  # the files have no row for id 0 ("no token"), which does not occur here
        longest = int((rows != NO_CHARACTER - 1).sum(1).max())
        # All windows beyond the longest token see only "no character" and have the same value: computing one is exact.
        widest = max(width for width, _, _ in self._filters)
        characters = F.embedding(rows[:, : min(CHARACTERS, longest + widest)], self._characters)
        maxima = []  # of each filter over all positions
        for width, weight, bias in self._filters:
            # A window is `width` consecutive vectors, so the convolution is one matrix product.
            seen = characters[:, : min(CHARACTERS, longest + width)].unfold(1, width, 1).transpose(2, 3)
            convolved = weight.multiply(seen.reshape(-1, width * characters.shape[2]))
            # The bias is the same at each position, so it may be added after the maximum.
            maxima.append(convolved.view(*seen.shape[:2], -1).amax(1) + bias)
        features = self._activation(torch.cat(maxima, dim=1))
        for weight, bias in self._highways:
            transformed, gate = weight.multiply(features, bias).chunk(2, dim=1)
            features = torch.lerp(features, torch.relu(transformed), torch.sigmoid(gate))
        return self._projection.multiply(features, self._projection_bias)


# Tokens at a time: on a CPU the result of a convolution then stays in a core's cache until its maximum is taken.
_CHUNK_CPU = 128
_CHUNK_GPU = 4096
# Cells whose gates are computed together, for the same reason (5 to 8 % faster). On a GPU, where starting an operation
# is costly, it is all cells.
_BLOCK_CPU = 256


class LstmLayer:
    """An LSTM with projection (Sak et al. 2014) as in ELMo (Peters et al. 2018), frozen; without peepholes.

    With the previous step's c and h: c = clip(f * c + i * tanh(j)), h = clip((o * tanh(c)) P).

    Args:
        weights: of a whole model, by their names in the published files; those of the layer begin with `group`.
        indexed_inputs: inputs repeat and are given by index, so that each distinct one is multiplied only once.
    """

    def __init__(
        self,
        options: Lstm,
        weights: Mapping[str, Tensor],
        group: str,
        device: torch.device,
        precision: torch.dtype,
        indexed_inputs: bool,
    ) -> None:
        self._precision = precision
        self._cell_clip = options.cell_clip or math.inf
        self._state_clip = options.proj_clip or math.inf
        blocked = device.type == "cpu" and options.dim % _BLOCK_CPU == 0
        self._block = _BLOCK_CPU if blocked else options.dim

        def to_blocks(array: Tensor) -> Tensor:
            """(..., gates * cells) to (blocks, ..., gates * block): the gates of a block's cells are adjacent."""
            gates = array.view(*array.shape[:-1], GATES, options.dim)
            # First the three gates with a sigmoid: input, forget, output. The candidate is doubled: see `__call__`.
            gates = gates[..., [0, 2, 3, 1], :] * torch.tensor([1.0, 1.0, 1.0, 2.0])[:, None]
            blocks = gates.view(*gates.shape[:-1], -1, self._block).movedim(-2, 0)
            return blocks.flatten(-2).contiguous()

        def packed(array: Tensor) -> PackedMatrix:
            return PackedMatrix(array.to(device, precision))

        size = options.projection_dim
        matrix = weights[f"{group}/W_0"]
        bias = weights[f"{group}/B"].clone()
        bias[2 * options.dim : 3 * options.dim] += FORGET_BIAS
        self._bias = to_blocks(bias).to(device, precision)
        self._projection = packed(weights[f"{group}/W_P_0"])
        self._input: list[PackedMatrix] | None = None
        if indexed_inputs:
            self._input = [packed(block) for block in to_blocks(matrix[:size])]
            matrix = matrix[size:]
        # Without indexed inputs, input and state are concatenated, so that one matrix product handles both.
        self._recurrent = [packed(block) for block in to_blocks(matrix)]

    @torch.no_grad()
    def __call__(
        self, inputs: Tensor, indices: Tensor | None, step_sizes: list[int], state: State
    ) -> tuple[Tensor, State]:
        """The output over a packed batch, (rows, vector), and the state after each tweet's own last step; all float32.

        Args:
            inputs: (rows, vector) of float32, or (distinct inputs, vector) if they are given by index.
            indices: (rows,): the input of each row; None if inputs are not given by index.
            state: before the first step.
        """
        hidden, cells = state
        tweets, size = hidden.shape
        ends = list(itertools.accumulate(step_sizes))
        output = torch.empty(ends[-1], size, device=hidden.device)
        operand = hidden.new_empty(tweets, self._recurrent[0].inputs, dtype=self._precision)
        operand[:, -size:] = hidden
        # A copy even if the order stays, because it is changed in place.
        blocks = cells.reshape(tweets, -1, self._block).transpose(0, 1).clone(memory_format=torch.contiguous_format)
        gated = hidden.new_empty(tweets, cells.shape[1])
        addends = list(self._bias)
        if self._input is not None:
            distinct = inputs.to(self._precision)
            addends = [block.multiply(distinct, bias) for block, bias in zip(self._input, addends, strict=True)]
        for end, count in zip(ends, step_sizes, strict=True):
            rows = slice(end - count, end)
            current = operand[:count]
            if indices is None:
                current[:, :size] = inputs[rows]
            for block, cell in enumerate(blocks[:, :count]):
                if indices is None:
                    gates = self._recurrent[block].multiply(current, addends[block])
                else:
                    gates = self._recurrent[block].add_product_(addends[block].index_select(0, indices[rows]), current)
                input_gate, forget_gate, output_gate, candidate = gates.float().sigmoid_().chunk(GATES, dim=1)
                # tanh(x) = 2 * sigmoid(2 * x) - 1, the inner 2 is in the weights: several times faster on a CPU.
                cell.mul_(forget_gate).addcmul_(input_gate, candidate, value=2).sub_(input_gate)
                cell.clamp_(-self._cell_clip, self._cell_clip)
                activated = torch.mul(cell, 2, out=candidate).sigmoid_().mul_(2).sub_(1)
                torch.mul(activated, output_gate, out=gated[:count, block * self._block : (block + 1) * self._block])
            projected = self._projection.multiply(gated[:count].to(self._precision)).float()
            output[rows] = projected.clamp_(-self._state_clip, self._state_clip)
            current[:, -size:] = projected
        return output, (operand[:, -size:].float(), blocks.transpose(0, 1).reshape(tweets, -1))


# The context-free vector of a token (twice), and the outputs of both LSTM layers.
Layer = Literal["token", "first", "top"]
LAYERS: tuple[Layer, ...] = get_args(Layer)

StateMode = Literal["zero", "warm"]
# `warm` is the state after these sentences. Tokens are separated by spaces. Changing the text invalidates caches.
WARM_TEXT = (
    "The weather was fine on Sunday , so we took the train to the coast and walked along the beach until the evening .",
    "I had a really good time with my friends , thank you all for coming !",
    "He said that he could not come because he had to work late again .",
)


class ElmoEncoder:
    """The bidirectional language model of Peters et al. (2018), frozen; a tweet's vectors depend on the tweet alone.

    Args:
        weights: as from `read_weights`; they are packed for `device` and cannot be moved later.
        state: the LSTMs' state before each tweet: zeros, or the state after a fixed text (`warm`).
        precision: of the matrix products; cells, sums of gates and results are float32.
    """

    def __init__(
        self,
        options: ElmoOptions,
        weights: Mapping[str, np.ndarray],
        *,
        state: StateMode = "zero",
        precision: "EncoderPrecision" = "fp32",
        device: torch.device | str = "cpu",
    ) -> None:
        lstm = options.lstm
        self.vector_size = options.vector_size
        self.device = torch.device(device)
        dtype = {"fp32": torch.float32, "bf16": torch.bfloat16}[precision]
        tensors = {name: torch.from_numpy(values) for name, values in weights.items()}
        character_weights = {
            name: tensor.to(self.device, dtype) for name, tensor in tensors.items() if not name.startswith("RNN")
        }
        self._characters = CharacterNetwork(options.char_cnn, character_weights)
        self._layers = [
            [
                LstmLayer(lstm, tensors, cell_group(side, n), self.device, dtype, indexed_inputs=n == 0)
                for n in range(lstm.n_layers)
            ]
            for side in range(DIRECTIONS)
        ]
        self._stored_types: dict[str, int] = {}
        self._table = torch.empty(0, lstm.projection_dim, device=self.device)
        self._boundaries = self.type_vectors([SENTENCE_START, SENTENCE_END])
        hidden = torch.zeros(1, lstm.projection_dim, device=self.device)
        cells = torch.zeros(1, lstm.dim, device=self.device)
        self._initial: list[list[State]] = [[(hidden, cells)] * lstm.n_layers] * DIRECTIONS
        if state == "warm":
            for sentence in WARM_TEXT:
                self.set_initial_state(sentence.split())

    @classmethod
    def built(cls, config: "ElmoConfig", files: "ElmoFiles", device: torch.device) -> Self:
        weights = read_weights(files.weights_path, files.options)
        return cls(files.options, weights, state=config.state, precision=config.precision, device=device)

    def type_vectors(self, tokens: Sequence[str]) -> Tensor:
        """(tokens, vector / 2) of float32: context-free vectors; the layer `token` holds each of them twice."""
        if self._stored_types.keys() >= set(tokens):
            return self._table[[self._stored_types[token] for token in tokens]]
        return self._context_free(character_ids(tokens))

    def use_type_vectors(self, types: Sequence[str], vectors: Sequence[np.ndarray]) -> None:
        """Use these vectors of the layer `token` (in shards, one row for each type) instead of computing them."""
        self._stored_types = {token: index for index, token in enumerate(types)}
        halves = [torch.from_numpy(shard[:, : self.vector_size // DIRECTIONS].copy()) for shard in vectors]
        self._table = torch.cat([self._table[:0].cpu(), *halves]).to(self.device)

    @torch.no_grad()
    def set_initial_state(self, sentence: Sequence[str]) -> None:
        """Start all later tweets in the state after this sentence."""
        rows = TokenRows.of_tweets([sentence])
        batch = pack(rows, np.zeros(1, np.int64))
        self._initial = [final for _, final in self._run(batch, self.type_vectors(rows.types), len(LAYERS) - 1)]

    @torch.no_grad()
    def encode(
        self, tweets: Tweets, layers: Collection[str] = LAYERS, batch_tweets: int = BATCH_TWEETS
    ) -> dict[str, Tensor]:
        """The layers asked for, each (tokens of all tweets, vector) of float32; independent of `batch_tweets`."""
        rows = TokenRows.of_tweets(tweets)
        type_vectors = self.type_vectors(rows.types)
        shape = (len(rows.token_ids), self.vector_size)
        encoded: dict[str, Tensor] = {
            layer: torch.empty(shape, device=self.device) for layer in LAYERS if layer in layers
        }
        if "token" in encoded:
            encoded["token"][:] = type_vectors[self._to_device(rows.token_ids)].repeat(1, DIRECTIONS)
        if not encoded.keys() - {"token"}:
            return encoded
        depth = 2 if "top" in encoded else 1
        for chosen in batches_by_length(np.diff(rows.offsets), batch_tweets):
            batch = pack(rows, chosen)
            target = self._to_device(batch.tokens)
            for direction, (outputs, _) in enumerate(self._run(batch, type_vectors, depth)):
                sources = self._to_device(batch.packed_rows[direction])
                for layer, output in zip(LAYERS[1:], outputs, strict=False):
                    if layer in encoded:
                        half = encoded[layer].chunk(DIRECTIONS, dim=1)[direction]
                        half[target] = output.index_select(0, sources)
        return encoded

    @torch.no_grad()
    def _context_free(self, ids: Integers) -> Tensor:
        """(tokens, vector / 2) of float32; tokens are batched by length to reduce padding."""
        vectors = torch.empty(len(ids), self.vector_size // DIRECTIONS, device=self.device)
        order = torch.from_numpy(np.argsort((ids != NO_CHARACTER).sum(1), kind="stable"))
        size = _CHUNK_GPU if self.device.type == "cuda" else _CHUNK_CPU
        for start in range(0, len(ids), size):
            chunk = order[start : start + size]
            chunk_vectors = self._characters(torch.from_numpy(ids)[chunk].to(self.device))
            vectors[chunk.to(self.device)] = chunk_vectors.float()
        return vectors

    def _run(self, batch: PackedBatch, type_vectors: Tensor, depth: int) -> Iterator[tuple[list[Tensor], list[State]]]:
        """Yield, for each direction, the outputs of the lowest `depth` layers (rows, vector) and their final states."""
        # The first layer's input is multiplied with its weights once for each distinct type of this batch.
        distinct, indices = np.unique(np.stack(batch.inputs), return_inverse=True)
        # The two boundary tokens have the highest indices, and every batch has them.
        type_inputs = torch.cat([type_vectors[self._to_device(distinct[:-2])], self._boundaries])
        tweets = batch.step_sizes[0]
        by_direction = self._to_device(indices.reshape(DIRECTIONS, -1))
        for layers, initial, type_indices in zip(self._layers, self._initial, by_direction, strict=True):
            outputs: list[Tensor] = []
            final = []
            for layer, (hidden, cells) in zip(layers[:depth], initial, strict=False):
                state = (hidden.expand(tweets, -1), cells.expand(tweets, -1))
                if not outputs:
                    output, final_state = layer(type_inputs, type_indices, batch.step_sizes, state)
                else:
                    output, final_state = layer(outputs[-1], None, batch.step_sizes, state)
                    output += outputs[-1]  # a skip connection around the layer, not within its recurrence
                outputs.append(output)
                final.append(final_state)
            yield outputs, final

    def _to_device(self, indices: Indices) -> Tensor:
        return torch.from_numpy(indices).to(self.device)


class ScalarMix(nn.Module):
    """gamma * sum over k of softmax(weights)_k * layer_k, as in allennlp; initially gamma is 1 and weights are 0."""

    def __init__(self, mixture_size: int) -> None:
        super().__init__()
        self.weights = nn.Parameter(torch.zeros(mixture_size))
        self.gamma = nn.Parameter(torch.ones(()))

    def forward(self, layers: Sequence[Tensor]) -> Tensor:
        """The mixture of layers of the same shape (..., vector), in the precision of the parameters."""
        # Stored layers may be float16, which is too imprecise to add up and to train in.
        shares = torch.softmax(self.weights, 0)
        weighted = (share * layer.to(shares.dtype) for share, layer in zip(shares, layers, strict=True))
        mixture: Tensor = self.gamma * reduce(torch.add, weighted)
        return mixture
