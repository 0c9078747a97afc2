import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from sentiment.elmo.encoder import LAYERS, ElmoEncoder, Layer, batches_by_length, number_tweets, pack
from sentiment.elmo.files import batch_to_ids, read_options, read_weights
from sentiment.elmo.lstm import WARM_TEXT, state_record
from sentiment.errors import ElmoError
from tests.elmo.tweets import Model, batches, random_tweets, running_on

Tweets = list[list[str]]


@pytest.fixture(scope="module", params=["zero", "warm"])
def order_free(request: pytest.FixtureRequest, tiny: Model) -> ElmoEncoder:
    return tiny.elmo(request.param)


def assert_same(found: torch.Tensor, wanted: torch.Tensor) -> None:
    torch.testing.assert_close(found, wanted, atol=1e-5, rtol=0)


@pytest.mark.slow
@given(batches, st.integers(1, 9), st.randoms(use_true_random=False))
@settings(deadline=None, max_examples=40)
def test_vectors_depend_neither_on_neighbours_nor_batch_size_nor_order(
    order_free: ElmoEncoder, batch: Tweets, size: int, chance: object
) -> None:
    order = list(range(len(batch)))
    chance.shuffle(order)  # type: ignore[attr-defined]
    together = order_free.encode([batch[number] for number in order], batch_tweets=size)
    for place, number in enumerate(order):
        alone = order_free.encode([batch[number]])
        for layer in LAYERS:
            assert_same(together.of_tweet(place, layer), alone.layers[layer])


@pytest.mark.parametrize("layers", [["token"], ["first"], ["top"], ["top", "token"], [], LAYERS], ids=str)
def test_only_the_layers_asked_for_come_and_do_not_change(elmo: ElmoEncoder, layers: list[Layer]) -> None:
    tweets = random_tweets(20, longest=8)
    everything, some = elmo.encode(tweets), elmo.encode(tweets, layers)
    assert set(some.layers) == set(layers)
    for layer in layers:
        assert torch.equal(some.layers[layer], everything.layers[layer])


def test_shapes_are_those_of_the_tokens(elmo: ElmoEncoder) -> None:
    encoded = elmo.encode([["a", "b"], [], ["c"]])
    assert encoded.offsets.tolist() == [0, 2, 2, 3]
    assert elmo.vector_size == 32
    assert all(vectors.shape == (3, 32) and vectors.dtype == torch.float32 for vectors in encoded.layers.values())
    assert encoded.of_tweet(1, "top").shape == (0, 32)
    for nothing in ([], [[]], [[], []]):
        assert elmo.encode(nothing).layers["top"].shape == (0, 32)


def test_both_halves_of_the_token_layer_are_the_type_vector(elmo: ElmoEncoder) -> None:
    tweets = [["good", "morning"], ["good"]]
    vectors = elmo.type_vectors(["good", "morning", "good"])
    assert_same(elmo.encode(tweets).layers["token"], torch.cat([vectors, vectors], dim=1))


def test_learnt_vectors_of_tokens_are_read_and_not_computed(tiny: Model, monkeypatch: pytest.MonkeyPatch) -> None:
    elmo, tweets = tiny.elmo(), random_tweets(20, longest=8)
    wanted = elmo.encode(tweets)
    types = sorted({token for tweet in tweets for token in tweet})
    vectors = elmo.encode([[token] for token in types], ["token"]).layers["token"].numpy()
    elmo.learn(types, [vectors[:7], vectors[7:]])
    with monkeypatch.context() as patch:
        patch.setattr(elmo, "_characters", lambda ids: pytest.fail("was computed"))
        found = elmo.encode(tweets)
    for layer in LAYERS:
        assert_same(found.layers[layer], wanted.layers[layer])
    assert elmo.encode([["some", "other"], []]).layers["top"].shape == (2, 32)


def test_padded_batches_give_the_same(elmo: ElmoEncoder) -> None:
    tweets = random_tweets(20, longest=8)
    layers, mask = elmo.encode_ids(batch_to_ids(tweets))
    assert mask.sum(1).tolist() == [len(tweet) + 2 for tweet in tweets]
    encoded = elmo.encode(tweets)
    for name, layer in zip(LAYERS, layers, strict=True):
        for tweet, found in enumerate(layer):
            assert_same(found[1 : 1 + len(tweets[tweet])], encoded.of_tweet(tweet, name))
        assert (layer[~mask] == 0).all()


