"""The program: its commands on tweets, runs and models; those on grids and reports come from `jobs` and `report`."""

import sys
import time
from collections.abc import Callable, Collection
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from sentiment.command_line import (
    EXIT_UNFINISHED,
    RESULTS,
    ConfigFile,
    LabelColumn,
    ModelPlace,
    ModelResults,
    NegativeLabels,
    Out,
    Overrides,
    PositiveLabels,
    ResultsRoot,
    RunDirectory,
    TextColumn,
    Threshold,
    With,
    command_line,
    echo,
)
from sentiment.console import ERR, OUT, Console, Terminal, say
from sentiment.data import SOURCE_CHOICES
from sentiment.errors import SentimentError, TakenOverError, UsageError
from sentiment.files import as_json, config_path, import_program, read_named, sha256_of, write_named

if TYPE_CHECKING:
    from sentiment.config import RunConfig
    from sentiment.runs.run_dir import Results
    from sentiment.training.stop import Stop, StopRequest

Data = Annotated[str | None, typer.Option("--data", help=f"{SOURCE_CHOICES}.")]
_START = time.time()  # when the command began
STDIN = "-"
_NOTE_BYTES = 1_000_000

app = command_line("Train sentiment classifiers on tweets, use them, and compare grids of them.")
preparing = typer.Typer(no_args_is_help=True, help="Prepare word vectors and encoders before runs read them.")


@app.command(context_settings={"ignore_unknown_options": True})
def train(
    config: ConfigFile,
    changes: Annotated[
        list[str] | None, typer.Argument(metavar="FIELD=VALUE", help="As --set; also --FIELD=VALUE.")
    ] = None,
    data: Data = None,
    text_column: TextColumn = None,
    label_column: LabelColumn = None,
    positive: PositiveLabels = None,
    negative: NegativeLabels = None,
    overrides: Overrides = None,
    results: ResultsRoot = RESULTS,
) -> None:
    """Train a run, or resume it where it stopped; print its scores.

    Ends with 0 when the run is completed, and with 3 when a signal or the time limit stopped it: the same command
    resumes it. A process that was suspended while another took the run over ends with 0.
    """
    for change in (str(config), *(changes or [])):
        if change.startswith("-") and (change == str(config) or not (change.startswith("--") and "=" in change)):
            raise UsageError(f"{change}: no such option; a field of the run is changed by --training.epochs=3, say")
    fields = [*(change.removeprefix("--") for change in changes or []), *(overrides or [])]

    def work(run: "RunConfig", stop: "StopRequest", console: Console) -> "Stop | None":
        from sentiment.inference.evaluate import show_result
        from sentiment.inference.stored import open_run
        from sentiment.training.experiment import run_experiment
        from sentiment.training.stop import RunContext

        run_dir = _results(results).run_dir(run.run_id)
        console.say(f"run {run.run_id}   {run.description}".rstrip())
        try:
            reason = run_experiment(RunContext(run, _results(results), run_dir, stop, console))
        except TakenOverError as error:
            console.say(str(error))
            return None
        except SentimentError:
            run_dir.discard_unbegun()  # if the tweets cannot be used, for example
            raise
        if reason is None:
            show_result(open_run(run_dir.path))
        return reason

    def outlook(run: "RunConfig") -> str:
        if any(_results(results).run_dir(run.run_id).checkpoints.glob("*")):
            return "all is saved: the same command goes on"
        return "training has not begun: the same command begins again"

    parameters = _parameters(data, fields, text_column, label_column, positive, negative)
    _resumable(lambda: _load_run(config, parameters), work, outlook)


