"""The language model that is trained computes what the encoder computes, and learns."""

from pathlib import Path

import numpy as np
import pytest
import torch

from sentiment.encoders.cache import Encoder
from sentiment.encoders.elmo import LAYERS, ElmoEncoder
from sentiment.encoders.elmo_files import SIZES, ElmoOptions, read_weights, write_random_model
from sentiment.training.pretraining import DirectedTweets, LanguageModel
from tests.encoders.tweets import ODD_TOKENS, Tweets, largest_difference, random_tweets


def _with_clips(cell_clip: float | None, proj_clip: float | None) -> ElmoOptions:
    tiny = SIZES["tiny"]
    return tiny.model_copy(
        update={"lstm": tiny.lstm.model_copy(update={"cell_clip": cell_clip, "proj_clip": proj_clip})}
    )


def directed(tweets: Tweets) -> tuple[DirectedTweets, list[str]]:
    types = list(dict.fromkeys(token for tweet in tweets for token in tweet))
    number = {token: place for place, token in enumerate(types)}
    ids = np.array([number[token] for tweet in tweets for token in tweet])
    offsets = np.concatenate([[0], np.cumsum([len(tweet) for tweet in tweets])])
    words = np.arange(len(types), dtype=np.int64) + 2
    return DirectedTweets(types, ids, offsets, words, torch.device("cpu")), types


def _vectors(model: LanguageModel, tweets: Tweets) -> dict[str, torch.Tensor]:
    """As an encoder gives them."""
    store, _ = directed(tweets)
    found: dict[int, list[torch.Tensor]] = {}
    with torch.no_grad():
        for batch in store.store.in_order_of_length(np.arange(len(tweets)), 100):
            both = model.eval().layers(store.directed(batch))
            for place, row in enumerate(batch.rows.tolist()):
                inside = slice(1, len(tweets[row]) + 1)
                # Forward, token k is step k + 1; backward, it is as many steps from the other end.
                found[row] = [
                    torch.cat([one[inside, place], other[inside, place].flip(0)], dim=1)
                    for one, other in zip(*both, strict=True)
                ]
    return {layer: torch.cat([found[row][n] for row in range(len(tweets))]) for n, layer in enumerate(LAYERS)}


def _difference(model: LanguageModel, tweets: Tweets, encoder: Encoder) -> float:
    return largest_difference(_vectors(model, tweets), encoder.encode(tweets, LAYERS))


def _weights(model: LanguageModel) -> dict[str, np.ndarray]:
    return {name: values.detach().numpy() for name, values in model.weights.items()}


def _some_tweets() -> Tweets:
    return [*(tweet for tweet in random_tweets(40) if tweet), ODD_TOKENS, ["a"]]


@pytest.mark.parametrize("clips", [(3.0, 3.0), (0.5, 0.1), (None, None), (0.2, None), (None, 0.05)])
def test_vectors_are_the_encoders_at_any_clip(clips: tuple[float | None, float | None]) -> None:
    torch.manual_seed(1)
    options = _with_clips(*clips)
    model = LanguageModel(options, 10, 0.1)
    with torch.no_grad():
        for name, weights in model.weights.items():
            if name.endswith(("W_P_0", "W_0")):
                weights.mul_(2)  # so that values are clipped
    encoder = ElmoEncoder(options, _weights(model))
    tweets = _some_tweets()
    # Gates are near saturation here, where rounding alone makes up to 7e-5; a clip that is left out makes 0.1.
    assert _difference(model, tweets, encoder) <= 1e-3
    if clips[1]:
        first = _vectors(model, tweets)["first"]
        assert (clips[1] == 3.0) or (first.abs() == clips[1]).float().mean() > 0.01


def test_loaded_weights_give_the_vectors_of_the_encoder(tmp_path: Path) -> None:
    options = SIZES["tiny"]
    weights = read_weights(write_random_model(tmp_path, options)[1], options)
    model = LanguageModel(options, 10, 0.1, weights)
    assert _difference(model, _some_tweets(), ElmoEncoder(options, weights)) <= 1e-5


def test_each_direction_predicts_the_next_word_from_those_it_has_read() -> None:
    tweets = [["a", "b", "c"], ["d"]]
    store, types = directed(tweets)
    (batch,) = store.store.in_order_of_length(np.array([0, 1]), 1000)
    text = store.directed(batch)
    names = ["<S>", "</S>", *types]
    for direction, wanted in enumerate(
        [([["d", "</S>"], ["a", "b", "c", "</S>"]]), ([["d", "<S>"], ["c", "b", "a", "<S>"]])]
    ):
        for place, words in enumerate(wanted):
            inside = text.inside[:, place]
            assert [names[word] for word in text.targets[direction][inside, place].tolist()] == words
    assert int(text.inside.sum()) == 6


def test_a_model_learns_a_text_by_heart_in_both_directions() -> None:
    torch.manual_seed(5)
    tweets = [["the", "cat", "sat"], ["a", "dog", "ran", "home"]] * 4
    store, types = directed(tweets)
    model = LanguageModel(SIZES["tiny"], len(types) + 2, 0.0)
    optimizer = torch.optim.Adam(model.trainable_parameters(), 0.01)
    text = store.directed(store.store.epoch(np.arange(len(tweets)), 8, 1, 0)[0])
    first = torch.cat(model(text)).mean().item()
    for _ in range(60):
        optimizer.zero_grad()
        torch.cat(model(text)).mean().backward()
        optimizer.step()
    assert first > 2
    # The first word of a direction cannot be known: one of two, in one of five or four steps.
    assert all(one.mean().item() < 0.25 for one in model(text))
