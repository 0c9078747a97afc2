"""The command line: data, elmo-weights, encode, train, evaluate, predict, digest."""

import time
from pathlib import Path
from typing import Annotated, Any

import typer

from sentiment.command_line import command_line
from sentiment.errors import SentimentError, UsageError

_START = time.time()

# Stopped with everything saved: the same command goes on. (The other codes: 0 done, 1 failed, 2 usage.)
EXIT_UNFINISHED = 3


app = command_line()

ConfigFile = Annotated[Path, typer.Argument(help="A run's YAML file, such as configs/runs/rnn.yaml.")]
Overrides = Annotated[list[str] | None, typer.Option("--set", help="Change a field: section.field=value.")]
Changes = Annotated[
    list[str] | None,
    typer.Argument(metavar="[FIELD=VALUE]...", help="The same as --set; also --FIELD=VALUE, as W&B's agent says it."),
]
Data = Annotated[str | None, typer.Option("--data", help="vader, sample, sentiment140, or the path of a table.")]
ResultsRoot = Annotated[Path, typer.Option("--results", help="The folder that everything is written to.")]
RunDirectory = Annotated[Path, typer.Argument(help="A run's directory, as `train` names it.")]


@app.callback()
def main() -> None:
    """Train sentiment classifiers on tweets, and use them."""


@app.command()
def data(
    source: Annotated[str | None, typer.Argument(help="vader, sample, sentiment140, or the path of a table.")] = None,
    config: Annotated[Path | None, typer.Option("--config", help="Prepare it as this run needs it.")] = None,
    overrides: Overrides = None,
    results: ResultsRoot = Path("results"),
) -> None:
    """Fetch a data set, clean, tokenise and split it, and say what is in it."""
    from sentiment.config_file import resolve
    from sentiment.data.corpus.corpus import prepare_corpus
    from sentiment.data.sources.registry import SENTIMENT140
    from sentiment.data.sources.sentiment140 import download_sentiment140
    from sentiment.run_dir import Results
    from sentiment.terminal import OUT, Terminal

    run = _load(config, source, overrides) if config else resolve({}, _parameters(source, overrides), "the defaults")
    with Terminal() as terminal:
        if run.data.source == SENTIMENT140:
            download_sentiment140(Results(results), terminal.progress)
        corpus = prepare_corpus(run.data, Results(results), terminal.progress)
    OUT.print("\n".join(corpus.report.render_lines()), markup=False, soft_wrap=True)
    OUT.print(f"prepared in {corpus.path}", markup=False, soft_wrap=True)


@app.command()
def elmo_weights(
    names: Annotated[list[str] | None, typer.Argument(help="small, medium, original or original-5.5b.")] = None,
    results: ResultsRoot = Path("results"),
) -> None:
    """Download published ELMo models (by default small and original-5.5b), check them and remember their checksums."""
    from sentiment.elmo.models import fetch_elmo
    from sentiment.run_dir import Results
    from sentiment.terminal import OUT, Terminal

    for name in names or ["small", "original-5.5b"]:
        with Terminal() as terminal:
            model = fetch_elmo(name, Results(results).elmo_models, terminal.progress)
        OUT.print(f"{name}: {model.weights_path}", markup=False, soft_wrap=True)


@app.command()
def encode(
    config: ConfigFile,
    data: Data = None,
    overrides: Overrides = None,
    results: ResultsRoot = Path("results"),
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only say how many bytes and about how long.")] = False,
    verify: Annotated[
        bool, typer.Option("--verify", help="First read all that is there; compute what is damaged.")
    ] = False,
) -> None:
    """Compute the ELMo vectors that a run reads, once for all runs on the same tweets; `train` does it too if need be.

    Any number of these commands may run at once, on any hosts that share the results: they share the work. Ends with 0
    when all vectors are there and with 3 when a signal or the time limit stopped it: the same command goes on.
    """
    from sentiment.training.stop import StopRequest, end_of_time

    with StopRequest() as stop:
        run = _load(config, data, overrides)
        stop.end = end_of_time(run.runtime.time_limit_seconds, _START)
        if run.elmo is None or not run.elmo.cached:
            raise UsageError(f"{config}: reads no cached ELMo vectors; elmo.model, and elmo.cache 'on', would make it")

        from sentiment.console import Console
        from sentiment.run_dir import Results
        from sentiment.terminal import OUT, Terminal
        from sentiment.training.encoding import estimate_encoding, run_encoding

        with Terminal() as terminal:
            console = Console(say=terminal.say, progress=terminal.progress)
            if dry_run:
                estimate_encoding([run], Results(results), console)
                return
            reason = run_encoding([run], Results(results), stop, console, verify=verify)
    if reason:
        OUT.print(f"stopped ({reason.detail}); complete shards are kept: the same command goes on", markup=False)
        raise typer.Exit(EXIT_UNFINISHED)


