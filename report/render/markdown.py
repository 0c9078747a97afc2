"""Text from tweets, files and users, made safe for Markdown and for HTML at once: nothing in it is taken for markup."""

import re
from typing import Any

from markupsafe import Markup

from sentiment.characters import printable, visible

_MARKDOWN = re.compile(r"([\\`*_\[\]|~$#!])")
_BLOCK_START = re.compile(r"^(\d*)([.)+=-])(?=\s|$|[=-]{2})")
# What GitHub makes a link of without any mark.
_LINK = re.compile(r"(?<=www)\.|:(?=//)|@", re.IGNORECASE)
_ENTITIES = {"&": "&amp;", "<": "&lt;", ">": "&gt;"}


def escape(value: Any) -> Markup:
    """Any value as Markdown that shows it literally; what is marked as Markdown already stays as it is."""
    if hasattr(value, "__html__"):
        return Markup(value.__html__())  # noqa: S704 - this is where text becomes safe
    text = re.sub("[&<>]", lambda found: _ENTITIES[found[0]], visible(str(value)))
    text = _LINK.sub(lambda found: f"&#{ord(found[0])};", _MARKDOWN.sub(r"\\\1", text))
    text = _BLOCK_START.sub(r"\1\\\2", text)
    return Markup(text)  # noqa: S704


def strong(value: Any) -> Markup:
    """In bold."""
    return Markup("**{}**").format(escape(value))


def emphasis(value: Any) -> Markup:
    """In italics."""
    return Markup("*{}*").format(escape(value))


def code(value: Any) -> Markup:
    """A value as typed, in a code span.

    In a code span nothing can be escaped, so that its fence has to be longer than any row of backticks within.
    """
    text = visible(str(value)) or " "
    longest = max((len(backticks) for backticks in re.findall("`+", text)), default=0)
    fence = "`" * (longest + 1)
    pad = " " if text.startswith("`") or text.endswith("`") else ""
    return Markup(f"{fence}{pad}{text}{pad}{fence}")  # noqa: S704


def fenced(value: Any) -> Markup:
    """Several lines as typed, in a code block, whose fence is longer than any row of backticks within."""
    text = printable(str(value)).strip("\n")
    fence = "`" * max(3, 1 + max((len(backticks) for backticks in re.findall("`+", text)), default=0))
    return Markup(f"{fence}\n{text}\n{fence}")  # noqa: S704


def joined(parts: list[Any], separator: str = " ") -> Markup:
    """The parts, escaped, as one text."""
    return Markup(separator).join(escape(part) for part in parts)  # noqa: S704
