"""The LaTeX table compiles, whatever models are called."""

import re
import shutil
import subprocess
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from report.build import compose
from report.render.blocks import Document
from report.render.page import render_document
from report.render.wording import latex
from report.sections.models import rankings
from report.sections.paper import checklist, paper_tables
from tests.limits import limit
from tests.report.made_up import Study

HOSTILE = "50 % of $x_1 & y^2$ #{a} ~\\input{secret} <b> é 日本 \U0001f600"


@pytest.mark.more
@pytest.mark.skipif(shutil.which("pdflatex") is None, reason="needs pdflatex with booktabs (texlive-latex-recommended)")
def test_latex_table_compiles_whatever_models_are_called(invented: Study, tmp_path: Path) -> None:
    findings = invented.findings()
    (document,) = paper_tables(findings, rankings(findings))
    table = document.values["table"]
    hostile = {"model": HOSTILE, "score_low": None, "score_high": None}
    table = replace(table, rows=[table.rows[0] | hostile, *table.rows])
    content = render_document(Document("t.tex", document.template, {**document.values, "table": table}))
    (tmp_path / "table.tex").write_text(content)
    paper = ["\\documentclass{article}", "\\usepackage{booktabs}", "\\begin{document}", "\\input{table}"]
    (tmp_path / "paper.tex").write_text("\n".join([*paper, "\\end{document}"]))
    command = ["pdflatex", "-halt-on-error", "-interaction=nonstopmode", "paper.tex"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False, timeout=limit(60))
    assert done.returncode == 0, done.stdout[-1500:]
    assert "Overfull" not in done.stdout


def test_latex_shows_special_characters_literally_and_gives_no_command() -> None:
    shown = latex(HOSTILE)
    assert re.findall(r"(?<!\\)[%&#$_]", shown) == []
    assert r"\textbackslash{}input\{secret\}" in shown
    assert shown.endswith("é ?? ?")


def test_marks_of_writers_are_latex() -> None:
    assert latex("ELMo\u2019s \u201cbest\u201d\u2026") == r"ELMo's ``best''\ldots{}"


def test_papers_say_that_training_sets_are_the_random_factor_of_folds(study: Study) -> None:
    for fold in (1, 2):
        study.single({"data.folds": 2, "data.fold": fold})
    texts = [" ".join(render_document(document).split()) for document in compose(study.findings()).documents]
    said = "\n".join(texts)
    assert said.count("training sets and tweets") == 4
    assert not [text for text in ("seeds and tweets", "single trained models") if text in said]


def test_persons_who_labelled_a_gold_table_are_named_in_the_checklist(study: Study) -> None:
    study.single({})
    findings = study.findings()
    gold: Any = SimpleNamespace(added={"Ben": SimpleNamespace(annotator=True), "llm": SimpleNamespace(annotator=False)})
    with_gold = replace(findings, study=replace(findings.study, labelled=[gold]))
    text = render_document(checklist(with_gold))
    assert "- Ben labelled tweets for this report." in text
    assert "- llm labelled" not in text
