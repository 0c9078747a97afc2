"""The rows that Weights & Biases is to have, and a durable record of those that it was sent, since it takes none back.

A killed run resumes from its last checkpoint and computes the rows after it again: the same numbers on the same
hardware, but possibly others elsewhere. If W&B was sent the earlier numbers, its run can no longer become a copy of the
log, and only a new run at W&B can replace it.
"""

import json
import os
from collections.abc import Sequence
from contextlib import suppress
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

    They are kept in a file, whose loss means only that a difference from the log is no longer noticed.
    """

    def __init__(self, run_dir: RunDir, identity: WandbRun) -> None:
        self._run_name = run_dir.path.name
        self._path = run_dir.wandb_dir / f"sent-{identity.id}.jsonl"
        self._rows: dict[int, Row] = {}
        if self._path.exists():
            for line in self._path.read_text(encoding="utf-8", errors="replace").splitlines():
                with suppress(ValueError, RecursionError):  # an empty line, or one that a crash cut off
                    row = json.loads(line)
                    self._rows[row.pop(_NUMBER)] = row

    def first_difference(self, rows: Sequence[Row]) -> int | None:
        """The number of the first row that W&B was sent and that is another one in `rows`; None if there is none.

        Args:
            rows: all rows of the run so far. If they end with OUTCOME, W&B may have been sent no more than these.
        """
        complete = rows[-1:] == [OUTCOME]
        others = [n for n, row in self._rows.items() if (row != rows[n] if n < len(rows) else complete)]
        return min(others, default=None)

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
                # A row begins with the line feed, since a crash may have cut off the row before.
                file.writelines("\n" + json.dumps({_NUMBER: number} | row) for number, row in numbered.items())
                file.flush()
                os.fsync(file.fileno())
            self._rows |= numbered
