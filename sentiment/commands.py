"""What the commands of `sentiment` share, and those that come before training."""

import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from sentiment.command_line import command_line
from sentiment.console import Console
from sentiment.data import SOURCE_CHOICES
from sentiment.errors import UsageError
from sentiment.install_paths import config_file

if TYPE_CHECKING:
    from sentiment.config import RunConfig
    from sentiment.training.stop import Stop, StopRequest

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
Mirrors = Annotated[
    list[str] | None,
    typer.Option("--mirror", help="A folder or address to try before the publishers'; repeatable."),
]


def given_parameters(
    data: str | None,
    overrides: list[str] | None,
    text_column: str | None = None,
    label_column: str | None = None,
    positive: list[str] | None = None,
    negative: list[str] | None = None,
) -> dict[str, Any]:
    """What the options of a command change, by dotted name; a number is a column's position, counted from 0."""
    from sentiment.config_file import parse_override

    parameters = dict(parse_override(override) for override in overrides or [])
    columns = {"data.columns.text": text_column, "data.columns.label": label_column}
    found: dict[str, Any] = {
        name: int(column) if column and column.isdigit() else column for name, column in columns.items()
    }
    found |= {"data.source": data, "data.labels.positive": positive, "data.labels.negative": negative}
    return parameters | {name: value for name, value in found.items() if value not in (None, [])}


def load_run(config: Path | None, parameters: dict[str, Any], preview: bool = False) -> "RunConfig":
    """The run that a file and the options of a command describe; columns that it has to guess are told.

    Args:
        config: None takes the defaults.
        preview: show the first rows of a table of the user's own as they are understood.

    Raises:
        ConfigError: the file is missing, or values do not fit the schema.
        UsageError: it is not clear what the columns or labels of its table mean.
    """
    from sentiment.config_file import dotted, read_yaml

    file = config_file(config, "runs") if config else None
    values = read_yaml(file) if file else {}
    return with_guesses(values, dotted(values), parameters, str(file or "the defaults"), preview)


def with_guesses(
    values: dict[str, Any], given: dict[str, Any], parameters: dict[str, Any], origin: str, preview: bool = False
) -> "RunConfig":
    """A configuration with parameters laid over it, and what was not said of its table and could be guessed.

    Args:
        given: values that somebody has set, by dotted name.
        origin: of the values, for messages.
    """
    from sentiment.config_file import resolve
    from sentiment.data.guess_columns import understand

    run = resolve(values, parameters, origin)
    found = understand(run.data, (given | parameters).keys())
    if found is None:
        return run
    show("\n".join([*found.preview(), ""] if preview else found.told() if found.guessed else []))
    return resolve(values, found.guessed | parameters, origin)


def show(text: str) -> None:
    """Print lines of plain text, if there are any."""
    from sentiment.progress_bar import say

    if text:
        say(text)


def resumable(
    load: "Callable[[], RunConfig]", work: "Callable[[RunConfig, StopRequest, Console], Stop | None]", outlook: str
) -> None:
    """Do what can be stopped by a signal or the time limit, and goes on with the same command; ends with 3 then.

    Args:
        outlook: what is kept, and what the same command does then.
    """
    from sentiment.training.stop import StopRequest, end_of_time

    with StopRequest() as stop:  # before torch is imported, since signals may come during these seconds
        run = load()
        stop.end = end_of_time(run.runtime.time_limit_seconds, START)
        from sentiment.progress_bar import Terminal

        with Terminal() as terminal:
            reason = work(run, stop, Console(terminal.say, terminal.progress))
    if reason:
        show(f"stopped ({reason.detail}); {outlook}")
        raise typer.Exit(EXIT_UNFINISHED)


