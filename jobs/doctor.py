"""What `sentiment doctor` finds: Slurm and what its settings mean, this machine, room on the disk."""

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
    """Everything, one finding after another, by the file of resources and the folder of grid files."""
    yield from examine_slurm(cluster, grids)
    gpus, cores = len(gpus_here()), len(os.sched_getaffinity(0))
    yield Finding("ok", "this machine", f"{gpus} GPUs, {cores} cores; --local does {max(gpus, 1)} at a time")
    yield examine_disk(results)


def examine_slurm(cluster: Path, grids: Path) -> Iterator[Finding]:
    """The site's settings and partitions, and whether it would take the jobs of each section of the cluster's file."""
    file = ClusterFile()
    try:
        file = read_cluster(cluster)
    except ConfigError as error:
        yield Finding("problem", str(cluster), str(error))
    for name in file.grids:
        if not (grids / f"{name}.yaml").exists():
            yield Finding("note", f"{cluster.name} grids.{name}", f"there is no grid of this name in {grids}")
    try:
        facts = [*slurm.explain_settings(slurm.read_settings()), *slurm.read_partitions()]
    except NoSlurmError as error:
        facts = []
        yield Finding("note", "no Slurm", f"{error}; `sentiment submit GRID --local` runs a grid on this machine")
    except SlurmError as error:
        yield Finding("problem", "Slurm", str(error))
        return
    yield from (Finding("ok", topic, text) for topic, text in facts)
    for section, resources in file.sections().items():
        topic, refusal = f"{cluster.name} {section}", find_refusal(resources) if facts else None
        told = f"{resources.describe()}: Slurm says {refusal}" if refusal else resources.describe()
        yield Finding("problem" if refusal else "ok", topic, told)
    if facts:
        yield Finding("note", "compute nodes", f"must see {Path.cwd()} and {sys.executable} under these same names")


def examine_disk(results: Results) -> Finding:
    """Whether results can be written, and how much."""
    folder = next(one for one in (results.root.resolve(), *results.root.resolve().parents) if one.exists())
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
    """Lines to print."""
    marks = {"ok": "ok  ", "note": "note", "problem": "!!  "}
    width = min(max(len(finding.topic) for finding in findings), 40)
    for finding in findings:
        first, *more = finding.text.splitlines()
        yield f"{marks[finding.level]}  {finding.topic.ljust(width)}  {first}"
        yield from (f"{' ' * (width + 8)}{line}" for line in more)
