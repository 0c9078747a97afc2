"""The share of each class in a file of tweets: the tweets, and what is printed and written of the estimates.

Does not import torch.
"""

import json
import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from pandas.tseries.api import guess_datetime_format
from rich.markup import escape

from sentiment.config_file import shortened
from sentiment.console import OUT, Progress, number_table, say, visible
from sentiment.data.guess_columns import file_without_labels
from sentiment.data.sources import usable_rows
from sentiment.data.tables import Column, Row, RowCounter, abbreviated, without_garbage_collection
from sentiment.errors import DataError, UsageError
from sentiment.files import as_json, write_user_file
from sentiment.inference.predict import CHUNK, in_parallel
from sentiment.inference.share_statistics import MIN_LABELS
from sentiment.labelling.sheet import Drawing
from sentiment.metrics import Probabilities, predicted_classes
from sentiment.models.text_model import TextModel


class Population(NamedTuple):
    """The tweets whose shares are estimated: all rows of a file with a readable text."""

    source: Path
    rows: list[Row]
    groups: list[str] | None  # parallel to `rows`
    left_out: RowCounter
    findings: list[str]  # to be told about the file

    @property
    def drawing(self) -> Drawing:
        """The random order in which they are labelled."""
        return Drawing.of_one_stratum([row.text for row in self.rows])


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
    model: TextModel, source: Path, column: Column | None, grouping: Grouping | None, progress: Progress
) -> Population:
    """Read all tweets of a file.

    Args:
        column: as in `predict_file`.
        grouping: None: there are no groups.

    Raises:
        DataError: the file cannot be read, has no tweets, or a value is not a date.
        UsageError: a column is missing or ambiguous.
    """
    by = grouping.column if grouping else None
    file, findings = file_without_labels(source, column, model.config.data.columns, by=by)
    left_out = RowCounter()
    remarks = RowCounter()
    rows = [*usable_rows(file, left_out, progress)]
    for row in rows:
        remarks.add_remarks(row)
    findings += remarks.lines()
    if not rows:
        raise DataError(f"{source}: has no tweets: {left_out.summary()}")
    groups = [row.user or "" for row in rows]
    if grouping and grouping.per:
        times = times_of(groups, grouping.day_first, f"{source}: column {grouping.column!r}")
        starts = times.dt.tz_localize(None).dt.to_period(grouping.per[0].upper()).dt.start_time
        groups = [str(start) for start in starts.dt.strftime("%Y-%m-%d").fillna("")]
    return Population(source, rows, groups if grouping else None, left_out, findings)


_ZONES = {r"\bPDT\b": "-0700", r"\bPST\b": "-0800"}  # those of Sentiment140, which pandas does not know


def times_of(values: Sequence[str], day_first: bool | None, column: str) -> pd.Series:
    """The times of dates that are all written in the same way; NaT for an empty value.

    Raises:
        DataError: a date is written in another way than the first one.
        UsageError: the dates can be read with the day first or with the month first.
    """
    dates = pd.Series(values).replace("", None).replace(_ZONES, regex=True)
    orders = (False, True) if day_first is None else (day_first,)
    readings = [_read_dates(dates, order) for order in orders]
    complete = [times for times in readings if times.notna().equals(dates.notna())]
    if not complete:
        wrong = dates[dates.notna() & readings[0].isna()].iloc[0]
        first = dates.dropna().iloc[0]
        raise DataError(f"{column}: {shortened(wrong)!r} is not a date that is written as the first one, {first!r}")
    differs = complete[0].notna() & (complete[0] != complete[-1])
    if differs.any():
        month, day = (times[differs].iloc[0].strftime("%-d %B %Y") for times in complete)
        example = dates[differs].iloc[0]
        raise UsageError(f"{column}: {example!r} is {month} with --month-first, and {day} with --day-first; say which")
    return complete[0]


def _read_dates(dates: pd.Series, day_first: bool) -> pd.Series:
    """The times (UTC) of dates in ISO 8601, or written as the first one; NaT for others."""
    first = next(iter(dates.dropna()), "")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # pandas warns of dates that have another order than the given one
        format = guess_datetime_format(first, dayfirst=day_first) or "mixed"
        times = pd.to_datetime(dates, format="ISO8601", errors="coerce", utc=True)
        if not times.notna().equals(dates.notna()):
            times = pd.to_datetime(dates, format=format, dayfirst=day_first, errors="coerce", utc=True)
    return times


