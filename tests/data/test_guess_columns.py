"""Somebody's own table: what is guessed is told, and what could mean two things is asked."""

import json
import shlex
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from sentiment.answers.annotators import Dealing, SheetRecord
from sentiment.config import PARTS, ColumnConfig, DataConfig, RunConfig
from sentiment.config_file import dotted, parse_override, parse_yaml, resolve
from sentiment.data.classes import Classes
from sentiment.data.guess_columns import Guess, Reading, guess, resolve_with_guesses
from sentiment.data.rows import Row
from sentiment.data.sources import open_source
from sentiment.data.table import HEAD_ROWS, Refusal
from sentiment.errors import ConfigError, DataError, UsageError
from sentiment.runs.run_dir import Results
from tests.data.made_up import sentiment140_lines
from tests.small_runs import invented_tweets

TWEETS = invented_tweets(40)
MOODS = ["sad", "happy"]


def _table(path: Path, header: Sequence[str] | None, rows: Sequence[Sequence[Any]], delimiter: str = ",") -> Path:
    if path.suffix == ".jsonl":
        objects: list[dict[str, Any]] = []
        for row in rows:
            objects.append({})
            for name, value in zip(header or (), row, strict=True):
                outer, _, inner = name.partition(".")
                objects[-1].update({outer: {**objects[-1].get(outer, {}), inner: value} if inner else value})
        path.write_text("".join(json.dumps(one) + "\n" for one in objects))
    elif path.suffix == ".parquet":
        pq.write_table(pa.table([*zip(*rows, strict=True)], list(header or ())), path)
    else:
        lines = [delimiter.join(str(one) for one in row) for row in ([header] if header is not None else []) + [*rows]]
        path.write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")
    return path


def _understood(path: Path, *given: str, **config: Any) -> Guess:
    found = guess(DataConfig.model_validate({"source": str(path), **config}), given)
    assert found
    return found


def _resolved(path: Path, **parameters: Any) -> RunConfig:
    return resolve_with_guesses({}, (), {"data.source": str(path), **parameters}, "a test")[0]


def _lines_to_keep(found: Guess, data: DataConfig) -> dict[str, Any]:
    lines = found.preview(data)
    kept: dict[str, Any] = parse_yaml("\n".join(lines[lines.index("the same as lines of a run's file:") + 1 :]), "kept")
    return kept


def _refused(path: Path, *given: str, **config: Any) -> str:
    with pytest.raises(UsageError) as error:
        _understood(path, *given, **config)
    return str(error.value)


def _labelled(folder: Path, values: Sequence[str]) -> tuple[Path, list[tuple[str, str]]]:
    """A table whose labels are these values in turn, and its rows of text and label."""
    rows = [(text, values[n % len(values)]) for n, (_, text) in enumerate(TWEETS)]
    return _table(folder / "a.csv", ["text", "label"], rows), rows


def _read(data: DataConfig) -> list[Row | Refusal]:
    return list(open_source(data, Results(Path(data.source).parent / "results")).main.read())


@pytest.mark.parametrize("delimiter", [",", ";", "\t", "|"])
def test_columns_of_other_names_are_found_and_told(tmp_path: Path, delimiter: str) -> None:
    rows = [(n, text, MOODS[label]) for n, (label, text) in enumerate(TWEETS)]
    found = _understood(_table(tmp_path / "a.csv", ["", "Tweet", "how"], rows, delimiter))
    labels = {"sad": ("sad",), "happy": ("happy",), "ignored": ()}
    assert found.changes == {"data.columns.text": "Tweet", "data.columns.label": "how", "data.labels": labels}
    assert found.messages()[:2] == [
        "a.csv: guessed data.columns.text: Tweet (--text-column=NAME says otherwise)",
        "a.csv: guessed data.columns.label: how (--label-column=NAME says otherwise)",
    ]


def test_table_as_it_should_be_needs_no_guess_and_a_wrong_name_is_left_to_the_reader(tmp_path: Path) -> None:
    path = _table(tmp_path / "a.csv", ["label", "text"], [(["neg", "Positive"][label], text) for label, text in TWEETS])
    found = _understood(path)
    assert (found.changes, found.messages()) == ({}, [])
    wrong = DataConfig.model_validate({"source": str(path), "columns": {"text": "txt"}})
    assert guess(wrong, ["data.columns.text"]) is None
    given = {"data.source": str(path), "data.columns": {"text": "txt"}}
    assert resolve_with_guesses({}, (), given, "a test")[1] is None
    (tmp_path / "folder.csv").mkdir()
    for source in ("vader", str(tmp_path / "nowhere.csv"), str(tmp_path / "folder.csv")):
        assert guess(DataConfig(source=source), []) is None


