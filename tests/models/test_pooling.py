"""Pooling against worked examples, and structured self-attention against its formulas."""

from typing import Any

import numpy as np
import pytest
import torch

from sentiment.config import AttentionConfig, ModelConfig
from sentiment.config_file import resolve
from sentiment.data.batches import Batch
from sentiment.models.classifier import FixedPooling, SelfAttention, hop_overlap
from tests.models.batches import store


def _batch(lengths: tuple[int, ...]) -> Batch:
    tweets = store(lengths)
    return tweets.in_order_of_length(np.arange(len(tweets)))[0]


STATES = torch.tensor([[[-1.0, 8.0], [9.0, 9.0], [9.0, 9.0]], [[1.0, 2.0], [3.0, -4.0], [-5.0, 6.0]]])


@pytest.mark.parametrize(
    ("kind", "directions", "expected"),
    [
        ("mean", 1, [[-1, 8], [-1 / 3, 4 / 3]]),
        ("max", 1, [[-1, 8], [3, 6]]),
        ("mean+max", 1, [[-1, 8, -1, 8], [-1 / 3, 4 / 3, 3, 6]]),
        ("last", 1, [[-1, 8], [-5, 6]]),
        ("last", 2, [[-1, 8], [-5, 2]]),  # forward from the last token, backward from the first one
    ],
)
def test_pooling_of_a_padded_batch_is_as_worked_out_by_hand(
    kind: str, directions: int, expected: list[list[float]]
) -> None:
    pooling = FixedPooling(2, resolve({}, {"model.pooling": kind, "model.bidirectional": directions == 2}, "").model)
    pooled = pooling(STATES, _batch((1, 3))).vectors
    torch.testing.assert_close(pooled, torch.tensor(expected, dtype=torch.float32))
    assert pooled.shape[1] == pooling.size


def _attention(state_size: int, **settings: Any) -> SelfAttention:
    return SelfAttention(state_size, ModelConfig(pooling="attention", attention=AttentionConfig(**settings)))


def test_attention_weights_sum_to_one_and_leave_padding_out() -> None:
    batch = _batch((1, 3, 6))
    torch.manual_seed(0)
    pooled = _attention(4, d_a=3, r=2)(torch.randn(3, 6, 4) * 5, batch)
    assert pooled.attention is not None
    assert pooled.attention.shape == (3, 2, 6)
    torch.testing.assert_close(pooled.attention.sum(2), torch.ones(3, 2))
    assert (pooled.attention.transpose(1, 2)[~batch.mask] == 0).all()


def test_attention_is_the_formula_of_lin_et_al() -> None:
    batch = _batch((4, 4))
    torch.manual_seed(0)
    layer = _attention(5, d_a=3, r=2, penalty=0.7).train()
    states = torch.randn(2, 4, 5)
    pooled = layer(states, batch)
    penalties = []
    for row, h in enumerate(states):
        a = torch.softmax(layer.hops.weight @ torch.tanh(layer.hidden.weight @ h.T), dim=1)
        torch.testing.assert_close(pooled.attention[row], a)
        torch.testing.assert_close(pooled.vectors[row], (a @ h).flatten())
        penalties.append(torch.linalg.matrix_norm(a @ a.T - torch.eye(2)) ** 2)
    torch.testing.assert_close(pooled.penalty, 0.7 * torch.stack(penalties).mean())


@pytest.mark.parametrize(("penalty", "training"), [(0.0, True), (0.7, False)])
def test_penalty_is_for_training_and_only_where_it_is_asked_for(penalty: float, training: bool) -> None:
    layer = _attention(5, penalty=penalty).train(training)
    assert layer(torch.randn(2, 4, 5), _batch((4, 4))).penalty is None


def test_penalty_is_zero_where_each_hop_sees_one_token_of_its_own() -> None:
    assert hop_overlap(torch.eye(3)[None]).item() == 0
    assert hop_overlap(torch.tensor([[[1.0, 0.0], [1.0, 0.0]]])).item() == pytest.approx(2)
