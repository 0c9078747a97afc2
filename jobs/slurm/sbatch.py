"""Writes the batch files of jobs and submits them with sbatch.

submitit writes the batch files, and this project's own task runs in them. submitit's own runner is not used: it looks
for pickles that are renamed after sbatch (and lost if the submitting process dies in between), ignores TERM, and counts
time-outs instead of progress.
"""

import re
import shlex
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import submitit

from jobs.slurm import commands as slurm
from jobs.slurm.resources import Resources
from jobs.submissions import SubmissionDir
from sentiment.errors import QueueFullError, SlurmError, in_one_line

# Signals are ignored until the task has set its own handlers, and again when it has restored the former ones: otherwise
# each of them would kill the interpreter while it starts or ends.
_IGNORE_SIGNALS = 'trap "" TERM USR1 USR2'
# There is no scontrol in a container: the task asks for a requeue by its exit code, and the shell around it does that.
_RUN_IN_CONTAINER = (
    'again=$1; shift; "$@" --inside; code=$?; '
    'case $code in 4|5) exec sh -c "exec $again --requeue $code";; esac; exit $code'
)
_CONTAINER_PROGRAM = '"$(command -v apptainer || command -v singularity || echo apptainer)"'
_PROJECT_ROOT = Path(__file__).parents[2]
# Tasks watch their own time limit. Should one fail to, Slurm sends it a signal this long before the limit, and up to a
# minute earlier, since it looks for such jobs every 30 s.
_WARNING_SECONDS = 120

# sbatch's messages when a limit on the number of jobs is reached: of slurmctld, an association or a QOS.
_FULL = re.compile(r"(unable to accept job|queue full), sleeping and retrying|Submit\w*Limit|temporarily unavailable")

_PATTERN_SYMBOLS = "%\\"


class _Sbatch(submitit.SlurmExecutor):
    """Writes the batch file of a command, for an array or a single job."""

    @classmethod
    def affinity(cls) -> int:
        return 2  # submitit's word for "Slurm is available": batch files can be written without it

    def text(self, command: str) -> str:
        return self._make_submission_file_text(command, uid="")


def find_refusal(resources: Resources) -> str | None:
    """Return why Slurm would refuse a job with these resources; None if it would accept it. Nothing is submitted."""
    with TemporaryDirectory() as folder:
        executor = _Sbatch(folder)
        executor.update_parameters(**_options(resources))
        file = Path(folder) / "test.sh"
        file.write_text(executor.text("true"), encoding="utf-8")
        try:
            slurm.run_command("sbatch", "--test-only", str(file))
        except SlurmError as error:
            return in_one_line(error)
    return None


def batch_file(folder: SubmissionDir) -> str:
    """Return the text of the file that sbatch gets.

    Raises:
        SlurmError: Slurm would write the logs into another folder.
    """
    submission = folder.submission
    logs = folder.logs.resolve()
    if symbols := {*_PATTERN_SYMBOLS}.intersection(str(logs)):
        raise SlurmError(
            f"{logs}: sbatch takes {min(symbols)} in a log's path for a pattern; use another --results DIR"
        )
    executor = _Sbatch(logs)
    executor.update_parameters(
        **_options(submission.resources),
        job_name=folder.name,
        dependency=submission.after,
        signal_delay_s=min(_WARNING_SECONDS, submission.resources.time_minutes * 15),
        array_parallelism=submission.parallelism,
        stderr_to_stdout=True,
    )
    if not submission.job_kind.final:
        executor.parameters["map_count"] = len(submission.tasks)
    return executor.text(_command(folder))


def directives(folder: SubmissionDir) -> list[str]:
    """Return the lines of the batch file without comments."""
    return [line for line in batch_file(folder).splitlines() if line and not line.startswith(("# ", "#!"))]


def _options(resources: Resources) -> dict[str, Any]:
    """Return submitit's parameters for some resources.

    Both sbatch and srun ask for one task on one node: on a whole node srun would otherwise start as many tasks as fit.
    """
    additional: dict[str, Any] = {"ntasks": 1, "requeue": True, "kill-on-invalid-dep": "yes"}
    if resources.gpus:
        additional["gpus-per-node"] = f"{resources.gpu_type}:{resources.gpus}" if resources.gpu_type else resources.gpus
    additional |= {name: value for name, value in resources.sbatch.items() if value is not False}
    return {
        "nodes": 1,
        "partition": resources.partition,
        "account": resources.account,
        "time": resources.time_minutes,
        "mem": f"{round(resources.memory_gb * 1024)}M" if resources.memory_gb else None,
        "cpus_per_task": resources.cpus,
        # srun does not inherit --cpus-per-task from sbatch.
        "srun_args": ["--nodes=1", "--ntasks=1", f"--cpus-per-task={resources.cpus}"],
        "setup": list(resources.setup) or None,
        "wckey": None,
        "additional_parameters": additional,
    }


def _command(folder: SubmissionDir) -> str:
    command = folder.command
    container = folder.submission.resources.container
    if container is None:
        return shlex.join(["sh", "-c", f'{_IGNORE_SIGNALS}; exec "$@"', "task", *command])
    script = f"{_IGNORE_SIGNALS}; {_RUN_IN_CONTAINER}"
    outside = shlex.join(["sh", "-c", script, "task", shlex.join(command)])
    working_directory = str(Path.cwd())
    options = ["--nv"] if folder.submission.resources.has_gpu else []
    for bound in dict.fromkeys((working_directory, str(_PROJECT_ROOT), str(folder.results.root.resolve()))):
        options += ["--bind", bound]
    options += ["--pwd", working_directory, container]
    inside = shlex.join(["python3", *command[1:]])
    return f"{outside} {_CONTAINER_PROGRAM} exec {shlex.join(options)} {inside}"


def submit(folder: SubmissionDir) -> str:
    """Write the batch file, submit it and return the job's id; after an error Slurm may have accepted the job too."""
    file = folder.logs / "submission.sh"
    file.write_text(batch_file(folder), encoding="utf-8")
    try:
        return slurm.run_sbatch(str(file))
    except SlurmError as error:
        if not _FULL.search(str(error)):
            raise
        message = in_one_line(error)
        tasks = len(folder.submission.tasks)
        if tasks > 1:
            message += f"; set `tasks: N` in the cluster file to use N tasks instead of {tasks}"
        raise QueueFullError(message) from None
