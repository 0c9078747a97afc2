"""Command-line entry point: commands for tweets, runs and models.

The commands for grids and reports are defined in `jobs` and `report`.
"""

import sys
import time
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from sentiment.command_line import (
    RESULTS,
    Classes,
    Data,
    LabelColumn,
    ModelOption,
    ModelPath,
    ModelResults,
    Out,
    Overrides,
    QuotesOption,
    ResultsRoot,
    RunName,
    TextColumn,
    Threshold,
    command_line,
    echo,
    is_table,
    parameters_of,
    parse_column,
    read_words,
    results_of,
    with_guesses,
)
from sentiment.console import ERR, OUT, Console, ProgressBar, say
from sentiment.data.built_in import SOURCE_CHOICES
from sentiment.errors import EXIT_UNFINISHED, UsageError
from sentiment.files import config_path, import_program, user_path
from sentiment.inference.share import app as share_app
from sentiment.labelling.comparing import app as comparing_app
from sentiment.processes import leave_compiler_out

if TYPE_CHECKING:
    from sentiment.config import RunConfig
    from sentiment.runs.run_dir import Results
    from sentiment.training.stop import Stop, StopRequest

_START = time.time()  # of the command
STDIN = "-"

app = command_line("Train sentiment classifiers on tweets, use them, and compare grids of them.")
prepare_app = typer.Typer(no_args_is_help=True, help="Fetch ELMo models and encoders.")


@app.command(context_settings={"ignore_unknown_options": True})
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
    text_column: TextColumn = None,
    label_column: LabelColumn = None,
    classes: Classes = None,
    quotes: QuotesOption = None,
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
    parameters = parameters_of(table if data is None else data, changes, text_column, label_column, classes, quotes)
    from sentiment.training.stop import StopRequest, process_deadline

    leave_compiler_out()
    with StopRequest() as stop:  # before torch is imported, since signals may come during these seconds
        run = _load_run(config, parameters, results)
        stop.end = process_deadline(run.runtime.time_limit_seconds, _START)
        with ProgressBar() as bar:
            reason = _train(run, results_of(results), stop, Console(say, bar.progress))
    if reason:
        say(f"stopped ({reason.detail}); everything finished is saved; run the same command again to continue")
        raise typer.Exit(EXIT_UNFINISHED)


def _train(run: "RunConfig", results: "Results", stop: "StopRequest", console: Console) -> "Stop | None":
    """Train a run and print its scores; returns why it stopped, if it is not completed."""
    from sentiment.inference.evaluate import show_result
    from sentiment.inference.stored import open_run
    from sentiment.training.experiment import run_single
    from sentiment.training.stop import RunContext

    run_dir = results.run_dir(run.run_id)
    console.say(f"run {run.run_id}   {run.description}".rstrip())
    reason = run_single(RunContext(run, results, run_dir, stop, console))
    if reason is None:
        show_result(open_run(run_dir.path))
    return reason


@app.command()
def predict(
    model: ModelPath,
    texts: Annotated[
        list[str] | None,
        typer.Argument(metavar="TWEET|FILE", help="In quotes; - reads one a line from stdin. Or a table, as --file."),
    ] = None,
    file: Annotated[
        Path | None, typer.Option("--file", help="A table of tweets: CSV, TSV, JSONL, Parquet or XLSX.")
    ] = None,
    out: Out = None,
    text_column: TextColumn = None,
    quotes: QuotesOption = None,
    output_format: Annotated[
        Literal["text", "csv", "jsonl"], typer.Option("--format", help="Output format for TWEET arguments.")
    ] = "text",
    choice: ModelOption = None,
    threshold: Threshold = None,
    explain: Annotated[bool, typer.Option("--explain", help="Also show the tokens that matter most.")] = False,
    probabilities: Annotated[
        bool, typer.Option("--probabilities", help="Also the probability of each class, such as probability_negative.")
    ] = False,
    results: ModelResults = None,
) -> None:
    """Print the predicted label of each tweet and its probability.

    Weights are shown for tokens above half of the largest one: attention weights if the model has attention; otherwise,
    with --explain, the drop in log-odds of the predicted label when the token is removed. --file requires --out, whose
    extension sets the output format.
    """
    if texts and len(texts) == 1 and is_table(texts[0]) and not file:
        file = user_path(texts[0])
        texts = None
        if not out:
            raise UsageError(f"{file}: is the name of a table; --out names the file to write, as in --out labelled.csv")
    if bool(texts) == bool(file) or bool(file) != bool(out):
        raise UsageError(
            "predict takes a model, and either tweets in quotes, or - for one a line, or --file IN with --out OUT"
        )
    if (text_column or quotes is not None) and not file:
        raise UsageError("--text-column, --quotes and --no-quotes require --file")
    if explain and (file or output_format != "text"):
        raise UsageError("--explain works only with TWEET arguments or -, and with --format text")
    from sentiment.data.guess_columns import Reading
    from sentiment.inference.predict import predict_file, read_available_lines, show_predictions, use_one_core
    from sentiment.inference.stored import open_model

    opened = open_model(model, choice, results, threshold)
    if file and out:
        with ProgressBar() as bar:
            reading = Reading(parse_column(text_column), quotes)
            row_count, warnings = predict_file(opened, file, out, reading, bar.progress, probabilities)
        lines = [f"{row_count:,} rows written to {out}, by the {opened.name} ({opened.reason})", *warnings]
        # If the table goes to /dev/stdout or a pipe, the standard output holds the table alone.
        say("\n  ".join(lines), OUT if out.is_file() else ERR)
        return
    chunks: Iterable[list[str]] = [texts or []]
    if texts == [STDIN]:
        if sys.stdin.isatty():
            echo("one tweet a line; Ctrl+D ends", err=True)
        chunks = read_available_lines(sys.stdin.buffer)  # type: ignore[arg-type]
    else:
        use_one_core()
    show_predictions(opened, chunks, output_format, explain, probabilities)


