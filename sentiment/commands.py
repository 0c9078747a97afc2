"""The commands of `sentiment` apart from `train`: what comes before it, and what uses a trained model."""

import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from sentiment.command_line import command_line
from sentiment.console import Console
from sentiment.data import SOURCE_CHOICES
from sentiment.errors import UsageError
from sentiment.install_paths import config_file

if TYPE_CHECKING:
    from sentiment.config import DataConfig, ElmoConfig, RunConfig
    from sentiment.data.guess_columns import Understanding
    from sentiment.inference.models import Choice
    from sentiment.models.text_model import TextModel
    from sentiment.runs.run_dir import RunDir


START = time.time()
"""When the command began."""

# Stopped with everything saved; the same command resumes. (The other codes: 0 done, 1 failed, 2 usage.)
EXIT_UNFINISHED = 3

ConfigFile = Annotated[Path, typer.Argument(help="The YAML file of a run, or its name in configs/runs.")]
Overrides = Annotated[list[str] | None, typer.Option("--set", help="Change a field: section.field=value.")]
Data = Annotated[str | None, typer.Option("--data", help=f"{SOURCE_CHOICES}.")]
ResultsRoot = Annotated[Path, typer.Option("--results", help="The folder for all results.")]


TextColumn = Annotated[str | None, typer.Option("--text-column", help="The table's column with the tweets.")]
LabelColumn = Annotated[str | None, typer.Option("--label-column", help="The table's column with the labels.")]
PositiveLabels = Annotated[list[str] | None, typer.Option("--positive", help="A label that means positive.")]
NegativeLabels = Annotated[list[str] | None, typer.Option("--negative", help="A label that means negative.")]


def load_run(
    config: Path, data: str | None, overrides: list[str] | None, table: "dict[str, Any] | None" = None
) -> "RunConfig":
    """The run that a file and the options of a command describe; columns that it has to guess are told.

    Args:
        table: what `table_parameters` gives.

    Raises:
        ConfigError: the file is missing, or values do not fit the schema.
        UsageError: it is not clear what the columns or labels of its table mean.
    """
    from sentiment.config_file import dotted, read_yaml, resolve

    config = config_file(config, "runs")
    values, parameters = read_yaml(config), named_parameters(data, overrides) | (table or {})
    run = resolve(values, parameters, str(config))
    found = understood(run.data, {**dotted(values), **parameters})
    if found is None or not found.guessed:
        return run
    for line in found.told():
        show(line)
    return resolve(values, found.guessed | parameters, str(config))


def table_parameters(
    text_column: str | None, label_column: str | None, positive: list[str] | None, negative: list[str] | None
) -> dict[str, Any]:
    """What the options on a table change, by dotted name; a number is a column's position, counted from 0."""
    columns = {"data.columns.text": text_column, "data.columns.label": label_column}
    found: dict[str, Any] = {
        name: int(column) if column.isdigit() else column for name, column in columns.items() if column is not None
    }
    return found | {
        name: labels
        for name, labels in (("data.labels.positive", positive), ("data.labels.negative", negative))
        if labels
    }


def understood(data: "DataConfig", given: "dict[str, Any]") -> "Understanding | None":
    """How a table of the user's own is read; None for other data, and where reading it will say what is wrong.

    Args:
        given: values that somebody has set, by dotted name.
    """
    from sentiment.data.guess_columns import understand

    return understand(data, given.keys())


def named_parameters(data: str | None, overrides: list[str] | None) -> dict[str, Any]:
    """What `--data` and `--set` change, by dotted name."""
    from sentiment.config_file import parse_override

    parameters = dict(parse_override(override) for override in overrides or [])
    return parameters | ({"data.source": data} if data else {})


def show(text: str) -> None:
    """Print lines of plain text."""
    from sentiment.progress_bar import say

    say(text)


preparing = command_line()

MirrorsFile = Annotated[
    Path | None, typer.Option("--mirrors", help="Further places to fetch from, by default configs/mirrors.yaml.")
]


