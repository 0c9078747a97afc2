"""What jobs may use on a cluster: `configs/cluster.yaml`, checked, and what each job gets according to it."""

import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

from pydantic import Field, ValidationError, field_validator, model_validator

from jobs.job_kinds import JOB_KINDS, TRAINING, KindName, service_kinds
from sentiment.config import PositiveFloat, PositiveInt, Section
from sentiment.config_file import explain, read_yaml
from sentiment.errors import ConfigError, UsageError
from sentiment.runs.state import TIMEOUT

Factor = Annotated[float, Field(ge=1)]

# Options of sbatch that the field `sbatch` refuses: those that have a field of their own, and those that are decided by
# how tasks are started and requeued.
_FIELDS = {
    "account": "account",
    "constraint": "constraint",
    "cpus_per_task": "cpus",
    "gpus": "gpus",
    "gpus_per_node": "gpus",
    "gres": "gres",
    "mem": "memory_gb",
    "partition": "partition",
    "qos": "qos",
    "signal": "signal_seconds",
    "time": "time_minutes",
}
_OWN = {
    *("array", "chdir", "dependency", "error", "job_name", "kill_on_invalid_dep", "no_requeue", "nodes", "ntasks"),
    *("ntasks_per_node", "open_mode", "output", "requeue", "wrap"),
}


# Generic resources as Slurm writes them: `gpu:2`, `gpu:a100:2`, a slice of a GPU `gpu:1g.10gb:1`, a share of one
# `shard:2`. What of a node's stands in brackets (`gpu:4(S:0-1)`) says where it is attached.
_GRES = re.compile(r"([a-z_]\w*)(?::([\w.+-]*[A-Za-z][\w.+-]*))?:(\d+)")
_SHARES_A_GPU = {"gpu", "mps", "shard"}


@dataclass(frozen=True)
class Gres:
    """A number of generic resources of one name and type."""

    name: str
    type: str | None
    count: int

    @property
    def on_gpu(self) -> bool:
        """Whether it is a GPU, or a part of one."""
        return self.name in _SHARES_A_GPU

    def covers(self, wanted: "Gres") -> bool:
        """Whether these are of the kind that is wanted, in whatever number."""
        return self.name == wanted.name and wanted.type in (None, self.type)


def parse_gres(text: str) -> list[Gres]:
    """Generic resources, separated by commas; those that are written in another way are left out."""
    matches = map(_GRES.fullmatch, re.sub(r"\([^)]*\)", "", text).split(","))
    return [Gres(match[1], match[2], int(match[3])) for match in matches if match]


CONTAINER_PROGRAMS = ("apptainer", "singularity")
"""What runs containers; the first that is found is taken."""


class Container(Section):
    """An image in which tasks run instead of in the environment of the clone; the image has this project's packages."""

    image: str
    """A `.sif` file, an unpacked image, or an address such as `docker://...`."""
    python: str = "python3"
    """The interpreter inside of the image."""
    options: list[str] = Field(default_factory=list)
    """Further options of `apptainer exec`, word by word: `[--bind, /scratch]`."""

    @property
    def is_file(self) -> bool:
        """Whether the image is a file or folder, rather than an address."""
        return "://" not in self.image


