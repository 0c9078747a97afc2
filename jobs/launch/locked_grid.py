"""A grid that no other command can change: its state, and how runs of it are launched."""

from collections import Counter
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field

from jobs.grid_jobs import GridJobs, read_jobs, settle_jobs
from jobs.launch.backends import Backend, Launched, LocalBackend, SlurmBackend
from jobs.launch.local_runner import LocalRunner
from jobs.launch.plan import Launch, earlier_codes, request_runs
from jobs.requested import planned_configs
from jobs.slurm.resources import ClusterFile
from jobs.status.grid_state import GridRows, RunStatus, read_grid_state
from jobs.turns import Turn
from sentiment.config import RunConfig
from sentiment.console import Say
from sentiment.errors import NoSlurmError
from sentiment.runs.code_version import freeze_code, running_code
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
    """A grid and its jobs, under the grid's lock, so that no other command can change them."""

    results: Results
    plan: GridPlan
    jobs: GridJobs
    options: LaunchOptions
    backend: Backend

    @property
    def say(self) -> Say:
        return self.options.say

    def read_state(self) -> GridRows:
        return read_grid_state(self.results, self.plan, self.jobs)

    def load_configs(self, run_ids: Collection[str]) -> dict[str, RunConfig]:
        """Read the configurations of runs: from the last submission or, if a run was never submitted, from the plan."""
        unsubmitted = {*run_ids} - self.jobs.tasks.keys()
        configs = planned_configs(self.results, self.plan, unsubmitted) if unsubmitted else {}
        for folder, submitted_ids in self.jobs.by_submission(run_ids).items():
            configs.update(folder.read_configs(submitted_ids))
        return configs

    def launch(
        self,
        state: GridRows,
        rows: Sequence[RunStatus],
        configs: Mapping[str, RunConfig] | None = None,
        *,
        retry: bool = False,
    ) -> Launched:
        """Submit runs to Slurm, or give them to the local runner.

        Args:
            configs: by run id; None means those of before.
            retry: see `Launch`.
        """
        for row in rows:
            self.results.run_dir(row.run_id, self.plan.name).set_damaged_aside()
        configs = self.load_configs([row.run_id for row in rows]) if configs is None else configs
        if self.options.new_code:
            configs = {run_id: _with_restart_allowed(config) for run_id, config in configs.items()}
        codes = self._choose_codes(rows)
        runs = request_runs(rows, configs, state.rungs, codes, self.jobs)
        launched = self.backend.launch(Launch(runs, self._code_of_other_jobs(codes), retry), self.plan, self.jobs)
        submitted_ids = {row.run_id for row in rows} - launched.refused_ids
        for folder, run_ids in self.jobs.by_submission(submitted_ids).items():
            folder.mark_cancelled(run_ids)  # the tasks of their last submission may still be running
        return launched

    def _choose_codes(self, rows: Sequence[RunStatus]) -> dict[str, str]:
        """The id of each run's code snapshot, by run id: its earlier one, or a copy of the current code."""
        codes = {} if self.options.new_code else earlier_codes(self.results, rows, self.jobs, self.plan)
        others = {*codes.values()} - {running_code().id}
        if others:
            folders = ", ".join(str(self.results.code / code) for code in sorted(others))
            self.say(f"runs keep their earlier code, {folders}; --new-code restarts them with the current code")
        if len(codes) < len(rows):
            current = freeze_code(self.results)
            codes = {row.run_id: codes.get(row.run_id, current) for row in rows}
        return codes

    def _code_of_other_jobs(self, codes: Mapping[str, str]) -> str | None:
        """The id of the code snapshot that prepares inputs and ends the grid: that of most runs, by their codes."""
        if codes:
            return Counter(codes.values()).most_common(1)[0][0]
        return freeze_code(self.results) if self.jobs.lacks_final_job else None


def _local_jobs(results: Results, grid: str) -> GridJobs:
    (jobs,) = read_jobs(results, [grid], is_locked=True)
    return jobs


def _with_restart_allowed(config: RunConfig) -> RunConfig:
    runtime = config.runtime.model_copy(update={"other_code": "restart"})
    return config.model_copy(update={"runtime": runtime})


@contextmanager
def lock_grid(
    results: Results, plan: GridPlan, options: LaunchOptions, runner: LocalRunner | None = None
) -> Iterator[LockedGrid]:
    """Lock a grid and read its jobs.

    Raises:
        LockedError: another command submits or cancels something of this grid.
        NoSlurmError: there is no Slurm here, and the grid is not to run on this machine.
    """
    folder = results.slurm / plan.name
    folder.mkdir(parents=True, exist_ok=True)
    with Turn(folder) as turn:
        try:
            jobs = _local_jobs(results, plan.name) if options.local else settle_jobs(results, plan.name)
        except NoSlurmError as error:
            raise NoSlurmError(
                f"{error}; `{results.command('submit', plan.name, '--local')}` runs the grid on this machine"
            ) from None
        backend: Backend = SlurmBackend(results, options.cluster, options.say, turn.check)
        if runner:
            backend = LocalBackend(runner, options.at_once, options.say)
        yield LockedGrid(results, plan, jobs, options, backend)
