"""What this process has: cores and threads, compute time, its job in Slurm or in a local grid, and wandb."""

import gc
import math
import os
import signal
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from importlib.util import find_spec
from pathlib import Path
from types import ModuleType


def available_cores() -> int:
    """Cores in the CPU affinity of this process, or fewer if a control group has a quota of time.

    On sites where Slurm does not bind jobs to their cores, at most as many as this one was given. All cores of the
    machine if the system does not report the affinity.
    """
    cores = os.cpu_count() or 1
    if hasattr(os, "sched_getaffinity"):
        cores = len(os.sched_getaffinity(0))
    in_job = _number("SLURM_CPUS_ON_NODE") or cores
    return max(math.ceil(min(cores, in_job, _cpu_quota())), 1)


_OWN_CGROUPS = Path("/proc/self/cgroup")
_CGROUPS = Path("/sys/fs/cgroup")


def control_groups(controller: str) -> Iterator[Path]:
    """The folders where limits of this process may stand: those of its control group, and of the groups around it.

    Version 1 has a tree of groups for each controller, such as `cpu`. Some folders do not exist, since a container sees
    its own group at the top.
    """
    lines: list[str] = []
    with suppress(OSError):  # only Linux has the file
        lines = _OWN_CGROUPS.read_text().splitlines()
    for line in lines:
        _, controllers, own = line.split(":", 2)
        if controllers and controller not in controllers.split(","):
            continue
        top = _CGROUPS / controller if controllers else _CGROUPS
        group = top / own.lstrip("/")
        yield from (folder for folder in (group, *group.parents) if folder.is_relative_to(top))


_QUOTA_FILES = (["cpu.max"], ["cpu.cfs_quota_us", "cpu.cfs_period_us"])  # of versions 2 and 1


def _cpu_quota() -> float:
    """The cores that the smallest quota of processor time amounts to; infinite if there is none."""
    cores = math.inf
    for group in control_groups("cpu"):
        for names in _QUOTA_FILES:
            with suppress(OSError, ValueError):  # no such file, or `max` instead of a number
                quota, period = " ".join((group / name).read_text() for name in names).split()
                if int(quota) > 0:
                    cores = min(cores, int(quota) / int(period))
    return cores


_MAX_THREADS = 8


def training_threads(at_once: int = 1) -> int:
    """The number of threads of each of so many runs at a time, which share the cores of this process.

    At most OMP_NUM_THREADS, as in other programs: where others compute too, threads that wait for one another take
    several times as long as a single one.
    """
    asked_for = _number("OMP_NUM_THREADS") or _MAX_THREADS
    return max(min(available_cores() // at_once, asked_for, _MAX_THREADS), 1)


def libraries_survive_fork() -> bool:
    """Whether a process may fork after it has loaded libraries; on macOS those of the system may then crash."""
    return sys.platform == "linux"


RUNS_ON_GPU = "SENTIMENT_RUNS_ON_GPU"  # how many runs at a time share a GPU; set by the worker that starts them


def runs_on_gpu() -> int:
    """How many runs, this one among them, share its GPU."""
    return _number(RUNS_ON_GPU) or 1


def leave_compiler_out() -> None:
    """Put a stub in the place of torch's compiler, which takes 1.5 s to load and is not used here.

    Only for programs of our own, at their start: somebody's notebook may use it.
    """
    stub = ModuleType("torch._dynamo")
    vars(stub).update(disable=lambda function, *_, **__: function, graph_break=lambda: None)
    sys.modules.setdefault(stub.__name__, stub)


def bring_compiler_back() -> None:
    """Undo `leave_compiler_out`, for packages that import parts of torch's compiler."""
    if not hasattr(sys.modules.get("torch._dynamo"), "__path__"):
        sys.modules.pop("torch._dynamo", None)


class Stopwatch:
    """Measures the compute time of this process from now on; `on_gpu`: whether it holds a GPU for all that time."""

    def __init__(self, on_gpu: bool) -> None:
        self._on_gpu = on_gpu
        self._cpu_start = _cpu_seconds()
        self._start = time.monotonic()

    def read(self) -> dict[str, float]:
        """The fields of a `ComputeTime`."""
        gpu_seconds = time.monotonic() - self._start if self._on_gpu else 0.0
        return {"cpu_seconds": _cpu_seconds() - self._cpu_start, "gpu_seconds": gpu_seconds}


def _cpu_seconds() -> float:
    """CPU time of all threads of this process and of its ended child processes."""
    times = os.times()
    return time.process_time() + times.children_user + times.children_system


def in_slurm() -> bool:
    """Whether this process belongs to a Slurm job."""
    return "SLURM_JOB_ID" in os.environ


def wandb_is_installed() -> bool:
    spec = find_spec("wandb")
    return spec is not None and spec.origin is not None  # a mere folder of this name, with wandb's files, has none


def wandb_problem(wanted: str) -> str | None:
    """Why runs cannot be copied to W&B as `tracking.wandb` wants; None if they can, or need not be."""
    if wanted in ("auto", "disabled") or wandb_is_installed():
        return None
    return (
        f"tracking.wandb = {wanted!r}: the package wandb is not installed; install sentiment-grids[wandb], or set "
        "it to auto or disabled"
    )


LOCAL_JOB_PREFIX = "local"  # prefix of the job names of grids that run on this machine, without Slurm


def slurm_job() -> str | None:
    """`<array>_<task>` or the job's id, as Slurm's commands take it; None outside Slurm.

    A grid on this machine sets SENTIMENT_JOB to a name of this form.
    """
    if local_job := os.environ.get("SENTIMENT_JOB"):
        return local_job
    array = os.environ.get("SLURM_ARRAY_JOB_ID")
    task = os.environ.get("SLURM_ARRAY_TASK_ID")
    if array and task:
        return f"{array}_{task}"
    return os.environ.get("SLURM_JOB_ID")


def slurm_array_task() -> int:
    """The index of this task in its job array; 0 outside an array."""
    return _number("SLURM_ARRAY_TASK_ID") or 0


def slurm_restarts() -> int:
    """How often Slurm has requeued this job."""
    return _number("SLURM_RESTART_COUNT") or 0


def slurm_end_time() -> float | None:
    """The time at which Slurm ends this job, in seconds since 1970; None if it is unknown."""
    return _number("SLURM_JOB_END_TIME")


def slurm_node() -> str | None:
    """The name of this node in Slurm; None outside Slurm."""
    return os.environ.get("SLURMD_NODENAME")


def _number(name: str) -> int | None:
    text = os.environ.get(name, "")
    return int(text) if text.isdecimal() else None


def in_same_array(job: str | None) -> bool:
    """Whether `job` belongs to the same array as this process, of Slurm or of a local grid.

    Of a process outside of jobs, whether `job` is None.
    """
    array = (job or "").partition("_")[0]
    own_array = (slurm_job() or "").partition("_")[0]
    return array == own_array


@contextmanager
def exit_on_sigterm() -> Iterator[None]:
    """Let SIGTERM end this program as an error would, so that the file that it writes is deleted."""
    previous = signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, previous)


@contextmanager
def without_garbage_collection() -> Iterator[None]:
    """Disable garbage collection, which would take a fifth of the time: rows and runs form no reference cycles."""
    enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if enabled:
            gc.enable()
