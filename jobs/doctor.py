"""The checks of `sentiment doctor`: Slurm's settings, local GPUs and cores."""

import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from jobs import slurm
from jobs.launch.local_runner import visible_gpus
from jobs.slurm.resources import ClusterFile, Resources, read_cluster
from sentiment.console import plural
from sentiment.errors import ConfigError, NoSlurmError, SlurmError
from sentiment.processes import available_cores
from sentiment.runs.run_dir import Results


@dataclass(frozen=True)
class Finding:
    """A line of `sentiment doctor`."""

    level: Literal["ok", "note", "ERROR"]
    topic: str
    text: str


def examine(results: Results, cluster: Path) -> Iterator[Finding]:
    """Check this machine, Slurm, and whether it would accept the resources of each section of the cluster file."""
    hardware = f"{plural(len(visible_gpus()), 'GPU')}, {plural(available_cores(), 'core')}"
    yield Finding("ok", "this machine", hardware)
    file = ClusterFile()
    try:
        file = read_cluster(cluster)
    except ConfigError as error:
        yield Finding("ERROR", str(cluster), str(error))
    try:
        settings = slurm.read_settings()
        partitions = slurm.describe_partitions()
    except NoSlurmError as error:
        command = results.command("submit", "smoke", "--local")
        yield Finding("note", "no Slurm", f"{error}, so {cluster} is not checked; `{command}` runs a grid here")
        return
    except SlurmError as error:
        yield Finding("ERROR", "Slurm", str(error))
        return
    yield Finding("ok", "Slurm", f"version {settings.get('SLURM_VERSION')}, cluster {settings.get('ClusterName')}")
    yield Finding("note", "compute nodes", f"must mount {Path.cwd()} and {sys.executable} at the same paths")
    for name, text in partitions:
        yield Finding("ok", f"partition {name}", text)
    for section, resources in file.sections().items():
        topic = f"{cluster.name} {section}"
        refusal = _refusal(resources)
        if refusal:
            yield Finding("ERROR", topic, f"{resources.describe()}: {refusal}")
        else:
            yield Finding("ok", topic, resources.describe())


def _refusal(resources: Resources) -> str | None:
    """Return why a job with these resources would be refused or never start."""
    limit = slurm.read_limits(resources.partition).minutes
    if resources.time_minutes > limit:
        return f"its partition allows at most {limit} min, so that its jobs would never start"
    refusal = slurm.find_refusal(resources)
    return f"Slurm says {refusal}" if refusal else None


def render(findings: Sequence[Finding]) -> Iterator[str]:
    """Yield the lines to print."""
    width = min(max(len(finding.topic) for finding in findings), 40)
    for finding in findings:
        line = f"{finding.level.ljust(5)}  {finding.topic.ljust(width)}  {finding.text}"
        yield line.replace("\n", "\n".ljust(width + 10))
