"""One step of training is the optimiser's formula, on the gradient that the configuration asks for."""

import math
import sys
from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
import torch
from torch import nn

from sentiment.config import TrainingConfig
from sentiment.training.trainer import Updater

Numbers = npt.NDArray[np.float64]

RATE, CLIP, DECAY = 0.05, 0.5, 0.3
# Of two parameters together, so that neither may be clipped by itself; the second gradient is smaller than the clip.
WEIGHTS = np.array([0.5, -1.0, 2.0])
GRADIENTS = [np.array([3.0, -4.0, 12.0]), np.array([0.1, 0.2, -0.2]), np.array([-2.0, 1.0, 2.0])]


class _Model(nn.Module):
    """Two parameters, whose gradients a loss can choose."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.second = (nn.Parameter(torch.tensor(part)) for part in (WEIGHTS[:2], WEIGHTS[2:]))

    def loss(self, gradient: Numbers) -> torch.Tensor:
        return (torch.cat([self.first, self.second]) * torch.tensor(gradient)).sum()


def _trained(**settings: Any) -> list[Numbers]:
    """The weights after each update, before which training was stopped and goes on."""
    model, state = _Model(), None
    found = []
    for gradient in GRADIENTS:
        updater = Updater(model, TrainingConfig(learning_rate=RATE, **settings), torch.device("cpu"))
        if state:
            updater.load_state_dict(state)
        updater.update(model.loss(gradient))
        state = updater.state_dict()
        found.append(torch.cat([model.first, model.second]).detach().numpy().copy())
    return found


def _clipped(gradient: Numbers, clip: float | None) -> Numbers:
    norm = math.sqrt((gradient**2).sum())
    return gradient if clip is None or norm <= clip else gradient * clip / norm


def _sgd(weights: Numbers, gradients: list[Numbers], decay: float) -> Numbers:
    return weights - RATE * (gradients[-1] + decay * weights)


def _adam(weights: Numbers, gradients: list[Numbers], decay: float) -> Numbers:
    """Kingma & Ba (2015); `gradients` are all so far, with the decay in them."""
    mean, square = np.zeros(3), np.zeros(3)
    for gradient in gradients:
        mean, square = 0.9 * mean + 0.1 * gradient, 0.999 * square + 0.001 * gradient**2
    steps = len(gradients)
    return weights - RATE * (mean / (1 - 0.9**steps)) / (np.sqrt(square / (1 - 0.999**steps)) + 1e-8)


FORMULAS: dict[str, Callable[[Numbers, list[Numbers], float], Numbers]] = {
    "sgd": _sgd,
    "adam": _adam,
    "adamw": lambda weights, gradients, decay: _adam(weights * (1 - RATE * decay), gradients, decay),
}


@pytest.mark.parametrize("decay", [0.0, DECAY])
@pytest.mark.parametrize("clip", [None, CLIP])
@pytest.mark.parametrize("optimizer", FORMULAS)
def test_steps_are_those_of_the_formula_with_clip_and_decay(optimizer: str, clip: float | None, decay: float) -> None:
    weights, gradients = WEIGHTS, []
    for gradient, found in zip(GRADIENTS, _trained(optimizer=optimizer, clip=clip, l2=decay), strict=True):
        # Adam's decay is a part of its gradient, added after clipping; AdamW's is a step of its own.
        gradients.append(_clipped(gradient, clip) + (decay * weights if optimizer == "adam" else 0))
        weights = FORMULAS[optimizer](weights, gradients, decay)
        np.testing.assert_allclose(found, weights, rtol=1e-5)


def test_stand_in_for_the_compiler_does_not_outlast_an_update() -> None:
    """Whoever compiles after training gets the real one."""
    _trained(optimizer="adam", clip=None, l2=0.0)
    assert sys.modules.get("torch._dynamo", torch).__spec__ is not None
