"""Our dropout is torch's, bit for bit: earlier checkpoints go on with the same masks."""

import pytest
import torch
from torch import nn

from sentiment.models.classifier import Dropout

SHAPES = [(0,), (1,), (7,), (15,), (16,), (17,), (33,), (256, 3), (5, 40, 31), (64, 15, 100)]


def _drop(kind: type[nn.Dropout], share: float, values: torch.Tensor) -> tuple[torch.Tensor, ...]:
    torch.manual_seed(5)
    values = values.detach().clone(memory_format=torch.preserve_format).requires_grad_()
    dropped = kind(share)(values)
    weights = torch.linspace(-1, 1, dropped.numel(), dtype=dropped.dtype).reshape(dropped.shape)
    (dropped * weights).sum().backward()
    assert values.grad is not None
    return dropped.detach(), values.grad, torch.get_rng_state()


def _assert_same(share: float, values: torch.Tensor) -> None:
    for mine, theirs in zip(_drop(Dropout, share, values), _drop(nn.Dropout, share, values), strict=True):
        assert mine.dtype == theirs.dtype
        assert torch.equal(mine.reshape(-1).view(torch.uint8), theirs.reshape(-1).view(torch.uint8))  # zeros' signs too


@pytest.mark.parametrize("share", [0.01, 0.1, 0.3, 0.5, 0.9, 0.999999, 0.0, 1.0])
def test_values_gradients_and_the_state_of_the_generator_are_those_of_torch(share: float) -> None:
    for shape in SHAPES:
        _assert_same(share, torch.randn(shape))


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.bfloat16, torch.float16])
def test_other_types_and_orders_in_memory_too(dtype: torch.dtype) -> None:
    values = torch.randn(6, 9, 50).to(dtype)
    for one in (values, values.transpose(1, 2), values.permute(2, 0, 1), values[:, ::2]):
        _assert_same(0.3, one)


@pytest.mark.parametrize("threads", [1, 2])
def test_any_number_of_threads_gives_the_same(threads: int) -> None:
    before = torch.get_num_threads()
    torch.set_num_threads(threads)
    try:
        _assert_same(0.2, torch.randn(256, 40, 100))
    finally:
        torch.set_num_threads(before)
