"""The training loop: steps, epochs, checkpoints, stopping and resuming."""

import math
import os
import platform
import socket
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext, suppress
from importlib import metadata
from pathlib import Path
from types import ModuleType
from typing import Any

import torch
from torch import nn

from sentiment.config import EarlyStoppingConfig, RuntimeConfig, TrainingConfig
from sentiment.errors import ConfigError, DivergedError, MemoryExhaustedError, RunDirError, TakenOverError, UsageError
from sentiment.processes import Stopwatch, available_cores, slurm_job, slurm_restarts
from sentiment.runs.code_version import running_code
from sentiment.runs.records import (
    AT_ONCE,
    Attempt,
    ComputeTime,
    EncoderRecord,
    EpochRow,
    Metrics,
    Reason,
    RunRecord,
    StepRow,
    timestamp,
)
from sentiment.tracking import mirror_to_wandb
from sentiment.training.checkpoint import (
    OLDER_CHECKPOINT,
    EarlyStoppingState,
    MetricLog,
    TrainerState,
    delete_checkpoints,
    may_resume,
    save_checkpoint,
    seconds_between_saves,
    valid_checkpoints,
)
from sentiment.training.stop import RunContext, Stop
from sentiment.training.task import ClassifierTask

# The key of the pretrained vectors in a run's identity.
PRETRAINED_VECTORS = "file of pretrained vectors"


class EarlyStopping:
    """Follows one validation metric over the epochs."""

    def __init__(self, config: EarlyStoppingConfig) -> None:
        self._config = config
        self.best_value = float("-inf")
        self.epochs_since_best = 0
        self.best_epoch = 0
        self.best_weights: dict[str, torch.Tensor] = {}

    def update(self, epoch: int, validation: Metrics, model: nn.Module) -> bool:
        """Record the metrics of an epoch; if it is the best so far, copy the weights to the CPU and return True."""
        metric = self._config.metric
        value = -validation.loss if metric == "loss" else float(getattr(validation, metric))
        if value <= self.best_value:
            self.epochs_since_best += 1
            return False
        self.best_value = value
        self.best_epoch = epoch
        self.epochs_since_best = 0
        self.best_weights = {name: tensor.detach().cpu().clone() for name, tensor in model.state_dict().items()}
        return True

    @property
    def should_stop(self) -> bool:
        patience = self._config.patience
        return patience is not None and self.epochs_since_best >= patience

    def state(self) -> EarlyStoppingState:
        fields = {name: value for name, value in vars(self).items() if name != "_config"}
        return EarlyStoppingState(**fields)

    def load_state(self, state: EarlyStoppingState) -> None:
        vars(self).update(state)


@contextmanager
def without_compiler() -> Iterator[None]:
    """Replace torch's compiler by a stub: it takes 1.5 s to load, and compiles nothing here."""
    name = "torch._dynamo"
    absent = ModuleType(name)
    vars(absent).update(disable=lambda function, *_, **__: function, graph_break=lambda: None)
    sys.modules.setdefault(name, absent)
    try:
        yield
    finally:
        if sys.modules[name] is absent:
            del sys.modules[name]


