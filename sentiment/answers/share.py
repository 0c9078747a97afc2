"""The share of each class in a table of tweets: who predicts, which tweets to label, and estimates from their labels.

Imports torch only when a model is loaded.
"""

import json
import re
import warnings
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd
from pandas.tseries.api import guess_datetime_format

from sentiment.answers.annotators import LabelledSheets, SheetRecord, draw_sheets
from sentiment.answers.match import classes_of_answers
from sentiment.answers.shares import show_counts, show_plan, show_shares, write_shares
from sentiment.answers.sheet import Drawing, drawing_of
from sentiment.config import ColumnConfig, DataConfig
from sentiment.config_file import resolve
from sentiment.console import Progress, ProgressBar, plural, say
from sentiment.data.classes import word_of
from sentiment.data.guess_columns import Reading
from sentiment.data.rows import Row, RowCounter
from sentiment.data.table import Column
from sentiment.errors import DataError, UsageError, shortened
from sentiment.predicting.files import classify
from sentiment.predicting.new_tweets import overlaps_with, read_texts
from sentiment.predicting.stored import TrainedRun, open_stored
from sentiment.processes import without_garbage_collection
from sentiment.runs.records import DEFAULT_THRESHOLD, ModelKind
from sentiment.runs.run_dir import Results, lasting_name
from sentiment.statistics import MIN_LABELS
from sentiment.statistics.metrics import Flags, Probabilities, predicted_classes
from sentiment.statistics.shares import check_names, estimate_shares, strata_of

_USUAL_LABELS = 200
_MAX_LEARNED = 0.05  # the largest share of a table's tweets that may be left out since the model learned them


# --- who predicts -----------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class SharePredictor:
    """A predictor of the classes of a table's tweets.

    Attributes:
        data: names the classes, and the columns of tables that it knows.
        predict: the probabilities of the classes of rows, (n, classes); rows of 0 where there is no answer.
        learned: which of some rows the model learned, or rows that they copy, (n,).
        model: what a printed command calls it, if it is a model.
    """

    name: str
    data: DataConfig
    predict: Callable[[Sequence[Row], Progress], Probabilities]
    learned: Callable[[Sequence[Row]], Flags]
    threshold: float = DEFAULT_THRESHOLD
    model: str | None = None


def predictor_of_model(path: Path, choice: ModelKind | None, results: Path | None) -> SharePredictor:
    """The model of a run, or of an exported file; raises as `open_model`."""
    stored = open_stored(path, results)
    model = stored.model(choice)

    def predict(rows: Sequence[Row], progress: Progress) -> Probabilities:
        return classify(model, [row.text for row in rows], progress, len(rows)).probabilities

    def learned(rows: Sequence[Row]) -> Flags:
        if not isinstance(stored, TrainedRun):
            say(f"warning: {path} does not say which tweets it learned; labels of such tweets would hide its errors")
            return np.zeros(len(rows), bool)
        overlaps, unknown = overlaps_with(stored, rows)
        if unknown:
            say(f"warning: cannot exclude training tweets: {unknown}")
        return np.array([overlap.is_learned for overlap in overlaps])

    name = str(path.resolve())
    if isinstance(stored, TrainedRun):
        name = lasting_name(stored.run_dir, stored.results)
    return SharePredictor(model.name, model.config.data, predict, learned, model.threshold, name)


