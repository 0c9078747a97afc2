"""Predictors on a gold table: compared with each other without a run, joined by id or text, whatever the order.

Each command that reads a user's table sees the same rows of it, or says why it does not.
"""

import json
import re
import shlex
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from report.build import build_report, compose
from report.compare.findings import analyse
from report.read import load_study
from sentiment.answers.elsewhere import add_predictor, tweets_of_table
from sentiment.answers.match import AnswersFile
from sentiment.answers.table import AnswersDir, read_answers
from sentiment.console import silent
from sentiment.runs.run_dir import Results, RunDir
from tests.commands import invoke, refused, succeed
from tests.report.made_up import Study, read_table
from tests.small_runs import invented_tweets, write_tweets

CLASSES = {2: ["negative", "positive"], 3: ["negative", "neutral", "positive"]}
WITHOUT_LABELS = ("--set", "data.columns.label=null", "--classes", "negative positive")
_OPINIONS = {"negative": "an awful day", "neutral": "a day", "positive": "a lovely day"}
_ORIGIN: dict[str, Any] = {"note": "", "annotator": False, "cost": None, "seconds": None}


def _gold(n: int, classes: int = 2) -> list[tuple[str, str, str]]:
    """Rows of id, text and label."""
    labels = [CLASSES[classes][number % classes] for number in range(n)]
    return [(f"id{number}", f"{_OPINIONS[label]} at stop {number}", label) for number, label in enumerate(labels)]


def _write_gold(folder: Path, n: int, classes: int = 2) -> list[tuple[str, str, str]]:
    rows = _gold(n, classes)
    write_tweets(folder / "gold.csv", rows, ("id", "text", "label"))
    return rows


def _of(folder: Path) -> tuple[object, ...]:
    return "--of", folder / "gold.csv", "--results", folder / "results"


def _wrong(label: str) -> str:
    return "positive" if label == "negative" else "negative"


def _add(folder: Path, name: str, answers: list[tuple[str, str]], *options: object) -> str:
    table = write_tweets(folder / f"{name}.csv", answers, ("id", "label"))
    return succeed("add", name, table, *_of(folder), *options)


def _directory(folder: Path) -> Path:
    (directory,) = (folder / "results" / "answers").iterdir()
    return directory


def _evaluate(folder: Path) -> tuple[dict[str, Any], str]:
    output = succeed("evaluate", _directory(folder), "--out", folder / "scores.json")
    return json.loads((folder / "scores.json").read_text()), " ".join(output.split())


@settings(max_examples=15)
@given(st.integers(0, 10**6), st.sampled_from([2, 3]), st.sampled_from([["tweet_id"], ["text"], ["tweet_id", "text"]]))
def test_oracle_is_right_on_every_tweet_of_a_gold_table_in_any_order(seed: int, classes: int, keys: list[str]) -> None:
    rng = np.random.default_rng(seed)
    rows = _gold(int(rng.integers(6, 30)), classes)
    copies = [rows[0][1], f" {rows[1][1]}", rows[2][1].replace(" ", "  ")]
    rows += [(f"copy{number}", text, rows[number][2]) for number, text in enumerate(copies)]
    table = pd.DataFrame(rows, columns=["tweet_id", "text", "label"])
    known = ["text"] if keys == ["text"] and seed % 2 else ["tweet_id", "text"]
    with tempfile.TemporaryDirectory() as name:
        gold, answers, results = Path(name, "gold.csv"), Path(name, "answers.csv"), Results(Path(name))
        directories = set()
        for oracle in ("first", "second"):
            table.sample(frac=1, random_state=rng)[[*known, "label"]].to_csv(gold, index=False)
            table.sample(frac=1, random_state=rng)[[*keys, "label"]].to_csv(answers, index=False)
            parameters = {"data.source": str(gold), "data.labels": " ".join(CLASSES[classes])}
            asked, _ = tweets_of_table(str(gold), parameters, None, results, silent)
            add_predictor(asked, oracle, AnswersFile(answers), None, _ORIGIN)
            directories.add(asked.directory)
        (directory,) = directories
        stored = read_answers(directory)
        assert len(stored.table.texts) == len(rows) - 3 * (known == ["text"])
        for predictor in stored.added_predictors:
            assert predictor.answered.all()
            assert predictor.right(stored.table.labels).all()
        assert {*stored.added} == {"first", "second"}


