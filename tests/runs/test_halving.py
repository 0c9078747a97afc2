"""HalvingSearch of a search: their sizes, who goes on, and that what was decided stays decided."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from sentiment.errors import RunDirError, UnrankedError
from sentiment.runs.halving import HalvingSearch, TrialPlace, read_search
from sentiment.runs.locks import Lock
from sentiment.runs.records import GridPlan, Halving, StartCount
from sentiment.runs.run_dir import Results, RunDir
from sentiment.runs.state import judge, read_progress
from tests.invented import rungs_of
from tests.jobs.submitted import a_failure, a_plan, write_epochs


def _plan(trials: int, epochs: Sequence[int] = (1, 3), eta: float = 3, **changes: Any) -> GridPlan:
    halving = Halving(epochs=list(epochs), eta=eta)
    by_accuracy = {"method": "random", "metric": "validation/accuracy", "halving": halving}
    return a_plan((f"run-{index}" for index in range(trials)), **(by_accuracy | changes))


@pytest.fixture
def results(tmp_path: Path) -> Results:
    return Results(tmp_path / "results")


def _log(results: Results, run: int, *scores: Any) -> None:
    write_epochs(results.run_dir(f"run-{run}", "g"), *scores)


def _order(rungs: HalvingSearch) -> list[int]:
    return [int(trial.run_id.removeprefix("run-")) for trial in rungs.rankings[-1].trials]


def test_each_rung_has_one_of_eta_trials_rounded_up(results: Results) -> None:
    cases = [(27, 3.0, [27, 9, 3]), (60, 3, [60, 20, 7]), (5, 2.5, [5, 2, 1]), (2, 9, [2, 1, 1]), (1, 3, [1, 1, 1])]
    for trials, eta, sizes in cases:
        rungs = rungs_of(results, _plan(trials, eta=eta))
        assert [rungs.size(rung) for rung in range(3)] == sizes
        assert [rungs.epochs(rung) for rung in range(3)] == [1, 3, None]


def _fail(results: Results, run: int, error: str = "DivergedError", retry: bool = False) -> RunDir:
    run_dir = results.run_dir(f"run-{run}", "g")
    run_dir.path.mkdir(parents=True, exist_ok=True)
    run_dir.write_record(a_failure(None, error, retry))
    return run_dir


def _unfinished(rungs: HalvingSearch) -> list[str]:
    run_ids = rungs.trials(rungs.current)
    return [run_id for run_id in run_ids if not rungs.measure(rungs.results.run_dir(run_id, "g"))]


def test_best_go_on_and_those_that_failed_come_last(results: Results) -> None:
    plan = _plan(6)
    for run, score in enumerate([0.6, 0.8, 0.7, 0.7]):
        _log(results, run, [score])
    _fail(results, 4)
    _fail(results, 5, "DataError")
    rungs = rungs_of(results, plan).rank_current()
    (ranking,) = rungs.rankings
    assert _order(rungs) == [1, 2, 3, 0, 4, 5]  # of equals the first in the plan
    assert [trial.value for trial in ranking.trials] == [0.8, 0.7, 0.7, 0.6, None, None]
    assert [trial.why for trial in ranking.trials[-2:]] == [
        "DivergedError: the loss is nan",
        "DataError: the loss is nan",
    ]
    assert "; run-4 has no value (DivergedError: the loss is nan); run-5 has no value" in ranking.describe()
    assert rungs.trials(1) == ["run-1", "run-2"]
    assert rungs.trials_by_id["run-2"] == TrialPlace(1, 3, None, 2)
    assert rungs.trials_by_id["run-3"] == TrialPlace(0, 1, 3, 6)


def test_loss_is_better_if_it_is_lower_and_no_more_go_on_than_have_a_value(results: Results) -> None:
    for run, score in enumerate([0.6, 0.5, 0.7]):
        _log(results, run, [score], "loss")
    plan = _plan(3, metric="validation/loss", goal="minimize")
    assert _order(rungs_of(results, plan).rank_current()) == [1, 0, 2]
    other = Results(results.root / "other")
    _log(other, 3, [0.6])
    for run in (0, 1, 2, 4, 5):
        _fail(other, run)
    rungs = rungs_of(other, _plan(6)).rank_current()
    assert rungs.trials(1) == ["run-3"]
    assert rungs.size(2) == 1


def test_epochs_after_the_rung_do_not_count(results: Results) -> None:
    """A trial that was continued by its name, or copied from another grid, has more of them; a loss between equals."""
    for run, scores in enumerate([[0.8, 0.1], [0.7, 0.99], [0.7, 0.7]]):
        _log(results, run, scores, "accuracy", [0.5 - run / 10, run])
    results.run_dir("run-1", "g").result_file.write_text("{}")
    rungs = rungs_of(results, _plan(3, epochs=[1])).rank_current()
    assert _order(rungs) == [0, 2, 1]
    assert [(trial.value, trial.epoch) for trial in rungs.rankings[-1].trials] == [(0.8, 1), (0.7, 1), (0.7, 1)]


def test_trial_that_has_ended_by_itself_counts_by_its_last_epoch(results: Results) -> None:
    plan = _plan(3, epochs=[3])
    _log(results, 0, [0.7, 0.8])
    results.run_dir("run-0", "g").result_file.write_text("{}")
    _log(results, 1, [0.6, 0.7, 0.75])
    _log(results, 2, [0.9, 0.9])
    _fail(results, 2)
    rungs = rungs_of(results, plan).rank_current()
    assert _order(rungs) == [0, 1, 2]
    assert rungs.rankings[0].trials[2].value is None


def test_ranking_is_written_once_and_rests_on_what_there_was(results: Results) -> None:
    plan = _plan(3)
    _log(results, 0, [0.6])
    _log(results, 1, [0.7])
    _fail(results, 2)
    undecided = rungs_of(results, plan)
    first = undecided.rank_current()
    _log(results, 2, [0.9])
    assert undecided.rank_current().rankings == first.rankings
    assert rungs_of(results, plan).rankings == first.rankings
    assert not [path for path in results.ranking_file("g", 0).parent.iterdir() if path.suffix == ".tmp"]


def test_rung_is_not_ranked_while_a_trial_of_it_is_trained(results: Results) -> None:
    plan = _plan(2)
    _log(results, 0, [0.6])
    _fail(results, 1)  # before it was begun again
    with (
        Lock(results.run_dir("run-1", "g").lock_file, "trains this run"),
        pytest.raises(UnrankedError, match="a process trains it"),
    ):
        rungs_of(results, plan).rank_current()


def test_run_that_ends_while_it_is_read_counts_as_before(results: Results, monkeypatch: pytest.MonkeyPatch) -> None:
    """Neither as lost nor, in a ranking, by its epochs without the last."""
    run_dir, read = results.run_dir("run-0", "g"), RunDir.read_epochs
    held: list[Lock] = []

    def begin() -> None:
        held.append(Lock(run_dir.lock_file, "trains this run").__enter__())

    def ends(one: RunDir) -> Any:
        found = read(one)
        run_dir.result_file.write_text("{}")
        held.pop().__exit__()
        return found

    monkeypatch.setattr(RunDir, "read_epochs", ends)
    _log(results, 0, [0.6])
    begin()
    assert judge(read_progress(run_dir)).state == "RUNNING"
    run_dir.result_file.unlink()
    begin()
    assert _unfinished(rungs_of(results, _plan(1, epochs=[3]))) == ["run-0"]


def test_trial_has_ended_when_it_has_its_value_or_has_failed_by_itself(results: Results) -> None:
    """Killed before its first epoch, in the middle, with a word of its task's, and never begun."""
    plan = _plan(7)
    _log(results, 0, [0.6])
    _log(results, 1, [])
    _fail(results, 2)
    results.run_dir("run-1", "g").write_record(StartCount(step=0, number=1, job="7_0"))
    _fail(results, 3, "KilledError", retry=True)
    results.run_dir("run-5", "g").path.mkdir()
    results.run_dir("run-5", "g").failure_file.write_text("{")
    results.run_dir("run-6", "g").path.mkdir()
    results.run_dir("run-6", "g").result_file.write_text("{}")
    rungs = rungs_of(results, plan)
    assert _unfinished(rungs) == ["run-1", "run-3", "run-4", "run-5"]
    with pytest.raises(UnrankedError, match=r"rung 0 cannot be ranked without .*run-1: it is unfinished"):
        rungs.rank_current()
    for run in (1, 3, 4, 5):
        _log(results, run, [0.9])
    assert _order(rungs.rank_current()) == [1, 3, 4, 5, 0, 2, 6]


@pytest.mark.parametrize(
    ("losses", "order"), [([0.7, 0.6, 0.5, 0.55, 0.9, 0.5], [4, 2, 5, 3, 1, 0]), ([0.5] * 6, [4, 1, 2, 3, 5, 0])]
)
def test_equal_trials_are_ordered_by_loss_then_plan(results: Results, losses: list[float], order: list[int]) -> None:
    for run, (score, loss) in enumerate(zip([0.6, 0.7, 0.7, 0.7, 0.8, 0.7], losses, strict=True)):
        _log(results, run, [0.1, score], "accuracy", [1 - loss, loss])  # a loss of another epoch decides nothing
    assert _order(rungs_of(results, _plan(6, epochs=[2])).rank_current()) == order


def test_nothing_is_decided_without_values_or_anew(results: Results) -> None:
    for run in range(2):
        _fail(results, run)
    with pytest.raises(UnrankedError, match="none of its 2 trials reached the end of epoch 1"):
        rungs_of(results, _plan(2)).rank_current()
    assert not results.ranking_file("g", 0).exists()
    results.ranking_file("g", 0).write_text("{")
    with pytest.raises(RunDirError, match=r"rung-0.json: has changed since it was written"):
        read_search(results, _plan(2))