class Updater:
    """Updates a model's weights by the gradient of a loss."""

    @without_compiler()
    def __init__(self, model: Any, config: TrainingConfig, device: torch.device) -> None:
        """Prepare updates of a model that is on `device`.

        Raises:
            ConfigError: the device does not support the precision.
        """
        self._dtype = {"fp32": None, "bf16": torch.bfloat16, "fp16": torch.float16}[config.precision]
        if self._dtype and device.type == "cpu":
            raise ConfigError(f"training.precision = {config.precision!r} needs a CUDA GPU; valid on this cpu: fp32")
        self._device_type = device.type
        self._parameters = model.trainable_parameters()
        self._clip = config.clip
        self._learning_rate = config.learning_rate
        # Under autocast cuDNN's recurrent networks compute in fp16 even with bf16, which thus needs scaling as well.
        self._scaler = torch.amp.GradScaler(device.type, enabled=self._dtype is not None)
        optimizers = {"adam": torch.optim.Adam, "adamw": torch.optim.AdamW, "sgd": torch.optim.SGD}
        optimizer: Any = optimizers[config.optimizer]
        self._optimizer = optimizer(self._parameters, lr=config.learning_rate, weight_decay=config.l2, fused=True)

    def precision(self) -> AbstractContextManager[Any]:
        return nullcontext() if self._dtype is None else torch.autocast(self._device_type, self._dtype)

    @without_compiler()
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

    @without_compiler()
    def state_dict(self) -> dict[str, Any]:
        return {"optimizer": self._optimizer.state_dict(), "scaler": self._scaler.state_dict()}

    @without_compiler()
    def load_state_dict(self, state: dict[str, Any]) -> None:
        # The settings are those of the configuration, to which the state belongs.
        settings = self._optimizer.state_dict()["param_groups"]
        self._optimizer.load_state_dict({"state": state["optimizer"]["state"], "param_groups": settings})
        for parameter, values in self._optimizer.state.items():
            if any(value.dim() and value.shape != parameter.shape for value in values.values()):
                raise ValueError("the optimiser's state is that of other weights")
        self._scaler.load_state_dict(state["scaler"])


