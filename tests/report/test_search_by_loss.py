"""A search for the lowest loss: less is better, and a loss is no share."""

from types import SimpleNamespace
from typing import Any

import pytest

from report.questions.search import Search, direction, trial_points
from report.render.charts import Trial, parallel_figure
from report.render.wording import Score
from tests.report.chart_checks import rows_with

LOSS = Score("validation/loss", after=2)


def test_a_loss_is_drawn_as_it_is_and_a_share_in_per_cent() -> None:
    run: Any = SimpleNamespace(completed=None, planned=None, run_id="a")
    for score, value, said in ((LOSS, 0.412, "epoch 2: 0.412"), (Score("validation/f1"), 41.2, "epoch 2: 41.2 %")):
        last = trial_points(run, [0.7, 0.412], score)[-1]
        assert last.value == pytest.approx(value)
        assert last.said.endswith(said)
    assert LOSS.title == "validation loss after epoch 2"
    assert Score("validation/f1").title == "validation F1 (%)"


def test_trials_with_the_lowest_loss_lie_on_top() -> None:
    trials = [Trial(place, {"model.dropout": place / 10}, loss) for place, loss in enumerate((0.5, 0.4, 0.6))]
    rows = rows_with(parallel_figure("parallel", "", "", trials, LOSS).spec, "trial", "axis", "height", "score")
    assert list(dict.fromkeys(row["trial"] for row in rows)) == [2, 0, 1]  # what is drawn last lies on top


def test_a_search_describes_a_direction() -> None:
    trials = [Trial(place, {"model.dropout": place / 10, "cell": "gru"}, loss) for place, loss in enumerate((0.4, 0.6))]
    found = Search(trials, LOSS)
    assert [direction(found, name) for name in ("model.dropout", "cell")] == [" (+1.00)", ""]
