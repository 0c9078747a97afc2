"""The record of the rows that W&B was sent survives crashes."""

from pathlib import Path

import pytest

from sentiment.errors import RunDirError
from sentiment.runs.records import WandbRun
from sentiment.runs.run_dir import RunDir
from sentiment.tracking.client import SentRows

ROWS = [{"step": step, "loss": 1 / step} for step in (1, 2, 3)]
OTHER = {"step": 2, "loss": 0.4999}


@pytest.fixture
def run_dir(tmp_path: Path) -> RunDir:
    """A run of which nothing was sent yet."""
    (tmp_path / "run" / "wandb").mkdir(parents=True)
    return RunDir(tmp_path / "run")


def sent(run_dir: RunDir, name: str = "one") -> SentRows:
    """The record as the next process reads it."""
    return SentRows(run_dir, WandbRun(id=name, project=None, entity=None))


def test_rows_differ_if_others_were_sent_in_their_place_or_after_the_last(run_dir: RunDir) -> None:
    sent(run_dir).check(ROWS, completed=True)
    sent(run_dir).note(0, ROWS[:2])
    sent(run_dir).check(ROWS, completed=True)
    sent(run_dir).check(ROWS[:1], completed=False)
    sent(run_dir).check([*ROWS[:2], OTHER], completed=False)
    sent(run_dir, "another").check([ROWS[0], OTHER], completed=False)
    with pytest.raises(RunDirError, match="from row 1 on, and W&B takes none back"):
        sent(run_dir).check([ROWS[0], OTHER], completed=False)
    with pytest.raises(RunDirError, match="from row 1 on"):
        sent(run_dir).check(ROWS[:1], completed=True)


def test_row_that_never_arrived_is_sent_again_and_the_newest_counts(run_dir: RunDir) -> None:
    sent(run_dir).note(1, [OTHER])
    sent(run_dir).note(1, ROWS[1:])
    sent(run_dir).check(ROWS, completed=True)


def test_line_that_a_crash_cut_off_spoils_no_other(run_dir: RunDir) -> None:
    sent(run_dir).note(0, ROWS[:2])
    (file,) = run_dir.wandb_dir.iterdir()
    file.write_bytes(file.read_bytes()[:-4])
    sent(run_dir).note(1, [OTHER])
    with pytest.raises(RunDirError, match="from row 1 on"):
        sent(run_dir).check(ROWS, completed=False)
