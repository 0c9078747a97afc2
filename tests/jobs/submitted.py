"""Submissions on disk that no Slurm knows of, and runs that look begun."""

from collections.abc import Sequence

from jobs.job_kinds import KindName
from jobs.slurm.planned_job import PlannedJob, new_submission
from jobs.slurm.resources import Resources
from jobs.slurm.submissions import SubmissionDir, write_intent
from sentiment.config import RunConfig
from sentiment.records import Attempt, RunRecord
from sentiment.run_dir import Results, RunDir

GRID = "g"


def write_submission(results: Results, tasks: Sequence[Sequence[RunConfig]], /, **resources: object) -> SubmissionDir:
    """Training tasks, each with its runs."""
    run_ids = [[config.run_id for config in task] for task in tasks]
    configs = [config for task in tasks for config in task]
    return write_job(results, "train", run_ids, configs, Resources.model_validate(resources))


def write_job(
    results: Results, kind: KindName, tasks: list[list[str]], configs: list[RunConfig], resources: Resources
) -> SubmissionDir:
    """Tasks of any kind."""
    job = PlannedJob(kind, tasks, configs, resources, 1)
    return write_intent(new_submission(results, GRID, job, 90, None), configs)


def attempt_of(job: str | None, **changes: object) -> Attempt:
    """An attempt that a job has begun."""
    begun = Attempt(
        host="h",
        pid=1,
        job=job,
        restart_count=0,
        code="c",
        environment="e",
        device="cpu",
        threads=1,
        first_step=0,
        start="2026-03-04T11:00:00+00:00",
    )
    return begun.model_copy(update=changes)


def write_attempts(run_dir: RunDir, *attempts: Attempt) -> None:
    """`run.json` of a run with these attempts."""
    run_dir.path.mkdir(parents=True, exist_ok=True)
    run_dir.write_record(
        RunRecord(
            run_id=run_dir.path.name,
            config_fingerprint="",
            data_fingerprint="",
            dataset="table",
            git_commit=None,
            git_dirty=None,
            versions={},
            command=[],
            attempts=list(attempts),
        )
    )
