"""The command `evaluate`: models and added predictors are compared, or chosen by the labels of some tweets."""

from pathlib import Path
from shlex import quote
from typing import TYPE_CHECKING, Annotated, Any

import typer

from sentiment.command_line import (
    A_RUN,
    RESULTS,
    ModelOption,
    ModelResults,
    Out,
    TableChanges,
    TableOptions,
    Threshold,
    is_table,
    repeated,
    results_of,
    with_guesses,
    with_options,
)
from sentiment.commands.sheets import SheetOptions
from sentiment.console import ProgressBar, plural, say
from sentiment.errors import UsageError
from sentiment.files import as_json, check_not_read, write_atomically, write_user_file

if TYPE_CHECKING:
    from sentiment.answers.choose import Rivals
    from sentiment.answers.evaluation import Evaluation
    from sentiment.answers.recommendation import Choice
    from sentiment.data.guess_columns import Reading
    from sentiment.runs.records import ModelKind

_USUAL_LABELS = 200

app = typer.Typer()


@app.command()
@with_options
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
    *,
    options: TableOptions,
    overrides: TableChanges = None,
    out: Out = None,
    everything: Annotated[
        bool, typer.Option("--all", help="Also print other parts, the check list and macro recall of pairs.")
    ] = False,
    choice: ModelOption = None,
    threshold: Threshold = None,
    results: ModelResults = None,
    sheets: SheetOptions,
) -> None:
    """Compare a model with its baselines, or added predictors.

    Evaluates on the run's own test set, or on any labelled table (--data): with 100 labelled tweets of yours or more,
    it also chooses the model and the threshold for tweets like them. If the table has no labels, --sheet writes the
    tweets whose labels tell the models apart, and --labelled chooses by them. --out writes all metrics as JSON.
    """
    from sentiment.answers.evaluation import evaluation_blocks
    from sentiment.blocks.terminal import show

    for target in (out, sheets.settle, copies):
        if target:
            check_not_read(target, run, data, *(sheets.labelled or ()), sheets.settled)
    is_choice = sheets.sheet or sheets.labelled
    if is_choice and (choice or options.classes or overrides or options.label_column or threshold is not None):
        raise UsageError("a table without labels takes, of the options on columns and models, --text-column alone")
    sheets.check(out)
    labelled = sheets.with_labels(results, run)
    asked = labelled.options("evaluate", {"run": run, "data": data})
    if "run" not in asked and labelled.drawn:
        drawn_by = labelled.drawn.command
        raise UsageError(f"{labelled.sheets[0]}: was drawn by `sentiment {drawn_by}`, which reads its labels")
    if "run" not in asked:
        raise UsageError(
            "evaluate takes a RUN or a TABLE, or --labelled with a sheet that it has drawn, and perhaps --results"
        )
    path = _directory(Path(asked["run"]), results)
    data = Path(asked["data"]) if "data" in asked else None
    reading = labelled.reading("evaluate", options.reading)
    if copies:
        _list_copies(path, data, reading, results, copies)
    elif is_choice:
        rivals = _rivals(path, data, reading, results)
        if sheets.sheet:
            dealing = sheets.dealing(min(sheets.size or _USUAL_LABELS, len(rivals.table.tweets)))
            rivals.draw(sheets.sheet, dealing, labelled.results)
            return
        chosen = rivals.choose(labelled)
        if chosen:
            _write_choice(chosen, path, out)
    else:
        parameters = options.parameters(str(data) if data else None, overrides)
        evaluation = _evaluation(path, data, choice, threshold, results, parameters)
        show(evaluation_blocks(evaluation, everything))
        if out:
            write_user_file(out, as_json(evaluation.as_dict()))


def _write_choice(choice: "Choice", path: Path, out: Path | None) -> None:
    """Write the choice of the best predictor to a file, and beside the table to which the predictors were added."""
    from sentiment.answers.table import AnswersDir
    from sentiment.runs.run_dir import sealed

    if AnswersDir(path).record_file.exists():
        write_atomically(AnswersDir(path).choice_file, sealed(choice))
    if out:
        write_user_file(out, as_json(choice.model_dump(mode="json")))


def _directory(name: Path, results: Path | None) -> Path:
    """The directory in which `add` stored the answers to a table, if it or the table is named; else the name of a run.

    Raises:
        UsageError: there are answers to several tables of this name, or to none; of a file that exists, to none that
            is as the file is now.
    """
    from sentiment.answers.elsewhere import answers_to

    answers = results_of(results or RESULTS).answers
    if (answers / name).is_dir():
        return answers / name
    if name.is_dir() or not is_table(str(name)):
        return name
    named, same = answers_to(name, answers)
    if len(same) == 1:
        return same[0]
    shown = ", ".join(map(str, same or named))
    if same:
        raise UsageError(f"{name}: there are answers to several such tables; name one: {shown}")
    if not named and not name.is_file():
        raise UsageError(f"{name}: no such file, and no answers to a table of this name in the results folder")
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
    """Evaluate a table with answers, a run on its own tweets, or on labelled data, whose columns may be guessed."""
    from sentiment.answers.evaluate import evaluate_on_file, evaluate_on_own, evaluate_on_table
    from sentiment.answers.table import AnswersDir
    from sentiment.data.sources import open_to_test
    from sentiment.predicting.stored import open_run
    from sentiment.runs.run_dir import name_of

    if AnswersDir(path).record_file.exists():
        if parameters or choice or threshold is not None:
            raise UsageError(f"{path}: is a table; --data, --with and --threshold require a run, which has models")
        return evaluate_on_table(path)
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


def _rivals(run: Path, data: Path | None, reading: "Reading", results: Path | None) -> "Rivals":
    """The models of a run with their predictions for a table, or the predictors that were added for a table."""
    from sentiment.answers.choose import rivals_from_elsewhere, rivals_of_run
    from sentiment.answers.table import AnswersDir
    from sentiment.predicting.stored import open_run

    if AnswersDir(run).record_file.exists():
        if data:
            raise UsageError(f"{run}: holds the tweets of its predictors; --data requires a run")
        return rivals_from_elsewhere(run)
    if data is None:
        raise UsageError(f"{run}: is a run; --sheet and --labelled require --data, a table without labels")
    trained = open_run(run, results)
    with ProgressBar() as bar:
        rivals, lines = rivals_of_run(trained, data, reading, bar.progress)
    if lines:
        say("\n".join(lines))
    return rivals


def _list_copies(run: Path, data: Path | None, reading: "Reading", results: Path | None, target: Path) -> None:
    from sentiment.predicting.new_tweets import list_overlaps
    from sentiment.predicting.stored import open_run

    if data is None:
        raise UsageError("--copies requires a run, and --data, the table whose rows are compared with its tweets")
    with ProgressBar() as bar:
        number = list_overlaps(open_run(run, results), data, reading, target, bar.progress)
    say(f"{target}: {plural(number, 'row')} of {data} that overlap with the run's tweets")