@pytest.mark.parametrize("classes", [2, 3])
def test_two_predictors_are_compared_by_the_paired_interval_on_page_and_screen(tmp_path: Path, classes: int) -> None:
    """The counts and the interval of two classifiers of 105 tweets, of which one alone has 19 right."""
    rows = _write_gold(tmp_path, 105, classes)
    for name, right in (("Anna", 100), ("Ben", 81)):
        answers = [(tweet, label if n < right else _wrong(label)) for n, (tweet, _, label) in enumerate(rows)]
        _add(tmp_path, name, answers, "--set", "data.language=de")
    sentence = (
        "Anna is significantly better than Ben: +18.1 points of accuracy on 105 tweets (95 % CI +11.9 to +26.5; "
        "adjusted p < 0.001)."
    )
    scores, shown = _evaluate(tmp_path)
    assert sentence in shown
    assert [scores["models"][name]["accuracy"] for name in ("Anna", "Ben")] == [100 / 105, 81 / 105]
    assert "VADER's lexicon" not in scores["models"]
    findings, page = build_report(Results(tmp_path / "results"), [], tmp_path / "report")
    assert not findings.problems
    text = page.with_suffix(".md").read_text(encoding="utf-8").replace("&lt;", "<")
    assert sentence in text
    assert "train" not in text.replace("trained", "")
    (row,) = read_table(tmp_path / "report", f"comparisons-{_directory(tmp_path).name}")
    assert (row["only_first"], row["only_second"], row["n"]) == (19, 0, 105)
    assert (round(row["accuracy_low"], 3), round(row["accuracy_high"], 3)) == (0.119, 0.265)
    predictors = read_table(tmp_path / "report", f"scores-{_directory(tmp_path).name}")
    assert [row["predictor"] for row in predictors] == ["Anna", "Ben", "most frequent class"]


def test_annotators_are_no_predictors_but_agree_with_the_labels_so_far(tmp_path: Path) -> None:
    rows = [(tweet, label) for tweet, _, label in _write_gold(tmp_path, 60)]
    for name, right in (("Anna", 60), ("Ben", 45)):
        answers = [(tweet, label if n < right else _wrong(label)) for n, (tweet, label) in enumerate(rows)]
        _add(tmp_path, name, answers, "--annotator")
    scores, shown = _evaluate(tmp_path)
    assert {*scores["models"]} == {"VADER's lexicon", "most frequent class"}
    assert scores["annotators"]["Ben"] == {"n": 60, "alike": 0.75, "kappa": pytest.approx(0.5, abs=0.01)}
    sentences = (
        "Anna (annotator): kappa 1.00 with the labels of 60 tweets, 100.0% alike",
        "Ben (annotator): kappa 0.50 with the labels of 60 tweets, 75.0% alike",
    )
    _, page = build_report(Results(tmp_path / "results"), [], tmp_path / "report")
    text = page.with_suffix(".md").read_text(encoding="utf-8")
    for sentence in sentences:
        assert sentence in shown
        assert sentence in text
    for told in (shown, text):
        assert "significantly" not in told.partition("## Methods")[0]
        assert not re.search("(Anna|Ben|lexicon) classifies", told)


def test_answers_of_no_class_are_wrong_and_missing_ones_are_counted(tmp_path: Path) -> None:
    answers = [(tweet, label) for tweet, _, label in _write_gold(tmp_path, 40)[:36]]
    answers[:6] = [(tweet, "unsure") for tweet, _ in answers[:6]]
    answers[6] = (answers[6][0], _wrong(answers[6][1]))
    answers[7] = (answers[7][0], "")
    _add(tmp_path, "llm", [*answers, ("elsewhere", "positive")])
    scores, shown = _evaluate(tmp_path)
    assert (scores["other_answers"], scores["missing"]) == ({"llm": 6}, {"llm": 5})
    assert (scores["models"]["llm"]["n"], scores["models"]["llm"]["accuracy"]) == (35, 28 / 35)
    assert f"its 6 other answers count as wrong; {28 / 29:.1%} right of the 29 tweets" in shown
    assert " llm 35 80.0 " in shown
    answers.append(("elsewhere", "positive"))
    assert "1 left out: not among the labelled tweets of" in _add(tmp_path, "llm", answers)
    assert scores["models"]["VADER's lexicon"]["n"] == 40
    _, page = build_report(Results(tmp_path / "results"), [], tmp_path / "report")
    row, *_ = read_table(tmp_path / "report", f"scores-{_directory(tmp_path).name}")
    assert (row["predictor"], row["accuracy"]) == ("llm", 28 / 35)
    text = page.with_suffix(".md").read_text()
    assert f"llm classifies {2800 / 35:.1f} % of 35 tweets correctly." in text
    assert "right of the 29 tweets" in text