@preparing.command()
def data(
    source: Annotated[str | None, typer.Argument(help=f"{SOURCE_CHOICES}.")] = None,
    config: Annotated[Path | None, typer.Option("--config", help="Prepare the data as this run needs them.")] = None,
    text_column: TextColumn = None,
    label_column: LabelColumn = None,
    positive: PositiveLabels = None,
    negative: NegativeLabels = None,
    overrides: Overrides = None,
    results: ResultsRoot = Path("results"),
) -> None:
    """Fetch a data set or look at a table, clean, tokenise and split it, and print a summary.

    Of a table the first rows are shown as they are understood, with the lines that keep this in a run's file.
    """
    from sentiment.config_file import dotted, read_yaml, resolve
    from sentiment.data.corpus.corpus import prepare_corpus
    from sentiment.data.sources import fetch_tweets
    from sentiment.progress_bar import Terminal
    from sentiment.runs.run_dir import Results

    table = table_parameters(text_column, label_column, positive, negative)
    parameters = named_parameters(source, overrides) | table
    values = read_yaml(file := config_file(config, "runs")) if config else {}
    run = resolve(values, parameters, str(file) if config else "the defaults")
    if found := understood(run.data, {**dotted(values), **parameters}):
        show("\n".join([*found.preview(), ""]))
        run = resolve(values, found.guessed | parameters, str(file) if config else "the defaults")
    with Terminal() as terminal:
        for path in (run.data.source, *(table.path for table in run.data.tests.values())):
            fetch_tweets(path, Results(results), terminal.progress)
        corpus = prepare_corpus(run.data, Results(results), terminal.progress)
    show("\n".join([*corpus.report.render_lines(), f"prepared in {corpus.path}"]))


@preparing.command()
def vectors(
    config: ConfigFile,
    data: Data = None,
    overrides: Overrides = None,
    results: ResultsRoot = Path("results"),
) -> None:
    """Learn the word vectors that a run starts from, of its training text and unlabelled files.

    A run without embedding.pretrained counts as one with word2vec. Ends with 3 when a signal or the time limit stopped
    it; the same command then begins again. `train` learns them as well if needed.
    """
    from sentiment.training.stop import StopRequest, end_of_time

    with StopRequest() as stop:
        run = load_run(config, data, overrides)
        if run.embedding.pretrained is None:
            run = load_run(config, data, [*(overrides or []), "embedding.pretrained=word2vec"])
        stop.end = end_of_time(run.runtime.time_limit_seconds, START)

        from sentiment.config import WORD2VEC
        from sentiment.progress_bar import Terminal
        from sentiment.runs.run_dir import Results
        from sentiment.training.preparing import run_vectors

        if (name := run.embedding.pretrained) != WORD2VEC:
            raise UsageError(f"embedding.pretrained = {name!r}: is a file; `{WORD2VEC}` is learned")
        with Terminal() as terminal:
            console = Console(say=terminal.say, progress=terminal.progress)
            reason = run_vectors([run], Results(results), stop, console)
    if reason:
        show(f"stopped ({reason.detail}); the same command begins again")
        raise typer.Exit(EXIT_UNFINISHED)


@preparing.command()
def pretrain(
    config: ConfigFile,
    data: Data = None,
    overrides: Overrides = None,
    results: ResultsRoot = Path("results"),
) -> None:
    """Train an ELMo of a run's own text: the bidirectional language model of Peters et al. (2018), which the run then
    reads as `elmo.model: pretrained/tweet` or another size.

    A run without such a model counts as one with pretrained/tweet. It reads the text of the training part and of
    pretraining.unlabelled, and nothing of validation or test tweets. Ends with 0 when the model is complete, and with 3
    when a signal or the time limit stopped it; everything is saved then, and the same command resumes.
    """
    from sentiment.training.stop import StopRequest, end_of_time

    with StopRequest() as stop:
        run = load_run(config, data, overrides)
        if run.elmo is None or not run.elmo.pretrained:
            run = load_run(config, data, [*(overrides or []), "elmo.model=pretrained/tweet"])
        stop.end = end_of_time(run.runtime.time_limit_seconds, START)

        from sentiment.progress_bar import Terminal
        from sentiment.runs.code_version import freeze_code
        from sentiment.runs.run_dir import Results
        from sentiment.training.pretraining import run_pretraining

        freeze_code(Results(results))
        with Terminal() as terminal:
            console = Console(say=terminal.say, progress=terminal.progress)
            reason = run_pretraining([run], Results(results), stop, console)
    if reason:
        show(f"stopped ({reason.detail}); all is saved: the same command goes on")
        raise typer.Exit(EXIT_UNFINISHED)


