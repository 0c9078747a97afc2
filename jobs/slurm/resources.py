"""Schema of `configs/cluster.yaml`, the resources that each kind of job gets from it, and how requests grow."""

import math
import os
from pathlib import Path
from typing import Annotated, Any, NamedTuple

from pydantic import Field, ValidationError, field_validator

from jobs.job_kinds import JOB_KINDS, OTHER_KINDS, KindName
from sentiment.config import PositiveFloat, PositiveInt, Section
from sentiment.config_file import describe_mistakes, read_yaml
from sentiment.console import plural
from sentiment.errors import ConfigError
from sentiment.runs.state import OUT_OF_MEMORY, TIMEOUT

# Options of sbatch that the field `sbatch` refuses: they have a field of their own, or are set by the program, because
# tasks are started and requeued in one way only: a job is one task on one node.
_REFUSED_OPTIONS = {
    *("account", "cpus_per_gpu", "cpus_per_task", "gpus", "gpus_per_node", "gpus_per_socket", "gpus_per_task"),
    *("mem", "mem_per_cpu", "mem_per_gpu", "partition", "time"),
    *("nodes", "ntasks", "ntasks_per_core", "ntasks_per_gpu", "ntasks_per_node", "ntasks_per_socket", "tasks_per_node"),
    *("array", "chdir", "dependency", "error", "job_name", "kill_on_invalid_dep", "no_requeue", "open_mode", "output"),
    *("requeue", "signal", "wrap"),
    # After these sbatch submits nothing, submits to another cluster, waits for the job, or prints no id or a bare one.
    *("clusters", "help", "parsable", "quiet", "test_only", "usage", "version", "wait"),
}

Factor = Annotated[float, Field(ge=1)]
# No task starts with less; and 0 MB would mean all memory of a node.
_LEAST_MEMORY_GB = 0.1


class Resources(Section):
    """Resources of each task of a job; None is the site's default.

    Attributes:
        partition: one partition, or several separated by commas. If `defaults` has none, that of SBATCH_PARTITION in
            the shell of the command that submits.
        account: if `defaults` has none, that of SBATCH_ACCOUNT, likewise.
        time_minutes: time limit of a task. A run that needs longer saves a checkpoint, is requeued and resumes.
        memory_gb: main memory of a task.
        gpu_type: as the site names it, such as `a100`, or `1g.10gb` for a slice of one.
        parallelism: the largest number of tasks that run at a time (sbatch's `%N`); of `cache`, the number of tasks.
        tasks: number of array tasks among which all runs are divided, for many short runs. Each task trains unclaimed
            runs until its time limit is near, and is then requeued. None is one task for each `at_once` runs.
        at_once: how many runs share one task's cores and GPUs at the same time, for small models.
        setup: shell commands that run before a task starts, such as `module load cuda`.
        container: the Apptainer or Singularity image that tasks run in, with its `python3`, and with `--nv` if they get
            a GPU: a `.sif` file, an unpacked image, or an address such as `docker://...`. Apptainer's own variables,
            such as APPTAINER_BIND, may stand in `setup`. Runs with `--local` do not use it; the report only if its own
            section has one.
        sbatch: other options of sbatch, by name: `qos: long`, `reservation: course`. A section's options are added to
            those of `defaults`, of which `qos: null` drops one. For a shard of a GPU set `gpus: 0` and
            `sbatch: {gres: shard:2}`; CPU-only jobs drop `gres`.
        attempts_without_progress: largest number of consecutive attempts of a run that start at the same step, or of
            consecutive time limits that a preparation job reaches without progress.
        memory_factor, time_factor: factors for memory and time when a job is retried after OUT_OF_MEMORY or TIMEOUT.
    """

    partition: str | None = None
    account: str | None = None
    time_minutes: PositiveInt = 240
    memory_gb: Annotated[float, Field(ge=_LEAST_MEMORY_GB)] | None = None
    gpus: Annotated[int, Field(ge=0)] = 1
    gpu_type: str | None = None
    cpus: PositiveInt = 4
    parallelism: PositiveInt | None = None
    tasks: PositiveInt | None = None
    at_once: PositiveInt = 1
    setup: list[str] = Field(default_factory=list)
    container: str | None = None
    sbatch: dict[str, Any] = Field(default_factory=dict)
    attempts_without_progress: PositiveInt = 3
    memory_factor: Factor = 2.0
    time_factor: Factor = 2.0

    def describe(self) -> str:
        gpu = f"{self.gpu_type} GPU" if self.gpu_type else "GPU"
        parts = [f"{self.gpus} {gpu}" if self.gpus else "no GPU"]
        parts.append(plural(self.cpus, "core"))
        if self.memory_gb:
            parts.append(f"{self.memory_gb:g} GB")
        parts.append(f"{self.time_minutes} min")
        options = {
            "gres": self.sbatch.get("gres"),
            "partition": self.partition,
            "account": self.account,
            "container": self.container,
        }
        parts += [f"{name} {value}" for name, value in options.items() if value]
        return ", ".join(parts)

    @property
    def has_gpu(self) -> bool:
        return self.gpus > 0 or "gres" in self.sbatch

    @field_validator("sbatch")
    @classmethod
    def _check_options(cls, options: dict[str, Any]) -> dict[str, Any]:
        options = {name.lstrip("-"): value for name, value in options.items()}
        for name, value in options.items():
            identifier = name.replace("-", "_")
            if any(refused.startswith(identifier) for refused in _REFUSED_OPTIONS):  # sbatch takes abbreviations
                raise ValueError(f"{name} has a field of its own in the cluster file, or is set by the program")
            if not identifier.isidentifier() or "\n" in str(value):
                raise ValueError(f"{name}: {value!r} is no option of sbatch")
            if not isinstance(value, str | int | float | None):
                raise ValueError(f"{name}: {value!r} is no value of an option; valid: text, a number, true, or null")
        return options


