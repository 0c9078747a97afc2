"""What executes the runs of a grid: Slurm, or this machine. The commands mean the same with both."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from jobs.local.launcher import local_launcher
from jobs.slurm.grid_jobs import GridJobs
from jobs.slurm.launcher import SlurmLauncher
from jobs.status.grid_status import RunStatus
from jobs.wanted import CodeChoice, LaterRungs, WantedRun
from sentiment.console import Console, Progress, silent
from sentiment.runs.records import GridPlan
from sentiment.runs.run_dir import Results


class Launcher(Protocol):
    """Executes the runs of one grid.

    The caller of `read_jobs`, which comes first, and of `submit` and `release` must hold the grid's lock; `wait` is
    called after it was given back. `plan` is replaced when the grid has grown. Every launcher sees to it that the
    report is built when the grid has ended.
    """

    plan: GridPlan

    def read_jobs(self) -> GridJobs:
        """The grid's jobs in Slurm, as far as there is one."""

    def submit(self, runs: Sequence[WantedRun], later: LaterRungs | None = None) -> None:
        """Accept runs, and say how many; the list may be empty.

        Args:
            later: of a search, what is to follow when its current rung has ended.
        """

    def release(self, rows: Sequence[RunStatus]) -> None:
        """Let runs go on that are held, or say how that is done."""

    def wait(self) -> int:
        """Execute the accepted runs, unless a scheduler does so by itself; the command's exit code."""


@dataclass(frozen=True)
class LaunchOptions:
    """What the command line says about how to execute runs."""

    cluster: Path
    """The file that says what Slurm's jobs may use."""
    local: bool = False
    """Whether to use this machine instead of Slurm."""
    at_once: int | None = None
    """On this machine: how many runs at a time; None takes one for each GPU, or one."""
    say: Callable[[str], None] = print
    """Prints a line."""
    new_code: bool = False
    """As in `jobs.wanted.CodeChoice`."""

    progress: Progress = silent
    """Shows how far a grid on this machine is."""

    @property
    def console(self) -> Console:
        """The two ways to speak."""
        return Console(self.say, self.progress)

    def code_choice(self, results: Results) -> CodeChoice:
        """How the code of runs is chosen."""
        return CodeChoice(results, self.new_code)


@contextmanager
def open_launcher(results: Results, plan: GridPlan, options: LaunchOptions) -> Iterator[Launcher]:
    """The launcher that is asked for.

    Raises:
        LockedError: a process on this machine runs the grid already.
        ConfigError: the file of the options is invalid.
    """
    if options.local:
        with local_launcher(results, plan, options.at_once, options.cluster, options.console) as launcher:
            yield launcher
    else:
        yield SlurmLauncher(results, plan, options.cluster, options.say)
