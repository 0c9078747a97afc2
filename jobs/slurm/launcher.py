"""The launcher that hands a grid to Slurm, and leaves."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from jobs import policy
from jobs.job_kinds import jobs_needed
from jobs.local.queue import LocalQueue
from jobs.slurm import commands as slurm
from jobs.slurm.chain import ResourceGroup, plan_chain, submit_chain
from jobs.slurm.commands import Job
from jobs.slurm.grid_jobs import GridJobs, Place, read_jobs, settle_jobs
from jobs.slurm.resources import ClusterFile, Resources, increased, read_cluster
from jobs.slurm.site import number_in
from jobs.slurm.submissions import Submission
from jobs.status.grid_status import RunStatus
from jobs.wanted import LaterRungs, WantedRun
from sentiment.console import Say
from sentiment.errors import NoSlurmError, SlurmError
from sentiment.runs.records import GridPlan
from sentiment.runs.run_dir import Results
from sentiment.runs.state import RUNNING


@dataclass
class SlurmLauncher:
    """Submits a grid to Slurm (see `jobs.launcher.Launcher`).

    Args:
        cluster: the file that says what jobs may use, or what it says.
        say: prints a line.
        jobs: the grid's jobs, as `read_jobs` last found them.
    """

    results: Results
    plan: GridPlan
    cluster: Path | ClusterFile
    say: Say
    jobs: GridJobs = field(default_factory=lambda: GridJobs((), None))
    code: int = field(default=0, init=False)
    """The command's exit code."""

    def read_jobs(self) -> GridJobs:
        """The grid's jobs, after settling what a command that was interrupted has left.

        Raises:
            SlurmError: there is no Slurm, or it does not answer.
        """
        try:
            self.jobs = settle_jobs(self.results, self.plan.name)
        except NoSlurmError as error:
            here = f"`python -m jobs submit {self.plan.name} --local`, or `make submit GRID={self.plan.name} LOCAL=1`,"
            raise NoSlurmError(f"{error}; {here} runs the grid here and now") from None
        return self.jobs

    def look(self) -> None:
        """The same without settling anything, where nothing can be written.

        Raises:
            SlurmError: the queue is not known.
        """
        (self.jobs,) = read_jobs(self.results, [self.plan.name])
        if self.jobs.queue is None:
            raise SlurmError(self.jobs.unseen)

    def submit(self, runs: Sequence[WantedRun], later: LaterRungs | None = None) -> None:
        """Submit the runs, those that lacked memory or time with more of it, and all that they wait for.

        The slots of later rungs are submitted with them, in place of those that still wait: all in one chain.

        The list may be empty; a missing report job is then submitted all the same.

        Raises:
            QueueFullError: there is no room for them.
            SentimentError: Slurm refuses, or the cluster's file is wrong. Nothing is left in the queue.
        """
        later = self._if_needed(runs, later)
        if not runs and not later and not self.jobs.lacks_final_job:
            self.say("nothing to submit")
            return
        grid = self.plan.name
        planned = plan_jobs(runs, self.results, self.cluster, grid, self.jobs, later)
        chain = submit_chain(self.results, grid, planned, self.jobs)
        submitted = [run_id for folder in chain.accepted for task in folder.submission.tasks for run_id in task]
        self._take_from_pools(submitted)
        candidates = [run.config.run_id for run in later.candidates] if later else []
        LocalQueue.of(self.results, grid).forget_cancelled([*submitted, *candidates])
        self.say(f"{len(submitted)} of {len(self.plan.runs)} runs submitted")
        for folder in chain.accepted:
            tasks = len(folder.submission.tasks)
            rung = f" of rung {folder.submission.rung}" if folder.submission.rung is not None else ""
            self.say(f"  {folder.submission.kind:6} job {folder.job_id}, {tasks} tasks{rung}   {folder.path}")
        if chain.refused_report:
            self.code = chain.refused_report.exit_code
            self.say(f"training goes on, but its report was refused: {chain.refused_report}")
            self.say("the next `submit` or `rerun` submits it, and `make report` builds it here")

    def _if_needed(self, runs: Sequence[WantedRun], later: LaterRungs | None) -> LaterRungs | None:
        """The later rungs, unless their slots wait already, and for nothing else than before.

        Slots that have begun are about to rank the current rung: what is submitted for it now comes too late.
        """
        wanted = {run.config.run_id for run in runs}
        others = [run.config.run_id for run in (later.candidates if later else ()) if run.config.run_id not in wanted]
        if dying := [run_id for run_id in others if self._is_dying(run_id)]:
            self.say(
                f"{len(dying)} cancelled trials are still ending; the same command submits them when they have ended"
            )
            return None
        slots = {folder.submission.name: folder.submission.rung for folder in self.jobs.waiting_slots}
        begun = any(job.state == RUNNING for job in self.jobs.queue or () if job.name in slots)
        there = later is not None and {*later.numbers} <= {*slots.values()}
        return None if begun or (there and not runs) else later

    def _is_dying(self, run_id: str) -> bool:
        """Whether the run was cancelled, and is still in the queue: a ranking must not come before it goes on."""
        task = self.jobs.queued(run_id, self.jobs.place(run_id))
        return task.cancelled and task.in_queue

    def _take_from_pools(self, run_ids: Iterable[str]) -> None:
        """Tasks that still work off runs together are not to begin again with those that are submitted anew."""
        for run_id in run_ids:
            if run_id in self.jobs.places and self.jobs.places[run_id][0].submission.pooled:
                self.jobs.places[run_id][0].cancel([run_id])

    def release(self, rows: Sequence[RunStatus]) -> None:
        """Release held tasks of runs, and the grid's held jobs that have no runs.

        Raises:
            SlurmError: Slurm refuses any of them; the others go on.
        """
        places = [self.jobs.places[row.run_id] for row in rows]
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
        """Cancel runs: all their tasks or, where other runs of a task go on, only these runs. The runs' ids.

        They are marked before Slurm is asked, so that a task that is about to be requeued stays cancelled.

        Args:
            rows: of all runs of the grid.
            chosen: ids of the runs to cancel.
        """
        going_on = {row.run_id for row in rows if policy.cancel(row)}
        tasks: dict[Place, set[str]] = {}
        whole: dict[Place, Job] = {}
        for (folder, task), job in self.jobs.active_tasks.items():
            run_ids = {*folder.runs_of(task)} & going_on
            if run_ids & chosen:
                tasks[folder, task] = run_ids & chosen
                if run_ids <= chosen:
                    whole[folder, task] = job
        self._cancel_tasks(whole)
        for folder, task in tasks:
            if folder.submission.pooled:
                folder.cancel(tasks[folder, task])
        return list(dict.fromkeys(run_id for run_ids in tasks.values() for run_id in run_ids))

    def cancel_all(self, rows: Iterable[RunStatus]) -> list[str]:
        """Cancel all that the grid has in the queue, other jobs and what newer ones have replaced too; the runs' ids.

        Args:
            rows: of all runs of the grid.
        """
        tasks = self.jobs.active_tasks
        self._cancel_tasks(tasks)
        cancelled = dict.fromkeys(run_id for folder, task in tasks for run_id in folder.tasks[task])
        going_on = {row.run_id for row in rows if policy.cancel(row)}
        return [run_id for run_id in cancelled if run_id in going_on]

    def _cancel_tasks(self, tasks: Mapping[Place, Job]) -> None:
        try:
            for folder in {folder for folder, _ in tasks}:
                folder.cancel(task for one, task in tasks if one == folder)
        except OSError as error:
            self.say(f"cannot write down that they are cancelled, but tells Slurm: {error}")
        slurm.cancel(dict.fromkeys(job.address for job in tasks.values()))

    def wait(self) -> int:
        """Slurm goes on by itself."""
        return self.code


