"""What a grid has stated stays: its metric, its hypotheses with the results that existed then, its code, its choice."""

from dataclasses import replace
from pathlib import Path
from typing import Any
from unittest.mock import patch

import pytest

from jobs.grids.grid import GridRequest, count_results, with_table
from jobs.grids.sweep_file import read_grid_file
from jobs.launch.advance import rerun_grid, submit_study
from jobs.launch.cancelling import remove_grid
from jobs.requested import find_request, grid_lock, read_request, read_waiting, waiting_grids
from jobs.status.names import read_plan
from jobs.study import plan_study
from jobs.submissions import read_submissions
from jobs.tasks.attempt import record_failure
from sentiment.errors import (
    EXIT_FAILED,
    EXIT_UNFINISHED,
    ConfigError,
    DivergedError,
    LockedError,
    SlurmError,
    UsageError,
)
from sentiment.runs.records import Addition
from sentiment.runs.run_dir import Results
from tests.commands import invoke, refused
from tests.jobs.grid_files import load_grid, refusal, starts_from, write_grid
from tests.jobs.submitted import write_epochs
from tests.jobs.world import World

RATES = "training.learning_rate"
BETTER = {"claim": "Faster is better.", "setting": RATES, "values": [0.02], "better_than": [0.01]}
EQUAL = {"claim": "As good.", "setting": RATES, "values": [0.02], "as_good_as": [0.01], "within": 1}
OF_GRIDS = {"claim": "It is better.", "better_than": {"grid": "first"}}
REFUSED = patch("jobs.slurm.submit", side_effect=SlurmError("invalid partition"))
OTHER = {"claim": "Slower is better.", "setting": RATES, "values": [0.01], "better_than": [0.03]}


def _grid(base: Path, rates: list[float], *hypotheses: dict[str, Any], **changes: Any) -> Path:
    controller = {"type": "cloud", "hypotheses": list(hypotheses)}
    return write_grid(base, {RATES: rates, "training.epochs": 2}, controller=controller, **changes)


@pytest.fixture
def after(base: Path) -> Path:
    """A grid that waits for the best of another one."""
    return write_grid(base, {"model.layers": [1, 2]}, name="after", **starts_from("some", "best"))


def _results_when_stated(results: Results) -> list[int | None]:
    return [stated.results for stated in read_plan(results, "some").hypotheses]


def test_metric_of_a_planned_grid_is_not_changed(base: Path, world: World) -> None:
    file = _grid(base, [0.01])
    assert world.submit(file) == 0
    _grid(base, [0.01], metric={"name": "validation/loss", "goal": "minimize"})
    assert "the metric was validation/accuracy (maximize)" in refusal(load_grid, file, world.results)


@pytest.mark.parametrize("evidence", ["completed", "an epoch", "another grid's", "damaged"])
def test_hypothesis_knows_how_many_runs_had_results_when_it_was_stated(base: Path, world: World, evidence: str) -> None:
    results = world.results
    first, second, *_ = load_grid(_grid(base, [0.01, 0.02, 0.03], BETTER), results).configs
    if evidence == "another grid's":
        write_epochs(results.run_dir(first.run_id, "single"), [0.5])
    assert world.submit(_grid(base, [0.01, 0.02, 0.03], BETTER)) == 0
    assert _results_when_stated(results) == [1 if evidence == "another grid's" else 0]
    if evidence == "completed":
        world.settle()
    elif evidence != "another grid's":
        write_epochs(results.run_dir(second.run_id, "some"), [0.5])
    if evidence == "damaged":
        results.run_dir(second.run_id, "some").result_file.write_text("{")
    assert world.submit(_grid(base, [0.01, 0.02, 0.03], BETTER, OTHER)) == 0
    before, after = _results_when_stated(results)
    assert (before, after) == (int(evidence == "another grid's"), 3 if evidence == "completed" else 1)


def test_results_that_were_deleted_or_of_a_removed_grid_make_no_hypothesis_early(base: Path, world: World) -> None:
    world.finish(_grid(base, [0.01, 0.03]))
    assert world.submit(_grid(base, [0.01, 0.03], OTHER)) == 0
    first = read_plan(world.results, "some").runs[0].run_id
    world.results.run_dir(first, "some").result_file.unlink()
    load_grid(_grid(base, [0.01, 0.03], OTHER), world.results)
    assert _results_when_stated(world.results) == [2]
    assert remove_grid(world.results, "some", print) == 0
    assert world.submit(_grid(base, [0.01, 0.03], OTHER)) == 0
    assert _results_when_stated(world.results) == [2]


