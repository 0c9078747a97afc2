"""What this process was given: cores, and inside a Slurm job its name and end."""

import os


def available_cores() -> int:
    """Cores that this process may run on: what Slurm or a container grants, where the system tells, else all."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def in_slurm() -> bool:
    """Whether this process belongs to a Slurm job."""
    return "SLURM_JOB_ID" in os.environ


HERE = "here"  # prefix of the names of jobs of grids that run on this machine, without Slurm


def slurm_job() -> str | None:
    """`<array>_<task>` or the job's id, as Slurm's commands take it; None outside Slurm.

    A grid on this machine sets SENTIMENT_JOB to a name of this form.
    """
    if here := os.environ.get("SENTIMENT_JOB"):
        return here
    array, task = os.environ.get("SLURM_ARRAY_JOB_ID"), os.environ.get("SLURM_ARRAY_TASK_ID")
    return f"{array}_{task}" if array and task else os.environ.get("SLURM_JOB_ID")


def slurm_array_task() -> int:
    """The index of this task in its job array; 0 outside an array."""
    return _number("SLURM_ARRAY_TASK_ID") or 0


def slurm_restarts() -> int:
    """How often Slurm has requeued this job."""
    return _number("SLURM_RESTART_COUNT") or 0


def slurm_end() -> float | None:
    """When Slurm ends this job, in seconds since 1970; None if it does not say."""
    return _number("SLURM_JOB_END_TIME")


def slurm_node() -> str | None:
    """The node's name in Slurm; None outside Slurm."""
    return os.environ.get("SLURMD_NODENAME")


def _number(name: str) -> int | None:
    text = os.environ.get(name, "")
    return int(text) if text.isdecimal() else None


def is_of_this_array(job: str | None) -> bool:
    """Whether a job is a task of the array that this process belongs to; outside Slurm, whether it is outside too."""
    return (job or "").partition("_")[0] == (slurm_job() or "").partition("_")[0]
