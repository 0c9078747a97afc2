"""Other people's tweets in the report: each model on each test set, paired with the baseline and the lexicon."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest

from report.build import build_report
from report.compare.elsewhere import OnTestSet
from report.compare.findings import Findings, analyse
from report.read import load_study
from report.render.blocks import Text
from report.sections.answer import answer
from report.sections.models import worse_than_the_lexicon
from report.statistics import Side, compare, spread_of
from sentiment.config_file import resolve
from sentiment.runs.records import THRESHOLD
from sentiment.runs.run_dir import Results, RunDir
from tests.report.made_up import PARTS, Study
from tests.report.written import read_table

TWO_SETS = {"manual": {"path": "more.csv"}, "airline": {"path": "sample"}}


def _write(study: Study, tests: Mapping[str, Any] = TWO_SETS, widths: tuple[int, ...] = (8, 16)) -> list[RunDir]:
    configs = [
        resolve({"data": {"source": "mine.csv", "tests": tests}}, {"model.hidden_size": width, "seed": seed}, "a test")
        for width in widths
        for seed in (1, 2, 3)
    ]
    return [study.complete(config, skill=1 + config.model.hidden_size / 10) for config in configs]


def _findings(study: Study) -> Findings:
    return analyse(load_study(study.results, []))


def _study(folder: Path, skill: float = 1.0, tweets: int = 400, **options: Any) -> Study:
    """Of nets with this skill on `manual`."""
    parts = PARTS | {"manual": tweets, "airline": 90}
    return Study(Results(folder / "results"), parts, skills={"manual": skill}, **options)


def _of(findings: Findings, tests: str, model: str) -> OnTestSet:
    """The best of these models on a test set."""
    return next(one for one in findings.elsewhere if (one.tests, one.model) == (tests, model))


def _right(run_dirs: list[RunDir], tests: str) -> dict[str, Any]:
    """Which tweets each run, its baseline and the lexicon have right, read without the program's help."""
    tables = [pq.read_table(run_dir.predictions_file).to_pandas() for run_dir in run_dirs]
    tables = [table[table["part"] == tests] for table in tables]
    columns = {"network": "score", "baseline": "baseline", "lexicon": "lexicon"}
    return {
        name: np.stack([(table[column] >= THRESHOLD) == (table["label"] == 1) for table in tables])
        for name, column in columns.items()
    }


def test_each_model_stands_on_each_test_set_with_its_accuracy(tmp_path: Path) -> None:
    study = _study(tmp_path)
    run_dirs = _write(study)
    findings = _findings(study)
    assert [(one.tests, one.model) for one in findings.elsewhere] == [
        (tests, model) for tests in ("airline", "manual") for model in ("network", "network", "baseline", "lexicon")
    ]
    assert not findings.problems
    right = _right(run_dirs[3:], "manual")  # of the wider nets, which are better
    for model in ("network", "baseline", "lexicon"):
        assert _of(findings, "manual", model).accuracy.value == pytest.approx(right[model].mean())
    assert _of(findings, "manual", "network").is_recommended
    assert sum(one.is_recommended for one in findings.elsewhere) == 2


def test_differences_are_those_of_the_one_comparison_corrected_together(tmp_path: Path) -> None:
    study = _study(tmp_path)
    run_dirs = _write(study, widths=(16,))
    findings = _findings(study)
    pairs = []
    for tests in ("airline", "manual"):
        right = _right(run_dirs, tests)
        nets, baseline, lexicon = (
            Side([right[name]], is_trained=name == "network") for name in ("network", "baseline", "lexicon")
        )
        spread = spread_of([right["network"].mean(axis=1)])
        pairs += [(nets, baseline, spread), (nets, lexicon, spread), (baseline, lexicon, None)]
    expected = compare(pairs)
    found = [gap for one in findings.elsewhere for gap in one.less.values()]
    assert [gap.value for gap in found] == pytest.approx([gap.value for gap in expected])
    assert [gap.q for gap in found] == pytest.approx([gap.q for gap in expected])


