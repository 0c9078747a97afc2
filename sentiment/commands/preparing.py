"""The commands that prepare what runs read: data, vectors, pretrain, elmo-weights, encode."""

from pathlib import Path
from typing import Annotated

import typer

from sentiment.command_line import command_line
from sentiment.commands.arguments import (
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
    load_run,
    named_parameters,
    show,
    table_parameters,
    understood,
)
from sentiment.console import Console
from sentiment.data.data_source import source_choices
from sentiment.errors import UsageError
from sentiment.shipped import config_file

preparing = command_line()

MirrorsFile = Annotated[
    Path | None, typer.Option("--mirrors", help="Further places to fetch from, by default configs/mirrors.yaml.")
]


@preparing.command()
def data(
    source: Annotated[str | None, typer.Argument(help=f"{source_choices()}.")] = None,
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
    from sentiment.data.registry import find_source
    from sentiment.progress_bar import Terminal
    from sentiment.run_dir import Results

    table = table_parameters(text_column, label_column, positive, negative)
    parameters = named_parameters(source, overrides) | table
    values = read_yaml(file := config_file(config, "runs")) if config else {}
    run = resolve(values, parameters, str(file) if config else "the defaults")
    if found := understood(run.data, {**dotted(values), **parameters}):
        show("\n".join([*found.preview(), ""]))
        run = resolve(values, found.guessed | parameters, str(file) if config else "the defaults")
    with Terminal() as terminal:
        for path in (run.data.source, *(table.path for table in run.data.tests.values())):
            find_source(path).fetch(Results(results), terminal.progress)
        corpus = prepare_corpus(run.data, Results(results), terminal.progress)
    show("\n".join([*corpus.report.render_lines(), f"prepared in {corpus.path}"]))


@preparing.command()
def vectors(
    config: ConfigFile,
    data: Data = None,
    overrides: Overrides = None,
    mirrors: MirrorsFile = None,
    results: ResultsRoot = Path("results"),
) -> None:
    """Make the word vectors that a run starts from: learn them from its training text and unlabelled files, or fetch
    GloVe's and keep those of its types.

    A run without embedding.pretrained counts as one with word2vec. Learning ends with 3 when a signal or the time limit
    stopped it; the same command then goes on after the last epoch. `train` learns them as well if needed.
    """
    from sentiment.training.stop import StopRequest, end_of_time

    with StopRequest() as stop:
        run = load_run(config, data, overrides)
        if run.embedding.pretrained is None:
            run = load_run(config, data, [*(overrides or []), "embedding.pretrained=word2vec"])
        stop.end = end_of_time(run.runtime.time_limit_seconds, START)

        from sentiment.config import NAMED_VECTORS, PUBLISHED_VECTORS
        from sentiment.data.mirrors import read_mirrors
        from sentiment.data.word_vectors.published import fetch_archive
        from sentiment.progress_bar import Terminal
        from sentiment.run_dir import Results
        from sentiment.training.preparing import run_vectors

        name = run.embedding.pretrained
        if name not in NAMED_VECTORS:
            raise UsageError(f"embedding.pretrained = {name!r}: is a file; names are {', '.join(NAMED_VECTORS)}")
        with Terminal() as terminal:
            console = Console(say=terminal.say, progress=terminal.progress)
            if name in PUBLISHED_VECTORS:
                fetch_archive(Results(results), terminal.progress, read_mirrors(mirrors).glove)
            reason = run_vectors([run], Results(results), stop, console)
    if reason:
        show(f"stopped ({reason.detail}); whole epochs are kept: the same command goes on")
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

        from sentiment.code_version import freeze_code
        from sentiment.progress_bar import Terminal
        from sentiment.run_dir import Results
        from sentiment.training.runs.pretraining import run_pretraining

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
    from sentiment.data.mirrors import read_mirrors
    from sentiment.elmo.models import fetch_elmo
    from sentiment.progress_bar import Terminal
    from sentiment.run_dir import Results

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
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Only print the size and an estimate of the time.")
    ] = False,
    verify: Annotated[
        bool, typer.Option("--verify", help="Read all vectors, also untouched ones; replace damaged ones.")
    ] = False,
) -> None:
    """Compute the ELMo vectors that a run reads, for all runs on the same tweets. `train` does it as well if needed.

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
        from sentiment.run_dir import Results
        from sentiment.training.encoding import estimate_encoding, run_encoding

        with Terminal() as terminal:
            console = Console(say=terminal.say, progress=terminal.progress)
            if dry_run:
                estimate_encoding([run], Results(results), console)
                return
            reason = run_encoding([run], Results(results), stop, console, verify=verify)
    if reason:
        show(f"stopped ({reason.detail}); complete shards are kept: the same command goes on")
        raise typer.Exit(EXIT_UNFINISHED)
