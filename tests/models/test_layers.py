"""Parts of classifiers: each name builds what it says; layers are those of torch, or their formulas."""

import itertools
from typing import Any, get_args

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence

from sentiment.config import POOLING_NAMES, AttentionConfig, ModelConfig
from sentiment.config_file import resolve
from sentiment.encoders.batches import Batch
from sentiment.errors import ConfigError
from sentiment.models.classifier import CELLS, Dropout, FixedPooling, RecurrentLayers, SelfAttention, reverse_tweets
from tests.models.batches import config, model, store

KINDS = get_args(ModelConfig.model_fields["kind"].annotation)


@pytest.mark.parametrize(("kind", "pooling", "cell"), [*itertools.product(KINDS, POOLING_NAMES, CELLS)])
def test_model_is_built_as_its_configuration_says(kind: str, pooling: str, cell: str) -> None:
    changes: dict[str, Any] = {"model.kind": kind, "model.pooling": pooling, "model.cell": cell, "model.dropout": 0.5}
    if kind != "rnn" and pooling == "last":
        with pytest.raises(ConfigError, match=f"valid with '{kind}': mean, max, mean\\+max, attention"):
            model(changes)
        return
    classifier = model(changes)
    assert isinstance(classifier.pooling, SelfAttention if pooling == "attention" else FixedPooling)
    nets = [type(module) for module in classifier.modules() if isinstance(module, nn.RNNBase)]
    assert nets == ([CELLS[cell]] * 2 if kind == "rnn" else [])
    for net in classifier.modules():  # cuDNN would keep the random state of dropout where no checkpoint can hold it
        assert not isinstance(net, nn.RNNBase) or (net.dropout, net.num_layers) == (0, 1)


SHAPES = [(0,), (1,), (7,), (15,), (16,), (17,), (33,), (256, 3), (5, 40, 31), (64, 15, 100)]


def _drop(kind: type[nn.Dropout], share: float, values: torch.Tensor) -> tuple[torch.Tensor, ...]:
    torch.manual_seed(5)
    values = values.detach().clone(memory_format=torch.preserve_format).requires_grad_()
    dropped = kind(share)(values)
    weights = torch.linspace(-1, 1, dropped.numel(), dtype=dropped.dtype).reshape(dropped.shape)
    (dropped * weights).sum().backward()
    return dropped.detach(), values.grad, torch.get_rng_state()


def _assert_same(share: float, values: torch.Tensor) -> None:
    for mine, theirs in zip(_drop(Dropout, share, values), _drop(nn.Dropout, share, values), strict=True):
        assert mine.dtype == theirs.dtype
        assert torch.equal(mine.reshape(-1).view(torch.uint8), theirs.reshape(-1).view(torch.uint8))  # zeros' signs too


@pytest.mark.parametrize("share", [0.01, 0.1, 0.3, 0.5, 0.9, 0.999999, 0.0, 1.0])
def test_values_gradients_and_the_state_of_the_generator_are_those_of_torch(share: float) -> None:
    for shape in SHAPES:
        _assert_same(share, torch.randn(shape))


SIZE = 6


def _copy_weights(encoder: RecurrentLayers, reference: nn.RNNBase) -> None:
    for layer in range(reference.num_layers):
        for nets, suffix in ((encoder.forward_nets, ""), (encoder.backward_nets, "_reverse")):
            if len(nets):
                for kind in ("weight_ih", "weight_hh", "bias_ih", "bias_hh"):
                    target = getattr(reference, f"{kind}_l{layer}{suffix}")
                    target.data.copy_(getattr(nets[layer], f"{kind}_l0"))


@pytest.mark.parametrize("cell", ["lstm", "gru"])
@pytest.mark.parametrize("layers", [1, 3])
@pytest.mark.parametrize("bidirectional", [False, True])
@pytest.mark.parametrize("equal_lengths", [False, True])
def test_encoder_equals_torchs_packed_one(cell: str, layers: int, bidirectional: bool, equal_lengths: bool) -> None:
    batch = _batch((4, 4, 4) if equal_lengths else (3, 7, 1, 7, 12, 5))
    changes = {"model.cell": cell, "model.layers": layers, "model.bidirectional": bidirectional}
    torch.manual_seed(3)
    encoder = RecurrentLayers(SIZE, config(changes).model)
    reference = CELLS[cell](SIZE, 5, num_layers=layers, bidirectional=bidirectional, batch_first=True)
    _copy_weights(encoder, reference)
    vectors = torch.randn(*batch.token_ids.shape, SIZE)
    packed = pack_padded_sequence(vectors, batch.lengths, batch_first=True, enforce_sorted=False)
    expected, _ = pad_packed_sequence(reference(packed)[0], batch_first=True)
    states = encoder(vectors, batch)
    assert states.shape[2] == encoder.size
    mask = batch.mask[..., None]
    torch.testing.assert_close(states * mask, expected * mask, atol=1e-6, rtol=1e-5)


@pytest.mark.parametrize("positions", [torch.tensor([2, 1, 0, 3, 7, 6, 5, 4]), None])
def test_turning_around_reverses_each_tweet_and_so_does_its_gradient(positions: torch.Tensor | None) -> None:
    states = torch.randn(2, 4, 3, dtype=torch.float64, requires_grad=True)
    turned = reverse_tweets(states, positions)
    assert torch.equal(turned[0], states[0, [2, 1, 0, 3] if positions is not None else [3, 2, 1, 0]])
    assert torch.equal(reverse_tweets(turned, positions), states)
    assert torch.autograd.gradcheck(lambda inputs: reverse_tweets(inputs, positions), (states,))


def _batch(lengths: tuple[int, ...]) -> Batch:
    return store(lengths).in_order_of_length(np.arange(len(lengths)))[0]


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
def test_pooling_of_a_padded_batch_is_as_done_by_hand(kind: str, directions: int, expected: list[list[float]]) -> None:
    pooling = FixedPooling(2, resolve({}, {"model.pooling": kind, "model.bidirectional": directions == 2}, "").model)
    pooled, _, _ = pooling(STATES, _batch((1, 3)))
    torch.testing.assert_close(pooled, torch.tensor(expected, dtype=torch.float32))
    assert pooled.shape[1] == pooling.size


def _attention(state_size: int, **settings: Any) -> SelfAttention:
    return SelfAttention(state_size, ModelConfig(pooling="attention", attention=AttentionConfig(**settings)))


def test_attention_is_the_formula_of_lin_et_al() -> None:
    batch = _batch((2, 4))
    torch.manual_seed(0)
    layer = _attention(5, d_a=3, r=2, penalty=0.7).train()
    states = torch.randn(2, 4, 5)
    vectors, attention, penalty = layer(states, batch)
    penalties = []
    for row, (h, length) in enumerate(zip(states, batch.lengths.tolist(), strict=True)):
        h = h[:length]
        a = torch.softmax(layer.hops.weight @ torch.tanh(layer.hidden.weight @ h.T), dim=1)
        torch.testing.assert_close(attention[row], torch.nn.functional.pad(a, (0, 4 - length)))
        torch.testing.assert_close(vectors[row], (a @ h).flatten())
        penalties.append(torch.linalg.matrix_norm(a @ a.T - torch.eye(2)) ** 2)
    torch.testing.assert_close(penalty, 0.7 * torch.stack(penalties).mean())
    assert layer.eval()(states, batch)[2] is None
    assert _attention(5, penalty=0.0).train()(states, batch)[2] is None
