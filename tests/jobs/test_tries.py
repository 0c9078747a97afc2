"""What was killed or ran out of something has not ended, and is begun again only so often without progress."""

from collections.abc import Callable
from pathlib import Path

import pytest

from jobs.here import Here
from jobs.session import LaunchOptions, open_session
from jobs.tasks.attempt import Outcome, attempt_run
from sentiment.config import RunConfig
from sentiment.console import Console, silent
from sentiment.errors import ConfigError, MemoryExhaustedError
from sentiment.runs.attempts import ProcessLock
from sentiment.runs.records import Tries
from sentiment.runs.run_dir import Results, RunDir
from sentiment.training.stop import RunContext, Stop, StopRequest
from tests.jobs.submitted import GRID, a_failure, a_plan, attempt_of, write_attempts
from tests.small_runs import small_config

Ending = BaseException | Stop | None


class _DiedError(BaseException):
    """The process was killed."""


@pytest.fixture
def results(tmp_path: Path) -> Results:
    return Results(tmp_path / "results")


@pytest.fixture
def run_dir(results: Results, config: RunConfig) -> RunDir:
    return results.run_dir(config.run_id, GRID)


@pytest.fixture
def config(tweets_file: Path) -> RunConfig:
    return small_config(tweets_file)


@pytest.fixture
def attempt(results: Results, config: RunConfig, monkeypatch: pytest.MonkeyPatch) -> Callable[[Ending], Outcome | None]:
    """Attempts at a run that end as given; None for one that dies."""

    def attempt(ending: Ending) -> Outcome | None:
        def train(run: RunContext) -> Stop | None:
            run.begin()
            if isinstance(ending, BaseException):
                raise ending
            return ending

        monkeypatch.setattr("sentiment.training.experiment.run_experiment", train)
        try:
            return attempt_run(config, results.run_dir(config.run_id, GRID), StopRequest())
        except _DiedError:
            return None

    return attempt


@pytest.mark.parametrize(
    ("ending", "ended"),
    [
        (_DiedError(), False),
        (MemoryExhaustedError("the GPU's memory is full"), False),
        (MemoryError(), False),
        (OSError("Stale file handle"), False),
        (Stop("deadline", "5 s left"), False),
        (Stop("signal", "SIGUSR1"), False),
        (Stop("signal", "SIGTERM"), True),
        (Stop("paused", "1 epochs are done"), True),
        (ConfigError("is wrong"), True),
        (ValueError("a defect"), True),
        (None, True),
    ],
    ids=repr,
)
def test_run_has_ended_unless_it_was_killed_or_ran_out_of_something(
    attempt: Callable[[Ending], Outcome | None], run_dir: RunDir, ending: Ending, ended: bool
) -> None:
    attempt(ending)
    assert run_dir.tries_file.exists() is not ended
    assert bool(run_dir.own_failure()) is isinstance(ending, ConfigError | ValueError)


def test_run_that_dies_three_times_at_the_same_step_has_failed_by_itself(
    attempt: Callable[[Ending], Outcome | None], run_dir: RunDir
) -> None:
    for number in (1, 2, 3):
        assert attempt(_DiedError()) is None
        assert run_dir.read_tries() == Tries(step=0, number=number, job=None)
    assert attempt(None) is Outcome.FAILED
    assert run_dir.own_failure().startswith("NoProgressError: 3 attempts in a row ended without a saved step")
    assert attempt(None) is Outcome.COMPLETED  # somebody has submitted it again


def test_reason_of_the_last_try_is_told(attempt: Callable[[Ending], Outcome | None], run_dir: RunDir) -> None:
    for _ in range(4):
        attempt(MemoryExhaustedError("the GPU's memory is full"))
    assert run_dir.own_failure().endswith("the last one: MemoryExhaustedError: the GPU's memory is full")


def test_tries_are_counted_anew_after_progress(attempt: Callable[[Ending], Outcome | None], run_dir: RunDir) -> None:
    for step in (0, 40, 80):
        for _ in range(3):
            assert attempt(_DiedError()) is None
        write_attempts(run_dir, attempt_of(None, first_step=step + 40))
    assert attempt(None) is Outcome.COMPLETED


def test_run_that_another_process_trains_keeps_its_count_and_its_failure(
    run_dir: RunDir, config: RunConfig, results: Results, monkeypatch: pytest.MonkeyPatch
) -> None:
    run_dir.create(config)
    with ProcessLock(run_dir.lock_file):
        assert attempt_run(config, results.run_dir(config.run_id, GRID), StopRequest()) is Outcome.COMPLETED
        assert not run_dir.tries_file.exists()
        run_dir.write_record(a_failure(None))
        run_dir.write_record(Tries(step=0, number=1, job=None))
        monkeypatch.setattr(RunDir, "write_record", lambda *_: pytest.fail("only its owner counts"))
        assert attempt_run(config, results.run_dir(config.run_id, GRID), StopRequest()) is Outcome.COMPLETED
    assert run_dir.read_tries() == Tries(step=0, number=1, job=None)
    assert run_dir.read_failure() == a_failure(None)


def test_tries_are_counted_anew_when_somebody_submits_the_run_again(
    attempt: Callable[[Ending], Outcome | None], run_dir: RunDir, config: RunConfig, results: Results
) -> None:
    for _ in range(3):
        attempt(_DiedError())
    plan = a_plan([run_dir.path.name])
    run_dir.create(config)
    write_attempts(run_dir, attempt_of(None))
    options = LaunchOptions(local=True)
    with Here(results, GRID, Console(print, silent)) as here, open_session(results, plan, options, here) as session:
        session.rerun([], {run_dir.path.name})
    assert run_dir.read_tries() == Tries(step=0, number=0, job=None)
    assert not run_dir.own_failure()
