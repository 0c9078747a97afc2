"""What is done when a grid has ended, by the job that ends it or by the process of a local grid: report, `notify`."""

import os
import shlex
import signal
import subprocess
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from jobs.policy import needs_somebody
from jobs.slurm.grid_jobs import read_jobs
from jobs.status import read_grid_status
from sentiment.console import Say
from sentiment.runs.code_version import start_command
from sentiment.runs.records import GridPlan
from sentiment.runs.run_dir import Results
from sentiment.runs.state import CANCELLED, COMPLETED, PRUNED
from sentiment.training.stop import StopRequest

NOTIFY_SECONDS = 60.0
_POLL_SECONDS = 0.2


@dataclass(frozen=True)
class GridEnd:
    """The end of a grid's runs.

    Args:
        notify: the command that tells somebody, as words; none if it is empty.
        output: where the commands print; None is the output of this process.
    """

    results: Results
    plan: GridPlan
    notify: Sequence[str]
    output: IO[bytes] | None
    say: Say

    def report(self, stop: StopRequest) -> int:
        """Build the report of all results; its exit code.

        It has a process of its own, since `jobs` does not import `report`; a reason to stop ends it.
        """
        process = subprocess.Popen(  # noqa: S603
            [*start_command("report"), "build", "--results", str(self.results.root)],
            stdin=subprocess.DEVNULL,
            stdout=self.output,
            stderr=self.output,
        )
        while process.poll() is None:
            if stop.reason():
                process.terminate()
            time.sleep(_POLL_SECONDS)
        return process.returncode

    def tell_unless_stopped(self, stop: StopRequest, reported: bool) -> None:
        """Tell somebody, if `notify` says how; `reported` says whether the report was built."""
        if self.notify and not stop.reason():
            self.tell(self.results.report / "report.html" if reported else None)

    def tell(self, report: Path | None, seconds: float = NOTIFY_SECONDS) -> None:
        """Run the command of `notify`; what becomes of it is said, and changes nothing else.

        Args:
            report: None if it could not be built.
            seconds: after which the command, and what it has started, is killed.
        """
        self.say(f"notify: {shlex.join(self.notify)}: {self._run(self._facts(report), seconds)}")

    def _run(self, facts: dict[str, str], seconds: float) -> str:
        """What became of the command."""
        try:
            process = subprocess.Popen(  # noqa: S603
                list(self.notify),
                env=os.environ | facts,
                stdin=subprocess.DEVNULL,
                stdout=self.output,
                stderr=self.output,
                start_new_session=True,
            )
        except (OSError, ValueError) as error:
            return f"cannot be run: {error}"
        try:
            code = process.wait(timeout=seconds)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()
            return f"was killed because it had not ended after {seconds:g} s"
        return "done" if code == 0 else f"ended with {code}"

    def _facts(self, report: Path | None) -> dict[str, str]:
        """What the command finds in its environment."""
        (jobs,) = read_jobs(self.results, [self.plan.name])
        rows = read_grid_status(self.results, self.plan, jobs).rows
        states = Counter(row.state for row in rows)
        return {
            "GRID_NAME": self.plan.name,
            "GRID_RUNS": str(len(rows)),
            "GRID_COMPLETED": str(states[COMPLETED]),
            "GRID_FAILED": str(sum(map(needs_somebody, rows))),
            "GRID_PRUNED": str(states[PRUNED]),
            "GRID_CANCELLED": str(states[CANCELLED]),
            "GRID_RESULTS": str(self.results.root.resolve()),
            "GRID_REPORT": str(report.resolve()) if report else "",
        }
