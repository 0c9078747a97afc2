"""Classifiers: padding changes nothing, dropout is for training only, gradients are right, with ELMo's vectors too."""

from typing import Any
from unittest.mock import Mock

import numpy as np
import pytest
import torch

from sentiment.config import EmbeddingConfig
from sentiment.data.vocabulary import PADDING
from sentiment.encoders.batches import Batch, BatchPlan, Rows, TokenStore
from sentiment.encoders.elmo import LAYERS
from sentiment.models.classifier import (
    Classifier,
    FrozenEmbedding,
    HiddenLayers,
    LearnedEmbedding,
    build_classifier,
    predict,
)
from tests.models.batches import EVERY_MODEL, LENGTHS, VOCABULARY, config, model, name, store


def _padded() -> tuple[Batch, list[Batch]]:
    """All tweets side by side, and each alone, in the same order."""
    tweets = store()
    (together,) = tweets.in_order_of_length(np.arange(len(LENGTHS)))
    assert together.padded
    alone = [tweets.in_order_of_length(np.array([row]))[0] for row in together.rows.tolist()]
    assert not any(batch.padded for batch in alone)
    return together, alone


@pytest.mark.parametrize("changes", EVERY_MODEL, ids=name)
def test_padded_batch_gives_the_logits_of_its_tweets_alone_and_the_sum_of_gradients(changes: dict[str, Any]) -> None:
    classifier = model(changes).eval()
    together, alone = _padded()
    output = classifier(together)
    expected = torch.cat([classifier(batch).logits for batch in alone])
    torch.testing.assert_close(output.logits, expected, atol=1e-6, rtol=1e-5)
    assert output.logits.std() > 0.01, "the tweets differ, so the logits should"
    filled = torch.where(together.mask, together.token_ids, 7)
    other = Batch(together.rows, filled, together.lengths, together.labels, padded=True)
    torch.testing.assert_close(classifier(other).logits, output.logits, atol=1e-6, rtol=1e-5)
    output.logits.sum().backward()
    gradients: dict[str, Any] = {key: parameter.grad for key, parameter in classifier.named_parameters()}
    classifier.zero_grad()  # sets them to None
    assert None not in gradients.values()
    expected.sum().backward()
    for key, parameter in classifier.named_parameters():
        torch.testing.assert_close(gradients[key], parameter.grad, atol=1e-5, rtol=1e-4)


def test_probabilities_come_in_the_order_of_the_rows() -> None:
    classifier, tweets = model({}), store()
    rows = np.array([4, 0, 6, 3, 2, 5])
    expected = [predict(classifier, tweets, rows[place : place + 1])[0] for place in range(len(rows))]
    np.testing.assert_allclose(predict(classifier, tweets, rows), expected, rtol=1e-5)
    assert len({round(second, 3) for _, second in expected}) == len(rows)


def test_hidden_layers_are_linear_maps_with_relu_after_each() -> None:
    layers = HiddenLayers(4, config({"model.kind": "feed_forward", "model.pooling": "mean", "model.layers": 2}).model)
    vectors = torch.randn(3, 4)
    (first, first_bias), (second, second_bias) = ((layer.weight, layer.bias) for layer in layers.layers)
    expected = ((vectors @ first.T + first_bias).clamp(min=0) @ second.T + second_bias).clamp(min=0)
    torch.testing.assert_close(layers.eval()(vectors), expected)


@pytest.mark.parametrize("dropout", ["model.dropout", "embedding.dropout", "embedding.token_dropout"])
def test_dropout_is_for_training_only(dropout: str) -> None:
    together, _ = _padded()
    classifier = model({"model.layers": 2, dropout: 0.5})
    plain = model({"model.layers": 2}).eval()(together).logits
    assert torch.equal(classifier.eval()(together).logits, plain)
    state = torch.get_rng_state()
    first, second = (classifier.train()(together).logits for _ in range(2))
    assert not torch.equal(first, second)
    torch.set_rng_state(state)
    assert torch.equal(classifier(together).logits, first)


