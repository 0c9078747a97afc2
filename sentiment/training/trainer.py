"""The training loop: epochs, steps, validation, checkpoints and stops."""

import math
import time
from contextlib import AbstractContextManager, nullcontext
from typing import Any

import torch

from sentiment.config import TrainingConfig
from sentiment.encoders.batches import BatchPlan
from sentiment.errors import ConfigError, DivergedError
from sentiment.runs.code_version import running_code
from sentiment.runs.records import EpochRow, StepRow
from sentiment.training.checkpoint import MetricLog, TrainerState, save_checkpoint, seconds_between_saves
from sentiment.training.device import hardware_kind, random_states, restore_random_states
from sentiment.training.stop import RunContext, Stop
from sentiment.training.task import ClassifierTask

# What `Trainer.load_state` raises for the state of another model or optimiser.
DOES_NOT_FIT = (KeyError, TypeError, ValueError, RuntimeError, AttributeError)


class Updater:
    """Updates a model's weights by the gradient of a loss."""

    def __init__(self, model: Any, config: TrainingConfig, device: torch.device) -> None:
        """Prepare updates of a model that is on `device`.

        Raises:
            ConfigError: the device does not support the precision.
        """
        self._dtype = {"fp32": None, "bf16": torch.bfloat16, "fp16": torch.float16}[config.precision]
        if self._dtype and device.type == "cpu":
            raise ConfigError(f"training.precision = {config.precision!r} needs a CUDA GPU; valid on this cpu: fp32")
        self._device_type = device.type
        self._parameters = list(model.parameters())
        self._clip = config.clip
        self._learning_rate = config.learning_rate
        # Under autocast cuDNN's recurrent networks compute in fp16 even with bf16, which thus needs scaling as well.
        self._scaler = torch.amp.GradScaler(device.type, enabled=self._dtype is not None)
        optimizers = {"adam": torch.optim.Adam, "adamw": torch.optim.AdamW, "sgd": torch.optim.SGD}
        optimizer: Any = optimizers[config.optimizer]
        self._optimizer = optimizer(self._parameters, lr=config.learning_rate, weight_decay=config.l2, fused=True)

    def precision(self) -> AbstractContextManager[Any]:
        return nullcontext() if self._dtype is None else torch.autocast(self._device_type, self._dtype)

    def update(self, loss: torch.Tensor, factor: float = 1.0) -> None:
        """Compute the gradient, clip its global norm, and take one step with the learning rate times `factor`."""
        for group in self._optimizer.param_groups:
            group["lr"] = self._learning_rate * factor
        self._optimizer.zero_grad(set_to_none=True)
        self._scaler.scale(loss).backward()  # type: ignore[no-untyped-call]
        if self._clip is not None:
            self._scaler.unscale_(self._optimizer)
            torch.nn.utils.clip_grad_norm_(self._parameters, self._clip)
        self._scaler.step(self._optimizer)
        self._scaler.update()

    def state_dict(self) -> dict[str, Any]:
        return {"optimizer": self._optimizer.state_dict(), "scaler": self._scaler.state_dict()}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        # The settings are those of the configuration, to which the state belongs.
        settings = self._optimizer.state_dict()["param_groups"]
        self._optimizer.load_state_dict({"state": state["optimizer"]["state"], "param_groups": settings})
        self._scaler.load_state_dict(state["scaler"])