@pytest.mark.parametrize(
    ("stated", "changes"),
    [
        (BETTER, {"values": [0.01], "better_than": [0.02]}),
        (BETTER, {"better_than": [0.03]}),
        (EQUAL, {"within": 2}),
        (OF_GRIDS, {"better_than": {"grid": "second"}}),
        (OF_GRIDS, {"better_than": {"model": "baseline"}}),
    ],
)
def test_hypothesis_keeps_its_sides(base: Path, results: Results, stated: dict[str, Any], changes: Any) -> None:
    plan = load_grid(_grid(base, [0.01, 0.02, 0.03], stated), results).plan
    results.write_grid(plan)
    changed = _grid(base, [0.01, 0.02, 0.03], stated | changes)
    assert "was stated otherwise" in refusal(load_grid, changed, results)
    more = {"better_than": [0.01, 0.03]} if stated is BETTER else {}
    assert load_grid(_grid(base, [0.01, 0.02, 0.03], stated | more), results).plan == plan


def test_runs_that_are_added_after_results_are_told(base: Path, world: World) -> None:
    for rates in ([0.01], [0.01, 0.02], [0.01, 0.02, 0.03]):
        assert world.submit(_grid(base, rates)) == 0
        if rates != [0.01]:
            world.settle()
    assert read_plan(world.results, "some").additions == [Addition(first=2, results=2)]


def test_hypothesis_of_a_grid_that_waits_is_stated_when_it_is_submitted(base: Path, world: World) -> None:
    controller = starts_from("some", "best")["controller"]
    controller["hypotheses"] = [{"claim": "More.", "setting": "model.dropout", "values": [0.1], "better_than": [0.0]}]
    after = write_grid(base, {"model.dropout": [0.0, 0.1]}, name="after", controller=controller)
    assert world.submit(_grid(base, [0.01, 0.02]), after) == 0
    assert [stated.results for stated in read_request(world.results, "after").request.stated] == [0]
    world.settle()
    (stated,) = read_plan(world.results, "after").hypotheses
    runs = [run.run_id for run in read_plan(world.results, "after").runs]
    assert (stated.results, count_results(world.results, runs)) == (0, 2)


@pytest.mark.parametrize("edited", [False, True])
def test_results_of_another_grid_are_taken_only_if_the_same_code_made_them(
    base: Path, world: World, monkeypatch: pytest.MonkeyPatch, edited: bool
) -> None:
    monkeypatch.setattr("jobs.grids.grid._check_inputs", lambda _results, runs: [(each, True) for _, each in runs])
    world.finish(_grid(base, [0.01, 0.02]))
    world.code = "edited" if edited else "code"
    world.finish(_grid(base, [0.01, 0.02, 0.03], name="more"))
    assert sum(world.trained.values()) == (5 if edited else 3)
    told = "2 completed runs of the same code and tweets copied from other grids"
    assert (told in world.lines) == (not edited)


def test_grid_with_more_runs_keeps_its_code_and_new_code_reaches_those_that_wait(
    base: Path, world: World, after: Path
) -> None:
    assert world.submit(_grid(base, [0.01]), after) == 0
    world.code = "edited"
    assert world.submit(_grid(base, [0.01, 0.02])) == 0
    assert (read_plan(world.results, "some").code, read_waiting(world.results, "after").code) == ("code", "code")
    training = [folder for folder in read_submissions(world.results, "some") if folder.run_ids]
    assert [folder.submission.code for folder in training] == ["code", "code"]
    world.diverging = {1}
    world.settle()
    plan = read_plan(world.results, "some")
    world.diverging = set()
    assert rerun_grid(world.results, plan, set(), replace(world.options, new_code=True)) == 0
    assert read_waiting(world.results, "after").code == "edited"
    world.settle()
    assert (read_plan(world.results, "some").code, read_plan(world.results, "after").code) == ("edited", "edited")


