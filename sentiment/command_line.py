"""Shared by all commands: error messages, exit codes, common options and what they mean."""

import codecs
import io
import os
import shlex
import sys
from collections.abc import Callable, Collection, Iterable
from dataclasses import dataclass, fields, is_dataclass
from functools import wraps
from inspect import Parameter, signature
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer
from typer.core import TyperGroup

from sentiment.console import printable, say
from sentiment.data.built_in import SOURCE_CHOICES
from sentiment.data.table import Reason, format_of
from sentiment.errors import EXIT_FAILED, DataError, SentimentError, StoppedError, UsageError, with_memory_advice
from sentiment.version import __version__

if TYPE_CHECKING:
    from sentiment.config import RunConfig
    from sentiment.data.guess_columns import Reading
    from sentiment.data.table import Table
    from sentiment.runs.run_dir import Results

# By package: the pip extra that installs it, and what needs it.
_EXTRAS = {
    "submitit": ("jobs", "running grids"),
    "optuna": ("report", "the importance of settings"),
    "markdown_it": ("report", "the report"),
    "vl_convert": ("report", "drawing charts"),
    "h5py": ("elmo", "reading ELMo models"),
    "huggingface_hub": ("hub", "fetching pretrained encoders"),
    "transformers": ("hub", "pretrained encoders"),
    "gensim": ("vectors", "learning word vectors"),
    "openpyxl": ("xlsx", "a workbook"),
    "python_calamine": ("xlsx", "a workbook"),
    "wandb": ("wandb", "copying to Weights & Biases"),
}
_INDENTS = 6  # of a list of commands: spaces before and between its columns
_MAX_DIGITS = 9  # of a column's position

RESULTS = Path("results")
DEFAULT_RUN = "rnn"


ResultsRoot = Annotated[Path, typer.Option("--results", help="The folder for all results.")]
ModelResults = Annotated[
    Path | None,
    typer.Option("--results", help="The folder for all results; by default the run's."),
]
Data = Annotated[str | None, typer.Option("--data", help=f"{SOURCE_CHOICES}.")]
Overrides = Annotated[
    list[str] | None, typer.Option("--set", metavar="FIELD=VALUE", help="Change a field, such as model.layers=2.")
]


def _of_tables(changes: list[str] | None) -> list[str] | None:
    for change in changes or []:
        if not change.startswith("data."):
            raise typer.BadParameter(f"{change}: only fields that begin with data. say how a table is read")
    return changes


TableChanges = Annotated[
    list[str] | None,
    typer.Option(
        "--set", metavar="FIELD=VALUE", callback=_of_tables, help="How a table is read, such as data.columns.id=NAME."
    ),
]
TextColumn = Annotated[
    str | None,
    typer.Option("--text-column", metavar="NAME", help="The column with the tweets; a number counts from 0."),
]
Classes = Annotated[
    str | None,
    typer.Option(
        "--classes",
        metavar="'NAME=LABEL,... ...'",
        help="Classes from negative to positive and their labels, such as 'negative=1,2 neutral=3 positive=4,5'.",
    ),
]
QuotesOption = Annotated[
    bool | None,
    typer.Option(
        "--quotes/--no-quotes",
        help="Whether the quotes of a CSV or TSV file enclose fields, or are characters; by default asked if unclear.",
    ),
]
A_RUN = "`last`, the beginning of a run's id or its directory"
RunName = Annotated[Path, typer.Argument(metavar="RUN", help=f"{A_RUN}.")]
ModelPath = Annotated[Path, typer.Argument(metavar="RUN", help=f"{A_RUN}, or a file that `sentiment export` wrote.")]
ModelOption = Annotated[
    Literal["network", "baseline", "both"] | None,
    typer.Option("--with", help="The model to use; both: the mean of the other two."),
]
Threshold = Annotated[
    float | None,
    typer.Option(
        "--threshold", min=0, max=1, help="Decision threshold for the positive one of two classes; default 0.5."
    ),
]
Out = Annotated[Path | None, typer.Option("--out", help="The file to write.")]
_TARGETS = f"Names of grids, or of runs: {A_RUN}"
Targets = Annotated[list[str] | None, typer.Argument(metavar="GRID|RUN", help=f"{_TARGETS}; by default all.")]
NamedTargets = Annotated[list[str] | None, typer.Argument(metavar="GRID|RUN", help=f"{_TARGETS}.")]
Local = Annotated[bool, typer.Option("--local", help="Run locally instead of through Slurm.")]
ParallelRuns = Annotated[
    int | None,
    typer.Option("--at-once", min=1, help="With --local: most runs at a time; default: one per GPU, else per core."),
]
NewCode = Annotated[
    bool, typer.Option("--new-code", help="Restart runs of another code version with the current code.")
]
ClusterPath = Annotated[Path, typer.Option("--cluster", help="YAML file with the resources of Slurm jobs.")]


