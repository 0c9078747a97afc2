"""The encoder: a tweet's vectors depend on its whole text and on nothing else."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from sentiment.encoders import elmo as elmo_module
from sentiment.encoders.elmo import LAYERS, WARM_TEXT, ElmoEncoder, Layer
from tests.encoders.tweets import (
    Layers,
    Model,
    Tweets,
    batches,
    largest_difference,
    of_tweet,
    random_tweets,
    running_on,
)


@pytest.fixture(scope="module", params=["zero", "warm"])
def either_state(request: pytest.FixtureRequest, tiny: Model) -> ElmoEncoder:
    return tiny.elmo(request.param)


def assert_same(found: Layers, wanted: Layers) -> None:
    assert found.keys() == wanted.keys()
    for layer, vectors in found.items():
        torch.testing.assert_close(vectors, wanted[layer], atol=1e-5, rtol=0)


@pytest.mark.slow
@given(batches, st.integers(1, 9), st.randoms(use_true_random=False))
@settings(deadline=None, max_examples=15)
def test_vectors_depend_on_the_text_alone(either_state: ElmoEncoder, batch: Tweets, size: int, chance: object) -> None:
    chance.shuffle(batch)  # type: ignore[attr-defined]
    together = either_state.encode(batch, batch_tweets=size)
    for number, tweet in enumerate(batch):
        assert_same(of_tweet(together, batch, number), either_state.encode([tweet]))


@pytest.mark.parametrize("layers", [["token"], ["first"], ["top", "token"], [], LAYERS], ids=str)
def test_only_the_layers_asked_for_come_and_do_not_change(elmo: ElmoEncoder, layers: list[Layer]) -> None:
    tweets = random_tweets(20, longest=8)
    everything, some = elmo.encode(tweets), elmo.encode(tweets, layers)
    assert set(some) == set(layers)
    assert all(torch.equal(some[layer], everything[layer]) for layer in layers)
    assert all(vectors.shape == (sum(map(len, tweets)), 32) for vectors in everything.values())
    assert not any(vectors.requires_grad for vectors in everything.values())
    for nothing in ([], [[]], [[], []]):
        assert elmo.encode(nothing)["top"].shape == (0, elmo.vector_size)


def test_learnt_vectors_of_tokens_are_read_and_not_computed(tiny: Model, monkeypatch: pytest.MonkeyPatch) -> None:
    elmo, tweets = tiny.elmo(), random_tweets(20, longest=8)
    wanted = elmo.encode(tweets)
    types = sorted({token for tweet in tweets for token in tweet})
    vectors = elmo.encode([types], ["token"])["token"].numpy()
    elmo.use_type_vectors(types, [vectors[:7], vectors[7:]])
    with monkeypatch.context() as patch:
        patch.setattr(elmo, "_characters", lambda ids: pytest.fail("was computed"))
        assert_same(elmo.encode(tweets), wanted)
    assert elmo.encode([["some", "other"], []])["top"].shape == (2, 32)


def test_warm_state_is_what_the_fixed_text_leaves_and_no_state_is_used_up(tiny: Model) -> None:
    warm, zero = tiny.elmo("warm"), tiny.elmo("zero")
    tweet = ["what", "a", "day"]
    *_, after = running_on(tiny, [*(sentence.split() for sentence in WARM_TEXT), tweet])
    found, cold = (elmo.encode([tweet], ["top"]) for elmo in (warm, zero))
    assert_same(found, {"top": after})
    assert not torch.allclose(found["top"], cold["top"], atol=1e-3)
    assert torch.equal(found["top"], warm.encode([tweet], ["top"])["top"])


def test_bf16_works_on_a_processor_whose_onednn_multiplies_float32_alone(
    tiny: Model, monkeypatch: pytest.MonkeyPatch
) -> None:
    def pack(matrix: torch.Tensor) -> torch.Tensor:
        if matrix.dtype != torch.float32:
            raise RuntimeError("mkldnn_reorder_linear_weight: bf16 path needs the cpu support")
        return pack_as_here(matrix)

    pack_as_here = elmo_module._pack
    monkeypatch.setattr(elmo_module, "_pack", pack)
    monkeypatch.setattr(elmo_module, "suits_onednn", elmo_module.suits_onednn.__wrapped__)
    tweets = random_tweets(8)
    exact, rough = (tiny.elmo(precision=precision).encode(tweets, LAYERS) for precision in ("fp32", "bf16"))
    assert 0 < largest_difference(rough, exact) < 0.03
