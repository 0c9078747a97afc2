"""What is said of runs, searches and records, where the expected report has no such run."""

from collections import Counter
from typing import Any

import pytest

from report.questions.search import promotion
from report.render.wording import Score, parameter_value
from report.sections.provenance import commit, counted, resumed
from report.sections.tables import choice_caption
from sentiment.answers.recommendation import Choice
from sentiment.runs.halving import RankedTrial, RungRanking
from sentiment.statistics.estimate import Estimate
from tests.invented import attempt


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"git_commit": None}, "commit not known"),
        ({"git_commit": "c" * 40, "git_remote": None}, f"commit {'c' * 12}"),
        (
            {"git_commit": "c" * 40, "git_remote": "https://host.org/a/b", "git_dirty": True},
            f"commit [{'c' * 12}](https://host.org/a/b/commit/{'c' * 40}) with uncommitted changes",
        ),
    ],
)
def test_commit_is_a_link_where_its_repository_has_an_address(fields: dict[str, Any], said: str) -> None:
    assert commit(attempt(**fields)) == said


def test_several_values_are_counted_and_runs_of_several_kinds_are_named() -> None:
    assert counted(Counter({"CPU": 1, "GPU *": 2}), "run") == r"GPU \* (2 runs); CPU (1 run)"
    assert counted(Counter({"CPU": 3}), "run") == "CPU"
    kinds = {"a": {"x", "y"}, "b": {"x"}}
    assert resumed(kinds, "elsewhere") == ["1 run was resumed elsewhere: a."]
    assert resumed({"b": {"x"}}, "elsewhere") == []


def test_promotion_says_what_decided_between_equal_trials_and_how_many_failed() -> None:
    trials = [RankedTrial(run_id=str(rank), value=value, epoch=1) for rank, value in enumerate((0.5, 0.5, None))]
    said = promotion(RungRanking(rung=0, epochs=2, promoted=1, trials=trials), Score("validation/macro_f1"))
    assert said == (
        "After epoch 2 the search promoted the best 1 of 3 trials; 2 trials, some promoted and some pruned, had the "
        "same validation macro F1: validation loss, then the order of the plan, decided between them; 1 without a "
        "score ranked last."
    )


def test_choice_says_how_many_labels_it_rests_on() -> None:
    score = Estimate(0.8, 0.7, 0.9, 50)
    choice = Choice(
        source="t.csv", tweets=1_000, differing=200, labels=50, labels_where_different=40, skipped=2,
        metric="accuracy", accuracy={"a": score}, macro_recall=None, best="a", differences={}, labels_to_show={},
    )  # fmt: skip
    said = choice_caption(choice)
    assert "1,000 tweets of t.csv, on 200 of which the predictors differ, from the labels of 50 tweets, 40 of" in said
    assert said.endswith(" 2 more tweets were found to be of no class.")


def test_values_of_a_setting_that_differ_are_shown_differently() -> None:
    values = [0.001, 0.0010000001, 1e-05, 256.0, 0.30000000000000004]
    shown = [parameter_value("training.learning_rate", value) for value in values]
    assert shown == ["0.001", "0.0010000001", "1e-05", "256", "0.30000000000000004"]
