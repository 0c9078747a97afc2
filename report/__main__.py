"""The command `report`."""

from typing import Annotated

import typer

from sentiment.command_line import RESULTS, Out, ResultsRoot, command_line, echo
from sentiment.console import ProgressBar

app = command_line("Report what came out of the runs, and how sure that is.")
_MOST_PROBLEMS = 10


@app.command()
def report(
    grids: Annotated[
        list[str] | None,
        typer.Argument(metavar="GRID", help="By default all; `single`: runs outside of grids."),
    ] = None,
    out: Out = None,
    title: Annotated[str | None, typer.Option("--title", help="The title of the page.")] = None,
    watch: Annotated[bool, typer.Option("--watch", help="Write it again while runs are at work.")] = False,
    results: ResultsRoot = RESULTS,
) -> None:
    """Write the report on all runs, completed or not.

    report.md, report.html, figures and tables go to --out, or to RESULTS/report.
    """
    from report.build import TITLE, build_report, watch_report
    from sentiment.runs.run_dir import Results

    folder = out or Results(results).report
    with ProgressBar() as bar:
        if watch:
            echo(f"{folder / 'report.html'} loads itself anew while runs are at work; Ctrl+C ends that", err=True)
            findings, page = watch_report(Results(results), grids or [], folder, title or TITLE)
        else:
            findings, page = build_report(Results(results), grids or [], folder, title or TITLE, bar.progress)
    for problem in findings.problems[:_MOST_PROBLEMS]:
        echo(f"left out: {problem}", err=True)
    if more := findings.problems[_MOST_PROBLEMS:]:
        echo(f"left out: {len(more):,} more, which the report names", err=True)
    runs = findings.study.runs
    completed = sum(run.completed is not None for run in runs)
    echo(f"{completed:,} of {len(runs):,} runs are completed\n{page}\n{page.with_suffix('.md')}")


if __name__ == "__main__":
    import sys

    app(["report", *sys.argv[1:]])
