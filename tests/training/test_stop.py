"""Reasons to stop: signals, and the end of the time that the process was given."""

import os
import signal
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import pytest

from sentiment.training.stop import MARGIN_SECONDS, SIGNALS, Stop, StopRequest, end_of_time


@dataclass
class FakeClock:
    """Time that passes when it is told to."""

    now: float = 1_000_000.0

    def __call__(self) -> float:
        return self.now


@pytest.mark.parametrize("number", SIGNALS, ids=lambda number: number.name)
def test_signal_only_sets_a_flag(number: signal.Signals) -> None:
    with StopRequest() as stop:
        assert stop.reason() is None
        os.kill(os.getpid(), number)
        assert stop.reason() == Stop("signal", number.name)
        assert stop.reason() == Stop("signal", number.name)


def test_first_signal_is_told_and_a_second_ctrl_c_interrupts_at_once() -> None:
    with StopRequest() as stop:
        os.kill(os.getpid(), signal.SIGUSR1)
        os.kill(os.getpid(), signal.SIGINT)
        assert stop.reason() == Stop("signal", "SIGUSR1")
        with pytest.raises(KeyboardInterrupt):
            os.kill(os.getpid(), signal.SIGINT)


def test_former_handlers_are_put_back() -> None:
    before = {number: signal.getsignal(number) for number in SIGNALS}
    with StopRequest():
        assert all(signal.getsignal(number) != before[number] for number in SIGNALS)
        os.kill(os.getpid(), signal.SIGINT)
    assert {number: signal.getsignal(number) for number in SIGNALS} == before


def test_deadline_counts_what_a_step_and_two_saves_cost() -> None:
    clock = FakeClock()
    stop = StopRequest(end=clock.now + 1000, clock=clock)
    for seconds in (0.5, 3.0, 0.1):
        stop.steps.append(seconds)
    for seconds in (2.0, 10.0, 1.0):
        stop.saves.append(seconds)
    needed = 3.0 + 2 * 10.0 + MARGIN_SECONDS
    clock.now += 1000 - needed - 0.01
    assert stop.reason() is None
    clock.now += 0.02
    reason = stop.reason()
    assert reason is not None
    assert reason.reason == "deadline"
    assert reason.detail == "25 s left, a step and a save may need 25 s"


def test_only_recent_steps_count() -> None:
    clock = FakeClock()
    stop = StopRequest(end=clock.now + 30, clock=clock)
    stop.saves.append(1.0)
    stop.steps.append(60.0)  # the first step of all, say, which warms everything up
    assert stop.reason() is not None
    for _ in range(100):
        stop.steps.append(0.01)
    assert stop.reason() is None


def test_end_of_time_is_the_earlier_of_slurms_and_ones_own(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("SLURM_JOB_END_TIME", raising=False)
    assert end_of_time(None, start=100.0) is None
    assert end_of_time(50.0, start=100.0) == 150.0
    monkeypatch.setenv("SLURM_JOB_END_TIME", "1700000000")
    assert end_of_time(None, start=1_699_990_000.0) == 1_700_000_000.0
    assert end_of_time(50.0, start=1_699_990_000.0) == 1_699_990_050.0
    assert end_of_time(50_000.0, start=1_699_990_000.0) == 1_700_000_000.0
    for value in ("", "UNLIMITED", "-1"):
        monkeypatch.setenv("SLURM_JOB_END_TIME", value)
        assert end_of_time(None, start=0) is None


def test_in_another_thread_than_the_main_one_no_signal_is_handled() -> None:
    before = [signal.getsignal(number) for number in SIGNALS]

    def ask() -> Stop | None:
        with StopRequest() as stop:
            assert [signal.getsignal(number) for number in SIGNALS] == before
            return stop.reason()

    with ThreadPoolExecutor(1) as threads:
        assert threads.submit(ask).result() is None
