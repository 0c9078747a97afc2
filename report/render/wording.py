"""Numbers and parameters in words: percentages, points, intervals, names; and escaping for Markdown and HTML."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from hashlib import sha256
from pathlib import Path
from typing import Any

from markupsafe import Markup
from ruamel.yaml import YAML

from sentiment.console import as_code, as_markdown, visible
from sentiment.statistics.words import DASH, MINUS, percent

_MAX_VALUE_LENGTH = 40
# Parameters whose name follows their number.
_COUNTED = frozenset({"model.hidden_size", "model.layers", "data.train_rows"})


@cache
def read_texts(name: str) -> dict[str, Any]:
    """The texts in a YAML file beside the templates."""
    path = Path(__file__).parent / "templates" / f"{name}.yaml"
    texts: dict[str, Any] = YAML(typ="safe").load(path)
    return texts


@dataclass(frozen=True)
class Score:
    """A metric by its name in logs, such as `validation/macro_f1`.

    Attributes:
        after: the epoch after which it is measured; None is the best epoch.
    """

    metric: str
    after: int | None = None

    @property
    def name(self) -> str:
        after = "" if self.after is None else f" after epoch {self.after}"
        return self.metric.replace("/", " ").replace("_", " ").replace(" f1", " F1") + after

    @property
    def higher_is_better(self) -> bool:
        return not self.metric.endswith("loss")

    @property
    def title(self) -> str:
        return f"{self.name} (%)" if self.higher_is_better else self.name

    def drawn(self, value: float) -> float:
        return 100 * value if self.higher_is_better else value

    def shown(self, value: float) -> str:
        """`81.2` per cent, or a loss of `0.512`."""
        return percent(value) if self.higher_is_better else f"{value:.3f}"

    def with_unit(self, value: float) -> str:
        return f"{self.shown(value)} %" if self.higher_is_better else self.shown(value)


def parameter_name(dotted: str) -> str:
    """The name of a setting in the field's words; of a rare one, the last two parts of its dotted name."""
    rare = " ".join(dotted.split(".")[-2:]).replace("_", " ")
    name: str = read_texts("settings")["parameters"].get(dotted, rare)
    return name


def parameter_value(dotted: str, value: Any) -> str:
    """A value of a parameter, without the parameter's name."""
    if _has_display_name(dotted, value):
        text: str = read_texts("settings")["values"][dotted][value]
        return text
    if value is None:
        return "none"
    return f"{value:g}" if isinstance(value, float) else shortened(with_bare_names(str(value)), _MAX_VALUE_LENGTH)


# The folders of an absolute path within a text; the address of a page has none.
_FOLDERS = re.compile(r"(?<![\w.:/~-])/(?:[^/\s\"',]+/)*")


def with_bare_names(text: str) -> str:
    """A text in which files have their names alone: the page is not for this machine only."""
    return _FOLDERS.sub("", text)


def _has_display_name(dotted: str, value: Any) -> bool:
    return isinstance(value, str | bool | None) and value in read_texts("settings")["values"].get(dotted, {})


def setting(dotted: str, value: Any) -> str:
    """Name and value, `dropout 0.1`; the value alone if it has a name of its own."""
    shown = parameter_value(dotted, value)
    name = parameter_name(dotted)
    if _has_display_name(dotted, value):
        return shown
    if dotted in _COUNTED:
        return f"{shown} {name.removesuffix('s') if value == 1 else name}"
    return f"{name} {shown}"


def setting_of_several(dotted: str, values: Sequence[Any]) -> str:
    """Several values of a setting, with its name once: `dropout 0 or 0.1`, `16 or 64 hidden units`."""
    texts = [parameter_value(dotted, value) for value in values]
    named = -1 if dotted in _COUNTED else 0
    texts[named] = setting(dotted, values[named])
    return listing(texts, "or")


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


def spanned(numbers: Sequence[int]) -> str:
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


_LATEX = {character: f"\\{character}" for character in "&%$#_{}"}
_LATEX |= {"\\": r"\textbackslash{}", "~": r"\textasciitilde{}", "^": r"\textasciicircum{}"}
_LATEX |= {
    MINUS: "$-$",
    DASH: "--",
    "\u2018": "`",
    "\u2019": "'",
    "\u201c": "``",
    "\u201d": "''",
    "\u2026": r"\ldots{}",
    "\u00d7": r"$\times$",
    "<": r"\textless{}",
    ">": r"\textgreater{}",
    "|": r"\textbar{}",
}
_LAST_OF_LATIN = "\u017f"


def latex(value: Any) -> Markup:
    """Any value as LaTeX that shows it literally; pdfLaTeX has no characters of other scripts, which become `?`."""
    if hasattr(value, "__html__"):
        return Markup(value.__html__())  # noqa: S704 - it is escaped
    characters = [
        _LATEX.get(character, character if character <= _LAST_OF_LATIN else "?") for character in visible(str(value))
    ]
    return Markup("".join(characters))  # noqa: S704 - it is escaped


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
