"""An answer of Slurm is whole, or it is none."""

import os
import subprocess
from datetime import UTC, datetime

import pytest

from jobs.slurm import commands
from jobs.slurm.commands import cancel, read_queue, read_settings, requeue, run_sbatch
from sentiment.errors import SlurmError, UnansweredError
from tests.jobs.fake_slurm import FakeSlurm

NOW = datetime(2026, 3, 4, tzinfo=UTC)
AWAY = "squeue: error: slurm_load_jobs error: Connection refused"


@pytest.mark.parametrize("name", ["a|b", "a\nb", "x\n7|0|FAILED|None|N/A|N/A|one", "\u2028", "\x85", "~"])
def test_name_of_a_job_is_taken_for_nothing_else(slurm: FakeSlurm, name: str) -> None:
    slurm.add("one", "7", 0, "RUNNING")
    slurm.add(name, "8", None, "PENDING", "launch failed | requeued held")
    slurm.add("two", "9", 1, "PENDING")
    found = [(job.address, job.state, job.name) for job in read_queue()]
    assert found == [("7_0", "RUNNING", "one"), ("8", "PENDING", name), ("9_1", "PENDING", "two")]


def test_variables_of_the_shell_change_no_answer(slurm: FakeSlurm, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("SQUEUE_PARTITION", "SQUEUE_ACCOUNT", "SQUEUE_FORMAT", "SACCT_FORMAT", "SCONTROL_ALL", "SINFO_FORMAT"):
        monkeypatch.setenv(name, "other")
    for name in ("SLURM_CLUSTERS", "SLURM_TIME_FORMAT", "SLURM_JOB_ID", "SBATCH_PARTITION", "SCANCEL_STATE"):
        monkeypatch.setenv(name, "other")
    monkeypatch.setenv("SLURM_CONF", "/kept")
    for program in ("squeue", "scontrol", "sbatch", "scancel"):
        slurm.fail(program, "env | grep -E '^(SQUEUE|SACCT|SBATCH|SCONTROL|SCANCEL|SINFO|SLURM)' >> environment")
    read_queue()
    read_settings()
    run_sbatch("/dev/null")
    cancel(["7"])
    requeue("7")
    assert (slurm.folder / "environment").read_text().splitlines() == ["SLURM_CONF=/kept"] * 5
    assert os.environ["SQUEUE_PARTITION"] == "other"


def test_slurmctld_that_is_restarted_is_waited_for_which_is_told_once_and_at_once(
    slurm: FakeSlurm, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(commands, "_POLL_SECONDS", 0.0)
    monkeypatch.setattr(commands, "_RESTART_SECONDS", 60.0)
    monkeypatch.setattr(commands, "_SILENT_SECONDS", 0.0)
    slurm.add("one", "7", 0, "RUNNING")
    (slurm.folder / "away").write_text("once\ntwice\n")
    slurm.fail("squeue", f"[ -s away ] && {{ sed -i 1d away; echo '{AWAY}' >&2; exit 1; }}")
    assert [job.address for job in read_queue()] == ["7_0"]
    assert capsys.readouterr().err == "squeue: Slurm does not answer; it is asked again until 60 s have passed\n"


def test_requeue_that_slurm_kills_was_accepted(slurm: FakeSlurm) -> None:
    slurm.fail("scontrol", "kill -9 $$")
    requeue("7_0")
    for failure in (f"echo '{AWAY}' >&2; exit 1", "kill -USR2 $$"):  # a warning of the task may meet its commands
        slurm.fail("scontrol", failure)
        with pytest.raises(UnansweredError):
            requeue("7_0")


@pytest.mark.parametrize(
    "failure",
    [
        f"echo '{AWAY}' >&2; exit 1",
        "kill -9 $$",
        "alter='cat; kill -9 $$'",
        'alter=cat; answer "$@"; exit 1',
        "alter='cat >/dev/null'",
        "exec sleep 30",
        "alter='head -c -4'",
        "echo 'JOBID PARTITION NAME USER'; echo '101 main grid root'; exit 0",
        r"printf '\377\376\000\201\n'; exit 0",
    ],
)
def test_answer_that_is_late_or_not_whole_is_none(
    slurm: FakeSlurm, monkeypatch: pytest.MonkeyPatch, failure: str
) -> None:
    run = subprocess.run
    if "sleep" in failure:
        monkeypatch.setattr(subprocess, "run", lambda words, timeout, **more: run(words, timeout=0.2, **more))
    slurm.add("one", "7", 0, "RUNNING")
    slurm.fail("squeue", failure)
    with pytest.raises(SlurmError):
        read_queue()
