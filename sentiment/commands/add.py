"""The command `add`: answers from elsewhere to the tweets of a run or of a table."""

import math
from dataclasses import replace
from pathlib import Path
from shlex import quote
from typing import TYPE_CHECKING, Annotated, Any

import typer

from sentiment.command_line import (
    RESULTS,
    ModelResults,
    TableChanges,
    TableOptions,
    is_table,
    parse_column,
    repeated,
    results_of,
    with_options,
)
from sentiment.commands.sheets import NewSheet
from sentiment.console import ProgressBar, say
from sentiment.data.built_in import BUILT_IN, SOURCE_CHOICES
from sentiment.errors import UsageError
from sentiment.files import read_user_file, user_path

if TYPE_CHECKING:
    from sentiment.answers.elsewhere import Asked
    from sentiment.answers.match import AnswersFile

_MAX_NOTE_BYTES = 1_000_000

app = typer.Typer()


def _finite(value: float | None) -> float | None:
    if value is not None and not math.isfinite(value):
        raise typer.BadParameter(f"{value} is not a finite number")
    return value


@app.command()
@with_options
def add(
    of: Annotated[
        str,
        typer.Option(
            "--of",
            metavar="TABLE|RUN",
            help=f"Whose tweets were answered: a table, with true labels or without ({SOURCE_CHOICES}), or a run.",
        ),
    ],
    name: Annotated[str | None, typer.Argument(metavar="NAME", help="The name of the predictor.")] = None,
    file: Annotated[
        Path | None,
        typer.Argument(metavar="FILE", help="A table with tweet ids or texts, and predicted labels."),
    ] = None,
    sheet: NewSheet = None,
    *,
    options: TableOptions,
    annotator: Annotated[
        bool,
        typer.Option("--annotator", help="A person, of whom is told how far they agree with the labels."),
    ] = False,
    note: Annotated[
        Path | None,
        typer.Option("--note", help="A text file that says where the predictions come from, such as the prompt."),
    ] = None,
    cost: Annotated[
        float | None,
        typer.Option("--cost", min=0, callback=_finite, help="Total cost of all predictions, in any currency."),
    ] = None,
    seconds: Annotated[
        float | None,
        typer.Option("--seconds", min=0, callback=_finite, help="Total time of all predictions, in seconds."),
    ] = None,
    overrides: TableChanges = None,
    results: ModelResults = None,
) -> None:
    """Add answers from elsewhere, to be compared with models.

    A language model, a service, a colleague's model or a person becomes a row in `evaluate` and in the report.
    The column with labels is recognised by its name, or named by --label-column. Tweets are matched by id, else by
    text. --set changes how TABLE is read, such as data.columns.text=NAME or data.language=de; --classes names the
    classes and labels of both tables. Of a TABLE without a column of labels, `evaluate` draws tweets on which
    predictors differ, to be labelled.
    """
    from sentiment.answers.elsewhere import add_predictor, write_tweets
    from sentiment.answers.match import AnswersFile
    from sentiment.answers.sheet import how_to_label, labelled_file

    # The columns that are named are those of FILE.
    parameters = replace(options, text_column=None, label_column=None).parameters(of, overrides)
    if sheet and not name:
        asked = _asked(of, None, parameters, results)
        _check_labels(asked)
        write_tweets(asked, sheet)
        order = ", test set first" if len({*asked.parts}) > 1 else ""
        say(f"{sheet}: {len(asked.parts):,} tweets{order}; {how_to_label(sheet, asked.data.label_names)}")
        flags = ["--annotator", *options.reading._replace(text_column=None).words()]
        flags += [word for change in overrides or [] for word in ("--set", change)]
        given = {"--of": of, "--classes": options.classes, "--results": results}
        say(repeated("add", "NAME", labelled_file(sheet), *flags, **given))
        return
    if sheet or not name or not file:
        raise UsageError("add takes either NAME and a table of predictions, or --sheet with the table to write")
    answers = AnswersFile(file, options.reading, parse_column(options.label_column), name)
    asked = _asked(of, answers, parameters, results)
    if annotator:
        _check_labels(asked)
    text = read_user_file(note, _MAX_NOTE_BYTES).decode("utf-8", "replace").strip() if note else ""
    metadata = {"note": text, "annotator": annotator, "cost": cost, "seconds": seconds}
    say("\n".join(add_predictor(asked, name, answers, options.classes, metadata)))
    compared = quote(str(asked.directory))
    if asked.table.has_labels:
        say(f"compare it  sentiment evaluate {compared}")
    elif len([*asked.added.glob("*.json")]) < 2:
        say("a comparison needs two: add another predictor")
    else:
        say(f"compare two  sentiment evaluate {compared} --sheet which.html --labels 100")


def _check_labels(asked: "Asked") -> None:
    """Raise UsageError for tweets without labels, of which a person is asked for answers."""
    if not asked.table.has_labels:
        table = quote(str(asked.directory))
        raise UsageError(
            f"{table}: has no labels that a person could agree with; tweets for people to label are written by "
            f"`sentiment evaluate {table} --sheet` to choose a predictor, and by `sentiment share --sheet` to count"
        )


def _asked(source: str, answers: "AnswersFile | None", parameters: dict[str, Any], results: Path | None) -> "Asked":
    """The tweets of a run or of a table.

    Args:
        parameters: how the table is read, by dotted name.
    """
    from sentiment.answers.elsewhere import tweets_of_run, tweets_of_table
    from sentiment.predicting.stored import open_run

    if source not in BUILT_IN and not is_table(source):
        # How rows are read is said of the table of answers.
        if parameters.keys() - {"data.source", "data.labels", "data.quotes", "data.leave_out"}:
            raise UsageError(f"{source}: is a run, which says how its tweets are read; --set does not")
        return tweets_of_run(open_run(user_path(source), results))
    with ProgressBar() as bar:
        asked, lines = tweets_of_table(source, parameters, answers, results_of(results or RESULTS), bar.progress)
    say("\n".join(lines))
    return asked
