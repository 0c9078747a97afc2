"""Updates of the weights: optimiser, mixed precision and gradient clipping."""

from contextlib import AbstractContextManager, nullcontext
from typing import Any

import torch

from sentiment.config import TrainingConfig
from sentiment.elmo.products import measured_rates
from sentiment.errors import ConfigError
from sentiment.training.loop.compiler import WithoutCompiler
from sentiment.training.loop.task import Trainable

OPTIMIZERS: dict[str, type[torch.optim.Optimizer]] = {
    "adam": torch.optim.Adam,
    "adamw": torch.optim.AdamW,
    "sgd": torch.optim.SGD,
}
# Of the rate of products: the rest of a step is no faster, and conversions cost.
_WORTH_HALF = 1.3


class Updater:
    """Updates a model's weights by the gradient of a loss."""

    def __init__(self, model: Trainable, config: TrainingConfig, device: torch.device) -> None:
        """Prepare updates of a model that is on `device`.

        Raises:
            ConfigError: the device lacks the precision, or would be slower in it.
        """
        if device.type == "cpu":
            _refuse_on_cpu(config.precision)
        self._device_type = device.type
        self._parameters = model.trainable_parameters()
        self._clip = config.clip
        self._dtype = {"fp32": None, "bf16": torch.bfloat16, "fp16": torch.float16}[config.precision]
        # Under autocast cuDNN's recurrent networks compute in fp16 even with bf16, which thus needs scaling as well.
        # On a CPU bf16 is what it says, with the exponents of float32.
        self._scaler = torch.amp.GradScaler(device.type, enabled=self._dtype is not None and device.type == "cuda")
        options: dict[str, Any] = {"lr": config.learning_rate, "weight_decay": config.l2, "fused": True}
        self._without_compiler = WithoutCompiler()
        with self._without_compiler:
            self._optimizer = OPTIMIZERS[config.optimizer](self._parameters, **options)

    def precision(self) -> AbstractContextManager[Any]:
        """The context for the forward pass."""
        return nullcontext() if self._dtype is None else torch.autocast(self._device_type, self._dtype)

    def update(self, loss: torch.Tensor) -> None:
        """Compute the gradient, clip the norm of all of it, and take one step."""
        with self._without_compiler:
            self._optimizer.zero_grad(set_to_none=True)
        self._scaler.scale(loss).backward()  # type: ignore[no-untyped-call]
        if self._clip is not None:
            self._scaler.unscale_(self._optimizer)
            torch.nn.utils.clip_grad_norm_(self._parameters, self._clip)
        with self._without_compiler:
            self._scaler.step(self._optimizer)
        self._scaler.update()

    def state_dict(self) -> dict[str, Any]:
        """The state of optimiser and gradient scaler, as tensors and plain values."""
        with self._without_compiler:
            return {"optimizer": self._optimizer.state_dict(), "scaler": self._scaler.state_dict()}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Restore what `state_dict` returned."""
        with self._without_compiler:
            self._optimizer.load_state_dict(state["optimizer"])
        self._scaler.load_state_dict(state["scaler"])


def _refuse_on_cpu(precision: str) -> None:
    if precision == "fp16":
        raise ConfigError("training.precision = 'fp16' needs a CUDA GPU; valid on this cpu: fp32, bf16")
    if precision == "bf16":
        half, single = (max(measured_rates(dtype).values()) / 1e9 for dtype in (torch.bfloat16, torch.float32))
        if half < _WORTH_HALF * single:
            raise ConfigError(
                f"training.precision = 'bf16' would be slower: this processor's core multiplies at {half:.0f} GFLOP/s "
                f"in bf16 and at {single:.0f} in fp32; valid here: fp32"
            )
