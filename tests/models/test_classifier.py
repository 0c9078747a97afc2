"""Classifiers: padding changes nothing, dropout is for training only, gradients are right."""

from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from sentiment.config import EmbeddingConfig
from sentiment.data.batches import Batch, TokenStore
from sentiment.data.vocabulary import PADDING
from sentiment.models.classifier import Classifier, HiddenLayers, LearnedEmbedding, predict
from tests.models.batches import EVERY_MODEL, VOCABULARY, config, model, name, store


def _padded() -> tuple[Batch, list[Batch]]:
    """All tweets side by side, and each alone, in the same order."""
    tweets = store()
    plan = tweets.in_order_of_length(np.arange(len(tweets)))
    assert len(plan) == 1
    together = plan[0]
    assert together.padded
    alone = [tweets.in_order_of_length(np.array([row]))[0] for row in together.rows.tolist()]
    assert not any(batch.padded for batch in alone)
    return together, alone


@pytest.mark.parametrize("changes", EVERY_MODEL, ids=name)
def test_padded_batch_gives_what_each_tweet_gives_alone(changes: dict[str, Any]) -> None:
    classifier = model(changes).eval()
    together, alone = _padded()
    output = classifier(together)
    expected = torch.cat([classifier(batch).logits for batch in alone])
    torch.testing.assert_close(output.logits, expected, atol=1e-6, rtol=1e-5)
    assert output.logits.std() > 0.01, "the tweets differ, so the logits should"


def test_probabilities_come_in_the_order_of_the_rows() -> None:
    classifier, tweets = model({}), store()
    rows = np.array([4, 0, 6, 3, 2, 5])
    expected = [predict(classifier, tweets, rows[place : place + 1])[0] for place in range(len(rows))]
    np.testing.assert_allclose(predict(classifier, tweets, rows), expected, rtol=1e-5)
    assert len({round(one, 3) for one in expected}) == len(rows)


@pytest.mark.parametrize("changes", EVERY_MODEL, ids=name)
def test_gradient_of_a_padded_batch_is_the_sum_of_those_of_its_tweets(changes: dict[str, Any]) -> None:
    classifier = model(changes).eval()
    together, alone = _padded()
    classifier(together).logits.sum().backward()
    gradients = {key: parameter.grad.clone() for key, parameter in classifier.named_parameters()}  # type: ignore[union-attr]
    classifier.zero_grad()
    for batch in alone:
        classifier(batch).logits.sum().backward()
    for key, parameter in classifier.named_parameters():
        torch.testing.assert_close(
            gradients[key], parameter.grad, atol=1e-5, rtol=1e-4, msg=lambda text, k=key: k + text
        )


@pytest.mark.parametrize("changes", EVERY_MODEL, ids=name)
def test_every_weight_has_a_gradient(changes: dict[str, Any]) -> None:
    classifier = model(changes)
    classifier(_padded()[0]).logits.sum().backward()
    assert [key for key, parameter in classifier.named_parameters() if parameter.grad is None] == []


def test_what_stands_at_padded_positions_does_not_matter() -> None:
    together, _ = _padded()
    for changes in EVERY_MODEL:
        classifier = model(changes).eval()
        filled = torch.where(together.mask, together.token_ids, 7)
        other = Batch(together.rows, filled, together.lengths, together.labels, padded=True)
        torch.testing.assert_close(classifier(other).logits, classifier(together).logits, atol=1e-6, rtol=1e-5)


def test_hidden_layers_are_linear_maps_with_relu_after_each() -> None:
    layers = HiddenLayers(4, config({"model.kind": "feed_forward", "model.pooling": "mean", "model.layers": 2}).model)
    vectors = torch.randn(3, 4)
    (first, first_bias), (second, second_bias) = ((layer.weight, layer.bias) for layer in layers.layers)
    expected = ((vectors @ first.T + first_bias).clamp(min=0) @ second.T + second_bias).clamp(min=0)
    torch.testing.assert_close(layers.eval()(vectors), expected)


