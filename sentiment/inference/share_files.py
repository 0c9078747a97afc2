"""The share of each class in a file of tweets: the tweets, and what is printed and written of the estimates.

Does not import torch.
"""

import json
import re
import warnings
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from pandas.tseries.api import guess_datetime_format
from rich.markup import escape
from rich.table import Table

from sentiment.config import ColumnConfig
from sentiment.config_file import shortened
from sentiment.console import OUT, Progress, ProgressBar, number_table, plural, say, visible
from sentiment.data.guess_columns import Reading, open_texts
from sentiment.data.rows import Row, RowCounter, without_garbage_collection
from sentiment.data.sources import open_file, usable_rows
from sentiment.data.table import Column, abbreviated
from sentiment.errors import DataError, UsageError
from sentiment.files import as_json, write_user_file
from sentiment.inference.share_predictors import SharePredictor
from sentiment.labelling.annotators import LabelledSheets
from sentiment.labelling.drawn import SheetRecord, draw_sheets
from sentiment.labelling.sheet import Drawing, drawing_of
from sentiment.statistics import MIN_LABELS
from sentiment.statistics.metrics import ClassIndices, Flags, Probabilities, predicted_classes
from sentiment.statistics.shares import (
    ALL_TWEETS,
    check_names,
    estimate_shares,
    labels_needed,
    strata_of,
)

_USUAL_LABELS = 200
_MAX_LEARNED = 0.05  # the largest share of a table's tweets that may be left out since the model learned them
_HALF_WIDTHS = (0.15, 0.1, 0.05)  # of intervals, for which the numbers of labels are told
_DAY = r"\d{4}-\d\d-\d\d"


class Population(NamedTuple):
    """The tweets whose shares are estimated: all rows of a file with a readable text."""

    source: Path
    rows: list[Row]
    groups: list[str] | None  # parallel to `rows`
    left_out: RowCounter
    findings: list[str]  # to be told about the file

    @property
    def strata(self) -> ClassIndices:
        """The stratum of each tweet: its group, if groups are asked for."""
        return np.zeros(len(self.rows), np.int64) if self.groups is None else strata_of(self.groups)

    @property
    def drawing(self) -> Drawing:
        """The random order in which the tweets are labelled, in turn one of each stratum."""
        return Drawing("share", [row.text for row in self.rows], self.strata)


class Grouping(NamedTuple):
    """How tweets are grouped: by the values of a column, or by the periods of its dates.

    Attributes:
        per: `day`, `week` or `month` (UTC), named by its first day, such as 2015-02-24.
        day_first: whether dates such as 3/4/2015 begin with the day; None: that is asked for unless it is clear.
    """

    column: Column
    per: str | None = None
    day_first: bool | None = None


@without_garbage_collection()
def read_population(
    source: Path,
    trained: ColumnConfig,
    reading: Reading,
    answers: Column | None,
    grouping: Grouping | None,
    progress: Progress,
) -> Population:
    """Read all tweets of a file.

    Args:
        trained: the columns of the training table.
        answers: a column with the answers of a predictor, which are the first of `Row.further`.
        grouping: None: there are no groups.

    Raises:
        DataError: the file cannot be read, has no tweets, or a value is not a date.
        UsageError: a column is missing or ambiguous, or a group has the name of all tweets together.
    """
    columns = (answers, grouping.column if grouping else None)
    further = [further_column for further_column in columns if further_column is not None]
    table, index, findings = open_texts(source, trained, reading, further)
    file = open_file(table, ColumnConfig(text=index), None, further=further)
    left_out = RowCounter()
    remarks = RowCounter()
    rows = [*usable_rows(file, left_out, progress, reading.leave_out)]
    for row in rows:
        remarks.add_remarks(row)
    findings += remarks.lines()
    if not rows:
        raise DataError(f"{source}: has no tweets; left out: {left_out.summary() or 'none'}")
    if grouping is None:
        return Population(source, rows, None, left_out, findings)
    groups = [row.further[-1] for row in rows]
    if grouping.per:
        times = times_of(groups, grouping.day_first, f"{source}: column {grouping.column!r}")
        starts = times.dt.tz_localize(None).dt.to_period(grouping.per[0].upper()).dt.start_time
        groups = [str(start) for start in starts.dt.strftime("%Y-%m-%d").fillna("")]
    check_names(groups)
    return Population(source, rows, groups, left_out, findings)