class Trainer:
    """Trains the model of a task.

    Its state consists of the position (step, epoch, batch), weights, optimiser, random generators, early stopping, the
    metric log, and sums over the steps since the last row of the log. A checkpoint must agree with its `identity`.
    """

    def __init__(self, run: RunContext, task: ClassifierTask, identity: dict[str, str], threads: int) -> None:
        self.task = task
        self.model = task.model
        self.device = task.device
        self.early_stopping = EarlyStopping(run.config.training.early_stopping)
        self.step = self.saved_step = 0
        self.epoch = 0  # completed epochs
        self.batch = 0  # completed batches of the current epoch
        self.seconds = 0.0  # training time over all attempts
        self.hardware = [hardware_kind(self.device)]  # all kinds that trained the run, in the order of their use
        self._run = run
        self.identity = identity
        self.threads = threads
        self._updater = Updater(task.model, run.config.training, self.device)
        self.log = MetricLog(run.run_dir)
        self._loss_sum = torch.zeros((), dtype=torch.float64, device=self.device)
        self._loss_steps = 0

    def train(self) -> None:
        """Train to the end.

        Raises:
            Stop: there is a reason to stop; everything is saved.
            DivergedError: the loss or a probability is not finite.
            OSError, TakenOverError: as `RunDir.write`.
        """
        self._clock = self._saved = time.monotonic()
        try:
            while self.epoch < self._run.config.training.epochs and not self.early_stopping.should_stop:
                self._run.stop.check_rung(self.epoch)
                self._train_epoch()
        except Stop:
            self.save()
            raise
        self.save()

    def state(self) -> TrainerState:
        return TrainerState(
            identity=self.identity,
            threads=self.threads,
            step=self.step,
            epoch=self.epoch,
            batch=self.batch,
            seconds=self.seconds,
            model=self.model.state_dict(),
            updater=self._updater.state_dict(),
            random=random_states(self.device),
            early_stopping=self.early_stopping.state(),
            log=self.log.lines,
            hardware=self.hardware,
            loss_sum=self._loss_sum,
            loss_steps=self._loss_steps,
        )

    def load_state(self, state: TrainerState) -> None:
        """Continue from a state. Raises one of `DOES_NOT_FIT` if it is that of another model or optimiser."""
        self.step = self.saved_step = state.step
        self.epoch = state.epoch
        self.batch = state.batch
        self.seconds = state.seconds
        self.model.load_state_dict(state.model)
        self._updater.load_state_dict(state.updater)
        restore_random_states(state.random, self.device)
        self.early_stopping.load_state(state.early_stopping)
        self.log.lines = list(state.log)
        self.log.write()  # rows after the checkpoint are dropped, since training repeats them
        current_hardware = self.hardware[-1]
        self.hardware = list(state.hardware)
        if self.hardware[-1] != current_hardware:
            self.hardware.append(current_hardware)
        self._loss_sum.copy_(state.loss_sum)
        self._loss_steps = state.loss_steps

    def save(self) -> None:
        start = time.monotonic()
        self.seconds += start - self._clock
        self._clock = start
        self.log.write()
        save_checkpoint(self._run.run_dir, self.state())
        self._saved = time.monotonic()
        self.saved_step = self.step
        self._run.stop.saves.append(self._saved - start)

    def _train_epoch(self) -> None:
        batches = self.task.batches(self.epoch)
        label = f"epoch {self.epoch + 1}/{self._run.config.training.epochs}"
        self.model.train()
        while self.batch < len(batches):
            self._run.stop.check()
            start = time.monotonic()
            self._take_step(batches[self.batch])
            self.batch += 1
            self._run.stop.steps.append(time.monotonic() - start)
            self._run.console.progress(label, self.batch, len(batches))
            if self._save_is_due():
                self.save()
        if self._loss_steps:
            self._log_loss()
        self._run.stop.check()
        self._evaluate_epoch()

    def _save_is_due(self) -> bool:
        if every := self._run.config.runtime.checkpoint.every_steps:
            return self.step % every == 0
        return time.monotonic() - self._saved >= seconds_between_saves(self._run.stop.saves)

    def _take_step(self, batch: Any) -> None:
        with self._updater.precision():
            loss, penalty = self.task.loss(batch)
        self._updater.update(loss if penalty is None else loss + penalty, self.task.learning_rate_factor(self.step))
        self.step += 1
        self._loss_sum += loss.detach()
        self._loss_steps += 1
        if self._loss_steps == self._run.config.training.log_every:
            self._log_loss()

    def _log_loss(self) -> None:
        loss = self._loss_sum.item() / self._loss_steps
        if not math.isfinite(loss):
            raise self._diverged(f"the loss is {loss}")
        self.log.add(StepRow(step=self.step, epoch=self.epoch + 1, loss=loss))
        self._loss_sum.zero_()
        self._loss_steps = 0

    def _evaluate_epoch(self) -> None:
        """Measure and log the epoch, and count it as completed; an interruption leaves everything unchanged."""
        try:
            train, validation = (self.task.metrics_of(part, self._run.stop.check) for part in ("train", "validation"))
        except FloatingPointError as error:
            raise self._diverged(str(error)) from None
        self.epoch += 1
        self.batch = 0
        best = self.early_stopping.update(self.epoch, validation, self.model)
        self.log.add(EpochRow(step=self.step, epoch=self.epoch, best=best, train=train, validation=validation))
        self.log.write()
        self._run.console.say(
            f"epoch {self.epoch:>2}  train loss {train.loss:.4f} accuracy {train.accuracy:.3f}   validation loss "
            f"{validation.loss:.4f} accuracy {validation.accuracy:.3f} F1 {validation.f1:.3f}"
            f"{'   best so far' if best else ''}"
        )

    def _diverged(self, reason: str) -> DivergedError:
        rate = f"training.learning_rate = {self._run.config.training.learning_rate:g}"
        return DivergedError(
            f"{reason} at step {self.step} (epoch {self.epoch + 1}): {rate} is too high, or training.clip too large"
        )


def choose_device(name: str) -> torch.device:
    """The device that a value of `runtime.device` names.

    Raises:
        UsageError: this machine does not have that GPU.
    """
    if name == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    device = torch.device(name)
    gpus = [f", cuda:{index}" for index in range(torch.cuda.device_count())]
    if device.type == "cuda" and (device.index or 0) >= len(gpus):
        raise UsageError(f"runtime.device = {name!r}: is not on this machine; valid: auto, cpu{''.join(gpus)}")
    return device


def available_threads(config: RuntimeConfig) -> int:
    """The number of CPU threads: as configured, else the number of cores of this process, at most 8."""
    return config.threads or min(available_cores(), 8)