preparing = command_line()


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
    from sentiment.data.corpus import prepare_corpus
    from sentiment.data.sources import fetch_tweets
    from sentiment.progress_bar import Terminal
    from sentiment.runs.run_dir import Results

    parameters = given_parameters(source, overrides, text_column, label_column, positive, negative)
    run = load_run(config, parameters, preview=True)
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

    def work(run: "RunConfig", stop: "StopRequest", console: Console) -> "Stop | None":
        from sentiment.config import WORD2VEC
        from sentiment.runs.run_dir import Results
        from sentiment.training.experiment import run_vectors

        if (name := run.embedding.pretrained) != WORD2VEC:
            raise UsageError(f"embedding.pretrained = {name!r}: is a file; `{WORD2VEC}` is learned")
        return run_vectors([run], Results(results), stop, console)

    def load() -> "RunConfig":
        changes = given_parameters(data, overrides)
        run = load_run(config, changes)
        return run if run.embedding.pretrained else load_run(config, changes | {"embedding.pretrained": "word2vec"})

    resumable(load, work, "the same command begins again")


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

    def load() -> "RunConfig":
        changes = given_parameters(data, overrides)
        run = load_run(config, changes)
        own = run.elmo is not None and run.elmo.pretrained
        return run if own else load_run(config, changes | {"elmo.model": "pretrained/tweet"})

    def work(run: "RunConfig", stop: "StopRequest", console: Console) -> "Stop | None":
        from sentiment.runs.run_dir import Results
        from sentiment.training.pretraining import run_pretraining

        return run_pretraining([run], Results(results), stop, console)

    resumable(load, work, "all is saved: the same command goes on")


@preparing.command()
def elmo_weights(
    names: Annotated[list[str] | None, typer.Argument(help="small, medium, original or original-5.5b.")] = None,
    mirrors: Mirrors = None,
    results: ResultsRoot = Path("results"),
) -> None:
    """Download published ELMo models (by default small and original-5.5b), check them and store their checksums."""
    from sentiment.encoders.models import fetch_elmo
    from sentiment.progress_bar import Terminal
    from sentiment.runs.run_dir import Results

    for name in names or ["small", "original-5.5b"]:
        with Terminal() as terminal:
            folder = Results(results).elmo_models
            model = fetch_elmo(name, folder, terminal.progress, mirrors=mirrors or ())
        show(f"{name}: {model.weights_path}")


@preparing.command()
def fetch(
    name: Annotated[str, typer.Argument(help="Such as sentence-transformers/all-MiniLM-L6-v2.")],
    revision: Annotated[str, typer.Option("--revision", help="A branch, tag or commit.")] = "main",
    results: ResultsRoot = Path("results"),
) -> None:
    """Fetch a pretrained encoder of the Hugging Face Hub, once, and record its commit and licence.

    Only its configuration, tokeniser and *.safetensors are fetched; no code of the model is ever run.
    """
    from sentiment.encoders.models import fetch_encoder
    from sentiment.runs.run_dir import Results

    model = fetch_encoder(name, revision, Results(results).encoders, show)
    show(f"{name}: {model.folder}")


@preparing.command()
def encode(
    config: ConfigFile,
    data: Data = None,
    overrides: Overrides = None,
    results: ResultsRoot = Path("results"),
) -> None:
    """Compute the vectors of ELMo or another encoder that a run reads, for all runs on the same tweets. `train` does
    it as well if needed.
    Vectors that are there are checked, and damaged ones computed again.

    Several of these commands, on any hosts that share the results, share the work. Ends with 0 when all vectors are
    complete, and with 3 when a signal or the time limit stopped it; the same command then continues.
    """

    def work(run: "RunConfig", stop: "StopRequest", console: Console) -> "Stop | None":
        from sentiment.runs.run_dir import Results
        from sentiment.training.encoding import run_encoding

        if run.frozen is None or not run.frozen.cached:
            raise UsageError(
                f"{config}: reads no cached ELMo vectors; set elmo.model, and elmo.cache to 'on', or encoder.model"
            )
        return run_encoding([run], Results(results), stop, console)

    changes = given_parameters(data, overrides)
    resumable(lambda: load_run(config, changes), work, "complete shards are kept: the same command goes on")
