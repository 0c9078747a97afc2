"""What jobs may use on a cluster: `configs/cluster.yaml`, checked, with what a grid or a kind of job changes."""

from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field, ValidationError, field_validator

from sentiment.config import PositiveFloat, PositiveInt, Section
from sentiment.config_file import explain, read_yaml
from sentiment.errors import ConfigError

Kind = Literal["data", "cache", "train", "report"]
Factor = Annotated[float, Field(ge=1)]

# What sbatch takes besides and is said by a field here, or decided by how tasks are started and started again.
_FIELDS = {
    "account": "account",
    "constraint": "constraint",
    "cpus_per_task": "cpus",
    "gpus": "gpus",
    "gpus_per_node": "gpus",
    "gres": "gpus and gpu_type",
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


class Resources(Section):
    """What each task of a job array gets, and when it gets more. None leaves a choice to the site."""

    partition: str | None = None
    """Or several, separated by commas."""
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
    cpus: PositiveInt = 4
    parallelism: PositiveInt | None = None
    """So many tasks of a grid at a time (sbatch's `%N`)."""
    runs_per_task: PositiveInt = 1
    """So many runs side by side on the GPU of one task; for small models."""
    signal_seconds: PositiveInt | None = None
    """Slurm warns a task so long before its end; None takes what saving was measured to need."""
    setup: list[str] = Field(default_factory=list)
    """Lines of shell before a task starts, such as `module load cuda`."""
    sbatch: dict[str, str | int | bool] = Field(default_factory=dict)
    """Other options of sbatch, by name: `reservation: course`, `exclude: node7`."""
    attempts_without_progress: PositiveInt = 3
    """A task that its time limit cut so often in a row, without a step gained, is given up instead of requeued."""
    memory_factor: Factor = 2.0
    """By which a rerun multiplies the memory of a run that had too little."""
    time_factor: Factor = 2.0
    """By which a rerun multiplies the time of a run that timed out."""

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
    """Resources of all jobs, and what differs for some."""

    defaults: Resources = Resources()
    data: Resources = Resources(gpus=0)
    """Changes for the job that prepares tweets and fits the linear baseline."""
    cache: Resources = Resources()
    """Changes for the jobs that compute ELMo vectors."""
    report: Resources = Resources()
    """Changes for the job that writes the report."""
    grids: dict[str, Resources] = Field(default_factory=dict)
    """Changes for the training tasks of a grid, by its name."""

    def resources(self, grid: str, kind: Kind = "train") -> Resources:
        """Of one kind of job: the defaults, and over them the section of the kind or of the grid."""
        changes = {"data": self.data, "cache": self.cache, "report": self.report}
        chosen = changes.get(kind) or self.grids.get(grid, Resources())
        return self.defaults.model_copy(update=chosen.model_dump(exclude_unset=True))

    def sections(self) -> dict[str, Resources]:
        """What each section comes to, by the name under which it stands in the file."""
        kinds: tuple[Kind, ...] = ("data", "cache", "report")
        found = {"defaults": self.defaults} | {kind: self.resources("", kind) for kind in kinds}
        return found | {f"grids.{grid}": self.resources(grid) for grid in self.grids}


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
