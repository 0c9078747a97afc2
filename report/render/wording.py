"""Scores and settings in words, and texts as LaTeX that shows them literally."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from markupsafe import Markup
from ruamel.yaml import YAML

from sentiment.blocks.wording import listing, shortened
from sentiment.console import visible
from sentiment.statistics.words import DASH, MINUS, percent

_MAX_VALUE_LENGTH = 40
# Parameters whose name follows their number.
_COUNTED = frozenset({"model.hidden_size", "model.layers", "data.train_rows"})


@cache
def read_texts(name: str) -> dict[str, Any]:
    """The texts in a YAML file beside the templates."""
    path = Path(__file__).parent / "templates" / f"{name}.yaml"
    texts: dict[str, Any] = YAML(typ="safe", pure=True).load(path)
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
    if isinstance(value, float):
        return str(value).removesuffix(".0")  # all digits, so that values which differ do not look alike
    return shortened(with_bare_names(str(value)), _MAX_VALUE_LENGTH)


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
