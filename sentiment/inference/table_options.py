"""What the options of commands that read a table mean: a configuration, with guesses for what they leave open."""

from collections.abc import Collection
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sentiment.command_line import parse_column
from sentiment.console import say

if TYPE_CHECKING:
    from sentiment.config import RunConfig
    from sentiment.runs.run_dir import Results


def results_of(folder: Path) -> "Results":
    from sentiment.runs.run_dir import Results  # imports pydantic, which --help does not need

    return Results(folder)


def parameters_of(
    data: str | None,
    overrides: list[str] | None,
    text_column: str | None = None,
    label_column: str | None = None,
    classes: str | None = None,
) -> dict[str, Any]:
    from sentiment.config_file import parse_override

    parameters = dict(parse_override(override) for override in overrides or [])
    table_options: dict[str, Any] = {
        "data.columns.text": parse_column(text_column),
        "data.columns.label": parse_column(label_column),
        "data.source": data,
        "data.labels": classes,
    }
    return parameters | {name: value for name, value in table_options.items() if value is not None}


def with_guesses(
    values: dict[str, Any], given: Collection[str], parameters: dict[str, Any], origin: str, preview: bool = False
) -> "RunConfig":
    """The configuration with parameters applied, and guesses for fields of its table that are not in `given`."""
    from sentiment.data.guess_columns import resolve_with_guesses

    run, found = resolve_with_guesses(values, given, parameters, origin)
    if found:
        lines = [*found.preview(run.data), ""] if preview else found.messages()
        if lines:
            say("\n".join(lines))
    return run
