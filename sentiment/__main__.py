"""The command line: data, elmo-weights, encode, train, evaluate, predict, digest."""

import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from sentiment.command_line import command_line
from sentiment.console import Console
from sentiment.data.data_source import source_choices
from sentiment.errors import SentimentError, TakenOverError, UsageError

if TYPE_CHECKING:  # the schema takes longer to import than help takes to be shown
    from sentiment.config import RunConfig
    from sentiment.run_dir import RunDir

_START = time.time()

# Stopped with everything saved; the same command resumes. (The other codes: 0 done, 1 failed, 2 usage.)
EXIT_UNFINISHED = 3

app = command_line()

ConfigFile = Annotated[Path, typer.Argument(help="The YAML file of a run, such as configs/runs/rnn.yaml.")]
Overrides = Annotated[list[str] | None, typer.Option("--set", help="Change a field: section.field=value.")]
Changes = Annotated[list[str] | None, typer.Argument(metavar="[FIELD=VALUE]...", help="As --set; also --FIELD=VALUE.")]
Data = Annotated[str | None, typer.Option("--data", help=f"{source_choices()}.")]
ResultsRoot = Annotated[Path, typer.Option("--results", help="The folder for all results.")]
RunDirectory = Annotated[Path, typer.Argument(help="The directory of a run; `train` prints it.")]


@app.callback()
def main() -> None:
    """Train sentiment classifiers on tweets, and use them."""


@app.command()
def data(
    source: Annotated[str | None, typer.Argument(help=f"{source_choices()}.")] = None,
    config: Annotated[Path | None, typer.Option("--config", help="Prepare the data as this run needs them.")] = None,
    overrides: Overrides = None,
    results: ResultsRoot = Path("results"),
) -> None:
    """Download a data set, clean, tokenise and split it, and print a summary."""
    from sentiment.config_file import resolve
    from sentiment.data.corpus.corpus import prepare_corpus
    from sentiment.data.registry import find_source
    from sentiment.run_dir import Results
    from sentiment.terminal import Terminal

    run = _load(config, source, overrides) if config else resolve({}, _parameters(source, overrides), "the defaults")
    with Terminal() as terminal:
        find_source(run.data.source).fetch(Results(results), terminal.progress)
        corpus = prepare_corpus(run.data, Results(results), terminal.progress)
    _print("\n".join([*corpus.report.render_lines(), f"prepared in {corpus.path}"]))


@app.command()
def elmo_weights(
    names: Annotated[list[str] | None, typer.Argument(help="small, medium, original or original-5.5b.")] = None,
    results: ResultsRoot = Path("results"),
) -> None:
    """Download published ELMo models (by default small and original-5.5b), check them and store their checksums."""
    from sentiment.elmo.models import fetch_elmo
    from sentiment.run_dir import Results
    from sentiment.terminal import Terminal

    for name in names or ["small", "original-5.5b"]:
        with Terminal() as terminal:
            model = fetch_elmo(name, Results(results).elmo_models, terminal.progress)
        _print(f"{name}: {model.weights_path}")


@app.command()
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
        run = _load(config, data, overrides)
        stop.end = end_of_time(run.runtime.time_limit_seconds, _START)
        if run.elmo is None or not run.elmo.cached:
            raise UsageError(f"{config}: reads no cached ELMo vectors; set elmo.model, and elmo.cache to 'on'")

        from sentiment.run_dir import Results
        from sentiment.terminal import Terminal
        from sentiment.training.encoding import estimate_encoding, run_encoding

        with Terminal() as terminal:
            console = Console(say=terminal.say, progress=terminal.progress)
            if dry_run:
                estimate_encoding([run], Results(results), console)
                return
            reason = run_encoding([run], Results(results), stop, console, verify=verify)
    if reason:
        _print(f"stopped ({reason.detail}); complete shards are kept: the same command goes on")
        raise typer.Exit(EXIT_UNFINISHED)


