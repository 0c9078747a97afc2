"""Commands in this process, as users type them."""

from typer.testing import CliRunner, Result

from sentiment.__main__ import app


def invoke(*arguments: object, input: str | None = None) -> Result:
    return CliRunner().invoke(app, [str(argument) for argument in arguments], input=input)


def succeed(*arguments: object, input: str | None = None) -> str:
    """What a command prints that must end well."""
    done = invoke(*arguments, input=input)
    assert done.exit_code == 0, done.output
    return done.output


def refused(code: int, *arguments: object) -> str:
    """The message of a command that must fail with this code."""
    done = invoke(*arguments)
    assert done.exit_code == code, done.output
    assert isinstance(done.exception, SystemExit), done.exception
    assert "Traceback" not in done.output
    return done.output