def test_predictor_with_few_answers_leads_no_gold_table(tmp_path: Path) -> None:
    rows = [(tweet, label) for tweet, _, label in _write_gold(tmp_path, 40)]
    _add(tmp_path, "Anna", rows[:2])
    _, page = build_report(Results(tmp_path / "results"), [], tmp_path / "report")
    assert "No predictor has answered 30 tweets" in page.with_suffix(".md").read_text()
    _add(
        tmp_path, "llm", [(tweet, label if number % 4 else _wrong(label)) for number, (tweet, label) in enumerate(rows)]
    )
    _, page = build_report(Results(tmp_path / "results"), [], tmp_path / "report")
    text = page.with_suffix(".md").read_text()
    assert "llm classifies 75.0 % of 40 tweets correctly" in text


def _logged(number: int, text: str, label: str, answer: str, by_choice: bool) -> dict[str, Any]:
    """What lm-evaluation-harness logs of a sample; it writes numbers and truth values as texts."""
    arguments = [(f"Tweet: {text}", " " + choice) for choice in CLASSES[3]]
    responses: list[Any] = [[str(-9.5 + 9 * (choice == answer)), "False"] for choice in CLASSES[3]]
    if not by_choice:
        arguments = [(f"Tweet: {text}", "{'until': ['\\n']}")]
        responses = [f" {answer.capitalize()}"]
    return {
        "doc_id": number,
        "doc": {"text": text, "label": CLASSES[3].index(label)},
        "target": label,
        "arguments": {f"gen_args_{at}": {"arg_0": pair[0], "arg_1": pair[1]} for at, pair in enumerate(arguments)},
        "resps": [[response] for response in responses],
        "filtered_resps": responses,
        "filter": "none",
    }


def _log(folder: Path, samples: list[dict[str, Any]]) -> Path:
    log = folder / "samples_tweets_2026-01-02T03-04-05.678.jsonl"
    log.write_text("".join(json.dumps(sample) + "\n" for sample in samples))
    return log


@pytest.mark.parametrize("by_choice", [True, False])
def test_samples_logged_by_lm_evaluation_harness_are_added_in_one_command(tmp_path: Path, by_choice: bool) -> None:
    rows = _gold(60, 3)
    write_tweets(tmp_path / "gold.csv", [row[1:] for row in rows], ("text", "label"))
    samples = [
        _logged(number, text, label, label if number % 4 else _wrong(label), by_choice)
        for number, (_, text, label) in enumerate(reversed(rows))
    ]
    done = invoke("add", "llama", _log(tmp_path, samples), *_of(tmp_path))
    assert "llama: 60 of 60 labelled tweets" in done.output
    assert _evaluate(tmp_path)[0]["models"]["llama"]["accuracy"] == 45 / 60
    for unusable in ([[], []], [["nan", "False"], ["-1.0", "False"]]):
        log = _log(tmp_path, [samples[0] | {"filtered_resps": unusable}])
        message = refused(1, "add", "llama", log, *_of(tmp_path))
        assert "is not an answer as lm-evaluation-harness logs it" in message
        assert f"{log}:1: [[" in message
    without = [{key: value for key, value in sample.items() if key != "filtered_resps"} for sample in samples]
    assert "no column name looks like a label" in refused(2, "add", "llama", _log(tmp_path, without), *_of(tmp_path))


