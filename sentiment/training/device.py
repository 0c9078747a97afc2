"""The device that trains, and what kind of hardware it is, for digits differ between kinds."""

import os
import platform
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Self

import torch

from sentiment.config import RuntimeConfig
from sentiment.elmo.cache import Place
from sentiment.errors import RunDirError, UsageError
from sentiment.processes import available_cores
from sentiment.training.context import RunContext

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
    """Restore what `random_states` returned, with a warning if it comes from a CPU and `device` is a GPU."""
    torch.set_rng_state(states["cpu"])
    if device.type == "cuda":
        if "cuda" in states:
            torch.cuda.set_rng_state(states["cuda"], device)
        else:
            warnings.warn(
                "the checkpoint was written on a CPU: dropout continues with other random numbers", stacklevel=2
            )


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
    """Bytes that the machine and this process's control groups (Slurm's --mem) leave it; 0 if unknown."""
    try:
        lines = (proc / "meminfo").read_text().splitlines()
        free = next(int(line.split()[1]) * 1024 for line in lines if line.startswith("MemAvailable:"))
        return max(0, min([free, *_left_in_groups((proc / "self" / "cgroup").read_text(), groups)]))
    except (OSError, ValueError, StopIteration):
        return 0


def _left_in_groups(membership: str, root: Path) -> list[int]:
    """Bytes that each control group of this process leaves; page cache, which is freed on demand, counts as free."""
    left = []
    for line in membership.splitlines():
        _, controllers, path = line.split(":", 2)
        if controllers == "":
            base, limit_name, used_name, cache_key = root, "memory.max", "memory.current", "file "
        elif "memory" in controllers.split(","):
            base, limit_name = root / "memory", "memory.limit_in_bytes"
            used_name, cache_key = "memory.usage_in_bytes", "total_cache "
        else:
            continue
        group = base / path.lstrip("/")
        for folder in (group, *group.parents):
            if not folder.is_relative_to(base):
                break
            limit = folder / limit_name
            if not limit.exists() or (text := limit.read_text().strip()) == "max":
                continue
            statistics = (folder / "memory.stat").read_text().splitlines()
            cache = next((int(row.split()[1]) for row in statistics if row.startswith(cache_key)), 0)
            left.append(int(text) - int((folder / used_name).read_text()) + cache)
    return left


_CPU_INFO = Path("/proc/cpuinfo")


@dataclass(frozen=True)
class Hardware:
    """The processor of this machine, and the GPU if a run is computed on one."""

    processor: str
    """The model, as the system names it."""
    cpu_capability: str
    """The vector instructions that torch uses, such as AVX2."""
    gpu: str | None
    compute_capability: str | None
    """Of the GPU, such as 9.0."""

    @classmethod
    def of(cls, device: torch.device) -> Self:
        """What computes on a device."""
        capability = torch.backends.cpu.get_cpu_capability()
        if device.type != "cuda":
            return cls(_processor(), capability, None, None)
        major, minor = torch.cuda.get_device_capability(device)
        return cls(_processor(), capability, torch.cuda.get_device_name(device), f"{major}.{minor}")

    @property
    def kind(self) -> str:
        """What the digits of results depend on, for messages and for comparing."""
        if self.gpu:
            return f"{self.gpu} (compute capability {self.compute_capability})"
        return f"{self.processor} ({self.cpu_capability})"


def kinds_after(former: Sequence[str], present: str) -> list[str]:
    """The kinds of hardware that computed a run's steps, in their order, once it goes on on the present one."""
    return [*former] if former and former[-1] == present else [*former, present]


def tell_other_hardware(run: RunContext, former: Sequence[str], present: str) -> None:
    """Say that a run goes on on another kind of hardware, if it does.

    Args:
        former: the kinds that computed it so far; none before its first step.

    Raises:
        RunDirError: the run is not to.
    """
    if not former or former[-1] == present:
        return
    if run.config.runtime.same_hardware:
        raise RunDirError(
            f"{run.run_dir.path}: was computed on {former[-1]}, and here is {present}: runtime.same_hardware = true "
            "lets it go on only on the former (`constraint` in configs/cluster.yaml chooses nodes); with false it "
            "goes on here, and may differ in its last digits from a run on one kind"
        )
    run.console.say(
        f"goes on on other hardware: {present}, after {former[-1]}; its numbers may differ in their last digits from "
        "those of a run on one kind"
    )


def _processor() -> str:
    try:
        for line in _CPU_INFO.read_text(encoding="utf-8", errors="replace").splitlines():
            if line.startswith("model name"):
                return " ".join(line.partition(":")[2].split())
    except OSError:
        pass
    return platform.processor() or platform.machine()