_ZONES = {r"\bPDT\b": "-0700", r"\bPST\b": "-0800"}  # those of Sentiment140, which pandas does not know
_ISO = r"\d{4}(-\d\d.*|\d{4}.*)"
_OF_TWITTER = "%a %b %d %H:%M:%S %z %Y"
_SHORT_YEAR = re.compile(r"^\d{1,2}([/.-])\d{1,2}\1(?=\d\d(\D|$))")
_HALF_OF_DAY = re.compile(r"\s?[AP]M$", re.IGNORECASE)
_UNIX_TIME = r"\d{9,}(\.\d*)?"


def times_of(values: Sequence[str], day_first: bool | None, column: str) -> pd.Series:
    """The times (UTC) of dates in ISO 8601, or as Twitter writes them, or in one other format; NaT for an empty value.

    Raises:
        DataError: a value is no date, or is written in another way than the first one.
        UsageError: the dates can be read with the day first or with the month first.
    """
    dates = pd.Series(values, dtype=object).replace("", None).replace(_ZONES, regex=True)
    written = dates.dropna()
    if written.empty or written.str.fullmatch(_ISO).all():
        readings = [_read_dates(dates, "ISO8601")]
    else:
        formats = [_guessed_format(written.iloc[0], order) for order in (False, True) if day_first in (None, order)]
        readings = [_read_dates(dates, format) for format in formats]
    complete = [times for times in readings if times.notna().equals(dates.notna())]
    if not complete:
        raise DataError(
            f"{column}: {_why_no_date(written.iloc[0], written[readings[0][written.index].isna()].iloc[0])}"
        )
    differs = complete[0].notna() & (complete[0] != complete[-1])
    if differs.any():
        month, day = (times[differs].iloc[0].strftime("%-d %B %Y") for times in complete)
        example = dates[differs].iloc[0]
        raise UsageError(f"{column}: {example!r} is {month} with --month-first, and {day} with --day-first; say which")
    return complete[0]


def _guessed_format(date: str, day_first: bool) -> str:
    """The format of a date; that of Twitter if none with a day is known, as of a time alone."""
    long = _SHORT_YEAR.sub(r"\g<0>20", date)  # pandas guesses no format of two digits, nor with AM or PM
    clock = _HALF_OF_DAY.sub("", long)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # pandas warns of a date that has another order than the given one
        format = guess_datetime_format(clock, dayfirst=day_first) or ""
    if long != date:
        format = format.replace("%Y", "%y")
    if clock != long:
        format = format.replace("%H", "%I") + long[len(clock) : -2] + "%p"
    return format if "%d" in format else _OF_TWITTER


def _read_dates(dates: pd.Series, format: str) -> pd.Series:
    numbered = dates.replace(r"^\D*$", None, regex=True)  # pandas knows words such as today
    return pd.to_datetime(numbered, format=format, errors="coerce", utc=True)


def _why_no_date(first: str, wrong: str) -> str:
    """Why a column cannot be read, of which `wrong` is the first value that is no date in the format of `first`."""
    if re.fullmatch(_UNIX_TIME, first):
        return (
            f"{shortened(first)!r} is a number, as Unix times are; write dates such as 2015-02-24 instead, as "
            "pandas.to_datetime(column, unit='s') gives them"
        )
    if wrong != first:
        return f"{shortened(wrong)!r} is not a date that is written as the first one, {shortened(first)!r}"
    return f"{shortened(wrong)!r} is not a date, such as 2015-02-24, 24/2/2015 or {_EXAMPLE_OF_TWITTER!r}"


_EXAMPLE_OF_TWITTER = "Tue Feb 24 11:35:52 +0000 2015"


# --- what is printed and written ------------------------------------------------------------------------------------


def show_population(population: Population) -> None:
    """Print what is to be told about the file, and which rows are left out."""
    lines = [f"{population.source.name}: {finding}" for finding in population.findings]
    if population.left_out.total():
        lines.append(f"left out: {population.left_out.summary()}")
    if lines:
        say("\n".join(lines))


def sheet_size(population: Population, labels: int | None) -> int:
    """The number of tweets to label.

    Args:
        labels: as the user gives it; None: the usual number, or as many as the groups need.

    Raises:
        UsageError: with so few labels no group has a share.
    """
    needed = _labels_needed(population)
    if labels is None:
        return min(max(_USUAL_LABELS, needed), len(population.rows))
    if population.groups and labels < needed:
        raise UsageError(
            f"--labels {labels}: {needed:,} are needed, {MIN_LABELS} of each group, and of the smaller ones together; "
            "leave --labels out, or ask for fewer groups, as with --per week"
        )
    return min(labels, len(population.rows))


