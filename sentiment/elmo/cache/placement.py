"""Where cached vectors are held: in GPU memory or RAM if they fit, else on disk."""

from pathlib import Path
from typing import Literal

import torch

Place = Literal["GPU memory", "RAM", "disk"]

# The rest is for the model, its gradients and other processes of the machine.
_SHARE_OF_GPU = 0.6
_SHARE_OF_RAM = 0.5


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