def test_vectors_end_with_how_positive_the_words_are_rated_even_of_hidden_ones() -> None:
    settings = EmbeddingConfig(size=4, polarity=True, dropout=0.9, token_dropout=0.9)
    embedding = LearnedEmbedding(VOCABULARY, settings).train()
    offsets = np.array([0, 3, 3, 5])  # the second tweet is empty
    rated = np.array([1.5, 0, -2, 0.5, -1], np.float32)
    store = TokenStore(np.arange(5) + 2, offsets, np.zeros(3), torch.device("cpu"), polarity=rated)
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


SIZE = 6
TWEETS = (4, 2, 3)


class _MadeUpVectors:
    """Random vectors for each token, zeros behind the last one; those of a broken tweet cannot be read."""

    prefetch = True

    def __init__(self, broken: int | None = None) -> None:
        made, self.broken = torch.Generator().manual_seed(0), broken
        self.tweets = {layer: [torch.randn(length, SIZE, generator=made) for length in TWEETS] for layer in LAYERS}

    def gather(self, rows: Rows, longest: int) -> dict[str, torch.Tensor]:
        if self.broken in rows:
            raise OSError("the disk is gone")
        found = {layer: torch.zeros(len(rows), longest, SIZE) for layer in LAYERS}
        for layer, vectors in found.items():
            for place, row in enumerate(rows):
                vectors[place, : TWEETS[row]] = self.tweets[layer][row]
        return found


def _of_elmo(*rows: int) -> Batch:
    return store(TWEETS, _MadeUpVectors()).in_order_of_length(np.array(rows))[0]


def _with_elmo(**changes: Any) -> tuple[Classifier, FrozenEmbedding]:
    torch.manual_seed(0)
    parameters = {f"elmo.{name}": value for name, value in ({"model": "small"} | changes).items()}
    classifier = build_classifier(config(parameters), VOCABULARY, Mock(vector_size=SIZE))
    return classifier, classifier.embedding


@pytest.mark.parametrize("layer", LAYERS)
def test_one_layer_alone_is_passed_on_as_it_is_or_stands_before_learned_vectors(layer: str) -> None:
    batch = _of_elmo(0, 1, 2)
    classifier, embedding = _with_elmo(layers=layer, combine="alone", dropout=0.5)
    assert (embedding.train()(batch)[batch.mask] == 0).any()
    assert torch.equal(embedding.eval()(batch), batch.layers[layer])
    assert not any("embedding" in name for name, _ in classifier.named_parameters())
    _, embedding = _with_elmo(layers=layer)
    assert torch.equal(embedding(batch), torch.cat([batch.layers[layer], embedding.learned(batch)], dim=2))
    assert embedding.size == SIZE + 6


def test_mixture_begins_as_the_mean_and_is_learned() -> None:
    classifier, embedding = _with_elmo(layers="mix")
    batch = _of_elmo(0, 1, 2)
    mean = torch.stack([batch.layers[layer] for layer in LAYERS]).mean(0)
    torch.testing.assert_close(embedding(batch)[:, :, :SIZE], mean)
    assert embedding.mixture_weights() == pytest.approx([1 / 3] * 3)
    optimizer = torch.optim.SGD(classifier.parameters(), lr=10)
    classifier(batch).logits.sum().backward()
    optimizer.step()
    mixture = embedding.mixture_weights()
    assert sum(mixture) == pytest.approx(1)
    assert mixture != pytest.approx([1 / 3] * 3, abs=1e-3)


def test_vectors_are_read_ahead_and_a_failure_comes_with_the_batch_that_needs_them() -> None:
    def plan(vectors: _MadeUpVectors) -> BatchPlan:
        return store(TWEETS, vectors).epoch(np.arange(3), 1, 1, 0)

    whole = plan(_MadeUpVectors())
    for number in (0, 1, 2, 1, 0, 0, 2):
        batch = whole[number]
        assert torch.equal(batch.layers["top"][0], _MadeUpVectors().tweets["top"][int(batch.rows[0])])
    broken = plan(_MadeUpVectors(broken=int(whole[1].rows[0])))
    assert broken[0].layers
    with pytest.raises(OSError, match="the disk is gone"):
        broken[1]
