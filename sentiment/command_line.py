"""The common behaviour of the command lines of `sentiment`, `jobs` and `report`."""

import io
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Annotated, Any

import typer
from typer.core import TyperGroup

from sentiment import __version__
from sentiment.console import printable
from sentiment.errors import SentimentError
from sentiment.install_paths import as_typed_here

# The extra of this program that brings a package, and what it is for.
_EXTRAS = {
    "submitit": ("jobs", "running grids"),
    "optuna": ("jobs", "a search by rounds"),
    "jinja2": ("report", "the report"),
    "markdown_it": ("report", "the report"),
    "vl_convert": ("report", "drawing charts"),
    "h5py": ("elmo", "reading ELMo models"),
    "huggingface_hub": ("hub", "fetching pretrained encoders"),
    "transformers": ("hub", "pretrained encoders"),
    "gensim": ("vectors", "learning word vectors"),
    "wandb": ("wandb", "copying to Weights & Biases"),
}

NOBODY_READS = 141
"""The exit code where the reader of the standard output has closed it: that of programs which SIGPIPE ends."""

# A message that quotes a whole file helps nobody.
_LONGEST_MESSAGE = 10_000


class Commands(TyperGroup):
    """Shows errors of this program and of the disk as one message instead of a traceback."""

    def make_context(self, *arguments: Any, **options: Any) -> Any:
        """Read the options; the help is shown here."""
        with _ending_with_its_reader():
            return super().make_context(*arguments, **options)

    def invoke(self, ctx: Any) -> Any:
        """Run the command. A SentimentError ends it with the error's exit code, an OSError with 1."""
        for stream in (sys.stdout, sys.stderr):
            if isinstance(stream, io.TextIOWrapper):  # a terminal that cannot show a letter gets another instead
                stream.reconfigure(errors="replace")
        try:
            with _ending_with_its_reader():
                return super().invoke(ctx)
        except SentimentError as error:
            message, code = str(error), error.exit_code
        except OSError as error:
            message, code = str(error), 1
        except ModuleNotFoundError as error:
            if (package := str(error.name).partition(".")[0]) not in _EXTRAS:
                raise
            extra, purpose = _EXTRAS[package]
            install = f"`pip install '.[{extra}]'` in the clone, or `uv sync --extra {extra}`, brings it"
            message = f"{package} is not installed, which {purpose} needs; {install}"
            code = 1
        if len(message) > _LONGEST_MESSAGE:
            message = f"{message[:_LONGEST_MESSAGE]}… ({len(message):,} characters)"
        typer.secho("error: ", fg="red", bold=True, err=True, nl=False)
        echo(message, err=True)
        raise typer.Exit(code)


@contextmanager
def _ending_with_its_reader() -> Iterator[None]:
    """Ends the program without a word when who reads its standard output has closed it, as `head` does."""
    try:
        yield
    except BrokenPipeError as error:
        if error.filename:  # another pipe is broken, such as that of --out
            raise
    except SystemExit as end:
        if not isinstance(end.__context__, BrokenPipeError):  # so rich ends the program where it writes
            raise
    else:
        return
    nowhere = os.open(os.devnull, os.O_WRONLY)  # for what Python writes when it ends
    os.dup2(nowhere, sys.stdout.fileno())
    raise typer.Exit(NOBODY_READS)


def command_line() -> typer.Typer:
    """A command line without commands yet; called without one, it shows its help."""
    return typer.Typer(cls=Commands, no_args_is_help=True, pretty_exceptions_enable=False)


def echo(text: str, err: bool = False) -> None:
    """Print lines of plain text; nothing in them, such as the name of a folder, steers the terminal."""
    typer.echo(printable(as_typed_here(text)), err=err)


def _show_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"sentiment-grids {__version__}")
        raise typer.Exit


Version = Annotated[
    bool, typer.Option("--version", callback=_show_version, is_eager=True, help="Show the version and exit.")
]
"""An option of each program."""
