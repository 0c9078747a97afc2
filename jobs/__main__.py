"""The command line: submit, status, rerun, cancel, doctor, sync."""

import json
import time
from collections.abc import Iterable
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any

import typer

from sentiment.command_line import command_line
from sentiment.errors import UsageError

EXIT_FAILED = 1
EXIT_RUNNING = 3  # (The other codes: 0 done, 2 usage, 4 no Slurm here.)
_WATCH_SECONDS = 15.0


app = command_line()

GridFile = Annotated[str, typer.Argument(metavar="GRID", help="A file, or a name in configs/grids.")]
Targets = Annotated[list[str] | None, typer.Argument(metavar="[GRID | RUN]...", help="Names of grids, or run ids.")]
ClusterFile = Annotated[Path, typer.Option("--cluster", help="What jobs may use.")]
ResultsRoot = Annotated[Path, typer.Option("--results", help="The folder that everything is written to.")]
Overrides = Annotated[list[str] | None, typer.Option("--set", help="Change a field of all runs: section.field=value.")]
Local = Annotated[bool, typer.Option("--local", help="Run them here and now, without Slurm.")]
AtOnce = Annotated[
    int | None, typer.Option("--at-once", min=1, help="With --local: so many runs at a time; else one per GPU.")
]
_GRIDS = Path("configs/grids")
_CLUSTER = Path("configs/cluster.yaml")
_RESULTS = Path("results")
_NO_GRIDS = "no grid was submitted yet: python -m jobs submit GRID"


@app.callback()
def main() -> None:
    """Run grids on Slurm: submit and leave, lose nothing, rerun only what failed."""


@app.command()
def submit(
    grid: GridFile,
    overrides: Overrides = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Show what would be submitted, and submit nothing.")
    ] = False,
    local: Local = False,
    at_once: AtOnce = None,
    cluster: ClusterFile = _CLUSTER,
    results: ResultsRoot = _RESULTS,
) -> None:
    """Submit a grid's runs that are neither completed nor queued; ends as soon as Slurm has accepted them.

    With --local it ends when all have ended: with 0 if all are completed, 1 if any failed, and with 3 if it was
    stopped: everything is saved then, and the same command goes on.
    """
    from jobs.grids.grid import load_grid
    from jobs.grids.reuse import reuse_completed
    from jobs.session import missing_runs, open_session, tell_held
    from sentiment.run_dir import Results

    loaded = load_grid(_grid_file(grid), Results(results), overrides or [])
    for line in loaded.left_out:
        typer.echo(f"left out: {line}")
    if dry_run:
        _show_plan(loaded, Results(results), cluster)
        return
    if local:
        from jobs.local import run_here

        raise typer.Exit(run_here(Results(results), loaded, at_once, typer.echo))
    with open_session(Results(results), loaded.plan) as desk:
        Results(results).write_grid(loaded.plan)
        reuse_completed(Results(results), loaded.plan)
        rows = desk.rows
        for line in tell_held(loaded.plan.name, rows):
            typer.echo(line)
        _tell(desk.submit(missing_runs(loaded, rows), cluster), len(rows))