class Resources(Section):
    """What each task of a job gets, and how that grows when it was too little. None leaves the choice to the site."""

    partition: str | None = None
    """One partition, or several separated by commas."""
    account: str | None = None
    qos: str | None = None
    constraint: str | None = None
    """Features that a node must have, such as `a100|h100`."""
    time_minutes: PositiveInt = 240
    """After which Slurm ends a task; a run that needs longer saves before and goes on in the next attempt."""
    memory_gb: PositiveFloat | None = None
    """Main memory of a task."""
    gpus: Annotated[int, Field(ge=0)] = 1
    gpu_type: str | None = None
    """As the site names it, such as `a100`."""
    gres: str | None = None
    """Generic resources instead of whole GPUs, as sbatch takes them: a share of a GPU (`shard:2`), a slice of one
    (`gpu:1g.10gb:1`). A section that sets `gpus` or `gpu_type` takes this back, and the other way round."""
    cpus: PositiveInt = 4
    parallelism: PositiveInt | None = None
    """The largest number of tasks that run at a time (sbatch's `%N`)."""
    tasks: PositiveInt | None = None
    """In how many tasks all runs are worked off, one after another: each takes the next run that nobody has until its
    time is nearly over, and is then requeued. For many short runs; None is one for each run, or for each `at_once`."""
    at_once: PositiveInt = 1
    """How many runs share the GPU of one task at the same time, for small models."""
    signal_seconds: PositiveInt | None = None
    """How long before its end Slurm warns a task; None takes what saving was measured to need."""
    setup: list[str] = Field(default_factory=list)
    """Lines of shell to run before a task starts, such as `module load cuda`."""
    container: Container | None = None
    """The Apptainer or Singularity image that tasks run in, with `--nv` if they get a GPU: its name, or a section of
    `image`, `python` (inside of it, by default `python3`) and `options` of `apptainer exec`. The report is written
    outside, and so are runs with `--local`."""
    sbatch: dict[str, str | int | bool] = Field(default_factory=dict)
    """Other options of sbatch, by name: `reservation: course`, `exclude: node7`."""
    attempts_without_progress: PositiveInt = 3
    """How often in a row a run may begin at the same step, or the time of another job end without progress."""
    memory_factor: Factor = 2.0
    """A rerun multiplies the memory of a run that had too little by this factor."""
    time_factor: Factor = 2.0
    """A rerun multiplies the time of a run that timed out by this factor."""

    def describe(self) -> str:
        """In a few words, with everything that is set apart from factors and options of sbatch."""
        gpus = f"{self.gpus} {self.gpu_type or ''} GPU{'s' if self.gpus > 1 else ''}" if self.gpus else "no GPU"
        gpus = f"{self.gres}{'' if self.has_gpu else ', no GPU'}" if self.gres else gpus
        parts = [gpus.replace("  ", " "), f"{self.cpus} core{'s' if self.cpus > 1 else ''}"]
        parts += [f"{self.memory_gb:g} GB"] if self.memory_gb else []
        parts.append(f"{self.time_minutes} min")
        named = {"partition": self.partition, "account": self.account, "qos": self.qos, "constraint": self.constraint}
        named["container"] = self.container.image if self.container else None
        return ", ".join([*parts, *(f"{name} {value}" for name, value in named.items() if value)])

    @property
    def has_gpu(self) -> bool:
        """Whether a task gets a GPU, or a part of one."""
        return self.gpus > 0 or any(one.on_gpu for one in parse_gres(self.gres or ""))

    @property
    def shares_tasks(self) -> bool:
        """Whether tasks work off all runs together, so that any of them may take a run."""
        return self.tasks is not None or self.at_once > 1

    @model_validator(mode="before")
    @classmethod
    def _gres_replaces_gpus(cls, values: Any) -> Any:
        """What a section sets of the two holds, whichever of them the sections below it set."""
        if not isinstance(values, dict):
            return values
        if isinstance(values.get("gres"), str):
            if values.get("gpus") or values.get("gpu_type"):
                raise ValueError("gres and gpus cannot both be set; whole GPUs are gpus: 2, gpu_type: a100")
            return {**values, "gpus": 0, "gpu_type": None}
        return {**values, "gres": None} if {"gpus", "gpu_type"} & values.keys() else values

    @field_validator("container", mode="before")
    @classmethod
    def _image_alone_is_enough(cls, container: Any) -> Any:
        return {"image": container} if isinstance(container, str) else container

    @field_validator("gres")
    @classmethod
    def _gres_is_written_as_slurm_writes_it(cls, text: str | None) -> str | None:
        for part in (text or "").split(",") if text is not None else ():
            if not parse_gres(part) or parse_gres(part)[0].count == 0:
                raise ValueError(
                    f"{part!r} is not NAME:COUNT or NAME:TYPE:COUNT, as in shard:2, gpu:a100:2 or gpu:1g.10gb:1"
                )
        return text

    @field_validator("sbatch")
    @classmethod
    def _options_are_not_ours(cls, options: dict[str, str | int | bool]) -> dict[str, str | int | bool]:
        for name, value in options.items():
            plain = name.lstrip("-").replace("-", "_")
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
    of its grid), what its kind needs by itself (`jobs.job_kinds`: preparing tweets and writing the report need no GPU,
    the report one core for half an hour), `defaults`, the schema's default.
    """

    defaults: Resources = Resources()
    """For all jobs."""
    data: Resources = Resources()
    """For the job that prepares tweets and fits the linear baseline; it gets no GPU unless this section says so."""
    vectors: Resources = Resources()
    """For the job that learns word vectors; it gets two cores and no GPU unless this section says so."""
    pretrain: Resources = Resources()
    """For the job that trains a language model where `elmo.model` is `pretrained/NAME`."""
    cache: Resources = Resources()
    """For the jobs that compute ELMo vectors; `parallelism` says how many of them share the work."""
    report: Resources = Resources()
    """For the job that writes the report; without this section it gets no GPU, one core and 30 minutes."""
    grids: dict[str, Resources] = Field(default_factory=dict)
    """For the training tasks of a grid, by its name."""
    notify: list[str] = Field(default_factory=list)
    """A command, word by word and without a shell, that is run when a grid has ended, with Slurm and with `--local`.
    Its environment has GRID_NAME, GRID_RUNS, GRID_COMPLETED, GRID_FAILED, GRID_PRUNED, GRID_CANCELLED (the number of
    runs), GRID_RESULTS and GRID_REPORT (the report's page, or nothing if it could not be built)."""

    @field_validator("notify", mode="before")
    @classmethod
    def _command_is_given_word_by_word(cls, command: object) -> object:
        if isinstance(command, str):
            raise ValueError(
                "is run without a shell: write its words as a list, as in [mail, -s, done, me@example.org]"
            )
        return command

    def as_given(self) -> dict[str, Any]:
        """Plain values, from which the same is made: only what is set."""
        return self.model_dump(mode="json", exclude_unset=True)

    def resources(self, grid: str, kind: KindName = TRAINING.name) -> Resources:
        """What a job of a grid gets."""
        job_kind = JOB_KINDS[kind]
        section: Resources = self.grids.get(grid, Resources()) if job_kind.trains_runs else getattr(self, kind)
        return self.defaults.model_copy(update={**job_kind.resources, **section.model_dump(exclude_unset=True)})

    def service_resources(self) -> dict[KindName, Resources]:
        """What jobs get whose tasks have no runs of their own."""
        return {kind.name: self.resources("", kind.name) for kind in service_kinds()}

    def sections(self) -> dict[str, Resources]:
        """What the jobs of each section get, by the name under which it stands in the file."""
        services = {str(kind): resources for kind, resources in self.service_resources().items()}
        return {"defaults": self.defaults} | services | {f"grids.{grid}": self.resources(grid) for grid in self.grids}


def read_cluster(path: Path) -> ClusterFile:
    """Read the whole file.

    Raises:
        ConfigError: no such file, or any of its sections is invalid; all mistakes in one message.
    """
    values = read_yaml(path)
    try:
        return ClusterFile.model_validate(values)
    except ValidationError as error:
        raise ConfigError(explain(error, ClusterFile, str(path))) from None


def increased(state: str, configured: Resources, had: Resources | None) -> Resources:
    """Resources for the next attempt at a job.

    Args:
        state: how the last one ended.
        configured: what the cluster's file says now.
        had: what the last one had; None if there was none.

    Raises:
        UsageError: it had too little memory, and it is not known how much that was.
    """
    return _INCREASES.get(state, _as_configured)(configured, had)


def _as_configured(configured: Resources, _had: Resources | None) -> Resources:
    return configured


def _more_memory(configured: Resources, had: Resources | None) -> Resources:
    memory = had.memory_gb if had else None
    if memory is None:
        raise UsageError(
            "a job had too little memory, and its cluster file did not say how much: set memory_gb in the file"
        )
    more = max(configured.memory_gb or 0, memory * configured.memory_factor)
    return configured.model_copy(update={"memory_gb": more})


def _more_time(configured: Resources, had: Resources | None) -> Resources:
    minutes = round(had.time_minutes * configured.time_factor) if had else configured.time_minutes
    return configured.model_copy(update={"time_minutes": max(configured.time_minutes, minutes)})


_INCREASES: dict[str, Callable[[Resources, Resources | None], Resources]] = {
    "OUT_OF_MEMORY": _more_memory,
    TIMEOUT: _more_time,
}
