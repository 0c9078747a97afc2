"""Slurm is asked again while slurmctld is being restarted, and its error is shown when it stays away."""

from pathlib import Path

import pytest

from jobs.slurm import commands as slurm
from jobs.slurm.commands import read_queue
from sentiment.errors import NoSlurmError, SlurmError

AWAY = "squeue: error: slurm_load_jobs error: Connection refused"


@pytest.fixture
def squeue(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Stands for squeue where slurmctld is away for as many answers as its file `away` has lines."""
    program = tmp_path / "squeue"
    program.write_text(
        "#!/bin/sh\n"
        f"cd '{tmp_path}'; [ -s away ] || {{ echo '7|0|RUNNING|None|0:10|N/A|N/A|n1|grid a'; exit 0; }}\n"
        f"sed -i 1d away; echo '{AWAY}' >&2; exit 1\n"
    )
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    monkeypatch.setattr(slurm, "_POLL_SECONDS", 0.0)
    return tmp_path


def test_slurmctld_that_is_restarted_is_waited_for(squeue: Path) -> None:
    (squeue / "away").write_text("once\ntwice\n")
    (job,) = read_queue()
    assert (job.job_id, job.task, job.state, job.name) == ("7", 0, "RUNNING", "grid a")


def test_slurmctld_that_stays_away_is_an_error(squeue: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (squeue / "away").write_text("again and again\n" * 1000)
    monkeypatch.setattr(slurm, "_RESTART_SECONDS", 0.05)
    with pytest.raises(SlurmError, match=r"^squeue: slurm_load_jobs error: Connection refused$"):
        read_queue()


def test_no_slurm_at_all_is_told_at_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(NoSlurmError, match="squeue: not found"):
        read_queue()
