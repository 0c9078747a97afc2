"""What commands do to grids beside a Slurm that works, is full, or refuses."""

from pathlib import Path

import pytest
from typer.testing import CliRunner

from jobs import grid_jobs
from jobs.__main__ import app, verdict
from jobs.grids.grid import load_grid
from jobs.plan import CodeChoice
from jobs.status import GridStatus, read_plan, read_status
from jobs.submissions import SubmissionDir, read_submissions
from jobs.tasks import grid_end
from jobs.tasks.attempt import Outcome
from jobs.tasks.grid_end import submit_next_part
from sentiment.runs.attempts import ProcessLock
from sentiment.runs.records import Result, Tries
from sentiment.runs.run_dir import Results, RunDir
from tests.jobs.fake_slurm import FakeSlurm
from tests.jobs.grid_files import finish, write_grid, write_yaml
from tests.jobs.submitted import a_row
from tests.small_runs import Experiment

FULL = (
    "echo 'sbatch: error: AssocMaxSubmitJobLimit' >&2; "
    "echo 'sbatch: error: Batch job submission failed: Job violates accounting/QOS policy' >&2; exit 1"
)


@pytest.fixture(autouse=True)
def _code(monkeypatch: pytest.MonkeyPatch) -> None:
    """Tasks of these tests never begin, so that they need no copy of the code."""
    monkeypatch.setattr(CodeChoice, "present", "a copy of the code")


def _call(command: str, grid: Path, results: Results, *more: str) -> tuple[int, str]:
    """A command's exit code, and what it printed."""
    cluster = ["--cluster", str(write_yaml(grid.with_name("cluster.yaml"), {"defaults": {}}))]
    done = CliRunner().invoke(app, [command, *more, *cluster, "--results", str(results.root)])
    assert done.exception is None or isinstance(done.exception, SystemExit), done.exception
    return done.exit_code, done.output


def _begin(results: Results, run_id: str, config: str) -> RunDir:
    run_dir = results.run_dir(run_id, "some")
    run_dir.path.mkdir(parents=True)
    run_dir.config_file.write_text(config)
    return run_dir


def test_submission_that_is_refused_does_not_pin_the_plan(slurm: FakeSlurm, base: Path, results: Results) -> None:
    grid = write_grid(base, {"seed": [1, 2]})
    slurm.fail("sbatch", "echo 'sbatch: error: invalid partition' >&2; exit 1")
    code, output = _call("submit", grid, results, str(grid))
    assert (code, output.splitlines()[-1]) == (1, "error: sbatch: invalid partition")
    assert results.read_grid("some") is None
    slurm.heal()
    write_grid(base, {"seed": [3]})
    assert _call("submit", grid, results, str(grid))[0] == 0
    before = read_plan(results, "some")
    slurm.fail("sbatch", "exit 1")
    write_grid(base, {"seed": [3, 4]})
    assert _call("submit", grid, results, str(grid))[0] == 1
    assert read_plan(results, "some") == before


def test_grid_without_room_is_refused_at_the_first_answer_and_told_what_fits(
    slurm: FakeSlurm, base: Path, results: Results
) -> None:
    """The job for the tweets is accepted, training is not."""
    grid = write_grid(base, {"seed": [1, 2, 3]})
    slurm.fail("sbatch", f'grep -q array=0-2 "$file" && {{ {FULL}; }}')
    code, output = _call("submit", grid, results, str(grid))
    assert code == 3
    assert "AssocMaxSubmitJobLimit" in output
    assert output.endswith("; `tasks: N` in the cluster's file does with N tasks what takes 3 here\n")
    assert sum(order.startswith("sbatch") for order in slurm.orders) == 2
    assert "scancel 101" in slurm.orders
    assert read_submissions(results) == []


