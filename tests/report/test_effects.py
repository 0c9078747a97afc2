"""A setting's effect is measured between runs that differ in nothing else that does anything."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from report.compare.findings import analyse
from report.compare.matching import matched_runs, varying
from report.questions.settings import Effect, effects_of
from report.read import CompletedRun, load_study
from sentiment.runs.run_dir import Results
from tests.report.made_up import Study


def _study(tmp_path: Path, runs: list[dict[str, Any]], skills: list[float] | None = None) -> Study:
    study = Study(Results(tmp_path / "results"))
    for number, config in enumerate(study.write_grid("grid", "Which?", {}, runs)):
        study.complete(config, "grid", skill=skills[number] if skills else 0.5 + 0.3 * number)
    return study


def _completed(tmp_path: Path, runs: list[dict[str, Any]]) -> list[CompletedRun]:
    return load_study(_study(tmp_path, runs).results, []).grids[0].completed


def _effects(study: Study) -> list[Effect]:
    findings = analyse(load_study(study.results, []))
    return effects_of(findings.study.grids[0].completed, findings.answers)


def test_what_does_nothing_on_one_side_keeps_no_runs_apart(tmp_path: Path) -> None:
    alone, beside = {"elmo.model": "small", "elmo.combine": "alone"}, {"elmo.model": "small", "elmo.combine": "beside"}
    runs = _completed(tmp_path, [alone, beside | {"embedding.size": 16}])
    assert varying(runs) == ["elmo.combine"]
    (matched,) = matched_runs(runs, "elmo.combine", "alone", "beside")
    assert matched == ([runs[0]], [runs[1]])


def test_run_that_lacks_a_setting_is_compared_with_all_of_its_values_together(tmp_path: Path) -> None:
    hops = [{"model.pooling": "attention", "model.attention.r": r} for r in (1, 5)]
    last, one, five = _completed(tmp_path, [{"model.pooling": "last"}, *hops])
    (matched,) = matched_runs([last, one, five], "model.pooling", "last", "attention")
    assert matched == ([last], [one, five])


def test_seeds_of_one_configuration_stand_together_and_others_apart(tmp_path: Path) -> None:
    runs = [{"model.cell": cell, "model.hidden_size": size, "seed": seed}
            for cell in ("lstm", "gru") for size in (8, 16) for seed in (1, 2, 3)]  # fmt: skip
    matched = matched_runs(_completed(tmp_path, runs), "model.cell", "lstm", "gru")
    assert [(len(first), len(second)) for first, second in matched] == [(3, 3), (3, 3)]
    for first, second in matched:
        assert len({run.config.model.hidden_size for run in (*first, *second)}) == 1


def test_runs_in_which_a_setting_does_nothing_have_no_say_about_it(tmp_path: Path) -> None:
    runs = [{"model.pooling": "last"}, *({"model.pooling": "attention", "model.attention.r": r} for r in (1, 5))]
    (hops,) = [one for one in _effects(_study(tmp_path, runs)) if one.parameter == "model.attention.r"]
    assert [(level.value, len(level.runs)) for level in hops.levels] == [(1, 1), (5, 1)]


def test_best_value_is_chosen_on_validation_tweets_whatever_test_tweets_say(tmp_path: Path) -> None:
    runs = [{"model.cell": cell, "seed": seed} for cell in ("lstm", "gru") for seed in (1, 2)]
    study = Study(
        Results(tmp_path / "results"), turned=True
    )  # the better on validation tweets are worse on test tweets
    for config in study.write_grid("grid", "Which?", {}, runs):
        study.complete(config, "grid", skill=2.0 if config.model.cell == "gru" else 0.5)
    (effect,) = _effects(study)
    (contrast,) = effect.contrasts
    assert contrast.best.value == "gru"
    assert contrast.score
    assert contrast.score.value < 0


def test_effect_counts_tweets_as_well_as_seeds(tmp_path: Path) -> None:
    runs = [{"model.cell": cell, "seed": seed} for cell in ("lstm", "gru") for seed in (1, 2)]
    (effect,) = _effects(_study(tmp_path, runs, [0.9, 0.91, 1.3, 1.31]))
    (contrast,) = effect.contrasts
    assert contrast.score
    assert contrast.score.n == 120
    assert contrast.runs == (2, 2)
    assert len(contrast.score.parts) == 2
    accuracies = {one.value: one.accuracy for one in effect.levels}
    assert contrast.score.value == pytest.approx(accuracies["gru"] - accuracies["lstm"])
    assert not np.isnan(contrast.score.p or 0.0)


def test_without_predictions_a_difference_is_not_compared(tmp_path: Path) -> None:
    study = _study(tmp_path, [{"model.cell": "lstm"}, {"model.cell": "gru"}])
    for run in load_study(study.results, []).grids[0].completed:
        if run.config.model.cell == "gru":
            run.run_dir.predictions_file.unlink()
    (effect,) = _effects(study)
    assert [one.score for one in effect.contrasts] == [None]


def test_runs_without_elmo_have_no_say_about_its_settings(tmp_path: Path) -> None:
    runs = [{"elmo.model": model, "seed": seed} for model in ("none", "small") for seed in (1, 2)]
    (effect,) = _effects(_study(tmp_path, runs, [0.5, 0.5, 4.0, 4.0]))
    (contrast,) = effect.contrasts
    assert (effect.parameter, contrast.best.value, contrast.other.value) == ("elmo.model", "small", None)
    assert effect.sentence.startswith("Best on validation tweets: ELMo model small; it beats no ELMo (+")


def test_where_labels_vary_a_setting_is_told_for_each_number_of_them(tmp_path: Path) -> None:
    runs: list[dict[str, Any]] = [
        {"data.train_rows": rows, "elmo.model": model, "seed": seed}
        for rows in (100, None)
        for model in ("none", "pretrained/tweet")
        for seed in (1, 2)
    ]
    helps = [4.0 if one["data.train_rows"] and one["elmo.model"] != "none" else 0.5 for one in runs]
    few, every = _effects(_study(tmp_path, runs, helps))
    assert [(one.parameter, one.labels) for one in (few, every)] == [("elmo.model", 100), ("elmo.model", None)]
    (gain,) = few.contrasts
    assert (gain.best.value, gain.runs) == ("pretrained/tweet", (2, 2))
    assert gain.score
    assert gain.score.value == pytest.approx(gain.best.accuracy - gain.other.accuracy)
    assert gain.score.is_shown
    assert "at most 100 labels" in few.context
    assert all(one.score and not one.score.is_shown for one in every.contrasts)