@preparing.command()
def elmo_weights(
    names: Annotated[list[str] | None, typer.Argument(help="small, medium, original or original-5.5b.")] = None,
    mirrors: MirrorsFile = None,
    results: ResultsRoot = Path("results"),
) -> None:
    """Download published ELMo models (by default small and original-5.5b), check them and store their checksums."""
    from sentiment.data.download import read_mirrors
    from sentiment.elmo.models import fetch_elmo
    from sentiment.progress_bar import Terminal
    from sentiment.runs.run_dir import Results

    for name in names or ["small", "original-5.5b"]:
        with Terminal() as terminal:
            folder = Results(results).elmo_models
            model = fetch_elmo(name, folder, terminal.progress, mirrors=read_mirrors(mirrors).elmo)
        show(f"{name}: {model.weights_path}")


@preparing.command()
def encode(
    config: ConfigFile,
    data: Data = None,
    overrides: Overrides = None,
    results: ResultsRoot = Path("results"),
) -> None:
    """Compute the ELMo vectors that a run reads, for all runs on the same tweets. `train` does it as well if needed.
    Vectors that are there are checked, and damaged ones computed again.

    Several of these commands, on any hosts that share the results, share the work. Ends with 0 when all vectors are
    complete, and with 3 when a signal or the time limit stopped it; the same command then continues.
    """
    from sentiment.training.stop import StopRequest, end_of_time

    with StopRequest() as stop:
        run = load_run(config, data, overrides)
        stop.end = end_of_time(run.runtime.time_limit_seconds, START)
        if run.elmo is None or not run.elmo.cached:
            raise UsageError(f"{config}: reads no cached ELMo vectors; set elmo.model, and elmo.cache to 'on'")

        from sentiment.progress_bar import Terminal
        from sentiment.runs.run_dir import Results
        from sentiment.training.encoding import run_encoding

        with Terminal() as terminal:
            console = Console(say=terminal.say, progress=terminal.progress)
            reason = run_encoding([run], Results(results), stop, console)
    if reason:
        show(f"stopped ({reason.detail}); complete shards are kept: the same command goes on")
        raise typer.Exit(EXIT_UNFINISHED)


using = command_line()

With = Annotated[str | None, typer.Option("--with", help="network, baseline, both or seeds (the mean over seeds).")]
Threshold = Annotated[float | None, typer.Option("--threshold", help="Positive from this probability on; else .5.")]
RunDirectory = Annotated[Path, typer.Argument(help="The directory of a run; `train` prints it.")]
ModelPlace = Annotated[Path, typer.Argument(metavar="MODEL", help="A run's directory, or a file of `export`.")]
STDIN = "-"
FORMATS = ("text", "csv", "jsonl")


@using.command()
def predict(
    model: ModelPlace,
    texts: Annotated[list[str] | None, typer.Argument(help="Tweets, each in quotes; - reads a line each.")] = None,
    file: Annotated[Path | None, typer.Option("--file", help="CSV, TSV, JSONL, Parquet or .xlsx.")] = None,
    out: Annotated[Path | None, typer.Option("--out", help="With --file: .csv, .jsonl, .parquet ... to write.")] = None,
    column: Annotated[str | None, typer.Option("--column", help="The column with the tweets.")] = None,
    form: Annotated[str, typer.Option("--format", help="Of answers to tweets: text, csv or jsonl.")] = "text",
    choice: With = None,
    threshold: Threshold = None,
    results: Annotated[Path, typer.Option("--results", help="Where ELMo models are.")] = Path("results"),
) -> None:
    """Print the label of each tweet and how probable it is; for attention models also the weight of each token."""
    if form not in FORMATS:
        raise UsageError(f"--format {form}: valid are {', '.join(FORMATS)}; a file's ending says what --out is")
    if bool(texts) == bool(file) or bool(file) != bool(out):
        raise UsageError("predict takes either tweets in quotes, or - for one a line, or --file IN with --out OUT")
    if column and not file:
        raise UsageError("--column names a column of --file, which is not there")
    from_stream = texts == [STDIN]
    if from_stream and sys.stdin is None:
        raise UsageError("the standard input is closed; - reads tweets from it, one a line")
    chosen = named_choice(choice)
    from sentiment.inference.export import open_model
    from sentiment.runs.records import THRESHOLD, checked_threshold
    from sentiment.runs.run_dir import Results

    positive_from = THRESHOLD if threshold is None else checked_threshold(threshold)
    opened = open_model(model, chosen, Results(results))
    why = f"--with {chosen}" if chosen else "the most accurate on validation tweets"
    why += "" if threshold is None else f"; positive from {threshold:g} on"
    if file and out:
        _predict_file(opened, file, out, column, why, positive_from)
        return
    from sentiment.inference.terminal import lines_at_once, show_answers

    if from_stream and sys.stdin.isatty():
        typer.echo("one tweet a line; Ctrl+D ends", err=True)
    show_answers(opened, lines_at_once(sys.stdin.buffer) if from_stream else [texts or []], form, why, positive_from)  # type: ignore[arg-type]