def test_file_without_names_of_columns_is_read_by_position(tmp_path: Path) -> None:
    found = _understood(_table(tmp_path / "a.csv", None, [(MOODS[label], text) for label, text in TWEETS]))
    assert (found.changes["data.columns.text"], found.changes["data.columns.label"]) == (1, 0)
    assert "the first line is a tweet" in found.messages()[0]


def test_two_columns_that_fit_are_asked_for_with_examples(tmp_path: Path) -> None:
    rows = [(text, f"{text} again", label, label) for label, text in TWEETS]
    path = _table(tmp_path / "a.csv", ["a", "b", "c", "d"], rows)
    message = _refused(path)
    assert "2 columns can hold the texts; name the right one with --text-column=NAME" in message
    assert f"'a' (such as '{TWEETS[0][1][:60]}" in message
    message = _refused(path, "data.columns.text", columns={"text": "b"})
    assert "2 columns can hold the labels; name the right one with --label-column=NAME" in message


@pytest.mark.parametrize(
    ("values", "said"),
    [
        (["nein", "ja"], "--classes 'nein ja'"),
        (["nein", "ja", "Ja", "ja"], "--classes 'ja nein'"),
        (["ok", "sad", "so so"], """--set 'data.labels={"ok": ["ok"], "sad": ["sad"], "so so": ["so so"]}'"""),
    ],
)
def test_labels_of_unknown_meaning_are_asked_for_unless_named(tmp_path: Path, values: list[str], said: str) -> None:
    path, _ = _labelled(tmp_path, values)
    assert said in _refused(path)
    labels = {"negative": values[1], "positive": values[0]}
    assert _understood(path, "data.labels.negative", "data.labels.positive", labels=labels).changes == {}
    option, value = shlex.split(said)[:2]
    given = value if option == "--classes" else parse_override(value)[1]
    assert {*map(str.lower, values)} == {*_resolved(path, **{"data.labels": given}).data.label_names}


@pytest.mark.parametrize(
    ("values", "options"),
    [
        ("0 1 2", "--classes 'negative=0 neutral=1 positive=2'"),
        ("-1 0 1", "--classes 'negative=-1 neutral=0 positive=1'"),
        ("5 1 2 3 4", "--classes 'negative=1,2 neutral=3 positive=4,5'"),
        ("1 4", "--classes 'negative=1 positive=4'"),
        ("1 2", "--classes 'negative=1 positive=2'"),
        ("0 1 4", "--classes 'negative=0 neutral=1 positive=4'"),
    ],
)
def test_numbers_that_may_be_a_scale_are_shown_and_refused(tmp_path: Path, values: str, options: str) -> None:
    path, rows = _labelled(tmp_path, values.split())
    message = _refused(path)
    assert options in message
    for label in values.split():
        tweets = [text for text, own in rows if own == label]
        line = next(line for line in message.splitlines() if line.startswith(f"  {label!r} ({len(tweets)}): "))
        assert [tweet[:20] in line for tweet in tweets[:4]] == [True, True, True, False]
    # Also where nothing is guessed, as for the runs of a grid, no row is misread.
    with pytest.raises(DataError, match=r"a\.csv:\d+: .* in data\.labels,"):
        _read(DataConfig(source=str(path)))


# pandas writes the decimals if a label is missing.
@pytest.mark.parametrize("values", [["0", "4"], ["0", "1"], ["0.0", "1.0", "1"]])
def test_numbers_of_known_meaning_are_read_and_zero_and_one_said(tmp_path: Path, values: list[str]) -> None:
    path, rows = _labelled(tmp_path, values)
    found = _understood(path)
    assert found.changes == {}
    assert ("label '1' is taken as positive" in " ".join(found.messages())) == ("4" not in values)
    labels = [row.label for row in _read(DataConfig(source=str(path)))]
    assert labels == [min(int(float(label)), 1) for _, label in rows]


