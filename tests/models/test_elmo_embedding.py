"""ELMo's vectors in a classifier: what it reads, what it learns."""

from typing import Any

import numpy as np
import pytest
import torch

from sentiment.config_file import resolve
from sentiment.data.batches import Batch, Rows, TokenStore
from sentiment.encoders.elmo import LAYERS
from sentiment.models.classifier import Classifier, ElmoEmbedding, build_classifier

SIZE = 6
LENGTHS = (4, 2, 3)


class _MadeUpVectors:
    """Random vectors for each token, zeros behind the last one."""

    ahead = True

    def __init__(self) -> None:
        generator = torch.Generator().manual_seed(0)
        self.tweets = {
            layer: [torch.randn(length, SIZE, generator=generator) for length in LENGTHS] for layer in LAYERS
        }

    def gather(self, rows: Rows, longest: int) -> dict[str, torch.Tensor]:
        found = {}
        for layer, tweets in self.tweets.items():
            found[layer] = torch.zeros(len(rows), longest, SIZE)
            for place, row in enumerate(rows):
                found[layer][place, : LENGTHS[row]] = tweets[row]
        return found


def _batch(rows: list[int]) -> Batch:
    offsets = np.cumsum([0, *LENGTHS]).astype(np.int64)
    token_ids = np.random.default_rng(0).integers(2, 9, offsets[-1])
    store = TokenStore(token_ids, offsets, np.array([1, 0, 1]), torch.device("cpu"), _MadeUpVectors())
    return store.in_order_of_length(np.array(rows))[0]


def _classifier(**changes: Any) -> tuple[Classifier, ElmoEmbedding]:
    torch.manual_seed(0)
    parameters = {f"elmo.{name}": value for name, value in ({"model": "tiny"} | changes).items()}
    config = resolve({"embedding": {"size": 5}, "model": {"hidden_size": 4}}, parameters, "a test")
    classifier = build_classifier(config, 9, elmo_size=SIZE)
    assert isinstance(classifier.embedding, ElmoEmbedding)
    return classifier, classifier.embedding


@pytest.mark.parametrize("layer", LAYERS)
def test_one_layer_alone_is_passed_on_as_it_is(layer: str) -> None:
    classifier, embedding = _classifier(layers=layer, combine="alone")
    batch = _batch([0, 1, 2])
    assert embedding.size == SIZE
    assert torch.equal(embedding(batch), batch.layers[layer])
    assert not any("embedding" in name for name, _ in classifier.named_parameters())


def test_learned_vectors_stand_beside() -> None:
    _, embedding = _classifier(layers="top")
    batch = _batch([0, 1])
    assert embedding.size == SIZE + 5
    vectors = embedding(batch)
    assert torch.equal(vectors[:, :, :SIZE], batch.layers["top"])
    assert embedding.learned is not None
    assert torch.equal(vectors[:, :, SIZE:], embedding.learned(batch))


def test_mixture_begins_as_the_mean_and_is_learned() -> None:
    classifier, embedding = _classifier(layers="mix")
    batch = _batch([0, 1, 2])
    mean = torch.stack([batch.layers[layer] for layer in LAYERS]).mean(0)
    torch.testing.assert_close(embedding(batch)[:, :, :SIZE], mean)
    assert embedding.mixture() == pytest.approx([1 / 3] * 3)
    optimizer = torch.optim.SGD(classifier.trainable_parameters(), lr=10)
    classifier(batch).logits.sum().backward()
    optimizer.step()
    mixture = embedding.mixture()
    assert mixture is not None
    assert sum(mixture) == pytest.approx(1)
    assert mixture != pytest.approx([1 / 3] * 3, abs=1e-3)


def test_padding_changes_no_logit() -> None:
    for layers in ("mix", "first"):
        classifier, _ = _classifier(layers=layers)
        classifier.eval()
        together = dict(zip(_batch([0, 1, 2]).rows.tolist(), classifier(_batch([0, 1, 2])).logits, strict=True))
        for row in range(3):
            torch.testing.assert_close(classifier(_batch([row])).logits[0], together[row])


def test_dropout_zeroes_elmo_in_training_only() -> None:
    _, embedding = _classifier(layers="top", dropout=0.5, combine="alone")
    batch = _batch([0, 1, 2])
    embedding.train()
    assert (embedding(batch)[batch.mask] == 0).any()
    embedding.eval()
    assert torch.equal(embedding(batch), batch.layers["top"])


def test_vectors_of_the_next_batch_are_read_ahead_and_are_its_own() -> None:
    offsets = np.cumsum([0, *LENGTHS]).astype(np.int64)
    store = TokenStore(np.full(offsets[-1], 3), offsets, None, torch.device("cpu"), _MadeUpVectors())
    plan = store.epoch(np.arange(3), 1, 1, 0)
    for number in (0, 1, 2, 1, 0, 0, 2):
        batch = plan[number]
        assert torch.equal(batch.layers["top"][0], _MadeUpVectors().tweets["top"][int(batch.rows[0])])


def test_failure_of_reading_ahead_comes_with_the_batch_that_needs_it() -> None:
    class Broken(_MadeUpVectors):
        def gather(self, rows: Rows, longest: int) -> dict[str, torch.Tensor]:
            if rows[0] == second:
                raise OSError("the disk is gone")
            return super().gather(rows, longest)

    offsets = np.cumsum([0, *LENGTHS]).astype(np.int64)
    store = TokenStore(np.full(offsets[-1], 3), offsets, None, torch.device("cpu"), Broken())
    plan = store.epoch(np.arange(3), 1, 1, 0)
    second = int(plan.rows[plan._spans[1][0]])
    assert plan[0].layers
    with pytest.raises(OSError, match="the disk is gone"):
        plan[1]
