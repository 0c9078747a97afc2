"""The sections `training`, `tracking` and `runtime`: how a model is trained, and on what machine."""

from typing import Annotated, Literal

from pydantic import Field

from sentiment.config.section import Fraction, PositiveFloat, PositiveInt, Section


class EarlyStoppingConfig(Section):
    """When training ends before the last epoch, and which epoch's weights are kept as the best."""

    metric: Literal["loss", "accuracy", "f1"] = "loss"
    """Measured on the validation part; a lower loss is better, and a higher accuracy or F1."""
    patience: PositiveInt | None = 3
    """Training ends after this many epochs without improvement; None trains all epochs."""


class TrainingConfig(Section):
    """How the weights are optimised; the loss is binary cross-entropy on logits."""

    optimizer: Literal["adam", "adamw", "sgd"] = "adam"
    learning_rate: PositiveFloat = 1e-3
    batch_size: PositiveInt = 256
    epochs: PositiveInt = 10
    clip: PositiveFloat | None = 1.0
    """Largest norm of the gradient, taken over all weights; None does not clip."""
    l2: Annotated[float, Field(ge=0)] = 0.0
    """The optimiser's weight decay."""
    early_stopping: EarlyStoppingConfig = EarlyStoppingConfig()
    precision: Literal["fp32", "bf16", "fp16"] = "fp32"
    """bf16 and fp16: automatic mixed precision, with gradient scaling on CUDA GPUs; on CPUs bf16 only, and only where
    the processor is faster in it. Evaluation and predictions are computed in fp32."""
    log_every: PositiveInt = 50
    """Steps between two rows of training loss in the metric log; each epoch adds a row with all metrics."""
    overfit_gap: Fraction = 0.05
    """A run overfits if training accuracy exceeds validation accuracy by more than this at the best epoch."""


class TrackingConfig(Section):
    """Where the metric log is copied to; `metrics.jsonl` itself is always written."""

    wandb: Literal["auto", "offline", "online", "disabled"] = "auto"
    """Mode of Weights & Biases; `auto` means `offline` in Slurm tasks and `disabled` elsewhere."""
    project: str = "sentiment"
    """The project at W&B."""
    entity: str | None = None
    """The user or team at W&B; None is the default of the account."""


class CheckpointConfig(Section):
    """How often to save; by default at the optimal interval for the measured cost of saving (Young 1974)."""

    every_steps: PositiveInt | None = None
    """Save whenever this many steps have been done, instead of at the optimal interval."""


class RuntimeConfig(Section):
    """The machine and its limits; nothing here is part of the run's identity."""

    device: Annotated[str, Field(pattern=r"^(auto|cpu|cuda(:\d+)?)$")] = "auto"
    """`auto` is the first CUDA GPU, or the CPU if there is none."""
    threads: PositiveInt | None = None
    """CPU threads for tensor operations; None is the number of cores that this process may use, at most 8."""
    deterministic: bool = True
    """Refuse nondeterministic operations, so that a resumed run equals an uninterrupted one bit for bit."""
    same_hardware: bool = False
    """Refuse to resume on another kind of processor or GPU, on which the last digits of results may differ."""
    time_limit_seconds: PositiveFloat | None = None
    """Save and stop before this much time has passed, or before Slurm's end of the job if that is earlier."""
    checkpoint: CheckpointConfig = CheckpointConfig()
    other_code: Literal["refuse", "restart", "continue"] = "refuse"
    """What to do if the newest checkpoint was made by another version of the program: refuse it, begin the run anew, or
    go on all the same, which is recorded and shown in the report."""