def plan_jobs(
    runs: Sequence[WantedRun],
    results: Results,
    cluster: Path | ClusterFile,
    grid: str,
    jobs: GridJobs,
    later: LaterRungs | None = None,
) -> list[Submission]:
    """The jobs for runs; those that had too little memory or time get more than they had, in an array of their own.

    Args:
        cluster: the file that says what jobs may use, or what it says.
        jobs: the grid's earlier ones.
        later: the rungs of a search that are to follow.

    Raises:
        ConfigError: the cluster's file is invalid.
        UsageError: a run had too little memory, and it is not known how much that was.
        SlurmError: there is a Slurm, but it does not answer.
    """
    file = read_cluster(cluster) if isinstance(cluster, Path) else cluster
    groups: dict[tuple[object, ...], ResourceGroup] = {}
    for run in runs:
        run_id = run.row.run_id
        had = jobs.places[run_id][0].submission.resources if run_id in jobs.places else None
        resources = increased(run.row.state, file.resources(grid), had)
        group = ResourceGroup([], resources, run.code, run.rung, run.epochs)
        same = (resources.model_dump_json(), run.code, run.rung, run.epochs)
        groups.setdefault(same, group).configs.append(run.config)
    needed = jobs_needed([run.config for run in runs], results)
    services = file.service_resources()
    for kind, (state, resources) in jobs.failed_services.items():
        if kind in needed:
            services[kind] = increased(state.state, services[kind], resources)
    slots = _slots(later, file.resources(grid)) if later else []
    return plan_chain([*groups.values(), *slots], needed, services, _most_tasks(), file.as_given())


def _slots(later: LaterRungs, resources: Resources) -> list[ResourceGroup]:
    """The slots of each rung that is to come; their code is that of most trials, since one of any may be promoted."""
    ((code, _),) = Counter(run.code for run in later.candidates).most_common(1)
    configs = [run.config for run in later.candidates]
    rungs = later.rungs
    return [
        ResourceGroup(configs, resources, code, rung, rungs.epochs(rung), rungs.size(rung)) for rung in later.numbers
    ]


def _most_tasks() -> int:
    """The largest number of tasks that the site allows in one array."""
    try:
        settings = slurm.read_settings()
    except NoSlurmError:
        settings = {}
    return number_in(settings, "MaxArraySize")
