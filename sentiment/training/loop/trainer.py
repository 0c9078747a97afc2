"""The training loop: steps, epochs and saves. It stops between steps, and resumes exactly where it stopped."""

import math
import time
from typing import Any, Generic, TypeVar

import torch

from sentiment.errors import DivergedError, RunDirError
from sentiment.training.context import RunContext
from sentiment.training.device import random_states, restore_random_states
from sentiment.training.hardware import Hardware, kinds_after
from sentiment.training.loop.checkpoint import Checkpoints, SaveSchedule
from sentiment.training.loop.early_stopping import EarlyStopping
from sentiment.training.loop.metric_log import MetricLog, TimingLog
from sentiment.training.loop.optimizer import Updater
from sentiment.training.loop.task import Batches, Task
from sentiment.training.stop import Stop, StoppedError

T = TypeVar("T", bound=Task)


class Trainer(Generic[T]):
    """Trains the model of one task.

    Its state consists of the position (step, epoch, batch), weights, optimiser, random generators, early stopping, the
    metric log, and sums over the steps since the last row of the log. The order of the batches is a function of seed
    and epoch.
    """

    def __init__(self, run: RunContext, task: T, identity: dict[str, str | int]) -> None:
        """Begin with the weights of the task's model, or go on after `load_state_dict`.

        Args:
            identity: what a checkpoint must agree with to be resumed from; stored in it.
        """
        self.task = task
        self.model = task.model
        self.device = task.device
        self.checkpoints = Checkpoints(run.run_dir.checkpoints, run.run_dir.write)
        self.early_stopping = EarlyStopping(run.config.training.early_stopping)
        self.step = 0
        self.epoch = 0  # epochs completed
        self.batch = 0  # batches done of the current epoch
        self.seconds = 0.0  # trained, over all attempts
        self.save_seconds = 0.0
        self.hardware = [Hardware.of(self.device).kind]  # that computed the steps, in its order
        self._config = run.config
        self._stop = run.stop
        self._console = run.console
        self._identity = identity
        self._updater = Updater(task.model, run.config.training, self.device)
        self.log = MetricLog(run.run_dir, run.console.say)
        self._timings = TimingLog(run.run_dir)
        self._loss_sum = torch.zeros((), dtype=torch.float64, device=self.device)
        self._loss_steps = 0
        checkpoint = run.config.runtime.checkpoint
        self._schedule = SaveSchedule(checkpoint.every_steps, time.monotonic())
        self._clock = time.monotonic()

    def begin(self) -> None:
        """Begin the metric log anew: rows of an attempt that saved nothing are trained again."""
        self.log.restore([])

    @property
    def finished(self) -> bool:
        """Whether all epochs are done, or early stopping has ended training."""
        return self.epoch >= self._config.training.epochs or self.early_stopping.should_stop

    def train(self) -> Stop | None:
        """Train to the end, or save and return the reason to stop.

        Raises:
            DivergedError: the loss is not a finite number.
            RunDirError: there is a reason to stop, but the state could not be saved.
            OSError: training is finished, but the metric log could not be written.
            TakenOverError: another process has taken the run over.
        """
        self._clock = time.monotonic()
        while not self.finished:
            if stop := self._stop.after_epoch(self.epoch) or self._train_epoch():
                self.save(last_chance=True)
                return stop
        self.save()
        self.log.rewrite()
        return None

    def close(self) -> None:
        """Close the logs."""
        self.log.close()
        self._timings.close()

    def state_dict(self) -> dict[str, Any]:
        """Everything that is needed to resume, as tensors and plain values."""
        return {
            "identity": self._identity,
            "step": self.step,
            "epoch": self.epoch,
            "batch": self.batch,
            "seconds": self.seconds,
            "save_seconds": self.save_seconds,
            "model": self.model.state_dict(),
            "updater": self._updater.state_dict(),
            "random": random_states(self.device),
            "early_stopping": self.early_stopping.state_dict(),
            "log": self.log.lines,
            "hardware": self.hardware,
            "loss_sum": self._loss_sum,
            "loss_steps": self._loss_steps,
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Set everything to a state that `state_dict` returned."""
        self.step, self.epoch, self.batch = state["step"], state["epoch"], state["batch"]
        self.seconds, self.save_seconds = state["seconds"], state["save_seconds"]
        self.model.load_state_dict(state["model"])
        self._updater.load_state_dict(state["updater"])
        restore_random_states(state["random"], self.device)
        self.early_stopping.load_state_dict(state["early_stopping"])
        self.log.restore(state["log"])
        self.hardware = kinds_after(state["hardware"], self.hardware[-1])
        self._loss_sum = state["loss_sum"].to(self.device)
        self._loss_steps = state["loss_steps"]

    def save(self, last_chance: bool = False) -> None:
        """Write a checkpoint and the metric log. If the disk is full, say so; the next save tries again.

        Args:
            last_chance: whether there is no next save.

        Raises:
            RunDirError: the state could not be saved, and there is no next save.
        """
        self._count_time()
        start = time.monotonic()
        try:
            self.log.sync()
            self.checkpoints.save(self.step, self.state_dict())
        except OSError as error:
            message = f"the checkpoint at step {self.step} could not be saved: {error}"
            if last_chance:
                raise RunDirError(f"{message}; the same command goes on from the one before, if any") from None
            self._console.say(message)
        seconds = time.monotonic() - start
        self.save_seconds += seconds
        self._stop.learn_save(seconds)
        self._schedule.saved(time.monotonic(), seconds)
        self._timings.add(kind="save", step=self.step, seconds=round(seconds, 4))

    def _train_epoch(self) -> Stop | None:
        """Train to the end of the current epoch, or return a reason to stop."""
        plan = self.task.batches(self.epoch)
        start, first_batch = time.monotonic(), self.batch
        if stop := self._train_batches(plan):
            return stop
        trained = time.monotonic()
        try:
            self._evaluate_epoch()
        except StoppedError as stopped:
            return stopped.stop
        now = time.monotonic()
        seconds = {"train_seconds": round(trained - start, 4), "evaluate_seconds": round(now - trained, 4)}
        self._timings.add(kind="epoch", epoch=self.epoch, steps=len(plan) - first_batch, **seconds)
        if self._schedule.due_at_epoch_end(now) and not self.finished:
            self.save()
        return None

    def _train_batches(self, plan: Batches) -> Stop | None:
        label = f"epoch {self.epoch + 1}/{self._config.training.epochs}"
        self.model.train()
        while self.batch < len(plan):
            if stop := self._stop.reason():
                return stop
            start = time.monotonic()
            self._take_step(plan[self.batch])
            self.batch += 1
            self._stop.learn_step(time.monotonic() - start)
            self._console.progress(label, self.batch, len(plan))
            if self._schedule.due(self.step, time.monotonic()):
                self.save()
        if self._loss_steps:
            self._log_loss()
        return self._stop.reason()

    def _take_step(self, batch: Any) -> None:
        with self._updater.precision():
            loss = self.task.loss(batch)
        self._updater.update(loss.value if loss.penalty is None else loss.value + loss.penalty)
        self.step += 1
        self._loss_sum += loss.value.detach()
        self._loss_steps += 1
        if self._loss_steps == self._config.training.log_every:
            self._log_loss()

    def _log_loss(self) -> None:
        loss = self._loss_sum.item() / max(self._loss_steps, 1)
        if not math.isfinite(loss):
            raise self._diverged(f"the loss is {loss}")
        self.log.add({"kind": "step", "step": self.step, "epoch": self.epoch + 1, "loss": loss})
        self._loss_sum.zero_()
        self._loss_steps = 0

    def _evaluate_epoch(self) -> None:
        """Measure and log the epoch, and count it as completed. If it is interrupted, nothing has changed."""
        try:
            found = self.task.evaluate(self._stop.check)
        except FloatingPointError as error:
            raise self._diverged(str(error)) from None
        self.epoch += 1
        self.batch = 0
        best = self.early_stopping.update(self.epoch, found.validation, self.model)
        self.log.add({"kind": "epoch", "step": self.step, "epoch": self.epoch, "best": best} | found.row)
        self._count_time()
        self._console.say(f"epoch {self.epoch:>2}  {found.summary}{'   best so far' if best else ''}")

    def _diverged(self, what: str) -> DivergedError:
        rate = f"{self.task.section}.learning_rate = {self._config.training.learning_rate:g}"
        return DivergedError(
            f"{what} at step {self.step} (epoch {self.epoch + 1}): {rate} is too high, or clip too loose"
        )

    def _count_time(self) -> None:
        now = time.monotonic()
        self.seconds += now - self._clock
        self._clock = now