@pytest.mark.parametrize(("skill", "is_told"), [(-0.5, True), (0.35, False), (3.0, False)])
def test_first_screen_says_where_the_lexicon_is_better_only_if_that_is_shown(
    tmp_path: Path, skill: float, is_told: bool
) -> None:
    study = _study(tmp_path, skill, tweets=120)
    _write(study)
    findings = _findings(study)
    gap = _of(findings, "manual", "network").less["lexicon"]
    assert (gap.value < 0) == (skill < 1)
    assert (gap.is_shown and gap.value < 0) == is_told
    lead, *others = (block for block in answer(findings).blocks if isinstance(block, Text))
    assert lead.is_lead
    assert bool(worse_than_the_lexicon(findings)) == bool(others) == is_told
    if is_told:
        assert "On manual (120 tweets of other people) it has" in str(others[0].text)
        assert "points fewer than VADER\u2019s lexicon" in str(others[0].text)


def test_what_is_told_is_about_what_predicts(tmp_path: Path) -> None:
    study = _study(tmp_path, skill=-3.0)
    for run_dir in _write(study, widths=(4,)):  # the nets are bad everywhere, so the baseline is recommended
        config = run_dir.read_config()
        study.complete(config, skill=0.05)
    findings = _findings(study)
    assert findings.recommended
    assert findings.recommended.predicts == "baseline"
    assert _of(findings, "manual", "baseline").is_recommended
    assert _of(findings, "manual", "network").less["lexicon"].is_shown
    assert worse_than_the_lexicon(findings) == []


def test_balanced_accuracy_stands_beside_accuracy_where_labels_are_unbalanced(tmp_path: Path) -> None:
    for name, every, is_shown in (("balanced", 2, False), ("unbalanced", 5, True)):
        study = _study(tmp_path / name, every={"manual": every})
        _write(study, widths=(8,))
        findings = _findings(study)
        one = _of(findings, "manual", "network")
        folder = tmp_path / name / "report"
        build_report(study.results, [], folder)
        assert ("Balanced accuracy" in (folder / "report.md").read_text()) == is_shown
        if is_shown:
            recalls = [run.result.metrics["manual"].recall for run in one.configuration.runs]
            n, positive = len(one.labels), int(one.labels.sum())
            right = [run.result.metrics["manual"].accuracy * n for run in one.configuration.runs]
            others = [
                (all_right - recall * positive) / (n - positive)
                for all_right, recall in zip(right, recalls, strict=True)
            ]
            assert one.balanced == pytest.approx((np.mean(recalls) + np.mean(others)) / 2)


def test_each_fold_of_a_run_counts_on_the_whole_test_set(tmp_path: Path) -> None:
    study = _study(tmp_path)
    run_dirs = [
        study.complete(
            resolve({"data": {"source": "mine.csv", "folds": 3, "fold": fold, "tests": TWO_SETS}}, {}, "a test"),
            skill=1 + fold / 10,
        )
        for fold in (1, 2, 3)
    ]
    net = _of(_findings(study), "manual", "network")
    right = _right(run_dirs, "manual")
    assert (len(net.labels), len(net.configuration.runs)) == (400, 1)
    assert net.accuracy.value == pytest.approx(right["network"].mean())
    assert net.less["lexicon"].value == pytest.approx(right["network"].mean() - right["lexicon"].mean())


def test_tweets_of_the_lexicons_authors_are_marked(tmp_path: Path) -> None:
    study = _study(tmp_path, skill=-3.0)
    _write(study, tests={"manual": {"path": "vader"}, "airline": {"path": "airline.csv"}})
    (told,) = worse_than_the_lexicon(_findings(study))
    assert "by the authors of VADER's lexicon" in told
    build_report(study.results, [], tmp_path / "report")
    text = (tmp_path / "report" / "report.md").read_text()
    assert "manual: These tweets were collected and rated by the authors of VADER's lexicon" in text
    assert "airline: These tweets" not in text


def test_predictions_that_cannot_be_read_stop_nothing(tmp_path: Path) -> None:
    study = _study(tmp_path)
    first, *_ = _write(study, widths=(8,))
    first.predictions_file.write_bytes(b"")
    findings = _findings(study)
    assert any(str(first.predictions_file) in problem for problem in findings.problems)
    assert _of(findings, "manual", "network").accuracy.value > 0


def test_many_nets_are_folded_away_but_for_the_best(tmp_path: Path) -> None:
    study = _study(tmp_path)
    _write(study, widths=tuple(range(4, 16)))
    build_report(study.results, [], tmp_path / "report")
    shown, rest = (read_table(tmp_path / "report", name) for name in ("elsewhere", "elsewhere-rest"))
    assert (len(shown), len(rest)) == (2 * (10 + 2), 2 * 2)
    assert [row["model"][0] == "\u2605" for row in shown if row["tests"] == "manual"].count(True) == 1
