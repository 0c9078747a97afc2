"""The commands on grids: submit, status, rerun, cancel, sync, doctor."""

import time
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from sentiment.command_line import (
    EXIT_FAILED,
    EXIT_UNFINISHED,
    RESULTS,
    AtOnce,
    ClusterFile,
    Local,
    NewCode,
    Overrides,
    ResultsRoot,
    Targets,
    Watch,
    command_line,
    echo,
)
from sentiment.errors import ConfigError, LockedError, RunDirError, UsageError
from sentiment.files import CONFIGS, config_path, shipped_file

if TYPE_CHECKING:
    from jobs.status import GridStatus

_WATCH_SECONDS = 15.0

CLUSTER = CONFIGS / "cluster.yaml"
NO_GRIDS = "{}: no grid was submitted to this folder of results yet; sentiment submit GRID, or --results DIR"

app = command_line("Run grids on Slurm or on this machine: nothing is lost, and only what failed is run again.")


@app.command()
def submit(
    grid: Annotated[Path, typer.Argument(metavar="GRID", help="A grid's file, or its name in configs/grids.")],
    overrides: Overrides = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Show what would be submitted, and submit nothing.")
    ] = False,
    verbose: Annotated[
        bool, typer.Option("--verbose", help="With --dry-run: also every run and sbatch's file.")
    ] = False,
    local: Local = False,
    at_once: AtOnce = None,
    new_code: NewCode = False,
    cluster: ClusterFile = CLUSTER,
    results: ResultsRoot = RESULTS,
) -> None:
    """Submit the runs of a grid that are neither completed nor queued.

    Ends as soon as Slurm has accepted them. Runs use a copy of the code as it is now; a run that other code began goes
    on with that, unless --new-code. With --local it ends when all runs have ended and the report is written: with 0 if
    all are completed, 1 if any failed, and 3 if it was stopped: the same command goes on from what is saved.
    """
    from jobs.dry_run import show_plan
    from jobs.grids.grid import expand_grid, load_grid
    from jobs.session import LaunchOptions, submit_grid
    from sentiment.runs.run_dir import Results

    loaded = (expand_grid if dry_run else load_grid)(config_path(grid, "grids"), Results(results), overrides or [])
    for line in loaded.left_out:
        echo(f"left out: {line}")
    if not dry_run:
        options = LaunchOptions(cluster, local, at_once, echo, new_code)
        raise typer.Exit(submit_grid(Results(results), loaded, options))
    for line in show_plan(Results(results), loaded, cluster, verbose):
        echo(line)


