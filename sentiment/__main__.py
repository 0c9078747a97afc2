"""The command line: train a model, use it, and what comes before (`commands`)."""

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

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
    TextColumn,
    given_parameters,
    load_run,
    preparing,
    show,
    with_guesses,
)
from sentiment.console import Console, printable
from sentiment.errors import SentimentError, TakenOverError, UsageError

if TYPE_CHECKING:
    from sentiment.config import RunConfig
    from sentiment.inference.stored import Choice
    from sentiment.runs.records import Result
    from sentiment.runs.run_dir import RunDir

app = command_line()
app.add_typer(preparing)

Changes = Annotated[list[str] | None, typer.Argument(metavar="[FIELD=VALUE]...", help="As --set; also --FIELD=VALUE.")]
With = Annotated[str | None, typer.Option("--with", help="network, baseline, both or seeds (the mean over seeds).")]
Threshold = Annotated[float | None, typer.Option("--threshold", help="Positive from this probability on; else .5.")]
RunDirectory = Annotated[Path, typer.Argument(help="The directory of a run; `train` prints it.")]
ModelPlace = Annotated[Path, typer.Argument(metavar="MODEL", help="A run's directory, or a file of `export`.")]
STDIN = "-"
FORMATS = ("text", "csv", "jsonl")


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
    for change in changes or []:
        if change.startswith("-") and not (change.startswith("--") and "=" in change):
            raise UsageError(f"{change}: no such option; `python -m sentiment train --help` lists them")
    fields = [*(change.removeprefix("--") for change in changes or []), *(overrides or [])]
    from sentiment.training.stop import StopRequest, end_of_time

    with StopRequest() as stop:  # before torch is imported, since signals may come during these seconds
        run = load_run(config, given_parameters(data, fields, text_column, label_column, positive, negative))
        stop.end = end_of_time(run.runtime.time_limit_seconds, START)

        from sentiment.inference.evaluate import show_result
        from sentiment.progress_bar import Terminal
        from sentiment.runs.run_dir import Results
        from sentiment.training.experiment import run_experiment
        from sentiment.training.stop import RunContext

        run_dir = Results(results).run_dir(run.run_id)
        show(f"run {run_dir.path.name}   {run.description}".rstrip())
        try:
            with Terminal() as terminal:
                console = Console(terminal.say, terminal.progress)
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
    from sentiment.models.text_model import checked_threshold
    from sentiment.progress_bar import Terminal
    from sentiment.runs.records import THRESHOLD
    from sentiment.runs.run_dir import Results, trained_run

    run_dir, chosen = trained_run(run), _named_choice(choice)
    positive_from = THRESHOLD if threshold is None else checked_threshold(threshold)
    if data is None:
        if threshold is not None:
            raise UsageError("--threshold belongs to --data; the run's own tests are those of its result")
        metrics = evaluate_on_own(run_dir, chosen)
    else:
        given = given_parameters(str(data), overrides, text_column, label_column, positive, negative)
        table = with_guesses(run_dir.read_config().model_dump(), {}, given, str(run_dir.config_file)).data
        with Terminal() as terminal:
            metrics = evaluate_on_file(run_dir, chosen, table, Results(results), terminal.progress, positive_from)
    if json_file:
        write_named(json_file, as_json(metrics))


@app.command()
def predict(
    model: ModelPlace,
    texts: Annotated[list[str] | None, typer.Argument(help="Tweets, each in quotes; - reads a line each.")] = None,
    file: Annotated[Path | None, typer.Option("--file", help="CSV, TSV, JSONL, Parquet or .xlsx.")] = None,
    out: Annotated[Path | None, typer.Option("--out", help="With --file: .csv, .jsonl, .parquet ... to write.")] = None,
    column: Annotated[str | None, typer.Option("--column", help="The column with the tweets.")] = None,
    form: Annotated[str, typer.Option("--format", help="Of answers to tweets: text, csv or jsonl.")] = "text",
    choice: With = None,
    threshold: Threshold = None,
    results: Annotated[Path, typer.Option("--results", help="Where ELMo models and encoders are.")] = Path("results"),
) -> None:
    """Print the label of each tweet and how probable it is; for attention models also the weight of each token."""
    if form not in FORMATS:
        raise UsageError(f"--format {form}: valid are {', '.join(FORMATS)}; a file's ending says what --out is")
    if bool(texts) == bool(file) or bool(file) != bool(out):
        raise UsageError("predict takes either tweets in quotes, or - for one a line, or --file IN with --out OUT")
    if column and not file:
        raise UsageError("--column names a column of --file, which is not there")
    if texts == [STDIN] and sys.stdin is None:
        raise UsageError("the standard input is closed; - reads tweets from it, one a line")
    from sentiment.inference.predict import predict_file
    from sentiment.inference.stored import open_model
    from sentiment.inference.terminal import lines_at_once, show_answers
    from sentiment.models.text_model import checked_threshold
    from sentiment.progress_bar import ERR, OUT, Terminal, say
    from sentiment.runs.records import THRESHOLD
    from sentiment.runs.run_dir import Results

    positive_from = THRESHOLD if threshold is None else checked_threshold(threshold)
    opened = open_model(model, _named_choice(choice), Results(results))
    why = f"--with {choice}" if choice else "the most accurate on validation tweets"
    why += "" if threshold is None else f"; positive from {threshold:g} on"
    if file and out:
        with Terminal() as terminal:
            outcome = predict_file(opened, file, out, column, terminal.progress, positive_from)
        lines = [f"{outcome.rows:,} rows written to {out}, by the {opened.name} ({why})", *outcome.render_lines()]
        # An output that is no regular file may be this terminal, or a pipe that holds the table.
        say("\n  ".join(lines), OUT if out.is_file() else ERR)
        return
    if texts == [STDIN] and sys.stdin.isatty():
        typer.echo("one tweet a line; Ctrl+D ends", err=True)
    chunks = lines_at_once(sys.stdin.buffer) if texts == [STDIN] else [texts or []]  # type: ignore[arg-type]
    show_answers(opened, chunks, form, why, positive_from)


