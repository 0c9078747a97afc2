"""The lock of a grid, where hosts do not see each other's locks: one has it, and the dead have not."""

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from unittest.mock import patch

import pytest

from jobs import turns
from jobs.grid_jobs import read_jobs
from jobs.turns import Turn
from sentiment.errors import LockedError
from sentiment.runs.run_dir import Results
from tests.jobs.submitted import GRID, submitted
from tests.limits import limit

HOLD = "import sys; from pathlib import Path; from jobs.turns import Turn\n" + (
    "with Turn(Path(sys.argv[1])):\n    print('taken', flush=True); sys.stdin.read()"
)


@pytest.fixture
def elsewhere(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """As if other processes were on another host whose locks do not pass, and died after a moment without a beat."""
    monkeypatch.setattr(turns, "_DEAD_SECONDS", limit(2.0))
    monkeypatch.setattr(turns, "_POLL_SECONDS", 0.05)
    monkeypatch.setattr(turns, "_BEAT_SECONDS", 0.1)
    with patch.object(turns, "live_owner", lambda _file: None), patch.object(turns.socket, "gethostname", lambda: "b"):
        yield


def test_turns_follow_each_other_and_leave_two_files(tmp_path: Path) -> None:
    for _ in range(5):
        with Turn(tmp_path) as turn:
            turn.check()
            with pytest.raises(LockedError, match="already submits or cancels"), Turn(tmp_path):
                pass
    assert len([*tmp_path.iterdir()]) == 2


def test_turn_of_a_killed_process_of_this_host_is_over_at_once(tmp_path: Path) -> None:
    with subprocess.Popen(
        [sys.executable, "-c", HOLD, str(tmp_path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout
        assert process.stdout.readline() == "taken\n"
        with pytest.raises(LockedError, match=f"process {process.pid} on host"), Turn(tmp_path):
            pass
        process.kill()
        process.wait()
    with Turn(tmp_path):
        pass


def test_owner_whose_folder_another_command_has_moved_away_is_told(tmp_path: Path) -> None:
    folder = tmp_path / "grid"
    folder.mkdir()
    with Turn(folder) as turn:
        folder.rename(tmp_path / "removed")
        with pytest.raises(LockedError, match="has taken this grid over"):
            turn.check()


@pytest.mark.usefixtures("elsewhere")
def test_owner_on_another_host_has_the_grid_as_long_as_it_gives_signs_of_life(tmp_path: Path) -> None:
    with patch.object(turns.socket, "gethostname", lambda: "a"):
        first = Turn(tmp_path).__enter__()
    with pytest.raises(LockedError, match="on host a"), Turn(tmp_path):
        pass
    first._ended.set()  # it is suspended
    first._heart.join()
    with Turn(tmp_path) as second:
        second.check()
        with pytest.raises(LockedError, match="on host b has taken this grid over"):
            first.check()
    first.__exit__()


@pytest.mark.usefixtures("elsewhere")
def test_grid_that_another_host_trains_is_active_until_that_host_is_known_to_be_dead(results: Results) -> None:
    folder = submitted(results, "train", "local-1", ["run-0"], local=True)

    def active(is_locked: bool) -> list[str]:
        (jobs,) = read_jobs(results, [GRID], is_locked=is_locked)
        return [folder.name for folder in jobs.active]

    with patch.object(turns.socket, "gethostname", lambda: "a"):
        turn = Turn(folder.path).__enter__()
    assert active(is_locked=True) == [folder.name]
    turn._ended.set()  # it dies
    turn._heart.join()
    assert active(is_locked=False) == [folder.name]  # `status` does not wait for a sign of life
    assert active(is_locked=True) == []
    assert active(is_locked=False) == []  # what was found out once is known
    turn.__exit__()


def test_old_list_of_the_folder_gives_no_second_owner(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for _ in range(3):
        with Turn(tmp_path):
            pass
    with Turn(tmp_path):
        lists = iter([[1], [2, 3, 4], [3, 4]])  # first one from before the others' turns, as a network drive may give
        monkeypatch.setattr(turns, "_numbers", lambda _folder: next(lists))
        with pytest.raises(LockedError), Turn(tmp_path):
            pass
        assert next(lists, None) is None
    assert sorted(file.name for file in tmp_path.iterdir()) == ["turn-000003", "turn-000004"]
