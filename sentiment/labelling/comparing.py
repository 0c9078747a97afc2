"""The commands that compare predictors: `evaluate`, and `add` for those from elsewhere."""

import math
from dataclasses import replace
from pathlib import Path
from shlex import quote
from typing import TYPE_CHECKING, Annotated, Any

import typer

from sentiment.command_line import (
    A_RUN,
    RESULTS,
    Annotators,
    Classes,
    Guidelines,
    LabelColumn,
    LeaveOut,
    ModelOption,
    ModelResults,
    NewSheet,
    Out,
    QuotesOption,
    Settle,
    Settled,
    SharedTweets,
    SheetsWithLabels,
    TableChanges,
    TextColumn,
    Threshold,
    is_table,
    parameters_of,
    parse_column,
    repeated,
    results_of,
    with_guesses,
)
from sentiment.console import ProgressBar, plural, say
from sentiment.data.built_in import BUILT_IN, SOURCE_CHOICES
from sentiment.errors import UsageError
from sentiment.files import as_json, check_not_read, read_user_file, write_atomically, write_user_file
from sentiment.statistics import MIN_LABELS

if TYPE_CHECKING:
    from sentiment.data.classes import Classes as ClassesOfData
    from sentiment.data.guess_columns import Reading
    from sentiment.data.table import Table
    from sentiment.inference.added import NamedColumns, Tweets
    from sentiment.inference.evaluation import Evaluation
    from sentiment.labelling.annotators import LabelledSheets
    from sentiment.labelling.unlabelled import PredictedTable
    from sentiment.runs.records import ModelKind

_MAX_NOTE_BYTES = 1_000_000
_USUAL_LABELS = 200

app = typer.Typer()


@app.command()
def evaluate(
    run: Annotated[
        Path | None,
        typer.Argument(
            metavar="RUN|TABLE",
            help=f"{A_RUN}, or a table with answers of `sentiment add`: its file, or the directory in results. "
            "Sheets with labels know theirs.",
        ),
    ] = None,
    data: Annotated[
        Path | None,
        typer.Option(
            "--data", help="A table; tweets that the run was trained or validated on are excluded, and copies."
        ),
    ] = None,
    copies: Annotated[
        Path | None,
        typer.Option("--copies", help="Only list the rows that copy tweets of the run, each with its tweet, as CSV."),
    ] = None,
    sheet: NewSheet = None,
    sheet_size: Annotated[
        int | None,
        typer.Option("--labels", min=MIN_LABELS, help=f"The size of the sheet; default: {_USUAL_LABELS}."),
    ] = None,
    annotators: Annotators = None,
    shared: SharedTweets = None,
    guidelines: Guidelines = None,
    labelled: SheetsWithLabels = None,
    settle: Settle = None,
    settled: Settled = None,
    text_column: TextColumn = None,
    label_column: LabelColumn = None,
    classes: Classes = None,
    quotes: QuotesOption = None,
    leave_out: LeaveOut = None,
    overrides: TableChanges = None,
    out: Out = None,
    mistakes: Annotated[
        Path | None,
        typer.Option("--mistakes", help="Write all tweets that the model has wrong, as .csv or .xlsx."),
    ] = None,
    everything: Annotated[
        bool, typer.Option("--all", help="Also print other parts, shares, the check list and macro recall of pairs.")
    ] = False,
    choice: ModelOption = None,
    threshold: Threshold = None,
    results: ModelResults = None,
) -> None:
    """Compare a model with its baselines, or added predictors.

    Evaluates on the run's own test set, or on any labelled table (--data): with 100 labelled tweets of yours or more,
    it also chooses the model and the threshold for tweets like them. If the table has no labels, --sheet writes the
    tweets whose labels tell the models apart, and --labelled chooses by them. --out writes all metrics as JSON.
    """
    from sentiment.data.guess_columns import Reading
    from sentiment.labelling.annotators import LabelledSheets
    from sentiment.labelling.drawn import dealing

    for target in (out, mistakes, settle, copies):
        if target:
            check_not_read(target, run, data, *(labelled or ()), settled)
    if out and out == mistakes:
        raise UsageError(f"{out}: --out and --mistakes name the same file")
    if (sheet_size or annotators) and not sheet:
        raise UsageError("--labels requires --sheet, and so does --for")
    if (settle or settled) and len(labelled or ()) < 2:
        raise UsageError("--settle and --settled require the sheets of several annotators, each by --labelled")
    if sheet or labelled:
        if choice or classes or overrides or mistakes or label_column or threshold is not None:
            raise UsageError("a table without labels takes, of the options on columns and models, --text-column alone")
        if sheet and (labelled or out):
            raise UsageError("a new --sheet has no labels yet, so it takes neither --labelled nor --out")
    reading = Reading(parse_column(text_column), quotes, leave_out or ())
    if copies:
        if run is None or data is None:
            raise UsageError("--copies requires a run, and --data, the table whose rows are compared with its tweets")
        _list_copies(run, data, reading, results, copies)
        return
    if sheet:
        dealt = dealing(annotators or (), shared, sheet_size or _USUAL_LABELS, guidelines)
        _draw(run, data, reading, results, sheet, dealt)
        return
    if labelled:
        scores = _choose(run, data, reading, results, LabelledSheets(labelled, None, settled, settle))
    else:
        if run is None:
            raise UsageError("evaluate takes a RUN or a TABLE, or --labelled with a sheet that it has drawn")
        parameters = parameters_of(str(data) if data else None, overrides, text_column, label_column, classes, quotes)
        parameters |= {"data.leave_out": leave_out} if leave_out else {}
        evaluation = _evaluation(_directory(run, results), data, choice, threshold, results, parameters)
        scores = _show(evaluation, everything, mistakes)
    if out and scores:
        write_user_file(out, as_json(scores))


