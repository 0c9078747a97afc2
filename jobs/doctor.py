"""The checks of `sentiment doctor`: Slurm's settings, local GPUs and cores, disk space."""

import math
import os
import shutil
import sys
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from jobs import slurm
from jobs.local_runner import gpus_here
from jobs.slurm.resources import ClusterFile, Partition, Resources, limits_of, partitions_of, read_cluster
from sentiment.errors import ConfigError, NoSlurmError, SlurmError
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
    gpus = len(gpus_here())
    cores = len(os.sched_getaffinity(0))
    at_once = max(gpus, 1)
    runs = "1 run" if at_once == 1 else f"{at_once} runs"
    yield Finding("ok", "this machine", f"{gpus} GPUs, {cores} cores; `--local` trains {runs} at a time")
    yield examine_disk(results)


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
        settings = {}
        partitions = []
        command = results.command("submit", "GRID", "--local")
        yield Finding("note", "no Slurm", f"{error}; `{command}` runs a grid on this machine")
    except SlurmError as error:
        yield Finding("problem", "Slurm", str(error))
        return
    if settings:
        for name, text in slurm.explain_settings(settings):
            yield Finding("ok", name, text)
    for partition in partitions:
        name = f"partition {partition.name}{'*' if partition.is_default else ''}"
        yield Finding("ok", name, partition.describe())
    for section, resources in file.sections().items():
        topic = f"{cluster.name} {section}"
        refusal = _refusal(resources, partitions) if settings else None
        if refusal:
            yield Finding("problem", topic, f"{resources.describe()}: {refusal}")
        else:
            yield Finding("ok", topic, resources.describe())
        trains_runs = section == "defaults" or section.startswith("grids.")
        advice = advise_on_whole_nodes(resources, partitions) if trains_runs else None
        if advice:
            yield Finding("note", topic, advice)
    if settings:
        yield Finding("note", "compute nodes", f"must mount {Path.cwd()} and {sys.executable} at the same paths")


def _refusal(resources: Resources, partitions: Sequence[Partition]) -> str | None:
    """Return why a job with these resources would be refused or never start."""
    limit = limits_of(resources, partitions).minutes
    if limit is not None and resources.time_minutes > limit:
        return f"its partition allows at most {limit} min, so that its jobs would wait for ever"
    refusal = slurm.find_refusal(resources)
    return f"Slurm says {refusal}" if refusal else None


def advise_on_whole_nodes(resources: Resources, partitions: Sequence[Partition]) -> str | None:
    """Return settings that use more of a node, if each task gets a whole one and several such tasks would fit on it."""
    used = partitions_of(resources, partitions)
    whole = bool(resources.sbatch.get("exclusive")) or any(partition.gives_whole_nodes for partition in used)
    nodes = [nodes for partition in used for nodes in partition.nodes]
    if not whole or not nodes:
        return None
    smallest = min(nodes, key=lambda kind: (kind.cores, kind.memory_mb))
    fits = [smallest.cores // resources.cpus]
    if resources.gpus:
        fits.append(smallest.gpus // resources.gpus)
    if resources.memory_gb:
        fits.append(int(smallest.memory_mb / 1024 / resources.memory_gb))
    copies = min(fits)
    if copies < 2:
        return None
    changes = {"at_once": resources.at_once * copies, "cpus": resources.cpus * copies}
    if resources.gpus:
        changes["gpus"] = resources.gpus * copies
    if resources.memory_gb:
        changes["memory_gb"] = math.floor(resources.memory_gb * copies)
    settings = ", ".join(f"{name}: {number}" for name, number in changes.items())
    node = f"{smallest.cores} cores and {smallest.gpus} GPUs"
    return f"each task gets a whole node of {node}, but uses a part of it; `{settings}` uses more"


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
        first, *more = finding.text.splitlines()
        yield f"{marks[finding.level]}  {finding.topic.ljust(width)}  {first}"
        for line in more:
            yield f"{' ' * (width + 9)}{line}"
