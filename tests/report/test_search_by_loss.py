"""A search for the lowest loss: less is better, and a loss is no share."""

import pytest

from report.analysis.search.trials import ComparedTrial, Search
from report.render.charts.parallel import Trial, parallel_figure
from report.render.charts.rungs import RungCurve, rung_curves
from report.render.wording import Score
from report.sections.grids.search import direction_sentence
from report.statistics import Correlation
from tests.report.chart_checks import rows_with

LOSS = Score("validation/loss", after=2)


@pytest.mark.parametrize(("metric", "word"), [("validation/loss", "Less"), ("validation/f1", "More")])
def test_direction_says_what_is_better_and_not_what_raises_the_score(metric: str, word: str) -> None:
    correlation = Correlation(0.8, 0.5, 0.9, 30, 0.001, 0.002)
    trials = [ComparedTrial(0, {"model.dropout": 0.1}, 0.5)]
    found = Search([], trials, metric, 1, ["model.dropout"], {}, {"model.dropout": correlation})
    sentence = direction_sentence(found, "model.dropout")
    assert sentence
    assert sentence.startswith(f"{word} is better for dropout")


def test_a_loss_is_drawn_as_it_is_and_a_share_in_per_cent() -> None:
    curves = [RungCurve(0, "trial 0", [0.7, 0.412], completed=True)]
    for score, value, said in ((LOSS, 0.412, "epoch 2: 0.412"), (Score("validation/f1"), 41.2, "epoch 2: 41.2 %")):
        rows = rows_with(rung_curves("rungs", "", "", curves, [1], score).spec, "epoch", "value", "said")
        assert rows[-1]["value"] == pytest.approx(value)
        assert rows[-1]["said"].endswith(said)
    assert LOSS.title == "validation loss after epoch 2"
    assert Score("validation/f1").title == "validation F1 (%)"


def test_trials_with_the_lowest_loss_lie_on_top() -> None:
    trials = [Trial(place, {"model.dropout": place / 10}, loss) for place, loss in enumerate((0.5, 0.4, 0.6))]
    rows = rows_with(parallel_figure("parallel", "", "", trials, LOSS).spec, "trial", "axis", "height", "score")
    assert list(dict.fromkeys(row["trial"] for row in rows)) == [2, 0, 1]  # what is drawn last lies on top