def make_reproducible(threads: int, seed: int) -> None:
    """Seed torch, fix the number of threads (it sets the order of sums), and refuse nondeterministic operations."""
    # cuBLAS reads this when it is initialised. It documents two deterministic values; this one is faster.
    os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
    torch.backends.cudnn.benchmark = False
    torch.backends.cudnn.allow_tf32 = False
    # The same as use_deterministic_algorithms(True), which however imports torch's compiler, for a second.
    torch.set_deterministic_debug_mode("error")
    # Filling new memory with NaN takes time, and only helps to find reads of uninitialised memory.
    torch.utils.deterministic.fill_uninitialized_memory = False  # type: ignore[attr-defined]
    torch.set_num_threads(threads)
    torch.manual_seed(seed)


def random_states(device: torch.device) -> dict[str, torch.Tensor]:
    """The states of the random generators that dropout uses on a device."""
    states = {"cpu": torch.get_rng_state()}
    if device.type == "cuda":
        states["cuda"] = torch.cuda.get_rng_state(device)
    return states


def restore_random_states(states: dict[str, torch.Tensor], device: torch.device) -> None:
    """Restore what `random_states` returned; from a CPU to a GPU, dropout continues with other random numbers."""
    torch.set_rng_state(states["cpu"])
    if device.type == "cuda" and "cuda" in states:
        torch.cuda.set_rng_state(states["cuda"], device)


def hardware_kind(device: torch.device) -> str:
    """The hardware that results depend on: a GPU and its compute capability, or a processor and its vector unit."""
    if device.type == "cuda":
        major, minor = torch.cuda.get_device_capability(device)
        return f"{torch.cuda.get_device_name(device)} (compute capability {major}.{minor})"
    processor = platform.processor() or platform.machine()
    with suppress(OSError, StopIteration):  # not all systems and processors have this line
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace").splitlines()
        processor = next(" ".join(line.partition(":")[2].split()) for line in lines if line.startswith("model name"))
    return f"{processor} ({torch.backends.cpu.get_cpu_capability()})"


def train_task(
    run: RunContext,
    identity: dict[str, str],
    build: Callable[[torch.device], ClassifierTask],
    publish: Callable[[Trainer], None],
    encoder: EncoderRecord | None,
) -> None:
    """Make an attempt: train a task from its newest checkpoint, or from its beginning, to its end, then publish.

    Args:
        identity: hashes that a checkpoint must have, by names for messages.
        build: makes the task on a device, with weights from torch's seeded generator.
        publish: writes the results, and last `result.json`, which marks the run as completed.

    Raises:
        Stop: there is a reason to stop; everything is saved.
        CheckpointError: the newest checkpoint has another identity.
        RunDirError: `run.json` cannot be read.
        MemoryExhaustedError: the GPU's memory is full.
    """
    trainer = _resumed(run, identity, build)
    record = _record_attempt(run, trainer, encoder)

    stopwatch = Stopwatch(trainer.device.type == "cuda")

    def end(reason: Reason, detail: str | None) -> None:
        update = {"end": timestamp(), "reason": reason, "last_step": trainer.saved_step, "detail": detail}
        update["compute_time"] = ComputeTime.model_validate(stopwatch.read())
        attempts = [*record.attempts[:-1], record.attempts[-1].model_copy(update=update)]
        run.run_dir.write_record(record.model_copy(update={"attempts": attempts}))

    with mirror_to_wandb(run.run_dir, run.config.tracking, run.console.say):
        try:
            trainer.train()
            publish(trainer)
        except TakenOverError:
            raise  # the attempts are no longer this process's to write
        except Stop as stop:
            end(stop.reason, stop.detail)
            raise
        except KeyboardInterrupt:  # a second Ctrl+C interrupts at once
            with suppress(OSError):
                end("signal", AT_ONCE)
            raise
        except Exception as error:
            with suppress(OSError):  # fails as well on a full disk; the error itself says more
                trainer.log.write()
                end("failed", f"{type(error).__name__}: {error}")
            if isinstance(error, torch.OutOfMemoryError):
                smaller = "a smaller training.batch_size or model may fit"
                raise MemoryExhaustedError(f"the GPU's memory is full at step {trainer.step}; {smaller}") from error
            raise
        else:
            end("completed", None)


# What `Trainer.load_state` raises for the state of another model or optimiser.
DOES_NOT_FIT = (KeyError, TypeError, ValueError, RuntimeError, AttributeError)


