"""A task's work inside of a container (Apptainer, Singularity); Slurm's own commands stay outside, where they work."""

import shutil
import signal
import subprocess
from pathlib import Path

from jobs.slurm.resources import CONTAINER_PROGRAMS, Container
from jobs.slurm.submissions import SubmissionDir
from jobs.tasks.attempt import Outcome, outcome_of
from sentiment.errors import SentimentError
from sentiment.training.stop import StopRequest

INSIDE = "--inside"
"""The option by which the task's program knows that it is inside of the container."""
_POLL_SECONDS = 0.5
_CODE = Path(__file__).parents[2]


class ContainerError(SentimentError):
    """The container could not be started, or its process was killed."""


def container_command(container: Container, has_gpu: bool, folder: SubmissionDir) -> list[str]:
    """What performs a task of a submission inside of a container.

    The code and the results are there under the same names as outside.

    Raises:
        ContainerError: there is neither Apptainer nor Singularity on this node.
    """
    program = next(filter(None, map(shutil.which, CONTAINER_PROGRAMS)), None)
    if program is None:
        names = " nor ".join(CONTAINER_PROGRAMS)
        raise ContainerError(
            f"neither {names} is on this node's PATH; `setup: [module load {CONTAINER_PROGRAMS[0]}]` in the cluster's "
            "file may load it"
        )
    here = Path.cwd()
    places = dict.fromkeys((here, _CODE, Path(folder.submission.results)))
    return [
        program,
        "exec",
        *(["--nv"] if has_gpu else []),
        *(word for place in places for word in ("--bind", str(place))),
        *("--pwd", str(here)),
        *container.options,
        container.image,
        *folder.task_command(folder.submission, container.python),
        INSIDE,
    ]


def perform_in_container(container: Container, has_gpu: bool, folder: SubmissionDir, stop: StopRequest) -> Outcome:
    """Perform the task that Slurm names, and pass signals on.

    Raises:
        ContainerError: the container could not be started, or its process was killed.
    """
    process = subprocess.Popen(container_command(container, has_gpu, folder))  # noqa: S603
    told = False
    while process.poll() is None:
        reason = stop.reason()
        if reason and reason.reason == "signal" and not told:
            process.send_signal(signal.Signals[reason.detail])
            told = True
        try:
            process.wait(timeout=_POLL_SECONDS)
        except subprocess.TimeoutExpired:
            continue
    code = process.returncode
    if code in list(Outcome):
        return Outcome(code)
    if reason := stop.reason():  # before the handlers inside stood: nothing had begun
        return outcome_of(reason)
    number = -code if code < 0 else code - 128
    if code < 0 or 0 < number < signal.NSIG:
        raise ContainerError(f"its process in the container was killed by signal {number}; memory may have been short")
    raise ContainerError(f"the container could not be run: it ended with {code}; see the task's log")
