"""A pretrained transformer as an encoder: a vector for each token of a tweet, or one for the whole tweet."""

import itertools
from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import Any, Literal

import numpy as np
import torch

from sentiment.data.text import EMOTICON, FROWN, HASHTAG, SMILE, URL, USER
from sentiment.encoders.pretrained import HubFiles
from sentiment.errors import EncoderError

PIECES, TWEET = "pieces", "tweet"
"""The layers: a vector for each token, the mean of its pieces; and one for each tweet."""

_MOST_PIECES = 256  # of a tweet; one of 280 characters has fewer
_BATCH_PIECES = 4096
# What cleaning put in, as models of tweets have seen it (TweetEval's cards), and others may understand it.
_WORDS = {URL: "http", USER: "@user", HASHTAG: "#", SMILE: ":)", FROWN: ":(", EMOTICON: ":|"}


class Transformer:
    """An `Encoder` that reads tweets as their tokens with blanks between them.

    A batch has tweets of equal length, so that nothing is padded. How many there are may change the last digits.

    Args:
        pooling: of a tweet's vector: the mean over its pieces, or the first piece (`[CLS]`, `<s>`).

    Raises:
        EncoderError: the model needs code of its own, or its files are damaged.
    """

    def __init__(
        self, model: HubFiles, pooling: Literal["mean", "first"] = "mean", device: torch.device | str = "cpu"
    ) -> None:
        from transformers import AutoModel, AutoTokenizer
        from transformers.utils import logging

        self.pooling, self.device = pooling, torch.device(device)
        logging.set_verbosity_error()
        logging.disable_progress_bar()
        strict: dict[str, Any] = {"local_files_only": True, "trust_remote_code": False}
        try:
            # Some models have a layer that no checkpoint holds and nothing here reads; it gets random numbers.
            with torch.random.fork_rng(devices=[]):
                self._tokenizer: Any = AutoTokenizer.from_pretrained(model.folder, **strict)
                network, found = AutoModel.from_pretrained(
                    model.folder, use_safetensors=True, dtype=torch.float32, output_loading_info=True, **strict
                )
        except Exception as error:  # of whatever kind the library and the model's files make it
            why = " ".join(str(error).split())[:300]
            raise EncoderError(f"encoder {model.name!r}: {model.folder} cannot be loaded: {why}") from None
        if missing := sorted(name for name in found["missing_keys"] if "pooler" not in name):
            which = f"{len(missing)} weights, such as {missing[0]}"
            raise EncoderError(f"encoder {model.name!r}: {model.folder} lacks {which}")
        self.network: Any = network.eval().requires_grad_(False).to(self.device)
        self.vector_size: int = network.config.hidden_size
        positions = getattr(network.config, "max_position_embeddings", _MOST_PIECES + 2)
        # RoBERTa counts positions from 2.
        self._most_pieces = min(_MOST_PIECES, self._tokenizer.model_max_length, positions - 2)

    def pieces(self, tweets: Sequence[Sequence[str]]) -> list[list[int]]:
        """The numbers of each tweet's pieces, with the marks at its ends."""
        numbers: list[list[int]] = self._read(_words(tweets))["input_ids"]
        return numbers

    @torch.inference_mode()
    def encode(self, tweets: Sequence[Sequence[str]], layers: Collection[str]) -> Mapping[str, torch.Tensor]:
        """`pieces`: (tokens of all tweets, vector), zeros for a token without any piece; `tweet`: (tweets, vector)."""
        words, by_token = _words(tweets), PIECES in layers
        read = self._read(words, return_offsets_mapping=by_token)
        offsets = np.cumsum([0, *map(len, tweets)]).tolist()
        tokens = torch.zeros(offsets[-1] if by_token else 0, self.vector_size, device=self.device)
        pieces = tokens.new_zeros(len(tokens), 1)
        pooled = tokens.new_empty(len(tweets), self.vector_size)
        for chosen in _batches([len(ids) for ids in read["input_ids"]]):
            ids = torch.tensor([read["input_ids"][number] for number in chosen], device=self.device)
            states = self.network(input_ids=ids, attention_mask=torch.ones_like(ids)).last_hidden_state
            pooled[chosen] = states.mean(1) if self.pooling == "mean" else states[:, 0]
            if by_token:
                owners = np.stack([_owners(words[n], read["offset_mapping"][n], offsets[n]) for n in chosen]).ravel()
                inside = torch.from_numpy(np.flatnonzero(owners >= 0)).to(self.device)
                rows = torch.from_numpy(owners).to(self.device)[inside]
                tokens.index_add_(0, rows, states.flatten(0, 1)[inside])
                pieces.index_add_(0, rows, pieces.new_ones(len(rows), 1))
        found = {PIECES: tokens / pieces.clamp(min=1), TWEET: pooled}
        return {layer: found[layer] for layer in layers}

    def _read(self, words: Sequence[Sequence[str]], **returned: bool) -> Any:
        texts, unused = list(map(" ".join, words)), {"return_attention_mask": False, "return_token_type_ids": False}
        return self._tokenizer(texts, truncation=True, max_length=self._most_pieces, **unused, **returned)


def _words(tweets: Sequence[Sequence[str]]) -> list[list[str]]:
    return [[_WORDS.get(token, token) for token in tweet] for tweet in tweets]


def _batches(lengths: Sequence[int]) -> Iterator[list[int]]:
    """Numbers of tweets in batches of equal length, the longest first: lack of memory shows at once."""
    order = sorted(range(len(lengths)), key=lambda number: -lengths[number])
    for length, of_length in itertools.groupby(order, lambda number: lengths[number]):
        numbers, size = list(of_length), max(1, _BATCH_PIECES // length)
        for start in range(0, len(numbers), size):
            yield numbers[start : start + size]


def _owners(words: Sequence[str], spans: Sequence[tuple[int, int]], first: int) -> np.ndarray:
    """(pieces,): the number of the token that each piece is of, counted from `first`; -1 of what stands for no text."""
    last = np.array([end - 1 if end > start else -1 for start, end in spans])
    # By its last character, since a piece may begin with the blank before its token, or be that.
    ends = np.cumsum([len(word) + 1 for word in words]) - 1
    return np.where(last >= 0, np.searchsorted(ends, last, side="right") + first, -1)
