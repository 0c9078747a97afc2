"""The common behaviour of the command lines of `sentiment`, `jobs` and `report`."""

from typing import Any

import typer
from typer.core import TyperGroup

from sentiment.errors import SentimentError


class Commands(TyperGroup):
    """Shows errors of this program and of the disk as one message instead of a traceback."""

    def invoke(self, ctx: Any) -> Any:
        """Run the command. A SentimentError ends it with the error's exit code, an OSError with 1."""
        try:
            return super().invoke(ctx)
        except SentimentError as error:
            message, code = str(error), error.exit_code
        except OSError as error:
            message, code = str(error), 1
        typer.secho("error: ", fg="red", bold=True, err=True, nl=False)
        typer.echo(message, err=True)
        raise typer.Exit(code)


def command_line() -> typer.Typer:
    """A command line without commands yet; called without one, it shows its help."""
    return typer.Typer(cls=Commands, add_completion=False, no_args_is_help=True, pretty_exceptions_enable=False)