def predict_population(model: TextModel, population: Population, progress: Progress) -> Probabilities:
    """The probabilities of the classes of all tweets, (n, classes)."""
    texts = [row.text for row in population.rows]
    chunks = (texts[start : start + CHUNK] for start in range(0, len(texts), CHUNK))
    probabilities = []
    for _, predictions in in_parallel(model, chunks, list):
        probabilities.append(predictions.probabilities)
        progress(f"reading {population.source.name}", min(CHUNK * len(probabilities), len(texts)), len(texts))
    return np.concatenate(probabilities)


# --- what is printed and written ------------------------------------------------------------------------------------


def show_population(population: Population) -> None:
    """Print what is to be told about the file, and which rows are left out."""
    lines = [f"{population.source.name}: {finding}" for finding in population.findings]
    if population.left_out.total():
        lines.append(f"left out: {population.left_out.summary()}")
    if lines:
        say("\n".join(lines))


def show_counted(model: TextModel, probabilities: Probabilities) -> None:
    """Print the share of tweets that a model predicts to be of each class."""
    class_names = model.config.data.label_names
    n = len(probabilities)
    say(f"{n:,} tweets, shares of the labels that the {model.name} predicts; they are biased, by an unknown amount:")
    counts = np.bincount(predicted_classes(probabilities, model.threshold), minlength=len(class_names))
    for name, count in zip(class_names, counts.tolist(), strict=True):
        say(f"  {100 * count / n:5.1f} %  {visible(name)}")


def show_shares(shares: pd.DataFrame) -> None:
    """Print the estimates of `estimate_shares` in percent; groups with too few labels are only named."""
    columns = ["labels", "counted", "labels alone", "together", "worth"]
    table = number_table("share in %\n(95 % interval)", columns, no_wrap=True)
    too_small = []
    for group, table_of_group in shares.reset_index().groupby("group", sort=False):
        rows = table_of_group.to_dict("records")
        name = visible(str(group)) or "(empty)"
        if rows[0]["labels"] < MIN_LABELS:
            too_small.append(f"{name} ({rows[0]['labels']})")
            continue
        table.add_row(f"{escape(name)}, {rows[0]['tweets']:,}", style="italic")
        for row in rows:
            intervals = [_interval_text(row, column) for column in ("counted", "labels_alone", "share")]
            class_name = escape(visible(str(row["class"])))
            table.add_row(f"  {class_name}", f"{row['labels_of_class']:,}", *intervals, f"{row['worth']:,.0f}")
    OUT.print(table)
    say("counted: biased; its interval treats each prediction as a label")
    say("together: labels and predictions; worth: the number of labels that alone would give as narrow an interval")
    if too_small:
        say(f"fewer than {MIN_LABELS} labels, so without a share: {abbreviated(too_small)}")


def _interval_text(row: Any, column: str) -> str:
    """`20.2 16.3-24.8`, or only a bound, in percent."""
    low = 100 * row[f"{column}_low"]
    high = 100 * row[f"{column}_high"]
    if not np.isnan(row[column]):
        return f"{100 * row[column]:.1f} {low:.1f}-{high:.1f}"
    return f"at most {high:.1f}" if low == 0 else f"at least {low:.1f}"


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
    figure = _chart(rows).encode("utf-8", "replace")
    write_user_file(paths[2], lambda file: file.write(figure))
    return paths


def _chart(rows: Sequence[Mapping[str, Any]]) -> str:
    """The estimates with their intervals as SVG: a panel for each class, a line for each group."""
    import vl_convert

    values = []
    for row in rows:
        names = {name: visible(str(row[name])) for name in ("group", "class")}
        values.append({**row, **names})
    spec = json.loads(Path(__file__).with_name("shares.vl.json").read_text(encoding="utf-8"))
    return vl_convert.vegalite_to_svg(spec | {"data": {"values": values}})
