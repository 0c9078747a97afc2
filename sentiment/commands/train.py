"""The command `train`."""

import time
from typing import TYPE_CHECKING, Annotated

import typer

from sentiment.command_line import (
    RESULTS,
    Data,
    Overrides,
    ResultsRoot,
    TableOptions,
    load_run,
    read_words,
    results_of,
    with_options,
)
from sentiment.console import Console, ProgressBar, say
from sentiment.errors import EXIT_UNFINISHED, UsageError
from sentiment.processes import leave_compiler_out

if TYPE_CHECKING:
    from sentiment.config import RunConfig
    from sentiment.runs.run_dir import Results
    from sentiment.training.stop import Stop, StopRequest

_START = time.monotonic()  # of the command

app = typer.Typer()


@app.command(context_settings={"ignore_unknown_options": True})
@with_options
def train(
    words: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="[RUN|TABLE|FIELD=VALUE]",
            help="A run's file, or its name in configs/runs (rnn, if none is named); a table of tweets, as --data; "
            "fields to change, as --set; also --FIELD=VALUE.",
        ),
    ] = None,
    data: Data = None,
    *,
    options: TableOptions,
    overrides: Overrides = None,
    results: ResultsRoot = RESULTS,
) -> None:
    """Train a run, or resume it where it stopped; print its scores.

    If a signal or the time limit stops it, the same command resumes it.
    """
    config, table, changes = read_words(words or [])
    if table and data is not None:
        raise UsageError(f"--data {data}: the table {table} is named already")
    changes += overrides or []
    parameters = options.parameters(table if data is None else data, changes)
    from sentiment.training.stop import StopRequest, process_deadline

    leave_compiler_out()
    with StopRequest(on_hangup=True) as stop:  # before torch is imported, since signals may come during these seconds
        run = load_run(config, parameters, results)
        stop.end = process_deadline(run.runtime.time_limit_seconds, time.monotonic() - _START)
        with ProgressBar() as bar:
            reason = _train(run, results_of(results), stop, Console(say, bar.progress))
    if reason:
        say(f"stopped ({reason.detail}); everything finished is saved; run the same command again to continue")
        raise typer.Exit(EXIT_UNFINISHED)


def _train(run: "RunConfig", results: "Results", stop: "StopRequest", console: Console) -> "Stop | None":
    """Train a run and print its scores; returns why it stopped, if it is not completed."""
    from sentiment.answers.evaluate import result_blocks
    from sentiment.blocks.terminal import show
    from sentiment.predicting.stored import open_run
    from sentiment.training.experiment import run_single
    from sentiment.training.stop import RunContext

    run_dir = results.run_dir(run.run_id)
    console.say(f"run {run.run_id}   {run.description}".rstrip())
    reason = run_single(RunContext(run, results, run_dir, stop, console))
    if reason is None:
        show(result_blocks(open_run(run_dir.path)))
    return reason
