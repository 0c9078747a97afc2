"""Numbers and names in words, and texts as Markdown that shows them literally."""

import json
import re
from collections.abc import Sequence
from hashlib import sha256
from typing import Any

from markupsafe import Markup

from sentiment.console import as_code, as_markdown


def duration(seconds: float) -> str:
    """Seconds in the unit that keeps them short: `320 ms`, `13 s`, `2.0 min`, `1.6 h`."""
    if not seconds:
        return "0 s"
    for limit, size, unit in ((1, 0.001, "ms"), (90, 1, "s"), (5400, 60, "min")):
        if seconds < limit:
            amount = seconds / size
            return f"{amount:.1f} {unit}" if amount < 10 else f"{amount:.0f} {unit}"
    return f"{seconds / 3600:.1f} h"


def count(number: float) -> str:
    """`1,234`, or `2.5` with one decimal if the number is not an integer."""
    return f"{number:,.{0 if float(number).is_integer() else 1}f}"


def spanned(numbers: Sequence[float]) -> str:
    """`120`, or `95 to 120` of several numbers."""
    return " to ".join(count(number) for number in sorted({min(numbers), max(numbers)}))


def listing(items: list[str], last: str = "and") -> str:
    """`a, b and c`."""
    return items[0] if len(items) == 1 else f"{', '.join(items[:-1])} {last} {items[-1]}"


def shortened(text: str, length: int) -> str:
    """At most `length` characters, with an ellipsis where something is left out."""
    return text if len(text) <= length else f"{text[: length - 1]}\u2026"


def capital(text: str) -> str:
    """The text with a capital at its start, the rest unchanged: ELMo stays ELMo."""
    return text[:1].upper() + text[1:]


def escape(value: Any) -> Markup:
    """Any value as Markdown that shows it literally; Markdown marked as safe stays unchanged."""
    if hasattr(value, "__html__"):
        return Markup(value.__html__())  # noqa: S704 - this is where text becomes safe
    return Markup(as_markdown(str(value)))  # noqa: S704


def plain(text: Any) -> str:
    """A text as it is, and one that is marked as Markdown without its marks."""
    if not hasattr(text, "__html__"):
        return str(text)
    from markdown_it import MarkdownIt

    (line,) = MarkdownIt("commonmark").parseInline(str(text))
    return "".join(token.content for token in line.children or [])


def strong(value: Any) -> Markup:
    return Markup("**{}**").format(escape(value))


def emphasis(value: Any) -> Markup:
    return Markup("*{}*").format(escape(value))


def code(value: Any) -> Markup:
    """A value as typed, in a code span."""
    return Markup(as_code(str(value)))  # noqa: S704


def joined(parts: list[Any], separator: str = " ") -> Markup:
    """The parts, escaped, as one text."""
    return Markup(separator).join(escape(part) for part in parts)  # noqa: S704


def file_name(name: str) -> str:
    """A safe file name, with a part of the name's hash if characters were replaced; different names never collide."""
    plain = re.sub(r"[^A-Za-z0-9._-]+", "-", name)[:100]
    return plain if plain == name else f"{plain}-{sha256(name.encode()).hexdigest()[:8]}"


def json_in_html(value: Any) -> Markup:
    """JSON that is safe inside a <script> element."""
    text = json.dumps(value, ensure_ascii=False, separators=(",", ":"), allow_nan=False)
    for character in "<>&\u2028\u2029":
        text = text.replace(character, f"\\u{ord(character):04x}")
    return Markup(text)  # noqa: S704 - its special characters are escaped