@app.command(context_settings={"ignore_unknown_options": True})
def train(
    config: ConfigFile,
    changes: Changes = None,
    data: Data = None,
    overrides: Overrides = None,
    results: ResultsRoot = Path("results"),
) -> None:
    """Train one run, or go on where it stopped; print its scores beside the linear baseline's.

    Ends with 0 when the run is completed and with 3 when a signal or the time limit stopped it: everything is saved
    then, and the same command goes on.
    """
    from sentiment.training.stop import StopRequest, end_of_time

    with StopRequest() as stop:  # before torch is imported, which takes seconds in which signals may come
        run = _load(config, data, [*_changes(changes or []), *(overrides or [])])
        stop.end = end_of_time(run.runtime.time_limit_seconds, _START)

        from sentiment.console import Console
        from sentiment.run_dir import Results
        from sentiment.terminal import OUT, Terminal, show_result
        from sentiment.training.context import RunContext
        from sentiment.training.experiment import run_experiment

        run_dir = Results(results).find_run(run)
        OUT.print(f"run {run_dir.path.name}   {run.description}".rstrip(), markup=False, soft_wrap=True)
        try:
            with Terminal() as terminal:
                console = Console(say=terminal.say, progress=terminal.progress)
                reason = run_experiment(RunContext(run, Results(results), run_dir, stop, console))
        except SentimentError:
            run_dir.discard_unbegun()  # tweets that cannot be used, say
            raise
    if reason:
        OUT.print(
            f"stopped ({reason.detail}); all is saved in {run_dir.path}: the same command goes on",
            markup=False,
            soft_wrap=True,
        )
        raise typer.Exit(EXIT_UNFINISHED)
    show_result(run_dir)


@app.command()
def evaluate(
    run: RunDirectory,
    data: Annotated[
        Path | None, typer.Option("--data", help="A labelled table; without it the run's own parts.")
    ] = None,
    overrides: Annotated[
        list[str] | None, typer.Option("--set", help="How to read FILE: data.columns.text=tweet, for example.")
    ] = None,
    json_file: Annotated[Path | None, typer.Option("--json", help="Write the metrics to this file as well.")] = None,
    results: ResultsRoot = Path("results"),
) -> None:
    """Print how a trained model does, on its own test data or on any labelled file."""
    from sentiment.files import write_json
    from sentiment.terminal import OUT, Terminal, metrics_table, result_table

    run_dir = _trained(run)
    if data is None:
        result = run_dir.read_result()
        if result is None:
            raise UsageError(f"{run}: is not completed yet; --data FILE measures the best weights so far")
        OUT.print(result_table(result))
        metrics: Any = {part: of_part.model_dump() for part, of_part in result.metrics.items()}
    else:
        from sentiment.config_file import resolve
        from sentiment.inference.evaluate_file import evaluate_file
        from sentiment.inference.predictor import load_predictor
        from sentiment.run_dir import Results

        predictor = load_predictor(run_dir)
        named = resolve(predictor.config.model_dump(), _parameters(str(data), overrides), str(run_dir.config_file))
        with Terminal() as terminal:
            scores = evaluate_file(predictor, named.data, Results(results), terminal.progress)
        OUT.print(metrics_table(data.name, scores))
        metrics = scores.model_dump()
    if json_file:
        write_json(json_file, metrics)


@app.command()
def predict(
    run: RunDirectory,
    texts: Annotated[list[str] | None, typer.Argument(help="Tweets, each in quotes.")] = None,
    file: Annotated[Path | None, typer.Option("--file", help="CSV, TSV or JSONL of any size.")] = None,
    out: Annotated[Path | None, typer.Option("--out", help="CSV to write, row by row as in the input.")] = None,
    column: Annotated[str | None, typer.Option("--column", help="The column with the tweets.")] = None,
) -> None:
    """Say for each tweet how probably it is positive, and for attention models which words that rests on."""
    if bool(texts) == bool(file) or bool(file) != bool(out):
        raise UsageError("predict takes either tweets in quotes, or --file IN together with --out OUT")
    from sentiment.inference.predictor import load_predictor

    predictor = load_predictor(_trained(run))
    if file and out:
        from sentiment.inference.predict_file import predict_file
        from sentiment.terminal import OUT, Terminal

        with Terminal() as terminal:
            rows = predict_file(predictor, file, out, column, terminal.progress)
        OUT.print(f"{rows:,} rows written to {out}", markup=False, soft_wrap=True)
    else:
        from sentiment.terminal import show_predictions

        show_predictions(predictor, texts or [])


@app.command()
def digest(run: RunDirectory) -> None:
    """Print the SHA-256 of a run's best weights, last weights and metric log: equal for equal runs."""
    from sentiment.files import sha256_of
    from sentiment.training.checkpoint import read_checkpoint, weights_sha256

    run_dir = _trained(run)
    if not run_dir.completed:
        raise UsageError(f"{run}: is not completed yet; train it to the end first")
    for name, path in (("best", run_dir.best_weights), ("last", run_dir.last_weights)):
        typer.echo(f"{weights_sha256(read_checkpoint(path)['weights'])}  {name} weights")
    typer.echo(f"{sha256_of(run_dir.metrics_file)}  metrics")


def _parameters(data: str | None, overrides: list[str] | None) -> dict[str, Any]:
    from sentiment.config_file import parse_override

    parameters = dict(parse_override(override) for override in overrides or [])
    return parameters | ({"data.source": data} if data else {})


def _changes(arguments: list[str]) -> list[str]:
    """Fields to change that stand without --set; what looks like an option but changes no field is a slip."""
    for argument in arguments:
        if argument.startswith("-") and not (argument.startswith("--") and "=" in argument):
            raise UsageError(f"{argument}: no such option; `python -m sentiment train --help` lists them")
    return [argument.removeprefix("--") for argument in arguments]


def _load(config: Path, data: str | None, overrides: list[str] | None) -> Any:
    from sentiment.config_file import read_yaml, resolve

    return resolve(read_yaml(config), _parameters(data, overrides), str(config))


def _trained(path: Path) -> Any:
    from sentiment.run_dir import RunDir

    if not (run_dir := RunDir(path)).config_file.exists():
        raise UsageError(
            f"{path}: is not a run's directory; `train` prints where it writes, as in results/runs/single/…"
        )
    return run_dir


if __name__ == "__main__":
    app()