def _named_choice(name: str | None) -> "Choice | None":
    """The model that `--with` names."""
    from sentiment.inference.stored import CHOICES

    for choice in CHOICES:
        if name == choice:
            return choice
    if name is not None:
        raise UsageError(f"--with {name}: valid are {', '.join(CHOICES)}")
    return None


@app.command()
def export(
    run: RunDirectory,
    file: Annotated[Path, typer.Argument(metavar="FILE.zip", help="The file to write.")],
) -> None:
    """Write a run's model as one file for others: weights as plain numbers, vocabulary, scores and a model card.

    It predicts without the tweets that it was trained on, and none of them is in it. `predict` and
    `sentiment.load` read it; nothing in it is executed.
    """
    from sentiment.inference.export import write_archive
    from sentiment.inference.stored import result_of
    from sentiment.runs.run_dir import trained_run

    if file.suffix.lower() != ".zip":
        raise UsageError(f"{file}: a model is handed on as a zip file; name it {file.with_suffix('.zip')}")
    run_dir = trained_run(run)
    config, result = run_dir.read_config(), result_of(run_dir)
    sizes = write_archive(run_dir, file)
    show(f"{file}  {file.stat().st_size:,} bytes: " + ", ".join(f"{name} {size:,}" for name, size in sizes.items()))
    if config.data.text.mentions == "keep":
        show("warning: vocabulary.txt holds @names of the tweets, since data.text.mentions = keep")
    show(_encoder_beside(config, result, run_dir))
    show(f'use it    sentiment predict {file} "what a lovely day"')


def _encoder_beside(config: "RunConfig", result: "Result", run_dir: "RunDir") -> str:
    """The encoder that a file does not hold, and where its recipient gets it; nothing if it reads none."""
    place = "from the folder in which it is used"
    if config.encoder:
        fetch = f"`sentiment fetch {config.encoder.model} --revision {config.encoder.revision}` fetches it"
        place = place if config.encoder.is_folder else fetch
        return f"it reads the encoder {config.encoder.model!r}, which is not in it; {place}"
    if config.elmo is None or result.encoder is None:
        return ""
    from sentiment.config.sections import ELMO_MODELS
    from sentiment.encoders.models import own_model_dir

    if config.elmo.pretrained:
        folder = own_model_dir(result.encoder.fingerprint, config.elmo.model, run_dir.results).path
        place = f"from {folder}: copy that to results/data/pretrained"
    elif config.elmo.model in ELMO_MODELS:
        place = "`sentiment elmo-weights` fetches it"
    return f"it reads the ELMo model {config.elmo.model!r}, which is not in it; {place}"


@app.command()
def card(model: ModelPlace) -> None:
    """Print the model card of a run or of an exported file, in Hugging Face's format."""
    from sentiment.inference.export import model_card
    from sentiment.inference.stored import CARD, read_archive
    from sentiment.runs.run_dir import trained_run

    text = read_archive(model)[CARD].decode("utf-8", "replace") if model.is_file() else model_card(trained_run(model))
    typer.echo(printable(text), nl=False)


@app.command()
def digest(run: RunDirectory) -> None:
    """Print the SHA-256 of a run's best weights, last weights and metric log; equal runs have equal digests."""
    from sentiment.files import sha256_of
    from sentiment.inference.stored import result_of
    from sentiment.runs.run_dir import trained_run
    from sentiment.training.checkpoint import read_checkpoint, weights_sha256

    run_dir = trained_run(run)
    result_of(run_dir)
    for name, path in (("best", run_dir.best_weights), ("last", run_dir.last_weights)):
        typer.echo(f"{weights_sha256(read_checkpoint(path)['weights'])}  {name} weights")
    typer.echo(f"{sha256_of(run_dir.metrics_file)}  metrics")


if __name__ == "__main__":
    app()
