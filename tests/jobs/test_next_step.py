"""What comes next when nothing of a grid is queued: decided once, wherever a process dies."""

import os
import signal
from dataclasses import replace
from itertools import chain, repeat
from pathlib import Path
from typing import Any
from unittest.mock import patch

import pytest

from jobs.grids.grid import ExpandedGrid, GridRequest, expand_grid
from jobs.grids.sweep_file import read_grid_file
from jobs.launch.advance import Course, _report, _start, go_on, rerun_grid
from jobs.launch.cancelling import cancel_grid
from jobs.launch.local_runner import LocalRunner
from jobs.launch.locked_grid import LaunchOptions
from jobs.requested import find_request, waiting_grids
from jobs.slurm.resources import ClusterFile
from jobs.study import plan_study, read_study
from jobs.tasks.attempt import record_failure
from sentiment.errors import EXIT_UNFINISHED, SentimentError, StoppedError
from sentiment.runs.records import Halving
from sentiment.runs.run_dir import Results
from tests.commands import invoke, refused, succeed
from tests.invented import rungs_of
from tests.jobs.grid_files import GRIDS, halving, load_grid, refusal, starts_from, write_grid, write_yaml
from tests.jobs.submitted import LAUNCH_FAILED, a_plan, attempt_of, write_attempts, write_epochs
from tests.jobs.world import World

HALVING = halving(min_iter=1, eta=2)
TRIALS: dict[str, Any] = {"training.learning_rate": [0.01, 0.02, 0.03, 0.04], "training.epochs": 5}
"""Four trials: two of them to epoch 2, one of these to epoch 4, and that to epoch 5."""


@pytest.fixture
def grid(base: Path, results: Results) -> ExpandedGrid:
    return load_grid(write_grid(base, TRIALS, **HALVING), results)


def test_trials_and_rungs_are_fixed_once_a_ranking_is_written(base: Path, results: Results, grid: ExpandedGrid) -> None:
    results.write_grid(grid.plan)
    more = TRIALS | {"training.learning_rate": [0.01, 0.02, 0.03, 0.04, 0.05]}
    assert load_grid(write_grid(base, more, **HALVING), results).plan.halving
    for run, score in zip(grid.plan.runs, (0.6, 0.7, None, None), strict=True):
        run_dir = results.run_dir(run.run_id, grid.plan.name)
        if score is None:
            record_failure(run_dir, SentimentError("the loss is nan"))
        else:
            write_attempts(run_dir, attempt_of("7_0", reason="paused", last_step=9))
            write_epochs(run_dir, [score])
    rungs_of(results, grid.plan).rank_current()
    load_grid(write_grid(base, TRIALS, **HALVING), results)
    told = refusal(load_grid, write_grid(base, more, **HALVING), results)
    assert "the number of trials (4, now 5) changed" in told
    assert "early_terminate or " in refusal(load_grid, write_grid(base, TRIALS), results)


def _search(grid: ExpandedGrid, world: World, **options: Any) -> list[str]:
    """The states of the trials of a search of which one diverges, when it has ended."""
    world.diverging = {3}
    world.submit(Path(grid.plan.base).with_name("some.yaml"), **options)
    world.settle()
    return world.states("some")


@pytest.mark.parametrize("local", [False, True], ids=["final job", "this machine"])
def test_each_rung_is_ranked_and_the_next_one_trained_until_the_report(
    world: World, grid: ExpandedGrid, local: bool
) -> None:
    states = _search(grid, world, local=local)
    first, second, third, fourth = (run.run_id for run in grid.plan.runs)
    rankings = [[run_id for run_id, _ in ranking] for ranking in world.rankings("some")]
    assert rankings == [[fourth, second, first, third], [fourth, second], [fourth]]
    assert states == ["PRUNED", "PRUNED", "FAILED", "COMPLETED"]
    assert world.reports == 1
    assert ("running 4 of 4 runs" if local else "4 of 4 runs submitted") in world.lines


@pytest.mark.parametrize("state", ["CANCELLED", "STOPPED"])
def test_search_that_a_person_ends_is_not_ranked_though_it_has_scores(
    world: World, grid: ExpandedGrid, state: str
) -> None:
    results = world.results
    ending = {"reason": "signal", "detail": "SIGTERM", "end": "2026-03-04T11:30:00+00:00"}
    results.write_grid(grid.plan)
    if state == "CANCELLED":
        world.submit(Path(grid.plan.base).with_name("some.yaml"))
        cancel_grid(results, grid.plan, set(), print)
        ending = {"reason": "paused"}  # they were at the end of their rung when the signal came
    for run in grid.plan.runs:
        write_attempts(results.run_dir(run.run_id, "some"), attempt_of("100_0", last_step=9, **ending))
        write_epochs(results.run_dir(run.run_id, "some"), [0.5])
    step = go_on(Course(results, world.options), "some")
    assert (step.answer, step.exit_code, world.states("some")) == ("stopped", EXIT_UNFINISHED, [state] * 4)
    assert not results.ranking_file("some", 0).exists()


