"""The launcher that hands a grid to Slurm, and leaves."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from jobs.job_kinds import jobs_needed
from jobs.local.queue import LocalQueue
from jobs.slurm import commands as slurm
from jobs.slurm.chain import ResourceGroup, plan_chain, submit_chain
from jobs.slurm.grid_jobs import GridJobs, Place, settle_jobs
from jobs.slurm.resources import ClusterFile, Resources, read_cluster
from jobs.slurm.slurm_settings import number_in
from jobs.slurm.submissions import PlannedJob, SubmissionDir
from jobs.status.grid_status import RunStatus
from sentiment.config import RunConfig
from sentiment.console import Say
from sentiment.errors import NoSlurmError, UsageError
from sentiment.records import GridPlan
from sentiment.run_dir import Results
from sentiment.run_state import TIMEOUT


@dataclass
class SlurmLauncher:
    """Submits a grid to Slurm (see `jobs.launcher.Launcher`).

    Args:
        cluster: the file that says what jobs may use, or what it says.
        say: prints a line.
        retrying: the causes for which runs are submitted again by themselves, by run id.
        jobs: the grid's jobs, as `read_jobs` last found them.
    """

    results: Results
    plan: GridPlan
    cluster: Path | ClusterFile
    say: Say
    jobs: GridJobs = field(default_factory=lambda: GridJobs((), None))
    retrying: Mapping[str, str] = field(default_factory=dict)

    def read_jobs(self) -> GridJobs:
        """The grid's jobs, after settling what a command that was interrupted has left.

        Raises:
            SlurmError: there is no Slurm, or it does not answer.
        """
        try:
            self.jobs = settle_jobs(self.results, self.plan.name)
        except NoSlurmError as error:
            raise NoSlurmError(f"{error}; `submit` and `rerun` run a grid here with --local") from None
        return self.jobs

    def submit(self, runs: Sequence[tuple[RunStatus, RunConfig]]) -> None:
        """Submit the runs, those that lacked memory or time with more of it, and all that they wait for.

        The list may be empty; a missing report job is then submitted all the same.

        Raises:
            SentimentError: Slurm refuses, or the cluster's file is wrong; nothing is left in the queue.
        """
        grid, jobs = self.plan.name, self.jobs
        submitted: list[SubmissionDir] = []
        if runs or jobs.lacks_final_job:
            most_tasks = number_in(slurm.read_settings(), "MaxArraySize")
            planned = plan_jobs(runs, self.results, self.cluster, grid, jobs.places, most_tasks)
            planned = [replace(job, retries=self._retries_in(job)) for job in planned]
            submitted = submit_chain(self.results, grid, planned, jobs.queue or (), jobs.submissions)
            self._take_from_pools(row.run_id for row, _ in runs)
            LocalQueue.of(self.results, grid).forget_cancelled(row.run_id for row, _ in runs)
        number = sum(len(task) for folder in submitted for task in folder.submission.tasks)
        self.say(f"{number} of {len(self.plan.runs)} runs submitted" if submitted else "nothing to submit")
        for folder in submitted:
            tasks = len(folder.submission.tasks)
            self.say(f"  {folder.submission.kind:6} job {folder.job_id}, {tasks} tasks   {folder.path}")

    def _take_from_pools(self, run_ids: Iterable[str]) -> None:
        """Tasks that still work off runs together are not to begin again with those that are submitted anew."""
        for run_id in run_ids:
            if run_id in self.jobs.places and self.jobs.places[run_id][0].submission.pooled:
                self.jobs.places[run_id][0].cancel([run_id])

    def _retries_in(self, job: PlannedJob) -> dict[str, str]:
        return {run_id: self.retrying[run_id] for task in job.tasks for run_id in task if run_id in self.retrying}

    def release(self, rows: Sequence[RunStatus]) -> None:
        """Release held tasks of runs, and the grid's held jobs that have no runs.

        Raises:
            SlurmError: Slurm refuses any of them; the others go on.
        """
        places = [self.jobs.places[row.run_id] for row in rows if row.held]
        tasks = {(folder.submission.name, task) for folder, task in places}
        whole = {folder.submission.name for folder, _ in places if folder.submission.pooled}
        whole |= {folder.submission.name for folder in self.jobs.services}
        held = (job for job in self.jobs.queue or () if job.held)
        released = [job.address for job in held if (job.name, job.task) in tasks or job.name in whole]
        slurm.release(released)
        if released:
            number = f"{len(released)} held {'job' if len(released) == 1 else 'jobs'}"
            self.say(f"{number} released, to go on: {' '.join(released)}")

    def cancel(self, rows: Iterable[RunStatus], chosen: set[str]) -> list[str]:
        """Cancel runs: their tasks or, where other runs of a task go on, only these runs. The runs' ids.

        They are marked before Slurm is asked, so that a task that is about to be requeued stays cancelled.

        Args:
            rows: of all runs of the grid.
            chosen: ids of the runs to cancel.
        """
        tasks: dict[Place, set[str]] = {}
        for row in rows:
            given = self.jobs.task(row.run_id)
            if (row.active or row.held) and given and given.job and given.job.active:
                folder, task = self.jobs.places[row.run_id]
                tasks.setdefault((folder, 0 if folder.submission.pooled else task), set()).add(row.run_id)
        whole = [place for place, run_ids in tasks.items() if run_ids <= chosen]
        for folder, task in tasks:
            if (folder, task) not in whole or folder.submission.pooled:
                folder.cancel(tasks[folder, task] & chosen)
        _cancel_tasks(whole)
        return [run_id for run_ids in tasks.values() for run_id in run_ids & chosen]

    def cancel_services(self) -> None:
        """Cancel the grid's jobs that have no runs."""
        active = {job.name for job in self.jobs.queue or () if job.state not in slurm.ENDED}
        folders = [folder for folder in self.jobs.services if folder.submission.name in active]
        for folder in folders:
            folder.cancel(range(len(folder.submission.tasks)))
        slurm.cancel(folder.job_id for folder in folders)

    def wait(self) -> int:
        """Slurm goes on by itself."""
        return 0


