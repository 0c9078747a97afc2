"""A disk without room: errors that came of it, and the exit code that says so where nothing can be written."""

import errno
from pathlib import Path

import pytest

from jobs.slurm.endings import DISK_FULL_EXIT_CODE, read_termination
from jobs.tasks.attempt import Outcome, attempt_run, is_disk_full
from sentiment.config import RunConfig
from sentiment.errors import RunDirError
from sentiment.runs.run_dir import Results
from sentiment.training import experiment
from sentiment.training.stop import StopRequest


def _no_room(*_: object) -> None:
    try:
        raise OSError(errno.ENOSPC, "No space left on device", "metrics.jsonl")
    except OSError as error:
        raise RunDirError(f"the state could not be saved: {error}") from None


def test_attempt_that_finds_no_room_ends_with_a_code_of_its_own(
    small_run: RunConfig, results: Results, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(experiment, "run_experiment", _no_room)
    assert attempt_run(small_run, results.run_dir(small_run.run_id, "some"), StopRequest()) is Outcome.DISK_FULL
    failure = results.run_dir(small_run.run_id, "some").read_failure()
    assert failure is not None
    assert "No space left on device" in failure.reason


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EDQUOT])
def test_full_disk_and_exhausted_quota_are_told_from_other_errors(number: int) -> None:
    assert is_disk_full(OSError(number, ""))
    assert not is_disk_full(OSError(errno.EACCES, ""))
    assert not is_disk_full(RunDirError("No space left on device"))


def test_code_is_explained_in_words(tmp_path: Path) -> None:
    log = tmp_path / "log"
    log.write_text(f"srun: error: n1: task 0: Exited with exit code {DISK_FULL_EXIT_CODE}\n")
    found = read_termination(log)
    assert found is not None
    assert (found.state, "found no room on the disk" in found.reason) == ("FAILED", True)
    log.write_text("srun: error: n1: task 0: Exited with exit code 2\n")
    found = read_termination(log)
    assert found is not None
    assert "exit code 2" in found.reason
