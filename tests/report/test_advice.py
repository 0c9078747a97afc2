"""Which model is recommended, and that its intervals and tests never disagree."""

from dataclasses import replace
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import f1_score

from report import statistics
from report.compare.findings import Findings
from report.designs import Seeds, SeedVariance, Side, TwoModels
from report.sections.answer import answer, caveats
from report.sections.errors import errors
from report.sections.models import leaderboard
from report.statistics import Difference, Estimate, VarianceEvidence
from sentiment.runs.run_dir import Results
from tests.report.made_up import Study, attempt, rows_with, tables_of


def _findings(tmp_path: Path, skills: dict[tuple[int, int], float], turned: bool = False) -> Findings:
    """Of nets by width, which is also the CPU seconds of a run, and seed; test labels may be turned round."""
    study = Study(Results(tmp_path / f"results-{turned}"), turned=turned)
    for (width, seed), skill in skills.items():
        attempts = [attempt(compute_time={"cpu_seconds": width, "gpu_seconds": 0})]
        study.single({"model.hidden_size": width, "seed": seed}, skill=skill, attempts=attempts)
    return study.findings()


@pytest.mark.parametrize("seeds", [(1,), (1, 2, 3)])
def test_labels_of_test_tweets_choose_neither_configuration_nor_seed(tmp_path: Path, seeds: tuple[int, ...]) -> None:
    skills = {(width, seed): 0.4 + 0.05 * width + 0.2 * seed for width in (4, 8, 16) for seed in seeds}
    straight, turned = (_findings(tmp_path, skills, turned) for turned in (False, True))
    assert straight.recommended.recommended_model == turned.recommended.recommended_model
    assert straight.recommended.run.run_id == turned.recommended.run.run_id
    first, second = ([one.config.run_id for one in of.datasets[0].configurations] for of in (straight, turned))
    assert first == second


def test_mean_over_seeds_is_recommended_and_no_lucky_seed(tmp_path: Path) -> None:
    advice = _findings(tmp_path, {(8, 1): 9.0, (16, 1): 1.5, (16, 2): 1.6, (16, 3): 1.7}).recommended
    assert advice.configuration.config.model.hidden_size == 16
    (lucky,) = advice.rivals.values()
    assert lucky.value < 0
    assert not lucky.is_significant
    single = _findings(tmp_path / "nothing else", {(8, 1): 9.0, (16, 1): 1.5}).recommended
    assert single.configuration.config.model.hidden_size == 8


def test_cheapest_is_the_fastest_of_those_that_are_not_shown_to_be_worse(tmp_path: Path) -> None:
    similar = {(width, seed): 2.0 + 0.01 * width for width in (8, 16) for seed in (1, 2, 3)}
    advice = _findings(tmp_path, similar | {(4, seed): 0.1 for seed in (1, 2, 3)}).recommended
    worse = [rival for rival, difference in advice.rivals.items() if difference.is_better]
    assert {rival.config.model.hidden_size for rival in worse} == {4}
    assert [cheapest.config.model.hidden_size for cheapest in advice.cheapest.values()] == [8]


def test_hours_of_cpus_are_not_called_cheaper_than_seconds_of_a_gpu(tmp_path: Path) -> None:
    study = Study(Results(tmp_path / "results"))
    gpu = {"device": "NVIDIA H100 80GB HBM3", "compute_time": {"cpu_seconds": 10, "gpu_seconds": 10}}
    for width, seed in product((8, 16), (1, 2, 3)):
        on_gpu = {"attempts": [attempt(**gpu)]} if width == 16 else {}
        study.single({"model.hidden_size": width, "seed": seed}, skill=2.0 + 0.01 * width, **on_gpu)
    advice = study.findings().recommended
    assert advice
    assert {device: cheapest.config.model.hidden_size for device, cheapest in advice.cheapest.items()} == {
        "GPU": 16,
        "CPU": 8,
    }


@pytest.mark.parametrize(
    ("skill", "predicts", "said"),
    [
        (0.05, "baseline", "percentage points below it"),
        (0.6, "baseline", "is not significantly better"),
        (4.0, "network", "percentage points above the linear baseline"),
    ],
)
def test_the_first_screen_is_about_what_is_recommended(tmp_path: Path, skill: float, predicts: str, said: str) -> None:
    findings = _findings(tmp_path, {(8, seed): skill for seed in (1, 2, 3)})
    best = findings.recommended
    assert best.recommended_model == predicts
    lead, command, facts, figure, *_ = answer(findings)
    is_baseline = predicts == "baseline"
    assert f"Use {'the linear baseline' if is_baseline else 'BiLSTM 8'}" in str(lead.text)
    assert said in str(lead.text)
    assert "sentiment predict" in command.text
    (accuracy,) = (text for term, text in facts.items if term.startswith("Test accuracy"))
    assert accuracy.startswith(f"{100 * best.score.value:.1f} %")
    first = rows_with(figure.spec, "name", "value")[0]
    assert first["name"].startswith("\u2605 ")
    assert first["value"] == pytest.approx(100 * best.score.value)
    assert ("linear baseline" in tables_of(leaderboard(findings))["leaderboard"].best["model"]) == is_baseline
    metrics = best.run.metrics_on_test(predicts)
    wrong = round(metrics.n * (1 - metrics.accuracy))
    assert tables_of(errors(findings))["mistakes"].caption.startswith(f"{wrong} test tweets misclassified")