def _resumed(run: RunContext, identity: dict[str, str], build: Callable[[torch.device], ClassifierTask]) -> Trainer:
    """A trainer in the state of the newest checkpoint that is valid, or at the beginning."""
    runtime = run.config.runtime
    device = choose_device(runtime.device)
    for state in valid_checkpoints(run.run_dir, run.console.say):
        if not may_resume(run.run_dir, state, identity, runtime.other_code, run.console.say):
            delete_checkpoints(run.run_dir)  # they would be newer than those of the run's new beginning
            break
        _check_hardware(run, state.hardware[-1], hardware_kind(device))
        # Results depend on the number of threads, so that a resumed run keeps its first one.
        trainer = _new_trainer(run, identity, state.threads, build, device)
        try:
            trainer.load_state(state)
        except DOES_NOT_FIT as error:
            run.console.say(f"{run.run_dir.path}: step {state.step} is of another model ({error}); {OLDER_CHECKPOINT}")
            continue
        run.console.say(f"resuming after step {trainer.step} in epoch {trainer.epoch + 1}")
        return trainer
    trainer = _new_trainer(run, identity, available_threads(runtime), build, device)
    trainer.log.write()  # rows of an attempt that saved nothing are computed again
    return trainer


def _new_trainer(
    run: RunContext,
    identity: dict[str, str],
    threads: int,
    build: Callable[[torch.device], ClassifierTask],
    device: torch.device,
) -> Trainer:
    make_reproducible(threads, run.config.seed)
    return Trainer(run, build(device), identity, threads)


def _check_hardware(run: RunContext, former: str, current: str) -> None:
    """Warn of a run that resumes on another kind of hardware, or refuse it with RunDirError if so configured."""
    if former == current:
        return
    if run.config.runtime.same_hardware:
        raise RunDirError(
            f"{run.run_dir.path}: was trained on {former}, but this machine has {current}. With "
            f"runtime.same_hardware=true it resumes only on {former} (`constraint` in configs/cluster.yaml chooses "
            "nodes); with false it resumes here, and its last digits may differ from those of a run on one kind"
        )
    warning = "the last digits may differ from those of a run on one kind"
    run.console.say(f"resuming on different hardware: {current} (before: {former}); {warning}")


def _record_attempt(run: RunContext, trainer: Trainer, encoder: EncoderRecord | None) -> RunRecord:
    try:
        former = run.run_dir.read(RunRecord)
    except RunDirError as error:
        raise RunDirError(f"{error}; delete it to resume without the list of earlier attempts") from None
    code, identity = running_code(), trainer.identity
    packages = ("numpy", "nltk", "pandas", "scikit-learn")
    # torch's own version names its build, such as 2.13.0+cu130; the package's metadata may not.
    versions = {"python": sys.version.split()[0], "torch": str(torch.__version__)}
    versions |= {name: metadata.version(name) for name in packages}
    for name, version in former.versions.items() if former else ():
        if versions.get(name, version) != version:
            run.console.say(f"{name} was {version} in the last attempt and is {versions[name]} now: numbers may differ")
    attempt = Attempt(
        host=socket.gethostname(),
        pid=os.getpid(),
        job=slurm_job(),
        restart_count=slurm_restarts(),
        code=code.training,
        git_commit=code.git_commit,
        git_dirty=code.git_dirty,
        device=torch.cuda.get_device_name(trainer.device) if trainer.device.type == "cuda" else "cpu",
        threads=torch.get_num_threads(),
        first_step=trainer.step,
        start=timestamp(),
    )
    record = RunRecord(
        run_id=run.config.run_id,
        data_fingerprint=identity["data"],
        dataset=trainer.task.corpus.dataset,
        encoder=encoder,
        vectors_sha256=identity.get(PRETRAINED_VECTORS),
        versions=versions,
        command=[Path(sys.argv[0]).name, *sys.argv[1:]],
        attempts=[*(former.attempts if former else []), attempt],
        hardware=trainer.hardware,
    )
    run.run_dir.write_record(record)
    return record
