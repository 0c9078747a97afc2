"""The command `share`: a random sample of a file to label, and the share of each class from its labels.

The command line is read before anything heavy is imported.
"""

import shlex
from pathlib import Path
from typing import Annotated, Literal

import typer

from sentiment.command_line import (
    LabelColumn,
    ModelOption,
    ModelPath,
    ModelResults,
    TextColumn,
    column_of,
    parse_column,
    repeated,
)
from sentiment.console import ProgressBar, say
from sentiment.errors import UsageError

app = typer.Typer()


@app.command()
def share(
    model: ModelPath,
    file: Annotated[Path, typer.Argument(metavar="FILE", help="A table of tweets: CSV, TSV, JSONL, Parquet or XLSX.")],
    sheet: Annotated[
        Path | None, typer.Option("--sheet", help="Write a random sample to label: a new .csv or .html file.")
    ] = None,
    labels: Annotated[
        int,
        typer.Option("--labels", min=30, help="The size of the sample; with 200, shares are accurate to 7 points."),
    ] = 200,
    labelled: Annotated[Path | None, typer.Option("--labelled", help="The sheet with labels.")] = None,
    by: Annotated[
        str | None, typer.Option("--by", metavar="NAME", help="Also estimate within the groups of this column.")
    ] = None,
    per: Annotated[
        Literal["day", "week", "month"] | None, typer.Option("--per", help="Group the dates of --by (UTC).")
    ] = None,
    day_first: Annotated[
        bool | None, typer.Option("--day-first/--month-first", help="How dates such as 3/4/2015 are written.")
    ] = None,
    out: Annotated[Path, typer.Option("--out", help="The folder for shares.csv, .json and .svg.")] = Path("shares"),
    text_column: TextColumn = None,
    label_column: LabelColumn = None,
    choice: ModelOption = None,
    results: ModelResults = None,
) -> None:
    """Estimate how many tweets of a file belong to each class.

    Counted predictions are biased. So write a random sample (--sheet), label it from the top, as far as you like, and
    give it back (--labelled): the labels correct the predictions, and each share has an interval. A sheet that ends in
    .html is a page to label on, in any browser. A group of --by needs at least 30 labels; others get no estimate.
    """
    if (sheet and labelled) or (by and not labelled) or (per and not by):
        raise UsageError("share takes either --sheet or --labelled; --by requires --labelled, and --per requires --by")
    from sentiment.inference import share_files
    from sentiment.inference.added import sheet_meanings
    from sentiment.inference.share_statistics import MIN_LABELS, estimate_shares
    from sentiment.inference.stored import open_model
    from sentiment.labelling.sheet import how_to_label, labelled_file, read_labels, write_drawn

    opened = open_model(model, choice, results)
    classes = opened.config.data.label_names
    grouping = share_files.Grouping(column_of(by), per, day_first) if by else None
    with ProgressBar() as bar:
        population = share_files.read_population(opened, file, parse_column(text_column), grouping, bar.progress)
    options = {"--text-column": text_column, "--with": choice, "--results": results}
    command = repeated("share", model, file, **options)
    share_files.show_population(population)
    if sheet:
        number = write_drawn(sheet, population.drawing, labels, classes, MIN_LABELS)
        say(f"{sheet}: {number:,} of {len(population.rows):,} tweets in random order")
        say(how_to_label(sheet, classes))
        say(f"{command} --labelled {shlex.quote(str(labelled_file(sheet)))}")
        return
    if labelled:
        meanings = sheet_meanings(opened.config.data)
        column = column_of(label_column or "label")
        known = read_labels(labelled, population.drawing, meanings, column)
    with ProgressBar() as bar:
        probabilities = share_files.predict_population(opened, population, bar.progress)
    if not labelled:
        share_files.show_counted(opened, probabilities)
        say("For shares without that bias, write a random sample to label:")
        say(f"{command} --sheet sample.html --labels {labels}")
        return
    estimates = estimate_shares(probabilities, known, classes, population.groups, opened.threshold)
    share_files.show_shares(estimates)
    about = {"file": str(file), "model": str(model), "predictor": opened.name, "sheet": str(labelled)}
    say(f"written: {', '.join(map(str, share_files.write_shares(estimates, out, about)))}")
