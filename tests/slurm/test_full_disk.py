"""Results on a disk that is full: jobs can be looked at and cancelled all the same, and tasks say what they lacked."""

import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest

from tests.slurm.scenario import scenario
from tests.slurm.stage import Stage
from tests.slurm.trivial import write_trivial_cluster


@contextmanager
def _small_disk(options: str) -> Iterator[Path]:
    """A disk of its own, in memory."""
    with tempfile.TemporaryDirectory() as folder:
        done = subprocess.run(["mount", "-t", "tmpfs", "-o", options, "none", folder], capture_output=True, text=True)
        if done.returncode:
            pytest.skip(f"no disk can be mounted here: {done.stderr.strip()}")
        try:
            yield Path(folder)
        finally:
            subprocess.run(["umount", "--lazy", folder], check=True)


def _fill(folder: Path) -> None:
    """Leave neither bytes nor files."""
    (folder / "files").mkdir()
    with suppress(OSError), open(folder / "bytes", "wb", buffering=0) as file:
        while file.write(bytes(4096)):
            pass
    with suppress(OSError):
        for number in range(10_000):
            (folder / "files" / str(number)).touch()


@scenario
def test_full_disk_keeps_nobody_from_looking_and_cancelling(stage: Stage) -> None:
    with _small_disk("size=32m,nr_inodes=800") as disk:
        stage = Stage(stage.cluster, disk / "stage", stage.prepared)
        write_trivial_cluster(stage, sbatch={"hold": True})
        stage.write_grid(seed=[1, 2])
        stage.submit()
        _fill(disk)
        assert set(stage.states().values()) == {"PENDING"}
        said = stage.run("cancel", stage.name)
        assert "2 runs cancelled" in said
        assert "No space left on device" in said
        assert "Traceback" not in said
        stage.wait(lambda: set(stage.states().values()) == {"CANCELLED"}, "the ends")
        assert str(disk) not in stage.cluster.run("squeue", "-h", "-t", "pending,running", "-o", "%Z").stdout
        again = stage.run("rerun", "--only", "cancelled", "--cluster", "cluster.yaml", expect=1)
        for refused in (again, stage.submit(expect=1)):
            assert "No space left on device" in refused
            assert "Traceback" not in refused


@scenario
def test_task_that_finds_no_room_says_so(stage: Stage) -> None:
    with _small_disk("size=64m,nr_inodes=2000") as disk:
        stage = Stage(stage.cluster, disk / "stage", stage.prepared)
        stage.write_grid(seed=[1], training__epochs=[100_000])
        stage.submit()
        (run,) = stage.runs
        run.wait_for_step(10)
        _fill(disk)
        stage.wait(lambda: set(stage.states().values()) == {"FAILED"}, "the end", 60)
        assert "found no room on the disk, or its quota is exhausted: make room" in stage.rows()[0]["reason"]
        (disk / "bytes").unlink()
        shutil.rmtree(disk / "files")
        assert "1 of 1 runs submitted" in stage.rerun()
        run.wait_for_attempt(2)
        stage.run("cancel", stage.name)
