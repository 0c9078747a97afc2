"""A chain of jobs (tweets, vectors, training, report) handed to sbatch, each written down before.

submitit writes the files, and this project's own task runs in them. submitit's own runner is not used: it looks for
pickles that are renamed after sbatch (and lost if the submitting process dies in between), ignores TERM, and counts
time-outs instead of progress.
"""

import re
import shlex
from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import submitit

from jobs.grid_jobs import GridJobs
from jobs.services import JOB_KINDS
from jobs.slurm import commands as slurm
from jobs.slurm.resources import Container, Resources
from jobs.submissions import Submission, SubmissionDir, new_submission, write_intent
from sentiment.errors import QueueFullError, SlurmError, UnansweredError
from sentiment.runs.run_dir import Results

# Signals are ignored until the task has set its own handlers, and again when it has restored the former ones: otherwise
# each of them would kill the interpreter while it starts or ends.
_GUARD = 'trap "" TERM USR1 USR2'
# Inside of a container there is no scontrol: the task says by its exit code that it is to be requeued.
_IN_CONTAINER = (
    'again=$1; shift; "$@" --inside; code=$?; '
    'case $code in 4|5) exec sh -c "exec $again --requeue $code";; esac; exit $code'
)
_CONTAINER_PROGRAM = '"$(command -v apptainer || command -v singularity || echo apptainer)"'
_CODE = Path(__file__).parents[2]
# A task knows its end itself. Should it not, this is time for a save; Slurm looks every 30 s for jobs to warn, so that
# a warning may come a minute early.
_WARNING_SECONDS = 120

# What sbatch says of a limit on the number of jobs: of slurmctld, an association or a QOS.
_FULL = re.compile(r"(unable to accept job|queue full), sleeping and retrying|Submit\w*Limit|temporarily unavailable")


class _Sbatch(submitit.SlurmExecutor):
    """Submits a command as an array, or as a single job."""

    @classmethod
    def affinity(cls) -> int:
        return 2  # pretend that Slurm is here: the file can be shown without it, and sending finds out

    def text(self, command: str) -> str:
        return self._make_submission_file_text(command, uid="")


def send(submission: Submission) -> str:
    """Submit what is written down as an intent; the job's id in Slurm, which may have it after an error too."""
    file = submission.folder.logs / "submission.sh"
    file.write_text(batch_file(submission), encoding="utf-8")
    try:
        return slurm.submit(str(file))
    except SlurmError as error:
        if not _FULL.search(str(error)):
            raise
        tasks = len(submission.tasks)
        advice = f"; `tasks: N` in the cluster's file does with N tasks what takes {tasks} here" if tasks > 1 else ""
        raise QueueFullError(f"{' '.join(str(error).split())}{advice}") from None


def find_refusal(resources: Resources) -> str | None:
    """Why Slurm would refuse a job with these resources; None if it would take it. Nothing is submitted."""
    with TemporaryDirectory() as folder:
        executor = _Sbatch(folder)
        executor.update_parameters(**_asked(resources))
        file = Path(folder) / "test.sh"
        file.write_text(executor.text("true"), encoding="utf-8")
        try:
            slurm.ask("sbatch", "--test-only", str(file))
        except SlurmError as error:
            return " ".join(str(error).split())
    return None


def batch_file(submission: Submission) -> str:
    executor = _Sbatch(submission.folder.logs)
    executor.update_parameters(
        **_asked(submission.resources),
        job_name=submission.name,
        dependency=submission.after,
        signal_delay_s=min(_WARNING_SECONDS, submission.resources.time_minutes * 15),
        array_parallelism=submission.parallelism,
        stderr_to_stdout=True,
    )
    if not submission.job_kind.final:
        executor.parameters["map_count"] = len(submission.tasks)
    return executor.text(_command(submission))


def directives(submission: Submission) -> list[str]:
    return [line for line in batch_file(submission).splitlines() if line and not line.startswith(("# ", "#!"))]


