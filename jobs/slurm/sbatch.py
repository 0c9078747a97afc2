"""One job for sbatch: submitit writes the file and hands it over; this project's own task runs in it.

submitit's own runner is not used: it looks for pickles that are renamed after sbatch (and lost if the submitting
process dies in between), ignores TERM, and counts time-outs instead of progress.
"""

import re
import shlex
from pathlib import Path
from typing import Any

import submitit

from jobs.slurm import commands as slurm
from jobs.slurm.resources import Resources
from jobs.slurm.submissions import Submission
from sentiment.errors import QueueFullError, SlurmError

# Signals are ignored until the task has set its own handlers, and again when it has restored the former ones: otherwise
# each of them would kill the interpreter while it starts or ends.
_GUARD = 'trap "" TERM USR1 USR2'

# What sbatch says of a limit on the number of jobs: of slurmctld, an association or a QOS.
_FULL = re.compile(r"(unable to accept job|queue full), sleeping and retrying|Submit\w*Limit|temporarily unavailable")


class _Sbatch(submitit.SlurmExecutor):
    """Submits a command as an array, or as a single job."""

    @classmethod
    def affinity(cls) -> int:
        return 2  # pretend that Slurm is here: the file can be shown without it, and sending finds out

    def text(self, command: str) -> str:
        """The file for sbatch."""
        return self._make_submission_file_text(command, uid="")

    def write(self, command: str) -> Path:
        """Write the file for sbatch."""
        file = self.folder / "submission.sh"
        file.write_text(self.text(command), encoding="utf-8")
        return file


def send(submission: Submission) -> str:
    """Submit what is written down as an intent; the job's id in Slurm.

    Raises:
        QueueFullError: there are as many jobs as there may be.
        SlurmError: Slurm refuses or does not answer; whether it has the job can then be seen by the job's name.
    """
    file = _executor(submission).write(_command(submission))
    try:
        return slurm.submit(str(file))
    except SlurmError as error:
        if not _FULL.search(str(error)):
            raise
        tasks = len(submission.tasks)
        advice = f"; `tasks: N` in the cluster's file does with N tasks what takes {tasks} here" if tasks > 1 else ""
        raise QueueFullError(f"{' '.join(str(error).split())}{advice}") from None


def directives(submission: Submission) -> list[str]:
    """The lines of the file for sbatch: what it asks for, and the command."""
    text = _executor(submission).text(_command(submission))
    return [line for line in text.splitlines() if line and not line.startswith(("# ", "#!"))]


def _executor(submission: Submission) -> _Sbatch:
    executor = _Sbatch(submission.folder.logs)
    executor.update_parameters(
        **_asked(submission.resources),
        job_name=submission.name,
        dependency=submission.after,
        signal_delay_s=submission.signal_seconds,
        array_parallelism=submission.parallelism,
        stderr_to_stdout=True,
    )
    if submission.job_kind.is_array:
        executor.parameters["map_count"] = len(submission.tasks)
    return executor


def _asked(resources: Resources) -> dict[str, Any]:
    """Resources as submitit's parameters."""
    gpus = f"{resources.gpu_type}:{resources.gpus}" if resources.gpu_type else str(resources.gpus)
    return {
        "partition": resources.partition,
        "account": resources.account,
        "qos": resources.qos,
        "constraint": resources.constraint,
        "time": resources.time_minutes,
        "mem": f"{round(resources.memory_gb * 1024)}M" if resources.memory_gb else None,
        "cpus_per_task": resources.cpus,
        "srun_args": [f"--cpus-per-task={resources.cpus}"],  # which srun does not take over from sbatch
        "setup": list(resources.setup) or None,
        "wckey": None,
        "additional_parameters": {
            "requeue": True,
            "kill-on-invalid-dep": "yes",
            **({"gpus-per-node": gpus} if resources.gpus else {}),
            **({"gres": resources.gres} if resources.gres else {}),
            **{name.lstrip("-"): value for name, value in resources.sbatch.items()},
        },
    }


def _command(submission: Submission) -> str:
    return shlex.join(["sh", "-c", f'{_GUARD}; exec "$@"', "task", *submission.folder.task_command(submission)])
