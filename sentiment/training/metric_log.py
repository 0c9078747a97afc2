"""The metric log: rows without a clock, so that two runs can be compared byte for byte; and timings beside it."""

import json
import os
from pathlib import Path
from typing import Any

from sentiment.console import Say
from sentiment.files import write_atomically


class MetricLog:
    """`metrics.jsonl`: kept in memory too, so that a checkpoint holds it and the file can always be made good.

    Args:
        say: told once when the disk refuses a row; the row is kept and written later.
    """

    def __init__(self, path: Path, say: Say) -> None:
        self._path = path
        self._say = say
        self.lines: list[str] = []
        self._behind = True
        self._told = False

    def restore(self, lines: list[str]) -> None:
        """Set the log back to what it was at a checkpoint; rows written after that are redone."""
        self.lines = list(lines)
        self._behind = True
        self._write_whole()

    def add(self, row: dict[str, Any]) -> None:
        """Append a row; a full disk is reported and does not end training."""
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
        """Make the file complete and durable.

        Raises:
            OSError: the disk still refuses it.
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
    """`timings.jsonl`: what took how long, in all attempts; a convenience, so it never raises."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def add(self, **row: Any) -> None:
        """Append a row."""
        try:
            with open(self._path, "a", encoding="utf-8") as file:
                file.write(json.dumps(row) + "\n")
        except OSError:
            return
