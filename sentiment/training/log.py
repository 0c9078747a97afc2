"""The metric log, whose rows have no times so that two runs can be compared byte for byte, and the log of timings."""

import errno
import hashlib
import json
import os
from pathlib import Path
from typing import Any, BinaryIO

from sentiment.console import Say
from sentiment.runs.run_dir import RunDir

_CLOSED = -1


class _OwnFile:
    """A file that is replaced as a whole once, and then appended to through the open file, never by its name.

    If another process takes the run over, it puts a file of its own in this one's place; what is still appended here
    goes to the file that has lost its name.
    """

    def __init__(self, run_dir: RunDir, path: Path) -> None:
        self.path = path
        self._run_dir = run_dir
        self._descriptor = _CLOSED

    @property
    def is_open(self) -> bool:
        """Whether it has been replaced, and is neither closed nor damaged since."""
        return self._descriptor != _CLOSED

    def replace(self, content: bytes) -> None:
        """Write it anew.

        Raises:
            OSError: the disk is full or fails; the former file is unchanged.
            TakenOverError: a later attempt has begun; likewise.
        """
        self.close()

        def write(file: BinaryIO) -> None:
            file.write(content)
            file.flush()
            self._descriptor = os.dup(file.fileno())

        try:
            self._run_dir.write(self.path, write)
        except BaseException:
            self.close()
            raise

    def append(self, line: bytes) -> None:
        """Add a line.

        Raises:
            OSError: the disk is full or fails; the file is closed, and may end in a part of the line.
        """
        try:
            if os.write(self._descriptor, line) < len(line):
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(self.path))
        except OSError:
            self.close()
            raise

    def sync(self) -> None:
        """Make it durable. Raises an OSError if the disk fails."""
        os.fsync(self._descriptor)

    def close(self) -> None:
        """Append nothing more."""
        if self.is_open:
            os.close(self._descriptor)
            self._descriptor = _CLOSED


class MetricLog:
    """`metrics.jsonl`. Its rows are also kept in memory: checkpoints contain them, and the file can be rewritten.

    Args:
        say: called once when the disk is full or fails; rows are then kept and written later.
    """

    def __init__(self, run_dir: RunDir, say: Say) -> None:
        self._file = _OwnFile(run_dir, run_dir.metrics_file)
        self._say = say
        self.lines: list[str] = []
        self._told = False

    @property
    def rows(self) -> list[dict[str, Any]]:
        """All rows so far."""
        return [json.loads(line) for line in self.lines]

    @property
    def sha256(self) -> str:
        """Of the whole file, as it is in memory."""
        return hashlib.sha256(self._content()).hexdigest()

    def restore(self, lines: list[str]) -> None:
        """Reset the log to the lines of a checkpoint; later rows are deleted, since training repeats them."""
        self.lines = list(lines)
        self._file.close()
        self._catch_up()

    def add(self, row: dict[str, Any]) -> None:
        """Append a row. If the disk is full, that is reported and does not end training."""
        line = json.dumps(row, allow_nan=False) + "\n"
        self.lines.append(line)
        if not self._file.is_open:
            self._catch_up()
            return
        try:
            self._file.append(line.encode())
        except OSError as error:
            self._tell(error)

    def sync(self) -> None:
        """Write all rows to the disk.

        Raises:
            OSError: the disk is full or fails.
        """
        if not self._file.is_open:
            self.rewrite()
        self._file.sync()

    def rewrite(self) -> None:
        """Write the whole file anew, whatever became of it.

        Raises:
            OSError: the disk is full or fails.
        """
        self._file.replace(self._content())

    def close(self) -> None:
        """Add nothing more."""
        self._file.close()

    def _content(self) -> bytes:
        return "".join(self.lines).encode()

    def _catch_up(self) -> None:
        try:
            self.sync()
        except OSError as error:
            self._tell(error)

    def _tell(self, error: OSError) -> None:
        if not self._told:
            self._say(f"{self._file.path}: cannot be written ({error}); its rows are kept and written later")
        self._told = True


class TimingLog:
    """`timings.jsonl`: seconds of epochs and saves in all attempts. Rows are lost silently if the disk is full."""

    def __init__(self, run_dir: RunDir) -> None:
        self._file = _OwnFile(run_dir, run_dir.timings_file)

    def add(self, **row: Any) -> None:
        """Append a row."""
        try:
            if not self._file.is_open:
                self._file.replace(self._earlier_rows())
            self._file.append(json.dumps(row).encode() + b"\n")
        except OSError:
            return

    def close(self) -> None:
        """Add nothing more."""
        self._file.close()

    def _earlier_rows(self) -> bytes:
        """Without a last one that was cut by a kill."""
        content = self._file.path.read_bytes() if self._file.path.exists() else b""
        return content[: content.rfind(b"\n") + 1]