def _show(evaluation: "Evaluation", everything: bool, mistakes: Path | None) -> dict[str, Any]:
    """Print the scores, and write the misclassified tweets to a file if one is named; returns the scores."""
    from sentiment.inference.evaluation import list_mistakes, show

    show(evaluation, everything)
    if mistakes:
        list_mistakes(evaluation, mistakes)
    return evaluation.as_dict()


def _draw(
    run: Path | None,
    data: Path | None,
    reading: "Reading",
    results: Path | None,
    sheet: Path,
    dealt: dict[str, Any],
) -> None:
    """Write sheets of the tweets whose labels tell predictors apart."""
    from sentiment.labelling.drawn import sheet_files
    from sentiment.labelling.sheet import check_new

    if run is None:
        raise UsageError("--sheet requires a RUN and --data, or a TABLE with answers")
    for file in sheet_files(sheet, dealt["annotators"]):
        check_new(file)
    _predicted_table(_directory(run, results), data, reading, results).draw(sheet, dealt)


def _choose(
    run: Path | None, data: Path | None, reading: "Reading", results: Path | None, sheets: "LabelledSheets"
) -> dict[str, Any]:
    """Choose the best predictor by labels, for the run and the table for which their sheet was drawn, if that is known.

    Returns:
        What `--out` writes; nothing if labels are to be settled first.
    """
    from sentiment.labelling.drawn import drawn_for
    from sentiment.runs.run_dir import UnlabelledDir, sealed

    drawn = drawn_for(sheets.sheets, results_of(results or RESULTS))
    if drawn and drawn.command == "evaluate":
        run = Path(drawn.options["run"])
        table = drawn.options.get("data")
        data = data or (Path(table) if table else None)
        reading = type(reading).of_options(drawn.options | reading.as_options())
        say(f"drawn for {run}" + (f" and {data}" if data else ""))
    if run is None:
        raise UsageError(
            f"{sheets.sheets[0]}: it is not known for which run or table it was drawn; name it, and perhaps --results"
        )
    run = _directory(run, results)
    chosen = _predicted_table(run, data, reading, results).choose(replace(sheets, drawn=drawn))
    if chosen is None:
        return {}
    if UnlabelledDir(run).record_file.exists():
        write_atomically(UnlabelledDir(run).choice_file, sealed(chosen))
    return chosen.model_dump(mode="json")


def _directory(name: Path, results: Path | None) -> Path:
    """The directory in which `add` stored the answers to a table, if a table is named; else the name of a run.

    Raises:
        UsageError: there are answers to several tables of this name, or to none; of a file that exists, to none that
            is as the file is now.
    """
    from sentiment.inference.gold import was_read_from

    if name.is_dir() or not is_table(str(name)):
        return name
    folder = results_of(results or RESULTS)
    stem = name.name.partition(".")[0]
    tables = sorted([*folder.gold.glob("*-????????"), *folder.unlabelled.glob("*-????????")])
    named = [path for path in tables if path.name.rpartition("-")[0] == stem]
    found = [path for path in named if was_read_from(path, name)] if name.is_file() else named
    if len(found) == 1:
        return found[0]
    shown = ", ".join(map(str, found or named))
    if found:
        raise UsageError(f"{name}: there are answers to several such tables; name one: {shown}")
    others = f"; those in {shown} are to another table, or to this one before it changed" if named else ""
    table = quote(str(name))
    raise UsageError(
        f"{name}: has no answers{others}. `sentiment evaluate last --data {table}` scores a model on its tweets; "
        f"`sentiment add NAME FILE --of {table}` adds answers from elsewhere"
    )