@app.command(context_settings={"ignore_unknown_options": True})
def train(
    config: ConfigFile,
    changes: Changes = None,
    data: Data = None,
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
        run = _load(config, data, [*_changes(changes or []), *(overrides or [])])
        stop.end = end_of_time(run.runtime.time_limit_seconds, _START)

        from sentiment.code_version import freeze_code
        from sentiment.run_dir import Results
        from sentiment.terminal import Terminal, show_result
        from sentiment.training.context import RunContext
        from sentiment.training.experiment import run_experiment

        freeze_code(Results(results))
        run_dir = Results(results).find_run(run)
        _print(f"run {run_dir.path.name}   {run.description}".rstrip())
        try:
            with Terminal() as terminal:
                console = Console(say=terminal.say, progress=terminal.progress)
                reason = run_experiment(RunContext(run, Results(results), run_dir, stop, console))
        except TakenOverError as error:
            _print(str(error))
            return
        except SentimentError:
            run_dir.discard_unbegun()  # if the tweets cannot be used, for example
            raise
    if reason:
        _print(f"stopped ({reason.detail}); all is saved in {run_dir.path}: the same command goes on")
        raise typer.Exit(EXIT_UNFINISHED)
    show_result(run_dir)


@app.command()
def evaluate(
    run: RunDirectory,
    data: Annotated[Path | None, typer.Option("--data", help="A labelled table instead of the run's data.")] = None,
    overrides: Annotated[list[str] | None, typer.Option("--set", help="As in data.columns.text=tweet.")] = None,
    json_file: Annotated[Path | None, typer.Option("--json", help="Write the metrics to this file as well.")] = None,
    results: ResultsRoot = Path("results"),
) -> None:
    """Print the scores of a trained model on its own test data, or on any labelled table."""
    from sentiment.files import as_json, write_named
    from sentiment.terminal import OUT, Terminal, metrics_table, result_table
    from sentiment.whole_run import read_whole

    run_dir = _trained(run)
    if data is None:
        result = read_whole(run_dir).result
        if result is None:
            raise UsageError(f"{run}: is not completed yet; with --data FILE its best weights so far are evaluated")
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
            outcome = evaluate_file(predictor, named.data, Results(results), terminal.progress)
        OUT.print(metrics_table(data.name, outcome.metrics))
        for line in outcome.render_lines():
            _print(f"  {line}")
        metrics = outcome.metrics.model_dump()
    if json_file:
        write_named(json_file, as_json(metrics))


@app.command()
def predict(
    run: RunDirectory,
    texts: Annotated[list[str] | None, typer.Argument(help="Tweets, each in quotes.")] = None,
    file: Annotated[Path | None, typer.Option("--file", help="CSV, TSV or JSONL of any size.")] = None,
    out: Annotated[Path | None, typer.Option("--out", help="The CSV to write, with the rows of the input.")] = None,
    column: Annotated[str | None, typer.Option("--column", help="The column with the tweets.")] = None,
) -> None:
    """Print the probability that a tweet is positive; for attention models also the weight of each token."""
    if bool(texts) == bool(file) or bool(file) != bool(out):
        raise UsageError("predict takes either tweets in quotes, or --file IN together with --out OUT")
    from sentiment.inference.predictor import load_predictor
    from sentiment.terminal import ERR, OUT, Terminal, say, show_predictions

    predictor = load_predictor(_trained(run))
    if file and out:
        from sentiment.inference.predict_file import predict_file

        with Terminal() as terminal:
            outcome = predict_file(predictor, file, out, column, terminal.progress)
        # An output that is no regular file may be this terminal, or a pipe that holds the table.
        say(
            "\n  ".join([f"{outcome.rows:,} rows written to {out}", *outcome.render_lines()]),
            OUT if out.is_file() else ERR,
        )
    else:
        show_predictions(predictor, texts or [])


@app.command()
def digest(run: RunDirectory) -> None:
    """Print the SHA-256 of a run's best weights, last weights and metric log; equal runs have equal digests."""
    from sentiment.files import sha256_of
    from sentiment.training.checkpoint import read_checkpoint, weights_sha256

    run_dir = _trained(run)
    if not run_dir.completed:
        raise UsageError(f"{run}: is not completed yet; train it to the end first")
    for name, path in (("best", run_dir.best_weights), ("last", run_dir.last_weights)):
        typer.echo(f"{weights_sha256(read_checkpoint(path)['weights'])}  {name} weights")
    typer.echo(f"{sha256_of(run_dir.metrics_file)}  metrics")


def _print(text: str) -> None:
    from sentiment.terminal import say

    say(text)


def _parameters(data: str | None, overrides: list[str] | None) -> dict[str, Any]:
    from sentiment.config_file import parse_override

    parameters = dict(parse_override(override) for override in overrides or [])
    return parameters | ({"data.source": data} if data else {})


def _changes(arguments: list[str]) -> list[str]:
    """Changes of fields that are given without --set; an unknown option among them is refused."""
    for argument in arguments:
        if argument.startswith("-") and not (argument.startswith("--") and "=" in argument):
            raise UsageError(f"{argument}: no such option; `python -m sentiment train --help` lists them")
    return [argument.removeprefix("--") for argument in arguments]


def _load(config: Path, data: str | None, overrides: list[str] | None) -> "RunConfig":
    from sentiment.config_file import read_yaml, resolve

    return resolve(read_yaml(config), _parameters(data, overrides), str(config))


def _trained(path: Path) -> "RunDir":
    from sentiment.run_dir import RunDir

    if not (run_dir := RunDir(path)).config_file.exists():
        raise UsageError(f"{path}: is not a run's directory; `train` prints it, such as results/runs/single/…")
    return run_dir


if __name__ == "__main__":
    app()