@pytest.mark.parametrize("is_recorded", [True, False], ids=["in its attempt", "before its attempt"])
def test_pruned_trial_that_is_continued_and_killed_is_trained_to_its_end(
    world: World, grid: ExpandedGrid, is_recorded: bool
) -> None:
    _search(grid, world)
    pruned = grid.plan.runs[0].run_id
    world.fatal = {1}
    world.records_fatal = is_recorded
    with patch.object(world.order, "choice", lambda options: options[0]):  # its task fails for good
        rerun_grid(world.results, grid.plan, {pruned}, world.options)
        assert world.states("some")[0] == "PENDING"
        world.settle()
    assert world.fatal == set()
    assert world.states("some") == ["COMPLETED", "PRUNED", "FAILED", "COMPLETED"]


def test_damaged_plan_keeps_the_final_job_from_no_report(base: Path, world: World) -> None:
    world.submit(write_grid(base, {"seed": [1]}))
    world.results.grid_file("some").write_text("{")
    world.settle()
    assert world.reports == 1


def _requests(base: Path) -> list[GridRequest]:
    """`second` takes over the runs of `first` that overfit, `third` the best of `second`, `fourth` that of `first`."""
    rates = {"training.learning_rate": [0.01, 0.02, 0.03], "training.epochs": 2}
    files = [
        write_grid(base, rates, name="first"),
        write_grid(base, {"model.dropout": [0.2, 0.5]}, name="second", **starts_from("first", "overfitting")),
        write_grid(base, {"model.layers": [1, 2]}, name="third", **starts_from("second", "best")),
        write_grid(base, {"model.layers": [2]}, name="fourth", **starts_from("first", "best")),
    ]
    return [GridRequest(read_grid_file(file)) for file in files]


def _origins(results: Results, *names: str) -> list[tuple[int, list[str]]]:
    """Of each grid the number of its runs, and the rates of the runs that it started from."""
    found = []
    for name in names:
        plan = results.read_grid(name)
        chosen = plan.starts_from.run_ids if plan.starts_from else []
        found.append((len(plan.runs), chosen))
    return found


def test_grids_that_wait_are_submitted_by_the_end_of_the_grid_that_they_start_from(base: Path, world: World) -> None:
    of_empty = write_grid(base, {"model.layers": [2]}, name="fifth", **starts_from("third", "best"))
    requests = [*_requests(base), GridRequest(read_grid_file(of_empty))]
    world.overfitting = {2}
    for together in (requests[:4], requests[4:]):
        assert world.submit(*together) == 0
    assert [(grid.name, grid.describe()) for grid in waiting_grids(world.results)] == [
        ("fifth", "WAITING for third"),
        ("fourth", "WAITING for first"),
        ("second", "WAITING for first"),
        ("third", "WAITING for second"),
    ]
    write_grid(base, {"model.dropout": [0.9]}, name="second", **starts_from("first", "best"))  # after the fact
    world.settle()
    first = world.results.read_grid("first")
    worst, overfits, best = (run.run_id for run in first.runs)
    origins = _origins(world.results, "second", "third", "fourth", "fifth")
    assert origins == [(2, [overfits]), (0, []), (1, [best]), (0, [])]
    assert worst != best
    assert waiting_grids(world.results) == []
    assert world.states("second") == world.states("fourth") * 2 == ["COMPLETED"] * 2
    assert world.reports == 3


def test_grid_of_this_machine_is_moved_to_slurm_only_by_submit(base: Path, world: World) -> None:
    first, second, *_ = _requests(base)
    world.diverging = {3}
    world.overfitting = {2}
    world.submit(first, local=True)
    world.submit(second, local=True)
    assert "was submitted for this machine" in refused(1, "rerun", "first", "--results", world.results.root)
    assert succeed("rerun", "second", "--results", world.results.root) == "nothing to run\n"
    assert world.queue == {}
    world.diverging = set()
    succeed("rerun", "first", "--local", "--results", world.results.root)
    world.submit(second)
    assert succeed("rerun", "second", "--results", world.results.root) == "nothing to submit\n"


