"""A setting's effect is measured between runs that differ in nothing else that does anything."""

from pathlib import Path
from typing import Any

import pytest

from report.analysis.questions.effects import effects_of, matched_differences, varying
from report.analysis.questions.effects import test_accuracy as accuracy
from report.read.load import CompletedRun, load_study
from sentiment.run_dir import Results
from tests.report.made_up import Study


def _completed(tmp_path: Path, runs: list[dict[str, Any]]) -> list[CompletedRun]:
    study = Study(Results(tmp_path / "results"))
    for number, config in enumerate(study.write_grid("grid", "Which?", {}, runs)):
        study.complete(config, "grid", skill=0.5 + 0.3 * number)
    return load_study(study.results, []).grids[0].completed


def test_what_does_nothing_on_one_side_keeps_no_pair_apart(tmp_path: Path) -> None:
    alone, beside = {"elmo.model": "small", "elmo.combine": "alone"}, {"elmo.model": "small", "elmo.combine": "beside"}
    runs = _completed(tmp_path, [alone, beside | {"embedding.size": 16}])
    assert varying(runs) == ["elmo.combine"]
    (difference,) = matched_differences(runs, "elmo.combine", "alone", "beside", accuracy)
    assert difference == pytest.approx(accuracy(runs[0]) - accuracy(runs[1]))


def test_run_that_lacks_a_setting_is_paired_with_the_mean_over_its_values(tmp_path: Path) -> None:
    hops = [{"model.pooling": "attention", "model.attention.r": r} for r in (1, 5)]
    last, one, five = _completed(tmp_path, [{"model.pooling": "last"}, *hops])
    (difference,) = matched_differences([last, one, five], "model.pooling", "last", "attention", accuracy)
    assert difference == pytest.approx(accuracy(last) - (accuracy(one) + accuracy(five)) / 2)


def test_runs_in_which_a_setting_does_nothing_have_no_say_about_it(tmp_path: Path) -> None:
    runs = [{"model.pooling": "last"}, *({"model.pooling": "attention", "model.attention.r": r} for r in (1, 5))]
    (hops,) = [one for one in effects_of(_completed(tmp_path, runs)) if one.parameter == "model.attention.r"]
    assert [(level.value, level.score.n) for level in hops.levels] == [(1, 1), (5, 1)]
