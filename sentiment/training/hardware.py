"""What computes a run: on the same kind it repeats every bit, on another one it may differ in the last digits."""

import platform
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Self

import torch

from sentiment.errors import RunDirError
from sentiment.training.context import RunContext

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
