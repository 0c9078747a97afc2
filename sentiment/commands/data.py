"""The commands `data` and `prepare`, which fetch and preprocess what runs read."""

from pathlib import Path
from typing import Annotated

import typer

from sentiment.command_line import (
    RESULTS,
    Overrides,
    ResultsRoot,
    TableOptions,
    load_run,
    results_of,
    with_options,
)
from sentiment.console import ProgressBar, say
from sentiment.data.built_in import SOURCE_CHOICES

app = typer.Typer()
prepare_app = typer.Typer(no_args_is_help=True, help="Fetch ELMo models and encoders.")


@app.command()
@with_options
def data(
    source: Annotated[str | None, typer.Argument(metavar="SOURCE", help=f"{SOURCE_CHOICES}.")] = None,
    config: Annotated[
        Path | None,
        typer.Option("--config", metavar="RUN", help="Preprocess the tweets with this run's configuration."),
    ] = None,
    *,
    options: TableOptions,
    overrides: Overrides = None,
    results: ResultsRoot = RESULTS,
) -> None:
    """Download a data set or preview a table, and preprocess it.

    Tweets are cleaned, tokenised and split, and a summary is printed. For a table, shows how its first rows are parsed,
    and the YAML lines for a run's configuration file.
    """
    from sentiment.data.corpus import prepare_corpus
    from sentiment.data.sources import fetch_tweets

    run = load_run(config, options.parameters(source, overrides), results, preview=True)
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