def test_a_gold_table_is_named_by_its_file_as_it_is_now(tmp_path: Path) -> None:
    results = ("--results", tmp_path / "results")
    gold = tmp_path / "gold.csv"
    assert f"{gold}: no such file" in refused(2, "evaluate", gold, *results)
    gold.write_text("text\na day\n")
    assert "has no answers" in refused(2, "evaluate", gold, *results)
    rows = _write_gold(tmp_path, 40)
    answers = [(tweet, label) for tweet, _, label in rows]
    _add(tmp_path, "Ann", answers)
    first = _directory(tmp_path)
    assert "Ann 100.0 (91.2" in " ".join(succeed("evaluate", gold, *results).split())
    write_tweets(gold, [(*rows[0][:2], _wrong(rows[0][2])), *rows[1:]], ("id", "text", "label"))
    message = refused(2, "evaluate", gold, *results)
    assert f"those in {first} are to another table, or to this one before it changed" in message
    _add(tmp_path, "Ben", answers)
    output = succeed("evaluate", gold, *results)
    assert "97.5 (" in output
    assert "Ann" not in output
    gold.unlink()
    message = refused(2, "evaluate", gold, *results)
    assert all(str(path) in message for path in (tmp_path / "results" / "answers").iterdir())


@pytest.mark.parametrize("options", [(), WITHOUT_LABELS])
def test_ids_that_a_spreadsheet_has_rounded_are_no_ids(tmp_path: Path, options: tuple[str, ...]) -> None:
    rows = [("1.23E+17", text, label) for _, text, label in _gold(40)]
    gold = write_tweets(tmp_path / "gold.csv", rows, ("id", "text", "label"))
    words = ("add", "Ann", gold, *_of(tmp_path), *options)
    message = refused(1, *words)
    assert f"{gold}:3: has the id '1.23E+17' of another tweet, that of line 2" in message
    assert "Ann: 40 of 40 " in succeed(*words, "--set", "data.columns.id=null")


@pytest.mark.parametrize(("of_gold", "of_answers"), [("{}.0", "{}"), ("{}", "{}.0"), ("{}", "{}.00"), ("{}.0", "{}.0")])
def test_ids_that_pandas_has_made_floating_point_numbers_are_the_same_ids(
    tmp_path: Path, of_gold: str, of_answers: str
) -> None:
    rows = [(str(10**12 + number), text, label) for number, (_, text, label) in enumerate(_gold(30))]
    gold = [(of_gold.format(tweet), text, label) for tweet, text, label in rows]
    write_tweets(tmp_path / "gold.csv", gold, ("id", "text", "label"))
    answers = [(of_answers.format(tweet), label) for tweet, _, label in rows[::-1]]
    output = _add(tmp_path, "x", [(answers[0][0], _wrong(answers[0][1])), *answers[1:]])
    assert "x: 30 of 30 labelled tweets" in output
    assert _evaluate(tmp_path)[0]["models"]["x"]["accuracy"] == pytest.approx(29 / 30)


def test_each_of_two_ids_that_are_one_number_has_its_own_answer(tmp_path: Path) -> None:
    gold = [("12", "an awful day", "negative"), ("12.0", "a lovely day", "positive"), ("a", "a sad bus", "negative")]
    write_tweets(tmp_path / "gold.csv", gold, ("id", "text", "label"))
    output = _add(tmp_path, "x", [("12.0", "negative"), ("12", "negative"), ("12.00", "positive"), ("b", "negative")])
    assert "x: 2 of 3 labelled tweets" in output
    assert "2 left out: not among the labelled tweets of gold.csv (line 4, 5)" in output


def test_ids_that_lost_digits_are_told_on_either_side(tmp_path: Path) -> None:
    rows = [(str(10**17 + 1000 * number), text, label) for number, (_, text, label) in enumerate(_gold(4))]
    exact = [(tweet, label) for tweet, _, label in rows]
    rounded = "1.00000000000003e+17"
    write_tweets(tmp_path / "gold.csv", rows, ("id", "text", "label"))
    output = _add(tmp_path, "x", [*exact[:3], (rounded, "positive")])
    assert f"1 left out: id that was rounded, such as '{rounded}'; ids that are kept as text match (line 5)" in output
    write_tweets(tmp_path / "gold.csv", [*rows[:3], (rounded, *rows[3][1:])], ("id", "text", "label"))
    output = _add(tmp_path, "x", exact)
    unknown = "1 left out: not among the labelled tweets of gold.csv"
    assert f"{unknown}, of which ids were rounded, such as '{rounded}' (line 5)" in output


