"""The command `report`."""

import os
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from sentiment.command_line import RESULTS, ResultsRoot, command_line, echo
from sentiment.console import Progress, ProgressBar, plural
from sentiment.errors import EXIT_FAILED

if TYPE_CHECKING:
    from report.compare.findings import Findings
    from sentiment.runs.run_dir import Results

app = command_line("Write a report on all runs, with statistical comparisons.")
_MAX_PROBLEMS_SHOWN = 10


@app.command()
def report(
    grids: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="GRID|RUN", help="Grids, or those of runs; `single`: runs outside of grids; default: all."
        ),
    ] = None,
    out: Annotated[Path | None, typer.Option("--out", help="The folder to write; by default RESULTS/report.")] = None,
    title: Annotated[str | None, typer.Option("--title", help="The title of the page.")] = None,
    verify: Annotated[
        bool,
        typer.Option("--verify", help="Write nothing; check the runs: digests, ids, scores."),
    ] = False,
    results: ResultsRoot = RESULTS,
) -> None:
    """Write the report on all runs, completed or not.

    report.md, report.html, figures and tables go to --out, or to RESULTS/report. --verify writes nothing: it checks
    the files of the runs against their digests, configurations against their ids, and scores against predictions.
    """
    from report.build import TITLE, build_report
    from sentiment.runs.run_dir import Results, find_run

    source = Results(results)
    names = [name if (source.runs / name).is_dir() else find_run(name, source).grid for name in grids or []]
    if verify:
        _verify(source, names)
        return
    with ProgressBar() as bar, _turn(source, bar.progress):
        findings, page = build_report(source, names, out or source.report, title or TITLE, bar.progress)
    _print_summary(findings)
    echo(f"{page}\n{page.with_suffix('.md')}")


def _turn(results: "Results", progress: Progress) -> AbstractContextManager[object]:
    """Reports of the same results are written one after another: one that begins earlier, and knows less, ends earlier.

    Where there are no runs, or the folder is somebody else's, no lock is needed.
    """
    from sentiment.runs.locks import Lock

    if not os.access(results.runs, os.W_OK):
        return nullcontext()
    return Lock(results.runs / ".report.lock", "writes the report", progress)


def _print_summary(findings: "Findings") -> None:
    from report.build import summary

    for problem in findings.problems[:_MAX_PROBLEMS_SHOWN]:
        echo(f"skipped: {problem}", err=True)
    if more := findings.problems[_MAX_PROBLEMS_SHOWN:]:
        echo(f"skipped: {len(more):,} more (listed in the report)", err=True)
    for line in summary(findings.study):
        echo(line)


def _verify(results: "Results", grids: list[str]) -> None:
    from report.verify import verify_runs

    with ProgressBar() as bar:
        study, complaints = verify_runs(results, grids, bar.progress)
    for complaint in complaints:
        echo(f"not verified: {complaint}")
    if complaints:
        echo(f"{results.root}: {plural(len(complaints), 'problem')}", err=True)
        raise typer.Exit(EXIT_FAILED)
    completed = plural(len(study.completed_runs), "completed run")
    echo(f"{results.root}: verified from the files and predictions of {completed}")


if __name__ == "__main__":
    import sys

    app(["report", *sys.argv[1:]])
