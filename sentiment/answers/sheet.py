"""Sheets: tweets that a person labels, as a table (.csv) or as a page for the browser (.html), and the labels on them.

Does not import torch.

A sheet has the columns `id`, `text` and `label`, and `own_id` for the user. That of `add` has all tweets of a run or a
table, and is read as any table of answers. The tweets of the others are drawn at random within strata, and the labelled
ones of each stratum have to be the first ones in the drawn order: then they are a random sample, however many they are.
An id says what its sheet is for, from which tweets and strata it was drawn, and which tweet it names. Neither depends
on the order of the rows, in the sheet or in the table that it was drawn from. So a sheet may be sorted, cut at its end
and saved by spreadsheets; labels of other tweets, changed texts and gaps are noticed.
"""

import hashlib
import re
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Literal, NamedTuple

import numpy as np
import pandas as pd

from sentiment.answers.label_page import Labelling, label_page
from sentiment.data.classes import Meanings, word_of
from sentiment.data.table import Refusal, as_text
from sentiment.data.table_files import open_table
from sentiment.errors import DataError, UsageError, shortened
from sentiment.files import fingerprint, write_user_file
from sentiment.predicting.files import for_spreadsheet
from sentiment.statistics.metrics import UNLABELLED, ClassIndices
from sentiment.version import FORMAT, __version__

Purpose = Literal["share", "choice"]
_PURPOSES: dict[str, str] = {"share": "to estimate shares", "choice": "to choose a model"}
# A label in place of a class: the tweet is of none. Sheets to estimate shares have no place for it.
SKIPPED_WORD = "skipped"
SKIPPED = -2
_DIGITS = 16  # of a tweet's digest: among a million tweets, two are alike with a probability of 3e-8
_COLUMNS = ("id", "text", "label")
_ID = re.compile(rf"({'|'.join(_PURPOSES)})(\d{{1,4}})-.")
# Of four tweets in a row of a choice's order, three are such that predictors differ.
_DIFFERING_OF_FOUR = 3


