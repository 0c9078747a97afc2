"""Which rows of a labelled file `evaluate --data` scores: those that the model doesn't know, and does answer."""

import csv
import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from sentiment.data.corpus import open_corpus
from sentiment.inference.predict import NO_WORDS
from sentiment.inference.stored import open_model
from sentiment.runs.records import LEXICON, PARTS
from sentiment.runs.run_dir import RunDir
from tests.small_runs import Experiment, invented_tweets, small_config
from tests.test_command_line import invoke, refused

TRAINED_ON = "the model was trained on it"
CHOSEN_BY = "was a validation tweet, by which the model was chosen"
BY_AUTHOR = "the model was trained on other tweets of the author"


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> RunDir:
    """A run on a table with authors, which is `tweets.csv` in the folder of the results."""
    from sentiment.runs.run_dir import Results

    folder = tmp_path_factory.mktemp("evaluated")
    rows = [(label, text, f"user{place % 300}") for place, (label, text) in enumerate(invented_tweets(600))]
    _write(folder / "tweets.csv", rows)
    config = small_config(folder / "tweets.csv", training__epochs=1, data__columns__user="user")
    results = Results(folder)
    one = Experiment(config, results, results.run_dir(config.run_id, "single"))
    one.complete()
    return one.run_dir


def _write(path: Path, rows: list[tuple[Any, ...]]) -> Path:
    with open(path, "w", encoding="utf-8", newline="") as file:
        csv.writer(file).writerows([("label", "text", "user"), *rows])
    return path


def _evaluate(run_dir: RunDir, table: Path, *options: str) -> tuple[dict[str, Any], str]:
    target = table.with_suffix(".json")
    done = invoke(
        "evaluate", run_dir.path, "--data", table, "--results", run_dir.results.root, "--out", target, *options
    )
    assert done.exit_code == 0, done.output
    return json.loads(target.read_text()), done.output


def test_of_its_own_table_a_model_is_scored_on_the_test_tweets_alone(run: RunDir) -> None:
    found, output = _evaluate(run, run.results.root / "tweets.csv")
    result = run.read_result()
    assert result is not None
    parts = {part: metrics.n for part, metrics in result.metrics.items()}
    corpus = open_corpus(next((run.results.root / "data" / "corpora").glob("*/manifest.json")).parent)
    assert found["left_out"] == {TRAINED_ON: len(corpus.rows("train")), CHOSEN_BY: parts["validation"]}
    assert found["n"] == parts["test"]
    assert found["accuracy"] == pytest.approx(_of(result, found["chosen"])["test"].accuracy)
    assert f"{len(corpus.rows('train'))} left out: {TRAINED_ON} (line " in output


def _of(result: Any, chosen: str) -> Any:
    return {"network": result.metrics, "linear baseline": result.baseline}.get(chosen, result.combination)


def test_copies_and_authors_are_recognised_and_all_else_is_scored(run: RunDir, tmp_path: Path) -> None:
    with open(run.results.root / "tweets.csv", encoding="utf-8", newline="") as file:
        (_, *rows) = csv.reader(file)
    corpus = open_corpus(next((run.results.root / "data" / "corpora").glob("*/manifest.json")).parent)
    of = {part: [rows[row] for row in corpus.rows(part).tolist()] for part in PARTS}
    trained, validated = of["train"][0], of["validation"][0]
    new = [(label, text, f"new{place}") for place, (label, text) in enumerate(invented_tweets(30, seed=7))]
    table = [
        (trained[0], f"RT @bob: {trained[1].upper()} http://a.b", "somebody"),
        (validated[0], validated[1] + " !!", "somebody"),
        (0, "an awful meeting of another kind", f"@{trained[2].upper()}"),
        (1, "\u0416\u0416\u0416 \u0429\u0429\u0429", "other"),
        *new,
    ]
    found, output = _evaluate(run, _write(tmp_path / "t.csv", table), "--with", "network")
    assert found["left_out"] == {TRAINED_ON: 1, CHOSEN_BY: 1, BY_AUTHOR: 1, NO_WORDS: 1}
    assert found["n"] == 30
    network = open_model(run.path, "network")
    right = (network.read_texts([text for _, text, _ in new]).probabilities >= 0.5) == np.array(
        [one[0] == 1 for one in new]
    )
    assert found["accuracy"] == pytest.approx(right.mean())
    assert f"1 left out: {NO_WORDS} (line 5)" in output


def test_a_file_of_which_nothing_can_be_scored_is_refused(run: RunDir, tmp_path: Path) -> None:
    odd = _write(tmp_path / "odd.csv", [(n % 2, f"\u0416\u0416{n} \u0429\u0429", "x") for n in range(50)])
    options = ("--data", odd, "--results", tmp_path, "--with", "network")
    assert f"no row with a positive or negative label to score; left out were 50 {NO_WORDS}" in refused(
        1, "evaluate", run.path, *options
    )


def test_without_its_corpus_a_run_says_that_it_cannot_tell(run: RunDir, tmp_path: Path) -> None:
    moved = RunDir(Path(shutil.copytree(run.results.root, tmp_path / "copy")) / run.path.relative_to(run.results.root))
    shutil.rmtree(tmp_path / "copy" / "data")
    found, output = _evaluate(moved, _write(tmp_path / "t.csv", [(*one, "x") for one in invented_tweets(50, seed=7)]))
    assert found["knows_training"] is False
    assert "which of these tweets the model was trained on cannot be told" in output.replace("\n", " ")


def test_threshold_of_evaluation_is_that_of_models_and_not_of_the_lexicon(run: RunDir, tmp_path: Path) -> None:
    rows = [(label, text, f"new{place}") for place, (label, text) in enumerate(invented_tweets(200, seed=5))]
    table = _write(tmp_path / "new.csv", rows)
    usual, _ = _evaluate(run, table)
    (strict, output), positive = _evaluate(run, table, "--threshold", "1"), sum(label for label, *_ in rows) / len(rows)
    assert (usual["threshold"], strict["threshold"]) == (0.5, 1)
    assert strict["accuracy"] == pytest.approx(1 - positive) != usual["accuracy"]
    assert strict["loss"] == usual["loss"]
    assert strict["models"]["VADER's lexicon"] == usual["models"]["VADER's lexicon"]
    assert f"positive from 1 on; {LEXICON} from 0.5 on" in output
    gap = strict["accuracy"] - strict["models"][LEXICON]["accuracy"]
    line = next(line for line in output.splitlines() if line.startswith(f"  {LEXICON}") and "p = " in line)
    assert float(line.split()[2]) == pytest.approx(100 * gap, abs=0.06)


def test_threshold_belongs_to_a_file(run: RunDir) -> None:
    assert "--threshold belongs to --data" in refused(2, "evaluate", run.path, "--threshold", "0.4")
