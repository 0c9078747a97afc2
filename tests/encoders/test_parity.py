"""Our encoder against the real one of allennlp 2.10.1, layer by layer."""

from pathlib import Path

import pytest
import torch
from hypothesis import given, settings

from sentiment.encoders.allennlp import ReferenceElmo
from sentiment.encoders.elmo import ElmoEncoder
from tests.encoders.oracle import needs_allennlp
from tests.encoders.tweets import Model, Tweets, batches, largest_difference, random_tweets, strong_model

pytestmark = needs_allennlp


def _difference(model: Model, tweets: Tweets, batch_tweets: int = 7) -> float:
    wanted = ReferenceElmo(model.options, model.weights, state="zero").encode(tweets, batch_tweets=19)
    return largest_difference(model.elmo().encode(tweets, batch_tweets=batch_tweets), wanted)


@pytest.fixture(scope="module")
def reference(tiny: Model) -> ReferenceElmo:
    return ReferenceElmo(tiny.options, tiny.weights, state="zero")


@pytest.mark.usefixtures("library")
def test_all_lengths_and_odd_tokens_agree(tiny: Model) -> None:
    assert _difference(tiny, random_tweets(60)) <= 1e-5


@pytest.mark.usefixtures("library")
def test_saturated_gates_and_clipped_values_agree(saturating: Model) -> None:
    tweets = random_tweets(60)
    assert _difference(saturating, tweets) <= 1e-4
    first = saturating.elmo().encode(tweets, ["first"])["first"]
    assert (first.abs() == 3).float().mean() > 0.01


def test_state_after_the_fixed_text_agrees(saturating: Model) -> None:
    tweets = random_tweets(40)
    wanted = ReferenceElmo(saturating.options, saturating.weights, state="warm").encode(tweets, batch_tweets=19)
    assert largest_difference(saturating.elmo("warm").encode(tweets, batch_tweets=7), wanted) <= 1e-4
    assert largest_difference(saturating.elmo("zero").encode(tweets), wanted) > 0.1


@pytest.mark.shared_data
@pytest.mark.usefixtures("library")
def test_trained_weights_agree(trained_tiny: Model) -> None:
    assert _difference(trained_tiny, random_tweets(60)) <= 1e-5


@pytest.mark.slow
@pytest.mark.parametrize(("size", "tweets"), [("small", 20), pytest.param("original", 4, marks=pytest.mark.more)])
@pytest.mark.usefixtures("library")
def test_published_sizes_agree(size: str, tweets: int, tmp_path: Path) -> None:
    model = strong_model(tmp_path, size, strength=2)
    try:
        assert _difference(model, random_tweets(tweets, longest=tweets), batch_tweets=3) <= 1e-4
    finally:
        model.weights.unlink()  # large


@given(batches)
@settings(deadline=None, max_examples=40)
def test_any_batch_agrees(elmo: ElmoEncoder, reference: ReferenceElmo, batch: Tweets) -> None:
    wanted, found = reference.encode(batch), elmo.encode(batch)
    for layer, vectors in wanted.items():
        torch.testing.assert_close(found[layer], vectors, atol=1e-5, rtol=0)
