"""Whether one more run fits into main memory, by what runs of the same job were measured to take; Linux only."""

import re
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path

from sentiment.processes import control_groups

# More than the largest run took until now: a run that still trains may grow, and others may have longer tweets.
_MARGIN = 1.5
# A control group's files with its limit and with what it uses, and the line of `memory.stat` with what the system can
# take back of that; of versions 2 and 1.
_LIMITS = (
    ("memory.max", "memory.current", "inactive_file"),
    ("memory.limit_in_bytes", "memory.usage_in_bytes", "total_inactive_file"),
)


class MeasuredMemory:
    """The largest memory that a process of this job took, in bytes.

    A process's memory is measured whenever it is asked whether another one fits. Where the system tells nothing, as on
    macOS, any number of them does.
    """

    def __init__(self) -> None:
        self._largest = 0

    def fits_one_more(self, processes: Iterable[int]) -> bool:
        """Whether there is room for another process beside these, by their ids, which may still grow."""
        growing = 0
        taken = []
        for process in processes:
            status = _read(Path(f"/proc/{process}/status"))
            self._largest = max(self._largest, _bytes(status, "VmHWM"))
            taken.append(_bytes(status, "VmRSS"))
        needed = int(_MARGIN * self._largest)
        for resident in taken:
            growing += max(needed - resident, 0)
        available = available_bytes()
        return available is None or needed + growing <= available


def available_bytes() -> int | None:
    """What this process may still take: of the machine's memory, and of each control group's that limits it."""
    meminfo = _read(Path("/proc/meminfo"))
    if not meminfo:
        return None
    rooms = [_bytes(meminfo, "MemAvailable")]
    for group in control_groups("memory"):
        for limit, used, reclaimable in _LIMITS:
            with suppress(ValueError):  # no such file, or `max` instead of a number
                room = int(_read(group / limit)) - int(_read(group / used))
                line = re.search(rf"^{reclaimable} (\d+)$", _read(group / "memory.stat"), re.MULTILINE)
                rooms.append(room + int(line[1] if line else 0))
    return min(rooms)


def _read(file: Path) -> str:
    with suppress(OSError):
        return file.read_text()
    return ""


def _bytes(text: str, field: str) -> int:
    """A field of a file in /proc that is in kB; 0 if the file lacks it, as that of a process that has ended does."""
    line = re.search(rf"^{field}:\s*(\d+) kB$", text, re.MULTILINE)
    return int(line[1]) * 1024 if line else 0
