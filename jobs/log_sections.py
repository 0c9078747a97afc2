"""How a log is divided among attempts: the lines with which a task and a run begin, and the parts between them."""

import os
import re
import socket
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

TASK_BEGINS = re.compile(rb"^task \d+ of .*, start \d+ on ", re.MULTILINE)
_RUN_BEGINS = re.compile(rb"^run (\S+), process (\d+) on (\S+)$", re.MULTILINE)


def task_begins(title: str, restarts: int, node: str | None) -> str:
    """The first line that a Slurm task prints, each time that Slurm starts it."""
    return f"{title}, start {restarts + 1} on {node or 'this machine'}"


def run_begins(run_id: str) -> str:
    """The first line that an attempt of a run prints; its process is the present one."""
    return f"run {run_id}, process {os.getpid()} on {socket.gethostname()}"


@dataclass(frozen=True)
class LogSection:
    """What one attempt has printed: a part of a file."""

    file: Path
    start: int = 0
    """In bytes."""
    end: int | None = None
    """Where the next attempt begins; None for the last one, which may still grow."""
    process: tuple[str, int] | None = None
    """The attempt's host and process; None if it ended before it began with a run."""


def read_sections(file: Path) -> Sequence[LogSection]:
    """The parts of a log, the oldest first; at least one.

    Raises:
        OSError: the file cannot be read.
    """
    text = file.read_bytes()
    sections = [LogSection(file)]
    found = [(match.start(), None) for match in TASK_BEGINS.finditer(text)]
    found += [(match.start(), (match[3].decode(), int(match[2]))) for match in _RUN_BEGINS.finditer(text)]  # type: ignore[misc]
    for start, process in sorted(found, key=lambda one: one[0]):
        newest = sections[-1]
        if process and newest.process is None:  # the task's own line came before
            sections[-1] = replace(newest, process=process)
        elif start > 0:
            sections[-1] = replace(newest, end=start)
            sections.append(LogSection(file, start, process=process))
    return sections
