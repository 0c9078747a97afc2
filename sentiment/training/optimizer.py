"""Updates of the weights: optimiser, mixed precision and gradient clipping."""

from contextlib import AbstractContextManager, nullcontext
from typing import Any

import torch

from sentiment.config import TrainingConfig
from sentiment.errors import ConfigError
from sentiment.models.classifier import Classifier

OPTIMIZERS: dict[str, type[torch.optim.Optimizer]] = {
    "adam": torch.optim.Adam,
    "adamw": torch.optim.AdamW,
    "rmsprop": torch.optim.RMSprop,
    "adagrad": torch.optim.Adagrad,
    "sgd": torch.optim.SGD,
}
_FUSED = {"adam", "adamw", "adagrad", "sgd"}


class Updater:
    """Updates a model's weights by the gradient of a loss."""

    def __init__(self, model: Classifier, config: TrainingConfig, device: torch.device) -> None:
        """Prepare updates of a model that is on `device`.

        Raises:
            ConfigError: mixed precision needs a CUDA device.
        """
        if config.precision != "fp32" and device.type != "cuda":
            raise ConfigError(
                f"training.precision = {config.precision!r} needs a CUDA GPU; valid on this {device.type}: fp32"
            )
        self._parameters = model.trainable_parameters()
        self._clip = config.clip
        self._dtype = {"fp32": None, "bf16": torch.bfloat16, "fp16": torch.float16}[config.precision]
        # Under autocast cuDNN's recurrent networks compute in fp16 even with bf16, which thus needs scaling as well.
        self._scaler = torch.amp.GradScaler(device.type, enabled=self._dtype is not None)
        options: dict[str, Any] = {"lr": config.learning_rate, "weight_decay": config.l2}
        if config.optimizer in _FUSED and not (config.optimizer == "adagrad" and device.type == "cuda"):
            options["fused"] = True
        self._optimizer = OPTIMIZERS[config.optimizer](self._parameters, **options)

    def precision(self) -> AbstractContextManager[Any]:
        """The context for the forward pass."""
        return nullcontext() if self._dtype is None else torch.autocast("cuda", self._dtype)

    def update(self, loss: torch.Tensor) -> None:
        """Compute the gradient, clip the norm of all of it, and take one step."""
        self._optimizer.zero_grad(set_to_none=True)
        self._scaler.scale(loss).backward()  # type: ignore[no-untyped-call]
        if self._clip is not None:
            self._scaler.unscale_(self._optimizer)
            torch.nn.utils.clip_grad_norm_(self._parameters, self._clip)
        self._scaler.step(self._optimizer)
        self._scaler.update()

    def state_dict(self) -> dict[str, Any]:
        """The state of optimiser and gradient scaler, as tensors and plain values."""
        return {"optimizer": self._optimizer.state_dict(), "scaler": self._scaler.state_dict()}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Restore what `state_dict` returned."""
        self._optimizer.load_state_dict(state["optimizer"])
        self._scaler.load_state_dict(state["scaler"])
