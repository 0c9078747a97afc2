"""The metric log, whose rows have no times so that two runs can be compared byte for byte, and the log of timings."""

import json
import os
from pathlib import Path
from typing import Any

from sentiment.console import Say
from sentiment.files import write_atomically


class MetricLog:
    """`metrics.jsonl`. Its rows are also kept in memory: checkpoints contain them, and the file can be rewritten.

    Args:
        say: called once when the disk is full or fails; rows are then kept and written later.
    """

    def __init__(self, path: Path, say: Say) -> None:
        self._path = path
        self._say = say
        self.lines: list[str] = []
        self._behind = True
        self._told = False

    def restore(self, lines: list[str]) -> None:
        """Reset the log to the lines of a checkpoint; later rows are deleted, since training repeats them."""
        self.lines = list(lines)
        self._behind = True
        self._write_whole()

    def add(self, row: dict[str, Any]) -> None:
        """Append a row. If the disk is full, that is reported and does not end training."""
        line = json.dumps(row, allow_nan=False) + "\n"
        self.lines.append(line)
        if self._behind:
            self._write_whole()
            return
        try:
            with open(self._path, "a", encoding="utf-8") as file:
                file.write(line)
        except OSError as error:
            self._fall_behind(error)

    def sync(self) -> None:
        """Write all rows to the disk.

        Raises:
            OSError: the disk is full or fails.
        """
        if self._behind:
            write_atomically(self._path, lambda file: file.write("".join(self.lines).encode()))
            self._behind = False
        with open(self._path, "ab") as file:
            os.fsync(file.fileno())

    def _write_whole(self) -> None:
        try:
            self.sync()
        except OSError as error:
            self._fall_behind(error)

    def _fall_behind(self, error: OSError) -> None:
        if not self._told:
            self._say(f"{self._path}: cannot be written ({error}); its rows are kept and written later")
        self._behind = self._told = True


class TimingLog:
    """`timings.jsonl`: seconds of epochs and saves in all attempts. Rows are lost silently if the disk is full."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def add(self, **row: Any) -> None:
        """Append a row."""
        try:
            with open(self._path, "a", encoding="utf-8") as file:
                file.write(json.dumps(row) + "\n")
        except OSError:
            return
