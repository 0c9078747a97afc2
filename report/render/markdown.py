"""Text from tweets, files and users, made safe for Markdown and for HTML at once: nothing in it is taken for markup."""

from typing import Any

from markupsafe import Markup

from sentiment.console import as_code, as_markdown


def escape(value: Any) -> Markup:
    """Any value as Markdown that shows it literally; what is marked as Markdown already stays as it is."""
    if hasattr(value, "__html__"):
        return Markup(value.__html__())  # noqa: S704 - this is where text becomes safe
    return Markup(as_markdown(str(value)))  # noqa: S704


def strong(value: Any) -> Markup:
    """In bold."""
    return Markup("**{}**").format(escape(value))


def emphasis(value: Any) -> Markup:
    """In italics."""
    return Markup("*{}*").format(escape(value))


def code(value: Any) -> Markup:
    """A value as typed, in a code span."""
    return Markup(as_code(str(value)))  # noqa: S704


def joined(parts: list[Any], separator: str = " ") -> Markup:
    """The parts, escaped, as one text."""
    return Markup(separator).join(escape(part) for part in parts)  # noqa: S704
