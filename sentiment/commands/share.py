"""The command `share`: a random sample of a file to label, and the share of each class from its labels."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from sentiment.command_line import (
    Classes,
    ModelOption,
    ModelResults,
    ReadingOptions,
    parse_column,
    repeated,
    with_options,
)
from sentiment.commands.sheets import SheetOptions
from sentiment.console import ProgressBar, say
from sentiment.errors import UsageError

if TYPE_CHECKING:
    from sentiment.answers.share import Population, SharePredictor
    from sentiment.data.guess_columns import Reading
    from sentiment.runs.run_dir import Results

_USAGE = "share takes a MODEL and a FILE, a FILE alone if --answers names the column of predictions, or --labelled"

app = typer.Typer()


@app.command()
@with_options
def share(
    model_and_file: Annotated[
        list[Path] | None,
        typer.Argument(
            metavar="[MODEL] FILE",
            help="A run or an exported file, unless there are --answers; and a table of tweets. Labelled sheets "
            "know theirs.",
        ),
    ] = None,
    by: Annotated[
        str | None, typer.Option("--by", metavar="NAME", help="Also estimate within the groups of this column.")
    ] = None,
    per: Annotated[
        Literal["day", "week", "month"] | None, typer.Option("--per", help="Group the dates of --by (UTC).")
    ] = None,
    day_first: Annotated[
        bool | None, typer.Option("--day-first/--month-first", help="How dates such as 3/4/2015 are written.")
    ] = None,
    answers: Annotated[
        str | None,
        typer.Option("--answers", metavar="NAME", help="The column with another predictor's labels, such as GPT's."),
    ] = None,
    classes: Classes = None,
    *,
    table: ReadingOptions,
    out: Annotated[Path, typer.Option("--out", help="The folder for shares.csv, .json and .svg.")] = Path("shares"),
    choice: ModelOption = None,
    results: ModelResults = None,
    sheets: SheetOptions,
) -> None:
    """Estimate how many tweets of a file belong to each class.

    Counted predictions are biased. So write a random sample (--sheet), label it from the top, as far as you like, and
    give it back (--labelled): the labels correct the predictions, and each share has an interval. A sheet that ends in
    .html is a page to label on, in any browser. With --by, equally many tweets of each group are drawn, and a group
    needs 30 labels. The predictions are those of a MODEL, or any that stand in a column of FILE (--answers).
    """
    from sentiment.answers import share as shares
    from sentiment.answers.annotators import SheetRecord

    sheets.check()
    model, file = _model_and_file(model_and_file or ())
    given: dict[str, Any] = {"model": model, "file": file, "by": by, "per": per, "answers": answers, "classes": classes}
    given["with"] = choice
    if day_first is not None:
        given["order"] = "day" if day_first else "month"
    labelled = sheets.with_labels(results, model)
    options = labelled.options("share", given)
    reading = labelled.reading("share", table.reading)
    tweets, predictor = _read(options, reading, results)
    folder = labelled.results
    tweets.show()
    if labelled.sheets:
        shares.estimate(tweets, predictor, labelled, out)
    elif sheets.sheet:
        options["file"] = str(Path(options["file"]).resolve())
        dealing = sheets.dealing(tweets.sheet_size(sheets.size))
        drawing = SheetRecord(command="share", options=options, reading=reading, dealing=dealing)
        shares.draw(tweets, predictor, sheets.sheet, drawing, folder)
    else:
        shares.count(tweets, predictor)
        command = _repeated(options, reading, folder)
        say(f"For shares without that bias, write a random sample to label:\n{command} --sheet sample.html")


def _model_and_file(words: Sequence[Path]) -> tuple[Path | None, Path | None]:
    if len(words) > 2:
        raise UsageError(_USAGE)
    model, file = [None, None, *words][-2:]
    return model, file


def _repeated(options: dict[str, str], reading: "Reading", results: "Results") -> str:
    """The command with the same arguments, in which a model has the name that it keeps."""
    words = [options[name] for name in ("model", "file") if name in options]
    if "order" in options:
        words.append(f"--{options['order']}-first")
    words += reading.words()
    given = {f"--{name}": options.get(name) for name in ("by", "per", "answers", "classes", "with")}
    return repeated("share", *words, *results.options, **given)


def _read(options: dict[str, str], reading: "Reading", results: Path | None) -> "tuple[Population, SharePredictor]":
    """The tweets and the predictions that the arguments name, of which the model gets the name that it keeps."""
    from sentiment.answers.share import Grouping, predictor_of_answers, predictor_of_model, read_population
    from sentiment.config import ColumnConfig
    from sentiment.runs.records import MODEL_KINDS

    if "file" not in options or ("model" in options) == ("answers" in options) or {"answers", "with"} <= {*options}:
        raise UsageError(_USAGE)
    if ("per" in options and "by" not in options) or ("classes" in options and "answers" not in options):
        raise UsageError("--per requires --by; --classes requires --answers")
    file = Path(options["file"])
    trained = ColumnConfig()
    if "answers" not in options:
        choice = next((kind for kind in MODEL_KINDS if kind == options.get("with")), None)
        predictor = predictor_of_model(Path(options["model"]), choice, results)
        options["model"] = str(predictor.model)
        trained = predictor.data.columns
    by = parse_column(options.get("by"))
    day_first = {"day": True, "month": False}.get(options.get("order", ""))
    grouping = None if by is None else Grouping(by, options.get("per"), day_first)
    answers = parse_column(options.get("answers"))
    with ProgressBar() as bar:
        tweets = read_population(file, trained, reading, answers, grouping, bar.progress)
    if answers is not None:
        predictor = predictor_of_answers(file, answers, tweets.rows, options.get("classes"))
    return tweets, predictor
