"""Whatever reads a table, a command or Python, sees the rows, texts and labels that pandas sees, in any kind of file.

`FUZZ=1000 pytest tests/data/test_every_command.py` tries so many random tables, from the one on that FUZZ_SEED names.
"""

import csv
import json
import os
import random
import re
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import pandas as pd
import pytest

from sentiment import SentimentClassifier, load, train
from sentiment.data.corpus import Corpus, open_corpus, prepare_corpus
from sentiment.predicting.files import for_spreadsheet
from sentiment.training.stop import RunContext
from tests.commands import invoke, refused, succeed
from tests.small_runs import invented_tweets, run_in, small_config, write_tweets

# Texts that programs may take for something else. They are in no table twice.
ODD = ("NA", "null", "nan", "12", "1e5", "true", "-", "-1+2", "007", "1.0", "caf\u00e9 na\u00efve \u20ac5",
       "\u200b zero", 'she said "no" and left', "semi; colons, and | pipes", "a\ttab",
       "two\nlines of it", "  padded  ", "12:30",
       "ends with \\", "'quoted'", '"all quoted"', "x\u2028y", "\u00a0blank\u00a0", "2015-01-01")  # fmt: skip
SPELLINGS = (("negative", "positive"), ("Neg", " POS"), ("0", "4"), ("0", "1"), (0, 1), (0.0, 1.0), ("0.0", "1.0"))
# By name: how pandas writes and reads a delimited file.
DELIMITED: dict[str, dict[str, Any]] = {
    "t.csv": {},
    "t.tsv": {"sep": "\t"},
    "t.csv.gz": {},
    "utf16.csv": {"encoding": "utf-16"},
    "bom.csv": {"encoding": "utf-8-sig", "sep": ";"},
    "pipes.csv": {"sep": "|"},
}
FORMATS = (*DELIMITED, "t.jsonl", "t.parquet", "t.xlsx")
_FRACTIONS = ("--set", "data.validation_fraction=0.3", "--set", "data.test_fraction=0.3")
_FIELDS = {"data__validation_fraction": 0.3, "data__test_fraction": 0.3}
_FIRST = int(os.environ.get("FUZZ_SEED", 0))


class File(NamedTuple):
    """A table on disk, and the options by which commands read it; none if its columns have names.

    Attributes:
        text: what `predict` calls the column of the texts.
        of_texts: for commands that read texts alone.
        of_labels: for those that read labels too.
        changes: the same for the table that `add` reads besides that of the answers.
    """

    path: Path
    text: str
    of_texts: tuple[object, ...] = ()
    of_labels: tuple[object, ...] = ()
    changes: tuple[str, ...] = ()


class Seen(NamedTuple):
    """What commands say of a table: whatever its format, and the order of its rows and columns."""

    answers: Counter[tuple[str, ...]]  # of `predict`: text, label and probability
    counted: Counter[str]  # the texts on a sheet of `share`
    asked: Counter[str]  # those on a sheet of `add`
    added: str
    scores: dict[str, Any]
    dealt: Counter[str]  # the texts on the sheets of two annotators, by whose labels `evaluate` chooses
    choice: dict[str, Any]
    prepared: str
    trained: Counter[tuple[str, bool, str]]  # of `data` and `train`: text, whether it is positive, and part


def _is_positive(label: object) -> bool:
    return str(label).strip().lower()[:1] in ("p", "4", "1")


