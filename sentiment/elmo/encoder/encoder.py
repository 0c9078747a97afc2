"""The encoder: tokenised tweets in, the vectors of the layers asked for out, equal to allennlp's."""

from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import dataclass
from typing import Literal, get_args

import numpy as np
import torch
from torch import nn

from sentiment.elmo.encoder.character_network import CharacterNetwork
from sentiment.elmo.encoder.characters import SENTENCE_END, SENTENCE_START, character_ids
from sentiment.elmo.encoder.lstm import LstmStack
from sentiment.elmo.encoder.packing import NumberedTweets, PackedBatch, batches_by_length, number_tweets, pack
from sentiment.elmo.encoder.state import WARM_TEXT, LstmState, StateMode
from sentiment.elmo.options import DIRECTIONS, ElmoOptions
from sentiment.elmo.weights import Weights
from sentiment.errors import ElmoError

Layer = Literal["token", "first", "top"]
"""The context-free vector of a token (twice), and the outputs of both LSTM layers."""
LAYERS: tuple[Layer, ...] = get_args(Layer)

Precision = Literal["fp32", "bf16", "fp16"]
_DTYPES = {"fp32": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16}

BATCH_TWEETS = 1024
"""More make no faster: products of 1024 rows run at the processor's limit."""


@dataclass(frozen=True)
class Encoded:
    """Vectors of tweets, without padding."""

    layers: dict[Layer, torch.Tensor]
    """Each (tokens of all tweets, vector)."""
    offsets: np.ndarray
    """(tweets + 1,): tweet k has the rows from `offsets[k]` to `offsets[k + 1]`."""

    def of_tweet(self, number: int, layer: Layer) -> torch.Tensor:
        """(tokens, vector) of one tweet."""
        return self.layers[layer][self.offsets[number] : self.offsets[number + 1]]


