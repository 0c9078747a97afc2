"""Tables as LaTeX: every row on a line of its own, and nothing that LaTeX would obey."""

import re
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from report.render.blocks import Table, percent, text
from report.render.latex import latex
from report.render.markdown import strong

_COMMANDS = {"toprule", "midrule", "bottomrule", "begin", "end", "textbf", "textbackslash", "textasciitilde"}
_COMMANDS |= {"textasciicircum", "textless", "textgreater", "pm", "times", "geq", "ldots"}


def _table(values: list[object]) -> Table:
    rows = [{"a": value, "b": 0.5, "rank": place} for place, value in enumerate(values, 1)]
    return Table("t", "What it is: 100 % & more", [text("A", "a"), percent("B, %", "b")], rows, best=1)


@given(st.lists(st.text(alphabet=st.sampled_from(list("ab1 \\&%$#_{}~^<>\n\u2013|*`[]"))), min_size=1, max_size=4))
def test_text_is_never_a_command_and_rows_stay_apart(values: list[str]) -> None:
    written = latex(_table(list(values)))
    lines = written.splitlines()
    assert len([line for line in lines if line.endswith(r"\\")]) == 1 + len(values)
    assert set(re.findall(r"\\([A-Za-z]+)", written)) <= _COMMANDS
    for line in lines[3:-3]:
        assert not line.startswith(("[", "*"))
        if line.endswith(r"\\"):
            assert len(re.findall(r"(?<!\\)&", line)) == 1
            assert not re.search(r"(?<!\\)[%#_]", line)


def test_best_row_is_bold_and_marks_of_markdown_are_gone() -> None:
    written = latex(_table([strong("best_of 2"), "other \u00b1 1"]))
    assert r"\textbf{best\_of 2} & \textbf{50.0} \\" in written
    assert r"other $\pm$ 1 & 50.0 \\" in written
    assert written.startswith("% What it is: 100 % & more\n\\begin{tabular}{lr}\n\\toprule\n")


@pytest.mark.parametrize("start", ["[", "*"])
def test_rows_that_begin_with_what_latex_takes_for_an_option_are_rows(start: str) -> None:
    written = latex(_table([f"{start}2cm] in front", "then", f"{start}3cm]"]))
    assert f"\\midrule\n\\textbf{{{start}2cm] in front}} & " in written  # the best row is bold
    assert f"{{{start}}}3cm] & 50.0 \\\\" in written
    assert not re.search(r"(\\\\|rule)\s*[\[*]", written)


@pytest.mark.slow
def test_every_table_of_a_report_is_written_as_latex_too(invented_report: Path) -> None:
    tables = invented_report / "tables"
    names = {path.stem for path in tables.glob("*.csv")}
    assert names == {path.stem for path in tables.glob("*.tex")}
    assert len(names) > 15