@pytest.mark.parametrize("options", [(), WITHOUT_LABELS])
def test_answers_may_end_before_empty_cells_and_have_an_apostrophe(tmp_path: Path, options: tuple[str, ...]) -> None:
    rows = [(tweet, f"{number}/10", label) for number, (tweet, _, label) in enumerate(_gold(40))]
    write_tweets(tmp_path / "gold.csv", rows, ("id", "text", "label"))
    lines = ["id,text,label,note", *(f"{tweet},'{text},{label}" for tweet, text, label in rows[:30])]
    lines += [f"{tweet},'{text}" for tweet, text, _ in rows[30:]]
    answers = tmp_path / "Ann.csv"
    answers.write_text("\n".join(lines))
    output = succeed("add", "Ann", answers, *_of(tmp_path), *options)
    assert "Ann: 30 of 40 " in output
    assert "10 left out: no answer" in output


def test_name_of_a_predictor_is_no_markup(tmp_path: Path) -> None:
    _add(tmp_path, "gpt[mini]", [(tweet, label) for tweet, _, label in _write_gold(tmp_path, 40)])
    assert _evaluate(tmp_path)[1].count(" gpt[mini] ") > 2


def test_command_that_follows_a_sheet_reads_the_table_as_the_one_that_wrote_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    rows = [(tweet, text, {"negative": "down", "positive": "up"}[label]) for tweet, text, label in _gold(40)]
    write_tweets(tmp_path / "gold.csv", rows, ("id", "body", "label"))
    words = ("--set", "data.columns.text=body", "--set", "data.language=de", "--classes", "negative=down positive=up")
    output = succeed("add", "--of", "gold.csv", *words, "--sheet", "mine.csv")
    assert "test set first" not in output
    sheet = pd.read_csv("mine.csv", encoding="utf-8-sig").assign(label="positive")
    sheet.to_csv("mine.csv", index=False)
    (command,) = (line for line in output.splitlines() if line.startswith("sentiment add NAME"))
    assert "NAME: 40 of 40 " in succeed(*shlex.split(command)[1:])


def test_gold_table_without_its_record_is_named_in_the_report(tmp_path: Path) -> None:
    _add(tmp_path, "Ben", [(tweet, label) for tweet, _, label in _write_gold(tmp_path, 40)])
    results = Results(tmp_path / "results")
    record = AnswersDir(_directory(tmp_path)).record_file
    Study(results).single({})
    assert load_study(results, []).reader.problems == []
    record.unlink()
    assert [line for line in load_study(results, []).reader.problems if str(record) in line]


def test_ids_that_stand_for_texts_are_copies_of_no_other_id(tmp_path: Path) -> None:
    rows = [("A1", "negative"), ("a1", "positive"), ("id-1", "negative"), ("id 1", "positive"), ("@a", "negative")]
    gold = write_tweets(tmp_path / "gold.csv", rows, ("id", "label"))
    assert "x: 5 of 5 labelled tweets" in succeed("add", "x", gold, *_of(tmp_path))


def test_table_of_ids_and_labels_alone_is_a_gold_table_without_a_lexicon(tmp_path: Path) -> None:
    """Answers without a text have the number that lm-evaluation-harness gives them, or an id of their own."""
    rows = [(str(number), label) for number, (*_, label) in enumerate(_gold(30))]
    write_tweets(tmp_path / "gold.csv", rows, ("id", "label"))
    _add(tmp_path, "Ben", rows)
    samples = [{"doc_id": int(tweet), "doc": {"query": "?"}, "filtered_resps": [label]} for tweet, label in rows[::-1]]
    succeed("add", "llama", _log(tmp_path, samples), *_of(tmp_path))
    texts = [(tweet, f"the text of tweet {tweet}", label) for tweet, label in rows]
    succeed("add", "Ann", write_tweets(tmp_path / "Ann.csv", texts, ("id", "text", "label")), *_of(tmp_path))
    scores, _ = _evaluate(tmp_path)
    accuracies = {name: metrics["accuracy"] for name, metrics in scores["models"].items()}
    assert accuracies == {"Ann": 1, "Ben": 1, "llama": 1, "most frequent class": 0.5}