def _table(rng: random.Random) -> pd.DataFrame:
    """A table of tweets, with up to two rows without a text or a label, which is less than a twentieth.

    Some tables have rows besides in which nothing stands.
    """
    tweets = invented_tweets(60, rng.randrange(10**6))
    spelling = rng.choice(SPELLINGS)
    texts: list[Any] = [text for _, text in tweets] + rng.sample(ODD, 4)
    labels: list[Any] = [spelling[label] for label, _ in tweets] + [spelling[n % 2] for n in range(4)]
    for values, first in rng.sample([(texts, 0), (labels, 30)], rng.randrange(3)):
        values[rng.randrange(first, first + 30)] = None
    columns = {rng.choice(["text", "Tweet", "content"]): texts, rng.choice(["label", "sentiment", "target"]): labels}
    further = {
        "id": [10**14 + n for n in range(64)],
        "likes": [rng.choice([None, 3, 10**6]) for _ in texts],
        "score": [rng.choice([None, 0.5]) for _ in texts],
        "lang": ["en"] * 64,
    }
    columns |= {name: further[name] for name in rng.sample([*further], rng.randrange(4))}
    table = pd.DataFrame({name: pd.Series(values, dtype=object) for name, values in columns.items()})
    empty = pd.DataFrame(None, range(rng.choice([0, 1, 8])), table.columns, dtype=object)
    return pd.concat([table, empty], ignore_index=True)


def _write(table: pd.DataFrame, path: Path, rng: random.Random) -> File:
    """Write a table with its rows and columns in another order; an object of JSON Lines may lack what is missing.

    A table without a header begins with a tweet. The last row is not empty: the sheet of a workbook ends before it.
    """
    text, label = table.columns[:2]
    columns = rng.sample([*table.columns], len(table.columns))
    rows = table[columns].sample(frac=1, random_state=rng.randrange(10**6))
    rows = pd.concat([rows[rows.isna().all(axis=1)], rows[rows.notna().any(axis=1)]])
    rows = pd.concat([rows[20:40], rows[:20], rows[40:]])
    if path.name == "t.jsonl":
        objects = [{name: value for name, value in row.items() if value is not None} for row in rows.to_dict("records")]
        path.write_text("".join(json.dumps(one, ensure_ascii=rng.random() < 0.5) + "\n" for one in objects))
        return File(path, text)
    if path.name == "t.parquet":
        rows.to_parquet(path, index=False)
        return File(path, text)
    has_header = rng.random() < 0.7
    if not has_header:
        is_tweet = rows[text].map(lambda cell: len(str(cell).split()) > 3) & rows[label].notna()
        rows = pd.concat([rows[is_tweet][:1], rows.drop(rows[is_tweet].index[0])])
    if path.name == "t.xlsx":
        rows.to_excel(path, index=False, header=has_header)
    else:
        quoting = rng.choice([csv.QUOTE_MINIMAL, csv.QUOTE_ALL])
        rows.to_csv(path, index=False, header=has_header, quoting=quoting, **DELIMITED[path.name])
    if has_header:
        return File(path, text)
    of_text, of_label = columns.index(text), columns.index(label)
    classes = ("--classes", "negative=0 positive=1") if str(table[label][0]).startswith(("0", "1")) else ()
    if "4" in {*table[label]}:
        classes = ("--classes", "negative=0 positive=4")
    of_texts = ("--text-column", of_text)
    named = ("--set", f"data.columns.text={of_text}", "--set", f"data.columns.label={of_label}")
    return File(path, str(of_text), of_texts, (*of_texts, "--label-column", of_label, *classes), named)


def _on_sheet(sheet: Path) -> Counter[str]:
    return Counter(pd.read_csv(sheet, dtype=str, keep_default_na=False)["text"])


