"""Which rows a run at Weights & Biases was sent, in a file beside it: it takes none back.

A run that is killed goes on from its last checkpoint and redoes the rows after it: with the same digits on the same
hardware, but perhaps with others elsewhere. Where these were sent before, the copy can't become that of the log any
more, and only a new run at W&B can take its place.
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

# The row after those of the metric log, which holds what a completed run adds.
OUTCOME: Row = {"kind": "outcome"}
_NUMBER = "_step"


class SentRows:
    """The rows that one run at W&B was sent, as they stood in the metric log, by number.

    All of them were sent, and perhaps not all arrived. Where the file is lost, so is the comparison, and nothing else.
    """

    def __init__(self, run_dir: RunDir, identity: WandbRun) -> None:
        self._run_dir = run_dir
        self._path = run_dir.wandb_dir / f"sent-{identity.id}.jsonl"
        self._rows = dict(_read(self._path))

    def check(self, first: int, rows: Sequence[Row], last: bool = False) -> None:
        """Compare rows of the log, the first of which has this number, with what was sent in their place.

        Args:
            last: whether the log ends with them for good.

        Raises:
            SupersededError: that was something else.
        """
        others = [number for number, row in enumerate(rows, first) if self._rows.get(number, row) != row]
        if last:
            others += [number for number in self._rows if number >= first + len(rows)]
        if others:
            raise SupersededError(
                f"W&B was sent other rows than metrics.jsonl has now, from row {min(others)} on, and takes none back; "
                f"`python -m jobs sync {self._run_dir.path.name} --replace` uploads the run anew and deletes that one"
            )

    def note(self, first: int, rows: Sequence[Row]) -> None:
        """Write down durably that rows are about to be sent."""
        if rows:
            numbered = dict(enumerate(rows, first))
            with open(self._path, "a", encoding="utf-8") as file:
                # Each line begins a new one, since a crash may have cut off the last.
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
