"""The commands that use a trained model and hand it on: predict, export, card."""

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from sentiment.command_line import command_line
from sentiment.errors import UsageError

if TYPE_CHECKING:
    from sentiment.config import ElmoConfig
    from sentiment.inference.combined import Choice
    from sentiment.models.text_model import TextModel
    from sentiment.run_dir import RunDir

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
    from sentiment.handing_on.opening import open_model
    from sentiment.records import THRESHOLD, checked_threshold
    from sentiment.run_dir import Results

    positive_from = THRESHOLD if threshold is None else checked_threshold(threshold)
    opened = open_model(model, chosen, Results(results))
    why = f"--with {chosen}" if chosen else "the most accurate on validation tweets"
    why += "" if threshold is None else f"; positive from {threshold:g} on"
    if file and out:
        _predict_file(opened, file, out, column, why, positive_from)
        return
    from sentiment.inference.answers import lines_at_once, show_answers

    if from_stream and sys.stdin.isatty():
        typer.echo("one tweet a line; Ctrl+D ends", err=True)
    show_answers(opened, lines_at_once(sys.stdin.buffer) if from_stream else [texts or []], form, why, positive_from)  # type: ignore[arg-type]


def _predict_file(model: "TextModel", file: Path, out: Path, column: str | None, why: str, threshold: float) -> None:
    from sentiment.inference.predict_file import predict_file
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
    from sentiment.handing_on.archive import write_archive
    from sentiment.handing_on.handed_on import hand_on
    from sentiment.progress_bar import say
    from sentiment.whole_run import trained_run

    if file.suffix.lower() != ".zip":
        raise UsageError(f"{file}: a model is handed on as a zip file; name it {file.with_suffix('.zip')}")
    run_dir = trained_run(run)
    model = hand_on(run_dir)
    sizes = write_archive(run_dir, model, file)
    say(f"{file}  {file.stat().st_size:,} bytes: " + ", ".join(f"{name} {size:,}" for name, size in sizes.items()))
    text = model.config.data.text
    if text.mentions == "keep":
        say("warning: vocabulary.txt holds @names of the tweets, since data.text.mentions = keep")
    if model.result.elmo and model.config.elmo:
        say(f"it reads {_elmo_of(model.config.elmo, model.result.elmo.fingerprint, run_dir)}")
    say(f'use it    sentiment predict {file} "what a lovely day"')


@using.command()
def card(model: ModelPlace) -> None:
    """Print the model card of a run or of an exported file, in Hugging Face's format."""
    from sentiment.characters import printable
    from sentiment.handing_on.archive import open_archive
    from sentiment.handing_on.handed_on import hand_on
    from sentiment.handing_on.model_card import model_card
    from sentiment.whole_run import trained_run

    handed_on = open_archive(model).model if model.is_file() else hand_on(trained_run(model))
    typer.echo(printable(model_card(handed_on)), nl=False)


def _elmo_of(elmo: "ElmoConfig", fingerprint: str, run_dir: "RunDir") -> str:
    """The ELMo model that a file does not hold, and how who gets the file gets it."""
    from sentiment.config.model import ELMO_MODELS
    from sentiment.elmo.models import own_model_dir

    if elmo.pretrained:
        folder = own_model_dir(fingerprint, elmo.model, run_dir.results).path
        return f"the language model in {folder}, which is not in it: it has to be copied to results/data/pretrained"
    if elmo.model in ELMO_MODELS:
        return f"the ELMo model {elmo.model!r}, which is not in it; `sentiment elmo-weights` fetches it"
    return f"the ELMo model {elmo.model!r}, which is not in it, from the folder in which it is used"


def named_choice(name: str | None) -> "Choice | None":
    """The model that `--with` names."""
    from sentiment.inference.combined import CHOICES

    for choice in CHOICES:
        if name == choice:
            return choice
    if name is not None:
        raise UsageError(f"--with {name}: valid are {', '.join(CHOICES)}")
    return None