def _see(file: File, run: Path, model: SentimentClassifier, classes: dict[str, str]) -> Seen:
    """What all commands say.

    Args:
        model: the exported baseline of the run.
        classes: the class of each text as it stands on a sheet.
    """
    path = file.path
    folder = path.parent
    results = ("--results", folder / "results")
    succeed("predict", run, "--file", path, "--out", folder / "answers.csv", "--with", "baseline", *file.of_texts)
    answers = pd.read_csv(folder / "answers.csv", dtype=str, keep_default_na=False)
    _compare_with_python(answers[[file.text, *answers.columns[-2:]]], model)
    share = ("--sheet", folder / "share.csv", "--labels", 64, "--with", "baseline")
    succeed("share", run, path, *share, *file.of_texts)
    of = ("--of", path, *results, *file.changes)
    succeed("add", *of, "--sheet", folder / "add.csv", *file.of_labels[4:])
    added = succeed("add", "gpt", path, *of, *file.of_labels)
    evaluate = ("evaluate", run, "--data", path)
    succeed(*evaluate, "--out", folder / "scores.json", "--with", "baseline", *file.of_labels)
    dealt, choice = _choose(evaluate, folder, file.of_texts, classes)
    prepared = succeed("data", path, *_FRACTIONS, *results, *file.of_labels)
    (of_command,) = (folder / "results" / "data" / "corpora").iterdir()
    trained = _trained_in_python(file)
    assert trained == _tweets_of(open_corpus(of_command))
    return Seen(
        answers=Counter(map(tuple, answers[[file.text, *answers.columns[-2:]]].to_numpy().tolist())),
        counted=_on_sheet(folder / "share.csv"),
        asked=_on_sheet(folder / "add.csv"),
        added=" ".join(re.findall(r"gpt: .*", added)),
        scores=_numbers(folder / "scores.json"),
        dealt=dealt,
        choice=choice,
        prepared=" ".join(re.findall(r"\d+ rows read, \d+ kept|\d+ tokens .*", prepared)),
        trained=trained,
    )


def _tweets_of(corpus: Corpus) -> Counter[tuple[str, bool, str]]:
    is_positive = [_is_positive(corpus.report.classes[label]) for label in corpus.labels]
    parts = [corpus.part_names[part] for part in corpus.parts]
    return Counter(zip(corpus.texts().to_pylist(), is_positive, parts, strict=True))


def _trained_in_python(file: File) -> Counter[tuple[str, bool, str]]:
    """The tweets on which `train` would train."""
    given = dict(zip(file.of_labels[::2], file.of_labels[1::2], strict=True))
    columns = {"data__columns__text": "--text-column", "data__columns__label": "--label-column"}
    fields = {field: given[option] for field, option in columns.items() if option in given}
    folder = file.path.parent / "python"
    classes: Any = given.get("--classes")
    return _tweets_to_train_on(lambda: train(data=file.path, results=folder, classes=classes, **_FIELDS, **fields))


def _tweets_to_train_on(start: Callable[[], object]) -> Counter[tuple[str, bool, str]]:
    """The tweets on which a run would be trained that is started so."""
    seen = []

    def prepare(run: RunContext) -> None:
        seen.append(_tweets_of(prepare_corpus(run.config.data, run.results)))
        raise KeyboardInterrupt

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("sentiment.training.experiment.run_single", prepare)
        with pytest.raises(KeyboardInterrupt):
            start()
    return seen[0]


def _numbers(file: Path) -> dict[str, Any]:
    """The content of a JSON file without the last digits, in which sums over rows in another order differ."""
    found: dict[str, Any] = json.loads(file.read_text(), parse_float=lambda number: round(float(number), 6))
    return {name: value for name, value in found.items() if name not in ("source", "left_out")}


def _compare_with_python(answers: pd.DataFrame, model: SentimentClassifier) -> None:
    """An exported model says in Python what the run says of a file; of a text without a known word it only guesses."""
    texts, labels, probabilities = (answers[name].tolist() for name in answers)
    knows = model.knows(texts)
    assert [label != "" for label in labels] == [
        bool(text.strip()) and word for text, word in zip(texts, knows, strict=True)
    ]
    kept = [place for place, label in enumerate(labels) if label]
    assert model.predict([texts[place] for place in kept]).tolist() == [labels[place] for place in kept]
    expected = model.predict_proba([texts[place] for place in kept]).max(axis=1)
    assert [float(probabilities[place]) for place in kept] == pytest.approx(expected, abs=1e-5)