@pytest.mark.parametrize(
    ("values", "names"),
    [
        (["Neg", "neutral", "POS"], ["negative", "neutral", "positive"]),
        (["0", "neutral", "1"], ["negative", "neutral", "positive"]),
        (["negativ", "Neutral", "positiv"], ["negativ", "Neutral", "positiv"]),
        (["sad", "neutral", "Happy"], ["sad", "neutral", "Happy"]),
    ],
)
def test_neutral_rows_are_a_class_between_the_others(tmp_path: Path, values: list[str], names: list[str]) -> None:
    path, rows = _labelled(tmp_path, values[::-1])
    config, _ = resolve_with_guesses({"data": {"source": str(path)}}, (), {}, "a test")
    assert list(config.data.label_names) == names
    assert [row.label for row in _read(config.data)] == [values.index(label) for _, label in rows]
    # Where nothing is guessed, as for the runs of a grid, no row is left out unasked.
    with pytest.raises(DataError, match=r"a\.csv:\d+: "):
        _read(DataConfig(source=str(path)))


def test_rows_of_labels_that_no_named_class_has_are_left_out_and_counted(tmp_path: Path) -> None:
    path, _ = _labelled(tmp_path, "012")
    parameters = {"data.source": str(path), "data.labels": "bad=0 good=2"}
    config, guess = resolve_with_guesses({}, (), parameters, "a test")
    assert config.data.labels == Classes(("bad", "good"), (("0",), ("2",)), ("1",))
    assert "'1' (13)" in " ".join(guess.messages())
    assert [row.label for row in _read(config.data)] == [[0, None, 1][n % 3] for n in range(len(TWEETS))]


