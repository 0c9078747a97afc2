"""The recurrent encoder against torch's own bidirectional nets on packed sequences."""

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence

from sentiment.models.classifier import CELLS, RecurrentEncoder, turn_around
from tests.models.batches import config, store

SIZE = 6


def _copy_weights(encoder: RecurrentEncoder, reference: nn.RNNBase) -> None:
    for layer in range(reference.num_layers):
        for nets, suffix in ((encoder.forward_nets, ""), (encoder.backward_nets, "_reverse")):
            if len(nets):
                for kind in ("weight_ih", "weight_hh", "bias_ih", "bias_hh"):
                    target = getattr(reference, f"{kind}_l{layer}{suffix}")
                    target.data.copy_(getattr(nets[layer], f"{kind}_l0"))


@pytest.mark.parametrize("cell", ["lstm", "gru"])
@pytest.mark.parametrize("layers", [1, 2, 3])
@pytest.mark.parametrize("bidirectional", [False, True])
@pytest.mark.parametrize("equal_lengths", [False, True])
def test_encoder_equals_torchs_own_on_packed_sequences(
    cell: str, layers: int, bidirectional: bool, equal_lengths: bool
) -> None:
    tweets = store((4, 4, 4) if equal_lengths else (3, 7, 1, 7, 12, 5))
    batch = tweets.in_order_of_length(np.arange(len(tweets)))[0]
    changes = {"model.cell": cell, "model.layers": layers, "model.bidirectional": bidirectional}
    torch.manual_seed(3)
    encoder = RecurrentEncoder(SIZE, config(changes).model)
    reference = CELLS[cell](SIZE, 5, num_layers=layers, bidirectional=bidirectional, batch_first=True)
    _copy_weights(encoder, reference)
    vectors = torch.randn(*batch.token_ids.shape, SIZE)
    packed = pack_padded_sequence(vectors, batch.lengths, batch_first=True, enforce_sorted=False)
    expected, _ = pad_packed_sequence(reference(packed)[0], batch_first=True)
    states = encoder(vectors, batch)
    assert states.shape[2] == encoder.size
    mask = batch.mask[..., None]
    torch.testing.assert_close(states * mask, expected * mask, atol=1e-6, rtol=1e-5)


def test_turning_around_twice_changes_nothing() -> None:
    states = torch.randn(3, 5, 2)
    positions = torch.tensor([2, 1, 0, 3, 4, 9, 8, 7, 6, 5, 10, 11, 12, 13, 14])
    for where in (positions, None):
        assert torch.equal(turn_around(turn_around(states, where), where), states)
    assert torch.equal(turn_around(states, positions)[0], states[0, [2, 1, 0, 3, 4]])
    assert torch.equal(turn_around(states, None), states.flip(1))


def test_gradient_of_turning_around_is_right() -> None:
    positions = torch.tensor([2, 1, 0, 3, 7, 6, 5, 4])
    states = torch.randn(2, 4, 3, dtype=torch.float64, requires_grad=True)
    for where in (positions, None):
        assert torch.autograd.gradcheck(lambda inputs, w=where: turn_around(inputs, w), (states,))