def _choose(
    evaluate: Sequence[object], folder: Path, of_texts: Sequence[object], classes: dict[str, str]
) -> tuple[Counter[str], dict[str, Any]]:
    """The texts that two annotators label, and the choice by their labels."""
    people = ("--for", "Ann", "--for", "Bob", "--labels", 50)
    done = invoke(*evaluate, "--sheet", folder / "which.csv", *people, *of_texts)
    if "no label can tell them apart" in done.output:
        return Counter(), {}
    assert done.exit_code == 0, done.output
    dealt = Counter[str]()
    words: list[object] = []
    for sheet in (folder / "which-Ann.csv", folder / "which-Bob.csv"):
        rows = pd.read_csv(sheet, dtype=str, keep_default_na=False, encoding="utf-8-sig")
        rows.assign(label=rows["text"].map(classes)).to_csv(sheet, index=False)
        dealt.update(rows["text"])
        words += ["--labelled", sheet]
    succeed(*evaluate, *words, *of_texts, "--out", folder / "choice.json")
    return dealt, _numbers(folder / "choice.json")


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("trained")
    finished = run_in(folder, small_config(write_tweets(folder / "a.csv", invented_tweets(300)), training__epochs=1))
    finished.complete()
    return finished.run_dir.path


@pytest.fixture(scope="module")
def model(run: Path, tmp_path_factory: pytest.TempPathFactory) -> SentimentClassifier:
    archive = tmp_path_factory.mktemp("exported") / "model.zip"
    succeed("export", run, archive, "--with", "baseline")
    return load(archive)


@pytest.mark.parametrize("seed", range(_FIRST, _FIRST + int(os.environ.get("FUZZ", 6))))
def test_commands_see_the_same_tweets_in_all_formats(
    run: Path, model: SentimentClassifier, tmp_path: Path, seed: int
) -> None:
    rng = random.Random(seed)
    table = _table(rng)
    text, label = table.columns[:2]
    usable = table[table[text].notna()]
    labelled = usable[usable[label].notna()]
    positive = {*labelled[text][labelled[label].map(_is_positive)]}
    classes = {for_spreadsheet(one): "positive" if one in positive else "negative" for one in usable[text]}
    seen = []
    for name in rng.sample(FORMATS, 2):
        folder = tmp_path / name
        folder.mkdir()
        seen.append(_see(_write(table, folder / name, rng), run, model, classes))
    for first, second in zip(*seen, strict=True):
        assert first == second
    assert Counter(answer[0] for answer in seen[0].answers.elements()) == Counter(table[text].fillna(""))
    assert seen[0].counted == Counter(map(for_spreadsheet, usable[text]))
    assert seen[0].asked == Counter(map(for_spreadsheet, labelled[text]))
    assert seen[0].added == f"gpt: {len(labelled)} of {len(labelled)} labelled tweets"
    assert seen[0].prepared.startswith(f"{len(table.dropna(how='all'))} rows read")
    untrained = SentimentClassifier(choice="network", results=tmp_path / "fitted", **_FIELDS)
    assert _tweets_to_train_on(lambda: untrained.fit(labelled[text], [*labelled[label]])) == seen[0].trained
    assert {one[:2] for one in seen[0].trained} == {(one, one in positive) for one in labelled[text]}


def _damaged(table: pd.DataFrame, path: Path, rng: random.Random) -> bool:
    """Write a delimited table with up to three ragged rows, or a quote too many; returns whether it has that quote."""
    rows = table[["text", "label"]].assign(n=1).to_csv(index=False, quoting=csv.QUOTE_ALL).splitlines()
    for place in rng.sample(range(1, len(rows)), rng.randrange(4)):
        rows[place] = rng.choice(
            [rows[place] + ',"x",y', rows[place].rpartition(",")[0], rows[place].split('","')[0] + '"']
        )
    has_quote = rng.random() < 0.5
    if has_quote:
        place = rng.randrange(1, len(rows))
        rows[place] = rng.choice(['"' + rows[place][1:].replace('"', "", 1), rows[place] + '"', '""' + rows[place]])
    path.write_text("\n".join(rows) + "\n")
    return has_quote


