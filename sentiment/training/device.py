"""Where tensors live, and the settings that make the same computation give the same bits."""

import os
import warnings

import torch

from sentiment.allocation import available_cores
from sentiment.config import RuntimeConfig
from sentiment.errors import UsageError

_MOST_THREADS = 8


def choose_device(name: str) -> torch.device:
    """The device that `runtime.device` names.

    Raises:
        UsageError: a GPU is asked for that is not there.
    """
    if name == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    device = torch.device(name)
    if device.type == "cuda" and (device.index or 0) >= torch.cuda.device_count():
        count = torch.cuda.device_count()
        raise UsageError(f"runtime.device = {name!r}: this machine shows {count} CUDA GPUs; 'auto' or 'cpu' would do")
    return device


def available_threads(config: RuntimeConfig) -> int:
    """CPU threads to use: as configured, else the cores that this process may use, at most 8."""
    if config.threads is not None:
        return config.threads
    return min(available_cores(), _MOST_THREADS)


def make_reproducible(config: RuntimeConfig, threads: int, seed: int) -> None:
    """Seed torch, fix the number of threads (sums depend on it) and refuse operations that vary from call to call."""
    if config.deterministic:
        # cuBLAS reads this when it starts; both values are deterministic, this one is the faster.
        os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
        torch.backends.cudnn.benchmark = False
        torch.backends.cudnn.allow_tf32 = False
        torch.use_deterministic_algorithms(True)
        # Filling new memory with NaN would find reads of it, which this code does not do, and costs time.
        torch.utils.deterministic.fill_uninitialized_memory = False  # type: ignore[attr-defined]
    torch.set_num_threads(threads)
    torch.manual_seed(seed)


def random_states(device: torch.device) -> dict[str, torch.Tensor]:
    """The generators that dropout draws from."""
    states = {"cpu": torch.get_rng_state()}
    if device.type == "cuda":
        states["cuda"] = torch.cuda.get_rng_state(device)
    return states


def restore_random_states(states: dict[str, torch.Tensor], device: torch.device) -> None:
    """Set the generators back; a state for another kind of device has nothing to go on from."""
    torch.set_rng_state(states["cpu"])
    if device.type == "cuda":
        if "cuda" in states:
            torch.cuda.set_rng_state(states["cuda"], device)
        else:
            warnings.warn("the checkpoint comes from a CPU: dropout goes on with other random numbers", stacklevel=2)
