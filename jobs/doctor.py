"""The checks of `sentiment doctor`: Slurm's settings, local GPUs and cores, disk space."""

import os
import shutil
import sys
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from jobs import slurm
from jobs.launch.local_runner import visible_gpus
from jobs.slurm.resources import ClusterFile, Partition, Resources, limits_of, read_cluster
from sentiment.console import plural
from sentiment.errors import ConfigError, NoSlurmError, SlurmError
from sentiment.processes import available_cores, wandb_is_installed
from sentiment.runs.run_dir import Results

_GIGABYTE = 1e9
_FEW_GIGABYTES = 10.0


@dataclass(frozen=True)
class Finding:
    """A line of `sentiment doctor`."""

    level: Literal["ok", "note", "problem"]
    topic: str
    text: str


def examine(results: Results, cluster: Path, grids: Path) -> Iterator[Finding]:
    """Run all checks and yield their findings as they come.

    Args:
        cluster: the cluster file.
        grids: the folder of grid files.
    """
    yield from examine_slurm(results, cluster, grids)
    hardware = f"{plural(len(visible_gpus()), 'GPU')}, {plural(available_cores(), 'core')}"
    yield Finding("ok", "this machine", hardware)
    yield examine_disk(results)
    if not wandb_is_installed():
        yield Finding("note", "wandb", "is not installed, so that Slurm's tasks are not copied to Weights & Biases")


def examine_slurm(results: Results, cluster: Path, grids: Path) -> Iterator[Finding]:
    """Check Slurm's settings and partitions, and whether it would accept the resources of each section of the file."""
    file = ClusterFile()
    try:
        file = read_cluster(cluster)
    except ConfigError as error:
        yield Finding("problem", str(cluster), str(error))
    for name in file.grids:
        if not (grids / f"{name}.yaml").exists():
            yield Finding("note", f"{cluster.name} grids.{name}", f"{grids} has no grid of this name")
    try:
        settings = slurm.read_settings()
        partitions = slurm.read_partitions()
    except NoSlurmError as error:
        command = results.command("submit", "smoke", "--local")
        yield Finding("note", "no Slurm", f"{error}, so {cluster} is not checked; `{command}` runs a grid here")
        return
    except SlurmError as error:
        yield Finding("problem", "Slurm", str(error))
        return
    yield Finding("ok", "Slurm", f"version {settings.get('SLURM_VERSION')}, cluster {settings.get('ClusterName')}")
    yield Finding("note", "compute nodes", f"must mount {Path.cwd()} and {sys.executable} at the same paths")
    for partition in partitions:
        name = f"partition {partition.name}{'*' if partition.is_default else ''}"
        yield Finding("ok", name, partition.describe())
    for section, resources in file.sections().items():
        topic = f"{cluster.name} {section}"
        refusal = _refusal(resources, partitions)
        if refusal:
            yield Finding("problem", topic, f"{resources.describe()}: {refusal}")
        else:
            yield Finding("ok", topic, resources.describe())


def _refusal(resources: Resources, partitions: Sequence[Partition]) -> str | None:
    """Return why a job with these resources would be refused or never start."""
    limit = limits_of(resources, partitions).minutes
    if resources.time_minutes > limit:
        return f"its partition allows at most {limit} min, so that its jobs would wait for ever"
    refusal = slurm.find_refusal(resources)
    return f"Slurm says {refusal}" if refusal else None


def examine_disk(results: Results) -> Finding:
    """Check that the results folder is writable and how much disk space is free."""
    root = results.root.resolve()
    folder = next(parent for parent in (root, *root.parents) if parent.exists())
    try:
        with tempfile.TemporaryFile(dir=folder) as file:
            file.write(b"0" * 4096)
            file.flush()
            os.fsync(file.fileno())
    except OSError as error:
        return Finding("problem", "results", f"{folder}: cannot be written: {error.strerror}")
    free = shutil.disk_usage(folder).free / _GIGABYTE
    return Finding("ok" if free >= _FEW_GIGABYTES else "note", "disk", f"{free:,.1f} GB are free for {results.root}")


def render(findings: Sequence[Finding]) -> Iterator[str]:
    """Yield the lines to print."""
    marks = {"ok": "ok   ", "note": "note ", "problem": "ERROR"}
    width = min(max(len(finding.topic) for finding in findings), 40)
    for finding in findings:
        line = f"{marks[finding.level]}  {finding.topic.ljust(width)}  {finding.text}"
        yield line.replace("\n", "\n".ljust(width + 10))