def predictor_of_answers(file: Path, answers: Column, rows: Sequence[Row], classes: str | None) -> SharePredictor:
    """The labels in a column of the table itself, by whomever they were given.

    Args:
        rows: all tweets of the file; their answers are the first of `Row.further`.
        classes: the classes and the answers that mean them, as `--classes` takes them; None: known words, if all
            answers are.

    Raises:
        ConfigError, UsageError: `classes` is malformed, or it is unclear what answers mean.
    """
    values = {word_of(row.further[0]) for row in rows} - {""}
    labels = classes or classes_of_answers(values, None, f"{file}: column {answers!r}")
    data = resolve({}, {"data.source": str(file), "data.labels": labels}, "--classes").data
    meanings = data.labels.answer_meanings()
    classes_and_none = np.eye(len(data.label_names) + 1)[:, :-1]  # the last row is that of no class

    def predict(rows: Sequence[Row], _progress: Progress) -> Probabilities:
        indices = [meanings.get(word_of(row.further[0])) for row in rows]
        without = indices.count(None)
        if without:
            say(f"{plural(without, 'tweet')} without an answer that is a class")
        return classes_and_none[[-1 if index is None else index for index in indices]]

    def learned(rows: Sequence[Row]) -> Flags:
        return np.zeros(len(rows), bool)  # whoever answered

    return SharePredictor(f"answers in column {answers!r}", data, predict, learned)


# --- the tweets -------------------------------------------------------------------------------------------------------


class Grouping(NamedTuple):
    """How tweets are grouped: by the values of a column, or by the periods of its dates.

    Attributes:
        per: `day`, `week` or `month` (UTC), named by its first day, such as 2015-02-24, or a month as 2015-02.
        day_first: whether dates such as 3/4/2015 begin with the day; None: that is asked for unless it is clear.
    """

    column: Column
    per: str | None = None
    day_first: bool | None = None

    def groups_of(self, values: list[str], source: Path) -> list[str]:
        """The group of each value of the column.

        Raises:
            DataError: a value is not a date.
            UsageError: dates can be read in two ways, or a group has the name of all tweets together.
        """
        groups = values
        if self.per:
            times = times_of(values, self.day_first, f"{source}: column {self.column!r}")
            starts = times.dt.tz_localize(None).dt.to_period(self.per[0].upper()).dt.start_time
            name = "%Y-%m" if self.per == "month" else "%Y-%m-%d"
            groups = [str(start) for start in starts.dt.strftime(name).fillna("")]
        check_names(groups)
        return groups


@dataclass(frozen=True)
class Population:
    """The tweets whose shares are estimated: all rows of a table with a readable text.

    Attributes:
        reading: how the table is read.
        groups: parallel to `rows`; None: there are none.
        left_out: the rows without a readable text.
        findings: what is to be told about the table.
    """

    source: Path
    reading: Reading
    rows: list[Row]
    groups: list[str] | None
    left_out: RowCounter
    findings: list[str]

    @property
    def names(self) -> list[str]:
        """The group of each tweet, (n,); the same one where there are no groups."""
        return self.groups or ["all tweets"] * len(self.rows)

    @cached_property
    def drawing(self) -> Drawing:
        """The random order in which the tweets are labelled, in turn one of each group."""
        strata = np.zeros(len(self.rows), np.int64) if self.groups is None else strata_of(self.groups)
        return Drawing("share", [row.text for row in self.rows], strata, [row.id for row in self.rows])

    @property
    def labels_needed(self) -> int:
        """How many labels give each group a share."""
        return int(np.minimum(np.bincount(self.drawing.strata), MIN_LABELS).sum())

    def show(self) -> None:
        """Print what is to be told about the table, and which rows are left out."""
        lines = [f"{self.source.name}: {finding}" for finding in self.findings]
        if self.left_out.total():
            lines.append(f"left out: {self.left_out.summary()}")
        if lines:
            say("\n".join(lines))

    def sheet_size(self, labels: int | None) -> int:
        """The number of tweets to label.

        Args:
            labels: as the user gives it; None: the usual number, or as many as the groups need.

        Raises:
            UsageError: with so few labels, or such small groups, no group has a share.
        """
        if self.groups and max(Counter(self.groups).values()) < MIN_LABELS:
            raise UsageError(
                f"no group has {MIN_LABELS} tweets, which its shares need; --per day, week or month groups dates"
            )
        needed = self.labels_needed
        if labels is None:
            return min(max(_USUAL_LABELS, needed), len(self.rows))
        if self.groups and labels < needed:
            raise UsageError(
                f"--labels {labels}: {needed:,} are needed, {MIN_LABELS} of each group, and of the smaller ones "
                "together; leave --labels out, or ask for fewer groups, as with --per week"
            )
        return min(labels, len(self.rows))


