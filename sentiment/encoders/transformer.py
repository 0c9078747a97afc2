"""A pretrained transformer as an encoder: a vector for each token of a tweet, or one for the whole tweet."""

import itertools
from collections.abc import Collection, Iterator, Sequence
from typing import TYPE_CHECKING, Any, Self

import numpy as np
import torch

from sentiment.errors import EncoderError, in_one_line
from sentiment.tokens import HASHTAG, URL, USER, Tweets

if TYPE_CHECKING:
    from sentiment.config import EncoderConfig, EncoderPrecision
    from sentiment.encoders.batches import Layers
    from sentiment.encoders.pretrained import HubFiles

PIECES = "pieces"  # the layer with a vector for each token, which is the mean over its pieces (subword tokens)
TWEET = "tweet"  # the layer with a vector for each tweet

_MAX_PIECES = 256  # of a tweet; one of 280 characters has fewer
_BATCH_PIECES = 4096
# Every tokeniser tells at least two of them apart, whatever its language.
_DIFFERENT_WORDS = ["good", "bad", "1", "2"]
# Replacements for the mask tokens of our cleaning: the forms used in TweetEval's pretraining data.
_WORDS = {URL: "http", USER: "@user", HASHTAG: "#"}


class Transformer:
    """An `Encoder` that reads tweets as their tokens joined by spaces.

    A batch has tweets of equal length, so that nothing is padded. The batch size may change the last digits.

    Args:
        precision: of the weights and of all layers; the returned vectors and the means are float32.

    Raises:
        EncoderError: the model needs code of its own or more than a text, or its files are damaged, incomplete or do
            not fit each other.
    """

    def __init__(
        self, model: "HubFiles", device: torch.device | str = "cpu", precision: "EncoderPrecision" = "fp32"
    ) -> None:
        self._name = model.name
        self.device = torch.device(device)
        self._tokenizer, network = _load(model)
        dtype = {"fp32": torch.float32, "bf16": torch.bfloat16}[precision]
        self.network = network.requires_grad_(False).to(self.device, dtype)
        self.vector_size: int = network.config.hidden_size
        positions = getattr(network.config, "max_position_embeddings", _MAX_PIECES + 2)
        # RoBERTa counts positions from 2.
        self._max_pieces = min(_MAX_PIECES, self._tokenizer.model_max_length, positions - 2)

    @classmethod
    def built(cls, config: "EncoderConfig", files: "HubFiles", device: torch.device) -> Self:
        return cls(files, device, config.precision)

    def pieces(self, tweets: Tweets) -> list[list[int]]:
        """The subword ids of each tweet, including special tokens."""
        ids: list[list[int]] = self._tokenize(_words(tweets))["input_ids"]
        return ids

    @torch.inference_mode()
    def encode(self, tweets: Tweets, layers: Collection[str]) -> "Layers":
        """`pieces`: (tokens of all tweets, vector), zeros for a token without any piece; `tweet`: (tweets, vector)."""
        words = _words(tweets)
        by_token = PIECES in layers
        if by_token and not self._tokenizer.is_fast:
            raise EncoderError(
                f"encoder {self._name!r}: its tokeniser ({type(self._tokenizer).__name__}) does not tell which piece "
                "belongs to which token; valid is encoder.use: tweet"
            )
        tokenized = self._tokenize(words, return_offsets_mapping=by_token)
        piece_ids = tokenized["input_ids"]
        offsets = np.cumsum([0, *map(len, tweets)]).tolist()
        # The last row is for the special tokens, which belong to no token of a tweet.
        sums = torch.zeros(offsets[-1] + 1 if by_token else 1, self.vector_size, device=self.device)
        counts = sums.new_zeros(len(sums), 1)
        pooled = sums.new_empty(len(tweets), self.vector_size)
        for chosen in _batches([len(ids) for ids in piece_ids]):
            ids = torch.tensor([piece_ids[tweet] for tweet in chosen], device=self.device)
            if not ids.shape[1]:  # a tokeniser without special tokens makes nothing of an empty tweet
                pooled[chosen] = 0
                continue
            states = self.network(input_ids=ids, attention_mask=torch.ones_like(ids)).last_hidden_state.float()
            pooled[chosen] = states.mean(1)
            if by_token:
                spans = tokenized["offset_mapping"]
                owners = np.concatenate([_owners(words[tweet], spans[tweet], offsets[tweet]) for tweet in chosen])
                rows = torch.from_numpy(np.where(owners < 0, offsets[-1], owners)).to(self.device)
                sums.index_add_(0, rows, states.flatten(0, 1))
                counts.index_add_(0, rows, counts.new_ones(len(rows), 1))
        vectors = {PIECES: (sums / counts.clamp(min=1))[:-1], TWEET: pooled}
        return {layer: vectors[layer] for layer in layers}

    def _tokenize(self, words: Tweets, return_offsets_mapping: bool = False) -> Any:
        return self._tokenizer(
            [" ".join(tweet) for tweet in words],
            truncation=True,
            max_length=self._max_pieces,
            return_attention_mask=False,
            return_token_type_ids=False,
            return_offsets_mapping=return_offsets_mapping,
        )


