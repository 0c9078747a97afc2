"""The command `share`: a random sample of a file to label, and the share of each class from its labels.

The command line is read before anything heavy is imported.
"""

from pathlib import Path
from typing import Annotated, Literal

import typer

from sentiment.command_line import (
    Classes,
    LabelledSheet,
    ModelOption,
    ModelResults,
    NewSheet,
    TextColumn,
    column_of,
    parse_column,
    repeated,
)
from sentiment.console import ProgressBar, say
from sentiment.errors import UsageError
from sentiment.statistics import MIN_LABELS

app = typer.Typer()


@app.command()
def share(
    model_and_file: Annotated[
        list[Path],
        typer.Argument(
            metavar="[MODEL] FILE",
            help="A run or an exported file, unless there are --answers; and a table of tweets.",
        ),
    ],
    sheet: NewSheet = None,
    labels: Annotated[
        int | None,
        typer.Option(
            "--labels", min=MIN_LABELS, help=f"The size of the sheet; default: 200, or {MIN_LABELS} of each group."
        ),
    ] = None,
    labelled: LabelledSheet = None,
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
    out: Annotated[Path, typer.Option("--out", help="The folder for shares.csv, .json and .svg.")] = Path("shares"),
    text_column: TextColumn = None,
    choice: ModelOption = None,
    results: ModelResults = None,
) -> None:
    """Estimate how many tweets of a file belong to each class.

    Counted predictions are biased. So write a random sample (--sheet), label it from the top, as far as you like, and
    give it back (--labelled): the labels correct the predictions, and each share has an interval. A sheet that ends in
    .html is a page to label on, in any browser. With --by, equally many tweets of each group are drawn, and a group
    needs 30 labels. The predictions are those of a MODEL, or any that stand in a column of FILE (--answers).
    """
    *models, file = model_and_file
    if len(models) + bool(answers) != 1 or (answers and (choice or results)):
        raise UsageError("share takes a MODEL and a FILE, or a FILE alone if --answers names the column of predictions")
    if (sheet and labelled) or (labels and not sheet):
        raise UsageError("share takes either --sheet or --labelled; --labels requires --sheet")
    if (per and not by) or (classes and not answers):
        raise UsageError("--per requires --by; --classes requires --answers")
    from sentiment.inference import share_files
    from sentiment.inference.share_predictors import predictor_of_answers, predictor_of_model

    if answers:
        predictor = predictor_of_answers(file, column_of(answers), text_column, classes)
    else:
        predictor = predictor_of_model(models[0], choice, results)
    grouping = share_files.Grouping(column_of(by), per, day_first) if by else None
    with ProgressBar() as bar:
        population = share_files.read_population(file, predictor, parse_column(text_column), grouping, bar.progress)
    share_files.show_population(population)
    order = [] if day_first is None else ["--day-first" if day_first else "--month-first"]
    options = {"--answers": answers, "--classes": classes, "--text-column": text_column, "--with": choice}
    options |= {"--results": str(results) if results else None, "--by": by, "--per": per}
    command = repeated("share", *model_and_file, *order, **options)
    if sheet:
        share_files.draw(population, predictor.classes, sheet, labels, command)
    elif labelled:
        about = {"file": str(file), "model": str(models[0]) if models else None}
        share_files.estimate(population, predictor, labelled, out, about)
    else:
        share_files.count(population, predictor)
        say(f"For shares without that bias, write a random sample to label:\n{command} --sheet sample.html")