# The commands as `--help` lists them; those that are in no group come last.
_GROUPS = {
    "Models": ("train", "predict", "evaluate", "export"),
    "Tables and labels": ("data", "share", "add"),
    "Grids": ("submit", "status", "rerun", "cancel", "report"),
}
_EXIT_CODES = "Exit codes: 0 done; 1 something failed; 2 usage; 3 unfinished or interrupted; 4 no Slurm here."


class ErrorReportingGroup(TyperGroup):
    """Prints an error that a user can cause or fix as one message instead of a traceback."""

    def format_commands(self, _ctx: Any, formatter: Any) -> None:
        """Write the list of commands, in groups."""
        grouped = [name for names in _GROUPS.values() for name in names]
        groups = {**_GROUPS, "Other": tuple(name for name in self.commands if name not in grouped)}
        width = formatter.width - max(map(len, self.commands)) - _INDENTS
        for title, names in groups.items():
            rows = [(name, self.commands[name].get_short_help_str(width)) for name in names if name in self.commands]
            if rows:
                with formatter.section(title):
                    formatter.write_dl(rows)

    def resolve_command(self, ctx: Any, args: list[str]) -> Any:
        """Find the command; a UsageError is raised if an option with one value is given twice: which one counts?"""
        name, command, words = super().resolve_command(ctx, args)
        parameters: list[Any] = [*command.params] if command else []
        for parameter in parameters:
            takes_one = parameter.param_type_name == "option" and not parameter.is_flag and not parameter.multiple
            if takes_one and sum(word.partition("=")[0] in parameter.opts for word in words) > 1:
                raise UsageError(f"{parameter.opts[0]} is given twice; it takes one value")
        return name, command, words

    def invoke(self, ctx: Any) -> Any:
        """Run the command. A SentimentError ends it with the error's exit code, an OSError or MemoryError with 1."""
        for name, mode in (("stdin", "r"), ("stdout", "w"), ("stderr", "w")):
            if getattr(sys, name) is None:  # closed by the caller, as by `>&-`: it is empty, or discarded
                setattr(sys, name, open(os.devnull, mode, encoding="utf-8"))  # noqa: SIM115 - open until the end
        for stream in (sys.stdout, sys.stderr):
            if isinstance(stream, io.TextIOWrapper):  # replace characters that the terminal's encoding lacks
                stream.reconfigure(errors=_replace_in_ascii.__name__)
        try:
            _check_encoding(ctx.args)
            return super().invoke(ctx)
        except StoppedError as stop:
            echo(str(stop))
            raise typer.Exit(stop.exit_code) from None
        except SentimentError as error:
            message = str(error)
            code = error.exit_code
        except OSError as error:
            if isinstance(error, BrokenPipeError) and not error.filename:
                raise  # whoever read the output has seen enough, as `head`: typer ends the program in silence
            message = f"{error.filename}: {error.strerror}" if error.filename else str(error)
            code = EXIT_FAILED
        except MemoryError as error:
            message = with_memory_advice(error)
            code = EXIT_FAILED
        except typer.BadParameter as error:
            message = error.format_message()
            code = error.exit_code
        except ModuleNotFoundError as error:
            package = str(error.name).partition(".")[0]
            if package not in _EXTRAS:
                raise
            extra, purpose = _EXTRAS[package]
            install = f"`pip install '.[{extra}]'` in the clone, or `uv sync --extra {extra}`, installs it"
            message = f"{package}, needed for {purpose}, is not installed; {install}"
            code = EXIT_FAILED
        typer.secho("error: ", fg="red", bold=True, err=True, nl=False)
        echo(message, err=True)
        raise typer.Exit(code)


_IN_ASCII = {"\u2212": "-", "\u2013": "-"}  # without its minus sign a difference would be another one


def _replace_in_ascii(error: UnicodeError) -> tuple[str, int]:
    """Stands in for a character that the terminal's encoding lacks; returns also where to go on."""
    if not isinstance(error, UnicodeEncodeError):
        raise error
    return _IN_ASCII.get(error.object[error.start], "?"), error.start + 1


codecs.register_error(_replace_in_ascii.__name__, _replace_in_ascii)


def _check_encoding(words: Iterable[str]) -> None:
    """Raise UsageError for a word that is not UTF-8, such as a file's name: JSON and Parquet cannot hold it."""
    for word in words:
        try:
            word.encode()
        except UnicodeEncodeError:
            raise UsageError(f"{word!r}: is not UTF-8; rename it, or choose another name") from None


def command_line(summary: str) -> typer.Typer:
    """A command line without commands yet; called without one, it shows its help."""
    app = typer.Typer(
        cls=ErrorReportingGroup,
        help=summary,
        epilog=_EXIT_CODES,
        no_args_is_help=True,
        pretty_exceptions_enable=False,
        rich_markup_mode=None,
    )
    show_version = typer.Option("--version", callback=_show_version, is_eager=True, help="Show the version and exit.")

    @app.callback()
    def main(version: Annotated[bool, show_version] = False) -> None:
        pass

    return app


def _show_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"sentiment-grids {__version__}")
        raise typer.Exit


