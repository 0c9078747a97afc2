"""What a sheet was drawn for, and to whom its tweets were dealt.

So its labels are read with its own run and table, whatever was trained since. Does not import torch.
"""

import re
import shlex
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal

from pydantic import NonNegativeInt, PositiveInt

from sentiment.console import plural, say
from sentiment.errors import UsageError
from sentiment.files import read_user_file, write_atomically
from sentiment.labelling.sheet import Drawing, check_new, how_to_label, labelled_file, sample_of, write_drawn
from sentiment.runs.records import Record
from sentiment.runs.run_dir import Results, RunDir, read_record, sealed

Options = dict[str, str]
_MAX_BYTES = 100_000  # of guidelines
_USUAL_SHARE = 4  # one of so many tweets is on the sheets of all annotators


def dealing(annotators: Sequence[str], shared: int | None, size: int, guidelines: Path | None) -> dict[str, Any]:
    """The fields `size`, `annotators`, `shared` and `guidelines` of `SheetRecord`.

    Args:
        shared: as the user gives it; None: a quarter of all tweets.
        guidelines: the file of a text.

    Raises:
        UsageError: the names cannot be those of files, there is one alone, or `shared` is given without any.
    """
    if shared is not None and not annotators:
        raise UsageError("--shared requires --for, which names the annotators")
    if len({*annotators}) != len(annotators) or len(annotators) == 1:
        raise UsageError("--for names an annotator with a sheet of their own; give it twice or more, each with a name")
    for name in annotators:
        if not re.fullmatch(r"[\w-]+", name):
            raise UsageError(
                f"--for {name!r}: is part of the sheet's file name; write it with letters, digits, _ and -"
            )
    usual = size // _USUAL_SHARE if shared is None else min(shared, size)
    text = read_user_file(guidelines, _MAX_BYTES).decode("utf-8", "replace").strip() if guidelines else ""
    return {"size": size, "annotators": [*annotators], "shared": usual if annotators else 0, "guidelines": text}


class SheetRecord(Record):
    """`sheets/SAMPLE.json`: how the sheets of a sample were drawn.

    Attributes:
        command: the one that drew them, and reads their labels.
        options: those of its arguments that were given, by their names; a run is named by its grid and id, a table by
            its absolute path.
        size: the number of tweets of all sheets together.
        annotators: those who have a sheet of their own; none if there is one sheet.
        shared: how many of the first tweets are on each of their sheets; the others are dealt to them in turn.
        guidelines: for annotators, shown on their pages.
    """

    command: Literal["share", "evaluate"]
    options: Options
    size: PositiveInt
    annotators: list[str]
    shared: NonNegativeInt
    guidelines: str = ""

    def dealt(self, order: Sequence[int]) -> list[list[int]]:
        """The tweets of each sheet, in its order; every one is a random sample, however far it is labelled."""
        drawn = [*order[: self.size]]
        number = len(self.annotators) or 1
        return [drawn[: self.shared] + drawn[self.shared + at :: number] for at in range(number)]


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
    earlier = read_record(record, SheetRecord)
    if earlier and earlier.annotators and (earlier.annotators, earlier.shared) != (drawn.annotators, drawn.shared):
        same = " ".join(f"--for {shlex.quote(name)}" for name in earlier.annotators)
        raise UsageError(
            f"{target}: these tweets were dealt with {same} --shared {earlier.shared}; give the same, so that their "
            "labels still count, and more --labels for more tweets"
        )
    sheets = sheet_files(target, drawn.annotators)
    for sheet in sheets:
        check_new(sheet)
    for sheet, indices in zip(sheets, drawn.dealt(drawing.order), strict=True):
        write_drawn(sheet, drawing, indices, classes, enough, drawn.guidelines)
        shared = f", {drawn.shared:,} of them on each sheet" if drawn.annotators else ""
        say(f"{sheet}: {plural(len(indices), 'tweet')} in random order{shared}")
    record.parent.mkdir(parents=True, exist_ok=True)
    write_atomically(record, sealed(drawn))
    labelled = [word for sheet in sheets for word in ("--labelled", str(labelled_file(sheet)))]
    say(how_to_label(sheets[0], classes))
    say(shlex.join(["sentiment", drawn.command, *labelled, *results.options]))


def drawn_for(sheets: Sequence[Path], results: Results) -> SheetRecord | None:
    """How the first of some sheets was drawn; None if that is not known in a results folder.

    Raises:
        DataError, UsageError: the sheet cannot be read.
    """
    sample = sample_of(sheets[0])
    return read_record(results.sheets / f"{sample}.json", SheetRecord) if sample else None


def name_in(results: Results, run_dir: RunDir) -> str:
    """The name by which `find_run` finds a run for good: `GRID/ID` in its results folder, else its absolute path."""
    if run_dir.path.resolve().parents[1] == results.runs.resolve():
        return f"{run_dir.grid}/{run_dir.path.name}"
    return str(run_dir.path.resolve())
