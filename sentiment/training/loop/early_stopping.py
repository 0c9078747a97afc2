"""Early stopping: which epoch is the best, its weights, and when training ends."""

from typing import Any

import torch
from torch import nn

from sentiment.config import EarlyStoppingConfig
from sentiment.training.loop.task import Validation


class EarlyStopping:
    """Follows one validation metric from epoch to epoch."""

    def __init__(self, config: EarlyStoppingConfig) -> None:
        self._config = config
        self._best_value = float("-inf")
        self.best_epoch = 0
        self.best_weights: dict[str, torch.Tensor] = {}
        self._epochs_since_best = 0

    def update(self, epoch: int, validation: Validation, model: nn.Module) -> bool:
        """Learn the metrics of an epoch; True if it is the best so far, whose weights are then kept on the CPU."""
        metric = self._config.metric
        value = -validation.loss if metric == "loss" else float(getattr(validation, metric))
        if value <= self._best_value:
            self._epochs_since_best += 1
            return False
        self._best_value, self.best_epoch, self._epochs_since_best = value, epoch, 0
        self.best_weights = {name: tensor.detach().cpu().clone() for name, tensor in model.state_dict().items()}
        return True

    @property
    def should_stop(self) -> bool:
        """Whether there was no improvement for as many epochs as `patience` allows."""
        patience = self._config.patience
        return patience is not None and self._epochs_since_best >= patience

    def state_dict(self) -> dict[str, Any]:
        """The whole state, as tensors and plain values."""
        return {
            "best_value": self._best_value,
            "best_epoch": self.best_epoch,
            "best_weights": self.best_weights,
            "epochs_since_best": self._epochs_since_best,
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Restore what `state_dict` returned."""
        self._best_value = state["best_value"]
        self.best_epoch = state["best_epoch"]
        self.best_weights = state["best_weights"]
        self._epochs_since_best = state["epochs_since_best"]