@dataclass(frozen=True)
class Drawing:
    """All tweets of a table, in the order in which they are to be labelled.

    Attributes:
        purpose: what the labels are for.
        texts: of all tweets.
        strata: (n,), the stratum of each tweet, counted from 0. For shares, these are groups, of which equally many
            tweets are drawn as long as there are any. For a choice, 0 is for tweets on which predictors differ, which
            are three of four drawn ones, and 1 for the others.
        own_ids: what the user's table calls the tweets: their ids, or their lines if it has none.
    """

    purpose: Purpose
    texts: Sequence[str]
    strata: ClassIndices
    own_ids: Sequence[str] = ()

    @property
    def may_skip(self) -> bool:
        """Whether tweets of no class may be skipped: models are compared on the others; shares are of all tweets."""
        return self.purpose == "choice"

    @cached_property
    def _digests(self) -> list[str]:
        """A digest of each tweet. Those with the same text differ by a number, which counts them stratum by stratum.

        So all that depends on the order of the table is which of equal tweets of a stratum has which number.
        """
        numbers: Counter[str] = Counter()
        digests = [""] * len(self.texts)
        for index in np.argsort(self.strata, kind="stable").tolist():
            words = " ".join(self.texts[index].split())
            numbers[words] += 1
            text = f"{numbers[words]} {words}"
            digests[index] = hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()
        return digests

    @cached_property
    def ids(self) -> list[str]:
        """The id of each tweet on a sheet; it begins with a letter, so that no spreadsheet takes it for a number."""
        return [f"{self.sample}-{digest[:_DIGITS]}" for digest in self._digests]

    @cached_property
    def sample(self) -> str:
        """What all ids begin with: what the sheet is for, and a digest of its tweets and their strata."""
        drawn_from = sorted(f"{digest} {stratum}" for digest, stratum in zip(self._digests, self.strata, strict=True))
        return f"{self.purpose}{FORMAT}-{fingerprint(drawn_from)[:8]}"

    @cached_property
    def _indices(self) -> dict[str, int]:
        return {digest[:_DIGITS]: index for index, digest in enumerate(self._digests)}

    def index_of(self, tweet_id: str) -> int | None:
        """The index of the tweet that an id on a sheet names; None if it is of another sheet.

        Of a choice also the sheet of the same tweets with other strata: a prediction may change with the processor, or
        a predictor may be added. What is asked of the labels is that they are the first ones of the strata of now.
        """
        sample, _, digest = tweet_id.rpartition("-")
        any_strata = self.purpose == "choice" and sample.startswith(f"{self.purpose}{FORMAT}-")
        return self._indices.get(digest) if any_strata or sample == self.sample else None

    @cached_property
    def strata_orders(self) -> list[list[int]]:
        """The indices of the tweets of each stratum, in random order: by digest, so that no generator changes it."""
        orders: list[list[int]] = [[] for _ in range(self.strata.max(initial=0) + 1)]
        for index in sorted(range(len(self.texts)), key=lambda index: self._digests[index]):
            orders[self.strata[index]].append(index)
        return orders

    @cached_property
    def order(self) -> list[int]:
        """The indices of all tweets in the order of the sheet: each beginning of it is a stratified random sample."""
        turns = []
        for stratum, order in enumerate(self.strata_orders):
            at_once = _DIFFERING_OF_FOUR if self.purpose == "choice" and stratum == 0 else 1
            turns += [(rank // at_once, stratum, rank, index) for rank, index in enumerate(order)]
        return [index for *_, index in sorted(turns)]


def check_new(target: Path) -> None:
    """Refuse to write a sheet before anything is computed for it.

    Raises:
        UsageError: the file exists, perhaps with labels, or has another ending than `.csv` and `.html`.
    """
    if target.exists():
        raise UsageError(f"{target}: exists already, perhaps with labels; give --sheet another name")
    if target.suffix.lower() != ".csv" and not _is_page(target):
        raise UsageError(f"{target}: a sheet is a table, {target.stem}.csv, or a page to label on, {target.stem}.html")


def _is_page(sheet: Path) -> bool:
    return sheet.suffix.lower() == ".html"


def write_sheet(target: Path, labelling: Labelling) -> None:
    """Write a new sheet with empty labels.

    Args:
        target: a .csv file, or an .html file: a page with buttons and keys.

    Raises:
        UsageError: as `check_new`.
    """
    check_new(target)
    if _is_page(target):
        page = label_page(target.stem, labelling)
        write_user_file(target, lambda file: file.write(page))
    else:
        rows = [(tweet_id, for_spreadsheet(text), "") for tweet_id, text in labelling.rows]
        table = pd.DataFrame(rows, columns=[*_COLUMNS])
        if labelling.own_ids:
            table["own_id"] = [*map(for_spreadsheet, labelling.own_ids)]
        # The mark at the beginning tells Excel that the file is in UTF-8.
        write_user_file(target, lambda file: table.to_csv(file, index=False, encoding="utf-8-sig"))


def whole_text(cell: str) -> str:
    """The text of a tweet, by which it is told from others: equal for a text and its cell by `for_spreadsheet`."""
    return " ".join(cell.removeprefix("'").split())


def write_drawn(
    target: Path,
    drawing: Drawing,
    indices: Sequence[int],
    classes: Sequence[str],
    enough: int,
    guidelines: str = "",
) -> None:
    """Write tweets of a drawing as a sheet, as `write_sheet`.

    Raises:
        UsageError: there are fewer tweets than labels are needed, or as `write_sheet`.
    """
    if len(drawing.texts) < enough:
        raise UsageError(f"{len(drawing.texts):,} tweets are too few: at least {enough} labels are needed")
    rows = [(drawing.ids[index], drawing.texts[index]) for index in indices]
    own_ids = [drawing.own_ids[index] for index in indices] if drawing.own_ids else ()
    write_sheet(target, Labelling(rows, classes, enough, drawing.may_skip, guidelines, own_ids))


def labelled_file(sheet: Path) -> Path:
    """The table with the labels of a sheet: itself, or what its page downloads."""
    return sheet.with_suffix(".csv") if _is_page(sheet) else sheet


def how_to_label(sheet: Path, classes: Sequence[str], extent: str = "from the top, as far as you like") -> str:
    """A line on how to label a sheet, and how much of it."""
    if _is_page(sheet):
        table = f"download its table to {labelled_file(sheet)}"
        return f"open it in a browser, press the key of each tweet's label, {extent}, and {table}; then run:"
    apostrophe = "an apostrophe in front keeps spreadsheets from taking a text for a formula or a number"
    return f"write {', '.join(classes)} into its column label, {extent} ({apostrophe}); then run:"


def read_labels(
    sheet: Path, drawing: Drawing, meanings: Meanings, dealt: Sequence[Sequence[int]] | None = None
) -> ClassIndices:
    """The index of the class of each tweet of a drawing, (n,); UNLABELLED for those without a label, or SKIPPED.

    Args:
        sheet: what `write_drawn` or its page wrote, with labels; its rows may have any order.
        meanings: what each lower-cased label means, as `Classes.sheet_meanings`: the index of its class, or None for a
            label that the data leaves out.
        dealt: the tweets of each sheet in its order, if the drawing has several; None: its own order; empty: any tweets
            may have labels.

    Raises:
        DataError: a label is none of the classes, a tweet was not drawn or has two labels, a text was changed, or the
            labelled tweets are not the first ones of the sheet.
        UsageError: a column is missing.
    """
    labels = np.full(len(drawing.texts), UNLABELLED)
    for row in _rows(sheet):
        if not row.label:
            continue
        index = drawing.index_of(row.id)
        if index is None:
            raise DataError(f"{row.location}: {_unknown_id(row.id, drawing)}")
        if whole_text(row.text) != whole_text(drawing.texts[index]):
            drawn = shortened(drawing.texts[index])
            raise DataError(
                f"{row.location}: tweet {row.id} was drawn as {drawn!r}, but its row has {shortened(row.text)!r}; ids, "
                "texts and labels must stay in their rows"
            )
        label = _label_of(row, drawing.may_skip, meanings)
        if labels[index] not in (UNLABELLED, label):
            raise DataError(f"{row.location}: tweet {row.id} has another label above; each tweet has one label")
        labels[index] = label
    problems = [_gap(drawing, order, labels) for order in ([drawing.order] if dealt is None else dealt)]
    if problems and all(problems):
        raise DataError(f"{sheet}: {problems[0] if len(problems) == 1 else min(problems, key=len)}")
    return labels


def sample_of(sheet: Path) -> str:
    """What the first id on a sheet begins with, as `Drawing.sample`; empty if it has none."""
    first = next(_rows(sheet), None)
    return first.id.rpartition("-")[0] if first else ""


def drawing_of(sheet: Path, drawings: Sequence[Drawing]) -> Drawing:
    """The drawing of which a sheet is, as its first id says; of none of them, the last one."""
    sample = sample_of(sheet)
    return next((drawing for drawing in drawings if drawing.sample == sample), drawings[-1])


class _SheetRow(NamedTuple):
    location: str
    id: str
    text: str
    label: str


def _label_of(row: _SheetRow, may_skip: bool, meanings: Meanings) -> int:
    """The index of the class of a row, or SKIPPED."""
    word = word_of(row.label)
    if word != SKIPPED_WORD and word not in meanings:
        valid = ", ".join(word for word, meaning in meanings.items() if meaning is not None)
        raise DataError(f"{row.location}: {shortened(row.label)!r} is none of the classes; valid: {valid}")
    label = meanings.get(word)
    if label is not None:
        return label
    if not may_skip:
        raise DataError(
            f"{row.location}: {word!r} is no class, but shares are of all tweets; give it the nearest class"
        )
    return SKIPPED


def _rows(sheet: Path) -> Iterator[_SheetRow]:
    """The rows of a sheet, with labels or without."""
    if _is_page(sheet):
        raise UsageError(f"{sheet}: is the page; give the table that it downloads, {labelled_file(sheet).name}")
    table = open_table(sheet, header=True, quotes=True)
    indices = []
    for column in _COLUMNS:
        of_column = table.indices(column)
        if len(of_column) != 1:
            raise UsageError(f"{sheet}: has {len(of_column)} columns called {column!r}; a sheet has one")
        indices += of_column
    for record in table.read(indices):
        location = f"{sheet}:{record.line}"
        if isinstance(record, Refusal):
            raise DataError(f"{location}: {record.reason}")
        tweet_id, text, label = (as_text(record.fields[index]).strip() for index in indices)
        yield _SheetRow(location, tweet_id, text, label)


def _unknown_id(tweet_id: str, drawing: Drawing) -> str:
    """Why an id names no tweet of a drawing."""
    own_id = _ID.match(tweet_id)
    if not own_id:
        return f"id {shortened(tweet_id)!r} is of no sheet that `share` or `evaluate` draws"
    purpose, number = own_id.groups()
    if int(number) != FORMAT:
        return (
            f"id {shortened(tweet_id)!r} was written by a version {number} of this program; this is version "
            f"{__version__}: use that one, or draw a new sheet"
        )
    if purpose != drawing.purpose:
        return (
            f"this sheet was drawn {_PURPOSES[purpose]}, and cannot be used {_PURPOSES[drawing.purpose]}: "
            "its tweets were not drawn with the same probabilities"
        )
    if purpose == "share":
        return (
            f"id {shortened(tweet_id)!r} was drawn from other tweets or groups; give the file, --by and --per as then"
        )
    return f"id {shortened(tweet_id)!r} names no tweet of this table that has predictions"


def _gap(drawing: Drawing, order: Sequence[int], labels: ClassIndices) -> str:
    """Why labels are not those of the first tweets of each stratum in an order; empty if they are.

    A sample from which tweets that are hard to label are left out is not random.
    """
    foreign = np.setdiff1d(np.flatnonzero(labels != UNLABELLED), order)
    if len(foreign):
        return f"tweet {drawing.ids[foreign[0]]} was not dealt to this sheet"
    missing: dict[int, str] = {}  # by the stratum
    numbers: Counter[int] = Counter()
    for index in order:
        stratum = int(drawing.strata[index])
        numbers[stratum] += 1
        if labels[index] == UNLABELLED:
            tweet = f"{drawing.ids[index]}, {shortened(drawing.texts[index])!r}"
            missing.setdefault(stratum, f"tweet {numbers[stratum]} of the random order, {tweet}, has no label")
        elif stratum in missing:
            return (
                f"{missing[stratum]}, but later ones have, such as {drawing.ids[index]}, so that they are not a random "
                "sample; label it as well, in a row of its own if it has none"
            )
    return ""
