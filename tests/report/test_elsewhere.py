"""Other people's tweets in the report: each model on each test set, paired with the baseline and the lexicon."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest

from report.build import compose
from report.compare.elsewhere import OnTestSet
from report.compare.findings import Findings
from report.render.blocks import Table, Text
from report.sections.answer import answer
from report.sections.models import elsewhere, worse_than_the_lexicon
from report.statistics import Side, compare, spread_of
from sentiment.config_file import resolve
from sentiment.runs.records import THRESHOLD
from sentiment.runs.run_dir import Results, RunDir
from tests.report.made_up import PARTS, Study

TWO_SETS = {"manual": {"path": "more.csv"}, "airline": {"path": "sample"}}


def _write(study: Study, tests: Mapping[str, Any] = TWO_SETS, widths: tuple[int, ...] = (8, 16)) -> list[RunDir]:
    configs = [
        resolve({"data": {"source": "mine.csv", "tests": tests}}, {"model.hidden_size": width, "seed": seed}, "a test")
        for width in widths
        for seed in (1, 2, 3)
    ]
    return [study.complete(config, skill=1 + config.model.hidden_size / 10) for config in configs]


def _study(folder: Path, skill: float = 1.0, tweets: int = 400, **options: Any) -> Study:
    parts = PARTS | {"manual": tweets, "airline": 90}
    return Study(Results(folder / "results"), parts, skills={"manual": skill}, **options)


def _of(findings: Findings, tests: str, model: str) -> OnTestSet:
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


def test_each_model_stands_on_each_test_set_with_the_one_comparison_corrected_together(tmp_path: Path) -> None:
    study = _study(tmp_path)
    run_dirs = _write(study, widths=(16,))
    findings = study.findings()
    assert [(one.tests, one.model) for one in findings.elsewhere] == [
        (tests, model) for tests in ("airline", "manual") for model in ("network", "baseline", "lexicon")
    ]
    assert not findings.problems
    assert [one.model for one in findings.elsewhere if one.is_recommended] == ["network"] * 2
    pairs = []
    for tests in ("airline", "manual"):
        right = _right(run_dirs, tests)
        for model in ("network", "baseline", "lexicon"):
            assert _of(findings, tests, model).accuracy.value == pytest.approx(right[model].mean())
        nets, baseline, lexicon = (
            Side([right[name]], is_trained=name == "network") for name in ("network", "baseline", "lexicon")
        )
        spread = spread_of([right["network"].mean(axis=1)])
        pairs += [(nets, baseline, spread), (nets, lexicon, spread), (baseline, lexicon, None)]
    found = [gap for one in findings.elsewhere for gap in one.less.values()]
    for gap, expected in zip(found, compare(pairs), strict=True):
        assert (gap.value, gap.q) == pytest.approx((expected.value, expected.q))


@pytest.mark.parametrize(("skill", "is_told"), [(-0.5, True), (0.35, False), (3.0, False)])
def test_first_screen_says_where_the_lexicon_is_better_only_if_that_is_shown(
    tmp_path: Path, skill: float, is_told: bool
) -> None:
    study = _study(tmp_path, skill, tweets=120)
    _write(study)
    findings = study.findings()
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
        study.complete(run_dir.read_config(), skill=0.05)
    findings = study.findings()
    assert findings.recommended
    assert findings.recommended.predicts == "baseline"
    assert _of(findings, "manual", "baseline").is_recommended
    assert _of(findings, "manual", "network").less["lexicon"].is_shown
    assert worse_than_the_lexicon(findings) == []


@pytest.mark.parametrize(("every", "is_shown"), [(2, False), (5, True)])
def test_balanced_accuracy_stands_beside_accuracy_where_labels_are_unbalanced(
    tmp_path: Path, every: int, is_shown: bool
) -> None:
    study = _study(tmp_path, every={"manual": every})
    run_dirs = _write(study, widths=(8,))
    findings = study.findings()
    (table,) = (block for block in elsewhere(findings).blocks if isinstance(block, Table))
    assert ("Balanced accuracy" in [column.title for column in table.columns]) == is_shown
    one = _of(findings, "manual", "network")
    right = _right(run_dirs, "manual")["network"]
    of_each = [right[:, one.labels == kind].mean() for kind in (True, False)]
    assert one.balanced == pytest.approx(np.mean(of_each))


def test_each_fold_of_a_run_counts_on_the_whole_test_set(tmp_path: Path) -> None:
    study, data = _study(tmp_path), {"source": "mine.csv", "folds": 3, "tests": TWO_SETS}
    configs = [resolve({"data": data | {"fold": fold}}, {}, "a test") for fold in (1, 2, 3)]
    run_dirs = [study.complete(config, skill=1 + (config.data.fold or 0) / 10) for config in configs]
    net = _of(study.findings(), "manual", "network")
    right = _right(run_dirs, "manual")
    assert (len(net.labels), len(net.configuration.runs)) == (400, 1)
    assert net.accuracy.value == pytest.approx(right["network"].mean())
    assert net.less["lexicon"].value == pytest.approx(right["network"].mean() - right["lexicon"].mean())


def test_tweets_of_the_lexicons_authors_are_marked(tmp_path: Path) -> None:
    study = _study(tmp_path, skill=-3.0)
    _write(study, tests={"manual": {"path": "vader"}, "airline": {"path": "airline.csv"}})
    findings = study.findings()
    (told,) = worse_than_the_lexicon(findings)
    assert "by the authors of VADER's lexicon" in told
    (text,) = (block.text for block in elsewhere(findings).blocks if isinstance(block, Text))
    assert text.startswith("manual: These tweets were collected and rated by the authors of VADER's lexicon")


def test_predictions_that_cannot_be_read_stop_nothing_and_many_nets_are_folded_away(tmp_path: Path) -> None:
    study = _study(tmp_path)
    first, *_ = _write(study, widths=tuple(range(4, 16)))
    first.predictions_file.write_bytes(b"")
    findings = study.findings()
    assert any(str(first.predictions_file) in problem for problem in findings.problems)
    tables = {block.name: block for block in compose(findings).blocks if isinstance(block, Table)}
    shown, rest = tables["elsewhere"].rows, tables["elsewhere-rest"].rows
    assert (len(shown), len(rest)) == (2 * (10 + 2), 2 * 2)
    assert [row["model"][0] for row in shown].count("\u2605") == 2
