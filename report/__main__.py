"""The command line: build."""

from pathlib import Path
from typing import Annotated

import typer

from sentiment.command_line import Version, command_line, echo

app = command_line()


@app.callback()
def main(version: Version = False) -> None:
    """Report what came out of the runs, and how sure that is."""


@app.command()
def build(
    grids: Annotated[
        list[str] | None,
        typer.Option("--grid", help="Only this grid (`single`: runs outside of grids); can be given again."),
    ] = None,
    results: Annotated[Path, typer.Option("--results", help="The folder that the runs are in.")] = Path("results"),
    out: Annotated[Path | None, typer.Option("--out", help="Where to write; by default RESULTS/report.")] = None,
    title: Annotated[str | None, typer.Option("--title", help="What stands at the top of the page.")] = None,
) -> None:
    """Write report.md, report.html, figures and tables of all runs, whether they are completed or not."""
    from report.build import TITLE, build_report
    from sentiment.progress_bar import Terminal
    from sentiment.runs.run_dir import Results

    folder = out or Results(results).report
    with Terminal() as terminal:
        findings, page = build_report(Results(results), grids or [], folder, title or TITLE, terminal.progress)
    for problem in findings.problems:
        echo(f"left out: {problem}", err=True)
    runs = findings.study.runs
    completed = sum(run.completed is not None for run in runs)
    echo(f"{completed:,} of {len(runs):,} runs are completed\n{page}\n{page.with_suffix('.md')}")


if __name__ == "__main__":
    app()
