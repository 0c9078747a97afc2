"""Launches runs of a grid: in Slurm, or by the command itself on this machine."""

from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from jobs import slurm
from jobs.grid_jobs import accept, settle
from jobs.launch.local_runner import LocalRunner
from jobs.launch.locked_grid import LockedGrid
from jobs.launch.plan import Launch, earlier_codes, group_runs, plan_local_jobs, plan_slurm_jobs, runs_at_once
from jobs.requested import planned_configs
from jobs.status.grid_state import GridRows, RunStatus
from jobs.submissions import Submission, SubmissionDir, new_submission, record_submission
from sentiment.config import RunConfig
from sentiment.console import plural
from sentiment.errors import QueueFullError, SlurmError, UnansweredError
from sentiment.runs.code_version import freeze_code, running_id


@dataclass
class Launched:
    """The outcome of a launch: what was submitted, and what Slurm refused.

    Attributes:
        refused: training arrays and a final job whose refusal did not affect the other jobs, each with its error.
        not_cancelled: why jobs that these jobs replace could not be cancelled, if any could not.
    """

    accepted: list[SubmissionDir] = field(default_factory=list)
    refused: list[tuple[Submission, SlurmError]] = field(default_factory=list)
    not_cancelled: SlurmError | None = None

    @property
    def refused_ids(self) -> set[str]:
        return {run_id for job, _ in self.refused for task in job.tasks for run_id in task}

    @property
    def exit_code(self) -> int:
        return max((error.exit_code for _, error in self.refused), default=0)

    def cancel(self, job_ids: Iterable[str]) -> None:
        try:
            slurm.cancel(job_ids)
        except SlurmError as error:
            self.not_cancelled = error


def launch(
    grid: LockedGrid,
    state: GridRows,
    rows: Sequence[RunStatus],
    configs: Mapping[str, RunConfig] | None = None,
    *,
    retry: bool = False,
) -> Launched:
    """Record and submit jobs for runs, in Slurm or to the local runner.

    Args:
        configs: by run id; None means those of before.
        retry: see `Launch`.
    """
    for row in rows:
        grid.results.run_dir(row.run_id, grid.plan.name).set_damaged_aside()
    configs = load_configs(grid, [row.run_id for row in rows]) if configs is None else configs
    if grid.options.new_code:
        configs = {run_id: _with_restart_allowed(config) for run_id, config in configs.items()}
    codes = _choose_codes(grid, rows)
    arrays = group_runs(rows, configs, state.search, codes, grid.jobs)
    planned = Launch(arrays, _code_of_other_jobs(grid, codes), retry)
    launched = _launch_here(grid, grid.runner, planned) if grid.runner else _launch_in_slurm(grid, planned)
    submitted_ids = {row.run_id for row in rows} - launched.refused_ids
    for folder, run_ids in grid.jobs.by_submission(submitted_ids).items():
        folder.mark_cancelled(run_ids)  # the tasks of their last submission may still be running
    return launched


def load_configs(grid: LockedGrid, run_ids: Collection[str]) -> dict[str, RunConfig]:
    """Read the configurations of runs: from the last submission or, if a run was never submitted, from the plan."""
    unsubmitted = {*run_ids} - grid.jobs.tasks.keys()
    configs = planned_configs(grid.results, grid.plan, unsubmitted) if unsubmitted else {}
    for folder, submitted_ids in grid.jobs.by_submission(run_ids).items():
        configs.update(folder.read_configs(submitted_ids))
    return configs


def _with_restart_allowed(config: RunConfig) -> RunConfig:
    runtime = config.runtime.model_copy(update={"other_code": "restart"})
    return config.model_copy(update={"runtime": runtime})


def _choose_codes(grid: LockedGrid, rows: Sequence[RunStatus]) -> dict[str, str]:
    """The id of each run's code snapshot, by run id: its earlier one, or a copy of the current code."""
    codes = {} if grid.options.new_code else earlier_codes(grid.results, rows, grid.jobs, grid.plan)
    others = {*codes.values()} - {running_id()}
    if others:
        folders = ", ".join(str(grid.results.code / code) for code in sorted(others))
        grid.say(f"runs keep their earlier code, {folders}; --new-code restarts them with the current code")
    if len(codes) < len(rows):
        current = freeze_code(grid.results)
        codes = {row.run_id: codes.get(row.run_id, current) for row in rows}
    return codes


def _code_of_other_jobs(grid: LockedGrid, codes: Mapping[str, str]) -> str | None:
    """The id of the code snapshot that prepares inputs and ends the grid: that of most runs, by their codes."""
    if codes:
        return Counter(codes.values()).most_common(1)[0][0]
    return freeze_code(grid.results) if grid.jobs.lacks_final_job else None


def _launch_here(grid: LockedGrid, runner: LocalRunner, planned: Launch) -> Launched:
    if not planned.configs:
        grid.say("nothing to run")
        return Launched()
    grid.say(f"running {len(planned.configs)} of {len(grid.plan.runs)} runs")
    at_once = runs_at_once(planned.configs, grid.options.at_once)
    return Launched(runner.accept(grid.plan.name, plan_local_jobs(planned, at_once)))


