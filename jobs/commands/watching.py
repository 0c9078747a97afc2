"""The commands that only look: status, logs."""

import time
from functools import partial
from typing import TYPE_CHECKING, Annotated

import typer

from jobs import policy
from jobs.commands.arguments import NO_GRIDS, RESULTS, ResultsRoot
from jobs.policy import EXIT_FAILED, EXIT_RUNNING
from sentiment.command_line import command_line, echo

if TYPE_CHECKING:
    from jobs.status.grid_status import GridStatus

_WATCH_SECONDS = 15.0

watching = command_line()


@watching.command()
def status(
    grids: Annotated[list[str] | None, typer.Argument(metavar="[GRID]...", help="All grids if none is named.")] = None,
    failed: Annotated[bool, typer.Option("--failed", help="Only runs that failed or are held.")] = False,
    all_runs: Annotated[bool, typer.Option("--all", help="Every run, even of large grids.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="As JSON, for programs.")] = False,
    watch: Annotated[bool, typer.Option("--watch", help="Repeat until nothing runs.")] = False,
    results: ResultsRoot = RESULTS,
) -> None:
    """Show the state of all runs, those outside of grids last, as the grid `single`; then that of language models.

    Ends with 0 when all are completed or pruned; with 3 while any runs, waits or is UNKNOWN; else with 1 if any failed,
    is held or was cancelled; and with 3 if all others are still to be submitted.
    """
    from jobs.status.language_models import show_language_models
    from jobs.status.single_runs import read_all
    from jobs.status.table import show, terminal_columns, wrap
    from sentiment.run_dir import Results

    columns = terminal_columns()
    while True:
        found = read_all(Results(results), grids or [])
        code = verdict(found)
        shown = show(found, only_failed=failed, every_row=all_runs or failed, as_json=as_json, columns=columns)
        if not (grids or failed or as_json):
            models = [
                part for line in show_language_models(Results(results)) for part in wrap(line, terminal_columns())
            ]
            shown = "\n".join(filter(None, [shown, *models]))
        echo(shown or NO_GRIDS.format(results))
        if not watch or not any(policy.may_go_on(row) for grid in found for row in grid.rows):
            raise typer.Exit(code)
        time.sleep(_WATCH_SECONDS)


@watching.command()
def logs(
    name: Annotated[str, typer.Argument(metavar="RUN", help="A run id; or GRID/RUN, GRID/data and the like.")],
    follow: Annotated[bool, typer.Option("--follow", "-f", help="Go on until the run has ended.")] = False,
    results: ResultsRoot = RESULTS,
) -> None:
    """Print what a run has printed, or one of a grid's other jobs: the file that was written to last.

    The file's name and how the run ended go to the standard error. With --follow the command ends with 0 if the run is
    completed then, else with 1.
    """
    from jobs.logs import find_output, show_log
    from sentiment.run_dir import Results

    if not show_log(find_output(name, Results(results)), follow, partial(typer.echo, err=True)):
        raise typer.Exit(EXIT_FAILED)


def verdict(found: "list[GridStatus]") -> int:
    """The exit code of `status`."""
    counted = [grid for grid in found if grid.name != "single"] or found  # a grid's command asks for the grid
    code = policy.exit_code([row for grid in counted for row in grid.rows])
    return EXIT_FAILED if code != EXIT_RUNNING and any(grid.final_failed for grid in found) else code