def test_new_code_reaches_a_grid_that_is_started_at_once(base: Path, world: World, after: Path) -> None:
    """Such as one that could not be started for an error of the old code."""
    assert world.submit(_grid(base, [0.01]), after) == 0
    with patch("jobs.launch.advance.expand_when_ready", side_effect=ConfigError("an error of the code")):
        world.settle()
    world.code = "edited"
    assert world.submit(_grid(base, [0.01]), new_code=True) == 0
    assert read_plan(world.results, "after").code == "edited"


def test_table_of_a_command_replaces_that_of_the_last_one(base: Path, world: World, tweets_file: Path) -> None:
    file = _grid(base, [0.01])
    for name in (file, Path("some")):
        found = find_request(world.results, name, {}, print)
        asked = with_table(found, {"data.source": str(tweets_file)}, print)
        assert world.submit(asked) == 0
    assert asked.overrides == {"data.source": str(tweets_file)}


def test_grids_that_separate_commands_let_wait_for_each_other_are_refused(base: Path, world: World) -> None:
    def after(name: str, other: str) -> Path:
        return write_grid(base, {"model.layers": [1, 2]}, name=name, **starts_from(other, "best"))

    assert world.submit(_grid(base, [0.01]), after("first", "some"), after("second", "first")) == 0
    with pytest.raises(UsageError, match="wait for each other: first -> second -> first"):
        world.submit(after("first", "second"))


def test_refused_submission_leaves_no_wish_and_guesses_are_no_wishes(base: Path, world: World, after: Path) -> None:
    file = _grid(base, [0.01])
    asked = GridRequest(read_grid_file(file), {"seed": 2}, {"data.columns.text": "text"})
    results = world.results
    study = plan_study(results, [asked, GridRequest(read_grid_file(after))])
    with REFUSED, pytest.raises(SlurmError):
        submit_study(results, study, world.options)
    assert (read_request(results, "some"), results.read_grid("some"), waiting_grids(results)) == (None, None, [])
    assert submit_study(results, study, world.options) == 0
    again = find_request(results, Path("some"), {}, print)
    assert (again.overrides, again.guesses) == ({"seed": 2}, {})


def test_base_that_failed_and_is_repaired_has_followers_then(base: Path, world: World, after: Path) -> None:
    """An empty choice is not recorded while runs were left out that may be repaired."""
    world.diverging = {1}
    world.finish(_grid(base, [0.01]), after)
    assert world.results.read_grid("after") is None
    assert world.submit(after) == EXIT_UNFINISHED
    assert invoke("status", "after", "--results", world.results.root).exit_code == EXIT_FAILED
    world.diverging = set()
    assert rerun_grid(world.results, read_plan(world.results, "some"), set(), world.options) == 0
    world.settle()
    assert (world.states("after"), waiting_grids(world.results)) == (["COMPLETED"] * 2, [])


def test_grid_waits_for_a_failed_run_that_the_same_command_submits_again(base: Path, world: World, after: Path) -> None:
    world.diverging = {2}
    world.finish(_grid(base, [0.01, 0.02]))
    failed = read_plan(world.results, "some").runs[1].run_id
    record_failure(world.results.run_dir(failed, "some"), DivergedError("the loss is nan"))
    world.diverging = set()
    assert world.submit(_grid(base, [0.01, 0.02]), after) == 0
    assert [grid.name for grid in waiting_grids(world.results)] == ["after"]
    world.settle()
    origin = read_plan(world.results, "after").starts_from
    assert (origin.run_ids, origin.left_out) == ([failed], [])


def test_choice_of_a_planned_grid_stays_though_the_rule_chooses_others(base: Path, world: World, after: Path) -> None:
    world.finish(_grid(base, [0.01]), after)
    before = read_plan(world.results, "after")
    for _ in range(2):
        world.finish(_grid(base, [0.01, 0.02]), after)
    after_more = read_plan(world.results, "after")
    assert after_more.runs == before.runs
    (left_out,) = after_more.starts_from.left_out
    assert "which the rule would choose by now" in left_out
    assert waiting_grids(world.results) == []