def _launch_in_slurm(grid: LockedGrid, planned: Launch) -> Launched:
    """Submit job arrays, the jobs that prepare their inputs, and the final job."""
    if not planned.configs and not grid.jobs.lacks_final_job:
        grid.say("nothing to submit")
        return Launched()
    if not planned.configs:
        grid.say("the final job, which decides what comes next, was missing, and is all that is submitted")
    jobs = plan_slurm_jobs(planned, grid.plan.name, grid.results, grid.options.cluster, grid.jobs)
    launched = _Chain(grid).submit(jobs)
    grid.say(f"{len(planned.configs) - len(launched.refused_ids)} of {len(grid.plan.runs)} runs submitted")
    for line in _describe(grid, launched):
        grid.say(line)
    return launched


def _describe(grid: LockedGrid, launched: Launched) -> Iterator[str]:
    for folder in launched.accepted:
        job = folder.submission
        yield f"  {job.kind:6} job {folder.job_id}, {plural(len(job.tasks), 'task')}{job.goal}   {folder.path}"
    for job, error in launched.refused:
        if job.job_kind.final:
            yield f"the final job, which decides what comes next, is missing: {error}"
            again = grid.results.command("rerun", grid.plan.name)
            yield f"`{again}` submits it; `{grid.results.command('report')}` only builds the report, on this machine"
        else:
            run_ids = " ".join(run_id for task in job.tasks for run_id in task)
            yield f"not submitted, because Slurm refused {job.resources.describe()}: {run_ids}: {error}"
    if launched.not_cancelled:
        yield f"jobs that these replace were not cancelled, and may run as well: {launched.not_cancelled}"


@dataclass
class _Chain:
    """Records and submits jobs of a grid in order, with their dependencies."""

    grid: LockedGrid
    launched: Launched = field(default_factory=Launched)

    @property
    def active(self) -> list[SubmissionDir]:
        """The jobs that were in the queue before."""
        jobs = self.grid.jobs
        return [folder for folder in jobs.submissions if folder in jobs.active and not folder.submission.local]

    def submit(self, jobs: Sequence[Submission]) -> Launched:
        """Submit jobs, the last of which is the final job.

        A refused training array does not keep the others from being submitted. Nothing is submitted if a preparation
        job is refused, if all training arrays are, if Slurm's queue is full, or if Slurm does not answer. What goes
        wrong with the final job, which comes last, is only noted. One that is in the queue is cancelled, since the new
        one replaces it, and so are jobs of these runs that can never start.

        Raises:
            UnansweredError: nothing was submitted, except possibly the job about which Slurm did not answer.
            SlurmError: nothing was submitted.
        """
        launched = self.launched
        *others, final = jobs
        try:
            for job in others:
                self._submit_or_note(job)
            if launched.refused and not any(folder.submission.job_kind.trains_runs for folder in launched.accepted):
                raise launched.refused[0][1]
        except SlurmError:
            slurm.cancel(folder.job_id for folder in launched.accepted)
            for folder in launched.accepted:
                folder.withdraw()
            raise
        accepted_ids = {run_id for folder in launched.accepted for run_id in folder.run_ids}
        never_starting = [
            job.address
            for (folder, task), job in self.grid.jobs.active_tasks.items()
            if job.never_starts and accepted_ids.issuperset(folder.tasks[task])
        ]
        launched.cancel(never_starting)
        try:
            self._submit(final)
        except SlurmError as error:
            launched.refused.append((final, error))
        else:
            launched.cancel(folder.job_id for folder in self.active if folder.submission.job_kind.final)
        return launched

    def _submit_or_note(self, job: Submission) -> None:
        """Submit a job that is not the final one; a refusal of a training array alone is noted."""
        try:
            self._submit(job)
        except (UnansweredError, QueueFullError):
            raise
        except SlurmError as error:
            if not job.job_kind.trains_runs:
                raise  # training arrays depend on it
            self.launched.refused.append((job, error))

    def _submit(self, job: Submission) -> None:
        """Record a job, submit it with its dependencies, and record its id; again if that is one of an earlier job."""
        self.grid.check()
        dependency = _dependency(job, [*self.active, *self.launched.accepted])
        folder = record_submission(new_submission(self.grid.results, self.grid.plan.name, job, dependency))
        try:
            accepted = accept(folder, slurm.submit(folder))
        except SlurmError as error:  # perhaps Slurm has accepted the job, and only its answer was lost
            try:
                accepted = settle(folder)
            except SlurmError as query_error:
                raise UnansweredError(
                    f"{error}; {query_error}; it is not known whether the job was accepted: the next command finds out"
                ) from None
            if not accepted:
                raise
        if accepted:
            self.launched.accepted.append(folder)
        else:
            self._submit(job)


def _dependency(job: Submission, earlier: Iterable[SubmissionDir]) -> str | None:
    """Return sbatch's `--dependency`: on the success of other jobs; of the final job, on their end."""
    ids = [folder.job_id for folder in earlier if folder.submission.kind in job.job_kind.after]
    if not ids:
        return None
    condition = "afterany" if job.job_kind.final else "afterok"
    return f"{condition}:{':'.join(ids)}"