@app.command()
def status(
    names: Annotated[list[str] | None, typer.Argument(metavar="GRID", help="By default all grids.")] = None,
    failed: Annotated[bool, typer.Option("--failed", help="Only runs that failed or are held.")] = False,
    all_runs: Annotated[bool, typer.Option("--all", help="Every run, even of large grids.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="As JSON, for programs.")] = False,
    log: Annotated[
        bool, typer.Option("--log", help="What a run (RUN_ID) or another job (GRID/data ...) has printed.")
    ] = False,
    watch: Watch = False,
    results: ResultsRoot = RESULTS,
) -> None:
    """Show the state of runs, or what one has printed.

    Runs outside of grids are the grid `single`. Ends with 0 when all are completed or pruned; with 3 while any runs,
    waits or is UNKNOWN; else with 1 if any failed, is held or was cancelled; and with 3 if all others are still to be
    submitted. With --log --watch it ends with the run: with 0 if that is completed, else with 1.
    """
    from jobs.policy import may_go_on
    from jobs.status import read_status, show
    from sentiment.runs.run_dir import Results

    if log:
        _show_log(names or [], watch, results)
        return
    while True:
        found = read_status(Results(results), names or [])
        shown = show(found, only_failed=failed, every_row=all_runs or failed, as_json=as_json)
        echo(shown or NO_GRIDS.format(results))
        if not watch or not any(may_go_on(row) for grid in found for row in grid.rows):
            raise typer.Exit(verdict(found))
        time.sleep(_WATCH_SECONDS)


def verdict(found: "list[GridStatus]") -> int:
    from jobs.policy import exit_code

    counted = [grid for grid in found if grid.name != "single"] or found  # a grid's command asks for the grid
    code = exit_code([row for grid in counted for row in grid.rows])
    return EXIT_FAILED if code != EXIT_UNFINISHED and any(grid.final_failed for grid in found) else code


def _show_log(names: list[str], follow: bool, results: Path) -> None:
    from jobs.status import find_output, show_log
    from sentiment.runs.run_dir import Results

    if len(names) != 1:
        raise UsageError("--log takes one name: a run's id; or GRID/RUN, GRID/data and the like")
    if not show_log(find_output(names[0], Results(results)), follow, partial(typer.echo, err=True)):
        raise typer.Exit(EXIT_FAILED)


@app.command()
def rerun(
    targets: Targets = None,
    only: Annotated[
        str | None,
        typer.Option(
            "--only",
            metavar="CAUSE,...",
            help="timeout, lost, oom, failed, held, cancelled or pruned; by default all but the last two.",
        ),
    ] = None,
    local: Local = False,
    at_once: AtOnce = None,
    new_code: NewCode = False,
    cluster: ClusterFile = CLUSTER,
    results: ResultsRoot = RESULTS,
) -> None:
    """Submit again what ended without a result, from its checkpoints.

    Runs use the code that they were submitted with, unless --new-code, as after mending a bug. Those that Slurm holds
    are released.
    """
    from jobs.policy import CAUSES
    from jobs.session import LaunchOptions, rerun_grid
    from jobs.status import find_targets
    from sentiment.runs.run_dir import Results

    causes = only.split(",") if only else []
    if unknown := {*causes} - {*CAUSES}:
        raise UsageError(f"--only {','.join(sorted(unknown))}: is no cause; valid: {', '.join(CAUSES)}")
    found = find_targets(targets or [], Results(results))
    if not found:
        echo(NO_GRIDS.format(results))
    codes, options = [], LaunchOptions(cluster, local, at_once, echo, new_code)
    for plan, run_ids in found:
        try:
            codes.append(rerun_grid(Results(results), plan, causes, run_ids, options))
        except (LockedError, ConfigError, RunDirError) as error:  # of this grid; what Slurm refuses ends it all
            if len(found) == 1:
                raise
            echo(f"grid {plan.name}: {error}")
            codes.append(error.exit_code)
        if local and codes[-1] == EXIT_UNFINISHED:  # by Ctrl+C
            break
    raise typer.Exit(max(codes, default=0))


@app.command()
def cancel(targets: Targets = None, results: ResultsRoot = RESULTS) -> None:
    """Cancel grids or single runs: they save and end.

    They go on when they are submitted again.
    """
    from jobs.session import cancel_grid
    from jobs.status import cancel_single, find_targets, single_runs
    from sentiment.runs.run_dir import Results

    if not targets:
        raise UsageError("cancel takes names of grids, or run ids; `sentiment status` shows them")
    alone = [run_dir for run_dir in single_runs(Results(results)) if run_dir.path.name in targets]
    for run_dir in alone:
        cancel_single(run_dir, echo)
    others = [name for name in targets if name not in {run_dir.path.name for run_dir in alone}]
    for plan, run_ids in find_targets(others, Results(results)) if others else ():
        cancel_grid(Results(results), plan, run_ids, echo)


@app.command()
def sync(
    targets: Targets = None,
    watch: Watch = False,
    every: Annotated[float, typer.Option("--every", min=0, help="With --watch: seconds between two uploads.")] = 60.0,
    limit: Annotated[float, typer.Option("--timeout", min=1, help="Seconds for each run.")] = 300.0,
    results: ResultsRoot = RESULTS,
) -> None:
    """Upload what is new to Weights & Biases.

    By default of all tracked runs. Ends with 0 when all is there, and with 1 if anything failed; it can be
    repeated at any time.
    """
    from jobs.sync import find_runs, upload_runs
    from sentiment.runs.run_dir import Results

    while True:
        running = watch and _any_active(targets or [], results)
        run_dirs = find_runs(targets or [], Results(results))
        failed = False
        for upload in upload_runs(run_dirs, limit):
            echo(str(upload))
            failed |= upload.failed
        if not running:
            break
        time.sleep(every)
    if not run_dirs:
        echo("no run was trained with tracking.wandb offline or online; name a grid or a run to upload it")
    raise typer.Exit(EXIT_FAILED if failed else 0)


@app.command()
def doctor(cluster: ClusterFile = CLUSTER, results: ResultsRoot = RESULTS) -> None:
    """Say what is here for grids: Slurm's settings, processors, disk.

    Ends with 1 if something, such as a partition that does not exist, prevents any grid from running.
    """
    from jobs.doctor import examine, render
    from sentiment.runs.run_dir import Results

    findings = list(examine(Results(results), cluster, shipped_file(CONFIGS / "grids")))
    for line in render(findings):
        echo(line)
    if any(finding.level == "problem" for finding in findings):
        raise typer.Exit(EXIT_FAILED)


def _any_active(targets: list[str], results: Path) -> bool:
    from jobs.policy import may_go_on
    from jobs.status import is_meant, read_status
    from sentiment.runs.run_dir import Results

    rows = (row for grid in read_status(Results(results)) for row in grid.rows)
    return any(may_go_on(row) and is_meant(row.grid, row.run_id, targets) for row in rows)


if __name__ == "__main__":
    app()
