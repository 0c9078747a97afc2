"""Ways of cleaning are compared on the tweets that both have, whatever rows these stand in, or it is said why not."""

from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from report.analysis.questions.cleanings import CleaningComparison, Obstacle, compare_cleanings
from report.build import build_report
from report.read.load import load_study
from report.read.predictions import read_scores
from report.sections.names import classifier_name
from report.statistics import mcnemar
from sentiment.config import RunConfig
from sentiment.run_dir import TWEETS_FILE, Results
from tests.report.made_up import PARTS, Study

pytestmark = pytest.mark.slow

_EMPTIED = 7


@pytest.fixture
def study(tmp_path: Path) -> Study:
    """Empty."""
    return Study(Results(tmp_path / "results"))


def _write(study: Study, seeds: list[int]) -> list[RunConfig]:
    """A net with stop words, and one without, for which seven test tweets become empty."""
    runs = [{"data.text.stop_words": value, "seed": seed} for value in ("none", "all") for seed in seeds]
    configs = study.write_grid("words", "What do they add?", {"data.text.stop_words": ["none", "all"]}, runs)
    for config in configs:
        is_removed = config.data.text.stop_words == "all"
        study.complete(config, "words", skill=0.4 if is_removed else 2.0, emptied=_EMPTIED if is_removed else 0)
    return configs


def _compare(study: Study) -> CleaningComparison:
    return compare_cleanings(load_study(study.results, ["words"]).grids[0], study.results)


def _right(study: Study, config: RunConfig) -> "np.ndarray[tuple[int], np.dtype[np.bool_]]":
    """Which test tweets a run has right."""
    (run,) = [run for run in load_study(study.results, []).runs if run.run_id == config.run_id]
    assert run.completed
    scores = read_scores(run.completed, "test")
    assert scores
    return scores.right(scores.model)


def _corpus(study: Study, config: RunConfig) -> Path:
    record = study.run_dir(config, "words").read_record()
    assert record
    return study.results.corpus_dir(record.data_fingerprint) / TWEETS_FILE


def _rewrite(path: Path, column: str, values: list[str]) -> None:
    table = pq.read_table(path)
    place = table.column_names.index(column)
    pq.write_table(table.set_column(place, column, pa.array(values)), path)


def test_one_seed_is_tested_by_mcnemar_on_the_tweets_that_both_have(study: Study) -> None:
    kept, removed = _write(study, [1])
    compared = _compare(study)
    net, baseline = compared.gaps
    expected = mcnemar(_right(study, kept)[:-_EMPTIED], _right(study, removed))
    assert net.gap == expected.at(0.975)  # one of two differences is shown
    assert net.by_seed == [expected]
    assert (net.gap.n, net.only_first, net.only_second) == (PARTS["test"] - _EMPTIED, _EMPTIED, 0)
    assert net.pair.first == (("data.text.stop_words", "none"),)
    assert net.pair.second == (("data.text.stop_words", "all"),)
    assert baseline.pair.classifier.is_baseline
    assert (baseline.by_seed, baseline.gap.value, baseline.gap.p) == ([], 0.0, 1.0)
    assert (compared.refused, compared.problems) == ([], [])


def test_several_seeds_count_with_the_share_that_has_a_tweet_right(study: Study) -> None:
    configs = _write(study, [1, 2, 3])
    net, _ = _compare(study).gaps
    right = [_right(study, config)[: PARTS["test"] - _EMPTIED].astype(float) for config in configs]
    differences = np.mean(right[:3], axis=0) - np.mean(right[3:], axis=0)
    assert net.gap.value == pytest.approx(differences.mean())
    assert net.gap.value == pytest.approx(np.mean([gap.value for gap in net.by_seed]))
    # Student's t with 112 degrees of freedom at 97.5 %, as one of two differences is shown.
    half_width = 2.2719 * differences.std(ddof=1) / np.sqrt(len(differences))
    assert net.gap.half_width == pytest.approx(half_width, rel=1e-4)
    assert net.gap.n == PARTS["test"] - _EMPTIED
    assert net.seeds_shown == 3


def test_tweets_are_found_again_wherever_they_stand(study: Study) -> None:
    _, removed = _write(study, [1])
    before, _ = _compare(study).gaps
    predictions, tweets = study.run_dir(removed, "words").predictions_file, _corpus(study, removed)
    rows = pq.read_table(predictions)["row"].to_numpy()
    turned = pq.read_table(tweets).take(pa.array(np.arange(len(rows))[::-1]))
    pq.write_table(turned, tweets)
    _rewrite(predictions, "row", (len(rows) - 1 - rows).tolist())
    after, _ = _compare(study).gaps
    assert (after.gap, after.by_seed, after.q) == (before.gap, before.by_seed, before.q)


