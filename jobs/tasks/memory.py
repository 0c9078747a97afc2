"""Whether one more run fits into main memory, by what runs of the same job were measured to take; Linux only."""

import re
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path

# More than the largest run took until now: a run that still trains may grow, and others may have longer tweets.
_MARGIN = 1.5


class MeasuredMemory:
    """The largest memory that a process of this job took, in kB.

    A process's memory is measured whenever it is asked whether another one fits. Where the system tells nothing, as on
    macOS, any number of them does.
    """

    def __init__(self) -> None:
        self._largest = 0

    def fits_one_more(self, processes: Iterable[int]) -> bool:
        """Whether there is room for another process beside these, by their ids, which may still grow."""
        taken = []
        for process in processes:
            file = f"/proc/{process}/status"
            self._largest = max(self._largest, read_field(file, "VmHWM"))
            taken.append(read_field(file, "VmRSS"))
        needed = _MARGIN * self._largest
        return (len(taken) + 1) * needed <= read_field("/proc/meminfo", "MemAvailable") + sum(taken)


def read_field(file: str, name: str) -> int:
    """A field of a file in /proc, in kB; 0 if there is none, as of a process that has ended."""
    text = ""
    with suppress(OSError):
        text = Path(file).read_text()
    line = re.search(rf"^{name}:\s*(\d+) kB$", text, re.MULTILINE)
    return int(line[1]) if line else 0