class Elmo(nn.Module):
    """The bidirectional language model of Peters et al. (2018) as a frozen encoder.

    A tweet's vectors depend on nothing but the tweet, unless the state is `carry`.
    """

    def __init__(
        self,
        options: ElmoOptions,
        weights: Weights,
        *,
        state: StateMode = "zero",
        precision: Precision = "fp32",
        device: torch.device | str = "cpu",
    ) -> None:
        """Lay the weights out for a device; they are not moved later.

        Args:
            state: in which an LSTM begins a tweet: `zero`; `warm`, always that after a fixed text; or `carry`, what the
                tweet at the same place in the batch before left, as allennlp does.
            precision: of the matrix products; cells, sums of gates and results are float32.

        Raises:
            ElmoError: the model has another number of layers than the published ones.
        """
        super().__init__()
        if options.lstm.n_layers != len(LAYERS) - 1:
            raise ElmoError(
                f"n_layers = {options.lstm.n_layers} in the options of an ELMo model: 2 is what is known here"
            )
        self.options, self.state, self.precision, self.device = options, state, precision, torch.device(device)
        dtype = _DTYPES[precision]
        self._characters = CharacterNetwork(options.char_cnn, weights, dtype).to(self.device)
        self._directions = nn.ModuleList(
            LstmStack(options.lstm, [both[direction] for both in weights.cells], dtype, self.device)
            for direction in range(DIRECTIONS)
        )
        self._marks = self.type_vectors([SENTENCE_START, SENTENCE_END])
        self._carried: LstmState | None = None
        self._initial = LstmState.zeros(options.lstm, 1, self.device)
        if state == "warm":
            for sentence in WARM_TEXT:
                self._initial = self._state_after(sentence.split(), self._initial)

    @property
    def vector_size(self) -> int:
        """Values per token and layer."""
        return self.options.vector_size

    def initial_state(self) -> LstmState:
        """The state in which each tweet begins, for one tweet; meaningless with `carry`."""
        return self._initial

    def reset_states(self) -> None:
        """With `carry`, begin anew from zeros."""
        self._carried = None

    def carried(self) -> tuple[torch.Tensor, ...]:
        """With `carry`, what the tweets so far have left; nothing before the first."""
        return (self._carried.hidden, self._carried.cells) if self._carried else ()

    def carry_on(self, carried: tuple[torch.Tensor, ...]) -> None:
        """With `carry`, encode from now on as after the tweets that left this."""
        self._carried = LstmState(*(part.to(self.device) for part in carried)) if carried else None

    def type_vectors(self, tokens: Sequence[str]) -> torch.Tensor:
        """(tokens, vector / 2) of float32: context-free vectors; the layer `token` holds each of them twice."""
        vectors: torch.Tensor = self._characters(character_ids(tokens))
        return vectors

    def encode(
        self,
        tweets: Sequence[Sequence[str]],
        layers: Collection[Layer] = LAYERS,
        batch_tweets: int = BATCH_TWEETS,
        dtype: torch.dtype = torch.float32,
    ) -> Encoded:
        """Vectors of tokenised tweets; a tweet may be empty, and a token any string.

        Args:
            batch_tweets: computed at once; without influence on the result unless the state is `carry`, where batches
                are taken as the tweets come.
            dtype: of the result.
        """
        types, numbered = number_tweets(tweets)
        return self.encode_numbered(numbered, self.type_vectors(types), layers, batch_tweets, dtype)

    @torch.no_grad()
    def encode_numbered(
        self,
        tweets: NumberedTweets,
        type_vectors: torch.Tensor,
        layers: Collection[Layer] = LAYERS,
        batch_tweets: int = BATCH_TWEETS,
        dtype: torch.dtype = torch.float32,
        check: Callable[[], None] = lambda: None,
    ) -> Encoded:
        """The same for tweets whose distinct tokens have been through the character network before.

        Args:
            type_vectors: (types, vector / 2) from `type_vectors`.
            check: called before each batch; what it raises ends the work.
        """
        tokens, device = len(tweets.numbers), self.device
        wanted = [layer for layer in LAYERS if layer in layers]
        found = {layer: torch.empty(tokens, self.vector_size, dtype=dtype, device=device) for layer in wanted}
        if "token" in found:
            numbers = torch.from_numpy(tweets.numbers).to(device)
            found["token"].view(tokens, DIRECTIONS, self.options.lstm.projection_dim)[:] = type_vectors.to(dtype)[
                numbers
            ][:, None]
        if found.keys() - {"token"} or self.state == "carry":
            for chosen in self._batches(tweets, batch_tweets):
                check()
                self._encode_batch(tweets, chosen, type_vectors, found)
        return Encoded(found, tweets.offsets)

    def forward(
        self, ids: torch.Tensor, layers: Collection[Layer] = LAYERS
    ) -> tuple[dict[Layer, torch.Tensor], torch.Tensor]:
        """The same from and to padded batches, as is usual in the field.

        Args:
            ids: (sentences, tokens of the longest, 50) from `batch_to_ids`.

        Returns:
            Each layer as (sentences, tokens of the longest, vector), zeros where there is no token, and the mask
            (sentences, tokens of the longest) that is true where there is one.
        """
        mask = (ids > 0).any(2)
        lengths = mask.sum(1).cpu().numpy()
        distinct, numbers = np.unique(ids[mask].cpu().numpy(), axis=0, return_inverse=True)
        tweets = NumberedTweets(numbers.reshape(-1), np.concatenate([[0], np.cumsum(lengths)]))
        encoded = self.encode_numbered(tweets, self._characters(distinct), layers, max(1, len(ids)))
        mask, padded = mask.to(self.device), {}
        for layer, vectors in encoded.layers.items():
            padded[layer] = vectors.new_zeros(*mask.shape, self.vector_size)
            padded[layer][mask] = vectors
        return padded, mask

    def _batches(self, tweets: NumberedTweets, size: int) -> Iterable[np.ndarray]:
        if self.state == "carry":
            return (np.arange(start, min(start + size, len(tweets))) for start in range(0, len(tweets), size))
        return batches_by_length(tweets.lengths, size)

    def _encode_batch(
        self,
        tweets: NumberedTweets,
        chosen: np.ndarray,
        type_vectors: torch.Tensor,
        found: dict[Layer, torch.Tensor],
    ) -> None:
        """Compute the LSTM layers of a batch and put them into their places in `found`."""
        batch = pack(tweets, chosen, len(type_vectors), len(type_vectors) + 1)
        places = torch.from_numpy(batch.tweets - chosen[0]).to(self.device) if self.state == "carry" else None
        if places is None:
            initial = self._initial.repeated(len(chosen))
        else:
            before = self._carried or LstmState.zeros(self.options.lstm, 0, self.device)
            self._carried = before.extended(len(chosen))
            initial = self._carried.chosen(places)
        depth = len(LAYERS) - 1 if "top" in found or places is not None else 1
        tokens = torch.from_numpy(batch.tokens).to(self.device)

        def keep(direction: int, outputs: list[torch.Tensor]) -> None:
            rows = torch.from_numpy(batch.token_rows[direction]).to(self.device)
            for layer, output in zip(LAYERS[1:], outputs, strict=False):
                if layer in found:
                    half = found[layer].chunk(DIRECTIONS, dim=1)[direction]
                    half[tokens] = output.index_select(0, rows).to(half.dtype)

        final = self._run(batch, type_vectors, initial, depth, keep)
        if places is not None and self._carried is not None:
            self._carried = self._carried.updated(places, final)

    def _run(
        self,
        batch: PackedBatch,
        type_vectors: torch.Tensor,
        initial: LstmState,
        depth: int,
        keep: Callable[[int, list[torch.Tensor]], None],
    ) -> LstmState:
        """Run both directions, hand the outputs of each to `keep`, and return the states after the last steps."""
        # The first layer's product with its weights is computed once for each distinct input of this batch.
        distinct, numbers = np.unique(np.stack(batch.inputs), return_inverse=True)
        numbers = numbers.reshape(DIRECTIONS, -1)
        # The two marks have the highest numbers, and every batch has them.
        inputs = torch.cat([type_vectors[torch.from_numpy(distinct[:-2]).to(self.device)], self._marks])
        ends = []
        for direction, stack in enumerate(self._directions):
            numbered = torch.from_numpy(numbers[direction]).to(self.device)
            hidden, cells = initial.hidden[:, direction], initial.cells[:, direction]
            outputs, *end = stack(inputs, numbered, batch.step_sizes, hidden, cells, depth)
            keep(direction, outputs)
            ends.append(end)
        return LstmState(*(torch.stack(part, dim=1) for part in zip(*ends, strict=True)))

    def _state_after(self, sentence: Sequence[str], initial: LstmState) -> LstmState:
        """What one sentence leaves."""
        types, tweets = number_tweets([sentence])
        batch = pack(tweets, np.zeros(1, np.int64), len(types), len(types) + 1)
        return self._run(batch, self.type_vectors(types), initial, len(LAYERS) - 1, _keep_nothing)


def _keep_nothing(direction: int, outputs: list[torch.Tensor]) -> None:
    """For callers that want the last states only."""
