"""The people who label sheets: what is dealt to each, how far they agree, what is to be settled, and all labels.

A results folder remembers what each sheet was drawn for, so that its labels are read with its own run and table,
whatever was trained since. Does not import torch.
"""

import shlex
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from pathlib import Path
from typing import Literal

import numpy as np
from pydantic import NonNegativeInt, PositiveInt
from rich.markup import escape

from sentiment.answers.sheet import (
    Drawing,
    how_to_label,
    labelled_file,
    read_labels,
    sample_of,
    write_drawn,
)
from sentiment.console import OUT, number_table, plural, say
from sentiment.data.classes import Meanings
from sentiment.data.guess_columns import Reading
from sentiment.errors import UsageError
from sentiment.files import read_user_file, write_atomically
from sentiment.runs.records import Record
from sentiment.runs.run_dir import LAST, Results, read_record, sealed
from sentiment.statistics.metrics import UNLABELLED, ClassIndices, Flags, kappa

Options = dict[str, str]
_MAX_BYTES = 100_000  # of guidelines
_PREDICTED_BY = ("model", "with", "answers", "classes")  # options that are given, or drawn for, together
_SUBJECTS = ("run", "data", "model", "file")  # options that a line names
_USUAL_SHARE = 4  # one of so many tweets is on the sheets of all annotators


class Dealing(Record):
    """Which tweets are on whose sheet.

    Attributes:
        size: the number of tweets of all sheets together.
        annotators: those who have a sheet of their own; none if there is one sheet.
        shared: how many of the first tweets are on each of their sheets; the others are dealt to them in turn.
        guidelines: for annotators, shown on their pages.
    """

    size: PositiveInt
    annotators: list[str]
    shared: NonNegativeInt
    guidelines: str

    @classmethod
    def of(cls, size: int, annotators: Sequence[str], shared: int | None, guidelines: Path | None) -> "Dealing":
        """A dealing as the user asks for it.

        Args:
            size: not more than there are tweets.
            shared: None: a quarter of these.
            guidelines: the file of a text.
        """
        usual = size // _USUAL_SHARE if shared is None else min(shared, size)
        text = read_user_file(guidelines, _MAX_BYTES).decode("utf-8", "replace").strip() if guidelines else ""
        return cls(size=size, annotators=[*annotators], shared=usual if annotators else 0, guidelines=text)

    def dealt(self, order: Sequence[int]) -> list[list[int]]:
        """The tweets of each sheet, in its order; every one is a random sample, however far it is labelled."""
        drawn = [*order[: self.size]]
        number = len(self.annotators) or 1
        return [drawn[: self.shared] + drawn[self.shared + at :: number] for at in range(number)]


class SheetRecord(Record):
    """`sheets/SAMPLE.json`: how the sheets of a sample were drawn.

    Attributes:
        command: the one that drew them, and reads their labels.
        options: those of its other arguments that were given, by their names; a run is named by its grid and id, a
            table by its absolute path.
        reading: how the table is read.
    """

    command: Literal["share", "evaluate"]
    options: Options
    reading: Reading = Reading()
    dealing: Dealing


def sheet_files(target: Path, annotators: Sequence[str]) -> list[Path]:
    """The file of each sheet: of the annotator Ann `mine-Ann.html` for the target `mine.html`."""
    return [target.with_stem(f"{target.stem}-{name}") for name in annotators] or [target]


