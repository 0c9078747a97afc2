"""The commands on grids: submit, status, rerun, cancel, sync, doctor."""

from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from sentiment.command_line import (
    RESULTS,
    ClusterPath,
    Data,
    Local,
    NamedTargets,
    NewCode,
    Overrides,
    ParallelRuns,
    ResultsRoot,
    TableOptions,
    Targets,
    command_line,
    echo,
    results_of,
    with_options,
)
from sentiment.errors import EXIT_FAILED, EXIT_UNFINISHED, ConfigError, LockedError, RunDirError, UsageError
from sentiment.files import CONFIGS, config_path

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from jobs.launch.locked_grid import LaunchOptions
    from jobs.status.names import Target

CLUSTER = CONFIGS / "cluster.yaml"
NO_GRIDS = "{results}: no grid has been submitted in this results folder; submit one, or pass --results DIR"


@dataclass(frozen=True)
class WhereOptions:
    """The options that say where runs are trained, and by which code."""

    local: Local = False
    at_once: ParallelRuns = None
    new_code: NewCode = False
    cluster: ClusterPath = CLUSTER

    def launch_options(self) -> "LaunchOptions":
        from jobs import slurm
        from jobs.launch.locked_grid import LaunchOptions
        from jobs.slurm.resources import ClusterFile, read_cluster

        if self.at_once and not self.local:
            raise UsageError(
                "--at-once is for --local; in Slurm `at_once` in the cluster file says how many share a task"
            )
        if not self.local:
            slurm.check_requirements()
        cluster = ClusterFile() if self.local else read_cluster(self.cluster)
        return LaunchOptions(cluster, self.local, self.at_once, echo, self.new_code)


app = command_line("Run grids on Slurm or on this machine, with checkpoints and retries of failed runs.")


@app.command()
@with_options
def submit(
    grids: Annotated[
        list[Path] | None,
        typer.Argument(metavar="GRID...", help="Files of grids, or names: of submitted ones or in configs/grids."),
    ] = None,
    data: Data = None,
    *,
    options: TableOptions,
    study: Annotated[
        Path | None, typer.Option("--study", help="A study's file, or its name in configs/studies, instead of grids.")
    ] = None,
    overrides: Overrides = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Show what would be submitted, and submit nothing.")
    ] = False,
    verbose: Annotated[
        bool, typer.Option("--verbose", help="With --dry-run: also show every run and the sbatch script.")
    ] = False,
    where: WhereOptions,
    results: ResultsRoot = RESULTS,
) -> None:
    """Submit grids to Slurm, or train them here.

    Their runs are submitted unless they are completed, pruned, held or queued. Returns as soon as Slurm has accepted
    them. A grid that starts from runs of an unfinished one waits, and is submitted when that one has ended. Runs use a
    snapshot of the current code; those with a checkpoint keep their earlier snapshot, unless --new-code is given.

    With --local it waits for all runs and for the report; after Ctrl+C the same command goes on.
    """
    from jobs.dry_run import show_plan
    from jobs.grids.grid import with_table
    from jobs.launch.advance import submit_study
    from jobs.requested import find_request
    from jobs.study import describe_waiting, plan_study, read_study
    from sentiment.config_file import parse_overrides

    if bool(grids) == bool(study):
        raise UsageError("submit needs the names of grids, or --study with the name of a study")
    options.parameters(data, overrides)  # refuses what is given twice
    changes = parse_overrides(overrides or [])
    table = options.parameters(data, None)
    folder = results_of(results)
    say_once = cache(echo)  # several grids read the same table
    if study:
        requests = read_study(config_path(study, "studies"), changes, table, folder, say_once)
    else:
        named = [find_request(folder, grid, changes, echo) for grid in grids or []]
        requests = [with_table(request, table, say_once) for request in named]
    if table and all(request.base for request in requests):
        raise UsageError("--data: these grids start from runs of another grid, and read its tweets")
    planned = plan_study(folder, requests, check_inputs=not dry_run)
    if not dry_run:
        raise typer.Exit(submit_study(folder, planned, where.launch_options()))
    for each in planned.values():
        lines = describe_waiting(each)
        if each.grid:
            lines = show_plan(folder, each.grid, None if where.local else where.cluster, where.at_once, verbose)
        for line in lines:
            echo(line)