def test_submitted_grid_keeps_its_file_and_overrides_under_its_name(base: Path, world: World) -> None:
    request = GridRequest(read_grid_file(write_grid(base, {"seed": [1, 2]}, name="mine")), {"model.layers": 2})
    world.submit(request)
    (base.parent / "mine.yaml").unlink()
    assert find_request(world.results, Path("mine"), {}, world.lines.append) == request
    assert world.lines[-1] == f"grid mine: {request.file.path} --set model.layers=2, as it was submitted"
    assert find_request(world.results, Path("mine"), {"seed": 3}, world.lines.append).overrides == {"seed": 3}
    shipped = find_request(world.results, Path("rnn"), {}, world.lines.append)
    assert (shipped.name, shipped.overrides) == ("rnn", {})


def test_submitted_grid_keeps_the_order_of_its_classes_and_so_its_runs(base: Path, world: World) -> None:
    labels = {"unhappy": ["0"], "happy": ["1"]}
    request = GridRequest(read_grid_file(write_grid(base, {"seed": [2, 1]}, name="mine")), {"data.labels": labels})
    world.submit(request)
    kept = find_request(world.results, Path("mine"), {}, world.lines.append)
    assert list(kept.overrides["data.labels"]) == list(labels)
    assert expand_grid(kept, world.results).plan.runs == expand_grid(request, world.results).plan.runs


def test_waiting_grid_is_replaced_by_another_of_its_name_and_that_is_told(base: Path, world: World) -> None:
    first, second, *_ = _requests(base)
    other = replace(second, overrides={"model.dropout": 0.7})
    world.overfitting = {2}
    for requests in ([first, second], [second], [other]):
        world.submit(*requests)
    assert sum("replaces the grid of this name that waited" in line for line in world.lines) == 1
    world.settle()
    assert (_origins(world.results, "second")[0][0], world.states("second")) == (1, ["COMPLETED"])


def test_waiting_grid_that_is_cancelled_is_not_submitted_even_by_who_has_seen_it_wait(base: Path, world: World) -> None:
    world.overfitting = {2}
    world.submit(*_requests(base)[:2])
    (waiting,) = waiting_grids(world.results)
    removed = succeed("cancel", "second", "--remove", "--results", world.results.root)
    assert ("waits no longer" in removed, "its name is free" in removed) == (True, True)
    world.settle()
    assert _start(Course(world.results, world.options), waiting.name).exit_code == EXIT_UNFINISHED
    assert (world.has_ended("first"), world.results.read_grid("second")) == (True, None)


def test_damaged_request_is_told_and_holds_up_no_other_grid(base: Path, world: World) -> None:
    world.overfitting = {2}
    world.submit(*_requests(base)[:3])
    (world.results.slurm / "third" / "request.json").write_text("{")
    world.settle()
    assert world.states("second") == ["COMPLETED"] * 2
    assert "\ngrid third: cannot be shown: " in invoke("status", "--results", world.results.root).output


def test_grid_that_waits_again_is_shown_as_waiting_beside_its_runs(base: Path, world: World) -> None:
    first, second, third, _ = _requests(base)
    more = replace(first, overrides={"training.learning_rate": [0.01, 0.02, 0.03, 0.04]})
    world.overfitting = {2, 3}
    world.finish(first, second, third)
    world.submit(more, second, third)
    told = refused(EXIT_UNFINISHED, "status", "second", "--results", world.results.root)
    assert told.startswith("grid second: 4 COMPLETED; WAITING for first; report: COMPLETED\n")
    assert [grid.name for grid in waiting_grids(world.results)] == ["second", "third"]


def test_stopped_study_goes_on_with_the_grids_that_wait(base: Path, world: World) -> None:
    requests = _requests(base)
    for asked, names in ((requests, "first second fourth third"), (requests[:1], "first fourth second third")):
        reasons = chain([None], repeat("SIGINT"))
        stopping = patch("jobs.launch.local_runner.StopRequest.reason", lambda _stop, reasons=reasons: next(reasons))
        with stopping, pytest.raises(StoppedError, match=f"`sentiment submit {names} --local --results"):
            world.submit(*asked, local=True)
    assert not [line for line in world.lines if "still WAITING" in line]