@pytest.mark.parametrize(
    ("name", "table"),
    [
        ("two columns of ids.csv", "tweet_id,id,label\n11,2,positive\n12,1,negative\n"),
        ("blanks.csv", "id,label\n 1,positive\n2 ,negative\n"),
        ("an id is missing.csv", "id,text,label\n3,a day,positive\n,my day,negative\n"),
        ("numbers.jsonl", '{"id": 1, "label": "positive"}\n{"id": 2, "label": "negative"}\n'),
    ],
)
def test_gold_table_has_an_answer_to_each_of_its_tweets(tmp_path: Path, name: str, table: str) -> None:
    gold = tmp_path / name
    gold.write_text(table)
    output = succeed("add", "x", gold, "--of", gold, "--results", tmp_path / "results")
    assert "x: 2 of 2 labelled tweets" in output


@pytest.mark.parametrize("options", [(), WITHOUT_LABELS])
def test_columns_of_ids_that_have_one_name_are_refused(tmp_path: Path, options: tuple[str, ...]) -> None:
    gold = tmp_path / "gold.csv"
    gold.write_text("id,id,text,label\n1,2,a day,positive\n2,1,my day,negative\n")
    answers = write_tweets(tmp_path / "x.csv", [("1", "positive")], ("id", "label"))
    assert "has several columns 'id'" in refused(2, "add", "x", answers, "--of", gold, *options)


@pytest.mark.parametrize(
    ("answers", "expected"),
    [
        ([("id0", "positive"), ("", "negative")], {"id1": "negative"}),
        ([("", "negative"), ("id0", "positive")], {"id1": "negative"}),
        ([("id1", "positive"), ("", "negative")], {"id0": "negative"}),
        ([("id0", "positive"), ("", "positive")], {"id0": "positive", "id1": "positive"}),
    ],
)
def test_answers_by_id_and_by_text_are_judged_for_each_tweet(
    tmp_path: Path, answers: list[tuple[str, str]], expected: dict[str, str]
) -> None:
    """Two tweets have the same text: an answer by id is for one, an answer by text for both."""
    gold = [("id0", "a day", "positive"), ("id1", "a day", "positive"), ("id2", "another", "negative")]
    write_tweets(tmp_path / "gold.csv", gold, ("id", "text", "label"))
    rows = [(tweet, "a day", label) for tweet, label in answers]
    output = succeed("add", "x", write_tweets(tmp_path / "x.csv", rows, ("id", "text", "label")), *_of(tmp_path))
    assert "duplicate" not in output
    table = pq.read_table(AnswersDir(_directory(tmp_path)).table_file)
    ids = dict(zip(table["tweet"].to_pylist(), table["id"].to_pylist(), strict=True))
    predictions = read_answers(_directory(tmp_path)).added["x"].predictions
    assert {ids[tweet]: answer for tweet, answer in predictions.items() if answer} == expected


_SAME_BEGINNING = "one two three four five six seven eight nine ten eleven twelve"
_ALIKE = ["", "!", "?!", "...", "http://a.b", "http://a.c", "day", "DAY", "day!", "#day", "day via @x", "RT @x: day"]
_ALIKE_TEXTS = [*_ALIKE[1:], *(f"{_SAME_BEGINNING} {end}" for end in _ALIKE)]


@settings(max_examples=12)
@given(st.lists(st.sampled_from(_ALIKE_TEXTS), min_size=3, unique=True), st.integers(1, 20), st.integers(0, 99))
def test_each_tweet_has_its_own_answer_or_none_however_alike_their_texts_are(
    texts: list[str], answered: int, seed: int
) -> None:
    rng = np.random.default_rng(seed)
    said = {text: CLASSES[2][rng.integers(2)] for text in rng.permutation(texts)[:answered].tolist()}
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        write_tweets(folder / "gold.csv", [(text, "positive") for text in texts], ("text", "label"))
        answers = write_tweets(folder / "x.csv", said.items(), ("text", "label"))
        output = succeed("add", "x", answers, *_of(folder), "--classes", "negative positive")
        stored = read_answers(_directory(folder))
    assert f"x: {len(said)} of {len(texts)} labelled tweets" in output
    assert "left out" not in output
    predicted = stored.added_predictors[0].predicted.tolist()
    assert {text: CLASSES[2][at] for text, at in zip(stored.table.texts, predicted, strict=True) if at >= 0} == said


