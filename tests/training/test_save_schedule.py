"""When to save: at the optimal interval for the measured cost, or after a fixed number of steps."""

import math

import pytest

from sentiment.training.checkpoint import SaveSchedule


def test_first_save_comes_after_half_a_minute_and_then_by_youngs_formula() -> None:
    schedule = SaveSchedule(every_steps=None, now=1000)
    assert not schedule.due(1, now=1029.9)
    assert schedule.due(1, now=1030)
    schedule.saved(now=1031, seconds=1)
    interval = math.sqrt(2 * 1 * 6 * 3600)
    assert schedule.interval == pytest.approx(interval)
    assert not schedule.due(2, now=1030.9 + interval)
    assert schedule.due(2, now=1031.1 + interval)


def test_save_at_an_epochs_end_costs_a_hundredth_at_most() -> None:
    schedule = SaveSchedule(every_steps=None, now=0)
    assert schedule.due_at_epoch_end(now=1), "the first one shows what a save costs"
    schedule.saved(now=1, seconds=0.5)
    assert not schedule.due_at_epoch_end(now=50)
    assert schedule.due_at_epoch_end(now=51)


def test_one_slow_save_does_not_stretch_the_interval_and_half_an_hour_is_the_longest() -> None:
    """A file server or a suspension may hold it up for minutes; saves that have become slow are believed."""
    schedule = SaveSchedule(every_steps=None, now=0)
    for number, seconds in enumerate([0.2, 250, 0.2, 0.2]):
        schedule.saved(now=number, seconds=seconds)
        assert schedule.interval == pytest.approx(math.sqrt(2 * 0.2 * 6 * 3600))
    assert schedule.due_at_epoch_end(now=3 + 20.1)
    for _ in range(3):
        schedule.saved(now=4, seconds=250)
    assert schedule.interval == 1800


def test_every_so_many_steps_replaces_the_formula() -> None:
    schedule = SaveSchedule(every_steps=3, now=0)
    assert [step for step in range(1, 10) if schedule.due(step, now=1e9)] == [3, 6, 9]
    assert not schedule.due_at_epoch_end(now=1e9)
