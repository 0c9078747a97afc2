"""Tasks in a container; in place of Apptainer a script that notes what it is told, and starts the command outside."""

import os
import signal
import subprocess
import sys
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path

import pytest

from jobs.doctor import check_container
from jobs.slurm.resources import Resources, read_cluster
from jobs.slurm.submissions import SubmissionDir
from sentiment.runs.run_dir import Results
from tests.jobs.grid_files import write_yaml
from tests.jobs.submitted import write_submission
from tests.small_runs import small_config
from tests.training.processes import wait_until

Submit = Callable[..., SubmissionDir]


@pytest.fixture
def submit(results: Results, tweets_file: Path) -> Submit:
    """A submission of one small run, in an image whose Python is the present one."""

    def write(**resources: object) -> SubmissionDir:
        asked = {"container": {"image": "torch.sif", "python": sys.executable, "options": ["--bind", "/scratch"]}}
        config = small_config(tweets_file, training__epochs=400, training__early_stopping__patience=400)
        return write_submission(results, [[config]], **asked | resources)

    return write


@pytest.fixture
def stub(tmp_path: Path) -> Callable[[str], Path]:
    """Writes an `apptainer` that ends with the given line; the folder that it is in."""

    def write(end: str) -> Path:
        folder = tmp_path / "bin"
        folder.mkdir()
        program = folder / "apptainer"
        program.write_text(
            f'#!/bin/sh\nprintf "%s\\n" "$@" > {tmp_path}/told\n'
            f'while [ "$1" != torch.sif ]; do shift; done\nshift\n{end}\n'
        )
        program.chmod(0o755)
        return folder

    return write


def _path(folder: Path) -> str:
    """A search path on which this folder comes first."""
    return f"{folder}:{os.environ['PATH']}"


def _start(folder: SubmissionDir, path: str) -> "subprocess.Popen[str]":
    command = [sys.executable, "-u", "-m", "jobs.tasks.slurm_task", str(folder.path)]
    environ = os.environ | {"SLURM_ARRAY_TASK_ID": "0", "PATH": path}
    return subprocess.Popen(command, env=environ, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)


@pytest.mark.slow
@pytest.mark.parametrize("resources", [{"gpus": 1}, {"gpus": 0}, {"gres": "shard:1"}], ids=str)
def test_task_trains_inside_and_saves_when_it_is_told_to_stop(
    submit: Submit, stub: Callable[[str], Path], results: Results, tmp_path: Path, resources: dict[str, object]
) -> None:
    folder = submit(**resources)
    process = _start(folder, _path(stub('exec "$@"')))
    (run_id,) = folder.submission.tasks[0]
    run_dir = results.run_dir(run_id, "g")
    assert wait_until(lambda: any(run_dir.checkpoints.glob("*.ckpt")), process)
    process.send_signal(signal.SIGTERM)
    output, _ = process.communicate(timeout=60)
    assert process.returncode == 3, output
    record = run_dir.read_record()
    assert record is not None
    assert (record.attempts[-1].detail, record.attempts[-1].pid != process.pid) == ("SIGTERM", True)
    told = (tmp_path / "told").read_text().splitlines()
    gpu = [] if resources == {"gpus": 0} else ["--nv"]
    assert told[: 1 + len(gpu)] == ["exec", *gpu]
    assert ("--bind", str(results.root)) in pairwise(told)
    words = folder.task_command(folder.submission)
    assert told[-len(words) - 3 :] == ["/scratch", "torch.sif", *words, "--inside"]


@pytest.mark.parametrize(
    ("end", "reason"),
    [
        ("kill -9 $$", "ContainerError: its process in the container was killed by signal 9; memory may have been"),
        ("exit 137", "ContainerError: its process in the container was killed by signal 9; memory may have been short"),
        ("exit 255", "ContainerError: the container could not be run: it ended with 255; see the task's log"),
        (None, "ContainerError: neither apptainer nor singularity is on this node's PATH; `setup: [module load app"),
    ],
    ids=str,
)
def test_container_that_fails_is_the_failure_of_its_runs(
    submit: Submit, stub: Callable[[str], Path], results: Results, tmp_path: Path, end: str | None, reason: str
) -> None:
    folder = submit()
    process = _start(folder, _path(stub(end)) if end else str(tmp_path))
    output, _ = process.communicate(timeout=60)
    assert process.returncode == 1, output
    failure = results.run_dir(folder.submission.tasks[0][0], "g").read_failure()
    assert failure is not None
    assert f"{failure.error}: {failure.reason}".startswith(reason)


def test_image_may_be_named_by_itself_and_the_report_is_written_outside(tmp_path: Path) -> None:
    file = read_cluster(write_yaml(tmp_path / "cluster.yaml", {"defaults": {"container": "torch.sif"}}))
    container = file.resources("rnn").container
    assert container is not None
    assert (container.image, container.python, container.options) == ("torch.sif", "python3", [])
    assert file.resources("rnn", "cache").container == container
    assert file.resources("rnn", "report").container is None
    assert "container torch.sif" in file.resources("rnn").describe()


def test_doctor_tells_what_is_missing_of_a_container(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    image = tmp_path / "torch.sif"
    problem, note = check_container("defaults", Resources.model_validate({"container": str(image)}))
    assert (problem.level, problem.text.startswith(f"there is no image {image}")) == ("problem", True)
    assert (note.level, note.text.startswith("apptainer is not on the PATH here")) == ("note", True)
    image.touch()
    (tmp_path / "apptainer").write_text("#!/bin/sh\n")
    (tmp_path / "apptainer").chmod(0o755)
    assert list(check_container("defaults", Resources.model_validate({"container": str(image)}))) == []
    assert list(check_container("defaults", Resources.model_validate({"container": "docker://x/torch"}))) == []
    assert list(check_container("defaults", Resources())) == []