def draw_sheets(
    target: Path, drawing: Drawing, drawn: SheetRecord, classes: Sequence[str], enough: int, results: Results
) -> None:
    """Write the sheets of a drawing, remember what they are for, and say how to go on.

    Raises:
        UsageError: as `write_drawn`, or the tweets were dealt to annotators in another way before.
    """
    record = results.sheets / f"{drawing.sample}.json"
    dealing = drawn.dealing
    earlier = read_record(record, SheetRecord)
    if earlier and earlier.dealing.annotators:
        before = earlier.dealing
        if (before.annotators, before.shared) != (dealing.annotators, dealing.shared):
            same = " ".join(f"--for {shlex.quote(name)}" for name in before.annotators)
            raise UsageError(
                f"{target}: these tweets were dealt with {same} --shared {before.shared}; give the same, so that their "
                "labels still count, and more --labels for more tweets"
            )
    sheets = sheet_files(target, dealing.annotators)
    for sheet, indices in zip(sheets, dealing.dealt(drawing.order), strict=True):
        write_drawn(sheet, drawing, indices, classes, enough, dealing.guidelines)
        shared = f", {dealing.shared:,} of them on each sheet" if dealing.annotators else ""
        say(f"{sheet}: {plural(len(indices), 'tweet')} in random order{shared}")
    record.parent.mkdir(parents=True, exist_ok=True)
    write_atomically(record, sealed(drawn))
    say(how_to_label(sheets[0], classes))
    say(results.command(drawn.command, *_labelled_words(map(labelled_file, sheets))))


def _labelled_words(sheets: Iterable[Path]) -> list[str]:
    return [word for sheet in sheets for word in ("--labelled", str(sheet))]


def drawn_for(sheets: Sequence[Path], results: Results) -> SheetRecord | None:
    """How some sheets were drawn; None if that is not known in a results folder.

    Raises:
        DataError, UsageError: a sheet cannot be read, or they are of different drawings.
    """
    sample = sample_of(sheets[0])
    for sheet in sheets[1:]:
        if sample_of(sheet) not in ("", sample):
            raise UsageError(
                f"{sheets[0]} and {sheet}: are sheets of different drawings, and each is given by itself; several "
                "--labelled are the sheets of several annotators"
            )
    return read_record(results.sheets / f"{sample}.json", SheetRecord) if sample else None


@dataclass(frozen=True)
class LabelledSheets:
    """The sheets that a user gives back.

    Attributes:
        sheets: of one person or of several, with labels.
        results: the folder that may know how they were drawn.
        drawn: how they were drawn, if that is known.
        settled: a sheet of tweets on whose labels the annotators settled.
        settle: the new sheet for those that are to be settled.
    """

    sheets: Sequence[Path]
    results: Results
    drawn: SheetRecord | None = None
    settled: Path | None = None
    settle: Path | None = None

    def options(self, command: str, given: Mapping[str, object]) -> Options:
        """The options of a command: those that are given (not None), else those with which the first sheet was drawn.

        `last` counts as not given, since it may be another run by now. Labels are worth as much to another predictor.

        Raises:
            UsageError: the table of which they are was moved, and is not given.
        """
        options = {name: str(value) for name, value in given.items() if value is not None}
        if self.drawn is None or self.drawn.command != command:
            return options
        named = {name: value for name, value in options.items() if value != LAST}
        drawn = self.drawn.options
        if named.keys() & {"model", "answers"}:
            drawn = {name: value for name, value in drawn.items() if name not in _PREDICTED_BY}
        options = drawn | named
        table = options.get("data") or options.get("file", "")
        if table in drawn.values() and not Path(table).exists():
            remedy = f"the tweets of {self.sheets[0]} were drawn from it: name it as it is now"
            raise UsageError(f"{table}: no such file; {remedy}")
        say(f"labels for {' and '.join(options[name] for name in _SUBJECTS if name in options)}")
        return options

    def reading(self, command: str, given: Reading) -> Reading:
        """How the table of a command is read: as is given, else as when the first sheet was drawn."""
        if self.drawn is None or self.drawn.command != command:
            return given
        return given.over(self.drawn.reading)

    def read(self, drawing: Drawing, meanings: Meanings, classes: Sequence[str]) -> ClassIndices | None:
        """The labels of all sheets together, (n,), as `read_labels`; None if a sheet was written to settle others.

        Of several annotators it is printed first how far they agree.

        Raises:
            DataError, UsageError: as `read_labels` and `settled_labels`.
        """
        dealt = [*self.drawn.dealing.dealt(drawing.order), drawing.order] if self.drawn else None
        names = annotator_names(self.sheets)
        labels = [read_labels(sheet, drawing, meanings, dealt) for sheet in self.sheets]
        if len(labels) == 1:
            return labels[0]
        by_annotator = dict(zip(names, labels, strict=True))
        show_agreement(by_annotator, classes)
        settled = read_labels(self.settled, drawing, meanings, ()) if self.settled else None
        labels_of_all = settled_labels(by_annotator, drawing, settled, self.settle, classes)
        if labels_of_all is None and self.drawn and self.settle:
            settled_file = str(labelled_file(self.settle))
            words = [*_labelled_words(self.sheets), "--settled", settled_file]
            say(self.results.command(self.drawn.command, *words))
        return labels_of_all