def _evaluation(
    path: Path,
    data: Path | None,
    choice: "ModelKind | None",
    threshold: float | None,
    results: Path | None,
    parameters: dict[str, Any],
) -> "Evaluation":
    """Evaluate a gold table, a run on its own tweets, or a run on labelled data, whose columns may be guessed."""
    from sentiment.data.sources import open_to_test
    from sentiment.inference.evaluate import evaluate_on_gold, evaluate_on_own
    from sentiment.inference.own_sample import evaluate_on_file
    from sentiment.inference.stored import open_run
    from sentiment.runs.run_dir import GoldDir, UnlabelledDir, name_of

    if UnlabelledDir(path).record_file.exists():
        raise UsageError(f"{path}: has no labels; --sheet writes tweets to label, and --labelled compares by them")
    if GoldDir(path).record_file.exists():
        if parameters or choice or threshold is not None:
            raise UsageError(f"{path}: is a gold table; --data, --with and --threshold require a run, which has models")
        return evaluate_on_gold(path)
    run = open_run(path, results)
    if data is None:
        if threshold is not None or parameters:
            raise UsageError("--threshold, --set, --classes, --text-column and --label-column require --data")
        return evaluate_on_own(run, choice)
    columns = run.config.data.columns.model_dump(exclude={"part"})  # another table may lack parts
    trained_on = {"data": {"columns": columns, "labels": run.config.data.labels}}
    try:
        guessed, opened = with_guesses(trained_on, (), parameters, str(run.run_dir.config_file))
    except UsageError as error:
        if "data.columns.label" in parameters:
            raise
        draws = repeated("evaluate", name_of(run.run_dir), "--data", data, "--sheet", "which.html")
        raise UsageError(f"{error}\nIf the table has no labels, this draws tweets to label: {draws}") from None
    labels = guessed.data.labels.renamed(run.config.data.label_names)
    table = guessed.data.model_copy(update={"labels": labels})
    file = open_to_test(table, opened, run.results)
    with ProgressBar() as bar:
        return evaluate_on_file(run, choice, file, bar.progress, threshold, table.leave_out)


def _predicted_table(run: Path, data: Path | None, reading: "Reading", results: Path | None) -> "PredictedTable":
    """A table without labels with the predictions of a run, or of the predictors that were added for it."""
    from sentiment.inference.stored import open_run
    from sentiment.labelling.unlabelled import answered_table, predict_table
    from sentiment.runs.run_dir import UnlabelledDir

    if UnlabelledDir(run).record_file.exists():
        if data:
            raise UsageError(f"{run}: holds the tweets of its predictors; --data requires a run")
        return answered_table(run)
    if data is None:
        raise UsageError(f"{run}: is a run; --sheet and --labelled require --data, a table without labels")
    trained = open_run(run, results)
    with ProgressBar() as bar:
        table, lines = predict_table(trained, data, reading, bar.progress)
    if lines:
        say("\n".join(lines))
    return table


def _list_copies(run: Path, data: Path, reading: "Reading", results: Path | None, target: Path) -> None:
    from sentiment.inference.overlap import list_overlaps
    from sentiment.inference.stored import open_run

    with ProgressBar() as bar:
        number = list_overlaps(open_run(run, results), data, reading, target, bar.progress)
    say(f"{target}: {plural(number, 'row')} of {data} that overlap with the run's tweets")


def _finite(value: float | None) -> float | None:
    if value is not None and not math.isfinite(value):
        raise typer.BadParameter(f"{value} is not a finite number")
    return value