def test_equal_ids_of_different_texts_are_not_taken_for_one_tweet(study: Study) -> None:
    _, removed = _write(study, [1])
    tweets = _corpus(study, removed)
    texts = pq.read_table(tweets)["text"].to_pylist()
    first = PARTS["validation"]
    texts[first + 10 : first + 13] = ["another", "text", "altogether"]
    _rewrite(tweets, "text", texts)
    net, _ = _compare(study).gaps
    assert (net.gap.n, net.only_first, net.only_second) == (PARTS["test"] - _EMPTIED - 3, _EMPTIED + 3, 3)


def test_seed_whose_predictions_are_lost_is_named_and_the_others_are_compared(study: Study) -> None:
    configs = _write(study, [1, 2])
    study.run_dir(configs[0], "words").predictions_file.unlink()
    compared = _compare(study)
    net, baseline = compared.gaps
    assert len(net.by_seed) == 1
    assert "predictions.parquet" in compared.problems[0]
    assert baseline.gap.n == net.gap.n
    assert compared.refused == []


def test_corpora_that_are_not_here_are_told_and_the_rest_is_reported(study: Study, tmp_path: Path) -> None:
    _, removed = _write(study, [1])
    _corpus(study, removed).unlink()
    build_report(study.results, [], tmp_path / "out")
    text = (tmp_path / "out" / "report.md").read_text(encoding="utf-8")
    assert "of test tweets right" in text
    assert "Since the prepared tweets, by which they would be matched, are not on this machine: stop words kept" in text


def test_seeds_of_an_edited_file_are_not_thrown_together(study: Study) -> None:
    configs = _write(study, [1, 2])
    run_dir = study.run_dir(configs[1], "words")
    record = run_dir.read_record()
    assert record
    run_dir.write_record(record.model_copy(update={"data_fingerprint": "f" * 64}))
    compared = _compare(study)
    assert [classifier_name(one.pair.classifier) for one in compared.gaps] == ["linear baseline"]
    assert [obstacle for obstacle, _ in compared.refused] == [Obstacle.FILE_CHANGED]


def test_corpora_without_ids_are_told(study: Study) -> None:
    kept, _ = _write(study, [1])
    tweets = _corpus(study, kept)
    pq.write_table(pq.read_table(tweets).drop_columns(["id"]), tweets)
    compared = _compare(study)
    assert compared.gaps == []
    assert [obstacle for obstacle, _ in compared.refused] == [Obstacle.NO_CORPUS] * 2


def test_corpora_without_a_common_tweet_are_told(study: Study) -> None:
    _, removed = _write(study, [1])
    tweets = _corpus(study, removed)
    _rewrite(tweets, "id", [f"other-{number}" for number in range(pq.read_table(tweets).num_rows)])
    compared = _compare(study)
    assert compared.gaps == []
    assert [obstacle for obstacle, _ in compared.refused] == [Obstacle.NO_COMMON_TWEET] * 2


def test_only_one_setting_at_a_time_is_compared(study: Study) -> None:
    parameters: dict[str, list[Any]] = {"data.text.stop_words": ["none", "all"], "data.text.lowercase": [True, False]}
    runs = [
        {"data.text.stop_words": words, "data.text.lowercase": case}
        for words in ("none", "all")
        for case in (True, False)
    ]
    for config in study.write_grid("words", "Which?", parameters, runs):
        study.complete(config, "words")
    assert len([one for one in _compare(study).gaps if one.by_seed]) == 4


def test_elmo_and_plain_nets_on_different_corpora_meet_on_the_same_tweets(study: Study, tmp_path: Path) -> None:
    runs: list[dict[str, Any]] = [{"elmo.model": "small", "data.text.lowercase": False}, {"data.text.lowercase": True}]
    for config in study.write_grid("elmo", "Does it help?", {"elmo.model": ["small"]}, runs):
        study.complete(config, "elmo", skill=2.5 if config.elmo else 1.0, emptied=4 if config.elmo else 0)
    build_report(study.results, [], tmp_path / "out")
    text = (tmp_path / "out" / "report.md").read_text(encoding="utf-8")
    assert f"On the n = {PARTS['test'] - 4} test tweets that both have, that is +" in text
