"""The metric log, whose rows have no times so that two runs can be compared byte for byte, and the log of timings."""

import contextlib
import errno
import hashlib
import json
import os
from typing import Any, BinaryIO

from sentiment.console import Say
from sentiment.runs.run_dir import RunDir

_CLOSED = -1


class MetricLog:
    """`metrics.jsonl`. Its rows are also kept in memory: checkpoints contain them, and the file can be rewritten.

    The file is replaced as a whole once, and then appended to through the open file, never by its name: if a later
    attempt begins, it puts a file of its own in this one's place, which nothing of this attempt gets into.

    Args:
        say: called once when the disk is full or fails; rows are then kept and written later.
    """

    def __init__(self, run_dir: RunDir, say: Say) -> None:
        self._run_dir = run_dir
        self._path = run_dir.metrics_file
        self._say = say
        self._descriptor = _CLOSED
        self._told = False
        self.lines: list[str] = []

    @property
    def sha256(self) -> str:
        """Of the whole file, as it is in memory."""
        return hashlib.sha256(self._content()).hexdigest()

    def restore(self, lines: list[str]) -> None:
        """Reset the log to the lines of a checkpoint; later rows are deleted, since training repeats them."""
        self.lines = list(lines)
        self.close()
        self._write_or_tell()

    def add(self, row: dict[str, Any]) -> None:
        """Append a row. If the disk is full, that is reported and does not end training."""
        self.lines.append(json.dumps(row, allow_nan=False) + "\n")
        self._write_or_tell()

    def sync(self) -> None:
        """Write all rows to the disk.

        Raises:
            OSError: the disk is full or fails.
        """
        if self._descriptor == _CLOSED:
            self.rewrite()
        os.fsync(self._descriptor)

    def rewrite(self) -> None:
        """Write the whole file anew, whatever became of it.

        Raises:
            OSError: the disk is full or fails; the former file is unchanged.
            TakenOverError: a later attempt has begun; likewise.
        """
        self.close()

        def write(file: BinaryIO) -> None:
            file.write(self._content())
            file.flush()
            self._descriptor = os.dup(file.fileno())

        try:
            self._run_dir.write(self._path, write)
        except BaseException:
            self.close()
            raise

    def close(self) -> None:
        """Add nothing more."""
        if self._descriptor != _CLOSED:
            os.close(self._descriptor)
            self._descriptor = _CLOSED

    def _write_or_tell(self) -> None:
        """Append the last row, or write all of them where the file is closed."""
        try:
            if self._descriptor == _CLOSED:
                self.rewrite()
            elif os.write(self._descriptor, line := self.lines[-1].encode()) < len(line):
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(self._path))
        except OSError as error:
            self.close()  # it may end in a part of the line
            if not self._told:
                self._say(f"{self._path}: cannot be written ({error}); its rows are kept and written later")
            self._told = True

    def _content(self) -> bytes:
        return "".join(self.lines).encode()


def add_timing(run_dir: RunDir, **row: Any) -> None:
    """Append seconds of an epoch or a save to `timings.jsonl`; if the disk is full the row is lost."""
    with contextlib.suppress(OSError), open(run_dir.timings_file, "a", encoding="utf-8") as file:
        file.write(json.dumps(row) + "\n")