def test_a_lexicon_above_the_recommended_model_is_explained_in_readable_print(study: Study) -> None:
    study.single({}, skill=3.0)
    findings = study.findings()
    assert not any("lexicon" in sentence for sentence in caveats(findings))
    worse = replace(findings.recommended, score=Estimate(0.1, None, None, 120))
    assert any("lexicon" in sentence for sentence in caveats(replace(findings, recommended=worse)))


def test_macro_f1_is_the_mean_of_both_classes(study: Study) -> None:
    run_dir = study.single({}, skill=0.7)
    table = pq.read_table(run_dir.predictions_file).to_pandas()
    test = table[table["part"] == "test"]
    findings = study.findings()
    (metrics,) = (run.metrics_on_test() for run in findings.main.runs)
    assert metrics.macro_f1 == pytest.approx(f1_score(test["label"], test["network_positive"] >= 0.5, average="macro"))


def test_configurations_with_fewer_labels_do_not_compete(study: Study) -> None:
    for rows, skill in ((100, 9.0), (None, 2.0)):
        study.single({"data.train_rows": rows}, skill=skill)
    findings = study.findings()
    assert findings.recommended.configuration.config.data.train_rows is None
    assert findings.recommended.rivals == {}
    assert "1 configuration was trained on fewer labelled tweets and is not eligible." in caveats(findings)


def _difference(of: tuple[str, float, int]) -> Difference:
    kind, value, n = of
    if kind == "student":
        return Difference.of(VarianceEvidence(value, ((0.01, n),), (0.0, 99), 100), n)
    first = np.arange(100) < 50 + round(20 * value)
    return TwoModels().difference(*(Side([flags[None]]) for flags in (first, np.arange(100) >= 50 - n)))


_KINDS = st.sampled_from(["student", "paired"])


@settings(max_examples=40)
@given(st.lists(st.tuples(_KINDS, st.floats(-0.9, 0.9), st.integers(2, 30)), min_size=1, max_size=8))
def test_corrected_interval_excludes_zero_just_where_the_adjusted_p_is_below_the_level(of: list[Any]) -> None:
    for one in statistics.corrected([_difference(one) for one in of]):
        if abs((one.q or 0) - statistics.ALPHA) > 1e-9:
            assert ((one.low or 0) > 0 or (one.high or 0) < 0) == one.is_significant


@given(st.lists(st.floats(0, 1), min_size=2, max_size=5))
def test_no_interval_of_a_share_leaves_0_to_100_per_cent(values: list[float]) -> None:
    right = np.array([[value < share for share in np.linspace(0, 1, 9)] for value in values])
    side = Side([right])
    difference = Seeds(SeedVariance(0.1, 2)).difference(side, side.nothing)
    assert difference.low is None or (difference.low >= -1 and (difference.high or 0) <= 1)


def test_recommended_configuration_is_among_the_first_however_many_single_seeds_are_better(tmp_path: Path) -> None:
    lucky = {(8 + width, 1): 9.0 - 0.01 * width for width in range(20)}
    findings = _findings(tmp_path, lucky | {(4, seed): 3.0 for seed in (1, 2, 3)})
    table = tables_of(leaderboard(findings))["leaderboard"]
    assert findings.recommended.recommended_model == "network"
    (row,) = [row for row in table.rows if row.get("seeds") == 3]
    assert (row is table.best, row["rank"]) == (True, 21)
    assert row["test_accuracy"] == findings.recommended.configuration.mean("test", "accuracy")


def test_most_frequent_class_has_a_row_of_its_own_and_no_claim(study: Study) -> None:
    study.single({}, skill=3.0)
    findings = study.findings()
    table = tables_of(leaderboard(findings))["leaderboard"]
    (row,) = [row for row in table.rows if row["model"] == "most frequent class"]
    assert (row["test_accuracy"], row["test_macro_f1"]) == (0.5, pytest.approx(1 / 3))  # half of them are positive
    assert "verdict" not in row
    assert row is not table.best
    assert all("majority" not in result.differences for result in findings.external_results)
    assert [result.differences for result in findings.external_results if result.kind == "majority"] == [{}]
