"""Tables as LaTeX, for papers: what a reader of the page sees, with nothing that LaTeX would take for a command."""

import re
from typing import Any

from markdown_it import MarkdownIt

from report.render.blocks import Table
from report.render.markdown import escape as escape_markdown
from sentiment.console import visible

_MEANT = {
    **{character: f"\\{character}" for character in "&%$#_{}"},
    **{"\\": r"\textbackslash{}", "~": r"\textasciitilde{}", "^": r"\textasciicircum{}"},
    **{"\u2013": "--", "\u2212": "$-$", "\u00b1": r"$\pm$", "\u00d7": r"$\times$", "\u2265": r"$\geq$", "\u00a0": "~"},
    **{"<": r"\textless{}", ">": r"\textgreater{}", "\u2026": r"\ldots{}"},
}
_CHARACTER = re.compile("|".join(re.escape(one) for one in _MEANT))
_COMMONMARK = MarkdownIt("commonmark", {"html": False})


def latex(table: Table) -> str:
    """A `tabular` with the rules of the package booktabs, and its caption as a comment."""
    alignment = "".join("r" if column.numeric else "l" for column in table.columns)
    lines = [f"% {_words(table.caption)}", f"\\begin{{tabular}}{{{alignment}}}", r"\toprule"]
    lines += [_line([column.title for column in table.columns]), r"\midrule"]
    for row in table.rows:
        cells = [column.show(row) for column in table.columns]
        lines.append(_line(cells, is_best=table.is_best(row)))
    return "\n".join([*lines, r"\bottomrule", r"\end{tabular}", ""])


def _line(cells: list[Any], is_best: bool = False) -> str:
    texts = [_CHARACTER.sub(lambda found: _MEANT[found[0]], _words(cell)) for cell in cells]
    shown = [f"\\textbf{{{text}}}" if is_best and text else text for text in texts]
    line = " & ".join(shown) + r" \\"
    # After the end of a row, and after a rule, LaTeX takes both for an option.
    return f"{{{line[0]}}}{line[1:]}" if line.startswith(("[", "*")) else line


def _words(value: Any) -> str:
    """What is read, without Markdown's marks, on one line."""
    if not hasattr(value, "__html__"):
        return " ".join(visible(str(value)).split())
    children = _COMMONMARK.parseInline(str(escape_markdown(value)))[0].children or []
    return " ".join("".join(child.content for child in children).split())
