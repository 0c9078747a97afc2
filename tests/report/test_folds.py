"""Cross-validation in the report: the folds of a configuration count as one run, tested once on each tweet."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from report.compare.findings import Findings, analyse
from report.compare.matching import pool_folds
from report.questions.labels import label_curves
from report.questions.settings import Effect, effects_of
from report.read import load_study, read_scores
from report.render.blocks import Table
from report.sections.models import check_list
from sentiment.runs.records import MEASURED_MODELS, NETWORK
from sentiment.runs.run_dir import Results
from tests.report.made_up import PARTS, Study

FOLDS, SEEDS = [1, 2, 3], [1, 2]


@pytest.fixture
def study(tmp_path: Path) -> Study:
    """A grid of two cells, two seeds and three folds."""
    study = Study(Results(tmp_path / "results"))
    runs: list[dict[str, Any]] = [
        {"model.cell": cell, "seed": seed, "data.folds": 3, "data.fold": fold}
        for cell in ("lstm", "gru")
        for seed in SEEDS
        for fold in FOLDS
    ]
    parameters: dict[str, list[Any]] = {"model.cell": ["lstm", "gru"], "seed": SEEDS, "data.folds": [3]}
    for config in study.write_grid("small", "Which cell?", parameters | {"data.fold": FOLDS}, runs):
        study.complete(config, "small", skill=1.0 + 0.1 * (config.data.fold or 0) + 0.3 * (config.model.cell == "gru"))
    return study


def _findings(study: Study) -> Findings:
    return analyse(load_study(study.results, []))


def _effects(study: Study) -> list[Effect]:
    findings = _findings(study)
    return effects_of(findings.study.grids[0].completed, findings.answers)


def test_all_folds_of_a_configuration_and_seed_are_one_run_on_all_of_their_test_tweets(study: Study) -> None:
    findings = _findings(study)
    (dataset,) = findings.datasets
    assert (dataset.folds, len(dataset.runs)) == (3, 4)
    assert [len(one.runs) for one in dataset.configurations] == [2, 2]
    for run in dataset.runs:
        test = run.result.metrics["test"]
        assert test.n == 3 * PARTS["test"] == len(dataset.answers.by_run[run.run_id].rows)
        folds = [fold.result.metrics["test"] for fold in run.folds]
        assert test.accuracy == pytest.approx(np.mean([fold.accuracy for fold in folds]))
        assert test.accuracy_high - test.accuracy_low < 0.7 * (folds[0].accuracy_high - folds[0].accuracy_low)
        mean = np.mean([fold.result.baseline["test"].accuracy for fold in run.folds])
        assert run.result.baseline["test"].accuracy == pytest.approx(mean)
        scores = read_scores(run, "test")
        assert scores is not None
        assert len(scores.model) == test.n
    assert not findings.problems


def test_check_list_in_the_report_is_a_mean_over_seeds_and_folds(study: Study) -> None:
    findings = _findings(study)
    assert findings.recommended is not None
    (table,) = check_list(findings).blocks
    assert isinstance(table, Table)
    runs = [fold for run in findings.recommended.configuration.runs for fold in run.folds]
    right = [[fold.result.check_list[name]["but"].right for fold in runs] for name in MEASURED_MODELS]
    assert len({*right[0]}) > 1
    assert [table.rows[0][name] for name in ("capability", "of")] == ["but", 12]
    assert [table.rows[0][name] for name in MEASURED_MODELS] == pytest.approx([np.mean(one) for one in right])
    assert [row["of"] for row in table.rows] == [12, 14, 26]
    assert table.rows[2][NETWORK] == table.rows[0][NETWORK] + table.rows[1][NETWORK]


def test_pooled_precision_and_f1_are_those_of_all_tweets_together(study: Study) -> None:
    run = _findings(study).datasets[0].runs[0]
    scores = read_scores(run, "test")
    assert scores is not None
    said, test = scores.model >= 0.5, run.result.metrics["test"]
    assert test.precision == pytest.approx(scores.labels[said].mean())
    assert test.recall == pytest.approx(said[scores.labels].mean())
    assert test.f1 == pytest.approx(2 / (1 / test.precision + 1 / test.recall))


def test_folds_are_no_setting_whose_effect_is_told(study: Study) -> None:
    (effect,) = _effects(study)
    assert effect.parameter == "model.cell"
    assert [len(level.runs) for level in effect.levels] == [2, 2]


@pytest.mark.parametrize("what", ["missing", "damaged"])
def test_runs_stay_single_where_a_fold_is_missing_or_cannot_be_read(study: Study, what: str) -> None:
    loaded = load_study(study.results, [])
    path = loaded.grids[0].completed[0].run_dir.path
    (path / "result.json" if what == "missing" else path / "predictions.parquet").unlink()
    completed = load_study(study.results, []).grids[0].completed
    pooled = pool_folds(completed)
    assert sum(bool(run.folds) for run in pooled) == 3
    assert sum(not run.folds for run in pooled) == (2 if what == "missing" else 3)
    if what == "damaged":
        assert any("predictions.parquet" in problem for problem in _findings(study).problems)


def test_folds_of_other_training_tweets_are_not_compared_by_the_places_of_their_tweets(tmp_path: Path) -> None:
    study = Study(Results(tmp_path / "results"))
    runs: list[dict[str, Any]] = [
        {"data.train_rows": rows, "seed": seed, "data.folds": 2, "data.fold": fold}
        for rows in (10, 20)
        for seed in SEEDS
        for fold in (1, 2)
    ]
    for config in study.write_grid("labels", "What is a label worth?", {"data.train_rows": [10, 20]}, runs):
        study.complete(config, "labels", skill=float(config.data.train_rows or 0) / 10)
    findings = _findings(study)
    corpora = {answered.corpus for answered in findings.datasets[0].answers.by_run.values()}
    assert len(corpora) == 2
    assert findings.recommended
    assert findings.recommended.rivals == []
    (curve,) = label_curves(findings.study.grids[0], findings.answers, study.results)
    assert [point.gap.n for point in curve.points] == [2 * PARTS["test"]] * 2