@pytest.mark.parametrize("command", ["submit", "rerun"])
def test_run_whose_configuration_is_torn_is_named_and_gets_no_task(
    slurm: FakeSlurm, base: Path, results: Results, command: str
) -> None:
    grid = write_grid(base, {"seed": [1, 2]})
    assert _call("submit", grid, results, str(grid))[0] == 0
    torn, whole = (run.run_id for run in read_plan(results, "some").runs)
    _begin(results, torn, '{"seed": 1, "da')
    (slurm.folder / "jobs").write_text("")
    code, output = _call(command, grid, results, *([str(grid)] if command == "submit" else []))
    assert code == 1
    assert f"left out: {results.run_dir(torn, 'some').config_file}: is not a configuration" in output
    assert slurm.tasks(results) == {whole: 1}


def test_grid_that_is_locked_does_not_hold_up_the_others(slurm: FakeSlurm, base: Path, results: Results) -> None:
    for name in ("some", "third"):
        grid = write_grid(base, {"seed": [1 if name == "some" else 2]}, name=name)
        assert _call("submit", grid, results, str(grid))[0] == 0
    (slurm.folder / "jobs").write_text("")
    with ProcessLock(results.slurm / "some" / "lock", "submits or cancels"):
        code, output = _call("rerun", grid, results)
    assert code == 1
    assert "grid some: " in output
    assert "already submits or cancels" in output
    assert sum(slurm.tasks(results).values()) == 1


@pytest.mark.slow
def test_tweets_that_were_replaced_are_told_for_runs_of_the_same_grid(
    slurm: FakeSlurm, base: Path, results: Results, tweets_file: Path, tmp_path: Path
) -> None:
    table = tmp_path / "table.csv"
    table.write_bytes(tweets_file.read_bytes())
    grid = write_grid(base, {"seed": [1], "data.source": str(table)})
    assert _call("submit", grid, results, str(grid))[0] == 0
    (run,) = read_plan(results, "some").runs
    folder = next(one for one in read_submissions(results) if one.submission.job_kind.trains_runs)
    Experiment(next(iter(folder.configs.values())), results, results.run_dir(run.run_id, "some")).complete()
    assert "trained on other" not in _call("submit", grid, results, str(grid))[1]
    table.write_bytes(table.read_bytes() + b'1,"one more, a good one"\n')
    assert "1 completed runs were trained on other tweets" in _call("submit", grid, results, str(grid))[1]


@pytest.mark.parametrize(
    ("states", "code"),
    [
        (["COMPLETED", "COMPLETED"], 0),
        (["COMPLETED", "PRUNED"], 0),
        (["COMPLETED", "PLANNED"], 3),
        (["COMPLETED", "PAUSED"], 3),
        (["COMPLETED", "CANCELLED"], 1),
        (["FAILED", "PLANNED"], 1),
        (["FAILED", "UNKNOWN"], 3),
        (["COMPLETED", "UNKNOWN"], 3),
        (["LOST", "COMPLETED"], 1),
        (["HELD", "COMPLETED"], 1),
    ],
    ids=str,
)
def test_exit_code_of_status_says_whether_anything_is_still_to_come(states: list[str], code: int) -> None:
    assert verdict([GridStatus("g", "validation/f1", [a_row(state) for state in states], {})]) == code


