"""The command `report`."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from sentiment.command_line import RESULTS, Out, ResultsRoot, command_line, echo
from sentiment.console import ProgressBar
from sentiment.errors import EXIT_FAILED

if TYPE_CHECKING:
    from sentiment.runs.run_dir import Results

app = command_line("Write a report on all runs, with statistical comparisons.")
_MAX_PROBLEMS_SHOWN = 10


@app.command()
def report(
    grids: Annotated[
        list[str] | None,
        typer.Argument(metavar="GRID", help="By default all; `single`: runs outside of grids."),
    ] = None,
    out: Out = None,
    title: Annotated[str | None, typer.Option("--title", help="The title of the page.")] = None,
    watch: Annotated[bool, typer.Option("--watch", help="Rewrite the report while runs are in progress.")] = False,
    verify: Annotated[
        bool, typer.Option("--verify", help="Check the written report: records, digests and all numbers; 1 if not so.")
    ] = False,
    retrain: Annotated[
        bool, typer.Option("--retrain", help="With --verify: train the recommended run again and compare its digests.")
    ] = False,
    results: ResultsRoot = RESULTS,
) -> None:
    """Write the report on all runs, completed or not.

    report.md, report.html, figures and tables go to --out, or to RESULTS/report. With --verify and otherwise the same
    arguments nothing is written: the report is computed again from the runs, and what differs is printed.
    """
    from report.build import TITLE, build_report, watch_report
    from report.render.wording import plural
    from sentiment.runs.run_dir import Results

    folder = out or Results(results).report
    if verify:
        _verify(Results(results), grids or [], folder, title or TITLE, retrain)
        return
    with ProgressBar() as bar:
        if watch:
            page = folder / "report.html"
            echo(f"{page} reloads itself while runs are in progress; stop with Ctrl+C", err=True)
            findings, page = watch_report(Results(results), grids or [], folder, title or TITLE)
        else:
            findings, page = build_report(Results(results), grids or [], folder, title or TITLE, bar.progress)
    for problem in findings.problems[:_MAX_PROBLEMS_SHOWN]:
        echo(f"skipped: {problem}", err=True)
    if more := findings.problems[_MAX_PROBLEMS_SHOWN:]:
        echo(f"skipped: {len(more):,} more (listed in the report)", err=True)
    runs = findings.study.runs
    completed = sum(run.completed is not None for run in runs)
    if runs:
        echo(f"{completed:,} of {len(runs):,} runs are completed")
    for gold in findings.study.golds:
        echo(f"{gold.record.source}: {plural(len(gold.added), 'added predictor')} compared")
    echo(f"{page}\n{page.with_suffix('.md')}")


def _verify(results: "Results", grids: list[str], folder: Path, title: str, retrains: bool) -> None:
    from report.verify import retrain, verify_report

    with ProgressBar() as bar:
        findings, complaints = verify_report(results, grids, folder, title, bar.progress)
    if retrains and findings.recommended and not complaints:
        complaints = retrain(findings.recommended.run, results)
    for complaint in complaints:
        echo(f"does not hold: {complaint}")
    if complaints:
        echo(f"{folder}: {len(complaints):,} things do not hold", err=True)
        raise typer.Exit(EXIT_FAILED)
    completed = sum(run.completed is not None for run in findings.study.runs)
    echo(f"{folder}: verified from the files and predictions of {completed:,} completed runs")


if __name__ == "__main__":
    import sys

    app(["report", *sys.argv[1:]])