@app.command()
def export(
    run: RunName,
    file: Annotated[Path, typer.Argument(metavar="FILE.zip", help="The file to write.")],
    choice: ModelOption = None,
    threshold: Threshold = None,
    results: ModelResults = None,
) -> None:
    """Export a run's model to a single zip file.

    It contains weights, vocabulary, scores and a model card (README.md), but no tweets. `predict` and `sentiment.load`
    read it; nothing in it is executed. --with and --threshold set the model and the threshold that it predicts with.
    """
    from sentiment.inference.stored import export_warnings, exported_files, open_run, write_archive

    stored = open_run(run, results).with_choice(choice, threshold)
    files = exported_files(stored)
    write_archive(files, file)
    listing = ", ".join(f"{name} {len(content):,}" for name, content in sorted(files.items()))
    say(f"{file}  {file.stat().st_size:,} bytes: {listing}")
    for warning in export_warnings(stored):
        say(warning)
    say(f'use it    sentiment predict {file} "what a lovely day"')


@app.command()
def data(
    source: Annotated[str | None, typer.Argument(metavar="SOURCE", help=f"{SOURCE_CHOICES}.")] = None,
    config: Annotated[
        Path | None,
        typer.Option("--config", metavar="RUN", help="Preprocess the tweets with this run's configuration."),
    ] = None,
    text_column: TextColumn = None,
    label_column: LabelColumn = None,
    classes: Classes = None,
    quotes: QuotesOption = None,
    overrides: Overrides = None,
    results: ResultsRoot = RESULTS,
) -> None:
    """Download a data set or preview a table, and preprocess it.

    Tweets are cleaned, tokenised and split, and a summary is printed. For a table, shows how its first rows are parsed,
    and the YAML lines for a run's configuration file.
    """
    from sentiment.data.corpus import prepare_corpus
    from sentiment.data.sources import fetch_tweets

    parameters = parameters_of(source, overrides, text_column, label_column, classes, quotes)
    run = _load_run(config, parameters, results, preview=True)
    folder = results_of(results)
    with ProgressBar() as bar:
        fetch_tweets(run.data.source, folder, bar.progress)
        for table in (*run.data.tests.values(), *run.data.extra_train):
            fetch_tweets(table.path, folder, bar.progress)
        corpus = prepare_corpus(run.data, folder, bar.progress)
    say("\n".join([f"{run.data.source}:", *corpus.report.render_lines(), f"prepared in {corpus.path}"]))


@prepare_app.command()
def elmo(
    names: Annotated[
        list[str] | None, typer.Argument(metavar="NAME", help="small, medium, original or original-5.5b.")
    ] = None,
    mirrors: Annotated[
        list[str] | None,
        typer.Option("--mirror", metavar="URL", help="A folder or URL to try first; repeatable."),
    ] = None,
    results: ResultsRoot = RESULTS,
) -> None:
    """Fetch published ELMo models, and check them.

    Without a NAME, fetches small and original-5.5b.
    """
    from sentiment.encoders.pretrained import fetch_elmo

    for name in names or ["small", "original-5.5b"]:
        with ProgressBar() as bar:
            model = fetch_elmo(name, results_of(results).elmo_models, bar.progress, mirrors=mirrors or ())
        say(f"{name}: {model.weights_path}")


@prepare_app.command()
def encoder(
    name: Annotated[str, typer.Argument(metavar="NAME", help="Such as sentence-transformers/all-MiniLM-L6-v2.")],
    revision: Annotated[str, typer.Option("--revision", help="A branch, tag or commit.")] = "main",
    results: ResultsRoot = RESULTS,
) -> None:
    """Fetch an encoder of the Hugging Face Hub.

    Configuration, tokeniser and *.safetensors are fetched, commit and licence recorded; no code of the model is run.
    """
    from sentiment.encoders.pretrained import fetch_encoder

    model = fetch_encoder(name, revision, results_of(results).encoders, say)
    say(f"{name}: {model.folder}")


def _load_run(config: Path | None, parameters: dict[str, Any], results: Path, preview: bool = False) -> "RunConfig":
    """Load the run configuration from a file (None: defaults) and command options; print guessed columns."""
    from sentiment.config_file import dotted, read_yaml

    file = config_path(config, "runs") if config else None
    values = read_yaml(file) if file else {}
    if values.keys() >= {"method", "parameters"}:
        command = results_of(results).command("submit", str(file), "--local")
        raise UsageError(f"{file}: is the file of a grid, not of a run; `{command}` runs it here")
    run, _ = with_guesses(values, dotted(values), parameters, str(file or "the defaults"), preview)
    return run


app.add_typer(prepare_app, name="prepare")
app.registered_commands += comparing_app.registered_commands + share_app.registered_commands
for program in ("jobs", "report"):
    app.registered_commands += import_program(program).app.registered_commands

if __name__ == "__main__":
    app()