def _labels_needed(population: Population) -> int:
    """How many labels give each group a share."""
    return int(np.minimum(np.bincount(population.strata), MIN_LABELS).sum())


def draw(population: Population, predictor: SharePredictor, sheet: Path, drawn: SheetRecord) -> None:
    """Write the sheets to label, and say what their labels will tell and how to go on.

    Raises:
        DataError: as `_not_learned`.
        UsageError: as `draw_sheets`.
    """
    _not_learned(population, predictor)
    drawing = population.drawing
    OUT.print(_plan(population, drawing.order[: drawn.size]))
    enough = max(_labels_needed(population), MIN_LABELS)
    draw_sheets(sheet, drawing, drawn, predictor.classes, enough, predictor.results)


def _plan(population: Population, drawn: Sequence[int]) -> Table:
    """How many labels of each group are on a sheet, and how many make its shares so precise, whatever they are."""
    headings = ["tweets", "labels on\nthe sheet", *(f"for \u00b1 {100 * width:.0f}\npoints" for width in _HALF_WIDTHS)]
    table = number_table("group" if population.groups else "", headings, no_wrap=True)
    names = population.groups or ["all tweets"] * len(population.rows)
    tweets = pd.DataFrame({"group": names, "size": 1, "on_sheet": 0})
    tweets.loc[[*drawn], "on_sheet"] = 1
    sizes = tweets.groupby("group").sum()
    is_small = (sizes["size"] < MIN_LABELS) & (population.groups is not None)
    for group, (size, on_sheet) in sizes[~is_small].iterrows():
        needed = [f"{labels_needed(size, width):,}" for width in _HALF_WIDTHS]
        table.add_row(f"  {escape(_shown(group))}", f"{size:,}", f"{on_sheet:,}", *needed)
    if is_small.any():
        size, on_sheet = sizes[is_small].sum()
        table.add_row(f"  {plural(int(is_small.sum()), 'smaller group')}", f"{size:,}", f"{on_sheet:,}")
    return table


def count(population: Population, predictor: SharePredictor) -> None:
    """Print how many tweets, and how many of each group, are predicted to be of each class."""
    predicted = predicted_classes(_predictions(population, predictor), predictor.threshold)
    say(f"counts of the labels by the {predictor.name}; they are biased, by an unknown amount:")
    table = number_table("", ["tweets", *predictor.classes], no_wrap=True)
    by_group = [("all tweets", pd.Series(predicted))]
    if population.groups:
        by_group += [*by_group[0][1].groupby(np.array(population.groups, object))]
    for group, classes in by_group:
        counts = [int((classes == index).sum()) for index in range(len(predictor.classes))]
        cells = [f"{number:,} {number / len(classes):6.1%}" for number in counts]
        table.add_row(f"  {escape(_shown(group))}", f"{len(classes):,}", *cells)
    OUT.print(table)


def _shown(name: object) -> str:
    """The name of a group or of a class."""
    return visible(str(name)) or "(empty)"


def estimate(
    population: Population,
    predictor: SharePredictor,
    sheets: LabelledSheets,
    out: Path,
) -> None:
    """Print the shares by the labels of sheets, and write them to the folder `out`.

    Raises:
        DataError: as `LabelledSheets.read` and `_not_learned`.
        UsageError: as `LabelledSheets.read` and `estimate_shares`, or `out` holds other shares.
    """
    about = {"file": population.source.name, "model": predictor.model, "predictor": predictor.name}
    _check_same(out, about)
    # Groups may be asked for by the labels of tweets that were drawn from all.
    by_group = population.drawing
    drawing = drawing_of(sheets.sheets[0], (Drawing.of_one_stratum(by_group.texts), by_group))
    labels = sheets.read(drawing, predictor.meanings, predictor.classes)
    if labels is None:
        return
    new = _not_learned(population, predictor)
    labels = labels[new]
    probabilities = _predictions(population, predictor)[new]
    groups = population.groups and np.array(population.groups, object)[new].tolist()
    strata = drawing.strata[new]
    shares = estimate_shares(probabilities, labels, predictor.classes, groups, strata, predictor.threshold)
    show_shares(shares)
    written = write_shares(shares, out, {**about, "sheets": [*map(str, sheets.sheets)]})
    say(f"written: {', '.join(map(str, written))}")


