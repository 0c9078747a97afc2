"""Predictors on a gold table: compared with each other without a run, joined by id or text, whatever the order."""

import json
import random
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from report.build import build_report, compose
from report.compare.findings import analyse
from report.read import load_study
from sentiment.config_file import resolve
from sentiment.inference.added import NamedColumns, add_predictions
from sentiment.inference.gold import column_parameters, open_gold
from sentiment.runs.predictions import read_gold
from sentiment.runs.run_dir import GoldDir, Results
from tests.commands import invoke, refused
from tests.report.made_up import Study, read_table
from tests.small_runs import write_tweets

CLASSES = {2: ["negative", "positive"], 3: ["negative", "neutral", "positive"]}
_OPINIONS = {"negative": "an awful day", "neutral": "a day", "positive": "a lovely day"}
_ORIGIN: dict[str, Any] = {"note": "", "annotator": False, "cost": None, "seconds": None}


def _gold(n: int, classes: int = 2) -> list[tuple[str, str, str]]:
    """Rows of id, text and label."""
    labels = [CLASSES[classes][number % classes] for number in range(n)]
    return [(f"id{number}", f"{_OPINIONS[label]} at stop {number}", label) for number, label in enumerate(labels)]


def _wrong(label: str) -> str:
    return "positive" if label == "negative" else "negative"


def _add(folder: Path, name: str, answers: list[tuple[str, str]], *options: object) -> str:
    table = write_tweets(folder / f"{name}.csv", answers, ("id", "label"))
    done = invoke("add", name, table, "--of", folder / "gold.csv", "--results", folder / "results", *options)
    assert done.exit_code == 0, done.output
    return done.output


def _directory(folder: Path) -> Path:
    (directory,) = (folder / "results" / "gold").iterdir()
    return directory


def _evaluate(folder: Path) -> tuple[dict[str, Any], str]:
    done = invoke("evaluate", _directory(folder), "--out", folder / "scores.json")
    assert done.exit_code == 0, done.output
    return json.loads((folder / "scores.json").read_text()), " ".join(done.output.split())


@settings(max_examples=15)
@given(st.integers(0, 10**6), st.sampled_from([2, 3]), st.sampled_from(["id", "text", "id and text"]), st.booleans())
def test_oracle_is_right_on_every_tweet_of_a_gold_table_in_any_order(
    seed: int, classes: int, key: str, has_ids: bool
) -> None:
    rng = random.Random(seed)
    rows = _gold(rng.randrange(6, 30), classes)
    rows += [(f"copy{number}", text.upper(), label) for number, (_, text, label) in enumerate(rows[:3])]
    columns = [0, 1, 2] if has_ids or key == "id" else [1, 2]
    names = ("tweet_id", "text", "label")
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        directories = set()
        for oracle in ("first", "second"):
            rng.shuffle(rows)
            gold = write_tweets(
                folder / "gold.csv", [[row[at] for at in columns] for row in rows], [names[at] for at in columns]
            )
            parameters = {"data.source": str(gold), "data.labels": " ".join(CLASSES[classes])}
            data = resolve({}, parameters | column_parameters(gold), "a test").data
            tweets, _ = open_gold(data, Results(folder))
            directories.add(tweets.directory)
            rng.shuffle(rows)
            shown = [at for at in (0, 1) if names[at].removeprefix("tweet_") in key]
            answers = write_tweets(
                folder / "answers.csv",
                [[row[at] for at in (*shown, 2)] for row in rows],
                [names[at] for at in (*shown, 2)],
            )
            add_predictions(tweets, oracle, answers, NamedColumns(), None, _ORIGIN)
        (directory,) = directories
        table = read_gold(directory)
        assert len(table.texts) == len(rows) - 3 * (columns == [1, 2])
        for predictor in table.added_predictors:
            assert predictor.answered.all()
            assert predictor.right(table.predictions.labels).all()
        assert {*table.added} == {"first", "second"}


