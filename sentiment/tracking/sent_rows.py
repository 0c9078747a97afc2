"""The rows that Weights & Biases is to have, and a durable record of those that it was sent, since it takes none back.

A killed run resumes from its last checkpoint and computes the rows after it again: the same numbers on the same
hardware, but possibly others elsewhere. If W&B was sent the earlier numbers, its run can no longer become a copy of the
log, and only a new run at W&B can replace it.
"""

import json
import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from sentiment.errors import SupersededError
from sentiment.records import WandbRun
from sentiment.run_dir import RunDir

Row = dict[str, Any]

OUTCOME: Row = {"kind": "outcome"}
"""Stands for the last row of a completed run, which follows those of the metric log and holds the pictures."""
_NUMBER = "_step"


def rows_to_copy(run_dir: RunDir) -> list[Row]:
    """The rows of the metric log, and OUTCOME if the run is completed. A row's index is its step at W&B."""
    completed = run_dir.completed  # asked first, since the result is written after the last row
    return [*run_dir.read_metrics(), *([OUTCOME] if completed else [])]


class SentRows:
    """The rows that one run at W&B was sent, by number; not all of them need have arrived.

    They are kept in a file in the run directory. If that is lost, other numbers are no longer noticed; nothing else
    depends on it.
    """

    def __init__(self, run_dir: RunDir, identity: WandbRun) -> None:
        self._run_name = run_dir.path.name
        self._path = run_dir.wandb_dir / f"sent-{identity.id}.jsonl"
        self._rows = dict(_read(self._path))

    def first_difference(self, rows: Sequence[Row]) -> int | None:
        """The number of the first row that was sent with another content than in `rows`; None if there is none.

        Args:
            rows: all rows of the run so far. If they end with OUTCOME, anything sent after that differs, too.
        """
        known = range(len(rows))
        ended = rows[-1:] == [OUTCOME]
        differing = (
            number for number, row in self._rows.items() if (row != rows[number] if number in known else ended)
        )
        return min(differing, default=None)

    def check(self, rows: Sequence[Row]) -> None:
        """Compare all rows of the run so far with those that were sent.

        Raises:
            SupersededError: they differ.
        """
        if (number := self.first_difference(rows)) is not None:
            raise SupersededError(
                f"metrics.jsonl has other rows than W&B was sent, from row {number} on, and W&B takes none back; "
                f"`python -m jobs sync {self._run_name} --replace` uploads the run anew and deletes the old one there"
            )

    def note(self, first: int, rows: Sequence[Row]) -> None:
        """Record durably that `rows`, the first of which has the number `first`, are about to be sent."""
        if rows:
            numbered = dict(enumerate(rows, first))
            with open(self._path, "a", encoding="utf-8") as file:
                # Each row begins a new line, since a crash may have cut off the last one.
                file.writelines("\n" + json.dumps({_NUMBER: number} | row) for number, row in numbered.items())
                file.flush()
                os.fsync(file.fileno())
            self._rows |= numbered


def _read(path: Path) -> Iterator[tuple[int, Row]]:
    try:
        lines = path.read_text(encoding="utf-8", errors="replace").splitlines()
    except FileNotFoundError:
        return
    for line in lines:
        try:
            row = json.loads(line)
        except ValueError:
            continue  # empty or cut off
        yield row.pop(_NUMBER), row
