"""A run that was stopped anywhere, any number of times, ends like one that never was: bit for bit."""

import subprocess
import sys
import time
from typing import Any

import pytest

from sentiment.processes import Stopwatch
from sentiment.training.stop import StopRequest
from tests.conftest import MakeExperiment
from tests.small_runs import MODELS, Experiment, StopWhen, complete_with_stops, digest_of

# Of each kind of random numbers, state and optimiser one in the fast lane.
_FAST = ("two-layer BiLSTM", "attention with penalty")


@pytest.mark.parametrize(
    "changes",
    [pytest.param(one, marks=[] if name in _FAST else pytest.mark.slow, id=name) for name, one in MODELS.items()],
)
def test_run_stopped_every_few_steps_equals_a_whole_one(experiment: MakeExperiment, changes: dict[str, Any]) -> None:
    changes = changes | {"training__log_every": 4, "training__epochs": 2}
    expected = experiment(**changes).complete()
    # No checkpoints but those at the stops, which fall on ever other places in an epoch of 12 steps and between rows.
    stopped = experiment(**changes, runtime__checkpoint__every_steps=10_000)
    digest, stops = complete_with_stops(stopped, every=9)
    assert digest == expected
    assert stops >= 3


@pytest.mark.more
def test_every_single_place_to_stop_is_a_good_one(experiment: MakeExperiment) -> None:
    """One run per question asked in it: before each step, after the last one, and within each evaluation."""
    changes = {"training__epochs": 2, "training__batch_size": 400, "training__log_every": 2}
    counting = StopWhen(lambda question: False)
    uninterrupted = experiment(**changes)
    assert uninterrupted.attempt(counting) is None
    expected = digest_of(uninterrupted.run_dir)
    assert counting.asked > 2 * (2 + 2)
    for place in range(1, counting.asked + 1):
        run = experiment(**changes)
        assert run.attempt(StopWhen(lambda question, place=place: question == place)) is not None
        assert run.complete() == expected, f"stopped at question {place}"


def test_attempts_are_written_down_and_keep_the_threads_of_the_first(experiment: MakeExperiment) -> None:
    begun = time.monotonic()
    run = experiment(runtime__threads=1, runtime__checkpoint__every_steps=1)
    run.attempt(StopWhen(lambda question: question == 8))
    run.attempt(StopRequest(end=0))
    runtime = run.config.runtime.model_copy(update={"threads": 2})
    Experiment(run.config.model_copy(update={"runtime": runtime}), run.results, run.run_dir, run.said).complete()
    record, result = run.record, run.result
    assert 0 < result.seconds_trained < time.monotonic() - begun
    assert [attempt.threads for attempt in record.attempts] == [1, 1, 1]
    assert [attempt.reason for attempt in record.attempts] == ["signal", "deadline", "completed"]
    assert [attempt.first_step for attempt in record.attempts] == [0, 7, 7]
    assert [attempt.last_step for attempt in record.attempts] == [7, 7, result.steps]
    assert record.attempts[0].detail == "SIGTERM"
    assert [attempt.compute_time.gpu_seconds for attempt in record.attempts] == [0, 0, 0]
    assert all(attempt.compute_time.cpu_seconds > 0 for attempt in record.attempts)
    assert "resuming after step 7 in epoch 1" in run.said


def test_compute_time_is_that_of_a_process_and_of_its_ended_children() -> None:
    stopwatch = Stopwatch(on_gpu=False)
    subprocess.run([sys.executable, "-IS", "-c", "import time\nwhile time.process_time() < 0.2: pass"], check=True)
    assert stopwatch.read()["cpu_seconds"] > 0.15  # in hundredths
