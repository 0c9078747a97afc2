"""The logs of runs and of other jobs."""

import re
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path

from jobs.job_kinds import OTHER_KINDS
from jobs.policy import needs_attention
from jobs.status.grid_state import GridView
from jobs.status.names import find_targets
from jobs.submissions import read_submissions
from sentiment.console import printable
from sentiment.errors import UsageError
from sentiment.runs.run_dir import Results, short_id
from sentiment.runs.state import HELD


def newest_log(results: Results, grid: str, name: str) -> Path | None:
    """The log of a run, or of the latest job of a kind, that was written last; None if there is none yet."""
    return _written_last(file for file in _logs(results, grid, name) if file.exists())


def _written_last(files: Iterable[Path]) -> Path | None:
    return max(files, key=lambda file: file.stat().st_mtime_ns, default=None)


def _logs(results: Results, grid: str, name: str) -> Iterator[Path]:
    yield results.slurm / grid / f"{name}.log"  # of a report built on this machine
    for folder in read_submissions(results, grid):
        yield folder.run_log(name)
        for number, run_ids in enumerate(folder.tasks):
            # A run without a log did not start; the log of its task says why.
            use_task_log = name in run_ids and not folder.run_log(name).exists()
            if not use_task_log and name != folder.submission.kind:
                continue
            if log := folder.log_file(number):
                yield log


def failed_log(results: Results, grid: GridView) -> str:
    """Whose log to read first, as the argument of `status --log`; empty if there is no such log.

    It is that of a failed job, which may be why its runs failed, else that of the first failed run.
    """
    for kind in grid.failed_kinds:
        if newest_log(results, grid.name, kind):
            return f"{grid.name}/{kind}"
    failed = next((row.run_id for row in grid.rows if needs_attention(row) and row.state != HELD), None)
    return short_id(failed) if failed and newest_log(results, grid.name, failed) else ""


def find_log(name: str, results: Results) -> Path:
    """The log of GRID/KIND, or of a run as `find_targets` takes it; of several grids' logs the one written last.

    Raises:
        UsageError: there is none.
    """
    kinds = [kind.name for kind in OTHER_KINDS]
    grid, _, kind = name.rpartition("/")
    if grid and kind in kinds:
        logs = [newest_log(results, grid, kind)]
    else:
        targets = find_targets([name], results)
        logs = [newest_log(results, target.grid, run_id) for target in targets for run_id in target.run_ids]
    log = _written_last(log for log in logs if log)
    if log is None:
        raise UsageError(
            f"{name}: has no log; there are logs of runs of grids that have begun, and of GRID/KIND with a kind of "
            f"{', '.join(kinds)}; a run outside of grids prints to the terminal where it was started"
        )
    return log


def print_log(file: Path) -> None:
    text = file.read_bytes()
    if sys.stdout.isatty():  # without control sequences; a progress bar's `\r` becomes a newline
        text = printable(re.sub("\r\n?", "\n", text.decode(errors="replace"))).encode()
    sys.stdout.buffer.write(text)
    sys.stdout.buffer.flush()
