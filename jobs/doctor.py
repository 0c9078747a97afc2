"""What `jobs doctor` finds: Slurm and what its settings mean, room on the disk, tweets, models, W&B."""

import importlib.util
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path

from jobs.dry_run import show_search
from jobs.grids.grid import expand_grid
from jobs.grids.requirements import missing_for
from jobs.local.launcher import gpus_here
from jobs.slurm import commands as slurm
from jobs.slurm.resources import CONTAINER_PROGRAMS, ClusterFile, Resources, read_cluster
from jobs.slurm.site import Finding, check_resources, explain_partitions, explain_settings, read_partitions
from sentiment.errors import ConfigError, NoSlurmError, SentimentError, SlurmError
from sentiment.runs.run_dir import Results

_GIGABYTE = 1e9
_FEW_GIGABYTES = 10.0
_FEW_FILES = 100_000
_FILES_PER_RUN = 15


def examine(results: Results, cluster: Path, grids: Path) -> Iterator[Finding]:
    """Everything, one finding after another.

    Args:
        cluster: the file of resources.
        grids: the folder of grid files.
    """
    yield from examine_slurm(cluster, grids)
    yield from examine_machine()
    yield from examine_disk(results)
    yield from examine_grids(results, grids)
    yield examine_wandb()


def examine_slurm(cluster: Path, grids: Path) -> Iterator[Finding]:
    """The site's settings and partitions, and whether the cluster's file fits them."""
    file = None
    try:
        file = read_cluster(cluster)
    except ConfigError as error:
        yield Finding("problem", str(cluster), str(error))
    for name in file.grids if file else ():
        if not (grids / f"{name}.yaml").exists():
            yield Finding("note", f"{cluster.name} grids.{name}", f"there is no grid of this name in {grids}")
    sections = (file or ClusterFile()).sections()
    try:
        settings, partitions = slurm.read_settings(), read_partitions()
    except NoSlurmError as error:
        yield Finding("note", "no Slurm", f"{error}; `python -m jobs submit GRID --local` runs a grid on this machine")
        for section, resources in sections.items():
            yield Finding("ok", f"{cluster.name} {section}", resources.describe())
        return
    except SlurmError as error:
        yield Finding("problem", "Slurm", str(error))
        return
    yield from explain_settings(settings)
    yield from explain_partitions(partitions)
    for section, resources in sections.items():
        finding = check_resources(section, resources, partitions)
        yield Finding(finding.level, f"{cluster.name} {section}", f"{resources.describe()}: {finding.text}")
    for section, resources in sections.items():
        yield from check_container(f"{cluster.name} {section}", resources)
    yield Finding("note", "compute nodes", f"must see {Path.cwd()} and {sys.executable} under these same names")


def check_container(topic: str, resources: Resources) -> Iterator[Finding]:
    """What a section's container lacks here."""
    if resources.container is None:
        return
    image = resources.container.image
    if resources.container.is_file and not Path(image).exists():
        text = f"there is no image {image}; name a .sif file that compute nodes see too, or an address such as docker://..."
        yield Finding("problem", topic, text)
    if not any(map(shutil.which, CONTAINER_PROGRAMS)):
        program = CONTAINER_PROGRAMS[0]
        text = (
            f"{program} is not on the PATH here; where compute nodes lack it too, write setup: [module load {program}]"
        )
        yield Finding("note", topic, text)


def examine_machine() -> Iterator[Finding]:
    """What runs here."""
    gpus = gpus_here()
    shown = f"{len(gpus)} GPU{'s' if len(gpus) != 1 else ''}"
    at_once = f"{len(gpus)} runs at a time" if len(gpus) > 1 else "one run at a time"
    yield Finding("ok", "this machine", f"{shown}, {len(os.sched_getaffinity(0))} cores; --local does {at_once}")


def examine_disk(results: Results) -> Iterator[Finding]:
    """Whether results can be written, and how much."""
    folder = next(one for one in (results.root.resolve(), *results.root.resolve().parents) if one.exists())
    try:
        with tempfile.TemporaryFile(dir=folder) as file:
            file.write(b"0" * 4096)
            file.flush()
            os.fsync(file.fileno())
    except OSError as error:
        yield Finding("problem", "results", f"{folder}: cannot be written: {error.strerror}")
        return
    room = os.statvfs(folder)
    free = room.f_bavail * room.f_frsize / _GIGABYTE
    yield Finding("ok" if free >= _FEW_GIGABYTES else "note", "disk", f"{free:,.1f} GB are free for {results.root}")
    if room.f_files:  # some file systems make inodes as they are needed
        text = f"{room.f_favail:,} are free: room for about {room.f_favail // _FILES_PER_RUN:,} runs"
        yield Finding("ok" if room.f_favail >= _FEW_FILES else "note", "inodes", text)
    for line in _quota():
        yield Finding("note", "quota", line)


def examine_grids(results: Results, folder: Path) -> Iterator[Finding]:
    """Whether each grid could be submitted now, and what a search takes."""
    for path in sorted(folder.glob("*.yaml")):
        topic = f"grid {path.stem}"
        try:
            grid = expand_grid(path, results)
            search = list(show_search(results, grid))
        except SentimentError as error:
            yield Finding("problem" if isinstance(error, ConfigError) else "note", topic, str(error))
            continue
        missing = missing_for(grid.configs, results)
        text = f"{len(grid.configs)} runs; " + (
            "\n".join(["missing:", *missing]) if missing else "all that they need is here"
        )
        yield Finding("note" if missing else "ok", topic, "\n".join([text, *search]))


def examine_wandb() -> Finding:
    """Whether metrics can be copied to Weights & Biases; its own files with keys are none of our business."""
    if importlib.util.find_spec("wandb") is None:
        return Finding("note", "W&B", "the package wandb is not installed; metrics.jsonl and the report do without")
    if os.environ.get("WANDB_API_KEY"):
        return Finding("ok", "W&B", "is installed, and WANDB_API_KEY is set")
    return Finding("note", "W&B", "is installed; logs are kept here until they are synced, after `wandb login`")


def render(findings: Sequence[Finding]) -> Iterator[str]:
    """Lines to print."""
    marks = {"ok": "ok  ", "note": "note", "problem": "!!  "}
    width = min(max(len(finding.topic) for finding in findings), 40)
    for finding in findings:
        first, *more = finding.text.splitlines()
        yield f"{marks[finding.level]}  {finding.topic.ljust(width)}  {first}"
        yield from (f"{' ' * (width + 8)}{line}" for line in more)


def _quota() -> list[str]:
    """What the system's command says, where there is one and it says anything."""
    if shutil.which("quota") is None:
        return []
    try:
        done = subprocess.run(["quota", "--no-wrap"], capture_output=True, text=True, timeout=20)
    except (OSError, subprocess.TimeoutExpired):
        return []
    return [line.strip() for line in done.stdout.splitlines() if line.strip()]
