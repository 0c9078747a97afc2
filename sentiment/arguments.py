"""What the commands of `python -m sentiment` share: arguments, how these become a run, and when the clock began."""

import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from sentiment.data.data_source import source_choices
from sentiment.shipped import config_file

if TYPE_CHECKING:  # the schema takes longer to import than help takes to be shown
    from sentiment.config import RunConfig

START = time.time()
"""When the command began."""

# Stopped with everything saved; the same command resumes. (The other codes: 0 done, 1 failed, 2 usage.)
EXIT_UNFINISHED = 3

ConfigFile = Annotated[Path, typer.Argument(help="The YAML file of a run, or its name in configs/runs.")]
Overrides = Annotated[list[str] | None, typer.Option("--set", help="Change a field: section.field=value.")]
Data = Annotated[str | None, typer.Option("--data", help=f"{source_choices()}.")]
ResultsRoot = Annotated[Path, typer.Option("--results", help="The folder for all results.")]


def load_run(config: Path, data: str | None, overrides: list[str] | None) -> "RunConfig":
    """The run that a file and the options of a command describe.

    Raises:
        ConfigError: the file is missing, or values do not fit the schema.
    """
    from sentiment.config_file import read_yaml, resolve

    config = config_file(config, "runs")
    return resolve(read_yaml(config), named_parameters(data, overrides), str(config))


def named_parameters(data: str | None, overrides: list[str] | None) -> dict[str, Any]:
    """What `--data` and `--set` change, by dotted name."""
    from sentiment.config_file import parse_override

    parameters = dict(parse_override(override) for override in overrides or [])
    return parameters | ({"data.source": data} if data else {})


def show(text: str) -> None:
    """Print lines of plain text."""
    from sentiment.terminal import say

    say(text)
