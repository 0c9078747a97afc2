"""What a trainer has to know of what it trains: the batches, the loss and what is measured after an epoch."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol

import torch


class Trainable(Protocol):
    """A model with weights, which may include some that are not trained."""

    def trainable_parameters(self) -> list[torch.nn.Parameter]:
        """The parameters that the optimiser changes."""

    def state_dict(self) -> dict[str, Any]:
        """All weights, by name."""

    def load_state_dict(self, state_dict: dict[str, Any], /) -> object:
        """Set all weights."""

    def train(self, mode: bool = True) -> object:
        """Turn dropout on."""


class Batches(Protocol):
    """The batches of one epoch, each put together when it is asked for."""

    def __len__(self) -> int:
        """How many steps the epoch has."""

    def __getitem__(self, number: int, /) -> Any:
        """A batch, counted from 0; the same one whenever it is asked for."""


class Validation(Protocol):
    """What early stopping looks at; of a classifier also `accuracy` and `f1`."""

    @property
    def loss(self) -> float:
        """In nats; the lower the better."""


@dataclass(frozen=True)
class StepLoss:
    """The loss of one batch; gradients flow through both."""

    value: torch.Tensor
    """(): what is logged."""
    penalty: torch.Tensor | None = None
    """(): what is minimised besides."""


@dataclass(frozen=True)
class Evaluation:
    """What an epoch's evaluation found."""

    row: dict[str, Any]
    """For the metric log: scores by part, and whatever else belongs to the epoch."""
    validation: Validation
    summary: str
    """For the terminal, in a few words."""


class Task(Protocol):
    """What is trained. Apart from the model's weights it has no memory, so that a run can resume."""

    model: Any
    """A `Trainable` module, on the task's device."""
    device: torch.device
    section: str
    """Of the configuration: where a user sets learning rate and batch size; for messages."""

    def batches(self, epoch: int) -> Batches:
        """The batches of an epoch, counted from 0; a function of the epoch alone."""

    def loss(self, batch: Any) -> StepLoss:
        """The loss of the model on a batch."""

    def evaluate(self, check: Callable[[], None]) -> Evaluation:
        """Measure the model.

        Args:
            check: called between batches; an error that it raises ends the evaluation, which changes no weights.

        Raises:
            FloatingPointError: what the model says is not a number; the message says of what.
        """
