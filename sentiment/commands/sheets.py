"""The options of sheets to label, which `evaluate` and `share` have in common."""

import re
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from sentiment.errors import UsageError
from sentiment.statistics import MIN_LABELS

if TYPE_CHECKING:
    from sentiment.answers.annotators import Dealing, LabelledSheets

NewSheet = Annotated[
    Path | None, typer.Option("--sheet", help="Write tweets for a person to label: a new .csv or .html file.")
]


@dataclass(frozen=True, kw_only=True)
class SheetOptions:
    """The values of the options."""

    sheet: NewSheet = None
    size: Annotated[
        int | None,
        typer.Option("--labels", min=MIN_LABELS, help="The size of the sheet; default: 200, or 30 of each group."),
    ] = None
    annotators: Annotated[
        list[str] | None,
        typer.Option("--for", metavar="NAME", help="With --sheet: an annotator with a sheet of their own; repeatable."),
    ] = None
    shared: Annotated[
        int | None,
        typer.Option("--shared", min=0, help="With --for: how many tweets are on each sheet; default: a quarter."),
    ] = None
    guidelines: Annotated[
        Path | None,
        typer.Option("--guidelines", help="With --sheet: a text that pages show, on what each class means."),
    ] = None
    labelled: Annotated[
        list[Path] | None,
        typer.Option("--labelled", help="A sheet with labels; repeatable, if several people label."),
    ] = None
    settle: Annotated[
        Path | None,
        typer.Option("--settle", help="Write the tweets to which annotators gave different labels, to settle."),
    ] = None
    settled: Annotated[Path | None, typer.Option("--settled", help="The labels of those tweets.")] = None

    def check(self, out: Path | None = None) -> None:
        """Raise UsageError for options that do not fit each other, or a file of results, and for sheets that exist."""
        if (self.size or self.annotators) and not self.sheet:
            raise UsageError("--labels requires --sheet, and so does --for")
        if self.sheet and (self.labelled or out):
            raise UsageError("a new --sheet has no labels yet, so it takes neither --labelled nor --out")
        if self.shared is not None and not self.annotators:
            raise UsageError("--shared requires --for, which names the annotators")
        names = self.annotators or ()
        if len({*names}) != len(names) or len(names) == 1:
            raise UsageError(
                "--for names an annotator with a sheet of their own; give it twice or more, each with a name"
            )
        for name in names:
            if not re.fullmatch(r"[\w-]+", name):
                raise UsageError(
                    f"--for {name!r}: is part of the sheet's file name; write it with letters, digits, _ and -"
                )
        if (self.settle or self.settled) and len(self.labelled or ()) < 2:
            raise UsageError("--settle and --settled require the sheets of several annotators, each by --labelled")
        if self.sheet:
            from sentiment.answers.annotators import sheet_files
            from sentiment.answers.sheet import check_new

            for sheet in sheet_files(self.sheet, names):
                check_new(sheet)

    def dealing(self, size: int) -> "Dealing":
        """How so many tweets are dealt to annotators."""
        from sentiment.answers.annotators import Dealing

        return Dealing.of(size, self.annotators or (), self.shared, self.guidelines)

    def with_labels(self, results: Path | None, named: Path | None) -> "LabelledSheets":
        """The sheets that are given back, if any, and how they were drawn, if their results folder knows that.

        Args:
            results: the folder that remembers sheets; None: the one that has the named run or answers, or the default.
        """
        from sentiment.answers.annotators import LabelledSheets, drawn_for
        from sentiment.answers.table import AnswersDir
        from sentiment.runs.run_dir import Results, RunDir

        labelled = self.labelled or ()
        folder = Results()
        if results:
            folder = Results(results)
        elif named and AnswersDir(named).record_file.exists():
            folder = Results(named.parent.parent)
        elif named and named.is_dir():
            folder = RunDir(named).results
        drawn = drawn_for(labelled, folder) if labelled else None
        return LabelledSheets(labelled, folder, drawn, self.settled, self.settle)
