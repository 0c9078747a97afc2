"""Runs are compared on the tweets that all of them have, whatever rows these stand in; so are baselines."""

from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from report.compare.findings import Findings, analyse
from report.questions.settings import grid_effects
from report.read import load_study
from report.statistics import Difference, mcnemar
from sentiment.config import RunConfig
from sentiment.runs.run_dir import TWEETS_FILE, Results
from tests.report.made_up import PARTS, Study

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


def _findings(study: Study) -> Findings:
    return analyse(load_study(study.results, ["words"]))


def _gap(study: Study, model: str = "network") -> Difference | None:
    findings = _findings(study)
    (effect,) = [one for one in grid_effects(findings.study.grids[0], findings.answers) if one.model == model]
    (contrast,) = effect.contrasts
    assert {contrast.best.value, contrast.other.value} == {"none", "all"}
    return contrast.score


def _corpus(study: Study, config: RunConfig) -> Path:
    record = study.run_dir(config, "words").read_record()
    assert record
    return study.results.corpus_dir(record.data_fingerprint) / TWEETS_FILE


def _rewrite(path: Path, column: str, values: list[str]) -> None:
    table = pq.read_table(path)
    place = table.column_names.index(column)
    pq.write_table(table.set_column(place, column, pa.array(values)), path)


def test_single_nets_are_compared_exactly_on_the_tweets_that_both_have(study: Study) -> None:
    kept, removed = _write(study, [1])
    gap = _gap(study)
    by_run = _findings(study).datasets
    right = {run_id: one.right() for dataset in by_run for run_id, one in dataset.answers.by_run.items()}
    expected = mcnemar(right[kept.run_id][:-_EMPTIED], right[removed.run_id])
    assert gap
    assert (gap.value, gap.p, gap.n) == (expected.value, expected.p, PARTS["test"] - _EMPTIED)
    assert gap.of_these_models


def test_baselines_are_compared_on_the_tweets_that_both_have(study: Study) -> None:
    _write(study, [1, 2])
    gap = _gap(study, "baseline")
    assert gap
    assert (gap.value, gap.p, gap.n) == (0.0, 1.0, PARTS["test"] - _EMPTIED)
    assert not gap.of_these_models


def test_tweets_are_found_again_wherever_they_stand(study: Study) -> None:
    _, removed = _write(study, [1])
    before = _gap(study)
    predictions, tweets = study.run_dir(removed, "words").predictions_file, _corpus(study, removed)
    rows = pq.read_table(predictions)["row"].to_numpy()
    turned = pq.read_table(tweets).take(pa.array(np.arange(len(rows))[::-1]))
    pq.write_table(turned, tweets)
    _rewrite(predictions, "row", (len(rows) - 1 - rows).tolist())
    assert _gap(study) == before


def test_equal_ids_of_different_texts_are_not_taken_for_one_tweet(study: Study) -> None:
    _, removed = _write(study, [1, 2])[1:3]
    tweets = _corpus(study, removed)
    texts = pq.read_table(tweets)["text"].to_pylist()
    first = PARTS["validation"]
    texts[first + 10 : first + 13] = ["another", "text", "altogether"]
    _rewrite(tweets, "text", texts)
    gap = _gap(study)
    assert gap
    assert gap.n == PARTS["test"] - _EMPTIED - 3


@pytest.mark.parametrize("what", ["missing", "without ids", "of other tweets"])
def test_runs_whose_tweets_cannot_be_matched_are_not_compared(study: Study, what: str) -> None:
    _, removed = _write(study, [1])
    tweets = _corpus(study, removed)
    if what == "missing":
        tweets.unlink()
    elif what == "without ids":
        pq.write_table(pq.read_table(tweets).drop_columns(["id"]), tweets)
    else:
        _rewrite(tweets, "id", [f"other-{number}" for number in range(pq.read_table(tweets).num_rows)])
    assert _gap(study) is None
    assert _gap(study, "baseline") is None
