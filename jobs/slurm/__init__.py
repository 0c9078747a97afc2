"""The queue that jobs go to: Slurm's commands, batch files, and how tasks ended. Only this package uses submitit.

Other modules import the names below, and the resources that jobs request (`jobs.slurm.resources`), but nothing else
from inside. For another scheduler, such as PBS, the modules `commands`, `sbatch` and `endings` are replaced, and

- states of jobs have Slurm's names, and a task's address is `<array>_<task>`, even if the array has one task;
- a batch file sets the variables that tasks read in `sentiment.processes`: `SLURM_JOB_ID`, `SLURM_RESTART_COUNT`,
  `SLURM_JOB_END_TIME`, `SLURMD_NODENAME` and, except for the final job, `SLURM_ARRAY_JOB_ID` and `SLURM_ARRAY_TASK_ID`;
- it appends the output of a task to `<address>_0_log.out` in the submission's `logs`.
"""

import importlib
from typing import TYPE_CHECKING

from jobs.slurm.commands import (
    ENDED,
    Job,
    cancel,
    describe_partitions,
    find_job,
    is_unfinished,
    max_array_size,
    read_limits,
    read_queue,
    read_settings,
    release,
    requeue,
)
from jobs.slurm.endings import (
    DISK_FULL_ADVICE,
    DISK_FULL_EXIT_CODE,
    STOPPED_EXIT_CODE,
    ended_state,
    read_termination,
    start_line,
)
from jobs.slurm.resources import Resources

if TYPE_CHECKING:
    from jobs.submissions import SubmissionDir

__all__ = [
    "DISK_FULL_ADVICE",
    "DISK_FULL_EXIT_CODE",
    "ENDED",
    "STOPPED_EXIT_CODE",
    "Job",
    "cancel",
    "check_requirements",
    "describe_partitions",
    "directives",
    "ended_state",
    "find_job",
    "find_refusal",
    "is_unfinished",
    "max_array_size",
    "read_limits",
    "read_queue",
    "read_settings",
    "read_termination",
    "release",
    "requeue",
    "start_line",
    "submit",
]


def check_requirements() -> None:
    """Raise ModuleNotFoundError if `submit` cannot work, before anything is recorded."""
    importlib.import_module("submitit")


def submit(folder: "SubmissionDir") -> str:
    """Submit a recorded submission and return its job's id; after an error the job may have been accepted too."""
    from jobs.slurm import sbatch  # imports submitit, which only a command that submits needs

    return sbatch.submit(folder)


def directives(folder: "SubmissionDir") -> list[str]:
    """Return the lines of a submission's batch file without comments."""
    from jobs.slurm import sbatch

    return sbatch.directives(folder)


def find_refusal(resources: Resources) -> str | None:
    """Return why the queue would refuse a job with these resources; None if it would accept it."""
    from jobs.slurm import sbatch

    return sbatch.find_refusal(resources)