def _not_learned(population: Population, predictor: SharePredictor) -> Flags:
    """Which tweets the model did not learn: on the others it errs less, so that their labels would correct too little.

    Raises:
        DataError: too many tweets were learned for the others to stand for all.
    """
    learned = predictor.learned(population.rows)
    if learned.any():
        number = plural(int(learned.sum()), "tweet")
        what = f"{number} of {len(learned):,} that the model was trained on or chosen by, or copies of these"
        if learned.mean() > _MAX_LEARNED:
            raise DataError(
                f"{population.source}: has {what}: a share without them would not be that of the table; use a model "
                "that was trained on other tweets"
            )
        say(f"left out: {what}")
    return ~learned


def _check_same(folder: Path, about: Mapping[str, str | None]) -> None:
    """Raises UsageError if a folder holds the shares of other tweets, or by other predictions."""
    file = folder / "shares.json"
    if not file.exists():
        return
    with suppress(OSError, ValueError):  # not of this program
        there = json.loads(file.read_text(encoding="utf-8"))
        if all(there.get(name) == value for name, value in about.items()):
            return
    raise UsageError(f"{folder}: holds the shares of another file or model; give --out another folder")


def _predictions(population: Population, predictor: SharePredictor) -> Probabilities:
    with ProgressBar() as bar:
        return predictor.predict(population.rows, bar.progress)


def show_shares(shares: pd.DataFrame) -> None:
    """Print the estimates of `estimate_shares`; groups with too few labels are only named."""
    columns = ["labels", "counted", "tweets by both", "share in %", "worth"]
    table = number_table("95 % intervals", columns, no_wrap=True)
    too_small = []
    for group, table_of_group in shares.reset_index().groupby("group", sort=False):
        rows = table_of_group.to_dict("records")
        name = _shown(group)
        if rows[0]["labels"] < MIN_LABELS:
            too_small.append(f"{name} ({rows[0]['labels']})")
            continue
        tweets = rows[0]["tweets"]
        table.add_row(escape(name), f"{rows[0]['labels']:,}", "", f"{tweets:,}", style="italic")
        for row in rows:
            counted = f"{row['counted'] * tweets:,.0f} {100 * row['counted']:.1f} %"
            numbers = _interval_text(row, tweets, ",.0f")
            share = _interval_text(row, 100, ".1f")
            cells = [f"{row['labels_of_class']:,}", counted, numbers, share, f"{row['worth']:,.0f}"]
            table.add_row(f"  {escape(_shown(row['class']))}", *cells)
    OUT.print(table)
    say("counted: the predictions, which are biased; tweets and share: by labels and predictions together")
    say("worth: the number of labels that alone would give as narrow an interval")
    if too_small:
        say(f"fewer than {MIN_LABELS} labels, so without a share: {abbreviated(too_small)}")


def _interval_text(row: Mapping[Any, Any], factor: float, format: str) -> str:
    """A share times a factor, such as `20.2 16.3-24.8`, or only a bound."""
    value, low, high = (f"{factor * row[name]:{format}}" for name in ("share", "share_low", "share_high"))
    if not np.isnan(row["share"]):
        return f"{value} {low}-{high}"
    return f"at most {high}" if row["share_low"] == 0 else f"at least {low}"


def write_shares(shares: pd.DataFrame, folder: Path, about: Mapping[str, Any]) -> list[Path]:
    """Write the estimates as shares.csv, shares.json and shares.svg; returns their paths.

    Args:
        about: further entries of the JSON file: file, model, predictor and sheet.
    """
    folder.mkdir(parents=True, exist_ok=True)
    paths = [folder / f"shares.{ending}" for ending in ("csv", "json", "svg")]
    rows = json.loads(shares.reset_index().to_json(orient="records"))
    table = shares.to_csv().encode("utf-8", "replace")
    write_user_file(paths[0], lambda file: file.write(table))
    write_user_file(paths[1], as_json({**about, "level": 0.95, "shares": rows}))
    figure = _chart(shares).encode("utf-8", "replace")
    write_user_file(paths[2], lambda file: file.write(figure))
    return paths


def _chart(shares: pd.DataFrame) -> str:
    """The estimates with their intervals as SVG, a panel for each class: over time if the groups are days."""
    import vl_convert

    values = shares.reset_index().dropna(subset="share_high")
    for name in ("group", "class"):
        values[name] = [visible(str(value)) for value in values[name]]
    groups = values[values["group"] != ALL_TWEETS]
    is_time = len(groups) > 0 and bool(groups["group"].str.fullmatch(_DAY).all())
    name = "shares_over_time.vl.json" if is_time else "shares.vl.json"
    rows = json.loads((groups if is_time else values).to_json(orient="records"))
    spec = json.loads(Path(__file__).with_name(name).read_text(encoding="utf-8"))
    return vl_convert.vegalite_to_svg(spec | {"data": {"values": rows}})
