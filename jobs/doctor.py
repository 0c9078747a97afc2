"""The checks of `sentiment doctor`: Slurm's settings, local GPUs and cores, disk space."""

import os
import shutil
import sys
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from jobs.here import gpus_here
from jobs.slurm import commands as slurm
from jobs.slurm.resources import ClusterFile, read_cluster
from jobs.slurm.sbatch import find_refusal
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
    yield from examine_slurm(cluster, grids)
    gpus = len(gpus_here())
    cores = len(os.sched_getaffinity(0))
    at_once = max(gpus, 1)
    runs = "1 run" if at_once == 1 else f"{at_once} runs"
    yield Finding("ok", "this machine", f"{gpus} GPUs, {cores} cores; `--local` trains {runs} at a time")
    yield examine_disk(results)


def examine_slurm(cluster: Path, grids: Path) -> Iterator[Finding]:
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
        settings_and_partitions = [*slurm.explain_settings(slurm.read_settings()), *slurm.read_partitions()]
    except NoSlurmError as error:
        settings_and_partitions = []
        yield Finding("note", "no Slurm", f"{error}; `sentiment submit GRID --local` runs a grid on this machine")
    except SlurmError as error:
        yield Finding("problem", "Slurm", str(error))
        return
    for topic, text in settings_and_partitions:
        yield Finding("ok", topic, text)
    for section, resources in file.sections().items():
        topic = f"{cluster.name} {section}"
        refusal = find_refusal(resources) if settings_and_partitions else None
        if refusal:
            yield Finding("problem", topic, f"{resources.describe()}: Slurm says {refusal}")
        else:
            yield Finding("ok", topic, resources.describe())
    if settings_and_partitions:
        yield Finding("note", "compute nodes", f"must mount {Path.cwd()} and {sys.executable} at the same paths")


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