class Trainer:
    """Trains the model of a task.

    Attributes:
        state: its position, its sums and what else a checkpoint holds; weights, optimiser and random generators are in
            it as they were when it was saved.
        log: writes the rows that `state` holds to the run's metric log.
        saved_step: the step of the last checkpoint.
    """

    def __init__(self, run: RunContext, task: ClassifierTask, identity: dict[str, str], threads: int) -> None:
        """A checkpoint that training resumes from must agree with the `identity`."""
        self.task = task
        self.model = task.model
        self.device = task.device
        self.saved_step = 0
        self._run = run
        self._training = run.config.training
        self._updater = Updater(task.model, run.config.training, self.device)
        self.state = TrainerState(
            identity=identity,
            code=running_code().training_files,
            threads=threads,
            hardware=[hardware_kind(self.device)],
            loss_sum=torch.zeros((), dtype=torch.float64, device=self.device),
        )
        self.log = MetricLog(run.run_dir, self.state.log)

    @property
    def should_stop_early(self) -> bool:
        return self.state.early_stopping.should_stop(self._training.early_stopping.patience)

    def train(self) -> None:
        """Train to the end.

        Raises:
            Stop: there is a reason to stop; everything is saved.
            DivergedError: the loss or a probability is not finite.
            OSError, TakenOverError: as `RunDir.write`.
        """
        state = self.state
        self._clock = self._saved = time.monotonic()
        try:
            while state.epoch < self._training.epochs and not self.should_stop_early:
                self._run.stop.check_rung(state.epoch)
                self.model.train()
                batches = self.task.batches(state.epoch)
                while state.batch < len(batches):
                    self._run.stop.check()
                    self._take_step(batches)
                    if self._save_is_due():
                        self.save()
                self._log_loss()
                self._run.stop.check()
                self._evaluate_epoch()
        except Stop:
            self.save()
            raise
        self.save()

    def _take_step(self, batches: BatchPlan) -> None:
        """Train on the next batch."""
        state = self.state
        start = time.monotonic()
        with self._updater.precision():
            loss, penalty = self.task.loss(batches[state.batch])
        total = loss if penalty is None else loss + penalty
        self._updater.update(total, self.task.learning_rate_factor(state.step))
        state.step += 1
        state.batch += 1
        state.loss_sum += loss.detach()
        state.loss_steps += 1
        if state.loss_steps == self._training.log_every:
            self._log_loss()
        self._run.stop.steps.append(time.monotonic() - start)
        self._run.console.progress(f"epoch {state.epoch + 1}/{self._training.epochs}", state.batch, len(batches))

    def _log_loss(self) -> None:
        """Log the mean loss of the steps since the last such row, if there are any."""
        state = self.state
        if not state.loss_steps:
            return
        loss = state.loss_sum.item() / state.loss_steps
        if not math.isfinite(loss):
            raise self._diverged(f"the loss is {loss}")
        self.log.add(StepRow(step=state.step, epoch=state.epoch + 1, loss=loss))
        state.loss_sum.zero_()
        state.loss_steps = 0

    def _evaluate_epoch(self) -> None:
        """Measure and log the epoch, and count it as completed; an interruption leaves everything unchanged."""
        state = self.state
        try:
            train = self.task.metrics_of("train", self._run.stop.check)
            validation = self.task.metrics_of("validation", self._run.stop.check)
        except FloatingPointError as error:
            raise self._diverged(str(error)) from None
        state.epoch += 1
        state.batch = 0
        metric = self._training.early_stopping.metric
        value = -validation.loss if metric == "loss" else float(getattr(validation, metric))
        best = state.early_stopping.update(state.epoch, value, self.model)
        self.log.add(EpochRow(step=state.step, epoch=state.epoch, best=best, train=train, validation=validation))
        self.log.write()
        self._run.console.say(
            f"epoch {state.epoch:>2}  train loss {train.loss:.4f} accuracy {train.accuracy:.3f}   validation loss "
            f"{validation.loss:.4f} accuracy {validation.accuracy:.3f} macro recall {validation.macro_recall:.3f}"
            f"{'   best so far' if best else ''}"
        )

    def _diverged(self, reason: str) -> DivergedError:
        rate = f"training.learning_rate = {self._training.learning_rate:g}"
        return DivergedError(
            f"{reason} at step {self.state.step} (epoch {self.state.epoch + 1}) with {rate}; lower it or training.clip"
        )

    def _save_is_due(self) -> bool:
        if every := self._run.config.runtime.checkpoint.every_steps:
            return self.state.step % every == 0
        return time.monotonic() - self._saved >= seconds_between_saves(self._run.stop.saves)

    def load_state(self, state: TrainerState) -> None:
        """Continue from a state. Raises one of `DOES_NOT_FIT` if it is that of another model or optimiser."""
        self.model.load_state_dict(state.model)
        self._updater.load_state_dict(state.updater)
        restore_random_states(state.random, self.device)
        hardware = state.hardware
        if hardware[-1] != self.state.hardware[-1]:
            hardware = hardware + self.state.hardware
        update = {"code": self.state.code, "hardware": hardware, "loss_sum": state.loss_sum.to(self.device)}
        self.state = state.model_copy(update=update)
        self.saved_step = state.step
        self.log = MetricLog(self._run.run_dir, self.state.log)
        self.log.write()  # rows after the checkpoint are dropped, since training repeats them

    def save(self) -> None:
        start = time.monotonic()
        self.state.seconds += start - self._clock
        self._clock = start
        self.log.write()
        self.state.model = self.model.state_dict()
        self.state.updater = self._updater.state_dict()
        self.state.random = random_states(self.device)
        save_checkpoint(self._run.run_dir, self.state)
        self._saved = time.monotonic()
        self.saved_step = self.state.step
        self._run.stop.saves.append(self._saved - start)
