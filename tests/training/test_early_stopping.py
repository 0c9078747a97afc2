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


def test_patience_counts_epochs_without_a_better_value_over_a_stop_and_an_equal_one_is_none() -> None:
    config, model, seen = EarlyStoppingConfig(metric="accuracy", patience=2), nn.Linear(1, 1), []
    stopping = EarlyStopping(config)
    for epoch, value in enumerate([0.5, 0.5, 0.6, 0.6, 0.4], start=1):
        resumed = EarlyStopping(config)
        resumed.load_state_dict(stopping.state_dict())
        resumed.update(epoch, _metrics(value), model)
        seen.append(resumed.should_stop)
        stopping = resumed
    assert seen == [False, False, False, False, True]
    assert stopping.best_epoch == 3
    assert torch.equal(stopping.best_weights["weight"], model.weight.detach())
