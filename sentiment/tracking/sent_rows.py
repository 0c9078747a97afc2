"""The rows that Weights & Biases is to have, and a durable record of those that it was sent, since it takes none back.

A killed run resumes from its last checkpoint and computes the rows after it again: the same numbers on the same
hardware, but possibly others elsewhere. If W&B was sent the earlier numbers, its run can no longer become a copy of the
log.
"""

import json
import os
from collections.abc import Sequence
from contextlib import suppress
from typing import Any

from sentiment.errors import RunDirError
from sentiment.records import WandbRun
from sentiment.run_dir import RunDir

Row = dict[str, Any]

_NUMBER = "_step"


def rows_to_copy(run_dir: RunDir) -> tuple[list[Row], bool]:
    """The rows of the metric log, whose indices are their steps at W&B, and whether they are all of a completed run."""
    completed = run_dir.completed  # asked first, since the result is written after the last row
    return run_dir.read_metrics(), completed


class SentRows:
    """The rows that one run at W&B was sent, by number; not all of them need have arrived.

    They are kept in a file, whose loss means only that a difference from the log is no longer noticed.
    """

    def __init__(self, run_dir: RunDir, identity: WandbRun) -> None:
        self._path = run_dir.wandb_dir / f"sent-{identity.id}.jsonl"
        self._rows: dict[int, Row] = {}
        if self._path.exists():
            for line in self._path.read_text(encoding="utf-8", errors="replace").splitlines():
                with suppress(ValueError, RecursionError):  # an empty line, or one that a crash cut off
                    row = json.loads(line)
                    self._rows[row.pop(_NUMBER)] = row

    def first_difference(self, rows: Sequence[Row], completed: bool) -> int | None:
        """The number of the first row that W&B was sent and that is another one in `rows`; None if there is none.

        Args:
            rows: all rows of the run so far.
            completed: whether no further ones come, so that W&B may have been sent no more than these.
        """
        others = [n for n, row in self._rows.items() if (row != rows[n] if n < len(rows) else completed)]
        return min(others, default=None)

    def check(self, rows: Sequence[Row], completed: bool) -> None:
        """Compare all rows of the run so far with those that were sent.

        Raises:
            RunDirError: they differ.
        """
        if (number := self.first_difference(rows, completed)) is not None:
            raise RunDirError(
                f"metrics.jsonl has other rows than W&B was sent, from row {number} on, and W&B takes none back"
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
