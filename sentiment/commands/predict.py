"""The commands `predict` and `export`, which use a model."""

import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Annotated, Literal

import typer

from sentiment.command_line import (
    ModelOption,
    ModelPath,
    ModelResults,
    Out,
    QuotesOption,
    RunName,
    TextColumn,
    Threshold,
    echo,
    is_table,
    parse_column,
)
from sentiment.console import ERR, OUT, ProgressBar, say
from sentiment.errors import UsageError
from sentiment.files import user_path

STDIN = "-"

app = typer.Typer()


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
    from sentiment.predicting.explain import read_available_lines, show_predictions
    from sentiment.predicting.files import predict_file, use_one_core
    from sentiment.predicting.stored import open_stored
    from sentiment.processes import exit_on_sigterm

    opened = open_stored(model, results).model(choice, threshold)
    if file and out:
        with ProgressBar() as bar, exit_on_sigterm():
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
    from sentiment.predicting.stored import EXAMPLE, export_warnings, exported_files, open_run, write_archive

    stored = open_run(run, results).with_choice(choice, threshold)
    files = exported_files(stored)
    write_archive(files, file)
    listing = ", ".join(f"{name} {len(content):,}" for name, content in sorted(files.items()))
    say(f"{file}  {file.stat().st_size:,} bytes: {listing}")
    for warning in export_warnings(stored):
        say(warning)
    say(f'use it    sentiment predict {file} "{EXAMPLE}"')