@app.command()
def evaluate(
    run: RunDirectory,
    data: Annotated[
        Path | None, typer.Option("--data", help="A labelled table; what the run has seen of it is left out.")
    ] = None,
    text_column: TextColumn = None,
    label_column: LabelColumn = None,
    positive: PositiveLabels = None,
    negative: NegativeLabels = None,
    overrides: Overrides = None,
    out: Out = None,
    choice: With = None,
    threshold: Threshold = None,
    results: ModelResults = None,
) -> None:
    """Print the scores of a trained model beside its baselines.

    On its own test tweets, or on any labelled table (--data). --out writes all metrics as JSON.
    """
    from sentiment.inference.evaluate import evaluate_on_file, evaluate_on_own
    from sentiment.inference.stored import open_run

    trained = open_run(run, _results(results) if results else None)
    if data is None:
        if threshold is not None:
            raise UsageError("--threshold belongs to --data; the run's own tests are those of its result")
        metrics = evaluate_on_own(trained, choice)
    else:
        parameters = _parameters(str(data), overrides, text_column, label_column, positive, negative)
        # Of labels those alone that differ from the defaults, which otherwise leave room for those of the options.
        trained_on = trained.config.model_dump(include={"data"}, exclude_defaults=True)
        table = _with_guesses(trained_on, (), parameters, str(trained.run_dir.config_file)).data
        with Terminal() as terminal:
            metrics = evaluate_on_file(trained, choice, table, terminal.progress, threshold)
    if out:
        write_named(out, as_json(metrics))


@app.command()
def add(
    of: Annotated[Path, typer.Option("--of", metavar="RUN_DIR", help="The directory of a run on these tweets.")],
    name: Annotated[str | None, typer.Argument(metavar="NAME", help="What to call the predictor.")] = None,
    file: Annotated[Path | None, typer.Argument(metavar="FILE", help="A table: ids or texts, and answers.")] = None,
    sheet: Annotated[Path | None, typer.Option("--sheet", help="Write the run's tweets here, to be labelled.")] = None,
    text_column: TextColumn = None,
    label_column: LabelColumn = None,
    positive: PositiveLabels = None,
    negative: NegativeLabels = None,
    annotator: Annotated[bool, typer.Option("--annotator", help="A person: agreement and ceiling are shown.")] = False,
    note: Annotated[Path | None, typer.Option("--note", help="A text file on its origin, such as a prompt.")] = None,
    cost: Annotated[float | None, typer.Option("--cost", min=0, help="Of all answers, in money.")] = None,
    seconds: Annotated[float | None, typer.Option("--seconds", min=0, help="Of all answers.")] = None,
) -> None:
    """Compare any other predictor with the models of runs.

    A language model, a service, a colleague's model or a person becomes a row in `evaluate` and in the report. Answers
    are labels, or probabilities of positive. Tweets are found by the ids of --sheet, else by their texts.
    """
    from sentiment.inference.added import add_predictions, write_tweets
    from sentiment.inference.stored import open_run
    from sentiment.runs.records import NEGATIVE, POSITIVE

    run = open_run(of)
    if sheet and not name:
        number = write_tweets(run, sheet)
        say(f"{sheet}: {number:,} tweets, those of the test part first; label as many as you like from the top, then:")
        say(f"sentiment add NAME {sheet} --of {of}")
        return
    if sheet or not name or not file:
        raise UsageError("add takes either NAME and a table of predictions, or --sheet with the table to write")
    told: dict[str, Any] = {"note": read_named(note, _NOTE_BYTES).decode("utf-8", "replace").strip() if note else ""}
    told |= {"annotator": annotator, "cost": cost, "seconds": seconds}
    labels = dict.fromkeys(positive or (), POSITIVE) | dict.fromkeys(negative or (), NEGATIVE)
    columns = _column(text_column), _column(label_column)
    say("\n".join(add_predictions(run, name, file, columns, labels, told)))