def test_base_that_was_removed_and_planned_anew_is_chosen_from_anew(base: Path, world: World, after: Path) -> None:
    same = write_grid(base, {RATES: [0.03, 0.04]}, name="same", **starts_from("some", "best"))
    world.finish(_grid(base, [0.01]), after, same)
    chosen = read_plan(world.results, "some").runs[0].run_id
    assert remove_grid(world.results, "some", print) == 0
    world.finish(_grid(base, [0.02]))
    told = refusal(plan_study, world.results, [GridRequest(read_grid_file(after))])
    assert world.submit(same) == 0
    now = read_plan(world.results, "some").runs[0].run_id
    assert f"the runs of grid some that it starts from: were {chosen}, are {now}" in told
    assert f"`{world.results.command('cancel', 'after', '--remove')}`" in told
    origin = read_plan(world.results, "same").starts_from
    assert origin.run_ids == [now]
    line = f"{chosen}, which was chosen before, but has no result there any more"
    assert (origin.left_out, f"left out of grid some: {line}" in world.lines) == ([line], True)


@pytest.mark.parametrize("command", ["rerun", "submit"])
def test_new_code_is_in_the_plan_only_if_it_computes_runs_and_before(base: Path, world: World, command: str) -> None:
    results = world.results

    def carry_out() -> None:
        if command == "submit":
            world.submit(_grid(base, [0.01, 0.02]), new_code=True)
        else:
            rerun_grid(results, read_plan(results, "some"), set(), replace(world.options, new_code=True))

    world.finish(_grid(base, [0.01, 0.02]))
    world.code = "edited"
    carry_out()
    assert read_plan(results, "some").code == "code"
    run_dir = results.run_dir(read_plan(results, "some").runs[0].run_id, "some")
    run_dir.result_file.unlink()
    record_failure(run_dir, DivergedError("the loss is nan"))
    before = {folder.path for folder in read_submissions(results, "some")}
    for step in range(1, 100):
        world.deaths = {world.steps + step}
        world.command(carry_out)
        codes = {each.submission.code for each in read_submissions(results, "some") if each.path not in before}
        assert "edited" not in codes or read_plan(results, "some").code == "edited"
        if codes:
            break
    assert codes == {"edited"}


def test_new_code_that_slurm_refuses_is_not_in_the_plan(base: Path, world: World) -> None:
    world.diverging = {1}
    world.finish(_grid(base, [0.01]))
    plan = read_plan(world.results, "some")
    world.code = "edited"
    with REFUSED, pytest.raises(SlurmError):
        rerun_grid(world.results, plan, set(), replace(world.options, new_code=True))
    assert read_plan(world.results, "some") == plan


def test_grid_that_waits_is_cancelled_only_if_nobody_submits_it_just_then(
    base: Path, world: World, after: Path
) -> None:
    assert world.submit(_grid(base, [0.01]), after) == 0
    with grid_lock(world.results, "after"):
        refused(LockedError.exit_code, "cancel", "after", "--results", world.results.root)
    assert read_waiting(world.results, "after")


def test_grid_that_waited_and_was_cancelled_states_nothing(base: Path, world: World) -> None:
    def after(better: float, worse: float) -> Path:
        controller = starts_from("some", "best")["controller"]
        sides = {"values": [better], "better_than": [worse]}
        controller["hypotheses"] = [{"claim": "More.", "setting": "model.dropout", **sides}]
        return write_grid(base, {"model.dropout": [0.0, 0.1]}, name="after", controller=controller)

    assert world.submit(_grid(base, [0.01]), after(0.1, 0.0)) == 0
    assert "stated otherwise" in refusal(world.submit, after(0.0, 0.1))
    assert invoke("cancel", "after", "--results", world.results.root).exit_code == 0
    world.finish(after(0.0, 0.1))
    (stated,) = read_plan(world.results, "after").hypotheses
    assert [*stated.hypothesis.values] == [0.0]


def test_status_tells_when_a_problem_was_one_since_another_command_may_have_mended_it(
    base: Path, world: World, after: Path
) -> None:
    world.diverging = {1}
    assert world.submit(_grid(base, [0.01]), after, local=True) == EXIT_UNFINISHED
    world.diverging = set()
    world.finish(_grid(base, [0.01]))
    told = invoke("status", "after", "--results", world.results.root).output
    assert "grid after: WAITING for some; when it was last tried: " in told
