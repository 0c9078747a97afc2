"""When to save: at the optimal interval for the measured cost, or after a fixed number of steps."""

import math

import pytest

from sentiment.training.checkpoint import SaveSchedule


def test_first_save_comes_after_half_a_minute_and_then_by_youngs_formula() -> None:
    schedule = SaveSchedule(every_steps=None, mtbf_hours=6, now=1000)
    assert not schedule.due(1, now=1029.9)
    assert schedule.due(1, now=1030)
    schedule.saved(now=1031, seconds=1)
    interval = math.sqrt(2 * 1 * 6 * 3600)
    assert schedule.interval == pytest.approx(interval)
    assert not schedule.due(2, now=1030.9 + interval)
    assert schedule.due(2, now=1031.1 + interval)


def test_save_at_an_epochs_end_costs_a_hundredth_at_most() -> None:
    schedule = SaveSchedule(every_steps=None, mtbf_hours=6, now=0)
    assert schedule.due_at_epoch_end(now=1), "the first one shows what a save costs"
    schedule.saved(now=1, seconds=0.5)
    assert not schedule.due_at_epoch_end(now=50)
    assert schedule.due_at_epoch_end(now=51)


def test_slow_save_is_remembered_longer_than_a_fast_one() -> None:
    schedule = SaveSchedule(every_steps=None, mtbf_hours=6, now=0)
    schedule.saved(now=1, seconds=1)
    schedule.saved(now=2, seconds=5)
    assert schedule.interval == pytest.approx(math.sqrt(2 * 5 * 6 * 3600))
    schedule.saved(now=3, seconds=1)
    assert schedule.interval == pytest.approx(math.sqrt(2 * (0.8 * 5 + 0.2 * 1) * 6 * 3600))


def test_every_so_many_steps_replaces_the_formula() -> None:
    schedule = SaveSchedule(every_steps=3, mtbf_hours=6, now=0)
    assert [step for step in range(1, 10) if schedule.due(step, now=1e9)] == [3, 6, 9]
    assert not schedule.due_at_epoch_end(now=1e9)
