"""The device that trains, and what kind of hardware it is, for digits differ between kinds."""

import os
import platform
from pathlib import Path

import torch

from sentiment.config import RuntimeConfig
from sentiment.encoders.cache import Place
from sentiment.errors import UsageError
from sentiment.processes import available_cores

_MOST_THREADS = 8

# The rest is for the model, its gradients and other processes of the machine.
_SHARE_OF_GPU = 0.6
_SHARE_OF_RAM = 0.5


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


def choose_place(needed: int, device: torch.device) -> Place:
    """The fastest place with room for the vectors; batches are the same from each.

    Args:
        needed: bytes of the vectors.
        device: of training.
    """
    if device.type == "cuda" and needed <= _SHARE_OF_GPU * torch.cuda.mem_get_info(device)[0]:
        return "GPU memory"
    return "RAM" if needed <= _SHARE_OF_RAM * available_ram() else "disk"


def available_ram(proc: Path = Path("/proc"), groups: Path = Path("/sys/fs/cgroup")) -> int:
    """Bytes that the machine, Slurm's --mem and this process's control groups leave it; 0 if unknown."""
    try:
        lines = (proc / "meminfo").read_text().splitlines()
        left = [next(int(line.split()[1]) * 1024 for line in lines if line.startswith("MemAvailable:"))]
        own = next((line[3:] for line in (proc / "self" / "cgroup").read_text().splitlines() if line[:3] == "0::"), "/")
        group = groups / own.lstrip("/")
        limited = [folder for folder in (group, *group.parents) if (folder / "memory.max").exists()]
        left += [_left_in_group(folder) for folder in limited if (folder / "memory.max").read_text().strip() != "max"]
    except (OSError, ValueError, StopIteration):
        return 0
    if (granted := os.environ.get("SLURM_MEM_PER_NODE", "")).isdecimal():  # where control groups are of the first kind
        left.append(int(granted) << 20)
    return max(0, min(left))


def _left_in_group(group: Path) -> int:
    """Bytes that a control group leaves; page cache, which is freed on demand, counts as free."""
    statistics = (group / "memory.stat").read_text().splitlines()
    cache = next((int(row.split()[1]) for row in statistics if row.startswith("file ")), 0)
    return int((group / "memory.max").read_text()) - int((group / "memory.current").read_text()) + cache


_CPU_INFO = Path("/proc/cpuinfo")


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
