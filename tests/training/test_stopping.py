"""When training stops and when it saves: signals, the end of its time, patience, and what saves cost."""

import os
import signal
from concurrent.futures import ThreadPoolExecutor

import pytest
import torch
from torch import nn

from sentiment.config import EarlyStoppingConfig
from sentiment.runs.records import Metrics
from sentiment.training.checkpoint import seconds_between_saves
from sentiment.training.stop import MARGIN_SECONDS, SIGNALS, Stop, StopRequest, process_deadline
from sentiment.training.trainer import EarlyStopping


@pytest.mark.parametrize("number", SIGNALS, ids=lambda number: number.name)
def test_signal_only_sets_a_flag_and_former_handlers_are_put_back(number: signal.Signals) -> None:
    before = [signal.getsignal(one) for one in SIGNALS]
    with StopRequest() as stop:
        assert stop.reason() is None
        os.kill(os.getpid(), number)
        assert stop.reason() == stop.reason() == Stop("signal", number.name)
    assert [signal.getsignal(one) for one in SIGNALS] == before


def test_first_signal_is_told_and_a_second_ctrl_c_interrupts_at_once() -> None:
    with StopRequest() as stop:
        os.kill(os.getpid(), signal.SIGUSR1)
        os.kill(os.getpid(), signal.SIGINT)
        assert stop.reason() == Stop("signal", "SIGUSR1")
        with pytest.raises(KeyboardInterrupt):
            os.kill(os.getpid(), signal.SIGINT)


def test_deadline_counts_what_a_step_and_two_saves_cost() -> None:
    left = 3.0 + 2 * 10.0 + MARGIN_SECONDS + 0.01
    stop = StopRequest(end=left, clock=lambda: now)
    stop.steps.extend((0.5, 3.0, 0.1))
    stop.saves.extend((2.0, 10.0, 1.0))
    now = 0.0
    assert stop.reason() is None
    now = 0.02
    assert stop.reason() == Stop("deadline", "25 s left, a step and a save may need 25 s")


def test_only_recent_steps_count() -> None:
    stop = StopRequest(end=30, clock=lambda: 0.0)
    stop.saves.append(1.0)
    stop.steps.append(60.0)  # the first step of all, say, which warms everything up
    assert stop.reason() is not None
    stop.steps.extend([0.01] * 100)
    assert stop.reason() is None


def test_end_of_time_is_the_earlier_of_slurms_and_ones_own(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("SLURM_JOB_END_TIME", raising=False)
    assert process_deadline(None, start=100.0) is None
    assert process_deadline(50.0, start=100.0) == 150.0
    monkeypatch.setenv("SLURM_JOB_END_TIME", "1700000000")
    assert process_deadline(None, start=1_699_990_000.0) == 1_700_000_000.0
    assert process_deadline(50.0, start=1_699_990_000.0) == 1_699_990_050.0
    assert process_deadline(50_000.0, start=1_699_990_000.0) == 1_700_000_000.0
    for value in ("", "UNLIMITED", "-1"):
        monkeypatch.setenv("SLURM_JOB_END_TIME", value)
        assert process_deadline(None, start=0) is None


def test_in_another_thread_than_the_main_one_no_signal_is_handled() -> None:
    def ask() -> tuple[Stop | None, list[object]]:
        with StopRequest() as stop:
            return stop.reason(), [signal.getsignal(number) for number in SIGNALS]

    with ThreadPoolExecutor(1) as threads:
        assert threads.submit(ask).result() == (None, [signal.getsignal(number) for number in SIGNALS])


def _metrics(value: float) -> Metrics:
    return Metrics(
        n=2,
        loss=1 - value,
        accuracy=value,
        accuracy_low=0,
        accuracy_high=1,
        sizes=[1, 1],
        precision=[value, 0],
        recall=[value, 0],
    )


@pytest.mark.parametrize("metric", ["loss", "accuracy", "macro_recall", "macro_f1"])
def test_best_epochs_weights_are_kept(metric: str) -> None:
    stopping = EarlyStopping(EarlyStoppingConfig(metric=metric, patience=2))  # type: ignore[arg-type]
    model = nn.Linear(1, 1)
    for epoch, value in enumerate([0.5, 0.7, 0.6], start=1):
        with torch.no_grad():
            model.weight.fill_(value)
        assert stopping.update(epoch, _metrics(value), model) is (value != 0.6)
    assert stopping.best_epoch == 2
    assert stopping.best_weights["weight"].item() == pytest.approx(0.7)


def test_patience_counts_epochs_without_a_better_value_over_a_stop_and_an_equal_one_is_none() -> None:
    config, model, seen = EarlyStoppingConfig(metric="accuracy", patience=2), nn.Linear(1, 1), []
    stopping = EarlyStopping(config)
    for epoch, value in enumerate([0.5, 0.5, 0.6, 0.6, 0.4], start=1):
        resumed = EarlyStopping(config)
        resumed.load_state(stopping.state())
        resumed.update(epoch, _metrics(value), model)
        seen.append(resumed.should_stop)
        stopping = resumed
    assert seen == [False, False, False, False, True]
    assert stopping.best_epoch == 3
    assert torch.equal(stopping.best_weights["weight"], model.weight.detach())


def test_saves_take_a_hundredth_of_the_time_and_a_single_slow_one_does_not_put_off_the_next() -> None:
    assert seconds_between_saves([]) == 30
    assert seconds_between_saves([250, 0.2, 0.2, 250, 0.2, 0.2]) == pytest.approx(20)
    assert seconds_between_saves([0.2, 250, 250, 250]) == 1800