@pytest.mark.parametrize(
    "dropout", ["model.dropout", "embedding.dropout", "embedding.token_dropout"], ids=lambda key: str(key)
)
def test_dropout_is_for_training_only(dropout: str) -> None:
    together, _ = _padded()
    changes = {"model.layers": 2, dropout: 0.5}
    classifier = model(changes)
    plain = model({"model.layers": 2}).eval()(together).logits
    assert torch.equal(classifier.eval()(together).logits, plain)
    classifier.train()
    assert not torch.equal(classifier(together).logits, classifier(together).logits)


def test_dropout_follows_torchs_generator() -> None:
    together, _ = _padded()
    changes = {"model.layers": 2, "model.dropout": 0.5, "embedding.dropout": 0.2, "embedding.token_dropout": 0.2}
    classifier = model(changes).train()
    state = torch.get_rng_state()
    first = classifier(together).logits
    torch.set_rng_state(state)
    assert torch.equal(classifier(together).logits, first)


def test_vectors_end_with_how_positive_the_words_are_rated_even_of_hidden_ones() -> None:
    settings = EmbeddingConfig(size=4, polarity=True, dropout=0.9, token_dropout=0.9)
    embedding = LearnedEmbedding(VOCABULARY, settings).train()
    offsets = np.array([0, 3, 3, 5])  # the second tweet is empty
    rated = np.array([1.5, 0, -2, 0.5, -1], np.float32)
    store = TokenStore(np.arange(5) + 2, offsets, None, torch.device("cpu"), polarity=rated)
    (batch,) = store.in_order_of_length(np.arange(3))
    vectors = embedding(batch)
    assert vectors.shape == (3, 3, embedding.size) == (3, 3, 5)
    assert vectors[:, :, -1].tolist() == [[0, 0, 0], [0.5, -1, 0], [1.5, 0, -2]]


def test_token_dropout_hides_its_share_and_never_padding() -> None:
    embedding = LearnedEmbedding(VOCABULARY, EmbeddingConfig(size=1, token_dropout=0.3))
    with torch.no_grad():
        embedding.table.weight.copy_(torch.arange(VOCABULARY)[:, None].float())
    token_ids = torch.full((100, 100), 9)
    token_ids[:, 60:] = PADDING
    batch = Batch(torch.arange(100), token_ids, torch.full((100,), 60), torch.zeros(100), padded=True)
    torch.manual_seed(0)
    vectors = embedding(batch)[..., 0]
    assert (vectors[:, 60:] == PADDING).all()
    shown = (vectors[:, :60] == 9).float().mean().item()
    assert shown == pytest.approx(0.7, abs=0.03)
    assert set(vectors[:, :60].unique().tolist()) == {1.0, 9.0}


def test_vectors_to_start_from_are_taken_and_stay_if_not_trainable() -> None:
    vectors = np.random.default_rng(0).normal(size=(VOCABULARY, 4)).astype(np.float32)
    embedding = LearnedEmbedding(VOCABULARY, EmbeddingConfig(size=4, trainable=False), vectors)
    assert np.array_equal(embedding.table.weight.numpy(), vectors)
    assert not embedding.table.weight.requires_grad


def test_weights_depend_on_the_seed_alone() -> None:
    first, second = model(EVERY_MODEL[0]), model(EVERY_MODEL[0])
    assert all(torch.equal(a, b) for a, b in zip(first.parameters(), second.parameters(), strict=True))


def test_no_recurrent_net_has_dropout_of_its_own() -> None:
    """cuDNN keeps its random state where no checkpoint can hold it."""
    classifier = model({"model.layers": 3, "model.dropout": 0.5})
    nets = [module for module in classifier.modules() if isinstance(module, nn.RNNBase)]
    assert len(nets) == 6
    assert all(net.dropout == 0 and net.num_layers == 1 for net in nets)


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA GPU")
@pytest.mark.parametrize("changes", EVERY_MODEL, ids=name)
def test_gpu_gives_the_same_logits_as_the_cpu(changes: dict[str, Any]) -> None:
    classifier: Classifier = model(changes).eval()
    rows = np.arange(len(store()))
    expected = classifier(store().in_order_of_length(rows)[0]).logits
    on_gpu = classifier.to("cuda")(store(device="cuda").in_order_of_length(rows)[0]).logits
    torch.testing.assert_close(on_gpu.cpu(), expected, atol=1e-4, rtol=1e-4)
