"""The device of tensors, and the settings that make the same computation give the same bits."""

import os
import warnings

import torch

from sentiment.allocation import available_cores
from sentiment.config import RuntimeConfig
from sentiment.errors import UsageError

_MOST_THREADS = 8


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
    """Restore what `random_states` returned, with a warning if it comes from a CPU and `device` is a GPU."""
    torch.set_rng_state(states["cpu"])
    if device.type == "cuda":
        if "cuda" in states:
            torch.cuda.set_rng_state(states["cuda"], device)
        else:
            warnings.warn(
                "the checkpoint was written on a CPU: dropout continues with other random numbers", stacklevel=2
            )
