"""The Jinja environment that all templates of the report are rendered in."""

from collections.abc import Callable
from functools import cache
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined


@cache
def environment(folder: str, finalize: Callable[[Any], Any] | None = None, **options: Any) -> Environment:
    """The environment for the templates in a folder of this package, in which an unknown name is an error.

    There is one for each such call, so that a template is compiled once in a process.

    Args:
        finalize: returns the text that a template writes for a value; it is escaped for HTML unless it is marked as
            safe.
        options: further arguments of `jinja2.Environment`.
    """
    return Environment(
        loader=PackageLoader("report.render", folder),
        autoescape=True,
        finalize=finalize,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        **options,
    )
