"""What a label is worth: curves over numbers of labels, beside the baseline's."""

from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from report.compare.findings import analyse
from report.questions.labels import LabelCurve, label_curves
from report.read import load_study
from sentiment.runs.run_dir import Results
from tests.report.made_up import PARTS, Study

SIZES: list[int | None] = [100, 200, None]


def _study(tmp_path: Path, skills: dict[tuple[str | None, int | None], float]) -> Study:
    study = Study(Results(tmp_path / "results"))
    write_labels(study, skills)
    return study


def write_labels(study: Study, skills: dict[tuple[str | None, int | None], float]) -> None:
    """The grid `labels`, whose nets are as good as said of their vectors and number of labels."""
    runs: list[dict[str, Any]] = [
        {"data.train_rows": rows, "embedding.pretrained": vectors, "seed": seed}
        for vectors, rows in skills
        for seed in (1, 2)
    ]
    parameters: dict[str, list[Any]] = {
        "data.train_rows": SIZES,
        "embedding.pretrained": [None, "word2vec"],
        "seed": [1, 2],
    }
    for config in study.write_grid("labels", "What is a label worth?", parameters, runs):
        study.complete(config, "labels", skill=skills[config.embedding.pretrained, config.data.train_rows])


@pytest.fixture
def study(tmp_path: Path) -> Study:
    """The net alone is worse than the baseline; that with vectors is better with 200 labels and more."""
    plain = {(None, rows): skill for rows, skill in zip(SIZES, (0.1, 0.2, 0.1), strict=True)}
    vectors = {("word2vec", rows): skill for rows, skill in zip(SIZES, (0.9, 3.5, 4.5), strict=True)}
    return _study(tmp_path, plain | vectors)


def _curves(study: Study) -> dict[str | None, LabelCurve]:
    findings = analyse(load_study(study.results, []))
    curves = label_curves(findings.study.grids[0], findings.answers, study.results)
    return {"word2vec" if "word2vec" in curve.name else None: curve for curve in curves}


def test_a_curve_has_a_point_for_each_number_of_labels_with_the_baseline_on_as_many(study: Study) -> None:
    curves = _curves(study)
    assert set(curves) == {None, "word2vec"}
    for curve in curves.values():
        assert len(curve.points) == 3
        for point in curve.points:
            assert point.seeds == 2
            assert point.gap.n == point.baseline.n == PARTS["test"]
            assert point.gap.value == pytest.approx(point.net.value - point.baseline.value)
            assert point.gap.q is not None
            assert point.gap.q >= (point.gap.p or 0)


def test_a_net_pays_from_the_number_on_from_which_it_is_shown_to_beat_the_baseline(study: Study) -> None:
    curves = _curves(study)
    assert curves[None].pays_from is None
    assert curves["word2vec"].pays_from == 1
    assert "is shown to be worse than the linear baseline even with 20 labels" in curves[None].sentence
    assert "beats the linear baseline from" in curves["word2vec"].sentence
    assert "not shown with 20 labels" in curves["word2vec"].sentence


def test_a_net_as_good_as_the_baseline_is_not_called_worse(tmp_path: Path) -> None:
    curve = _curves(_study(tmp_path, dict.fromkeys(((None, rows) for rows in SIZES), 0.9)))[None]
    assert curve.pays_from is None
    assert "is not shown to beat the linear baseline even with 20 labels" in curve.sentence


def test_a_net_that_is_worse_with_the_most_labels_does_not_pay(tmp_path: Path) -> None:
    study = _study(tmp_path, {(None, rows): skill for rows, skill in zip(SIZES, (4.0, 4.0, 0.1), strict=True)})
    curve = _curves(study)[None]
    assert curve.pays_from is None
    assert "is shown to be worse than the linear baseline even with 20 labels" in curve.sentence


def test_predictions_that_cannot_be_read_are_named_and_their_point_is_left_out(study: Study) -> None:
    loaded = load_study(study.results, [])
    for run in loaded.grids[0].completed:
        if run.config.data.train_rows == 100 and run.config.embedding.pretrained is None:
            run.run_dir.predictions_file.unlink()
    assert [len(_curves(study)[vectors].points) for vectors in (None, "word2vec")] == [2, 3]
    assert any("predictions.parquet" in problem for problem in analyse(load_study(study.results, [])).problems)


def test_seeds_that_saw_another_state_of_the_file_are_left_out_where_their_tweets_cannot_be_matched(
    study: Study,
) -> None:
    run = next(run for run in load_study(study.results, []).grids[0].completed if run.config.data.train_rows == 100)
    record = run.run_dir.read_record()
    assert record
    run.run_dir.write_record(record.model_copy(update={"data_fingerprint": "f" * 64}))
    predictions = pq.read_table(run.run_dir.predictions_file)
    kept = [place for place, part in enumerate(predictions["part"].to_pylist()) if part != "test" or place % 2]
    pq.write_table(predictions.take(kept), run.run_dir.predictions_file)
    curve = _curves(study)[run.config.embedding.pretrained]
    assert curve.points[0].seeds == 2
    assert curve.points[0].gap.n == PARTS["test"]
