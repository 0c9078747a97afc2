"""The command line: train, evaluate, digest, and those of `commands`."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from sentiment.command_line import Version, command_line
from sentiment.commands import (
    EXIT_UNFINISHED,
    START,
    ConfigFile,
    Data,
    LabelColumn,
    NegativeLabels,
    Overrides,
    PositiveLabels,
    ResultsRoot,
    RunDirectory,
    TextColumn,
    Threshold,
    With,
    load_run,
    named_choice,
    named_parameters,
    preparing,
    show,
    table_parameters,
    understood,
    using,
)
from sentiment.console import Console
from sentiment.errors import SentimentError, TakenOverError, UsageError

if TYPE_CHECKING:
    from sentiment.runs.run_dir import RunDir

app = command_line()
app.add_typer(preparing)
app.add_typer(using)

Changes = Annotated[list[str] | None, typer.Argument(metavar="[FIELD=VALUE]...", help="As --set; also --FIELD=VALUE.")]


@app.callback()
def main(version: Version = False) -> None:
    """Train sentiment classifiers on tweets, and use them."""


@app.command(context_settings={"ignore_unknown_options": True})
def train(
    config: ConfigFile,
    changes: Changes = None,
    data: Data = None,
    text_column: TextColumn = None,
    label_column: LabelColumn = None,
    positive: PositiveLabels = None,
    negative: NegativeLabels = None,
    overrides: Overrides = None,
    results: ResultsRoot = Path("results"),
) -> None:
    """Train a run, or resume it where it stopped, and print its scores beside those of the linear baseline.

    Ends with 0 when the run is completed, and with 3 when a signal or the time limit stopped it. Everything is saved
    then, and the same command resumes the run. If the process was suspended, and another one has taken the run over
    meanwhile, it writes nothing more and ends with 0.
    """
    from sentiment.training.stop import StopRequest, end_of_time

    with StopRequest() as stop:  # before torch is imported, since signals may come during these seconds
        table = table_parameters(text_column, label_column, positive, negative)
        run = load_run(config, data, [*_changes(changes or []), *(overrides or [])], table)
        stop.end = end_of_time(run.runtime.time_limit_seconds, START)

        from sentiment.inference.terminal import show_result
        from sentiment.progress_bar import Terminal
        from sentiment.runs.code_version import freeze_code
        from sentiment.runs.run_dir import Results
        from sentiment.training.context import RunContext
        from sentiment.training.experiment import run_experiment

        freeze_code(Results(results))
        run_dir = Results(results).run_dir(run.run_id)
        show(f"run {run_dir.path.name}   {run.description}".rstrip())
        try:
            with Terminal() as terminal:
                console = Console(say=terminal.say, progress=terminal.progress)
                reason = run_experiment(RunContext(run, Results(results), run_dir, stop, console))
        except TakenOverError as error:
            show(str(error))
            return
        except SentimentError:
            run_dir.discard_unbegun()  # if the tweets cannot be used, for example
            raise
    if reason:
        show(f"stopped ({reason.detail}); all is saved in {run_dir.path}: the same command goes on")
        raise typer.Exit(EXIT_UNFINISHED)
    show_result(run_dir)


@app.command()
def evaluate(
    run: RunDirectory,
    data: Annotated[
        Path | None, typer.Option("--data", help="A labelled table instead; what of it the run knows is left out.")
    ] = None,
    text_column: TextColumn = None,
    label_column: LabelColumn = None,
    positive: PositiveLabels = None,
    negative: NegativeLabels = None,
    overrides: Annotated[list[str] | None, typer.Option("--set", help="As in data.columns.text=tweet.")] = None,
    json_file: Annotated[Path | None, typer.Option("--json", help="Write the metrics to this file as well.")] = None,
    choice: With = None,
    threshold: Threshold = None,
    results: ResultsRoot = Path("results"),
) -> None:
    """Print the scores of a trained model beside its baselines, on its own test data or on any labelled table."""
    from sentiment.files import as_json, write_named
    from sentiment.inference.evaluate import evaluate_on_file, evaluate_on_own
    from sentiment.progress_bar import Terminal
    from sentiment.runs.records import THRESHOLD, checked_threshold
    from sentiment.runs.run_dir import Results, trained_run

    run_dir, chosen = trained_run(run), named_choice(choice)
    positive_from = THRESHOLD if threshold is None else checked_threshold(threshold)
    if threshold is not None and data is None:
        raise UsageError("--threshold belongs to --data; the run's own tests are those of its result")
    if data is None:
        metrics = evaluate_on_own(run_dir, chosen)
    else:
        with Terminal() as terminal:
            table = table_parameters(text_column, label_column, positive, negative)
            parameters = _of_table(run_dir, named_parameters(str(data), overrides) | table)
            metrics = evaluate_on_file(run_dir, chosen, parameters, Results(results), terminal.progress, positive_from)
    if json_file:
        write_named(json_file, as_json(metrics))


@app.command()
def digest(run: RunDirectory) -> None:
    """Print the SHA-256 of a run's best weights, last weights and metric log; equal runs have equal digests."""
    from sentiment.files import sha256_of
    from sentiment.runs.run_dir import trained_run
    from sentiment.training.checkpoint import read_checkpoint, weights_sha256

    run_dir = trained_run(run)
    if not run_dir.completed:
        raise UsageError(f"{run}: is not completed yet; train it to the end first")
    for name, path in (("best", run_dir.best_weights), ("last", run_dir.last_weights)):
        typer.echo(f"{weights_sha256(read_checkpoint(path)['weights'])}  {name} weights")
    typer.echo(f"{sha256_of(run_dir.metrics_file)}  metrics")


def _of_table(run_dir: "RunDir", parameters: dict[str, Any]) -> dict[str, Any]:
    """The parameters that describe a labelled table, with what was not said and could be guessed, which is told."""
    from sentiment.config_file import resolve

    config = resolve(run_dir.read_config().model_dump(), parameters, str(run_dir.config_file))
    found = understood(config.data, parameters)
    for line in found.told() if found else ():
        show(line)
    return (found.guessed if found else {}) | parameters


def _changes(arguments: list[str]) -> list[str]:
    """Changes of fields that are given without --set; an unknown option among them is refused."""
    for argument in arguments:
        if argument.startswith("-") and not (argument.startswith("--") and "=" in argument):
            raise UsageError(f"{argument}: no such option; `python -m sentiment train --help` lists them")
    return [argument.removeprefix("--") for argument in arguments]


if __name__ == "__main__":
    app()
