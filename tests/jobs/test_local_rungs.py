"""Searches in rungs on this machine: the best trials go on, and whatever happens the same ones do."""

import os
import signal
from pathlib import Path
from typing import Any

import pytest

from sentiment.runs.run_dir import Results, RunDir
from sentiment.runs.state import read_rungs
from tests.jobs.test_local import Here, grid_here, trainers
from tests.small_runs import Experiment, digest_of
from tests.training.processes import wait_until

pytestmark = pytest.mark.slow

# Four trials: rung 0 to epoch 1, and two of them to their end, which is epoch 3.
PARAMETERS: dict[str, Any] = {
    "training.learning_rate": [0.0001, 0.002, 0.02, 0.04],
    "training.epochs": 3,
    "training.early_stopping.patience": 9,
}
HALVING = {"early_terminate": {"type": "hyperband", "min_iter": 1, "eta": 3}}


def _decided(grid: Here) -> list[tuple[list[str], list[float | None], int]]:
    """The order of the trials, their values, and how many went on."""
    rungs = read_rungs(grid.results, grid.plan)
    assert rungs is not None
    return [
        ([trial.run_id for trial in one.trials], [trial.value for trial in one.trials], one.promoted)
        for one in rungs.rankings
    ]


def _epochs(grid: Here) -> list[int]:
    """How many epochs were trained of each run."""
    return [sum(row["kind"] == "epoch" for row in one.read_metrics()) for one in grid.run_dirs()]


@pytest.fixture(scope="module")
def calm(tmp_path_factory: pytest.TempPathFactory, tweets_file: Path) -> Here:
    """A search that nothing happened to."""
    grid = grid_here(tmp_path_factory.mktemp("calm"), tweets_file, PARAMETERS, **HALVING)
    code, lines = grid.run("--at-once", "2")
    assert code == 0, lines
    assert lines[0] == "4 of 4 runs to do"
    assert sum("PAUSED after epoch 1 in " in line and "validation/accuracy 0." in line for line in lines) == 4
    assert "rung 0: of 4 trials 2 go on" in "\n".join(lines)
    assert sum("COMPLETED" in line for line in lines) == 2
    return grid


@pytest.fixture
def search(tmp_path: Path, tweets_file: Path) -> Here:
    return grid_here(tmp_path, tweets_file, PARAMETERS, **HALVING)


def test_best_go_on_and_the_others_are_pruned_and_can_be_continued_by_name(
    calm: Here, shared_results: Results, tmp_path: Path
) -> None:
    def whole(run_dir: RunDir) -> Any:
        return Experiment(run_dir.read_config(), shared_results, RunDir(tmp_path / run_dir.path.name)).complete()

    assert sorted(_epochs(calm)) == [1, 1, 3, 3]
    ((order, values, promoted),) = decided = _decided(calm)
    assert (promoted, values) == (2, sorted(values, key=lambda value: -(value or 0)))
    winner, loser = (calm.results.run_dir(order[place], "some") for place in (0, -1))
    assert digest_of(winner) == whole(winner)
    code, states = calm.states()
    assert (code, sorted(states)) == (0, ["COMPLETED"] * 2 + ["PRUNED"] * 2)
    assert calm.run() == (0, ["nothing to do"])
    assert calm.jobs("rerun", "--local") == (0, ["nothing to do"])

    code, lines = calm.jobs("rerun", loser.path.name, "--local")
    assert (code, lines[0]) == (0, "1 of 4 runs to do")
    assert digest_of(loser) == whole(loser)
    assert sorted(calm.states()[1]) == ["COMPLETED"] * 3 + ["PRUNED"]
    assert _decided(calm) == decided


def _assert_decided_the_same(calm: Here, search: Here) -> None:
    assert _decided(search) == _decided(calm)
    chosen = {*_decided(calm)[0][0][:2]}
    for run_dir, calm_dir in zip(search.run_dirs(), calm.run_dirs(), strict=True):
        if run_dir.path.name in chosen:
            assert digest_of(run_dir) == digest_of(calm_dir)


def test_search_of_which_a_process_is_killed_in_each_rung_decides_the_same(calm: Here, search: Here) -> None:
    process = search.start("--at-once", "1")
    for begun in (lambda: search.trains(0), lambda: bool(_decided(search))):
        assert wait_until(lambda begun=begun: begun() and len(trainers(process)) == 1, process)  # type: ignore[misc]
        os.kill(trainers(process)[0], signal.SIGKILL)
    output, _ = process.communicate(timeout=180)
    assert process.returncode == 0, output
    assert output.count("FAILED: KilledError: its process was killed") == 2
    _assert_decided_the_same(calm, search)


def test_search_that_is_stopped_decides_the_same(calm: Here, search: Here) -> None:
    process = search.start()
    assert wait_until(lambda: search.trains(1), process)
    process.send_signal(signal.SIGINT)
    output, _ = process.communicate(timeout=120)
    assert process.returncode == 3, output
    assert set(search.states()[1]) <= {"PAUSED", "CANCELLED", "PLANNED"}
    assert _decided(search) == []
    assert search.run("--at-once", "2")[0] == 0
    _assert_decided_the_same(calm, search)


def test_trial_that_fails_ranks_last_and_comes_too_late_when_it_is_rerun(tmp_path: Path, tweets_file: Path) -> None:
    vectors = tmp_path / "vectors.txt"
    vectors.write_text("no vectors\n")
    changes = {"training.learning_rate": 0.02, "seed": [1, 2], "embedding.pretrained": [None, str(vectors)]}
    search = grid_here(tmp_path, tweets_file, PARAMETERS | changes, **HALVING)
    code, lines = search.run("--at-once", "2")
    assert code == 1, lines
    ((_, values, promoted),) = decided = _decided(search)
    assert (values[2:], promoted) == ([None, None], 2)
    assert sorted(search.states()[1]) == ["COMPLETED", "COMPLETED", "FAILED", "FAILED"]
    code, lines = search.run()
    assert lines[0].startswith("2 of 4 runs missed the ranking of their rung")
    assert lines[1:] == ["nothing to do"]
    vectors.write_text("1 8\nlovely" + " 0.1" * 8 + "\n")
    code, lines = search.jobs("rerun", "--local", "--at-once", "2")
    assert (code, lines[0]) == (0, "2 of 4 runs to do")
    assert sorted(search.states()[1]) == ["COMPLETED", "COMPLETED", "PRUNED", "PRUNED"]
    assert _decided(search) == decided


def test_search_of_which_nothing_can_be_ranked_says_so(tmp_path: Path, tweets_file: Path) -> None:
    parameters = PARAMETERS | {"training.learning_rate": [10**38, 2 * 10**38]}
    search = grid_here(tmp_path, tweets_file, parameters, **HALVING)
    code, lines = search.run()
    assert code == 1
    assert any("rung 0 cannot be ranked: none of its 2 trials got to the end of epoch 1" in line for line in lines)
    assert _decided(search) == []


def test_cancelled_search_ranks_nothing(search: Here) -> None:
    process = search.start()
    assert wait_until(lambda: search.trains(0), process)
    assert search.jobs("cancel", "some")[0] == 0
    process.communicate(timeout=120)
    assert process.returncode == 3
    assert _decided(search) == []
    assert set(search.states()[1]) == {"CANCELLED"}
