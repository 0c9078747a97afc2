"""A search for the lowest loss: less is better, and a loss is no share."""

from types import SimpleNamespace
from typing import Any

import pytest

from report.questions.rungs import TrialProgress, rung_line
from report.questions.search import Search
from report.render.charts.parallel import Trial, parallel_figure
from report.render.wording import Score
from report.statistics import Estimate
from tests.report.chart_checks import rows_with

LOSS = Score("validation/loss", after=2)


def test_a_loss_is_drawn_as_it_is_and_a_share_in_per_cent() -> None:
    run: Any = SimpleNamespace(completed=None)
    trial = TrialProgress(0, run, 0, None, None, [0.7, 0.412], {"model.dropout": 0.1})
    for score, value, said in ((LOSS, 0.412, "epoch 2: 0.412"), (Score("validation/f1"), 41.2, "epoch 2: 41.2 %")):
        last = rung_line(trial, score).points[-1]
        assert last.value == pytest.approx(value)
        assert last.said.endswith(said)
    assert LOSS.title == "validation loss after epoch 2"
    assert Score("validation/f1").title == "validation F1 (%)"


def test_trials_with_the_lowest_loss_lie_on_top() -> None:
    trials = [Trial(place, {"model.dropout": place / 10}, loss) for place, loss in enumerate((0.5, 0.4, 0.6))]
    rows = rows_with(parallel_figure("parallel", "", "", trials, LOSS).spec, "trial", "axis", "height", "score")
    assert list(dict.fromkeys(row["trial"] for row in rows)) == [2, 0, 1]  # what is drawn last lies on top


def test_a_search_describes_a_direction_and_claims_none() -> None:
    trials = [Trial(place, {"model.dropout": place / 10}, loss) for place, loss in enumerate((0.4, 0.5, 0.6))]
    found = Search([], trials, LOSS, {"model.dropout": Estimate(0.8, 0.6, 0.9, 3)})
    assert "dropout 80.0 % (60.0\u201390.0; rank correlation +1.00)" in found.importance_sentence
    assert "better" not in found.importance_sentence