class ClusterFile(Section):
    """Resources of all jobs, and overrides for kinds of jobs and for grids.

    Each field of a job's resources comes from the first of these that sets it:

    1. the section of its kind or, for training tasks, of its grid
    2. what its kind needs (`jobs.job_kinds`): preparing tweets and writing the report need no GPU, for instance
    3. `defaults`
    4. the schema's default

    Attributes:
        data: for the job that prepares tweets, fits the linear baseline and learns word vectors.
        cache: for the job that computes an encoder's vectors; `parallelism` is the number of its tasks.
        report: for the job that writes the report.
        grids: for the training tasks of a grid, by its name.
    """

    defaults: Resources = Resources()
    data: Resources = Resources()
    cache: Resources = Resources()
    report: Resources = Resources()
    grids: dict[str, Resources] = Field(default_factory=dict)

    def as_given(self) -> dict[str, Any]:
        return self.model_dump(mode="json", exclude_unset=True)

    def resources(self, grid: str, kind: KindName = "train") -> Resources:
        job_kind = JOB_KINDS[kind]
        section: Resources = self.grids.get(grid, Resources()) if job_kind.trains_runs else getattr(self, kind)
        changes = dict(job_kind.resources)
        options = dict(self.defaults.sbatch)
        if changes.get("gpus") == 0:
            options.pop("gres", None)  # it may ask for a shard of a GPU
        for name in section.model_fields_set:
            changes[name] = getattr(section, name)
        options |= section.sbatch
        changes["sbatch"] = {name: value for name, value in options.items() if value is not None}
        return self.defaults.model_copy(update=changes)

    def sections(self) -> dict[str, Resources]:
        """Return the resources of each section, by its path in the file."""
        sections = {"defaults": self.defaults}
        for kind in OTHER_KINDS:
            sections[kind.name] = self.resources("", kind.name)
        for grid in self.grids:
            sections[f"grids.{grid}"] = self.resources(grid)
        return sections


# Variables that users set once for all their jobs, as many sites advise, and the fields that they stand for. Slurm's
# commands do not see them (`jobs.slurm.commands`): sbatch would prefer them to the cluster file.
_OF_SHELL = {"account": "SBATCH_ACCOUNT", "partition": "SBATCH_PARTITION"}


def read_cluster(path: Path) -> ClusterFile:
    """Read a cluster file; `defaults` has the account and the partition of the user's shell if it names none.

    Raises:
        ConfigError: lists all mistakes in the file.
    """
    values = read_yaml(path)
    try:
        file = ClusterFile.model_validate(values)
    except ValidationError as error:
        raise ConfigError(describe_mistakes(error, ClusterFile, str(path))) from None
    of_shell = {name: os.environ[variable] for name, variable in _OF_SHELL.items() if os.environ.get(variable)}
    if of_shell:
        given = file.defaults.model_dump(exclude_unset=True)
        file = file.model_copy(update={"defaults": Resources(**(of_shell | given))})
    return file


class Limits(NamedTuple):
    """The largest request that a partition accepts; infinite where no limit is known."""

    memory_gb: float = math.inf
    minutes: float = math.inf


class Lacked(Section):
    """The most that an attempt of a run had when it lacked more of it; None if it never lacked any.

    Attributes:
        memory_gb: main memory of the task, for each run that it trains at once.
        minutes: time limit of the task.
    """

    memory_gb: PositiveFloat | None = None
    minutes: PositiveInt | None = None

    def after(self, state: str, had: Resources) -> "Lacked":
        """Add what an attempt lacked, by the state in which it ended and by the resources that its task had.

        Memory that the site chose (`memory_gb` was not set) is not known.
        """
        if state == TIMEOUT:
            return self.model_copy(update={"minutes": max(had.time_minutes, self.minutes or 0)})
        if state == OUT_OF_MEMORY and had.memory_gb is not None:
            memory_gb = max(had.memory_gb / had.at_once, self.memory_gb or 0)
            return self.model_copy(update={"memory_gb": memory_gb})
        return self


def sufficient(configured: Resources, lacked: Lacked, limits: Limits) -> Resources:
    """Return the resources of a task: as configured, but more of what earlier attempts of its runs lacked.

    Args:
        limits: no increase goes beyond them.
    """
    changes: dict[str, Any] = {}
    if lacked.minutes is not None:
        minutes = min(lacked.minutes * configured.time_factor, limits.minutes)
        changes["time_minutes"] = max(configured.time_minutes, round(minutes))
    if lacked.memory_gb is not None:
        memory_gb = min(lacked.memory_gb * configured.at_once * configured.memory_factor, limits.memory_gb)
        changes["memory_gb"] = max(configured.memory_gb or 0, memory_gb)
    return configured.model_copy(update=changes)
