"""Batches of tweets as a language model reads them: forward and backward, each between its two marks."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch

from sentiment.data.batches import Batch, EpochPlan, Rows, TokenStore
from sentiment.elmo.encoder.characters import SENTENCE_END, SENTENCE_START, character_ids

# Numbers of tokens in a store, which reserves 0 and 1.
_FIRST_MARK, _LAST_MARK, _FIRST_TYPE = 2, 3, 4


@dataclass(frozen=True)
class DirectedText:
    """A batch in both directions, each from its own first step on; step k predicts what stands at step k + 1."""

    characters: torch.Tensor
    """(distinct tokens and marks, 50) of int64"""
    inputs: tuple[torch.Tensor, torch.Tensor]
    """Forward and backward, each (time, batch): which of them stands at a step."""
    targets: tuple[torch.Tensor, torch.Tensor]
    """Forward and backward, each (time, batch): the word of the vocabulary that comes next."""
    inside: torch.Tensor
    """(time, batch) of bool: whether something of the tweet comes next."""

    @property
    def words(self) -> int:
        """That are predicted in one direction: all tokens, and one mark for each tweet."""
        return int(self.inside.sum())


class DirectedTweets:
    """Many tweets on a device, which gives them out in batches.

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

    def epoch(self, rows: Rows, batch_size: int, seed: int, epoch: int) -> "DirectedBatches":
        """The batches of one epoch, see `TokenStore.epoch`."""
        return DirectedBatches(self, self.store.epoch(rows, batch_size, seed, epoch))

    def in_order_of_length(self, rows: Rows, most_tokens: int) -> "DirectedBatches":
        """Each of `rows` once, see `TokenStore.in_order_of_length`."""
        return DirectedBatches(self, self.store.in_order_of_length(rows, most_tokens))

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


class DirectedBatches:
    """The batches of an epoch, each put together when it is asked for."""

    def __init__(self, tweets: DirectedTweets, plan: EpochPlan) -> None:
        self._tweets, self._plan = tweets, plan

    def __len__(self) -> int:
        return len(self._plan)

    def __getitem__(self, number: int) -> DirectedText:
        return self._tweets.directed(self._plan[number])

    def __iter__(self) -> Iterator[DirectedText]:
        return (self[number] for number in range(len(self)))