def echo(text: str, err: bool = False) -> None:
    """Print lines of plain text; control characters, for example in folder names, are escaped."""
    typer.echo(printable(text), err=err)


def repeated(*words: object, **options: object) -> str:
    """A command as it is typed to repeat it: `sentiment`, words, and those of the options that have a value."""
    given = [word for name, value in options.items() if value for word in (name, value)]
    return shlex.join(["sentiment", *map(str, (*words, *given))])


def parse_column(text: str | None) -> str | int | None:
    """The column that an option names; a number is its position, counted from 0."""
    return int(text) if text and text.isdecimal() and len(text) <= _MAX_DIGITS else text


# --- what options mean ------------------------------------------------------------------------------------------------


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
    try:
        format_of(Path(word))
    except DataError:
        return False
    return True


@dataclass(frozen=True, kw_only=True)
class ReadingOptions:
    """The options on how the texts of a table are read."""

    text_column: TextColumn = None
    quotes: QuotesOption = None
    leave_out: Annotated[
        list[Reason] | None,
        typer.Option(
            "--leave-out",
            metavar="REASON",
            help="Leave out any number of rows for it, such as 'empty text' or 'wrong number of fields'.",
        ),
    ] = None

    @property
    def reading(self) -> "Reading":
        from sentiment.data.guess_columns import Reading  # imports pydantic, which --help does not need

        return Reading(parse_column(self.text_column), self.quotes, tuple(self.leave_out or ()))


@dataclass(frozen=True, kw_only=True)
class TableOptions(ReadingOptions):
    """The options on how a table with labels is read."""

    label_column: Annotated[
        str | None,
        typer.Option("--label-column", metavar="NAME", help="The column with the labels; a number counts from 0."),
    ] = None
    classes: Classes = None

    def parameters(self, data: str | None, overrides: list[str] | None) -> dict[str, Any]:
        """The fields that options and overrides give, by dotted name.

        Args:
            data: the table.

        Raises:
            UsageError: a table has no name, or an option and an override give the same field.
            ConfigError: as `parse_overrides`.
        """
        from sentiment.config_file import parse_overrides
        from sentiment.data.guess_columns import OPTIONS

        if data == "":
            raise UsageError(f"--data: names no table; give {SOURCE_CHOICES}")
        parameters = parse_overrides(overrides or [])
        given = self.reading.parameters()
        others = {
            "data.columns.label": parse_column(self.label_column),
            "data.source": data,
            "data.labels": self.classes,
        }
        given |= {name: value for name, value in others.items() if value is not None}
        for name in given:
            if name in parameters:
                option = OPTIONS[name].removesuffix("=NAME")
                raise UsageError(f"{option} and {name}={parameters[name]} give the same field; leave one of them out")
        return parameters | given


def with_options(command: Callable[..., None]) -> Callable[..., None]:
    """The command with an option for each field of the dataclasses that it takes, in place of these parameters."""
    own = signature(command)
    groups: dict[str, Any] = {}
    parameters = []
    for name, parameter in own.parameters.items():
        if not is_dataclass(parameter.annotation):
            parameters.append(parameter.replace(kind=Parameter.KEYWORD_ONLY))
            continue
        groups[name] = parameter.annotation
        for option in fields(parameter.annotation):
            parameters.append(
                Parameter(option.name, Parameter.KEYWORD_ONLY, default=option.default, annotation=option.type)
            )

    @wraps(command)
    def with_groups(**values: Any) -> None:
        for name, group in groups.items():
            values[name] = group(**{option.name: values.pop(option.name) for option in fields(group)})
        command(**values)

    with_groups.__signature__ = own.replace(parameters=parameters)  # type: ignore[attr-defined]
    return with_groups


def with_guesses(
    values: dict[str, Any],
    given: Collection[str],
    parameters: dict[str, Any],
    origin: str,
    preview: bool = False,
) -> "tuple[RunConfig, Table | None]":
    """The configuration with parameters applied, and guesses for fields of its table that are not in `given`.

    Returns:
        Also the opened source; None if it is built in, or its reader has to raise its error.
    """
    from sentiment.data.guess_columns import resolve_with_guesses

    run, found = resolve_with_guesses(values, given, parameters, origin)
    if found is None:
        return run, None
    lines = [*found.preview(run.data), ""] if preview else found.messages()
    if lines:
        say("\n".join(lines))
    return run, found.table


def load_run(config: Path | None, parameters: dict[str, Any], results: Path, preview: bool = False) -> "RunConfig":
    """Load the run configuration from a file (None: defaults) and command options; print guessed columns."""
    from sentiment.config_file import dotted, read_yaml
    from sentiment.files import config_path

    file = config_path(config, "runs") if config else None
    values = read_yaml(file) if file else {}
    if values.keys() >= {"method", "parameters"}:
        command = results_of(results).command("submit", str(file), "--local")
        raise UsageError(f"{file}: is the file of a grid, not of a run; `{command}` runs it here")
    run, _ = with_guesses(values, dotted(values), parameters, str(file or "the defaults"), preview)
    return run