@app.command()
def add(
    of: Annotated[
        str,
        typer.Option(
            "--of",
            metavar="GOLD|RUN",
            help=f"What was labelled: a table of tweets with their true labels ({SOURCE_CHOICES}), or the tweets of a "
            "run.",
        ),
    ],
    name: Annotated[str | None, typer.Argument(metavar="NAME", help="The name of the predictor.")] = None,
    file: Annotated[
        Path | None,
        typer.Argument(metavar="FILE", help="A table with tweet ids or texts, and predicted labels."),
    ] = None,
    unlabelled: Annotated[
        bool, typer.Option("--unlabelled", help="GOLD has no labels; predictors are compared where they differ.")
    ] = False,
    sheet: NewSheet = None,
    text_column: TextColumn = None,
    label_column: LabelColumn = None,
    classes: Classes = None,
    quotes: QuotesOption = None,
    leave_out: LeaveOut = None,
    annotator: Annotated[
        bool,
        typer.Option("--annotator", help="The predictor is a person, who is never recommended."),
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
    text. --set changes how GOLD is read, such as data.columns.text=NAME or data.language=de; --classes names the
    classes and labels of both tables.
    """
    from sentiment.data.guess_columns import Reading
    from sentiment.inference.added import NamedColumns, add_predictions, write_tweets
    from sentiment.labelling.sheet import how_to_label, labelled_file

    named = NamedColumns(parse_column(text_column), parse_column(label_column), quotes, leave_out or ())
    answers = (file, named) if file else None
    parameters = parameters_of(of, overrides, classes=classes, quotes=quotes)
    parameters |= {"data.leave_out": leave_out} if leave_out else {}
    tweets = _tweets_to_answer(of, unlabelled, answers, parameters, results)
    if sheet and not name:
        number = write_tweets(tweets, sheet)
        order = ", test set first" if len(tweets.part_names) > 1 else ""
        say(f"{sheet}: {number:,} tweets{order}; {how_to_label(sheet, tweets.data.label_names)}")
        flags = ["--annotator", *["--unlabelled"] * unlabelled, *Reading(None, quotes, leave_out or ()).words()]
        flags += [word for change in overrides or [] for word in ("--set", change)]
        options = {"--of": of, "--classes": classes, "--results": results}
        say(repeated("add", "NAME", labelled_file(sheet), *flags, **options))
        return
    if sheet or not name or not file:
        raise UsageError("add takes either NAME and a table of predictions, or --sheet with the table to write")
    text = read_user_file(note, _MAX_NOTE_BYTES).decode("utf-8", "replace").strip() if note else ""
    metadata = {"note": text, "annotator": annotator, "cost": cost, "seconds": seconds}
    say("\n".join(add_predictions(tweets, name, file, named, classes, metadata)))
    compared = quote(of if results is None and is_table(of) else str(tweets.directory))
    if unlabelled:
        say(f"compare two  sentiment evaluate {compared} --sheet which.html --labels 100")
    else:
        say(f"compare it  sentiment evaluate {compared}")


def _tweets_to_answer(
    source: str,
    unlabelled: bool,
    answers: "tuple[Path, NamedColumns] | None",
    parameters: dict[str, Any],
    results: Path | None,
) -> "Tweets":
    """The tweets of a run or of a table, for which a directory in the results folder is written.

    Args:
        answers: the table whose answers name the classes of a table without labels, if it is known, and its columns.
        parameters: how the table is read, by dotted name.
    """
    from sentiment.config_file import resolve
    from sentiment.files import user_path
    from sentiment.inference.added import Tweets, classes_of_answers, with_own_names
    from sentiment.inference.gold import column_parameters, open_gold, open_unlabelled
    from sentiment.inference.stored import open_run

    path = user_path(source)
    classes = parameters.get("data.labels")
    if source not in BUILT_IN and not is_table(source):
        # How rows are read is said of the table of answers.
        if unlabelled or parameters.keys() - {"data.source", "data.labels", "data.quotes", "data.leave_out"}:
            raise UsageError(f"{source}: is a run, which says how its tweets are read; --unlabelled and --set do not")
        return Tweets.of_run(open_run(path, results))

    def classes_of(known: "ClassesOfData | None") -> "ClassesOfData":
        if classes:
            return with_own_names(classes)
        if answers:
            return classes_of_answers(*answers, known)
        if known is None:
            raise UsageError(f"{source}: has no labels or answers yet that name its classes; --classes names them")
        return known

    parameters = {name: value for name, value in parameters.items() if name != "data.labels"}
    if classes and not unlabelled:
        parameters["data.labels"] = with_own_names(classes)
    table = _opened(path, parameters) if path.is_file() else None
    if table:
        parameters = column_parameters(table) | parameters
    folder = results_of(results or RESULTS)
    with ProgressBar() as bar:
        if unlabelled and table:
            data = resolve({}, parameters, "--of").data
            tweets, lines = open_unlabelled(data, table, classes_of, folder, bar.progress)
        else:
            guessed, opened = with_guesses({}, (), parameters, "--of", table=table)
            tweets, lines = open_gold(guessed.data, opened, folder, bar.progress)
    say("\n".join(lines))
    return tweets


def _opened(path: Path, parameters: dict[str, Any]) -> "Table":
    """A table that is read with these parameters, by dotted name."""
    from sentiment.config import ColumnConfig
    from sentiment.data.table import ID_NAMES
    from sentiment.data.table_files import open_table

    columns = [value for name, value in parameters.items() if name.startswith("data.columns.")]
    expected = [*ID_NAMES, *dict(ColumnConfig()).values(), *columns]
    return open_table(path, expected, quotes=parameters.get("data.quotes"))
