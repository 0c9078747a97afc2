"""The device, threads, random generators and deterministic settings of training."""

import os
import platform
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import torch

from sentiment.config import RuntimeConfig
from sentiment.errors import MemoryExhaustedError, UsageError, in_one_line
from sentiment.processes import training_threads


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


@contextmanager
def explained_memory_errors() -> Iterator[None]:
    """Raise MemoryExhaustedError, which says what to change, where torch finds the memory full."""
    try:
        yield
    except torch.OutOfMemoryError as error:
        raise MemoryExhaustedError(
            "the GPU's memory is full; a smaller training.batch_size or model may fit, a larger GPU (`gpu_type` in "
            "configs/cluster.yaml), or fewer runs at a time on this one (`at_once` there, or --at-once)"
        ) from error
    except RuntimeError as error:
        if "can't allocate memory" not in str(error):
            raise
        raise MemoryExhaustedError(
            f"the memory of this machine is full ({in_one_line(error)}): a smaller model.hidden_size, embedding.size "
            "or training.batch_size may fit"
        ) from error


def available_threads(config: RuntimeConfig) -> int:
    """The number of CPU threads: as configured, else those of `training_threads`."""
    return config.threads or training_threads()


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


@contextmanager
def unchanged_modes() -> Iterator[None]:
    """On exit, restore the settings of torch that `make_reproducible` changes: the caller may be another program."""
    mode = torch.get_deterministic_debug_mode()
    fills_memory = torch.utils.deterministic.fill_uninitialized_memory  # type: ignore[attr-defined]
    threads = torch.get_num_threads()
    cudnn = torch.backends.cudnn
    benchmark = cudnn.benchmark
    allow_tf32 = cudnn.allow_tf32
    try:
        with torch.random.fork_rng():
            yield
    finally:
        torch.set_deterministic_debug_mode(mode)
        torch.utils.deterministic.fill_uninitialized_memory = fills_memory  # type: ignore[attr-defined]
        torch.set_num_threads(threads)
        cudnn.benchmark = benchmark
        cudnn.allow_tf32 = allow_tf32


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
