"""A grid that no other command can change: its plan and its jobs."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from jobs.grid_jobs import GridJobs, read_jobs, settle_jobs
from jobs.launch.local_runner import LocalRunner
from jobs.requested import grid_lock
from jobs.slurm.resources import ClusterFile
from jobs.status.grid_state import GridRows, read_grid_state
from sentiment.console import Say
from sentiment.errors import NoSlurmError, UnansweredError
from sentiment.runs.records import GridPlan
from sentiment.runs.run_dir import Results


@dataclass(frozen=True)
class LaunchOptions:
    """Options of the command that determine where and how runs execute.

    Attributes:
        cluster: the resources of jobs in Slurm.
        local: run on this machine instead of Slurm.
        at_once: with `local`, the number of runs at a time; None: as `jobs.launch.plan.runs_at_once` chooses it.
        new_code: whether runs are computed by the current code, from their beginning.
    """

    cluster: ClusterFile = field(default_factory=ClusterFile)
    local: bool = False
    at_once: int | None = None
    say: Say = print
    new_code: bool = False


@dataclass(frozen=True)
class LockedGrid:
    """A grid and its jobs, under the grid's lock, so that no other command can change them.

    Attributes:
        check: raises LockedError if the grid is locked no longer; called before each job is submitted.
        runner: trains runs on this machine; None submits them to Slurm.
    """

    results: Results
    plan: GridPlan
    jobs: GridJobs
    options: LaunchOptions
    check: Callable[[], None]
    runner: LocalRunner | None = None

    @property
    def say(self) -> Say:
        return self.options.say

    def read_state(self) -> GridRows:
        return read_grid_state(self.results, self.plan, self.jobs)


@contextmanager
def lock_grid(
    results: Results, plan: GridPlan, options: LaunchOptions, runner: LocalRunner | None = None
) -> Iterator[LockedGrid]:
    """Lock a grid and read its jobs.

    Raises:
        LockedError: another command submits or cancels something of this grid.
        NoSlurmError: there is no Slurm here, and the grid is not to run on this machine.
        UnansweredError: Slurm does not answer, then or in what is done with the grid.
    """
    with grid_lock(results, plan.name) as lock:
        try:
            jobs = read_jobs(results, plan.name, is_locked=True) if options.local else settle_jobs(results, plan.name)
            yield LockedGrid(results, plan, jobs, options, lock.check, runner)
        except NoSlurmError as error:
            raise NoSlurmError(
                f"{error}; `{results.command('submit', plan.name, '--local')}` runs the grid on this machine"
            ) from None
        except UnansweredError:
            options.say(
                f"grid {plan.name}: as far as is known, nothing was done but what is said above; repeat the command "
                "when Slurm answers"
            )
            raise