@app.command()
def predict(
    model: ModelPlace,
    texts: Annotated[
        list[str] | None, typer.Argument(metavar="TWEET", help="Each in quotes; - reads one a line from stdin.")
    ] = None,
    file: Annotated[
        Path | None, typer.Option("--file", help="A table of tweets: CSV, TSV, JSONL, Parquet or XLSX.")
    ] = None,
    out: Out = None,
    text_column: TextColumn = None,
    form: Annotated[Literal["text", "csv", "jsonl"], typer.Option("--format", help="Of answers to TWEETs.")] = "text",
    choice: With = None,
    threshold: Threshold = None,
    explain: Annotated[bool, typer.Option("--explain", help="Also what each token adds.")] = False,
    results: ModelResults = None,
) -> None:
    """Print the label of each tweet and how probable it is.

    Attention models also show the weight of each token. --explain says by how much the log-odds of the positive label
    fall without a token. --file needs --out, whose ending is that of the table to write.
    """
    if bool(texts) == bool(file) or bool(file) != bool(out):
        raise UsageError(
            "predict takes a model, and either tweets in quotes, or - for one a line, or --file IN with --out OUT"
        )
    if text_column and not file:
        raise UsageError("--text-column names a column of --file, which is not there")
    if explain and (file or form != "text"):
        raise UsageError("--explain belongs to tweets in quotes or from -, and to --format text")
    if texts == [STDIN] and sys.stdin is None:
        raise UsageError("the standard input is closed; - reads tweets from it, one a line")
    from sentiment.inference.predict import lines_at_once, predict_file, show_answers
    from sentiment.inference.stored import open_model

    opened = open_model(model, choice, _results(results) if results else None)
    why = f"--with {choice}" if choice else "the most accurate on validation tweets"
    why += "" if threshold is None else f"; positive from {threshold:g} on"
    if file and out:
        with Terminal() as terminal:
            rows, odd = predict_file(opened, file, out, _column(text_column), terminal.progress, threshold)
        lines = [f"{rows:,} rows written to {out}, by the {opened.name} ({why})", *odd]
        # An output that is no regular file may be this terminal, or a pipe that holds the table.
        say("\n  ".join(lines), OUT if out.is_file() else ERR)
        return
    if texts == [STDIN] and sys.stdin.isatty():
        echo("one tweet a line; Ctrl+D ends", err=True)
    chunks = lines_at_once(sys.stdin.buffer) if texts == [STDIN] else [texts or []]  # type: ignore[arg-type]
    show_answers(opened, chunks, form, why, threshold, explain)


@app.command()
def export(
    run: RunDirectory,
    file: Annotated[Path, typer.Argument(metavar="FILE.zip", help="The file to write.")],
    results: ModelResults = None,
) -> None:
    """Write a run's model as one file for others.

    It holds weights, vocabulary, scores and a model card, and no tweet. `predict` and `sentiment.load` read it; nothing
    in it is executed.
    """
    from sentiment.inference.stored import missing_encoder, open_run, write_archive

    if file.suffix.lower() != ".zip":
        raise UsageError(f"{file}: a model is handed on as a zip file; name it {file.with_suffix('.zip')}")
    stored = open_run(run, _results(results) if results else None)
    sizes = write_archive(stored, file)
    say(f"{file}  {file.stat().st_size:,} bytes: " + ", ".join(f"{name} {size:,}" for name, size in sizes.items()))
    for field, what in (("mentions", "@names"), ("urls", "links")):  # which name people
        if getattr(stored.config.data.text, field) == "keep":
            say(f"warning: vocabulary.txt holds {what} of the tweets, since data.text.{field} = keep")
    if told := missing_encoder(stored):
        say(told)
    say(f'use it    sentiment predict {file} "what a lovely day"')


@app.command()
def show(
    model: ModelPlace,
    card: Annotated[bool, typer.Option("--card", help="Print the model card, in Hugging Face's format.")] = False,
) -> None:
    """Print the digests of a run, or its model card.

    Digests are the SHA-256 of the best weights, the last weights and the metric log; equal runs have equal ones. Of a
    file that `export` wrote the card is printed.
    """
    from sentiment.inference.stored import CARD, model_card, open_run, read_archive

    if model.is_file():
        echo(read_archive(model)[CARD].decode("utf-8", "replace").removesuffix("\n"))
        return
    run = open_run(model)
    if card:
        echo(model_card(run).removesuffix("\n"))
        return
    from sentiment.training.checkpoint import read_checkpoint, weights_sha256

    for name, path in (("best", run.run_dir.best_weights), ("last", run.run_dir.last_weights)):
        echo(f"{weights_sha256(read_checkpoint(path)['weights'])}  {name} weights")
    echo(f"{sha256_of(run.run_dir.metrics_file)}  metrics")