def _load(model: "HubFiles") -> tuple[Any, Any]:
    """The tokeniser and the network (in evaluation mode) of a model, offline and without running code of the model.

    Raises:
        EncoderError: see `Transformer`.
    """
    from transformers import AutoModel, AutoTokenizer
    from transformers.utils import logging

    logging.set_verbosity_error()
    logging.disable_progress_bar()
    safe: dict[str, Any] = {"local_files_only": True, "trust_remote_code": False}
    try:
        # Some models have a layer that no checkpoint holds and nothing here reads; it gets random numbers.
        with torch.random.fork_rng(devices=[]):
            tokenizer = AutoTokenizer.from_pretrained(model.folder, **safe)
            network, loading_info = AutoModel.from_pretrained(
                model.folder, use_safetensors=True, dtype=torch.float32, output_loading_info=True, **safe
            )
    except Exception as error:  # the library and the model's files raise exceptions of any kind
        raise EncoderError(
            f"encoder {model.name!r}: {model.folder} cannot be loaded: {in_one_line(error)[:300]}"
        ) from None
    network.eval()
    # The library fills missing weights with random numbers.
    if missing := sorted(name for name in loading_info["missing_keys"] if "pooler" not in name):
        problem: str | None = f"{len(missing)} weights of its config.json are missing, such as {missing[0]}"
    else:
        problem = _tokenizer_problem(tokenizer, network)
    if problem:
        raise EncoderError(f"encoder {model.name!r}: {model.folder}: {problem}")
    _check_network(model, tokenizer, network)
    return tokenizer, network


def _tokenizer_problem(tokenizer: Any, network: Any) -> str | None:
    """Why a tokeniser cannot be that of a network; None if it can."""
    # Without tokeniser files the library makes up a tokeniser that knows no word.
    if len({tuple(ids) for ids in tokenizer(_DIFFERENT_WORDS)["input_ids"]}) == 1:
        words = ", ".join(_DIFFERENT_WORDS)
        return f"its tokeniser cannot tell the words {words} apart; are its files (tokenizer.json, vocab.txt) missing?"
    largest = max(tokenizer.get_vocab().values())
    known = network.get_input_embeddings().num_embeddings
    if largest >= known:
        return f"its tokeniser has the token id {largest}, but the weights are for the ids 0 to {known - 1}"
    return None


def _check_network(model: "HubFiles", tokenizer: Any, network: Any) -> None:
    """Raise EncoderError if a network gives no vectors of a text."""
    ids = torch.tensor([tokenizer(" ".join(_DIFFERENT_WORDS))["input_ids"]])
    origin = f"encoder {model.name!r}: {model.folder}"
    try:
        with torch.inference_mode():
            states = network(input_ids=ids, attention_mask=torch.ones_like(ids)).last_hidden_state
    except Exception as error:  # of any kind, such as that of a model which also needs the input of a decoder
        raise EncoderError(
            f"{origin}: it gives no vectors of a text alone (one with a decoder, such as T5, does not): "
            f"{in_one_line(error)[:300]}"
        ) from None
    if not states.isfinite().all():
        raise EncoderError(f"{origin}: its vectors are infinite or not numbers; its weights are damaged")


def _words(tweets: Tweets) -> list[list[str]]:
    return [[_WORDS.get(token, token) for token in tweet] for tweet in tweets]


def _batches(lengths: Sequence[int]) -> Iterator[list[int]]:
    """Indices of tweets in batches of equal length, longest first, so that an out-of-memory error occurs at once."""
    order = sorted(range(len(lengths)), key=lambda tweet: -lengths[tweet])
    for length, of_length in itertools.groupby(order, lambda tweet: lengths[tweet]):
        tweets = list(of_length)
        size = max(1, _BATCH_PIECES // max(1, length))
        for start in range(0, len(tweets), size):
            yield tweets[start : start + size]


def _owners(words: Sequence[str], spans: Sequence[tuple[int, int]], first: int) -> np.ndarray:
    """(pieces,): the token that each piece is part of, as its index plus `first`; -1 for special tokens."""
    last = np.array([end - 1 if end > start else -1 for start, end in spans])
    # By the last character of a piece, which may begin with the space before its token, or be that space.
    ends = np.cumsum([len(word) + 1 for word in words]) - 1
    return np.where(last >= 0, np.searchsorted(ends, last, side="right") + first, -1)
