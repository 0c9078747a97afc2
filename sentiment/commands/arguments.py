"""What the commands of `python -m sentiment` share: arguments, how these become a run, and when the clock began."""

import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from sentiment.data.data_source import source_choices
from sentiment.shipped import config_file

if TYPE_CHECKING:  # the schema takes longer to import than help takes to be shown
    from sentiment.config import DataConfig, RunConfig
    from sentiment.data.understanding import Understanding

START = time.time()
"""When the command began."""

# Stopped with everything saved; the same command resumes. (The other codes: 0 done, 1 failed, 2 usage.)
EXIT_UNFINISHED = 3

ConfigFile = Annotated[Path, typer.Argument(help="The YAML file of a run, or its name in configs/runs.")]
Overrides = Annotated[list[str] | None, typer.Option("--set", help="Change a field: section.field=value.")]
Data = Annotated[str | None, typer.Option("--data", help=f"{source_choices()}.")]
ResultsRoot = Annotated[Path, typer.Option("--results", help="The folder for all results.")]


TextColumn = Annotated[str | None, typer.Option("--text-column", help="The table's column with the tweets.")]
LabelColumn = Annotated[str | None, typer.Option("--label-column", help="The table's column with the labels.")]
PositiveLabels = Annotated[list[str] | None, typer.Option("--positive", help="A label that means positive.")]
NegativeLabels = Annotated[list[str] | None, typer.Option("--negative", help="A label that means negative.")]


def load_run(
    config: Path, data: str | None, overrides: list[str] | None, table: "dict[str, Any] | None" = None
) -> "RunConfig":
    """The run that a file and the options of a command describe; columns that it has to guess are told.

    Args:
        table: what `table_parameters` gives.

    Raises:
        ConfigError: the file is missing, or values do not fit the schema.
        UsageError: it is not clear what the columns or labels of its table mean.
    """
    from sentiment.config_file import dotted, read_yaml, resolve

    config = config_file(config, "runs")
    values, parameters = read_yaml(config), named_parameters(data, overrides) | (table or {})
    run = resolve(values, parameters, str(config))
    found = understood(run.data, {**dotted(values), **parameters})
    if found is None or not found.guessed:
        return run
    for line in found.told():
        show(line)
    return resolve(values, found.guessed | parameters, str(config))


def table_parameters(
    text_column: str | None, label_column: str | None, positive: list[str] | None, negative: list[str] | None
) -> dict[str, Any]:
    """What the options on a table change, by dotted name; a number is a column's position, counted from 0."""
    columns = {"data.columns.text": text_column, "data.columns.label": label_column}
    found: dict[str, Any] = {
        name: int(column) if column.isdigit() else column for name, column in columns.items() if column is not None
    }
    return found | {
        name: labels
        for name, labels in (("data.labels.positive", positive), ("data.labels.negative", negative))
        if labels
    }


def understood(data: "DataConfig", given: "dict[str, Any]") -> "Understanding | None":
    """How a table of the user's own is read; None for other data, and where reading it will say what is wrong.

    Args:
        given: values that somebody has set, by dotted name.
    """
    from sentiment.data.understanding import understand

    return understand(data, given.keys())


def named_parameters(data: str | None, overrides: list[str] | None) -> dict[str, Any]:
    """What `--data` and `--set` change, by dotted name."""
    from sentiment.config_file import parse_override

    parameters = dict(parse_override(override) for override in overrides or [])
    return parameters | ({"data.source": data} if data else {})


def show(text: str) -> None:
    """Print lines of plain text."""
    from sentiment.progress_bar import say

    say(text)
