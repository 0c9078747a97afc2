"""What a search finds, and what its rungs save."""

from itertools import product
from types import SimpleNamespace
from typing import Any
from unittest.mock import patch

import numpy as np
import pytest

import report.questions.search as search_module
from report.questions.search import (
    SearchTrials,
    importances,
    rank_correlation,
    trial_points,
    trials_for_importance,
)
from report.render.charts import Figure, Trial, parallel_figure
from report.render.wording import Score
from sentiment.blocks.content import Text
from sentiment.runs.halving import RankedTrial, RungRanking
from sentiment.runs.records import PlannedRun
from tests.invented import combinations
from tests.report.made_up import Study, rows_with

LOSS = Score("validation/loss", after=2)


def test_bounds_of_importance_are_the_middle_90_percent_of_its_resamples() -> None:
    shares = iter([{"a": 0.5}, *({"a": number / 19} for number in range(20))])
    with patch.object(search_module, "_fanova", lambda *_: next(shares)):
        share = importances([{"a": 1}] * 3, [0.1, 0.2, 0.3])["a"]
    assert (share.value, share.low, share.high) == (0.5, pytest.approx(0.05), pytest.approx(0.95))


def test_trials_on_different_tweets_are_not_compared_with_each_other(study: Study) -> None:
    parameters: dict[str, list[Any]] = {"data.source": ["easy.csv", "hard.csv"], "training.learning_rate": [1e-4, 1e-3]}
    for config in study.write_grid("sweep", "Which?", combinations(parameters), method="random"):
        study.complete(config, "sweep", skill=2.0 if config.data.source == "easy.csv" else 0.5)
    cards = search_module.search(study.findings()).cards
    assert [card.title.partition("?")[2] for card in cards] == [" (easy.csv)", " (hard.csv)"]
    for card in cards:
        said = card.blocks[0]
        assert isinstance(said, Text)
        assert said.text.startswith("Best of 2 trials on validation tweets: learning rate 0.0")
    names = [block.name for card in cards for block in card.blocks if isinstance(block, Figure)]
    assert names == ["parallel-sweep", "parallel-sweep-1"]


@pytest.mark.parametrize(("scores", "tied"), [((3, 2, 1, 1), 0), ((3, 2, 2, 1), 2), ((2, 2, 2, 2), 4), ((2, 1), 0)])
def test_ranking_counts_the_trials_that_are_tied_at_the_cut(scores: tuple[float, ...], tied: int) -> None:
    trials = [RankedTrial(run_id=f"{rank}", value=score, epoch=1) for rank, score in enumerate(scores)]
    ranking = RungRanking(rung=0, epochs=1, promoted=2, trials=trials)
    assert ranking.tied_at_cut == tied
    assert ("tied" in ranking.describe()) == bool(tied)


def test_a_search_for_the_lowest_loss_draws_it_as_it_is_with_the_lowest_on_top() -> None:
    run: Any = SimpleNamespace(completed=None, planned=None, run_id="a")
    f1 = Score("validation/macro_f1")
    for score, value, said in ((LOSS, 0.412, "epoch 2: 0.412"), (f1, 41.2, "epoch 2: 41.2 %")):
        last = trial_points(run, [0.7, 0.412], score)[-1]
        assert last.value == pytest.approx(value)
        assert last.tooltip.endswith(said)
    assert (LOSS.title, f1.title) == ("validation loss after epoch 2", "validation macro F1 (%)")
    losses = enumerate((0.5, 0.4, 0.6))
    trials = [Trial(index, {"model.dropout": index / 10, "cell": "gru"}, loss) for index, loss in losses]
    rows = rows_with(parallel_figure("parallel", "", "", trials, LOSS).spec, "trial", "axis", "height", "score")
    assert list(dict.fromkeys(row["trial"] for row in rows)) == [2, 0, 1]  # what is drawn last lies on top
    assert [rank_correlation(SearchTrials(trials, LOSS), name) for name in ("model.dropout", "cell")] == [
        " (+0.50)",
        "",
    ]


def test_setting_in_which_no_trials_with_a_score_differ_is_not_drawn() -> None:
    """As where all trials of the larger network ran out of memory."""
    runs = []
    ranked = []
    for index, (dropout, width) in enumerate(product([0.0, 0.1], [64, 1024])):
        parameters = {"model.dropout": dropout, "model.hidden_size": width}
        runs.append(PlannedRun(index=index, run_id=f"{index}", parameters=parameters))
        ranked.append(RankedTrial(run_id=f"{index}", value=0.5 + dropout if width == 64 else None, epoch=1))
    ranked.sort(key=lambda trial: trial.value is None)
    ranking = RungRanking(rung=0, epochs=1, promoted=1, trials=ranked)
    plan = SimpleNamespace(metric="validation/accuracy", runs=runs)
    grid: Any = SimpleNamespace(rungs=SimpleNamespace(plan=plan, rankings=[ranking]))
    search = trials_for_importance(grid)
    assert [trial.settings for trial in search.trials] == [{"model.dropout": 0.0}, {"model.dropout": 0.1}]


@pytest.mark.slow
def test_importance_finds_the_shares_of_a_known_variance() -> None:
    rng = np.random.default_rng(1)
    settings = [{"a": float(rng.random()), "b": float(rng.random()), "c": bool(rng.random() < 0.5)} for _ in range(120)]
    with patch.object(search_module, "_RESAMPLES", 2):
        shares = importances(settings, [3 * one["a"] + one["b"] for one in settings])  # variances 9 : 1 : 0
    assert list(shares)[:2] == ["a", "b"]
    assert shares["a"].value == pytest.approx(0.9, abs=0.07)
    assert shares["c"].value < 0.02
    assert all((share.low or 0) <= (share.high or 0) for share in shares.values())


def test_trial_has_no_value_of_a_setting_that_has_no_effect_in_it(study: Study) -> None:
    runs = [{"model.pooling": "mean"}, *combinations({"model.pooling": ["attention"], "model.attention.r": [3, 7]})]
    for config in study.write_grid("sweep", "Which?", runs, method="random"):
        study.complete(config, "sweep", skill=2.0 if config.model.pooling == "mean" else 0.5)
    (grid,) = study.findings().study.grids
    settings = [trial.settings for trial in trials_for_importance(grid).trials]
    hops = {(of_trial["model.pooling"], of_trial["model.attention.r"]) for of_trial in settings}
    assert hops == {("mean", None), ("attention", 3), ("attention", 7)}
    (card,) = search_module.search(study.findings()).cards
    said = card.blocks[0]
    assert isinstance(said, Text)
    assert "pooling mean" in said.text
    assert "attention" not in said.text
