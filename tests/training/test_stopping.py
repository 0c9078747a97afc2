"""When training stops and when it saves: signals, the end of its time, patience, and what saves cost."""

import os
import signal
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from types import SimpleNamespace

import pytest
import torch
from torch import nn

from sentiment.training.checkpoint import EarlyStopping, seconds_between_saves
from sentiment.training.stop import MARGIN_SECONDS, SIGNALS, Stop, StopRequest, process_deadline


@pytest.mark.parametrize("number", SIGNALS, ids=lambda number: number.name)
def test_signal_only_sets_a_flag_and_former_handlers_are_put_back(number: signal.Signals) -> None:
    before = [signal.getsignal(one) for one in SIGNALS]
    with StopRequest() as stop:
        assert stop.reason() is None
        os.kill(os.getpid(), number)
        assert stop.reason() == stop.reason() == Stop("signal", number.name)
    assert [signal.getsignal(one) for one in SIGNALS] == before


@pytest.fixture
def hangup() -> Iterator[None]:
    """The handling of HUP as a terminal sets it, also where the tests run under `nohup`."""
    former = signal.signal(signal.SIGHUP, signal.SIG_DFL)
    yield
    signal.signal(signal.SIGHUP, former)


@pytest.mark.usefixtures("hangup")
def test_closed_terminal_is_heeded_only_where_asked_for_and_not_under_nohup() -> None:
    with StopRequest():
        assert signal.getsignal(signal.SIGHUP) == signal.SIG_DFL
    with StopRequest(on_hangup=True) as stop:
        os.kill(os.getpid(), signal.SIGHUP)
        assert stop.reason() == Stop("signal", "SIGHUP")
    assert signal.getsignal(signal.SIGHUP) == signal.SIG_DFL
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    with StopRequest(on_hangup=True) as stop:
        os.kill(os.getpid(), signal.SIGHUP)
        assert stop.reason() is None


def test_first_signal_is_told_and_a_second_ctrl_c_interrupts_at_once() -> None:
    with StopRequest() as stop:
        os.kill(os.getpid(), signal.SIGUSR1)
        os.kill(os.getpid(), signal.SIGINT)
        assert stop.reason() == Stop("signal", "SIGUSR1")
        with pytest.raises(KeyboardInterrupt):
            os.kill(os.getpid(), signal.SIGINT)


@pytest.fixture
def clocks(monkeypatch: pytest.MonkeyPatch) -> SimpleNamespace:
    """The two clocks of the system, each of which stands still."""
    clocks = SimpleNamespace(wall=1_699_990_000.0, counted=100.0)
    fake = SimpleNamespace(time=lambda: clocks.wall, monotonic=lambda: clocks.counted)
    monkeypatch.setattr("sentiment.training.stop.time", fake)
    return clocks


def test_deadline_counts_what_a_step_and_two_saves_cost(clocks: SimpleNamespace) -> None:
    stop = StopRequest(end=clocks.counted + 3.0 + 2 * 10.0 + MARGIN_SECONDS + 0.01)
    stop.steps.extend((0.5, 3.0, 0.1))
    stop.saves.extend((2.0, 10.0, 1.0))
    assert stop.reason() is None
    clocks.counted += 0.02
    assert stop.reason() == Stop("deadline", "25 s left, a step and a save may need 25 s")


def test_only_recent_steps_count(clocks: SimpleNamespace) -> None:
    stop = StopRequest(end=clocks.counted + 30)
    stop.saves.append(1.0)
    stop.steps.append(60.0)  # the first step of all, say, which warms everything up
    assert stop.reason() is not None
    stop.steps.extend([0.01] * 100)
    assert stop.reason() is None


def test_end_of_time_is_the_earlier_of_slurms_and_ones_own(
    clocks: SimpleNamespace, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("SLURM_JOB_END_TIME", raising=False)
    assert process_deadline() is None
    assert process_deadline(50.0) == clocks.counted + 50
    assert process_deadline(50.0, taken=20.0) == clocks.counted + 30
    monkeypatch.setenv("SLURM_JOB_END_TIME", "1700000000")
    assert process_deadline() == clocks.counted + 10_000
    assert process_deadline(50.0) == clocks.counted + 50
    assert process_deadline(50_000.0) == clocks.counted + 10_000
    for value in ("", "UNLIMITED", "-1"):
        monkeypatch.setenv("SLURM_JOB_END_TIME", value)
        assert process_deadline() is None


@pytest.mark.parametrize("limit_seconds", [None, 50.0])
@pytest.mark.parametrize("jump", [-1e6, 1e6])
def test_clock_that_is_set_neither_ends_nor_lengthens_a_run(
    limit_seconds: float | None, jump: float, clocks: SimpleNamespace, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SLURM_JOB_END_TIME", str(int(clocks.wall) + 60))
    stop = StopRequest(process_deadline(limit_seconds))
    clocks.wall += jump
    assert stop.reason() is None
    clocks.counted += 60
    assert stop.reason() is not None


def test_in_another_thread_than_the_main_one_no_signal_is_handled() -> None:
    def ask() -> tuple[Stop | None, list[object]]:
        with StopRequest() as stop:
            return stop.reason(), [signal.getsignal(number) for number in SIGNALS]

    with ThreadPoolExecutor(1) as threads:
        assert threads.submit(ask).result() == (None, [signal.getsignal(number) for number in SIGNALS])


def test_best_epochs_weights_are_kept_and_an_equal_value_is_no_better() -> None:
    stopping, model = EarlyStopping(), nn.Linear(1, 1)
    for epoch, value in enumerate([0.5, 0.7, 0.7, 0.6], start=1):
        with torch.no_grad():
            model.weight.fill_(epoch)
        assert stopping.update(epoch, value, model) is (epoch <= 2)
        assert stopping.should_stop(patience=2) is (epoch == 4)
    assert not stopping.should_stop(patience=None)
    assert (stopping.best_epoch, stopping.best_weights["weight"].item()) == (2, 2)


def test_saves_take_a_hundredth_of_the_time_and_a_single_slow_one_does_not_put_off_the_next() -> None:
    assert seconds_between_saves([]) == 30
    assert seconds_between_saves([250, 0.2, 0.2, 250, 0.2, 0.2]) == pytest.approx(20)
    assert seconds_between_saves([0.2, 250, 250, 250]) == 1800
