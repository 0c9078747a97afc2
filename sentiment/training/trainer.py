"""The training loop of anything that is a `Task`: steps, epochs, saves, stops, and how a run is resumed."""

import math
import os
import platform
import socket
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, nullcontext, suppress
from importlib import metadata
from pathlib import Path
from types import ModuleType
from typing import Any, Generic, TypeVar

import torch
from torch import nn

from sentiment.config import EarlyStoppingConfig, RuntimeConfig, TrainingConfig
from sentiment.data.batches import EpochPlan
from sentiment.errors import ConfigError, DivergedError, MemoryExhaustedError, RunDirError, TakenOverError, UsageError
from sentiment.processes import available_cores, slurm_job, slurm_restarts
from sentiment.runs.code_version import running_code
from sentiment.runs.records import Attempt, EncoderRecord, Reason, RunRecord, timestamp
from sentiment.training.checkpoint import Checkpoints, MetricLog, SaveSchedule, add_timing, newest_state
from sentiment.training.stop import RunContext, Stop, StoppedError
from sentiment.training.task import Task

_PACKAGES = ("torch", "numpy", "nltk", "pandas", "scikit-learn")

# The name, in an identity, of the file or text that vectors came from.
VECTORS = "file of pretrained vectors"


class EarlyStopping:
    """Follows one validation metric from epoch to epoch."""

    def __init__(self, config: EarlyStoppingConfig) -> None:
        self._config = config
        self._best_value = float("-inf")
        self._epochs_since_best = 0
        self.best_epoch = 0
        self.best_weights: dict[str, torch.Tensor] = {}

    def update(self, epoch: int, validation: Any, model: nn.Module) -> bool:
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
        patience = self._config.patience
        return patience is not None and self._epochs_since_best >= patience

    def state_dict(self) -> dict[str, Any]:
        return {
            "best_value": self._best_value,
            "best_epoch": self.best_epoch,
            "best_weights": self.best_weights,
            "epochs_since_best": self._epochs_since_best,
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self._best_value, self._epochs_since_best = state["best_value"], state["epochs_since_best"]
        self.best_epoch, self.best_weights = state["best_epoch"], state["best_weights"]


def _as_it_is(function: Callable[..., Any] | None = None, *_: Any, **__: Any) -> Any:
    return function if function is not None else _as_it_is


@contextmanager
def without_compiler() -> Iterator[None]:
    """Let optimisers find a stand-in for torch's compiler, whose import takes a second, unless it is loaded already.

    They ask it not to compile some functions, and nothing is compiled here.
    """
    name = "torch._dynamo"
    absent = ModuleType(name)
    vars(absent).update(disable=_as_it_is, graph_break=_as_it_is)
    sys.modules.setdefault(name, absent)
    try:
        yield
    finally:
        if sys.modules[name] is absent:
            del sys.modules[name]


OPTIMIZERS: dict[str, type[torch.optim.Optimizer]] = {
    "adam": torch.optim.Adam,
    "adamw": torch.optim.AdamW,
    "sgd": torch.optim.SGD,
}


class Updater:
    """Updates a model's weights by the gradient of a loss."""

    @without_compiler()
    def __init__(self, model: Any, config: TrainingConfig, device: torch.device) -> None:
        """Prepare updates of a model that is on `device`.

        Raises:
            ConfigError: the device lacks the precision.
        """
        self._dtype = {"fp32": None, "bf16": torch.bfloat16, "fp16": torch.float16}[config.precision]
        if self._dtype and device.type == "cpu":
            raise ConfigError(f"training.precision = {config.precision!r} needs a CUDA GPU; valid on this cpu: fp32")
        self._device_type = device.type
        self._parameters = model.trainable_parameters()
        self._clip = config.clip
        # Under autocast cuDNN's recurrent networks compute in fp16 even with bf16, which thus needs scaling as well.
        self._scaler = torch.amp.GradScaler(device.type, enabled=self._dtype is not None)
        options: dict[str, Any] = {"lr": config.learning_rate, "weight_decay": config.l2, "fused": True}
        self._optimizer = OPTIMIZERS[config.optimizer](self._parameters, **options)

    def precision(self) -> AbstractContextManager[Any]:
        return nullcontext() if self._dtype is None else torch.autocast(self._device_type, self._dtype)

    @without_compiler()
    def update(self, loss: torch.Tensor) -> None:
        """Compute the gradient, clip the norm of all of it, and take one step."""
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
        self._optimizer.load_state_dict(state["optimizer"])
        self._scaler.load_state_dict(state["scaler"])


T = TypeVar("T", bound=Task)


class Trainer(Generic[T]):
    """Trains the model of one task.

    Its state consists of the position (step, epoch, batch), weights, optimiser, random generators, early stopping, the
    metric log, and sums over the steps since the last row of the log. The order of the batches is a function of seed
    and epoch.
    """

    def __init__(self, run: RunContext, task: T, identity: dict[str, Any]) -> None:
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
        self.hardware = [hardware_kind(self.device)]  # that computed the steps, in its order
        self._run = run
        self.identity = identity
        self._updater = Updater(task.model, run.config.training, self.device)
        self.log = MetricLog(run.run_dir, run.console.say)
        self._loss_sum = torch.zeros((), dtype=torch.float64, device=self.device)
        self._loss_steps = 0
        checkpoint = run.config.runtime.checkpoint
        self._schedule = SaveSchedule(checkpoint.every_steps, time.monotonic())
        self._clock = time.monotonic()

    @property
    def finished(self) -> bool:
        return self.epoch >= self._run.config.training.epochs or self.early_stopping.should_stop

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
            if stop := self._run.stop.after_epoch(self.epoch) or self._train_epoch():
                self.save(last_chance=True)
                return stop
        self.save()
        self.log.write()
        return None

    def state_dict(self) -> dict[str, Any]:
        """Everything that is needed to resume, as tensors and plain values."""
        return {
            "identity": self.identity,
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
        self.step, self.epoch, self.batch = state["step"], state["epoch"], state["batch"]
        self.seconds, self.save_seconds = state["seconds"], state["save_seconds"]
        self.model.load_state_dict(state["model"])
        self._updater.load_state_dict(state["updater"])
        restore_random_states(state["random"], self.device)
        self.early_stopping.load_state_dict(state["early_stopping"])
        self.log.lines = list(state["log"])
        self.log.flush()  # later rows go, since training repeats them
        present = self.hardware[-1]
        self.hardware = state["hardware"] if state["hardware"][-1] == present else [*state["hardware"], present]
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
            self.log.write()
            self.checkpoints.save(self.step, self.state_dict())
        except OSError as error:
            message = f"the checkpoint at step {self.step} could not be saved: {error}"
            if last_chance:
                raise RunDirError(f"{message}; the same command goes on from the one before, if any") from None
            self._run.console.say(message)
        seconds = time.monotonic() - start
        self.save_seconds += seconds
        self._run.stop.saves.append(seconds)
        self._schedule.saved(time.monotonic(), seconds)
        add_timing(self._run.run_dir, kind="save", step=self.step, seconds=round(seconds, 4))

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
        add_timing(self._run.run_dir, kind="epoch", epoch=self.epoch, steps=len(plan) - first_batch, **seconds)
        if self._schedule.due_at_epoch_end(now) and not self.finished:
            self.save()
        return None

    def _train_batches(self, plan: EpochPlan) -> Stop | None:
        label = f"epoch {self.epoch + 1}/{self._run.config.training.epochs}"
        self.model.train()
        while self.batch < len(plan):
            if stop := self._run.stop.reason():
                return stop
            start = time.monotonic()
            self._take_step(plan[self.batch])
            self.batch += 1
            self._run.stop.steps.append(time.monotonic() - start)
            self._run.console.progress(label, self.batch, len(plan))
            if self._schedule.due(self.step, time.monotonic()):
                self.save()
        if self._loss_steps:
            self._log_loss()
        return self._run.stop.reason()

    def _take_step(self, batch: Any) -> None:
        with self._updater.precision():
            loss, penalty = self.task.loss(batch)
        self._updater.update(loss if penalty is None else loss + penalty)
        self.step += 1
        self._loss_sum += loss.detach()
        self._loss_steps += 1
        if self._loss_steps == self._run.config.training.log_every:
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
            found = self.task.evaluate(self._run.stop.check)
        except FloatingPointError as error:
            raise self._diverged(str(error)) from None
        self.epoch += 1
        self.batch = 0
        best = self.early_stopping.update(self.epoch, found.validation, self.model)
        self.log.add({"kind": "epoch", "step": self.step, "epoch": self.epoch, "best": best} | found.row)
        self.log.flush()
        self._count_time()
        self._run.console.say(f"epoch {self.epoch:>2}  {found.summary}{'   best so far' if best else ''}")

    def _diverged(self, what: str) -> DivergedError:
        rate = f"{self.task.section}.learning_rate = {self._run.config.training.learning_rate:g}"
        return DivergedError(
            f"{what} at step {self.step} (epoch {self.epoch + 1}): {rate} is too high, or clip too loose"
        )

    def _count_time(self) -> None:
        now = time.monotonic()
        self.seconds += now - self._clock
        self._clock = now


_MOST_THREADS = 8
_CPU_INFO = Path("/proc/cpuinfo")


def choose_device(name: str) -> torch.device:
    """The device that a value of `runtime.device` means.

    Raises:
        UsageError: this machine does not have the GPU.
    """
    if name == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    device = torch.device(name)
    if device.type == "cuda" and (device.index or 0) >= torch.cuda.device_count():
        count = torch.cuda.device_count()
        raise UsageError(f"runtime.device = {name!r}: this machine shows {count} CUDA GPUs; valid are 'auto' and 'cpu'")
    return device


def available_threads(config: RuntimeConfig) -> int:
    """The number of CPU threads: as configured, else the number of cores that this process may use, at most 8."""
    if config.threads is not None:
        return config.threads
    return min(available_cores(), _MOST_THREADS)


def make_reproducible(config: RuntimeConfig, threads: int, seed: int) -> None:
    """Make torch's results repeatable: seed it, fix the number of threads, and refuse nondeterministic operations.

    Args:
        threads: sums depend on it, since each thread adds up a part.
    """
    if config.deterministic:
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
    """Restore what `random_states` returned; from a CPU to a GPU, dropout goes on with other random numbers."""
    torch.set_rng_state(states["cpu"])
    if device.type == "cuda" and "cuda" in states:
        torch.cuda.set_rng_state(states["cuda"], device)


def hardware_kind(device: torch.device) -> str:
    """What the digits of results depend on: the GPU with its compute capability, or the processor's vector unit."""
    if device.type == "cuda":
        major, minor = torch.cuda.get_device_capability(device)
        return f"{torch.cuda.get_device_name(device)} (compute capability {major}.{minor})"
    return f"{_processor()} ({torch.backends.cpu.get_cpu_capability()})"


def _processor() -> str:
    try:
        for line in _CPU_INFO.read_text(encoding="utf-8", errors="replace").splitlines():
            if line.startswith("model name"):
                return " ".join(line.partition(":")[2].split())
    except OSError:
        pass
    return platform.processor() or platform.machine()


def resumed_trainer(
    run: RunContext,
    identity: dict[str, str],
    build: Callable[[torch.device, Mapping[str, Any]], T],
    choices: Mapping[str, str | int] | None = None,
) -> Trainer[T]:
    """A trainer in the state of the newest checkpoint, or at the beginning.

    Args:
        identity: what a state must have been made from; its names are used in messages.
        build: makes the task on a device and with the choices, with weights from torch's generator, which is seeded.
        choices: what digits depend on and a new run may choose; one that goes on keeps the choices of its beginning.

    Raises:
        CheckpointError: the state was made from another configuration, from other data or vectors, or by other code.
        RunDirError: it was made on other hardware, which `runtime.same_hardware` refuses.
    """
    runtime = run.config.runtime
    state = newest_state(run.run_dir, identity, runtime.other_code, run.console.say)
    chosen: dict[str, Any] = {"threads": available_threads(runtime), **(choices or {})}
    if state:
        chosen = {name: state["identity"][name] for name in chosen}
    device = choose_device(runtime.device)
    if state and (former := state["hardware"][-1]) != (present := hardware_kind(device)):
        _tell_other_hardware(run, former, present)
    make_reproducible(runtime, chosen["threads"], run.config.seed)
    trainer = Trainer(run, build(device, chosen), identity | chosen)
    if state:
        trainer.load_state_dict(state)
        run.console.say(f"goes on after step {trainer.step} in epoch {trainer.epoch + 1}")
    else:
        trainer.log.flush()  # rows of an attempt that saved nothing are trained again
    return trainer


def _tell_other_hardware(run: RunContext, former: str, present: str) -> None:
    if run.config.runtime.same_hardware:
        raise RunDirError(
            f"{run.run_dir.path}: was computed on {former}, and here is {present}: runtime.same_hardware = true "
            "lets it go on only on the former (`constraint` in configs/cluster.yaml chooses nodes); with false it "
            "goes on here, and may differ in its last digits from a run on one kind"
        )
    run.console.say(
        f"goes on on other hardware: {present}, after {former}; its numbers may differ in their last digits from "
        "those of a run on one kind"
    )


def begin_attempt(
    run: RunContext, trainer: Trainer[Any], dataset: str, encoder: EncoderRecord | None = None
) -> RunRecord:
    """Record an attempt that begins now, behind those before.

    Args:
        trainer: in the state that the attempt begins with.
        dataset: the name of what is read.
        encoder: the model whose vectors are read.

    Raises:
        RunDirError: the record of earlier attempts cannot be read.
    """
    try:
        former = run.run_dir.read(RunRecord)
    except RunDirError as error:
        raise RunDirError(f"{error}; delete it, and the run goes on without the list of its earlier attempts") from None
    code, identity = running_code(), trainer.identity
    versions = {"python": sys.version.split()[0]} | {name: metadata.version(name) for name in _PACKAGES}
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
        config_fingerprint=identity["config"],
        data_fingerprint=identity["data"],
        dataset=dataset,
        encoder=encoder,
        vectors_sha256=identity.get(VECTORS),
        versions=versions,
        command=[Path(sys.argv[0]).name, *sys.argv[1:]],
        attempts=[*(former.attempts if former else []), attempt],
        hardware=trainer.hardware,
    )
    run.run_dir.write_record(record)
    return record


def finish_attempt(
    run: RunContext, record: RunRecord, trainer: Trainer[Any], work: Callable[[], Stop | None]
) -> Stop | None:
    """Do the work of an attempt and record how it ended.

    Args:
        record: from `begin_attempt`.

    Raises:
        MemoryExhaustedError: the GPU's memory is full.
        BaseException: whatever `work` raises.
    """

    def end(reason: Reason, detail: str | None) -> None:
        update = {"end": timestamp(), "reason": reason, "last_step": trainer.step, "detail": detail}
        attempts = [*record.attempts[:-1], record.attempts[-1].model_copy(update=update)]
        run.run_dir.write_record(record.model_copy(update={"attempts": attempts}))

    try:
        stop = work()
    except TakenOverError:
        raise  # the attempts are no longer this process's to write
    except KeyboardInterrupt:  # a second Ctrl+C, which waits for no step
        with suppress(OSError):
            end("signal", "SIGINT, at once")
        raise
    except Exception as error:
        detail = f"{type(error).__name__}: {error}"
        if full := isinstance(error, torch.OutOfMemoryError):
            smaller = f"a smaller {trainer.task.section}.batch_size or model may fit"
            detail = f"the GPU's memory is full at step {trainer.step}; {smaller}"
        with suppress(OSError):  # fails as well on a full disk; the error itself says more
            end("failed", detail)
        if full:
            raise MemoryExhaustedError(detail) from error
        raise
    finally:
        trainer.log.flush()
    end(stop.reason if stop else "completed", stop.detail if stop else None)
    return stop
