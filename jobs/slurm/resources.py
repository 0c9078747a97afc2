"""What jobs may use on a cluster: `configs/cluster.yaml`, checked, and what each job gets according to it."""

from pathlib import Path
from typing import Annotated, Any

from pydantic import Field, ValidationError, field_validator

from jobs.services import JOB_KINDS, OTHER_KINDS, KindName
from sentiment.config import PositiveFloat, PositiveInt, Section
from sentiment.config_file import explain, read_yaml
from sentiment.errors import ConfigError
from sentiment.runs.state import TIMEOUT

# Options of sbatch that the field `sbatch` refuses: those that have a field of their own, and those that are decided by
# how tasks are started and requeued.
_FIELDS = {
    "account": "account",
    "cpus_per_task": "cpus",
    "gpus": "gpus",
    "gpus_per_node": "gpus",
    "mem": "memory_gb",
    "partition": "partition",
    "time": "time_minutes",
}
_OWN = {
    *("array", "chdir", "dependency", "error", "job_name", "kill_on_invalid_dep", "no_requeue", "nodes", "ntasks"),
    *("ntasks_per_node", "open_mode", "output", "requeue", "signal", "wrap"),
}

Factor = Annotated[float, Field(ge=1)]


class Container(Section):
    """An image in which tasks run instead of in the environment of the clone; the image has this project's packages.

    Attributes:
        image: a `.sif` file, an unpacked image, or an address such as `docker://...`.
        python: the interpreter inside of the image.
        options: further options of `apptainer exec`, word by word: `[--bind, /scratch]`.
    """

    image: str
    python: str = "python3"
    options: list[str] = Field(default_factory=list)


class Resources(Section):
    """What each task of a job gets; None leaves the choice to the site.

    Attributes:
        partition: one partition, or several separated by commas.
        time_minutes: after which Slurm ends a task; a run that needs longer saves before and goes on in the next
            attempt.
        memory_gb: main memory of a task.
        gpu_type: as the site names it, such as `a100`, or `1g.10gb` for a slice of one.
        parallelism: the largest number of tasks that run at a time (sbatch's `%N`).
        tasks: in how many tasks all runs are worked off, for many short runs: each takes the next run that nobody
            has until its time is nearly over, and is then requeued. None is one for each run, or for each
            `at_once`.
        at_once: how many runs share the GPUs of one task at the same time, for small models.
        setup: lines of shell to run before a task starts, such as `module load cuda`.
        container: the Apptainer or Singularity image that tasks run in, with `--nv` if they get a GPU: its name, or
            a section of `image`, `python` and `options`. The report is written outside, and so are runs with
            `--local`.
        sbatch: other options of sbatch, by name: `qos: long`, `reservation: course`; a share of a GPU is `gres:
            shard:2` beside `gpus: 0`, which jobs that need no GPU don't get.
        attempts_without_progress: how often in a row a run may begin at the same step, or the time of another job
            end without progress.
        memory_factor, time_factor: by which a rerun multiplies what was too little.
    """

    partition: str | None = None
    account: str | None = None
    time_minutes: PositiveInt = 240
    memory_gb: PositiveFloat | None = None
    gpus: Annotated[int, Field(ge=0)] = 1
    gpu_type: str | None = None
    cpus: PositiveInt = 4
    parallelism: PositiveInt | None = None
    tasks: PositiveInt | None = None
    at_once: PositiveInt = 1
    setup: list[str] = Field(default_factory=list)
    container: Container | None = None
    sbatch: dict[str, str | int | bool] = Field(default_factory=dict)
    attempts_without_progress: PositiveInt = 3
    memory_factor: Factor = 2.0
    time_factor: Factor = 2.0

    def describe(self) -> str:
        gpus = f"{self.gpus} {self.gpu_type or ''} GPU".replace("  ", " ") if self.gpus else "no GPU"
        parts = [gpus, f"{self.cpus} core{'s' if self.cpus > 1 else ''}"]
        parts += [f"{self.memory_gb:g} GB"] if self.memory_gb else []
        named = {"gres": self.sbatch.get("gres"), "partition": self.partition, "account": self.account}
        named["container"] = self.container.image if self.container else None
        return ", ".join([*parts, f"{self.time_minutes} min", *(f"{k} {value}" for k, value in named.items() if value)])

    @property
    def has_gpu(self) -> bool:
        return self.gpus > 0 or "gres" in self.sbatch

    @field_validator("container", mode="before")
    @classmethod
    def _image_alone_is_enough(cls, container: Any) -> Any:
        return {"image": container} if isinstance(container, str) else container

    @field_validator("sbatch")
    @classmethod
    def _options_are_not_ours(cls, options: dict[str, str | int | bool]) -> dict[str, str | int | bool]:
        options = {name.lstrip("-"): value for name, value in options.items()}
        for name, value in options.items():
            plain = name.replace("-", "_")
            if plain in _FIELDS:
                raise ValueError(f"{name} has a field of its own: {_FIELDS[plain]}")
            if plain in _OWN:
                raise ValueError(f"{name} is decided by the program")
            if not plain.isidentifier() or "\n" in str(value):
                raise ValueError(f"{name}: {value!r} is no option of sbatch")
        return options


