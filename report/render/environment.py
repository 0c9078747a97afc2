"""The Jinja environment that all templates of the report are rendered in."""

from collections.abc import Callable
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined


def environment(folder: str, finalize: Callable[[Any], Any] | None = None, **options: Any) -> Environment:
    """An environment for the templates in a folder of this package, in which an unknown name is an error.

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
