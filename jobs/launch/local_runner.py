"""Runs jobs of grids on this machine, one after another, in the foreground; the tasks are the same as on Slurm.

A task is started as Slurm would start it, from the code snapshot, and prints into the same log. Other commands treat a
job as running while this process holds the lock in its folder; `cancel` writes run ids to `cancelled.json` there.
"""

import os
import signal
import subprocess
import time
from collections.abc import Iterable, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Self

from jobs.submissions import Submission, SubmissionDir, new_submission, record_submission
from sentiment.console import OUT, ProgressBar, Say
from sentiment.processes import LOCAL_JOB_PREFIX
from sentiment.runs.locks import Lock, live_owner
from sentiment.runs.run_dir import Results, RunDir, short_id
from sentiment.training.stop import StopRequest, process_deadline

_POLL_SECONDS = 0.1
_MAX_SHOWN = 2  # runs with their epochs


class LocalRunner:
    """Runs the jobs that it is given one after another; as a context manager it handles signals as `StopRequest`."""

    def __init__(self, results: Results, say: Say) -> None:
        self.stop = StopRequest(process_deadline())
        self.results = results
        self._say = say
        self._locks = ExitStack()
        self._submissions: list[SubmissionDir] = []
        self._jobs_done = 0
        self._ended: set[str] = set()
        self._bar = ProgressBar()
        self._last_epochs: dict[RunDir, int] = {}

    def __enter__(self) -> Self:
        self.stop.__enter__()
        self._bar.__enter__()
        return self

    def __exit__(self, *_error: object) -> None:
        self._bar.__exit__()
        self._locks.close()
        self.stop.__exit__()

    def accept(self, grid: str, jobs: Iterable[Submission]) -> list[SubmissionDir]:
        """Record jobs of a grid, which will run in this order. The caller must hold the grid's lock."""
        accepted = []
        for job in jobs:
            folder = record_submission(new_submission(self.results, grid, job, None))
            self._locks.enter_context(Lock(folder.lock_file, "runs it on this machine"))
            folder.write_receipt(f"{LOCAL_JOB_PREFIX}-{folder.path.name.rpartition('-')[2]}")  # unlike any before
            accepted.append(folder)
            for config in job.configs:
                self._last_epochs[self.results.run_dir(config.run_id, grid)] = config.training.epochs
        self._submissions += accepted
        return accepted

    def run_all(self) -> bool:
        """Run the accepted jobs until all are done or there is a reason to stop; then none of their tasks lives on.

        Returns:
            Whether a job was run.
        """
        done_before = self._jobs_done
        while self._jobs_done < len(self._submissions) and not self.stop.reason():
            self._run_job(self._submissions[self._jobs_done])
            self._jobs_done += 1
        self._locks.close()
        while self._has_children() and not self.stop.reason():  # of a task that was killed
            time.sleep(_POLL_SECONDS)
        return self._jobs_done > done_before

    def _has_children(self) -> bool:
        return any(live_owner(run_dir.lock_file) for run_dir in self._last_epochs)

    @property
    def has_results(self) -> bool:
        """Whether a run that it was given is completed or has failed."""
        return any(run_dir.completed or run_dir.failure_file.exists() for run_dir in self._last_epochs)

    @property
    def run_ids(self) -> set[str]:
        return {run_id for folder in self._submissions for run_id in folder.run_ids}

    def _run_job(self, folder: SubmissionDir) -> None:
        task_id = folder.task_address(0)
        log = folder.logs / f"{task_id}_0_log.out"
        environ = {name: value for name, value in os.environ.items() if not name.startswith("SLURM_ARRAY_")}
        with open(log, "ab") as output:
            process = subprocess.Popen(  # noqa: S603
                [*folder.command, "--parent", str(os.getpid())],
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                env=environ | {"SENTIMENT_JOB": task_id},
                start_new_session=True,  # so that Ctrl+C reaches only this process, which forwards it
            )
        try:
            self._follow(process, log)
        finally:
            process.kill()  # after a second Ctrl+C; without effect if it has ended

    def _follow(self, process: "subprocess.Popen[bytes]", log: Path) -> None:
        signalled = False
        running = True
        partial_line = ""
        with open(log, encoding="utf-8", errors="replace") as output:
            while running:
                running = process.poll() is None  # before the log is read, so that its last lines are not missed
                if self.stop.reason() and not signalled:
                    process.send_signal(signal.SIGTERM)
                    signalled = True
                *lines, partial_line = (partial_line + output.read()).split("\n")
                for line in lines:
                    self._print(line)
                if OUT.is_terminal:
                    self._show_progress()
                if running:
                    time.sleep(_POLL_SECONDS)

    def _print(self, line: str) -> None:
        run_id = line.partition(" ")[0]
        if run_id in self.run_ids:  # the line reports the end of this run
            self._ended.add(run_id)
            line = f"[{len(self._ended)}/{len(self.run_ids)}] {line}"
        self._say(line)

    def _show_progress(self) -> None:
        """Show how many epochs of all runs are done, and where the runs are that are being trained."""
        done = 0
        training = []
        for run_dir, epochs in self._last_epochs.items():
            epoch = epochs if run_dir.path.name in self._ended else run_dir.count_epochs()
            done += epoch
            if 0 < epoch < epochs:
                training.append(f"{short_id(run_dir.path.name)} {epoch}/{epochs}")
        note = ", ".join([f"{len(self._ended)} of {len(self._last_epochs)} runs", *training[:_MAX_SHOWN]])
        self._bar.progress("epochs", done, sum(self._last_epochs.values()), note)


def visible_gpus() -> Sequence[str]:
    """Return the GPUs that this process may use, as CUDA_VISIBLE_DEVICES names them, without importing torch."""
    visible = os.environ.get("CUDA_VISIBLE_DEVICES")
    if visible is not None:
        return [gpu for gpu in visible.split(",") if gpu and gpu != "-1"]
    command = ["nvidia-smi", "--query-gpu=index", "--format=csv,noheader"]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=60)  # noqa: S603
    except (OSError, subprocess.TimeoutExpired):
        return []
    return done.stdout.split() if done.returncode == 0 else []
