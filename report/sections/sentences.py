"""The page's fixed texts, from templates in `templates/sentences`, in which all values are escaped.

What is said of a claim is decided by a function beside the claim.
"""

import re
from functools import cache
from typing import Any

from jinja2 import Environment
from markupsafe import Markup

from report.compare.cost import usage_of
from report.render import wording
from report.render.charts import MOST_AXES
from report.render.environment import environment
from report.sections import names
from sentiment.blocks import wording as marks
from sentiment.blocks.wording import escape
from sentiment.statistics import words

_SPACES = re.compile(r"[ \n]+")
# What `{{ end }}` writes after a paragraph; values cannot contain it.
_END = Markup("\x1e")


def sentences(name: str, /, **values: Any) -> list[Markup]:
    """The paragraphs that a macro makes of values, in Markdown: of `runs.grid`, the macro in `runs.md.j2`.

    In the template `{{ end }}` ends each of several paragraphs.
    """
    template, macro = name.split(".")
    text = getattr(_templates().get_template(f"{template}.md.j2").module, macro)(**values)
    paragraphs = [_SPACES.sub(" ", paragraph).strip() for paragraph in text.split(_END)]
    return [Markup(paragraph) for paragraph in paragraphs if paragraph]  # noqa: S704 - the template escapes values


def sentence(name: str, /, **values: Any) -> Markup:
    """The paragraphs of `sentences` as one."""
    return Markup(" ").join(sentences(name, **values))


@cache
def _templates() -> Environment:
    templates = environment("templates/sentences", _escaped)
    for module in (wording, marks, words, names):
        functions = {name: value for name, value in vars(module).items() if name.islower() and callable(value)}
        templates.filters |= functions
        templates.globals |= functions
    templates.filters["usage_of"] = usage_of
    templates.globals |= {"these_models": words.THESE_MODELS, "end": _END}
    templates.globals |= {"methods": names.METHODS, "lexicon_remark": names.LEXICON_REMARK, "star": names.STAR}
    templates.globals["most_axes"] = MOST_AXES
    return templates


def _escaped(value: Any) -> Markup:
    """The value as Markdown that shows it; a space before it stays."""
    escaped = escape(value)
    return Markup(" ") + escaped if str(value).startswith(" ") else escaped