def test_tweet_with_two_labels_is_left_out_in_any_order(tmp_path: Path) -> None:
    rows = _gold(30)
    contradiction = (*rows[0][:2], _wrong(rows[0][2]))
    directories = []
    for name, table in (("after", [*rows, contradiction]), ("before", [contradiction, *rows])):
        (tmp_path / name).mkdir()
        write_tweets(tmp_path / name / "gold.csv", table, ("id", "text", "label"))
        _add(tmp_path / name, "Ben", [("id1", "positive")])
        directories.append(AnswersDir(_directory(tmp_path / name)))
    after, before = directories
    assert after.path.name == before.path.name
    assert pq.read_table(after.table_file).num_rows == 29


def test_option_names_classes_of_both_tables_which_stay_in_one_directory(tmp_path: Path) -> None:
    rows = _write_gold(tmp_path, 30)
    _add(tmp_path, "Ben", [(tweet, label) for tweet, _, label in rows])
    stars = [(tweet, {"negative": "1", "positive": "5"}[label]) for tweet, _, label in rows]
    _add(tmp_path, "api", stars, "--classes", "negative=1,2 positive=4,5")
    scores, _ = _evaluate(tmp_path)
    assert scores["models"]["api"]["accuracy"] == scores["models"]["Ben"]["accuracy"] == 1


def test_gold_table_that_is_damaged_is_named_and_others_are_reported(tmp_path: Path) -> None:
    _write_gold(tmp_path, 30)
    _add(tmp_path, "Ben", [("id1", "positive")])
    damaged = AnswersDir(_directory(tmp_path))
    table = pq.read_table(damaged.table_file)
    _write_gold(tmp_path, 31)
    _add(tmp_path, "Ben", [("id1", "positive")])
    pq.write_table(table.slice(1), damaged.table_file)
    assert str(damaged.table_file) in refused(1, "evaluate", damaged.path)
    findings, _ = build_report(Results(tmp_path / "results"), [], tmp_path / "report")
    named = str(damaged.table_file.relative_to(tmp_path))
    assert [named in problem for problem in findings.problems] == [True]
    assert [len(gold.table.texts) for gold in findings.study.labelled] == [31]


def test_page_of_gold_tables_alone_has_no_section_on_runs(tmp_path: Path) -> None:
    _add(tmp_path, "Ben", [(tweet, label) for tweet, _, label in _write_gold(tmp_path, 30)])
    results = Results(tmp_path / "results")
    assert _titles(results) == ["Predictors on labelled tables", "Methods"]
    Study(results).single({})
    both = _titles(results)
    assert {"Recommendation", "Predictors on labelled tables", "The runs"} <= {*both}
    assert _titles(results, ["single"]) == [title for title in both if title != "Predictors on labelled tables"]


def _titles(results: Results, grids: Sequence[str] = ()) -> list[str]:
    return [section.title for section in compose(analyse(load_study(results, [*grids]))).sections]


ROWS = 200
COLUMN = "what they said there"  # looks like a tweet

# By command: its words before and after the table, what it says of all rows, and whether it estimates from them.
COMMANDS: dict[str, tuple[list[str], list[str], bool]] = {
    "predict": (["predict", "RUN", "--file"], ["--out", "o.csv", "--text-column", COLUMN], False),
    "share": (["share", "RUN"], ["--text-column", COLUMN], True),
    "share of answers": (["share"], ["--answers", "mood", "--text-column", COLUMN], True),
    "sheet of a share": (["share", "RUN"], ["--text-column", COLUMN, "--sheet", "s.csv"], True),
    "sheet of a choice": (["evaluate", "RUN", "--data"], ["--text-column", COLUMN, "--sheet", "s.csv"], True),
    "evaluate": (["evaluate", "RUN", "--data"], ["--text-column", COLUMN, "--label-column", "mood"], True),
    "add": (
        ["add", "--of"],
        ["--sheet", "s.csv", "--set", f"data.columns.text={COLUMN}", "--set", "data.columns.label=mood"],
        True,
    ),
    "answers": (["add", "bot"], ["--of", "gold.csv", "--text-column", COLUMN, "--label-column", "mood"], True),
    "data": (["data"], ["--text-column", COLUMN, "--label-column", "mood"], True),
}  # fmt: skip


