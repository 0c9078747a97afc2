"""Sheets: whatever a person's program makes of one, its labels are read as they were given, or the sheet is refused."""

from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pandas as pd
import pytest
from dateutil.parser import parse as parse_date
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from sentiment.answers.sheet import SKIPPED, Drawing, labelled_file, read_labels, write_drawn
from sentiment.config_file import resolve
from sentiment.errors import DataError, SentimentError, UsageError
from sentiment.statistics.metrics import UNLABELLED

CLASSES = ("negative", "neutral", "positive")
MEANINGS = {"negative": 0, "neutral": 1, "positive": 2, "unclear": None}
_TEXTS = st.text(st.characters(exclude_categories=("Cs", "Cc"), include_characters="\n\r\t"), min_size=1, max_size=30)
_HOSTILE = ["=1+1", '"', "a;b,c\td", "one\rtwo", "one\r\ntwo", "</script>", "\u202eabc", "\u00e9 \U0001f600", "NA"]
_HOSTILE += ["10/10", "12:30", "007", "1e5", "1.50", "+1", "-5", "24 February 2015 11:35 PM", "TRUE", "'quoted'"]


def _drawing(texts: list[str], seed: int = 0) -> Drawing:
    strata = np.random.default_rng(seed).integers(0, 2, len(texts)).astype(np.int8)
    return Drawing("choice", texts, strata)


def _truth(n: int, seed: int = 1) -> npt.NDArray[np.int64]:
    return np.random.default_rng(seed).integers(0, len(CLASSES), n)


def _labelled_sheet(folder: Path, drawing: Drawing, count: int, size: int | None = None) -> pd.DataFrame:
    """The sheet as a table, its first rows with labels."""
    path = folder / "sheet.csv"
    path.unlink(missing_ok=True)
    write_drawn(path, drawing, drawing.order[:size], CLASSES, 1)
    table = pd.read_csv(path, dtype=str, keep_default_na=False, encoding="utf-8-sig")
    truth = _truth(len(drawing.texts))
    table["label"] = [CLASSES[truth[index]] for index in drawing.order[: len(table)]]
    table.loc[count:, "label"] = ""
    return table


def _expected(drawing: Drawing, count: int) -> npt.NDArray[np.int64]:
    labels = np.full(len(drawing.texts), UNLABELLED)
    first = drawing.order[:count]
    labels[first] = _truth(len(drawing.texts))[first]
    return labels


Save = Callable[[pd.DataFrame, Path], Path]


def _save_csv(**options: object) -> Save:
    def save(table: pd.DataFrame, folder: Path) -> Path:
        table.to_csv(folder / "mine.csv", index=False, **options)  # type: ignore[call-overload]
        return folder / "mine.csv"

    return save


def _as_spreadsheets_take_it(cell: str) -> str:
    """A cell that they take for a formula, a truth value, a number, a date or a time is no longer what it was."""
    if cell.startswith("'"):
        return cell
    if cell.startswith(("=", "@")):
        return "#NAME?"
    if cell.lower() in ("true", "false"):
        return cell.title()
    with suppress(ValueError):
        return str(float(cell))
    with suppress(ValueError, OverflowError):
        return str(parse_date(cell)) if any(map(str.isdigit, cell)) else cell
    return cell


def _save_understood(table: pd.DataFrame, folder: Path) -> Path:
    """As LibreOffice saves CSV if it detects special numbers, and Excel always."""
    return _save_csv(sep=";", encoding="utf-8-sig")(table.map(_as_spreadsheets_take_it), folder)


def _save_without_empty_ends(table: pd.DataFrame, folder: Path) -> Path:
    """As Excel, which writes no delimiters where the last cells of many rows are empty."""
    path = _save_csv()(table, folder)
    lines = path.read_text().split("\n")
    path.write_text("\n".join(line.rstrip(",") for line in lines))
    return path


def _save_xlsx(table: pd.DataFrame, folder: Path) -> Path:
    table.to_excel(folder / "mine.xlsx", index=False)
    return folder / "mine.xlsx"


_PROGRAMS: dict[str, Save] = {
    "pandas": _save_csv(),
    "a spreadsheet with semicolons": _save_csv(sep=";", encoding="utf-8-sig", lineterminator="\r\n"),
    "a spreadsheet with UTF-16": _save_csv(encoding="utf-16"),
    "a program that quotes everything": _save_csv(quoting=1),
    "a workbook": _save_xlsx,
    "a spreadsheet that understands cells": _save_understood,
    "a spreadsheet that drops empty ends": _save_without_empty_ends,
}
_CHANGES: dict[str, Callable[[pd.DataFrame], pd.DataFrame]] = {
    "nothing": lambda table: table,
    "sorted by text": lambda table: table.sort_values("text"),
    "sorted by label": lambda table: table.sort_values("label"),
    "shuffled": lambda table: table.sample(frac=1, random_state=1),
    "cut to the labelled rows": lambda table: table[table["label"] != ""],
    "a column more": lambda table: table.assign(remark="hm"),
    "columns in another order": lambda table: table[["label", "text", "id"]],
    "labels in other case": lambda table: table.assign(label=" " + table["label"].str.upper() + " "),
    "a row twice": lambda table: pd.concat([table, table.head(1)]),
}


@settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    texts=st.lists(_TEXTS | st.sampled_from(_HOSTILE), min_size=1, max_size=40),
    program=st.sampled_from([*_PROGRAMS]),
    change=st.sampled_from([*_CHANGES]),
    part=st.floats(0, 1),
)
@example(texts=[*_HOSTILE, *_HOSTILE], program="pandas", change="shuffled", part=1.0)
@example(texts=_HOSTILE, program="a spreadsheet with semicolons", change="sorted by text", part=0.5)
@example(texts=_HOSTILE, program="a spreadsheet that understands cells", change="nothing", part=0.9)
@example(texts=_HOSTILE, program="a spreadsheet that drops empty ends", change="nothing", part=0.5)
def test_labels_are_read_as_given_whatever_program_saved_the_sheet(
    texts: list[str], program: str, change: str, part: float, tmp_path: Path
) -> None:
    texts = [text for text in texts if text.strip()] or ["a"]
    drawing = _drawing(texts)
    count = max(1, round(part * len(texts)))
    table = _CHANGES[change](_labelled_sheet(tmp_path, drawing, count))
    saved = _PROGRAMS[program](table, tmp_path)
    np.testing.assert_array_equal(read_labels(saved, drawing, MEANINGS), _expected(drawing, count))


def test_ids_do_not_depend_on_the_order_of_the_table() -> None:
    texts = [f"tweet {number % 90}" for number in range(100)]
    for strata in (np.zeros(100, int), np.arange(100) // 50):  # equal texts may be of different groups
        drawing = Drawing("share", texts, strata)
        turned = Drawing("share", texts[::-1], strata[::-1])
        assert sorted(drawing.ids) == sorted(turned.ids)
        assert len({*drawing.ids}) == 100
        assert [drawing.texts[index] for index in drawing.order] == [turned.texts[index] for index in turned.order]
        assert [strata[index] for index in drawing.order] == [strata[99 - index] for index in turned.order]


@pytest.mark.parametrize("size", [1, 7, 30, 100])
def test_each_beginning_has_three_tweets_of_the_first_stratum_for_one_of_the_second(size: int) -> None:
    drawing = _drawing([f"tweet {number}" for number in range(100)])
    in_second = drawing.strata[drawing.order[:size]].sum()
    of_second = drawing.strata.sum()
    of_first = 100 - of_second
    assert in_second == (max(size // 4, size - of_first) if size < 100 else of_second)
    assert sorted(drawing.order) == [*range(100)]


_OTHER = {"positive": "negative", "negative": "positive", "neutral": "positive"}
_TEXTS_OF_100 = [f"tweet number {number}" for number in range(100)]


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (lambda table: table.assign(id=sorted(table["id"])), "ids, texts and labels must stay in their rows"),
        (lambda table: table.assign(text=[*table["text"][1:], "x"]), "ids, texts and labels must stay in their rows"),
        (lambda table: table.assign(id=table["id"].str.replace("choice1-", "share1-")), "was drawn to estimate shares"),
        (lambda table: table.assign(id=table["id"].str.replace("choice1-", "choice2-")), "written by a version 2 of"),
        (lambda table: table.assign(id=[*range(100)]), "id '0' is of no sheet that `share` or `evaluate` draws"),
        (lambda table: table.assign(id=table["id"].str[:-4] + "0000"), "names no tweet of this table"),
        (lambda table: table.assign(label=table["label"].mask(table.index == 8, "")), "has no label, but later ones"),
        (
            lambda table: table.assign(label=table["label"].mask(table.index == 8, "meh")),
            "mine.csv:10: 'meh' is none of",
        ),
        (lambda table: pd.concat([table, table.head(1).replace(_OTHER)]), "has another label above"),
        (lambda table: table.drop(columns="label"), "has 0 columns called 'label'"),
        (lambda table: table.drop(columns="text"), "has 0 columns called 'text'"),
        (lambda table: table.assign(more=1).rename(columns={"more": "label"}), "has 2 columns called 'label'"),
    ],
)
def test_sheet_that_no_longer_fits_is_refused_with_the_row(
    change: Callable[[pd.DataFrame], pd.DataFrame], reason: str, tmp_path: Path
) -> None:
    drawing = _drawing(_TEXTS_OF_100)
    table = _labelled_sheet(tmp_path, drawing, 60)
    saved = _PROGRAMS["pandas"](change(table), tmp_path)
    with pytest.raises(SentimentError) as caught:
        read_labels(saved, drawing, MEANINGS)
    assert reason in str(caught.value)


def test_sheet_of_other_tweets_or_of_other_predictions_is_refused(tmp_path: Path) -> None:
    drawing = _drawing(_TEXTS_OF_100)
    saved = _PROGRAMS["pandas"](_labelled_sheet(tmp_path, drawing, 60), tmp_path)
    with pytest.raises(DataError, match="names no tweet of this table that has predictions"):
        read_labels(saved, _drawing(_TEXTS_OF_100[50:]), MEANINGS)
    with pytest.raises(DataError, match="has no label, but later ones have"):
        read_labels(saved, _drawing(_TEXTS_OF_100, seed=3), MEANINGS)


@settings(max_examples=20, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(index=st.integers(0, 99), count=st.integers(30, 100))
@example(index=0, count=30)
def test_labels_for_a_choice_outlive_a_prediction_that_changed_unless_they_are_no_sample_then(
    index: int, count: int, tmp_path: Path
) -> None:
    drawing = _drawing(_TEXTS_OF_100)
    strata = drawing.strata.copy()
    strata[index] = 1 - strata[index]
    changed = Drawing("choice", _TEXTS_OF_100, strata)
    saved = _PROGRAMS["pandas"](_labelled_sheet(tmp_path, drawing, count), tmp_path)
    expected = _expected(drawing, count)
    is_labelled = expected != UNLABELLED
    are_first = [is_labelled[order].tolist() for order in changed.strata_orders]
    if all(flags == sorted(flags, reverse=True) for flags in are_first):
        np.testing.assert_array_equal(read_labels(saved, changed, MEANINGS), expected)
    else:
        with pytest.raises(DataError, match="has no label, but later ones have"):
            read_labels(saved, changed, MEANINGS)


def test_larger_sheet_begins_with_the_smaller_one_and_none_is_overwritten(tmp_path: Path) -> None:
    drawing = _drawing(_TEXTS_OF_100)
    small = _labelled_sheet(tmp_path, drawing, 0, 20)
    large = _labelled_sheet(tmp_path, drawing, 0, 70)
    assert large["id"].tolist()[:20] == small["id"].tolist()
    with pytest.raises(UsageError, match="exists already, perhaps with labels"):
        write_drawn(tmp_path / "sheet.csv", drawing, drawing.order[:20], CLASSES, 30)
    with pytest.raises(UsageError, match=r"is the page; give the table that it downloads, other\.csv"):
        read_labels(tmp_path / "other.html", drawing, MEANINGS)
    assert labelled_file(tmp_path / "OTHER.CSV").name == "OTHER.CSV"
    with pytest.raises(UsageError, match=r"a table, other\.csv, or a page to label on, other\.html"):
        write_drawn(tmp_path / "other.parquet", drawing, drawing.order[:20], CLASSES, 30)
    with pytest.raises(UsageError, match="100 tweets are too few: at least 101 labels are needed"):
        write_drawn(tmp_path / "other.csv", drawing, drawing.order[:20], CLASSES, 101)


def test_tweet_of_no_class_is_skipped_for_a_choice_and_refused_for_shares(tmp_path: Path) -> None:
    for word in ("skipped", "Unclear"):
        drawing = _drawing(_TEXTS_OF_100)
        table = _labelled_sheet(tmp_path, drawing, 60).replace({"label": {"neutral": word}})
        labels = read_labels(_PROGRAMS["pandas"](table, tmp_path), drawing, MEANINGS)
        assert (labels == SKIPPED).sum() == (_expected(drawing, 60) == 1).sum() > 0
    drawing = Drawing("share", _TEXTS_OF_100, np.zeros(100, np.int64))
    table = _labelled_sheet(tmp_path, drawing, 60).replace({"label": {"neutral": "skipped"}})
    with pytest.raises(DataError, match="'skipped' is no class, but shares are of all tweets"):
        read_labels(_PROGRAMS["pandas"](table, tmp_path), drawing, MEANINGS)


@pytest.mark.parametrize("size", [4, 9, 30])
def test_each_beginning_of_a_sheet_for_shares_has_equally_many_tweets_of_each_group(size: int) -> None:
    strata = np.repeat([0, 1, 2, 3], [20, 2, 40, 38])
    drawing = Drawing("share", _TEXTS_OF_100, strata)
    counts = np.bincount(strata[drawing.order[:size]])
    assert counts[1] == min(2, counts.max())
    assert np.ptp(counts[[0, 2, 3]]) <= 1


def test_numbers_on_a_sheet_are_no_classes_unless_these_are_called_so() -> None:
    scale = resolve({}, {"data.source": "t.csv", "data.labels": "negative=0 neutral=1 positive=2"}, "test").data
    assert [*scale.labels.sheet_meanings()] == ["negative", "neutral", "positive"]
    stars = resolve({}, {"data.source": "t.csv", "data.labels": "1 2 3"}, "test").data
    assert [*stars.labels.sheet_meanings()] == ["1", "2", "3"]
