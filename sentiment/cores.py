"""How much of the machine this process may use."""

import os


def available_cores() -> int:
    """Cores that this process may run on: what Slurm or a container grants, where the system tells, else all."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1
