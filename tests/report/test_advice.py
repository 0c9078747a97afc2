"""Which model is recommended, and that its intervals and tests never disagree."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from report import statistics
from report.analysis.comparison.advice import Advice
from report.analysis.findings import Findings, analyse
from report.build import build_report
from report.read.load import load_study
from report.statistics import Difference
from sentiment.config_file import resolve
from sentiment.run_dir import Results
from tests.report.made_up import BASE, Study, attempt


def _findings(tmp_path: Path, skills: dict[tuple[int, int], float], turned: bool = False) -> Findings:
    """Of nets by width, which is also the seconds that a run takes, and seed.

    Args:
        turned: turn the labels of test tweets round.
    """
    study = Study(Results(tmp_path / f"results-{turned}"), turned=turned)
    for (width, seed), skill in skills.items():
        config = resolve(BASE, {"model.hidden_size": width, "seed": seed}, "base")
        study.complete(config, skill=skill, attempts=[attempt(end=f"2026-01-01T10:00:{width:02}+00:00")])
    return analyse(load_study(study.results, []))


def _advice(tmp_path: Path, skills: dict[tuple[int, int], float]) -> Advice:
    advice = _findings(tmp_path, skills).advice
    assert advice
    return advice


@pytest.mark.parametrize("seeds", [(1,), (1, 2, 3)])
def test_labels_of_test_tweets_choose_neither_configuration_nor_seed(tmp_path: Path, seeds: tuple[int, ...]) -> None:
    skills = {(width, seed): 0.4 + 0.05 * width + 0.2 * seed for width in (4, 8, 16) for seed in seeds}
    straight, turned = (_findings(tmp_path, skills, turned) for turned in (False, True))
    assert straight.advice
    assert turned.advice
    assert straight.advice.score.value > 0.6 > 0.4 > turned.advice.score.value
    assert straight.advice.run.run_id == turned.advice.run.run_id
    order, order_turned = (
        [one.config.run_id for one in findings.datasets[0].configurations] for findings in (straight, turned)
    )
    assert order == order_turned


def test_mean_over_seeds_is_recommended_and_no_lucky_seed(tmp_path: Path) -> None:
    advice = _advice(tmp_path, {(8, 1): 9.0, (16, 1): 1.5, (16, 2): 1.6, (16, 3): 1.7})
    assert advice.configuration.config.model.hidden_size == 16
    assert advice.score.n == 3
    (lucky,) = advice.rivals
    assert lucky.gap.value < 0
    assert not lucky.is_worse


def test_a_single_seed_is_recommended_where_there_is_nothing_else(tmp_path: Path) -> None:
    advice = _advice(tmp_path, {(8, 1): 9.0, (16, 1): 1.5})
    assert advice.configuration.config.model.hidden_size == 8
    assert advice.score.n == 120  # tweets, as one seed says nothing of others


def test_cheapest_is_the_fastest_of_those_that_are_not_shown_to_be_worse(tmp_path: Path) -> None:
    similar = {(width, seed): 2.0 + 0.01 * width for width in (8, 16) for seed in (1, 2, 3)}
    advice = _advice(tmp_path, similar | {(4, seed): 0.1 for seed in (1, 2, 3)})
    assert {rival.configuration.config.model.hidden_size for rival in advice.rivals if rival.is_worse} == {4}
    assert advice.cheapest.config.model.hidden_size == 8


@pytest.mark.slow
def test_a_net_that_loses_against_the_baseline_is_not_praised(tmp_path: Path) -> None:
    study = Study(Results(tmp_path / "results"))
    for seed in (1, 2, 3):
        study.complete(resolve(BASE, {"seed": seed}, "base"), skill=0.05)
    build_report(study.results, [], tmp_path / "out")
    text = (tmp_path / "out" / "report.md").read_text(encoding="utf-8")
    assert "points fewer than the linear baseline" in text
    assert "Use the linear baseline." in text
    assert "what a lovely day' --with baseline" in text
    assert "**Predicts with**: the linear baseline" in text
    assert "**Test accuracy of the best net**" in text


def _right(rng: np.random.Generator, seeds: int, tweets: Any, skill: float, spread: float) -> Any:
    return (tweets + skill + spread * rng.normal(size=(seeds, 1)) + rng.normal(size=(seeds, len(tweets))) > 0).astype(
        float
    )


def test_interval_over_seeds_and_tweets_covers_what_it_promises() -> None:
    rng = np.random.default_rng(2)
    covered = []
    for _ in range(300):
        tweets = rng.normal(size=200)
        first, second = (_right(rng, 4, tweets, 0.5, 0.3) for _ in range(2))
        found = statistics.crossed_difference(first, second)
        assert found.low is not None
        assert found.high is not None
        covered.append(found.low <= 0 <= found.high)
    assert 0.91 <= np.mean(covered) <= 0.99


def test_one_seed_is_compared_over_tweets_alone() -> None:
    rng = np.random.default_rng(1)
    first, second = ((rng.random((1, 90)) < share).astype(float) for share in (0.8, 0.7))
    found, expected = (
        statistics.crossed_difference(first, second),
        statistics.paired_difference((first - second)[0].tolist(), 1.0),
    )
    assert (found.value, found.low, found.high, found.p) == pytest.approx(
        (expected.value, expected.low, expected.high, expected.p)
    )


def test_seeds_that_differ_widen_the_interval() -> None:
    rng = np.random.default_rng(1)
    tweets = rng.normal(size=400)
    baseline = _right(rng, 1, tweets, 0.0, 0.0)
    alike, unlike = (
        statistics.crossed_difference(_right(rng, 3, tweets, 0.2, spread), baseline) for spread in (0.0, 1.0)
    )
    assert (unlike.half_width or 0) > 2 * (alike.half_width or 0)


def _difference(of: tuple[str, float, int]) -> Difference:
    kind, value, n = of
    if kind == "student":
        return Difference(value, None, None, n, _p_of_t(value / 0.1, n), 0.1, n).at(0.95)
    if kind == "mcnemar":
        first = np.arange(100) < 50 + round(20 * value)
        return statistics.mcnemar(first, np.arange(100) >= 50 - n)
    return statistics.rank_correlation(list(range(n + 4)), np.random.default_rng(n).normal(size=n + 4).tolist())


def _p_of_t(t: float, freedom: int) -> float:
    from scipy import stats

    return float(2 * stats.t.sf(abs(t), freedom))


@given(
    st.lists(
        st.tuples(st.sampled_from(["student", "mcnemar", "rank"]), st.floats(-0.9, 0.9), st.integers(2, 30)),
        min_size=1,
        max_size=8,
    )
)
def test_corrected_interval_excludes_zero_just_where_the_adjusted_p_is_below_the_level(of: list[Any]) -> None:
    for one, q in zip(*statistics.corrected([_difference(one) for one in of]), strict=True):
        assert q is not None
        assert one.low is not None
        assert one.high is not None
        if abs(q - statistics.ALPHA) > 1e-9:
            assert (one.low > 0 or one.high < 0) == (q < statistics.ALPHA)


@given(st.lists(st.floats(0, 1), min_size=2, max_size=5))
def test_no_interval_of_a_share_leaves_0_to_100_per_cent(values: list[float]) -> None:
    estimate = statistics.mean_share(values)
    assert estimate.low is None or (estimate.low >= 0 and (estimate.high or 0) <= 1)
    difference = statistics.paired_difference([2 * value - 1 for value in values], 1.0)
    assert difference.low is None or (difference.low >= -1 and (difference.high or 0) <= 1)