def _asked(resources: Resources) -> dict[str, Any]:
    gpus = f"{resources.gpu_type}:{resources.gpus}" if resources.gpu_type else str(resources.gpus)
    return {
        "partition": resources.partition,
        "account": resources.account,
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
            **resources.sbatch,
        },
    }


def _command(submission: Submission) -> str:
    words = submission.command
    container = submission.resources.container
    if container is None:
        return shlex.join(["sh", "-c", f'{_GUARD}; exec "$@"', "task", *words])
    script, again = f"{_GUARD}; {_IN_CONTAINER}", shlex.join(words)
    inside = shlex.join(_container_options(container, submission))
    task = shlex.join([container.python, *words[1:]])
    return f"{shlex.join(['sh', '-c', script, 'task', again])} {_CONTAINER_PROGRAM} exec {inside} {task}"


def _container_options(container: Container, submission: Submission) -> list[str]:
    here = str(Path.cwd())
    places = dict.fromkeys((here, str(_CODE), submission.results))
    binds = [word for place in places for word in ("--bind", place)]
    nv = ["--nv"] if submission.resources.has_gpu else []
    return [*nv, *binds, "--pwd", here, *container.options, container.image]


def submit_chain(
    results: Results, grid: str, jobs: Sequence[Submission], before: GridJobs
) -> tuple[list[SubmissionDir], SlurmError | None]:
    """Write down and submit each job, with its dependency on the grid's jobs before it: all of it, or nothing.

    Of earlier jobs, a final one that still waits is replaced, and so are tasks of later rungs.

    Returns:
        What was accepted; and why the job that ends a grid was refused, without which training goes on.
    """
    active = {job.name for job in before.queue or () if job.active}
    rungs = {job.rung for job in jobs if job.by_ranking}
    every = [folder for folder in before.submissions if folder.submission.name in active]
    replaced = [one for one in every if one.submission.by_ranking and one.submission.rung in rungs]
    waiting = [folder for folder in every if folder not in replaced]
    accepted: list[SubmissionDir] = []

    def submit(final: bool) -> None:
        for job in jobs:
            if JOB_KINDS[job.kind].final == final:
                after = _dependency(job, [*waiting, *accepted])
                accepted.append(_submit(new_submission(results, grid, job, after)))

    try:
        submit(final=False)
    except SlurmError:
        slurm.cancel(folder.job_id for folder in accepted)
        for folder in accepted:
            folder.withdraw()
        raise
    if any(folder.submission.by_ranking for folder in accepted):
        slurm.cancel(folder.job_id for folder in replaced)
    try:
        submit(final=True)
        slurm.cancel(folder.job_id for folder in waiting if folder.submission.job_kind.final)
    except SlurmError as error:
        return accepted, error
    return accepted, None


def _dependency(job: Submission, before: Sequence[SubmissionDir]) -> str | None:
    """Tasks of a later rung wait for the end, however it was, of all that trains in the rung before theirs."""
    ids = [one.job_id for one in before if one.submission.kind in job.job_kind.after]
    if job.by_ranking and job.rung:
        ids = [one.job_id for one in before if one.submission.rung == job.rung - 1]
    condition = "afterany" if job.by_ranking or job.job_kind.final else "afterok"
    return f"{condition}:{':'.join(ids)}" if ids else None


def _submit(submission: Submission) -> SubmissionDir:
    folder = write_intent(submission)
    try:
        job_id = send(submission)
    except SlurmError as error:  # perhaps Slurm has accepted the job, and its answer was lost
        try:
            found = [job.job_id for job in slurm.read_queue() if job.name == submission.name]
        except SlurmError as silence:
            why = f"{error}; {silence}; the next command finds out whether the job was accepted"
            raise UnansweredError(why) from None
        if not found:
            folder.withdraw()
            raise
        job_id = found[0]
    folder.accept(job_id)
    return folder