@app.command()
def data(
    source: Annotated[str | None, typer.Argument(metavar="SOURCE", help=f"{SOURCE_CHOICES}.")] = None,
    config: Annotated[
        Path | None, typer.Option("--config", metavar="RUN", help="Prepare the tweets as this run reads them.")
    ] = None,
    text_column: TextColumn = None,
    label_column: LabelColumn = None,
    positive: PositiveLabels = None,
    negative: NegativeLabels = None,
    overrides: Overrides = None,
    results: ResultsRoot = RESULTS,
) -> None:
    """Fetch a data set, or look at a table, and prepare it.

    Tweets are cleaned, tokenised and split, and a summary is printed. Of a table the first rows are shown as they are
    understood, with the lines for a run's file.
    """
    from sentiment.data.corpus import prepare_corpus
    from sentiment.data.sources import fetch_tweets

    parameters = _parameters(source, overrides, text_column, label_column, positive, negative)
    run, places = _load_run(config, parameters, preview=True), _results(results)
    with Terminal() as terminal:
        for path in (run.data.source, *(table.path for table in run.data.tests.values())):
            fetch_tweets(path, places, terminal.progress)
        corpus = prepare_corpus(run.data, places, terminal.progress)
    say("\n".join([*corpus.report.render_lines(), f"prepared in {corpus.path}"]))


@preparing.command()
def vectors(config: ConfigFile, data: Data = None, overrides: Overrides = None, results: ResultsRoot = RESULTS) -> None:
    """Learn a run's word vectors from its training text.

    vectors.unlabelled names further text. `train` learns them as well if needed. Ends with 3 when a signal or the time
    limit stopped it; the same command then begins again.
    """
    parameters = _parameters(data, overrides)

    def load() -> "RunConfig":
        run = _load_run(config, parameters)
        return run if run.embedding.pretrained else _load_run(config, parameters | {"embedding.pretrained": "word2vec"})

    def work(run: "RunConfig", stop: "StopRequest", console: Console) -> "Stop | None":
        from sentiment.config import WORD2VEC
        from sentiment.training.experiment import run_vectors

        if (name := run.embedding.pretrained) is None:
            raise UsageError(
                "embedding.pretrained = None: the run reads no learned vectors; its encoder's are read in place of them"
            )
        if name != WORD2VEC:
            raise UsageError(f"embedding.pretrained = {name!r}: is a file; `{WORD2VEC}` is learned")
        return run_vectors([run], _results(results), stop, console)

    _resumable(load, work, lambda _run: "the same command begins again")


@preparing.command()
def encode(config: ConfigFile, data: Data = None, overrides: Overrides = None, results: ResultsRoot = RESULTS) -> None:
    """Compute the encoder's vectors of a run's tweets.

    All runs with the same tweets and encoder read them; `train` computes them as well if needed. Damaged ones are
    computed again. Several such commands, on hosts that share the results, share the work. Ends with 3 when a signal or
    the time limit stopped it; the same command goes on.
    """

    def work(run: "RunConfig", stop: "StopRequest", console: Console) -> "Stop | None":
        from sentiment.training.encoding import run_encoding

        if run.any_encoder is None or not run.any_encoder.cached:
            raise UsageError(
                "the run reads no cached vectors; set elmo.model, and elmo.cache to 'on', or encoder.model, and "
                "encoder.use to tokens or tweet"
            )
        return run_encoding([run], _results(results), stop, console)

    load = partial(_load_run, config, _parameters(data, overrides))
    _resumable(load, work, lambda _run: "complete shards are kept: the same command goes on")


@preparing.command()
def elmo(
    names: Annotated[
        list[str] | None, typer.Argument(metavar="NAME", help="small, medium, original or original-5.5b.")
    ] = None,
    mirrors: Annotated[
        list[str] | None,
        typer.Option("--mirror", metavar="PLACE", help="A folder or address to try first; repeatable."),
    ] = None,
    results: ResultsRoot = RESULTS,
) -> None:
    """Fetch published ELMo models, and check them.

    By default small and original-5.5b.
    """
    from sentiment.encoders.pretrained import fetch_elmo

    for name in names or ["small", "original-5.5b"]:
        with Terminal() as terminal:
            model = fetch_elmo(name, _results(results).elmo_models, terminal.progress, mirrors=mirrors or ())
        say(f"{name}: {model.weights_path}")


