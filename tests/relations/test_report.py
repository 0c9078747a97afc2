"""What a report says of a study, and of the same study with a run more, in another order, or elsewhere on the page."""

from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from sentiment.answers.evaluate import evaluate_on_own, result_blocks
from sentiment.answers.evaluation import evaluation_blocks
from sentiment.blocks.content import Bullets, Content
from sentiment.blocks.wording import escape
from sentiment.predicting.stored import open_run
from tests.relations.reports import claims_of_models, differing, random_studies, report_without_charts
from tests.relations.studies import write_run
from tests.relations.worlds import copied, edit_answers, new_author, reorder, set_clocks, write_cells, write_grid
from tests.small_runs import invented_tweets, run_in, small_config, write_tweets


@random_studies
@pytest.mark.parametrize("is_tied", [False, True])
def test_order_of_runs_and_rows_changes_no_claim(seed: int, is_tied: bool, tmp_path: Path) -> None:
    author = new_author(tmp_path / "results", seed)
    runs = write_cells(author, seeds=1 + seed % 3)
    if is_tied:
        for run_dir in runs:
            edit_answers(run_dir, _tie)
    before = report_without_charts(author.results)
    turned = copied(author.results, tmp_path / "turned")
    reorder(turned, "cells")
    assert not differing(before, report_without_charts(turned))


@random_studies
def test_clocks_and_the_order_of_grids_change_no_claim(seed: int, tmp_path: Path) -> None:
    author = new_author(tmp_path / "results", seed)
    skills = dict(zip((8, 16, 32), author.rng.sample([0.5, 1.0, 3.0], 3), strict=True))
    widths: list[dict[str, Any]] = [{"model.hidden_size": size, "seed": 1} for size in skills]
    for name, metric, settings in (
        ("narrow", "macro_recall", widths[:2]),
        ("wide", "accuracy", widths[2 * seed % 3 :]),
    ):
        write_grid(author, settings, lambda config: skills[config.model.hidden_size], name, metric)
    said = {}
    for number, later in enumerate(("narrow", "wide")):
        results = copied(author.results, tmp_path / str(number))
        set_clocks(results, later)
        said[later] = report_without_charts(results)
    assert not differing(said["narrow"], said["wide"])
    assert said["narrow"].headline == said["wide"].headline


def _tie(table: pd.DataFrame) -> None:
    """Many of the probabilities and of the scores of runs are equal."""
    table["network_positive"] = table["network_positive"].round(1)


_FURTHER = [{"training.early_stopping.metric": metric} for metric in ("macro_recall", "loss")]
"""What stops by another rule, or learns from so few tweets that it is no model to use."""


@random_studies
@pytest.mark.parametrize("changes", [*_FURTHER, {"data.train_rows": 50}], ids=str)
def test_further_runs_of_another_kind_change_no_claim_of_a_grid(
    seed: int, changes: dict[str, Any], tmp_path: Path
) -> None:
    author = new_author(tmp_path / "results", seed)
    write_cells(author)
    before = report_without_charts(author.results)
    author.results = copied(author.results, tmp_path / "after")
    for number in (1, 2) if "data.train_rows" in changes else (1,):  # two seeds that have little in common
        config = author.config(changes | {"model.hidden_size": 8, "seed": number}, "single")
        write_run(author, config, "single", 3.0 * (number - 1))
    after = report_without_charts(author.results)
    assert after.used == before.used
    left = [row for row in claims_of_models(before) if row not in claims_of_models(after)]
    assert not left


@random_studies
def test_a_side_that_is_right_wherever_another_is_right_is_not_ranked_below(seed: int, tmp_path: Path) -> None:
    author = new_author(tmp_path / "results", seed)
    runs = write_cells(author)
    tables = [pd.read_parquet(run_dir.predictions_file) for run_dir in runs]

    def improve(table: pd.DataFrame) -> None:
        """As the first cell of the same seed, but for some of its mistakes."""
        answers = tables[0]["network_positive"].copy()
        wrong = (answers >= 0.5) != (table["label"] == 1)
        mended = wrong & (table["tweet"] % 3 == 0)
        table["network_positive"] = answers.where(~mended, table["label"].astype(float))

    for number, run_dir in enumerate(runs):
        edit_answers(run_dir, improve if number >= 2 else lambda table: _as_first(table, tables[0]))
    said = report_without_charts(author.results)
    rows = {row["model"].split()[0]: row for row in said.ranking if row["seeds"]}
    better, worse = rows["BiGRU"], rows["BiLSTM"]
    assert int(better["rank"]) <= int(worse["rank"])
    assert float(better["score"]) >= float(worse["score"])
    assert worse["verdict"] != "better" or better["verdict"] == "better"


def _as_first(table: pd.DataFrame, first: pd.DataFrame) -> None:
    table["network_positive"] = first["network_positive"]


@random_studies
def test_csv_and_latex_have_one_verdict_for_each_pair(seed: int, tmp_path: Path) -> None:
    author = new_author(tmp_path / "results", seed)
    write_cells(author, seeds=1 + seed % 3)
    said = report_without_charts(author.results)
    latex = (said.folder / "tables" / "leaderboard.tex").read_text()
    for row in said.ranking:
        cells = latex.partition(f"{row['model']} &")[2].partition(r" \tabularnewline")[0]
        assert f" {row['verdict']} & " in cells.replace("--", "\u2013"), row["model"]


@pytest.mark.parametrize("metric", ["loss", "macro_recall"])
def test_one_pair_has_one_sentence_after_training_in_an_evaluation_and_in_the_report(
    metric: str, tmp_path: Path
) -> None:
    tweets = write_tweets(tmp_path / "tweets.csv", invented_tweets(400, seed=3))
    run = run_in(tmp_path, small_config(tweets, training__epochs=1, training__early_stopping__metric=metric))
    run.complete()
    trained = open_run(run.run_dir.path)
    evaluated = _sentences(evaluation_blocks(evaluate_on_own(trained, None), everything=False))
    assert _sentences(result_blocks(trained)) == evaluated
    headline = report_without_charts(run.run_dir.results).headline
    assert len([sentence for sentence in evaluated if escape(sentence) in headline]) == 1


def _sentences(blocks: list[Content]) -> list[str]:
    """The sentences on pairs."""
    (bullets,) = [block for block in blocks if isinstance(block, Bullets)]
    return [*bullets.items]
