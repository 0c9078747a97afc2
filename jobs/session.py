"""What the commands do to a grid: submit what is missing, submit again what failed, cancel; one command at a time."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from jobs.grids.grid import ExpandedGrid
from jobs.grids.requirements import unprepared
from jobs.slurm import commands as slurm
from jobs.slurm.chain import PlannedJob, ResourceGroup, plan_chain, submit_chain
from jobs.slurm.commands import Job
from jobs.slurm.resources import Kind, Resources, read_cluster
from jobs.slurm.submissions import SubmissionDir, read_submissions, reconcile
from jobs.status.grid_status import RunStatus, newest_tasks, read_grid_status
from sentiment.config import RunConfig
from sentiment.errors import UsageError
from sentiment.lock import ProcessLock
from sentiment.records import GridPlan
from sentiment.run_dir import Results
from sentiment.run_state import HELD


@dataclass(frozen=True)
class GridSession:
    """A grid's submissions and what Slurm says about them, while nobody else submits or cancels."""

    results: Results
    plan: GridPlan
    queue: list[Job]
    submissions: list[SubmissionDir]

    @property
    def rows(self) -> list[RunStatus]:
        """The states of the grid's runs."""
        return read_grid_status(self.results, self.plan, self.submissions, self.queue).rows

    @property
    def lacks_report(self) -> bool:
        """Whether training was submitted of which no report would tell, as when its submitter died too early."""
        newest = {one.submission.kind: one.path.name for one in self.submissions}
        active = {job.name for job in self.queue if job.active}
        kinds = {one.submission.kind for one in self.submissions if one.submission.name in active}
        return newest.get("report", "") < newest.get("train", "") or ("train" in kinds and "report" not in kinds)

    def submit(self, runs: Sequence[tuple[RunStatus, RunConfig]], cluster: Path) -> list[SubmissionDir]:
        """Submit runs, with more of what they lacked; none are no mistake. Training without a report gets one.

        Raises:
            SentimentError: Slurm refuses, or the cluster's file is wrong; nothing is left in the queue then.
        """
        if not runs and not self.lacks_report:
            return []
        most = int(slurm.read_settings().get("MaxArraySize", "1001"))
        parts = chain_for(runs, self.results, self.plan.name, cluster, newest_tasks(self.submissions), most)
        return submit_chain(self.results, self.plan.name, parts, self.queue, self.submissions)

    def configs(self, rows: Iterable[RunStatus]) -> list[tuple[RunStatus, RunConfig]]:
        """The configurations of runs as they were last submitted, or begun without Slurm."""
        places = newest_tasks(self.submissions)
        found = []
        for row in rows:
            if row.run_id in places:
                folder, task = places[row.run_id]
                configs = folder.read_configs(task)
            else:
                configs = [self.results.run_dir(row.run_id, self.plan.name).read_config()]
            found += [(row, config) for config in configs if config.run_id == row.run_id]
        return found

    def release(self, rows: Iterable[RunStatus]) -> list[str]:
        """Let held tasks of runs go on, and the grid's held jobs that belong to no run. Their jobs.

        Raises:
            SlurmError: Slurm refuses any of them; the others go on.
        """
        places = newest_tasks(self.submissions)
        tasks = {(folder.submission.name, task) for folder, task in (places[row.run_id] for row in rows if row.held)}
        others = {one.submission.name for one in self.submissions if one.submission.kind != "train"}
        held = (job for job in self.queue if job.held)
        jobs = [job.address for job in held if (job.name, job.task) in tasks or job.name in others]
        slurm.release(jobs)
        return jobs

    def cancel(self, rows: Iterable[RunStatus]) -> list[str]:
        """Cancel the tasks of runs; marked first, so that one that is being requeued stays cancelled. Their jobs."""
        places = newest_tasks(self.submissions)
        queued = (row for row in rows if row.active or row.held)
        tasks = sorted({places[row.run_id] for row in queued if row.run_id in places}, key=str)
        for folder in {folder for folder, _ in tasks}:
            folder.cancel(task for one, task in tasks if one == folder)
        jobs = [folder.job(task) for folder, task in tasks]
        slurm.cancel(jobs)
        return jobs

    def cancel_others(self) -> None:
        """Cancel the grid's jobs that belong to no run."""
        active = {job.name for job in self.queue if job.state not in slurm.ENDED}
        others = [one for one in self.submissions if one.submission.kind != "train" and one.submission.name in active]
        for folder in others:
            folder.cancel(range(len(folder.submission.tasks)))
        slurm.cancel(folder.receipt.job_id for folder in others if folder.receipt)


