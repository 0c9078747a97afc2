"""Shares of classes as they are printed, and written as tables and a chart."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from rich.markup import escape

from sentiment.console import OUT, number_table, plural, say, visible
from sentiment.data.table import abbreviated
from sentiment.files import as_json, write_user_file
from sentiment.statistics import MIN_LABELS
from sentiment.statistics.metrics import ClassIndices
from sentiment.statistics.shares import ALL_TWEETS, MIN_LABELS_OF_CLASS, labels_needed

_HALF_WIDTHS = (0.15, 0.1, 0.05)  # of intervals, for which the numbers of labels are told
_DAY_OR_MONTH = r"\d{4}-\d\d(-\d\d)?"


def show_plan(names: Sequence[str], drawn: Sequence[int], has_groups: bool) -> None:
    """Print how many labels of each group and of all are on a sheet, and how many make shares so precise, whatever
    they are.

    Labels of all tweets are drawn by group as on the sheet: those of groups of unequal sizes are worth less.

    Args:
        names: the group of each tweet, (n,).
        drawn: the indices of the tweets on the sheet.
    """
    headings = ["tweets", "labels on\nthe sheet", *(f"for \u00b1 {100 * width:.0f}\npoints" for width in _HALF_WIDTHS)]
    table = number_table("group" if has_groups else "", headings)
    tweets = pd.DataFrame({"group": names, "size": 1, "on_sheet": 0})
    tweets.loc[[*drawn], "on_sheet"] = 1
    sizes = tweets.groupby("group").sum()
    is_small = (sizes["size"] < MIN_LABELS) & has_groups
    if has_groups:
        number = len(names)
        drawn_by_group = sizes.groupby(np.where(is_small, "", sizes.index)).sum()
        # How many times the variance of as many labels of all tweets at random (the design effect: Kish 1965).
        effect = ((drawn_by_group["size"] / number) ** 2 / drawn_by_group["on_sheet"]).sum() * len(drawn)
        of_all = [min(number, int(np.ceil(effect * labels_needed(number, width)))) for width in _HALF_WIDTHS]
        table.add_row("  all tweets", f"{number:,}", f"{len(drawn):,}", *map("{:,}".format, of_all))
    for group, (size, on_sheet) in sizes[~is_small].iterrows():
        needed = [f"{labels_needed(size, width):,}" for width in _HALF_WIDTHS]
        table.add_row(f"  {escape(_shown(group))}", f"{size:,}", f"{on_sheet:,}", *needed)
    if is_small.any():
        size, on_sheet = sizes[is_small].sum()
        table.add_row(f"  {plural(int(is_small.sum()), 'smaller group')}", f"{size:,}", f"{on_sheet:,}")
    OUT.print(table)


def show_counts(predicted: ClassIndices, groups: Sequence[str] | None, classes: Sequence[str]) -> None:
    """Print how many tweets are predicted to be of each class: of all, (n,), and of each group."""
    table = number_table("", ["tweets", *classes])
    by_group = [("all tweets", pd.Series(predicted))]
    if groups:
        by_group += [*by_group[0][1].groupby(np.array(groups, object))]
    for group, of_group in by_group:
        numbers = [int((of_group == index).sum()) for index in range(len(classes))]
        cells = [f"{number:,} {number / len(of_group):6.1%}" for number in numbers]
        table.add_row(f"  {escape(_shown(group))}", f"{len(of_group):,}", *cells)
    OUT.print(table)


def _shown(name: object) -> str:
    """The name of a group or of a class."""
    return visible(str(name)) or "(empty)"


def show_shares(shares: pd.DataFrame) -> None:
    """Print the estimates of `estimate_shares`; groups with too few labels are only named."""
    columns = ["labels", "counted", "tweets by both", "share in %", "worth"]
    table = number_table("95 % intervals", columns)
    too_small = []
    has_bounds = False
    for group, table_of_group in shares.reset_index().groupby("group", sort=False):
        rows = table_of_group.to_dict("records")
        name = _shown(group)
        if rows[0]["labels"] < MIN_LABELS:
            too_small.append(f"{name} ({rows[0]['labels']})")
            continue
        has_bounds |= bool(table_of_group["share"].isna().any())
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
    if has_bounds:
        few = f"fewer than {MIN_LABELS_OF_CLASS} labels are of the class, or of all others"
        say(f"at most, at least: only this bound is known where {few}")
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
    """The estimates with their intervals as SVG, a panel for each class: over time if the groups are dates."""
    import vl_convert

    values = shares.reset_index().dropna(subset="share_high")
    for name in ("group", "class"):
        values[name] = [visible(str(value)) for value in values[name]]
    groups = values[values["group"] != ALL_TWEETS]
    is_time = len(groups) > 0 and bool(groups["group"].str.fullmatch(_DAY_OR_MONTH).all())
    name = "shares_over_time.vl.json" if is_time else "shares.vl.json"
    rows = json.loads((groups if is_time else values).to_json(orient="records"))
    spec = json.loads(Path(__file__).with_name(name).read_text(encoding="utf-8"))
    return vl_convert.vegalite_to_svg(spec | {"data": {"values": rows}})