def test_held_run_has_not_ended_for_those_that_wait_for_its_grid(base: Path, world: World) -> None:
    first, second, *_ = _requests(base)
    world.submit(first, second)
    for address, job in [*world.queue.items()]:
        if job.task is not None:
            world.queue[address] = replace(job, reason=LAUNCH_FAILED)
    assert world.submit(first) == 0
    (waiting,) = waiting_grids(world.results)
    assert waiting.problem == ""


def test_study_is_refused_as_a_whole_before_anything_is_recorded(base: Path, results: Results) -> None:
    first, second, *_ = _requests(base)
    wrong = write_grid(base, {"model.dropuot": [0.5]}, name="wrong", **starts_from("first", "overfitting"))
    assert "dropuot" in refusal(plan_study, results, [first, GridRequest(read_grid_file(wrong))])
    assert "submit that one first, or both" in refusal(plan_study, results, [second])
    circle = []
    for name, other in (("one", "two"), ("two", "one")):
        file = write_grid(base, {"seed": [1]}, name=name, **starts_from(other, "best"))
        circle.append(GridRequest(read_grid_file(file)))
    assert "one -> two -> one" in refusal(plan_study, results, circle)


def test_hypothesis_about_a_grid_that_exists_nowhere_is_refused(base: Path, results: Results) -> None:
    of_another = {"claim": "Better.", "better_than": {"grid": "othr"}}
    file = write_grid(base, {"seed": [1]}, name="one", controller={"type": "cloud", "hypotheses": [of_another]})
    requests = [GridRequest(read_grid_file(file))]
    assert "'Better.' compares with grid 'othr'" in refusal(plan_study, results, requests)
    other = write_grid(base, {"seed": [2]}, name="othr")
    plan_study(results, requests)
    other.unlink()
    results.write_grid(a_plan(["run-0"], name="othr"))
    plan_study(results, requests)


def test_study_may_change_the_rungs_of_its_grids_and_their_margins_in_points(base: Path, results: Results) -> None:
    equal = {"claim": "As good.", "setting": "seed", "values": 1, "as_good_as": 2, "within": 1}
    sooner = equal | {"claim": "As soon.", "measure": "epochs"}
    better = {"claim": "Better.", "setting": "seed", "values": 1, "better_than": 2}

    def request(changes: dict[str, Any]) -> GridRequest:
        grids = {str(base.with_name("some.yaml")): changes}
        study = write_yaml(base.with_name("study.yaml"), {"description": "Smaller.", "grids": grids})
        (read,) = read_study(study, {}, {}, results, print)
        return read

    write_grid(base, TRIALS, **HALVING)
    rungs = expand_grid(request(halving(min_iter=2, eta=4.0)), results).plan.halving
    assert rungs == Halving(epochs=[2], eta=4)
    write_grid(base, {"seed": [1, 2]}, controller={"type": "cloud", "hypotheses": [equal, sooner, better]})
    margins = [each.hypothesis.within for each in request({"within": 2.5}).hypotheses("now")]
    assert margins == [2.5, 1, None]
    assert "within = -1" in refusal(expand_grid, request({"within": -1}), results)


def test_shipped_studies_have_the_same_stages_and_the_laptops_is_small(results: Results) -> None:
    said: list[str] = []
    whole, small = (
        read_study(GRIDS.with_name("studies") / f"{name}.yaml", {}, {}, results, said.append)
        for name in ("sentiment140", "vader")
    )
    assert [request.name for request in whole] == [*(request.name for request in small), "elmo"]
    assert said == [line for line in said if line.startswith("grid elmo is left out: ")] != []
    assert all("fetch them with" in line and "sentiment prepare elmo" in line for line in said)
    study = plan_study(results, small, check_inputs=False)
    assert {name: len(each.grid.configs) for name, each in study.items() if each.grid} == {"rnn": 72, "attention": 24}
    assert [name for name, each in study.items() if each.grid is None] == ["regularisation", "random_sweep_of_best"]
    assert len({config.data for each in study.values() for config in each.at_most.configs}) == 1


def test_ctrl_c_while_the_report_is_built_here_tells_how_to_build_it(
    results: Results, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupted(*_arguments: object) -> bool:
        os.kill(os.getpid(), signal.SIGINT)
        return False

    monkeypatch.setattr("jobs.launch.advance.build_report", interrupted)
    (results.slurm / "g").mkdir(parents=True)
    with LocalRunner(results, print) as runner:
        course = Course(results, LaunchOptions(ClusterFile(), local=True), runner=runner)
        with pytest.raises(StoppedError, match=f"stopped; to go on: `{results.command('report')}`"):
            _report(course, "g")
    assert StoppedError.exit_code == EXIT_UNFINISHED