ByAnnotator = Mapping[str, ClassIndices]  # (n,) each, as `read_labels` gives them


def annotator_names(sheets: Sequence[Path]) -> list[str]:
    """What tables call those who labelled some sheets: their files' names.

    Raises:
        UsageError: two sheets have the same name.
    """
    names = [sheet.stem for sheet in sheets]
    for name in names:
        if names.count(name) > 1:
            raise UsageError(f"{name}: two sheets are called so; each annotator has a sheet with a name of its own")
    return names


def show_agreement(by_annotator: ByAnnotator, classes: Sequence[str]) -> None:
    """Print for each pair of annotators how far they agree on the tweets that both labelled, and for each class.

    The agreement on a class is the share of its labels, by either, that both gave (positive agreement, Cicchetti and
    Feinstein 1990).
    """
    table = number_table("agreement", ["both\nlabelled", "alike", "kappa", *classes])
    for (first, of_first), (second, of_second) in combinations(by_annotator.items(), 2):
        both = (of_first != UNLABELLED) & (of_second != UNLABELLED)
        name = f"  {escape(first)}, {escape(second)}"
        if not both.any():
            table.add_row(name, "0")
            continue
        a = of_first[both]
        b = of_second[both]
        cells = [f"{len(a):,}", f"{(a == b).mean():.1%}", f"{kappa(a, b):.2f}"]
        for label in range(len(classes)):
            given = int((a == label).sum() + (b == label).sum())
            alike = 2 * int(((a == label) & (b == label)).sum())
            cells.append(f"{alike / given:.1%}" if given else "-")
        table.add_row(name, *cells)
    OUT.print(table)
    say("under each class: of the labels of this class, by either of the two, those that the other gave as well")


def labels_together(by_annotator: ByAnnotator) -> tuple[ClassIndices, Flags]:
    """The label that most annotators gave each tweet, (n,), and which tweets have none that most gave, (n,).

    Those who gave none are not counted.
    """
    given = np.stack([*by_annotator.values()])
    n_given = (given != UNLABELLED).sum(axis=0)
    together = np.full(given.shape[1], UNLABELLED)
    for label in np.setdiff1d(given, UNLABELLED):
        has_majority = 2 * (given == label).sum(axis=0) > n_given
        together[has_majority] = label
    return together, (n_given > 0) & (together == UNLABELLED)


def settled_labels(
    by_annotator: ByAnnotator,
    drawing: Drawing,
    settled: ClassIndices | None,
    settle: Path | None,
    classes: Sequence[str],
) -> ClassIndices | None:
    """The labels of all annotators together, each tweet with one label; None if a sheet was written to settle others.

    Args:
        settled: the labels of tweets that they settled, which count in place of theirs.
        settle: the new sheet of the tweets to settle.

    Raises:
        UsageError: tweets are left to settle, but there is no file to write them to.
    """
    together, is_open = labels_together(by_annotator)
    if settled is not None:
        together = np.where(settled == UNLABELLED, together, settled)
        is_open &= settled == UNLABELLED
    number = int(is_open.sum())
    if settle:
        if not number:
            raise UsageError(f"--settle {settle}: there is nothing to settle; leave it out")
        indices = [index for index in drawing.order if is_open[index]]
        write_drawn(settle, drawing, indices, classes, 0)
        say(f"{settle}: {plural(number, 'tweet')} to which the annotators gave different labels")
        say(how_to_label(settle, classes, "for each of them"))
        return None
    if number:
        raise UsageError(
            f"annotators gave different labels to {plural(number, 'tweet')}; --settle settle.html writes "
            "what is to be settled, and --settled settle.csv reads the labels on which they settle"
        )
    return together
