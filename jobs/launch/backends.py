"""Where the runs of a grid are trained: in Slurm, or by the command itself on this machine."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from jobs import slurm
from jobs.grid_jobs import GridJobs, settle
from jobs.launch.local_runner import LocalRunner
from jobs.launch.plan import Launch, plan_local_jobs, plan_slurm_jobs, runs_at_once
from jobs.slurm.resources import ClusterFile
from jobs.submissions import Submission, SubmissionDir, new_submission, record_submission
from sentiment.console import Say, plural
from sentiment.errors import QueueFullError, SlurmError, UnansweredError
from sentiment.runs.records import GridPlan
from sentiment.runs.run_dir import Results


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


class Backend(Protocol):
    """Trains runs of a grid; the caller holds the grid's lock."""

    def launch(self, launch: Launch, plan: GridPlan, jobs: GridJobs, /) -> Launched:
        """Record and submit jobs for these runs.

        Args:
            jobs: the jobs that the grid has.
        """


@dataclass(frozen=True)
class SlurmBackend:
    """Submits job arrays, the jobs that prepare their inputs, and the final job.

    Attributes:
        check: raises LockedError if the grid is locked no longer; called before each job is submitted.
    """

    results: Results
    cluster: ClusterFile
    say: Say
    check: Callable[[], None]

    def launch(self, launch: Launch, plan: GridPlan, jobs: GridJobs, /) -> Launched:
        if not launch.runs and not jobs.lacks_final_job:
            self.say("nothing to submit")
            return Launched()
        planned = plan_slurm_jobs(launch, plan.name, self.results, self.cluster, jobs)
        launched = _Chain(self, plan.name, jobs).submit(planned)
        self.say(f"{len(launch.runs) - len(launched.refused_ids)} of {len(plan.runs)} runs submitted")
        for line in self._describe(launched):
            self.say(line)
        return launched

    def _describe(self, launched: Launched) -> Iterator[str]:
        for folder in launched.accepted:
            job = folder.submission
            rung = "" if job.rung is None else f" of rung {job.rung}"
            yield f"  {job.kind:6} job {folder.job_id}, {plural(len(job.tasks), 'task')}{rung}   {folder.path}"
        for job, error in launched.refused:
            if job.job_kind.final:
                yield f"the final job, which decides what comes next, is missing: {error}"
                yield f"`{self.results.command('report')}` builds the report on this machine"
            else:
                run_ids = " ".join(run_id for task in job.tasks for run_id in task)
                yield f"not submitted, because Slurm refused {job.resources.describe()}: {run_ids}: {error}"
        if launched.not_cancelled:
            yield f"jobs that these replace were not cancelled, and may run as well: {launched.not_cancelled}"


@dataclass(frozen=True)
class LocalBackend:
    """Gives jobs to the runner of this command."""

    runner: LocalRunner
    at_once: int | None
    say: Say

    def launch(self, launch: Launch, plan: GridPlan, _jobs: GridJobs, /) -> Launched:
        if not launch.runs:
            self.say("nothing to run")
            return Launched()
        self.say(f"running {len(launch.runs)} of {len(plan.runs)} runs")
        at_once = runs_at_once([request.config for request in launch.runs], self.at_once)
        return Launched(self.runner.accept(plan.name, plan_local_jobs(launch, at_once)))


@dataclass
class _Chain:
    """Records and submits jobs of a grid in order, with their dependencies."""

    backend: SlurmBackend
    grid: str
    existing: GridJobs
    launched: Launched = field(default_factory=Launched)

    @property
    def active(self) -> list[SubmissionDir]:
        """The jobs that were in the queue before."""
        names = self.existing.active_names
        return [folder for folder in self.existing.submissions if folder.name in names and not folder.submission.local]

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
            for (folder, task), job in self.existing.active_tasks.items()
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
        """Record a job, submit it with its dependencies, and record its id."""
        self.backend.check()
        dependency = _dependency(job, [*self.active, *self.launched.accepted])
        folder = record_submission(new_submission(self.backend.results, self.grid, job, dependency))
        try:
            folder.write_receipt(slurm.submit(folder))
        except SlurmError as error:  # perhaps Slurm has accepted the job, and only its answer was lost
            try:
                accepted = settle(folder)
            except SlurmError as query_error:
                raise UnansweredError(
                    f"{error}; {query_error}; it is not known whether the job was accepted: the next command finds out"
                ) from None
            if not accepted:
                raise
        self.launched.accepted.append(folder)


def _dependency(job: Submission, earlier: Iterable[SubmissionDir]) -> str | None:
    """Return sbatch's `--dependency`: on the success of other jobs; of the final job, on their end."""
    ids = [folder.job_id for folder in earlier if folder.submission.kind in job.job_kind.after]
    if not ids:
        return None
    condition = "afterany" if job.job_kind.final else "afterok"
    return f"{condition}:{':'.join(ids)}"
