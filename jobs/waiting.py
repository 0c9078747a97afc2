"""Grids that wait for the grid whose runs they start from, as they were asked for: later edits change nothing."""

from pathlib import Path
from typing import Any

from jobs.grids.grid import GridRequest
from jobs.grids.sweep_file import GridFile
from sentiment.files import write_atomically
from sentiment.runs.records import FileRecord
from sentiment.runs.run_dir import Results, read_record, sealed


class WaitingGrid(FileRecord):
    """`waiting.json`: written before anything is submitted, and deleted once the grid's own jobs are.

    Attributes:
        overrides: the changes of `--set`.
        code: the id of the code snapshot that will compute its runs; None takes one when they start.
        cluster: the content of the cluster file.
        local: whether its runs are for this machine: no final job submits them.
        problem: why it could not be submitted when the other grid had ended; empty before.
    """

    file: GridFile
    overrides: list[str]
    code: str | None
    cluster: dict[str, Any]
    local: bool
    problem: str = ""

    @property
    def request(self) -> GridRequest:
        return GridRequest(self.file, self.overrides)

    @property
    def name(self) -> str:
        return self.request.name

    @property
    def base(self) -> str:
        """The grid that it waits for."""
        base = self.request.base
        return base.grid if base else ""

    def describe(self) -> str:
        return f"WAITING for {self.base}" + (f": {self.problem}" if self.problem else "")


def _file(results: Results, grid: str) -> Path:
    return results.slurm / grid / "waiting.json"


def read_waiting(results: Results, grid: str) -> WaitingGrid | None:
    """The record of a grid that waits; None if it does not."""
    return read_record(_file(results, grid), WaitingGrid)


def waiting_grids(results: Results) -> list[WaitingGrid]:
    """All grids that wait, by name."""
    names = sorted(file.parent.name for file in results.slurm.glob("*/waiting.json"))
    return [waiting for name in names if (waiting := read_waiting(results, name))]


def write_waiting(results: Results, waiting: WaitingGrid) -> None:
    _file(results, waiting.name).parent.mkdir(parents=True, exist_ok=True)
    write_atomically(_file(results, waiting.name), sealed(waiting))


def remove_waiting(results: Results, grid: str) -> None:
    _file(results, grid).unlink(missing_ok=True)
