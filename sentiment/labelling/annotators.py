"""The labels of several annotators: how far they agree, the tweets to settle, and their labels together.

Does not import torch.
"""

import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from pathlib import Path

import numpy as np
from rich.markup import escape

from sentiment.console import OUT, number_table, plural, say
from sentiment.data.classes import Meanings
from sentiment.errors import UsageError
from sentiment.labelling.drawn import SheetRecord
from sentiment.labelling.sheet import Drawing, how_to_label, labelled_file, read_labels, write_drawn
from sentiment.statistics.metrics import UNLABELLED, ClassIndices, Flags, kappa


@dataclass(frozen=True)
class LabelledSheets:
    """The sheets that a user gives back.

    Attributes:
        sheets: of one person or of several, with labels.
        drawn: how they were drawn, if that is known.
        settled: a sheet of tweets on whose labels the annotators settled.
        settle: the new sheet for those that are to be settled.
    """

    sheets: Sequence[Path]
    drawn: SheetRecord | None = None
    settled: Path | None = None
    settle: Path | None = None

    def read(self, drawing: Drawing, meanings: Meanings, classes: Sequence[str]) -> ClassIndices | None:
        """The labels of all sheets together, (n,), as `read_labels`; None if a sheet was written to settle others.

        Of several annotators it is printed first how far they agree.

        Raises:
            DataError, UsageError: as `read_labels` and `settled_labels`.
        """
        dealt = [*self.drawn.dealt(drawing.order), drawing.order] if self.drawn else None
        names = annotator_names(self.sheets)
        labels = [read_labels(sheet, drawing, meanings, dealt) for sheet in self.sheets]
        if len(labels) == 1:
            return labels[0]
        by_annotator = dict(zip(names, labels, strict=True))
        show_agreement(by_annotator, classes)
        settled = read_labels(self.settled, drawing, meanings, ()) if self.settled else None
        labels_of_all = settled_labels(by_annotator, drawing, settled, self.settle, classes)
        if labels_of_all is None and self.drawn and self.settle:
            words = [word for sheet in self.sheets for word in ("--labelled", str(sheet))]
            say(shlex.join(["sentiment", self.drawn.command, *words, "--settled", str(labelled_file(self.settle))]))
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
    table = number_table("agreement", ["both\nlabelled", "alike", "kappa", *classes], no_wrap=True)
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
        say(how_to_label(settle, classes))
        return None
    if number:
        raise UsageError(
            f"{plural(number, 'tweet')} have different labels by different annotators; --settle settle.html writes "
            "them, and --settled settle.csv reads the labels on which they settle"
        )
    return together
