"""Works off a grid's jobs on this machine while the command waits: the same tasks as on Slurm, one job after another.

A task is started as Slurm would start it, from the frozen copy of the code, and prints into the same log. As long as
this process holds the lock in a job's folder, other commands see the job as running; `cancel` marks its runs there.
"""

import os
import signal
import subprocess
import time
from collections.abc import Iterable, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Self

from jobs.submissions import Submission, SubmissionDir, new_submission, write_intent
from sentiment.console import Say
from sentiment.processes import LOCAL_JOB_PREFIX
from sentiment.runs.locks import ProcessLock
from sentiment.runs.run_dir import Results
from sentiment.training.stop import StopRequest, process_deadline

_POLL_SECONDS = 0.1


class Here:
    """What this command works off; within its context it heeds signals."""

    def __init__(self, results: Results, grid: str, say: Say) -> None:
        self.stop = StopRequest(process_deadline(None, time.time()))
        self._results = results
        self._grid = grid
        self._say = say
        self._locks = ExitStack()
        self._every: list[SubmissionDir] = []
        self._done = 0
        self._ended = 0

    def __enter__(self) -> Self:
        self.stop.__enter__()
        return self

    def __exit__(self, *_error: object) -> None:
        self._locks.close()
        self.stop.__exit__()

    def accept(self, jobs: Iterable[Submission]) -> None:
        """Write jobs down, to be worked off in this order. The caller must hold the grid's lock."""
        for job in jobs:
            folder = write_intent(new_submission(self._results, self._grid, job, None))
            self._locks.enter_context(ProcessLock(folder.lock_file, "works it off"))
            folder.accept(f"{LOCAL_JOB_PREFIX}{folder.number}")
            self._every.append(folder)

    def work_off(self) -> None:
        """Work off what was accepted, unless there is a reason to stop; no process is left when this returns."""
        while self._done < len(self._every) and not self.stop.reason():
            self._perform(self._every[self._done])
            self._done += 1
        self._locks.close()

    @property
    def run_ids(self) -> set[str]:
        return {run_id for folder in self._every for share in folder.tasks for run_id in share}

    def _perform(self, folder: SubmissionDir) -> None:
        job = folder.job(0)
        log = folder.logs / f"{job}_0_log.out"
        environ = {name: value for name, value in os.environ.items() if not name.startswith("SLURM_ARRAY_")}
        with open(log, "ab") as output:
            process = subprocess.Popen(  # noqa: S603
                [*folder.submission.command, "--here", str(os.getpid())],
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                env=environ | {"SENTIMENT_JOB": job},
                start_new_session=True,  # Ctrl+C reaches this process alone, which passes it on
            )
        try:
            self._follow(process, log)
        finally:
            process.kill()  # after a second Ctrl+C; without effect if it has ended

    def _follow(self, process: "subprocess.Popen[bytes]", log: Path) -> None:
        told, part, running = False, "", True
        with open(log, encoding="utf-8", errors="replace") as said:
            while running:
                running = process.poll() is None  # asked before its last words are read
                if self.stop.reason() and not told:
                    process.send_signal(signal.SIGTERM)
                    told = True
                *lines, part = (part + said.read()).split("\n")
                for line in lines:
                    self._tell(line)
                time.sleep(_POLL_SECONDS if running else 0)

    def _tell(self, line: str) -> None:
        # A line that begins with a run's name says how that has ended.
        if line.partition(" ")[0] in (run_ids := self.run_ids):
            self._ended += 1
            line = f"[{self._ended}/{max(self._ended, len(run_ids))}] {line}"
        self._say(line)


def gpus_here() -> Sequence[str]:
    """GPUs that this process may use, as CUDA_VISIBLE_DEVICES names them; found out without loading torch."""
    if (visible := os.environ.get("CUDA_VISIBLE_DEVICES")) is not None:
        return [gpu for gpu in visible.split(",") if gpu and gpu != "-1"]
    command = ["nvidia-smi", "--query-gpu=index", "--format=csv,noheader"]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=60)  # noqa: S603
    except (OSError, subprocess.TimeoutExpired):
        return []
    return done.stdout.split() if done.returncode == 0 else []