@pytest.mark.parametrize("seed", range(_FIRST, _FIRST + int(os.environ.get("FUZZ", 6))))
def test_commands_refuse_the_same_damaged_table_or_see_the_same_rows(run: Path, tmp_path: Path, seed: int) -> None:
    rng = random.Random(seed)
    tweets = [(text, ("negative", "positive")[label]) for label, text in invented_tweets(80, rng.randrange(10**6))]
    path = tmp_path / "t.csv"
    has_quote = _damaged(pd.DataFrame(tweets, columns=["text", "label"]), path, rng)
    results = ("--results", tmp_path / "results")
    commands: dict[str, tuple[object, ...]] = {
        "predict": ("predict", run, "--file", path, "--out", tmp_path / "answers.csv", "--with", "baseline"),
        "share": ("share", run, path, "--sheet", tmp_path / "share.csv", "--labels", 90, "--with", "baseline"),
        "add": ("add", "--of", path, "--sheet", tmp_path / "add.csv", *results),
        "gpt": ("add", "gpt", path, "--of", path, *results),
        "evaluate": ("evaluate", run, "--data", path, "--with", "baseline"),
        "data": ("data", path, *_FRACTIONS, *results),
    }
    done = {name: invoke(*words) for name, words in commands.items()}
    # The words of a message after the place of a row, such as `t.csv:3: a quote opens here, and ...`.
    problems = {name: re.findall(r"t\.csv(:\d+: .*|: \d+ of \d+ rows .*?;)", one.output) for name, one in done.items()}
    if done["predict"].exit_code:
        assert has_quote
        assert {tuple(found) for found in problems.values()} == {tuple(problems["predict"])}, problems
        assert "--no-quotes" in problems["predict"][0]
        return
    answers = pd.read_csv(tmp_path / "answers.csv", dtype=str, keep_default_na=False)
    refused_rows = re.findall(
        r"(\d+) rows? without a prediction: (?:wrong number of fields|empty text)", done["predict"].output
    )
    usable = len(answers) - sum(map(int, refused_rows))
    assert done["share"].exit_code == 0, done["share"].output
    assert _on_sheet(tmp_path / "share.csv").total() == usable
    for name in ("add", "gpt", "evaluate", "data"):
        assert done[name].exit_code == 0, done[name].output
    assert f"{len(answers)} rows read" in done["data"].output


def test_answers_without_names_of_columns_are_read_from_the_first_line(tmp_path: Path) -> None:
    tweets = [(text, ("negative", "positive")[label]) for label, text in invented_tweets(30)]
    table = write_tweets(tmp_path / "tweets.csv", tweets, ("content", "label"))
    answers = write_tweets(tmp_path / "answers.csv", tweets[1:], tweets[0])
    columns = ("--text-column", 0, "--label-column", 1)
    added = succeed("add", "gpt", answers, "--of", table, *columns, "--results", tmp_path)
    assert "gpt: 30 of 30 labelled tweets" in added


def test_add_says_how_to_name_the_columns_of_the_tweets_not_of_the_answers(tmp_path: Path) -> None:
    tweets = [(("negative", "positive")[label], text, text) for label, text in invented_tweets(30)]
    table = write_tweets(tmp_path / "tweets.csv", tweets, ("label", "a", "b"))
    add = ("add", "--of", table, "--sheet", tmp_path / "sheet.csv", "--results", tmp_path)
    assert "name the right one with --set data.columns.text=..." in refused(2, *add)
    assert "--text-column" not in succeed(*add, "--set", "data.columns.text=a")


def test_skipped_is_an_answer_where_a_class_is_called_so(tmp_path: Path) -> None:
    tweets = [(text, ("skipped", "read")[label]) for label, text in invented_tweets(30)]
    table = write_tweets(tmp_path / "tweets.csv", tweets, ("text", "label"))
    of = ("--of", table, "--classes", "skipped read", "--results", tmp_path)
    assert "gpt: 30 of 30 labelled tweets" in succeed("add", "gpt", table, *of)