class ClusterFile(Section):
    """Resources of all jobs, and what differs for some of them.

    Each field of a job is taken from the first of these that sets it: the section of its kind (for training tasks that
    of its grid), what its kind needs by itself (`jobs.services`: preparing tweets and writing the report need no GPU,
    the report one core for half an hour), `defaults`, the schema's default.

    Attributes:
        data: for the job that prepares tweets and fits the linear baseline.
        vectors: for the job that learns word vectors.
        cache: for the jobs that compute ELMo vectors; `parallelism` says how many of them share the work.
        report: for the job that writes the report.
        grids: for the training tasks of a grid, by its name.
    """

    defaults: Resources = Resources()
    data: Resources = Resources()
    vectors: Resources = Resources()
    cache: Resources = Resources()
    report: Resources = Resources()
    grids: dict[str, Resources] = Field(default_factory=dict)

    def as_given(self) -> dict[str, Any]:
        return self.model_dump(mode="json", exclude_unset=True)

    def resources(self, grid: str, kind: KindName = "train") -> Resources:
        job_kind = JOB_KINDS[kind]
        section: Resources = self.grids.get(grid, Resources()) if job_kind.trains_runs else getattr(self, kind)
        own = {name: getattr(section, name) for name in section.model_fields_set}
        if job_kind.resources.get("gpus") == 0:  # nor a share of one
            own = {"sbatch": {name: value for name, value in self.defaults.sbatch.items() if name != "gres"}} | own
        return self.defaults.model_copy(update={**job_kind.resources, **own})

    def sections(self) -> dict[str, Resources]:
        others = {str(kind.name): self.resources("", kind.name) for kind in OTHER_KINDS}
        return {"defaults": self.defaults} | others | {f"grids.{grid}": self.resources(grid) for grid in self.grids}


def read_cluster(path: Path) -> ClusterFile:
    """Read the whole file; a ConfigError has all mistakes in one message."""
    values = read_yaml(path)
    try:
        return ClusterFile.model_validate(values)
    except ValidationError as error:
        raise ConfigError(explain(error, ClusterFile, str(path))) from None


def increased(state: str, configured: Resources, had: Resources) -> Resources:
    """Resources for the next attempt at a job, by how the last one ended, what is configured now, and what it had.

    A memory that was the site's to choose cannot be increased.
    """
    if state == TIMEOUT:
        minutes = round(had.time_minutes * configured.time_factor)
        return configured.model_copy(update={"time_minutes": max(configured.time_minutes, minutes)})
    if state == "OUT_OF_MEMORY" and had.memory_gb is not None:
        memory = had.memory_gb * configured.memory_factor
        return configured.model_copy(update={"memory_gb": max(configured.memory_gb or 0, memory)})
    return configured