def test_submission_of_this_moment_is_not_lost(
    slurm: FakeSlurm, base: Path, results: Results, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Slurm gets the job just before the submissions are read: it must be asked after that."""
    grid = write_grid(base, {"seed": [1]})
    assert _call("submit", grid, results, str(grid))[0] == 0
    jobs = (slurm.folder / "jobs").read_text()
    (slurm.folder / "jobs").write_text("")

    def read_just_then(*arguments: str) -> list[SubmissionDir]:
        (slurm.folder / "jobs").write_text(jobs)
        return read_submissions(results, "some")

    monkeypatch.setattr(grid_jobs, "read_submissions", read_just_then)
    assert [row.state for row in read_status(results)[0].rows] == ["PENDING"]


def _ended(slurm: FakeSlurm, base: Path, results: Results) -> SubmissionDir:
    """The job that ends a grid, whose only run was killed."""
    grid = write_grid(base, {"seed": [1]})
    assert _call("submit", grid, results, str(grid))[0] == 0
    *_, training, ending = read_submissions(results)
    jobs = slurm.folder / "jobs"
    jobs.write_text(jobs.read_text().replace(f"@{training.job_id}@0@PENDING@", f"@{training.job_id}@0@FAILED@"))
    run_dir = results.run_dir(training.tasks[0][0], "some")
    run_dir.path.mkdir(parents=True)
    run_dir.write_record(Tries(step=0, number=1, job=training.job(0)))
    return ending


@pytest.mark.parametrize("program", ["squeue", "scontrol"])
def test_one_refusal_does_not_end_the_tries(
    slurm: FakeSlurm, base: Path, results: Results, program: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(grid_end, "_POLL_SECONDS", 0.0)
    ending = _ended(slurm, base, results)
    slurm.fail(program, "[ -e refused ] || { touch refused; kill -9 $$; }")
    said: list[str] = []
    assert submit_next_part(ending, said.append) is Outcome.COMPLETED
    (run,) = read_plan(results, "some").runs
    assert any(line.startswith(f"{run.run_id} has not ended, and is tried again: FAILED") for line in said)
    assert slurm.tasks(results) == {run.run_id: 1}


def test_job_at_the_end_looks_again_while_slurm_does_not_answer_but_not_for_ever(
    slurm: FakeSlurm, base: Path, results: Results, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(grid_end, "_PATIENCE_SECONDS", 0.0)
    ending = _ended(slurm, base, results)
    slurm.fail("squeue", "exit 1")
    said: list[str] = []
    assert submit_next_part(ending, said.append) is Outcome.LOOK_AGAIN
    assert said == ["squeue: ended with 1"]
    monkeypatch.setenv("SLURM_RESTART_COUNT", "24")
    assert submit_next_part(ending, said.append) is None


def test_order_without_an_answer_is_given_again_by_the_job_at_the_end(
    slurm: FakeSlurm, base: Path, results: Results, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(grid_end, "_POLL_SECONDS", 0.0)
    ending = _ended(slurm, base, results)
    slurm.fail("sbatch", "[ -e away ] || { touch away; exit 1; }")
    slurm.fail("squeue", "if [ -e away ] && [ ! -e back ]; then touch back; exit 1; fi")
    assert submit_next_part(ending, print) is Outcome.COMPLETED
    (run,) = read_plan(results, "some").runs
    assert slurm.tasks(results) == {run.run_id: 1}


def test_killed_run_whose_configuration_is_torn_does_not_keep_its_grid_from_ending(
    slurm: FakeSlurm, base: Path, results: Results
) -> None:
    ending = _ended(slurm, base, results)
    (run,) = read_plan(results, "some").runs
    results.run_dir(run.run_id, "some").config_file.write_text('{"seed": 1, "da')
    said: list[str] = []
    assert submit_next_part(ending, said.append) is None
    (line,) = said
    assert line.startswith(f"left out: {results.run_dir(run.run_id, 'some').config_file}: is not a configuration")


def test_round_that_was_planned_and_refused_is_submitted_when_there_is_room(
    slurm: FakeSlurm, base: Path, results: Results, trained: RunDir
) -> None:
    controller = {"type": "cloud", "rounds": 2, "per_round": 2, "seed": 1}
    grid = write_grid(base, {"model.hidden_size": {"min": 4, "max": 64}}, method="bayes", controller=controller)
    assert _call("submit", grid, results, str(grid))[0] == 0
    result = trained.read_result()
    assert isinstance(result, Result)
    finish(results, load_grid(grid, results), result, lambda _run: (0.5, False))
    (slurm.folder / "jobs").write_text("")
    *_, ending = read_submissions(results)
    slurm.fail("sbatch", FULL)
    assert submit_next_part(ending, print) is Outcome.LOOK_AGAIN
    slurm.heal()
    assert submit_next_part(ending, print) is Outcome.COMPLETED
    *_, third, fourth = (run.run_id for run in read_plan(results, "some").runs)
    assert slurm.tasks(results) == {third: 1, fourth: 1}