@app.command()
def status(
    grids: Annotated[list[str] | None, typer.Argument(metavar="[GRID]...", help="All, if none is named.")] = None,
    failed: Annotated[bool, typer.Option("--failed", help="Only runs that need somebody.")] = False,
    all_runs: Annotated[bool, typer.Option("--all", help="Every run, however many.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="For programs.")] = False,
    watch: Annotated[bool, typer.Option("--watch", help="Again and again, until nothing runs.")] = False,
    results: ResultsRoot = _RESULTS,
) -> None:
    """Show the state of all runs.

    Ends with 0 when all are completed, 3 while any runs or waits, and with 1 if any failed or is held.
    """
    while True:
        found = _read_status(grids, results)
        code = _verdict(found)
        _show(found, failed, all_runs or failed, as_json)
        if not watch or code != EXIT_RUNNING:
            raise typer.Exit(code)
        time.sleep(_WATCH_SECONDS)


@app.command()
def rerun(
    targets: Targets = None,
    failed: Annotated[bool, typer.Option("--failed", help="Runs that raised an error or were killed.")] = False,
    timeout: Annotated[bool, typer.Option("--timeout", help="Runs that Slurm ended for their time.")] = False,
    lost: Annotated[
        bool, typer.Option("--lost", help="Runs that are gone without a word, or with their node.")
    ] = False,
    oom: Annotated[bool, typer.Option("--oom", help="Runs that had too little memory.")] = False,
    cancelled: Annotated[bool, typer.Option("--cancelled", help="Runs that were cancelled.")] = False,
    held: Annotated[bool, typer.Option("--held", help="Runs that Slurm holds, as after a failed launch.")] = False,
    local: Local = False,
    at_once: AtOnce = None,
    cluster: ClusterFile = _CLUSTER,
    results: ResultsRoot = _RESULTS,
) -> None:
    """Submit again what ended without a result, from its checkpoints on; without options all but cancelled runs.

    What Slurm holds is released instead: it is in the queue already.
    """
    from jobs.session import open_session
    from jobs.status.selection import select
    from sentiment.run_dir import Results

    chosen = {"failed": failed, "timeout": timeout, "lost": lost, "oom": oom, "cancelled": cancelled, "held": held}
    causes = [cause for cause, wanted in chosen.items() if wanted]
    chosen_runs = _chosen(targets, Results(results))
    if not chosen_runs:
        typer.echo(_NO_GRIDS)
    for plan, run_ids in chosen_runs:
        if local:
            _rerun_here(Results(results), plan, causes, run_ids, at_once)
            continue
        with open_session(Results(results), plan) as desk:
            rows = select(desk.rows, causes, run_ids)
            ended = [row for row in rows if not row.held]
            try:
                _tell_released(desk.release(rows) if held or not causes else [])
            finally:  # what an administrator holds is no reason to leave the others
                _tell(desk.submit(desk.configs(ended), cluster), len(ended))


@app.command()
def cancel(targets: Targets = None, results: ResultsRoot = _RESULTS) -> None:
    """Cancel grids or single runs: they save and end, and go on only when they are submitted again."""
    from jobs.session import open_session
    from sentiment.run_dir import Results

    if not targets:
        raise UsageError("cancel takes names of grids, or run ids; `status` shows them")
    for plan, run_ids in _chosen(targets, Results(results)):
        with open_session(Results(results), plan) as desk:
            jobs = desk.cancel(row for row in desk.rows if not run_ids or row.run_id in run_ids)
            if not run_ids:
                desk.cancel_others()
        typer.echo(f"grid {plan.name}: {len(jobs)} tasks cancelled{': ' if jobs else ''}{' '.join(jobs)}")


@app.command()
def doctor(
    need_slurm: Annotated[bool, typer.Option("--slurm", help="End with 4 where there is no Slurm.")] = False,
    cluster: ClusterFile = _CLUSTER,
    results: ResultsRoot = _RESULTS,
) -> None:
    """Say what is here and what it means for grids: Slurm's settings, disk, tweets, ELMo models, W&B.

    Ends with 1 if something stands in the way of any grid, such as a partition that does not exist.
    """
    from jobs.doctor import examine, render
    from jobs.slurm.commands import read_settings
    from sentiment.run_dir import Results

    findings = list(examine(Results(results), cluster, _GRIDS))
    for line in render(findings):
        typer.echo(line)
    if need_slurm:
        read_settings()
    if any(finding.level == "problem" for finding in findings):
        raise typer.Exit(EXIT_FAILED)


@app.command()
def sync(
    targets: Targets = None,
    watch: Annotated[bool, typer.Option("--watch", help="Again and again, until nothing runs.")] = False,
    every: Annotated[float, typer.Option("--every", min=0, help="With --watch: seconds between two uploads.")] = 60.0,
    replace: Annotated[
        bool, typer.Option("--replace", help="Delete runs at W&B that were sent other rows, and upload them anew.")
    ] = False,
    report: Annotated[bool, typer.Option("--report", help="Upload the report as well.")] = False,
    limit: Annotated[float, typer.Option("--timeout", min=1, help="Seconds for each run.")] = 300.0,
    results: ResultsRoot = _RESULTS,
) -> None:
    """Upload what is new to Weights & Biases, from where there is a network; without names all runs tracked by it.

    Ends with 0 when all is there, and with 1 if anything failed. It can be repeated at any time.
    """
    from jobs.sync import find_runs, upload_report, upload_runs
    from sentiment.run_dir import Results

    while True:
        running = watch and any(row.active for grid in _read_status(None, results) for row in _among(targets, grid))
        run_dirs = find_runs(targets or [], Results(results))
        failed = False
        for upload in upload_runs(run_dirs, replace, limit):
            typer.echo(str(upload))
            failed |= upload.failed
        if not running:
            break
        time.sleep(every)
    if not run_dirs:
        typer.echo("no run was trained with tracking.wandb offline or online; name a grid or a run to upload it")
    if report:
        message, report_failed = upload_report(Results(results), run_dirs, limit)
        typer.echo(message)
        failed |= report_failed
    raise typer.Exit(EXIT_FAILED if failed else 0)


def _grid_file(name: str) -> Path:
    return Path(name) if Path(name).suffix or Path(name).is_file() else _GRIDS / f"{name}.yaml"


def _show_plan(loaded: Any, results: Any, cluster: Path) -> None:
    from jobs.planning.dry_run import show_plan

    for line in show_plan(results, loaded, cluster):
        typer.echo(line)


def _rerun_here(results: Any, plan: Any, causes: list[str], run_ids: set[str], at_once: int | None) -> None:
    """Ends the command where a grid is stopped or fails."""
    from jobs.local import rerun_here

    if code := rerun_here(results, plan, causes, run_ids, at_once, typer.echo):
        raise typer.Exit(code)


def _chosen(targets: list[str] | None, results: Any) -> Any:
    """Plans and, where single runs are meant, their ids."""
    from jobs.status.selection import find_targets

    return find_targets(targets or [], results)


def _read_status(grids: list[str] | None, results: Path) -> list[Any]:
    from jobs.slurm.submissions import read_submissions
    from jobs.status.grid_status import ask_slurm, planned_grids, read_grid_status, read_plan
    from sentiment.run_dir import Results

    root = Results(results)
    plans = [read_plan(root, name) for name in grids or planned_grids(root)]
    queue = ask_slurm()
    return [read_grid_status(root, plan, read_submissions(root, plan.name), queue) for plan in plans]


def _among(targets: list[str] | None, grid: Any) -> list[Any]:
    """The rows of a grid that are meant: all of them where it is named itself, or nothing is."""
    return [row for row in grid.rows if not targets or {grid.name, row.run_id} & {*targets}]


def _verdict(found: Iterable[Any]) -> int:
    rows = [row for grid in found for row in grid.rows]
    if any(row.active for row in rows):
        return EXIT_RUNNING
    return EXIT_FAILED if any(row.failed for row in rows) else 0


def _show(found: list[Any], failed: bool, every_row: bool, as_json: bool) -> None:
    from dataclasses import replace

    from jobs.status.table import render

    if failed:
        found = [replace(grid, rows=[row for row in grid.rows if row.failed]) for grid in found]
    if as_json:
        typer.echo(json.dumps([grid.as_json() for grid in found], indent=2))
    elif found:
        typer.echo(render(found, every_row, datetime.now(UTC)))
    else:
        typer.echo(_NO_GRIDS)


def _tell(submitted: list[Any], considered: int) -> None:
    runs = sum(len(task) for folder in submitted for task in folder.submission.tasks)
    typer.echo(f"{runs} of {considered} runs submitted" if submitted else "nothing to submit")
    for folder in submitted:
        tasks = folder.submission.tasks
        typer.echo(f"  {folder.submission.kind:6} job {folder.receipt.job_id}, {len(tasks)} tasks   {folder.path}")


def _tell_released(jobs: list[str]) -> None:
    if jobs:
        typer.echo(f"{len(jobs)} held {'job' if len(jobs) == 1 else 'jobs'} released, to go on: {' '.join(jobs)}")


if __name__ == "__main__":
    app()