def test_classes_keep_what_is_ignored_besides_as_the_error_about_a_late_label_advises(tmp_path: Path) -> None:
    path, rows = _labelled(tmp_path, ["no", "yes"])
    with path.open("a") as file:
        file.writelines(f"{text} again,no\n" for text, _ in rows * (HEAD_ROWS // len(rows)))
        file.write("a late one,maybe\n")
    parameters = {"data.source": str(path), "data.labels": "bad=no good=yes"}
    with pytest.raises(DataError, match=r"unknown label .maybe. .*to leave out in data\.labels\.ignored"):
        _read(resolve_with_guesses({}, (), parameters, "a test")[0].data)
    in_option = parameters | {"data.labels.ignored": "maybe"}
    in_file = {"data": {"labels": {"sad": ["no"], "happy": ["ja"], "ignored": ["maybe", "yes"]}}}
    for values, changes in (({}, in_option), (in_file, parameters)):
        data = resolve_with_guesses(values, dotted(values), changes, "a test")[0].data
        assert data.labels == Classes(("bad", "good"), (("no",), ("yes",)), ("maybe",))
        assert isinstance(_read(data)[-1], Row)


@pytest.mark.parametrize(("column", "is_asked"), [("is_retweet", True), ("airline_sentiment", False), ("Label", False)])
def test_zero_and_one_are_sentiments_only_if_the_column_says_so(tmp_path: Path, column: str, is_asked: bool) -> None:
    path = _table(tmp_path / "a.csv", ["text", column], [(text, label) for label, text in TWEETS])
    if is_asked:
        assert "--classes 'negative=0 positive=1'" in _refused(path)
    given = ["data.labels"] if is_asked else []
    assert _understood(path, *given).changes.get("data.labels") is None


def _classes(text: object) -> Classes:
    return resolve({}, {"data.source": "a.csv", "data.labels": text}, "--classes").data.labels


def test_stars_are_joined_to_as_many_classes_as_are_named() -> None:
    stars = Classes(("negative", "neutral", "positive"), (("1", "2"), ("3",), ("4", "5")))
    assert _classes("negative=1,2 neutral=3 positive=4,5 ") == stars
    assert _classes("sad happy=happy,yay") == Classes(("sad", "happy"), (("sad",), ("happy", "yay")))
    too_many = " ".join(f"c{n}" for n in range(21))
    for text in (
        "",
        "negative",
        "happy neutral sad",
        7,
        [[1], [2]],
        "a=1 b=1",
        "sad happy happy=yay",
        too_many,
    ):
        with pytest.raises(ConfigError, match=r"data\.labels"):
            _classes(text)


@pytest.mark.parametrize("own", ["negative positive unclear", "neutral good bad", "mixed negative positive"])
def test_classes_that_have_other_places_by_their_order_than_by_their_names_are_asked_for(own: str) -> None:
    names = ("negative", "neutral", "positive")
    with pytest.raises(UsageError, match="neither by their names nor by their order"):
        _named(*own.split()).renamed(names)
    by_order = _named("bad", "neutral", "good").renamed(names)
    assert by_order == Classes(names, (("bad",), ("neutral",), ("good",)))
    assert _named(*names[::-1]).renamed(names) == _named(*names)


def _named(*names: str) -> Classes:
    return Classes(names, tuple((name,) for name in names))


def test_columns_of_a_file_without_names_are_found_beside_dates_and_given_ones_win(tmp_path: Path) -> None:
    path = tmp_path / "t.csv"
    path.write_text("".join(sentiment140_lines(30)))
    config, found = resolve_with_guesses({}, (), {"data.source": str(path)}, "a test")
    assert found
    lines = [line.split() for line in found.preview(config.data)]
    assert config.data.columns == ColumnConfig(label=0, text=5)
    assert sum(line[:2] in (["positive", "4"], ["negative", "0"]) for line in lines) == 5
    data = _resolved(path, **{"data.columns.text": 4, "data.labels": "negative=4 positive=0"}).data
    assert data.columns == ColumnConfig(label=0, text=4)
    first = _read(data)[0]
    assert isinstance(first, Row)
    assert (first.text, first.label) == ("user0", 0)


def test_a_position_stays_a_position(tmp_path: Path) -> None:
    rows = [(text, f"{text} twice", MOODS[label]) for label, text in TWEETS]
    path = _table(tmp_path / "a.csv", ["text", "text", "how"], rows)
    assert "several columns are called 'text'; give the position of one" in _refused_by_reader(path)
    config, found = resolve_with_guesses({}, (), {"data.source": str(path), "data.columns.text": 1}, "a test")
    assert found
    assert (config.data.columns.text, config.data.columns.label) == (1, "how")
    assert [row.text for row in _read(config.data) if isinstance(row, Row)] == [text for _, text, _ in rows]


def _refused_by_reader(path: Path) -> str:
    with pytest.raises((ConfigError, UsageError)) as error:
        _read(_resolved(path, **{"data.columns.text": "text"}).data)
    return str(error.value)


def test_columns_of_another_table_are_taken_only_where_this_one_has_them(tmp_path: Path) -> None:
    """As for `evaluate --data`: the columns of the training table are not given for this one."""
    path = _table(tmp_path / "a.csv", ["label", "tweet", "author"], [(label, text, "ann") for label, text in TWEETS])
    trained = {"data": {"columns": {"text": "text", "label": 0, "user": "author", "id": "n"}}}
    config, _ = resolve_with_guesses(trained, (), {"data.source": str(path)}, "a test")
    assert config.data.columns == ColumnConfig(text="tweet", label="label", user="author")


@pytest.mark.parametrize(("rows", "among"), [(100, ""), (HEAD_ROWS + 1, "of the first 2,000 rows, ")])
def test_remark_on_rows_says_of_how_many_it_is(tmp_path: Path, rows: int, among: str) -> None:
    texts = ['"two\nlines"', *(f"a fine day {number}" for number in range(rows - 1))]
    path = _table(
        tmp_path / "a.csv", ["text", "label"], [(text, ["neg", "pos"][n % 2]) for n, text in enumerate(texts)]
    )
    assert f"a.csv: {among}1 row of several lines (line 2)" in _understood(path).messages()


@pytest.mark.parametrize(
    ("author", "is_rounded"), [("7.5E+17", True), ('"7,50E+17"', True), ("750123456789012345", False), ("E+17", False)]
)
def test_authors_that_a_spreadsheet_has_rounded_are_told(tmp_path: Path, author: str, is_rounded: bool) -> None:
    rows = [(text, label, author if number % 2 else "ann") for number, (label, text) in enumerate(TWEETS)]
    path = _table(tmp_path / "t.csv", ("text", "label", "user"), rows)
    said = " ".join(_understood(path, columns={"user": "user"}).messages())
    assert ("a spreadsheet has rounded authors" in said) == is_rounded
    assert "rounded" not in " ".join(_understood(path).messages())


def test_sheets_that_are_not_read_are_named(tmp_path: Path) -> None:
    openpyxl = pytest.importorskip("openpyxl", reason="the extra xlsx is not installed")
    book = openpyxl.Workbook()
    for row in (["text", "label"], *((text, MOODS[label]) for label, text in TWEETS)):
        book.active.append(row)
    book.create_sheet("of last year")
    book.save(tmp_path / "a.xlsx")
    assert "a.xlsx: sheet 'Sheet' is read; not read: 'of last year'" in _understood(tmp_path / "a.xlsx").messages()


def test_labels_can_be_true_and_false(tmp_path: Path) -> None:
    rows = [(text, bool(label)) for label, text in TWEETS]
    path = _table(tmp_path / "a.jsonl", ["text", "label"], rows)
    assert "'false' (20): " in _refused(path)
    given = {"data.source": str(path), "data.labels": {"no": [False], "yes": True}}
    labels = [row.label for row in _read(resolve({}, given, "").data)]
    assert labels == [label for label, _ in TWEETS]


_OTHERS_IGNORED = {"negative": ["neg"], "positive": ["pos"], "ignored": ["meh", "no: comment"]}


@pytest.mark.parametrize(
    ("name", "header", "values", "labels"),
    [
        ("a: b.csv", ["how is: it", "#said"], ["sad", "happy"], {}),
        ("b.tsv", ["mood", "it's"], ["nein", "ja"], {"negative": ["nein"], "positive": ["ja"]}),
        ("d.csv", ["n", "text"], ["0", "1", "2"], {"negative": ["1"], "positive": ["0"], "ignored": ["2"]}),
        ("e.csv", None, ["neg", "pos", "meh"], _OTHERS_IGNORED),
        ("i.csv", ["label", "text", "id", "of.one", "part"], ["neutral", "pos", "neg"], {}),
        ("g.jsonl", ["user.mood", "user.said", "id", "of.one"], ["sad", "happy"], {}),
        ("h.parquet", ["class", "tweet"], ["sad", "happy"], {}),
    ],
)
def test_lines_to_keep_say_the_same_when_they_are_fed_back(
    tmp_path: Path, name: str, header: list[str] | None, values: list[str], labels: dict[str, list[str]]
) -> None:
    rows = [
        (values[n % len(values)], text, str(n), "1", PARTS[n % 3])[: len(header or "ab")]
        for n, (_, text) in enumerate(TWEETS)
    ]
    path = _table(tmp_path / name, header, rows, "\t" if name.endswith("tsv") else ",")
    given = {"data.source": str(path), "data.language": "de", "data.train_rows": 7}
    given |= {f"data.labels.{label}": of_class for label, of_class in labels.items()}
    if header and "id" in header:
        given |= {"data.columns.id": "id", "data.columns.user": "of.one"}
    if header and "part" in header:
        given["data.columns.part"] = "part"
    config, found = resolve_with_guesses({}, (), given, "a test")
    assert found
    kept = _lines_to_keep(found, config.data)
    again, guessed_again = resolve_with_guesses(kept, dotted(kept), {}, "kept")
    assert again.data == config.data
    assert guessed_again is not None
    assert guessed_again.changes == {}
    texts = [row.text for row in _read(again.data) if isinstance(row, Row)]
    assert sorted(texts) == sorted(text for _, text in TWEETS)


def test_classes_that_are_to_be_put_in_order_are_all_named(tmp_path: Path) -> None:
    names = [f"class{number:02}" for number in range(20)]
    rows = [(text, names[number % 20]) for number, (_, text) in enumerate(TWEETS)]
    path = _table(tmp_path / "many.csv", ["text", "label"], rows)
    with pytest.raises(UsageError) as told:
        _understood(path)
    assert str(told.value).endswith(f"--classes '{' '.join(names)}'")


def test_what_is_left_open_is_read_as_when_a_sheet_was_drawn() -> None:
    earlier = Reading(3, False, ("empty text",))
    dealing = Dealing(size=30, annotators=[], shared=0, guidelines="")
    record = SheetRecord(command="share", options={}, reading=earlier, dealing=dealing)
    stored = SheetRecord.model_validate_json(record.model_dump_json()).reading
    assert Reading().over(stored) == earlier
    assert Reading("3").over(stored) == Reading("3", False, ("empty text",))