@contextmanager
def open_session(results: Results, plan: GridPlan) -> Iterator[GridSession]:
    """Lock the grid, ask Slurm, and settle what an interrupted command has left.

    Raises:
        LockedError: another command does something to this grid.
        SlurmError: there is no Slurm, or it does not answer.
    """
    folder = results.slurm / plan.name
    folder.mkdir(parents=True, exist_ok=True)
    with ProcessLock(folder / "lock", "submits or cancels"):
        queue = slurm.read_queue()
        yield GridSession(results, plan, queue, reconcile(read_submissions(results, plan.name), queue))


def missing_runs(grid: ExpandedGrid, rows: Iterable[RunStatus]) -> list[tuple[RunStatus, RunConfig]]:
    """What is neither completed nor waits (held or not) or runs."""
    configs = {config.run_id: config for config in grid.configs}
    return [
        (row, configs[row.run_id])
        for row in rows
        if row.run_id in configs and not row.active and row.state not in ("COMPLETED", HELD)
    ]


def tell_held(grid: str, rows: Sequence[RunStatus]) -> Iterator[str]:
    """A line about runs that are not submitted, since they are queued, but do not go on by themselves."""
    if number := sum(row.held for row in rows):
        yield f"{number} of {len(rows)} runs are held in Slurm's queue; `python -m jobs rerun {grid} --held` frees them"


def chain_for(
    runs: Sequence[tuple[RunStatus, RunConfig]],
    results: Results,
    grid: str,
    cluster: Path,
    places: dict[str, tuple[SubmissionDir, int]],
    most_tasks: int,
) -> list[PlannedJob]:
    """The jobs for runs: those that had too little memory or time get more than they had, in an array of their own."""
    file = read_cluster(cluster)
    plain = file.resources(grid)
    wanted: dict[str, ResourceGroup] = {}
    for row, config in runs:
        had = places[row.run_id][0].submission.resources if row.run_id in places else None
        resources = _INCREASES.get(row.state, _same)(plain, had)
        wanted.setdefault(resources.model_dump_json(), ResourceGroup([], resources)).configs.append(config)
    kinds: tuple[Kind, ...] = ("data", "cache", "report")
    others = {kind: file.resources(grid, kind) for kind in kinds}
    return plan_chain(wanted.values(), unprepared((config for _, config in runs), results), others, most_tasks)


def _same(plain: Resources, _had: Resources | None) -> Resources:
    return plain


def _more_memory(plain: Resources, had: Resources | None) -> Resources:
    memory = had.memory_gb if had else None
    if memory is None:
        raise UsageError("a run had too little memory, and no memory_gb is configured that could be multiplied; set it")
    return plain.model_copy(update={"memory_gb": max(plain.memory_gb or 0, memory * plain.memory_factor)})


def _more_time(plain: Resources, had: Resources | None) -> Resources:
    minutes = round(had.time_minutes * plain.time_factor) if had else plain.time_minutes
    return plain.model_copy(update={"time_minutes": max(plain.time_minutes, minutes)})


_INCREASES: dict[str, Callable[[Resources, Resources | None], Resources]] = {
    "OUT_OF_MEMORY": _more_memory,
    "TIMEOUT": _more_time,
}