def _predict_file(model: "TextModel", file: Path, out: Path, column: str | None, why: str, threshold: float) -> None:
    from sentiment.inference.predict import predict_file
    from sentiment.progress_bar import ERR, OUT, Terminal, say

    with Terminal() as terminal:
        outcome = predict_file(model, file, out, column, terminal.progress, threshold)
    # An output that is no regular file may be this terminal, or a pipe that holds the table.
    lines = [f"{outcome.rows:,} rows written to {out}, by the {model.name} ({why})", *outcome.render_lines()]
    say("\n  ".join(lines), OUT if out.is_file() else ERR)


@using.command()
def export(
    run: RunDirectory,
    file: Annotated[Path, typer.Argument(metavar="FILE.zip", help="The file to write.")],
) -> None:
    """Write a run's model as one file for others: weights as plain numbers, vocabulary, scores and a model card.

    It predicts without the tweets that it was trained on, and none of them is in it. `predict` and
    `sentiment.load` read it; nothing in it is executed.
    """
    from sentiment.inference.export import write_archive
    from sentiment.inference.model_card import result_of
    from sentiment.progress_bar import say
    from sentiment.runs.run_dir import trained_run

    if file.suffix.lower() != ".zip":
        raise UsageError(f"{file}: a model is handed on as a zip file; name it {file.with_suffix('.zip')}")
    run_dir = trained_run(run)
    config, result = run_dir.read_config(), result_of(run_dir)
    sizes = write_archive(run_dir, file)
    say(f"{file}  {file.stat().st_size:,} bytes: " + ", ".join(f"{name} {size:,}" for name, size in sizes.items()))
    if config.data.text.mentions == "keep":
        say("warning: vocabulary.txt holds @names of the tweets, since data.text.mentions = keep")
    if result.elmo and config.elmo:
        say(f"it reads {_elmo_of(config.elmo, result.elmo.fingerprint, run_dir)}")
    say(f'use it    sentiment predict {file} "what a lovely day"')


@using.command()
def card(model: ModelPlace) -> None:
    """Print the model card of a run or of an exported file, in Hugging Face's format."""
    from sentiment.console import printable
    from sentiment.inference.export import CARD, read_archive
    from sentiment.inference.model_card import model_card
    from sentiment.runs.run_dir import trained_run

    text = read_archive(model)[CARD].decode("utf-8", "replace") if model.is_file() else model_card(trained_run(model))
    typer.echo(printable(text), nl=False)


def _elmo_of(elmo: "ElmoConfig", fingerprint: str, run_dir: "RunDir") -> str:
    """The ELMo model that a file does not hold, and how who gets the file gets it."""
    from sentiment.config.sections import ELMO_MODELS
    from sentiment.elmo.models import own_model_dir

    if elmo.pretrained:
        folder = own_model_dir(fingerprint, elmo.model, run_dir.results).path
        return f"the language model in {folder}, which is not in it: it has to be copied to results/data/pretrained"
    if elmo.model in ELMO_MODELS:
        return f"the ELMo model {elmo.model!r}, which is not in it; `sentiment elmo-weights` fetches it"
    return f"the ELMo model {elmo.model!r}, which is not in it, from the folder in which it is used"


def named_choice(name: str | None) -> "Choice | None":
    """The model that `--with` names."""
    from sentiment.inference.models import CHOICES

    for choice in CHOICES:
        if name == choice:
            return choice
    if name is not None:
        raise UsageError(f"--with {name}: valid are {', '.join(CHOICES)}")
    return None
