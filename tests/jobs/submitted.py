"""Submissions on disk that no Slurm knows of."""

from collections.abc import Sequence

from jobs.job_kinds import KindName
from jobs.slurm.resources import Resources
from jobs.slurm.submissions import PlannedJob, SubmissionDir, new_submission, write_intent
from sentiment.config import RunConfig
from sentiment.run_dir import Results

GRID = "g"


def write_submission(results: Results, tasks: Sequence[Sequence[RunConfig]], **resources: object) -> SubmissionDir:
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