def test_a_long_token_is_its_first_48_bytes(elmo: ElmoEncoder) -> None:
    first, second, other = elmo.type_vectors(["u" * 48 + "one", "u" * 48 + "two", "u" * 47 + "w"])
    assert_same(first, second)
    assert not torch.allclose(first, other, atol=1e-3)


def test_warm_state_is_what_the_fixed_text_leaves(tiny: Model) -> None:
    warm, zero = tiny.elmo("warm"), tiny.elmo("zero")
    tweet = ["what", "a", "day"]
    *_, after = running_on(tiny, [*(sentence.split() for sentence in WARM_TEXT), tweet])
    found = warm.encode([tweet], ["top"]).layers["top"]
    assert_same(found, after)
    assert not torch.allclose(found, zero.encode([tweet], ["top"]).layers["top"], atol=1e-3)
    assert state_record("zero") == {"state": "zero"}
    assert set(state_record("warm")) == {"state", "text_sha256"}


def test_the_initial_state_is_not_used_up(tiny: Model) -> None:
    for state in ("zero", "warm"):
        elmo = tiny.elmo(state)
        first, second = (elmo.encode([["one", "tweet"]]).layers["top"] for _ in range(2))
        assert torch.equal(first, second)


@pytest.mark.slow
@pytest.mark.parametrize(("precision", "near"), [("bf16", 0.05), ("fp16", 0.01)])
def test_lower_precision_is_near(tiny: Model, elmo: ElmoEncoder, precision: str, near: float) -> None:
    tweets = random_tweets(30, longest=20)
    found = tiny.elmo(precision=precision).encode(tweets)  # type: ignore[arg-type]
    for layer, vectors in elmo.encode(tweets).layers.items():
        assert found.layers[layer].dtype == torch.float32
        assert 0 < (found.layers[layer] - vectors).abs().max() < near


def test_nothing_is_trained(elmo: ElmoEncoder) -> None:
    assert not any(vectors.requires_grad for vectors in elmo.encode([["a"]]).layers.values())


def test_another_number_of_layers_is_refused(tiny: Model) -> None:
    options = read_options(tiny.options)
    weights = read_weights(tiny.weights, options)
    deeper = options.model_copy(update={"lstm": options.lstm.model_copy(update={"n_layers": 3})})
    with pytest.raises(ElmoError, match=r"n_layers = 3 .* 2 is valid"):
        ElmoEncoder(deeper, weights)


@pytest.mark.parametrize("change", [{"cell_clip": None}, {"proj_clip": None}, {"cell_clip": 0.05}], ids=str)
def test_clips_are_part_of_the_model(saturating: Model, change: dict[str, float | None]) -> None:
    options = read_options(saturating.options)
    weights = read_weights(saturating.weights, options)
    other = options.model_copy(update={"lstm": options.lstm.model_copy(update=change)})
    tweets = random_tweets(20, longest=20)
    outputs = [ElmoEncoder(one, weights).encode(tweets, ["first"]).layers["first"] for one in (options, other)]
    assert not torch.allclose(*outputs, atol=1e-2)


def test_a_packed_batch_has_each_row_once() -> None:
    _, tweets = number_tweets([["a"], ["b", "c", "a"], [], ["c", "b"]])
    batch = pack(tweets, np.array([3, 1, 2]), 10, 11)
    assert batch.tweets.tolist() == [1, 3, 2]
    assert batch.step_sizes == [3, 3, 2, 2, 1][: len(batch.step_sizes)]
    assert batch.inputs[0].tolist() == [10, 10, 10, 1, 2, 11, 2, 1, 0, 11, 11]
    assert batch.inputs[1].tolist() == [11, 11, 11, 0, 1, 10, 2, 2, 1, 10, 10]
    assert batch.tokens.tolist() == [-1, 1, 2, 3, -1, -1, 4, 5, -1, -1, -1]
    for rows, inputs in zip(batch.rows, batch.inputs, strict=True):
        assert inputs[rows].tolist() == [10, 1, 2, 0, 11, 10, 2, 1, 11, 10, 11]


@given(st.lists(st.integers(0, 40), max_size=50), st.integers(1, 60))
def test_batches_hold_each_tweet_once_and_the_longest_first(lengths: list[int], size: int) -> None:
    order = [int(number) for batch in batches_by_length(np.array(lengths, np.int64), size) for number in batch]
    assert sorted(order) == list(range(len(lengths)))
    assert [lengths[number] for number in order] == sorted(lengths, reverse=True)