@app.command()
def status(
    names: Annotated[list[str] | None, typer.Argument(metavar="GRID|RUN", help="By default all grids.")] = None,
    all_runs: Annotated[bool, typer.Option("--all", help="Every run, even of large grids.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="As JSON, for programs.")] = False,
    log: Annotated[
        bool, typer.Option("--log", help="Show the log of a run (RUN) or of another job (GRID/data, ...).")
    ] = False,
    results: ResultsRoot = RESULTS,
) -> None:
    """Show the state of runs, or the log of one run.

    Runs of `sentiment train` are shown as the grid `single`; they do not count for the exit code where there are grids.
    --log also says in which file it is, which `tail -f` follows.
    """
    from jobs.status.grid_state import exit_code, read_status
    from jobs.status.table import show

    if log:
        _show_log(names or [], results)
        return
    folder = results_of(results)
    grids = read_status(folder, names or [])
    echo(show(folder, grids, every_row=all_runs, as_json=as_json) or NO_GRIDS.format(results=results))
    raise typer.Exit(exit_code(grids))


def _show_log(names: list[str], results: Path) -> None:
    from jobs.status.logs import find_log, print_log

    if len(names) != 1:
        raise UsageError("--log takes one name: RUN, GRID/RUN, or GRID/KIND for another job such as GRID/data")
    log = find_log(names[0], results_of(results))
    echo(f"==> {log} <==", err=True)
    print_log(log)


@app.command()
@with_options
def rerun(targets: Targets = None, *, where: WhereOptions, results: ResultsRoot = RESULTS) -> None:
    """Resubmit runs that ended without a result; they resume.

    Cancelled and pruned runs are resumed if each is named (GRID/ID); the name of a grid leaves them out, and `submit`
    resumes its cancelled ones. Runs use the code that they were submitted with, unless --new-code is given, for
    example after you fixed a bug. Held jobs are released.
    """
    from jobs.launch.advance import rerun_grid
    from jobs.requested import read_waiting
    from jobs.status.names import find_targets, read_plan
    from jobs.status.table import submits_later
    from jobs.study import goes_on

    folder = results_of(results)
    selected = find_targets(targets or [], folder)
    if not selected:
        echo(NO_GRIDS.format(results=results))
    options = where.launch_options()

    def rerun_target(target: "Target") -> int:
        if waiting := read_waiting(folder, target.grid):
            later = submits_later(folder, target.grid, waiting.base, waiting.local)
            echo(f"grid {target.grid}: {waiting.describe()}; {later}")
            is_queued = not waiting.local and goes_on(folder, target.grid)
            return 0 if is_queued else EXIT_UNFINISHED
        plan = read_plan(folder, target.grid)
        return rerun_grid(folder, plan, {*target.run_ids}, options)

    raise typer.Exit(_for_each(selected, rerun_target))


def _for_each(targets: "Sequence[Target]", action: "Callable[[Target], int]") -> int:
    """Do something with each grid, also if it fails with others; return the largest exit code."""
    exit_codes = [0]
    for target in targets:
        try:
            exit_codes.append(action(target))
        except (LockedError, ConfigError, RunDirError) as error:  # of this grid alone; errors of Slurm end the command
            echo(f"grid {target.grid}: {error}", err=True)
            exit_codes.append(error.exit_code)
    return max(exit_codes)


@app.command()
def cancel(
    targets: NamedTargets = None,
    remove: Annotated[
        bool, typer.Option("--remove", help="Also move the grids to RESULTS/removed: their names are free again.")
    ] = False,
    results: ResultsRoot = RESULTS,
) -> None:
    """Cancel grids or runs of grids.

    Running ones save a checkpoint first; submit them again to resume.
    """
    from jobs.launch.cancelling import cancel_grid, remove_grid
    from jobs.requested import change_waiting, may_wait
    from jobs.status.names import find_targets, read_plan
    from sentiment.runs.run_dir import SINGLE

    if not targets:
        raise UsageError("cancel needs the name of a grid or the id of a run, as `status` shows them")
    folder = results_of(results)
    selected = find_targets(targets, folder)
    if any(target.grid == SINGLE for target in selected):
        raise UsageError(f"{SINGLE}: Ctrl+C, or SIGTERM, stops runs outside of grids where they are trained")
    if remove and any(target.run_ids for target in selected):
        raise UsageError("--remove takes names of grids")

    def cancel_target(target: "Target") -> int:
        waits = may_wait(folder, target.grid)
        if waits:
            change_waiting(folder, target.grid, stated=False, waits=False, problem="")
            echo(f"grid {target.grid}: waits no longer")
        if not waits or folder.grid_file(target.grid).exists():
            cancel_grid(folder, read_plan(folder, target.grid), {*target.run_ids}, echo)
        return remove_grid(folder, target.grid, echo) if remove else 0

    raise typer.Exit(_for_each(selected, cancel_target))


@app.command()
def sync(
    targets: Targets = None,
    timeout: Annotated[
        float, typer.Option("--timeout", min=1, help="Time limit for the upload of each run, in seconds.")
    ] = 300.0,
    results: ResultsRoot = RESULTS,
) -> None:
    """Upload new metrics to Weights & Biases.

    Without names it uploads those of all runs trained with W&B tracking; it can be repeated at any time.
    """
    from jobs.sync import find_runs, upload

    run_dirs = find_runs(targets or [], results_of(results))
    any_failed = False
    for run_dir in run_dirs:
        message, failed = upload(run_dir, timeout)
        echo(f"{run_dir.grid}/{run_dir.path.name}: {'FAILED: ' if failed else ''}{message}")
        any_failed |= failed
    if not run_dirs:
        echo("no run was trained with W&B tracking; it is on if tracking.wandb is offline or online, or auto in Slurm")
    raise typer.Exit(EXIT_FAILED if any_failed else 0)


@app.command()
def doctor(cluster: ClusterPath = CLUSTER, results: ResultsRoot = RESULTS) -> None:
    """Check Slurm's configuration, and show this machine's GPUs and cores."""
    from jobs.doctor import examine, render

    findings = list(examine(results_of(results), cluster))
    for line in render(findings):
        echo(line)
    if any(finding.level == "ERROR" for finding in findings):
        raise typer.Exit(EXIT_FAILED)


if __name__ == "__main__":
    app()
