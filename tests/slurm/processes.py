"""What /proc says about the processes of this machine."""

import contextlib
import os
import signal
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path


@dataclass(frozen=True)
class Process:
    """One that was there a moment ago."""

    pid: int
    name: str
    parent: int

    @cached_property
    def environ(self) -> dict[str, str]:
        """As it was at its start; empty if it has gone or wiped it."""
        with contextlib.suppress(OSError):
            pairs = Path(f"/proc/{self.pid}/environ").read_bytes().decode(errors="replace").split("\0")
            return dict(pair.split("=", 1) for pair in pairs if "=" in pair)
        return {}

    @property
    def alive(self) -> bool:
        """Whether it still runs; one that only waits to be reaped does not."""
        return any(one.pid == self.pid and one.name == self.name for one in processes())

    def has_open(self, folder: Path) -> bool:
        """Whether it has a file in this folder open."""
        with contextlib.suppress(OSError):
            return any(link.readlink().is_relative_to(folder) for link in Path(f"/proc/{self.pid}/fd").iterdir())
        return False

    def signal(self, number: signal.Signals) -> None:
        """Send a signal; one that has gone does not mind."""
        with contextlib.suppress(ProcessLookupError):
            os.kill(self.pid, number)


def processes() -> Iterator[Process]:
    """All that run now."""
    for folder in Path("/proc").iterdir():
        if folder.name.isdecimal():
            with contextlib.suppress(OSError):
                head, _, rest = (folder / "stat").read_text().rpartition(")")
                state, parent = rest.split()[:2]
                if state != "Z":
                    yield Process(int(folder.name), head.partition("(")[2], int(parent))
