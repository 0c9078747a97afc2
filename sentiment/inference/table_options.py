"""What the options of commands that read a table mean: a configuration, with guesses for what they leave open."""

from collections.abc import Collection, Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sentiment.command_line import parse_column
from sentiment.console import say
from sentiment.errors import DataError, UsageError

if TYPE_CHECKING:
    from sentiment.config import RunConfig
    from sentiment.runs.run_dir import Results

DEFAULT_RUN = "rnn"


def results_of(folder: Path) -> "Results":
    from sentiment.runs.run_dir import Results  # imports pydantic, which --help does not need

    return Results(folder)


def read_words(words: Iterable[str]) -> tuple[Path, str | None, list[str]]:
    """The run, the table and the changed fields that the words of `train` name.

    Raises:
        UsageError: a word is an unknown option, or there are two runs or tables.
    """
    changes = []
    tables = []
    runs = []
    for word in words:
        if word.startswith("-") and not (word.startswith("--") and "=" in word):
            raise UsageError(
                f"{word}: no such option; to override a field of the configuration write, for example, "
                "--training.epochs=3"
            )
        if "=" in word:
            changes.append(word.removeprefix("--"))
        elif is_table(word):
            tables.append(word)
        else:
            runs.append(word)
    for several in (tables, runs):
        if len(several) > 1:
            raise UsageError(f"{several[1]}: {several[0]} is named already; a field is changed by FIELD=VALUE")
    return Path(runs[0] if runs else DEFAULT_RUN), tables[0] if tables else None, changes


def is_table(word: str) -> bool:
    """Whether a word is the name of a table, by its ending."""
    from sentiment.data.tables import format_of

    try:
        format_of(Path(word))
    except DataError:
        return False
    return True


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