@pytest.mark.parametrize("classes", [2, 3])
def test_two_annotators_are_compared_by_the_paired_interval_on_page_and_screen(tmp_path: Path, classes: int) -> None:
    """The counts and the interval of two classifiers of 105 tweets, of which one alone has 19 right."""
    rows = _gold(105, classes)
    write_tweets(tmp_path / "gold.csv", rows, ("id", "text", "label"))
    answers = {
        "Anna": [(tweet, label if number < 100 else _wrong(label)) for number, (tweet, _, label) in enumerate(rows)],
        "Ben": [(tweet, label if number < 81 else _wrong(label)) for number, (tweet, _, label) in enumerate(rows)],
    }
    for name, of_annotator in answers.items():
        _add(tmp_path, name, of_annotator, "--annotator", "--set", "data.language=de")
    sentence = (
        "Anna is right on 18.1 points more of these 105 tweets than Ben (95 % interval +11.9 to +26.5; p .00001): "
        "19 tweets only Anna has right, none only Ben"
    )
    scores, shown = _evaluate(tmp_path)
    assert sentence in shown
    assert [scores["models"][name]["accuracy"] for name in ("Anna", "Ben")] == [100 / 105, 81 / 105]
    assert "VADER's lexicon" not in scores["models"]
    findings, page = build_report(Results(tmp_path / "results"), [], tmp_path / "report")
    assert not findings.problems
    text = page.with_suffix(".md").read_text(encoding="utf-8")
    assert sentence in text
    assert "train" not in text.replace("trained", "")
    (row,) = read_table(tmp_path / "report", f"comparisons-{_directory(tmp_path).name}")
    assert (row["only_first"], row["only_second"], row["n"]) == (19, 0, 105)
    assert (round(row["accuracy_low"], 3), round(row["accuracy_high"], 3)) == (0.119, 0.265)
    predictors = read_table(tmp_path / "report", f"scores-{_directory(tmp_path).name}")
    assert [row["predictor"] for row in predictors] == ["Anna", "Ben", "most frequent class"]


def test_answers_that_are_missing_or_of_no_class_are_counted_and_scored_both_ways(tmp_path: Path) -> None:
    rows = _gold(40)
    write_tweets(tmp_path / "gold.csv", rows, ("id", "text", "label"))
    answers = [(tweet, label) for tweet, _, label in rows[:36]]
    answers[:6] = [(tweet, "unsure") for tweet, _ in answers[:6]]
    answers[6] = (answers[6][0], _wrong(answers[6][1]))
    answers[7] = (answers[7][0], "")
    _add(tmp_path, "llm", [*answers, ("elsewhere", "positive")])
    scores, shown = _evaluate(tmp_path)
    assert (scores["other_answers"], scores["missing"]) == ({"llm": 6}, {"llm": 5})
    assert (scores["models"]["llm"]["n"], scores["models"]["llm"]["accuracy"]) == (29, 28 / 29)
    assert f"{28 / 40:.1%} if its 6 other answers and 5 missing answers count as wrong" in shown
    assert scores["models"]["VADER's lexicon"]["n"] == 40
    build_report(Results(tmp_path / "results"), [], tmp_path / "report")
    row, *_ = read_table(tmp_path / "report", f"scores-{_directory(tmp_path).name}")
    assert (row["predictor"], row["accuracy"], row["accuracy_of_all"]) == ("llm", 28 / 29, 28 / 40)


def _logged(number: int, text: str, label: str, answer: str, by_choice: bool) -> dict[str, Any]:
    """A sample as lm-evaluation-harness logs it, which writes numbers and truth values as texts."""
    sample: dict[str, Any] = {
        "doc_id": number,
        "doc": {"text": text, "label": CLASSES[3].index(label)},
        "target": label,
    }
    arguments = [(f"Tweet: {text}", " " + choice) for choice in CLASSES[3]]
    responses: list[Any] = [[str(-9.5 + 9 * (choice == answer)), "False"] for choice in CLASSES[3]]
    if not by_choice:
        arguments = [(f"Tweet: {text}", "{'until': ['\\n']}")]
        responses = [f" {answer.capitalize()}"]
    sample["arguments"] = {f"gen_args_{at}": {"arg_0": pair[0], "arg_1": pair[1]} for at, pair in enumerate(arguments)}
    sample |= {"resps": [[response] for response in responses], "filtered_resps": responses, "filter": "none"}
    return sample | {"metrics": ["acc"], "doc_hash": "d", "prompt_hash": "p", "target_hash": "t", "acc": 1.0}


@pytest.mark.parametrize("by_choice", [True, False])
def test_samples_logged_by_lm_evaluation_harness_are_added_in_one_command(tmp_path: Path, by_choice: bool) -> None:
    rows = _gold(60, 3)
    write_tweets(tmp_path / "gold.csv", [row[1:] for row in rows], ("text", "label"))
    samples = [
        _logged(number, text, label, label if number % 4 else _wrong(label), by_choice)
        for number, (_, text, label) in enumerate(reversed(rows))
    ]
    log = tmp_path / "samples_tweets_2026-01-02T03-04-05.678.jsonl"
    log.write_text("".join(json.dumps(sample) + "\n" for sample in samples))
    done = invoke("add", "llama", log, "--of", tmp_path / "gold.csv", "--results", tmp_path / "results")
    assert "llama: 60 of 60 gold tweets" in done.output
    scores, _ = _evaluate(tmp_path)
    assert scores["models"]["llama"]["accuracy"] == 45 / 60
    log.write_text(json.dumps(samples[0] | {"filtered_resps": [[], []]}))
    message = refused(1, "add", "llama", log, "--of", tmp_path / "gold.csv", "--results", tmp_path / "results")
    assert f"{log}:1: [[], []] is no answer that lm-evaluation-harness logs" in message