@without_garbage_collection()
def read_population(
    source: Path,
    trained: ColumnConfig,
    reading: Reading,
    answers: Column | None,
    grouping: Grouping | None,
    progress: Progress,
) -> Population:
    """Read all tweets of a table.

    Args:
        trained: the columns of the training table.
        answers: a column with the answers of a predictor, which are the first of `Row.further`.
        grouping: None: there are no groups.

    Raises:
        DataError: the table cannot be read, has no tweets, or a value is not a date.
        UsageError: a column is missing or ambiguous, or as `Grouping.groups_of`.
    """
    columns = (answers, grouping.column if grouping else None)
    further = [column for column in columns if column is not None]
    rows, left_out, findings = read_texts(source, trained, reading, progress, further)
    remarks = RowCounter()
    for row in rows:
        remarks.add_remarks(row)
    if not rows:
        raise DataError(f"{source}: has no tweets; left out: {left_out.summary() or 'none'}")
    groups = grouping.groups_of([row.further[-1] for row in rows], source) if grouping else None
    return Population(source, reading, rows, groups, left_out, [*findings, *remarks.lines()])


_ZONES = {r"\bPDT\b": "-0700", r"\bPST\b": "-0800"}  # those of Sentiment140, which pandas does not know
_ISO = r"\d{4}(-\d\d-\d\d.*|\d{4}.*)"
_OF_TWITTER = "%a %b %d %H:%M:%S %z %Y"
_SHORT_YEAR = re.compile(r"^\d{1,2}([/.-])\d{1,2}\1(?=\d\d(\D|$))")
_YEAR_ANYWHERE = re.compile(r"\d\d-\d\d?-\d\d(\D|$)")
_HALF_OF_DAY = re.compile(r"\s?[AP]M$", re.IGNORECASE)


def times_of(values: Sequence[str], day_first: bool | None, column: str) -> pd.Series:
    """The times (UTC) of dates in ISO 8601, or as Twitter writes them, or in one other format; NaT for an empty value.

    Raises:
        DataError: a value is no date, or is written in another way than the first one.
        UsageError: the dates can be read with the day first or with the month first, or with the year first or last.
    """
    dates = pd.Series(values, dtype=object).replace("", None).replace(_ZONES, regex=True)
    written = dates.dropna()
    if day_first is None and written.str.match(_YEAR_ANYWHERE).any():
        example = written[written.str.match(_YEAR_ANYWHERE)].iloc[0]
        raise UsageError(
            f"{column}: {example!r} may begin or end with its year; write years with four digits, or say --day-first "
            "or --month-first if they end the dates"
        )
    if written.empty or written.str.fullmatch(_ISO).all():
        readings = [_read_dates(dates, "ISO8601")]
    else:
        formats = [_guessed_format(written.iloc[0], order) for order in (False, True) if day_first in (None, order)]
        if day_first is not None:
            formats = [_in_order(formats[0], day_first)]
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


def _in_order(format: str, day_first: bool) -> str:
    """A format with day and month in the stated order, even if the date that it was guessed from contradicts that."""
    day = format.find("%d")
    month = format.find("%m")
    if format.startswith("%Y") or month < 0 or (day < month) == day_first:
        return format
    return format.replace("%d", "%M_").replace("%m", "%d").replace("%M_", "%m")


def _read_dates(dates: pd.Series, format: str) -> pd.Series:
    numbered = dates.replace(r"^\D*$", None, regex=True)  # pandas knows words such as today
    return pd.to_datetime(numbered, format=format, errors="coerce", utc=True)