@preparing.command()
def encoder(
    name: Annotated[str, typer.Argument(metavar="NAME", help="Such as sentence-transformers/all-MiniLM-L6-v2.")],
    revision: Annotated[str, typer.Option("--revision", help="A branch, tag or commit.")] = "main",
    results: ResultsRoot = RESULTS,
) -> None:
    """Fetch an encoder of the Hugging Face Hub.

    Configuration, tokeniser and *.safetensors are fetched, commit and licence recorded; no code of the model is run.
    """
    from sentiment.encoders.pretrained import fetch_encoder

    model = fetch_encoder(name, revision, _results(results).encoders, say)
    say(f"{name}: {model.folder}")


def _results(folder: Path) -> "Results":
    from sentiment.runs.run_dir import Results  # loads the schema, which help does without

    return Results(folder)


def _parameters(
    data: str | None,
    overrides: list[str] | None,
    text_column: str | None = None,
    label_column: str | None = None,
    positive: list[str] | None = None,
    negative: list[str] | None = None,
) -> dict[str, Any]:
    from sentiment.config_file import parse_override

    parameters = dict(parse_override(override) for override in overrides or [])
    found: dict[str, Any] = {
        "data.columns.text": _column(text_column),
        "data.columns.label": _column(label_column),
        "data.source": data,
        "data.labels.positive": positive,
        "data.labels.negative": negative,
    }
    return parameters | {name: value for name, value in found.items() if value not in (None, [])}


def _column(named: str | None) -> str | int | None:
    """The column that an option names; a number is its position, counted from 0."""
    return int(named) if named and named.isdecimal() else named


def _load_run(config: Path | None, parameters: dict[str, Any], preview: bool = False) -> "RunConfig":
    """The run that a file (None: the defaults) and the options of a command describe; guesses on columns are told."""
    from sentiment.config_file import dotted, read_yaml

    file = config_path(config, "runs") if config else None
    values = read_yaml(file) if file else {}
    if values.keys() >= {"method", "parameters"}:
        raise UsageError(f"{file}: is the file of a grid, not of a run; `sentiment submit {file} --local` runs it here")
    return _with_guesses(values, dotted(values), parameters, str(file or "the defaults"), preview)


def _with_guesses(
    values: dict[str, Any], given: Collection[str], parameters: dict[str, Any], origin: str, preview: bool = False
) -> "RunConfig":
    """A configuration with parameters laid over it, and what nobody had `given` of its table and could be guessed."""
    from sentiment.data.guess_columns import resolve_with_guesses

    run, found = resolve_with_guesses(values, given, parameters, origin)
    if found and (lines := [*found.preview(), ""] if preview else found.told()):
        say("\n".join(lines))
    return run


def _resumable(
    load: "Callable[[], RunConfig]",
    work: "Callable[[RunConfig, StopRequest, Console], Stop | None]",
    outlook: "Callable[[RunConfig], str]",
) -> None:
    """Do what can be stopped by a signal or the time limit, and goes on with the same command; ends with 3 then."""
    from sentiment.training.stop import StopRequest, process_deadline

    with StopRequest() as stop:  # before torch is imported, since signals may come during these seconds
        run = load()
        stop.end = process_deadline(run.runtime.time_limit_seconds, _START)
        with Terminal() as terminal:
            reason = work(run, stop, Console(say, terminal.progress))
    if reason:
        say(f"stopped ({reason.detail}); {outlook(run)}")
        raise typer.Exit(EXIT_UNFINISHED)


app.add_typer(preparing, name="prepare")
for program in ("jobs", "report"):
    app.registered_commands += import_program(program).app.registered_commands

if __name__ == "__main__":
    app()
