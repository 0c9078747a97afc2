"""One step of training is the optimiser's, on the gradient that the configuration asks for."""

import sys
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from sentiment.config import TrainingConfig
from sentiment.training.trainer import Updater

RATE, CLIP, DECAY = 0.05, 0.5, 0.3
OPTIMIZERS: dict[str, Any] = {"sgd": torch.optim.SGD, "adam": torch.optim.Adam, "adamw": torch.optim.AdamW}
# Of two parameters together, so that neither may be clipped by itself; the second gradient is smaller than the clip.
WEIGHTS = torch.tensor([0.5, -1.0, 2.0], dtype=torch.float64)
GRADIENTS = torch.tensor([[3.0, -4.0, 12.0], [0.1, 0.2, -0.2], [-2.0, 1.0, 2.0]], dtype=torch.float64)


class _Model(nn.Module):
    """Two parameters, whose gradients a loss can choose."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.second = (nn.Parameter(part.clone()) for part in (WEIGHTS[:2], WEIGHTS[2:]))

    def loss(self, gradient: torch.Tensor) -> torch.Tensor:
        return (self.weights() * gradient).sum()

    def weights(self) -> torch.Tensor:
        return torch.cat([self.first, self.second])


def _trained(**settings: Any) -> torch.Tensor:
    """The weights after some updates, before each of which training was stopped and goes on."""
    model, state = _Model(), None
    for gradient in GRADIENTS:
        updater = Updater(model, TrainingConfig(learning_rate=RATE, **settings), torch.device("cpu"))
        if state:
            updater.load_state_dict(state)
        updater.update(model.loss(gradient))
        state = updater.state_dict()
    return model.weights().detach()


@pytest.mark.parametrize("decay", [0.0, DECAY])
@pytest.mark.parametrize("clip", [None, CLIP])
@pytest.mark.parametrize("optimizer", OPTIMIZERS)
def test_steps_are_those_of_torch_with_clip_and_decay(optimizer: str, clip: float | None, decay: float) -> None:
    model = _Model()
    uninterrupted = OPTIMIZERS[optimizer](model.parameters(), lr=RATE, weight_decay=decay)
    for gradient in GRADIENTS:
        uninterrupted.zero_grad()
        model.loss(gradient * min(1.0, (clip or np.inf) / float(gradient.norm()))).backward()
        uninterrupted.step()
    torch.testing.assert_close(
        _trained(optimizer=optimizer, clip=clip, l2=decay), model.weights().detach(), rtol=1e-5, atol=0
    )


def test_stand_in_for_the_compiler_does_not_outlast_an_update() -> None:
    """Whoever compiles after training gets the real one."""
    _trained(optimizer="adam", clip=None, l2=0.0)
    assert sys.modules.get("torch._dynamo", torch).__spec__ is not None