def _why_no_date(first: str, wrong: str) -> str:
    """Why a column cannot be read, of which `wrong` is the first value that is no date in the format of `first`."""
    if wrong != first:
        return f"{shortened(wrong)!r} is not a date that is written as the first one, {shortened(first)!r}"
    return f"{shortened(wrong)!r} is not a date, such as 2015-02-24, 24/2/2015 or {_EXAMPLE_OF_TWITTER!r}"


_EXAMPLE_OF_TWITTER = "Tue Feb 24 11:35:52 +0000 2015"


# --- shares -----------------------------------------------------------------------------------------------------------


def draw(tweets: Population, predictor: SharePredictor, sheet: Path, drawn: SheetRecord, results: Results) -> None:
    """Write the sheets to label, and say what their labels will tell and how to go on.

    Args:
        results: the folder that remembers the sheets.

    Raises:
        DataError: as `_not_learned`.
        UsageError: as `draw_sheets`.
    """
    _not_learned(tweets, predictor, results)
    drawing = tweets.drawing
    show_plan(tweets.names, drawing.order[: drawn.dealing.size], tweets.groups is not None)
    enough = max(tweets.labels_needed, MIN_LABELS)
    draw_sheets(sheet, drawing, drawn, predictor.data.label_names, enough, results)


def count(tweets: Population, predictor: SharePredictor) -> None:
    """Print how many tweets, and how many of each group, are predicted to be of each class."""
    predicted = predicted_classes(_predictions(tweets, predictor), predictor.threshold)
    say(f"counts of the labels by the {predictor.name}; they are biased, by an unknown amount:")
    show_counts(predicted, tweets.groups, predictor.data.label_names)


def estimate(tweets: Population, predictor: SharePredictor, sheets: LabelledSheets, out: Path) -> None:
    """Print the shares by the labels of sheets, and write them to the folder `out`.

    Raises:
        DataError: as `LabelledSheets.read` and `_not_learned`.
        UsageError: as `LabelledSheets.read` and `estimate_shares`, or `out` holds other shares.
    """
    about = {"file": tweets.source.name, "model": predictor.model, "predictor": predictor.name}
    _check_same(out, about)
    # Groups may be asked for by the labels of tweets that were drawn from all.
    by_group = tweets.drawing
    of_all = replace(by_group, strata=np.zeros_like(by_group.strata))
    drawing = drawing_of(sheets.sheets[0], (of_all, by_group))
    labels = sheets.read(drawing, predictor.data.labels.sheet_meanings(), predictor.data.label_names)
    if labels is None:
        return
    new = _not_learned(tweets, predictor, sheets.results)
    labels = labels[new]
    probabilities = _predictions(tweets, predictor)[new]
    groups = tweets.groups and np.array(tweets.groups, object)[new].tolist()
    strata = drawing.strata[new]
    shares = estimate_shares(probabilities, labels, predictor.data.label_names, groups, strata, predictor.threshold)
    show_shares(shares)
    written = write_shares(shares, out, {**about, "sheets": [*map(str, sheets.sheets)]})
    say(f"written: {', '.join(map(str, written))}")


def _not_learned(tweets: Population, predictor: SharePredictor, results: Results) -> Flags:
    """Which tweets the model did not learn: on the others it errs less, so that their labels would correct too little.

    Raises:
        DataError: too many tweets were learned for the others to stand for all.
    """
    learned = predictor.learned(tweets.rows)
    if learned.any():
        number = plural(int(learned.sum()), "tweet")
        what = f"{number} of {len(learned):,} that the model was trained on or chosen by, or copies of these"
        if learned.mean() > _MAX_LEARNED:
            words = ["--data", str(tweets.source), *tweets.reading.words(), "--copies", "copies.csv"]
            listing = results.command("evaluate", str(predictor.model), *words)
            raise DataError(
                f"{tweets.source}: has {what}: a share without them would not be that of the table. Train a model on "
                f"other tweets, or give a table without these rows, which `{listing}` lists"
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


def _predictions(tweets: Population, predictor: SharePredictor) -> Probabilities:
    with ProgressBar() as bar:
        return predictor.predict(tweets.rows, bar.progress)