def _cancel_tasks(chosen: Sequence[Place]) -> None:
    """Cancel tasks; one that works off runs together with others stands for them all."""
    places = [
        (folder, one)
        for folder, task in chosen
        for one in (range(len(folder.submission.tasks)) if folder.submission.pooled else [task])
    ]
    for folder in {folder for folder, _ in places}:
        folder.cancel(task for one, task in places if one == folder)
    slurm.cancel(folder.job(task) for folder, task in places)


def plan_jobs(
    runs: Sequence[tuple[RunStatus, RunConfig]],
    results: Results,
    cluster: Path | ClusterFile,
    grid: str,
    places: Mapping[str, Place],
    most_tasks: int,
) -> list[PlannedJob]:
    """The jobs for runs; those that had too little memory or time get more than they had, in an array of their own.

    Args:
        cluster: the file that says what jobs may use, or what it says.
        places: where runs were last submitted, by run id.
        most_tasks: the largest number of tasks that the site allows in one array.

    Raises:
        ConfigError: the cluster's file is invalid.
        UsageError: a run had too little memory, and it is not known how much that was.
    """
    file = read_cluster(cluster) if isinstance(cluster, Path) else cluster
    groups: dict[str, ResourceGroup] = {}
    for row, config in runs:
        had = places[row.run_id][0].submission.resources if row.run_id in places else None
        resources = _INCREASES.get(row.state, _as_configured)(file.resources(grid), had)
        groups.setdefault(resources.model_dump_json(), ResourceGroup([], resources)).configs.append(config)
    needed = jobs_needed([config for _, config in runs], results)
    return plan_chain(list(groups.values()), needed, file, most_tasks)


def _as_configured(configured: Resources, _had: Resources | None) -> Resources:
    return configured


def _more_memory(configured: Resources, had: Resources | None) -> Resources:
    memory = had.memory_gb if had else None
    if memory is None:
        raise UsageError(
            "a run had too little memory, and its cluster file did not say how much: set memory_gb in the file"
        )
    increased = max(configured.memory_gb or 0, memory * configured.memory_factor)
    return configured.model_copy(update={"memory_gb": increased})


def _more_time(configured: Resources, had: Resources | None) -> Resources:
    minutes = round(had.time_minutes * configured.time_factor) if had else configured.time_minutes
    return configured.model_copy(update={"time_minutes": max(configured.time_minutes, minutes)})


_INCREASES: dict[str, Callable[[Resources, Resources | None], Resources]] = {
    "OUT_OF_MEMORY": _more_memory,
    TIMEOUT: _more_time,
}
