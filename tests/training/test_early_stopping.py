"""Which epoch is the best, and when patience ends."""

import pytest
import torch
from torch import nn

from sentiment.config import EarlyStoppingConfig
from sentiment.runs.records import Metrics
from sentiment.training.trainer import EarlyStopping


def _metrics(value: float) -> Metrics:
    return Metrics(
        n=1, loss=1 - value, accuracy=value, accuracy_low=0, accuracy_high=1, precision=0, recall=0, f1=value / 2
    )


@pytest.mark.parametrize("metric", ["loss", "accuracy", "f1"])
def test_best_epochs_weights_are_kept(metric: str) -> None:
    stopping = EarlyStopping(EarlyStoppingConfig(metric=metric, patience=2))  # type: ignore[arg-type]
    model = nn.Linear(1, 1)
    for epoch, value in enumerate([0.5, 0.7, 0.6], start=1):
        with torch.no_grad():
            model.weight.fill_(value)
        assert stopping.update(epoch, _metrics(value), model) is (value != 0.6)
    assert stopping.best_epoch == 2
    assert stopping.best_weights["weight"].item() == pytest.approx(0.7)


def test_patience_counts_epochs_without_a_better_value_and_an_equal_one_is_none() -> None:
    stopping = EarlyStopping(EarlyStoppingConfig(metric="accuracy", patience=2))
    model = nn.Linear(1, 1)
    seen = []
    for epoch, value in enumerate([0.5, 0.5, 0.6, 0.6, 0.4], start=1):
        stopping.update(epoch, _metrics(value), model)
        seen.append(stopping.should_stop)
    assert seen == [False, False, False, False, True]
    assert stopping.best_epoch == 3


def test_it_goes_on_from_its_state() -> None:
    config = EarlyStoppingConfig(metric="accuracy", patience=2)
    stopping, other = EarlyStopping(config), EarlyStopping(config)
    for epoch, value in enumerate([0.5, 0.4], start=1):
        stopping.update(epoch, _metrics(value), nn.Linear(1, 1))
    other.load_state_dict(stopping.state_dict())
    assert not other.should_stop
    assert other.update(3, _metrics(0.45), nn.Linear(1, 1)) is False
    assert other.should_stop
    assert torch.equal(other.best_weights["weight"], stopping.best_weights["weight"])