@pytest.fixture
def run(trained: RunDir, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., str]:
    monkeypatch.chdir(tmp_path)
    write_tweets(Path("gold.csv"), [(_moods(label), text) for label, text in _texts()], ("label", "text"))

    def run_command(command: str, table: str, *further: object) -> str:
        before, after, _ = COMMANDS[command]
        words = [str(trained.path) if word == "RUN" else word for word in before]
        return invoke(*words, table, *after, *further).output

    return run_command


def _texts(size: int = ROWS) -> list[tuple[int, str]]:
    return [(label, f"{text} indeed") for label, text in invented_tweets(size, seed=77)]


def _moods(label: int) -> str:
    return ["negative", "positive"][label]


@pytest.mark.parametrize("command", COMMANDS)
def test_a_header_that_no_list_knows_is_no_tweet(command: str, run: Callable[..., str]) -> None:
    lines = [f"{_moods(label)},{text}\n" for label, text in _texts()]
    Path("t.csv").write_text(f"mood,{COLUMN}\n" + "".join(lines))
    output = run(command, "t.csv")
    assert re.search(r"\b200\b", output), output
    assert "201" not in output
    for sheet in Path().glob("[so].csv"):
        assert len(sheet.read_text(encoding="utf-8-sig").splitlines()) == 1 + ROWS
        assert f",{COLUMN}," not in sheet.read_text().split("\n", 1)[1]


@pytest.mark.parametrize("command", COMMANDS)
def test_rows_that_vanish_between_quotes_are_asked_about(command: str, run: Callable[..., str]) -> None:
    _write_with_quotes(Path("t.tsv"))
    asked = run(command, "t.tsv")
    assert "t.tsv:2: a quote opens here" in asked
    assert "--no-quotes" in asked
    read = run(command, "t.tsv", "--no-quotes")
    assert "a quote opens here" not in read
    assert re.search(r"\b200\b", read)


def _write_with_quotes(path: Path) -> None:
    rows = [(_moods(label), f'"{text}' if index % 4 == 0 else text) for index, (label, text) in enumerate(_texts())]
    path.write_text(f"mood\t{COLUMN}\n" + "".join(f"{mood}\t{text}\n" for mood, text in rows))


def test_grids_read_a_table_as_the_question_about_its_quotes_is_answered(tmp_path: Path) -> None:
    table = tmp_path / "t.tsv"
    _write_with_quotes(table)
    words = ["submit", "smoke", "--data", table, "--text-column", COLUMN, "--label-column", "mood", "--dry-run"]
    words += ["--results", tmp_path / "results"]
    assert "--no-quotes" in invoke(*words).output
    assert invoke(*words, "--no-quotes").exit_code == 0


@pytest.mark.parametrize("command", COMMANDS)
def test_who_estimates_refuses_a_remainder_unless_told_what_to_leave_out(command: str, run: Callable[..., str]) -> None:
    rows = [
        (_moods(label), f"{text}, really" if index % 4 == 0 else text) for index, (label, text) in enumerate(_texts())
    ]
    Path("t.csv").write_text(f"mood,{COLUMN}\n" + "".join(f"{mood},{text}\n" for mood, text in rows))
    output = run(command, "t.csv")
    refusal = "t.csv: 50 of 200 rows cannot be used, more than 5%"
    if command == "predict":
        assert "50 rows without a prediction: wrong number of fields" in output
        return
    assert refusal in output
    output = run(command, "t.csv", "--leave-out", "wrong number of fields")
    assert refusal not in output
    assert re.search(r"\b150\b", output) or command.startswith("sheet")


def test_a_column_that_any_option_names_makes_the_first_line_a_header(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    rows = [(_moods(label), text, index % 2) for index, (label, text) in enumerate(_texts())]
    write_tweets(Path("survey.csv"), rows, ("mood", "What do you think of our service?", "place"))
    output = invoke("share", "survey.csv", "--answers", "mood", "--by", "place").output
    assert re.search(r"all tweets +200 ", output), output