def test_table_of_ids_and_labels_alone_is_a_gold_table_without_a_lexicon(tmp_path: Path) -> None:
    """Answers without a text have the number that lm-evaluation-harness gives them, or an id of their own."""
    rows = [(str(number), label) for number, (*_, label) in enumerate(_gold(30))]
    write_tweets(tmp_path / "gold.csv", rows, ("id", "label"))
    _add(tmp_path, "Ben", rows)
    samples = [{"doc_id": int(tweet), "doc": {"query": "?"}, "filtered_resps": [label]} for tweet, label in rows[::-1]]
    log = tmp_path / "samples.jsonl"
    log.write_text("".join(json.dumps(sample) + "\n" for sample in samples))
    assert invoke("add", "llama", log, "--of", tmp_path / "gold.csv", "--results", tmp_path / "results").exit_code == 0
    scores, _ = _evaluate(tmp_path)
    accuracies = {name: metrics["accuracy"] for name, metrics in scores["models"].items()}
    assert accuracies == {"Ben": 1, "llama": 1, "most frequent class": 0.5}


def test_tweet_with_two_labels_is_left_out_in_any_order(tmp_path: Path) -> None:
    rows = _gold(30)
    tweet, text, label = rows[0]
    contradiction = (tweet, text, "positive" if label == "negative" else "negative")
    directories = []
    for name, table in (("after", [*rows, contradiction]), ("before", [contradiction, *rows])):
        (tmp_path / name).mkdir()
        write_tweets(tmp_path / name / "gold.csv", table, ("id", "text", "label"))
        _add(tmp_path / name, "Ben", [("id1", "positive")])
        directories.append(GoldDir(_directory(tmp_path / name)))
    after, before = directories
    assert after.path.name == before.path.name
    assert pq.read_table(after.predictions_file).num_rows == 29


def test_option_names_classes_of_both_tables_which_stay_in_one_directory(tmp_path: Path) -> None:
    rows = _gold(30)
    write_tweets(tmp_path / "gold.csv", rows, ("id", "text", "label"))
    _add(tmp_path, "Ben", [(tweet, label) for tweet, _, label in rows])
    stars = {"negative": "1", "positive": "5"}
    answers = [(tweet, stars[label]) for tweet, _, label in rows]
    _add(tmp_path, "api", answers, "--classes", "negative=1,2 positive=4,5")
    scores, _ = _evaluate(tmp_path)
    assert scores["models"]["api"]["accuracy"] == scores["models"]["Ben"]["accuracy"] == 1


def test_gold_table_that_is_damaged_is_named_and_others_are_reported(tmp_path: Path) -> None:
    write_tweets(tmp_path / "gold.csv", _gold(30), ("id", "text", "label"))
    _add(tmp_path, "Ben", [("id1", "positive")])
    damaged = GoldDir(_directory(tmp_path))
    table = pq.read_table(damaged.predictions_file)
    write_tweets(tmp_path / "gold.csv", _gold(31), ("id", "text", "label"))
    _add(tmp_path, "Ben", [("id1", "positive")])
    pq.write_table(table.slice(1), damaged.predictions_file)
    assert str(damaged.predictions_file) in refused(1, "evaluate", damaged.path)
    findings, _ = build_report(Results(tmp_path / "results"), [], tmp_path / "report")
    assert [str(damaged.predictions_file) in problem for problem in findings.problems] == [True]
    assert [len(gold.texts) for gold in findings.study.golds] == [31]


def test_mistake_about_a_gold_table_is_one_message(tmp_path: Path) -> None:
    gold = write_tweets(tmp_path / "gold.csv", _gold(30), ("id", "text", "label"))
    _add(tmp_path, "Ben", [("id1", "positive")])
    for words, code, reason in (
        (("add", "x", gold, "--of", tmp_path / "none.csv"), 1, "none.csv: no such file"),
        (("add", "x", gold, "--of", tmp_path), 2, "is not a run directory"),
        (("evaluate", _directory(tmp_path), "--with", "network"), 2, "is a gold table; --data, --with and"),
    ):
        assert reason in refused(code, *words)


def test_page_shows_runs_and_gold_tables_of_one_folder_and_of_gold_tables_alone_no_section_on_runs(
    tmp_path: Path,
) -> None:
    rows = _gold(30)
    write_tweets(tmp_path / "gold.csv", rows, ("id", "text", "label"))
    _add(tmp_path, "Ben", [(tweet, label) for tweet, _, label in rows])
    results = Results(tmp_path / "results")
    assert _titles(results) == ["Predictors on gold tables", "Methods"]
    Study(results).single({})
    both = _titles(results)
    assert {"Recommendation", "The models", "Predictors on gold tables", "The runs"} <= {*both}
    assert _titles(results, ["single"]) == [title for title in both if title != "Predictors on gold tables"]


def _titles(results: Results, grids: Sequence[str] = ()) -> list[str]:
    return [section.title for section in compose(analyse(load_study(results, [*grids]))).sections]
