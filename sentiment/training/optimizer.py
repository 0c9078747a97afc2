"""One optimiser update: mixed precision, clipping, fused where torch can."""

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
    """Turns a loss into changed weights.

    Raises:
        ConfigError: mixed precision is asked for without a CUDA device.
    """

    def __init__(self, model: Classifier, config: TrainingConfig, device: torch.device) -> None:
        if config.precision != "fp32" and device.type != "cuda":
            raise ConfigError(
                f"training.precision = {config.precision!r} needs a CUDA GPU; valid on this {device.type}: fp32"
            )
        self._parameters = model.trainable_parameters()
        self._clip = config.clip
        self._dtype = {"fp32": None, "bf16": torch.bfloat16, "fp16": torch.float16}[config.precision]
        # Under autocast cuDNN's recurrent nets compute in fp16 whatever was asked, so bf16 needs scaling as well.
        self._scaler = torch.amp.GradScaler(device.type, enabled=self._dtype is not None)
        options: dict[str, Any] = {"lr": config.learning_rate, "weight_decay": config.l2}
        if config.optimizer in _FUSED and not (config.optimizer == "adagrad" and device.type == "cuda"):
            options["fused"] = True
        self._optimizer = OPTIMIZERS[config.optimizer](self._parameters, **options)

    def precision(self) -> AbstractContextManager[Any]:
        """The context in which the forward pass runs."""
        return nullcontext() if self._dtype is None else torch.autocast("cuda", self._dtype)

    def update(self, loss: torch.Tensor) -> None:
        """Backward pass, clipping of the whole gradient's norm, one step."""
        self._optimizer.zero_grad(set_to_none=True)
        self._scaler.scale(loss).backward()  # type: ignore[no-untyped-call]
        if self._clip is not None:
            self._scaler.unscale_(self._optimizer)
            torch.nn.utils.clip_grad_norm_(self._parameters, self._clip)
        self._scaler.step(self._optimizer)
        self._scaler.update()

    def state_dict(self) -> dict[str, Any]:
        """Moments and scale, as tensors and plain values."""
        return {"optimizer": self._optimizer.state_dict(), "scaler": self._scaler.state_dict()}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on from what `state_dict` returned."""
        self._optimizer.load_state_dict(state["optimizer"])
        self._scaler.load_state_dict(state["scaler"])
