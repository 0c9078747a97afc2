"""One job for sbatch: submitit writes the file and hands it over; this project's own task runs in it.

submitit's own runner is not used: it looks for pickles that are renamed after sbatch (and lost if the submitting
process dies in between), ignores TERM, and counts time-outs instead of progress.
"""

import os
import re
import shlex
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import submitit
from submitit.core.utils import FailedSubmissionError

from jobs.slurm.resources import Resources
from jobs.slurm.submissions import Submission
from sentiment.errors import NoSlurmError, QueueFullError, SlurmError
from sentiment.run_dir import Results

# Signals are ignored until the task has set its own handlers, and again when it has restored the former ones: otherwise
# each of them would kill the interpreter while it starts or ends.
_GUARD = 'trap "" TERM USR1 USR2'

# Imports come from this folder, whatever the present one holds, and what the job's `setup` names comes after it.
_IMPORT_FROM = 'export PYTHONSAFEPATH=1 PYTHONPATH="$0${PYTHONPATH:+:$PYTHONPATH}"'

# What sbatch says of a limit on the number of jobs: of slurmctld, an association or a QOS. After the former it waits.
_RETRIES = re.compile(r"(unable to accept job|queue full), sleeping and retrying")
_FULL = re.compile(rf"{_RETRIES.pattern}|Submit\w*Limit|Resource temporarily unavailable")

# A shell inside another job has these variables, and the new job would inherit them. SLURM_CONF says where Slurm is.
_FOREIGN = ("SLURM_", "SBATCH_", "SRUN_", "PMI_", "PMIX_", "SUBMITIT_")
_KEPT = {"SLURM_CONF"}


class _Sbatch(submitit.SlurmExecutor):
    """Submits a command as an array, or as a single job."""

    @classmethod
    def affinity(cls) -> int:
        return 2  # pretend that Slurm is here: the file can be shown without it, and sending finds out

    def text(self, command: str) -> str:
        """The file for sbatch."""
        return self._make_submission_file_text(command, uid="")

    def send(self, command: str) -> str:
        """Hand the file to sbatch; the job's id."""
        file = self.folder / "submission.sh"
        file.write_text(self.text(command), encoding="utf-8")
        return self._get_job_id_from_submission_command(_hand_over(self._make_submission_command(file)))


def send(submission: Submission) -> str:
    """Submit what is written down as an intent; the job's id in Slurm.

    Raises:
        QueueFullError: there are as many jobs as there may be.
        SlurmError: Slurm refuses or does not answer; whether it has the job can then be seen by the job's name.
    """
    try:
        with _clean_environment():
            return _executor(submission).send(_command(submission))
    except FailedSubmissionError as error:
        raise SlurmError(f"sbatch: {str(error).strip()}") from None


def _hand_over(command: list[str]) -> str:
    """Run sbatch; what it prints.

    Where Slurm has too many jobs, sbatch tries again for two minutes. It is ended instead, while it sleeps, since by
    then nothing will have changed.
    """
    try:
        process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)  # noqa: S603
    except FileNotFoundError:
        raise NoSlurmError("sbatch: not found; there is no Slurm on this machine") from None
    said = []
    with process:
        for line in process.stderr or ():
            said.append(line.removeprefix("sbatch: error: ").strip())
            if _RETRIES.search(line):
                process.kill()
        output = process.stdout.read() if process.stdout else ""
    if process.returncode == 0:
        return output
    message = "; ".join(filter(None, said)) or f"ended with {process.returncode}"
    raise (QueueFullError if _FULL.search(message) else SlurmError)(f"sbatch: {message}")


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
    steps, code = [_GUARD], "task"
    if submission.code:
        steps, code = [_GUARD, _IMPORT_FROM], str(Results(Path(submission.results)).code / submission.code)
    task = [sys.executable, "-u", "-m", "jobs.tasks.slurm_task", str(submission.folder.path)]
    return shlex.join(["sh", "-c", "; ".join([*steps, 'exec "$@"']), code, *task])


@contextmanager
def _clean_environment() -> Iterator[None]:
    """Remove what another job has left in the environment, for as long as the context lasts."""
    foreign = [name for name in os.environ if name.startswith(_FOREIGN) and name not in _KEPT]
    removed = {name: os.environ.pop(name) for name in foreign}
    try:
        yield
    finally:
        os.environ.update(removed)
