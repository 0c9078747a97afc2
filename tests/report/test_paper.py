"""What a paper takes from the report: the main table in LaTeX, and the reporting checklist."""

import re
import shutil
import subprocess
from dataclasses import replace
from pathlib import Path

import pytest

from report.render.blocks import Document
from report.render.page import render_document
from report.render.wording import latex
from report.sections.models import leaderboard
from report.sections.paper import checklist, paper_tables
from report.statistics import Estimate
from sentiment.runs.records import ModelKind, Result
from tests.limits import limit
from tests.report.made_up import Study, read_table, tables_of
from tests.small_runs import stored

HOSTILE = "50 % of $x_1 & y^2$ #{a} ~\\input{secret} <b> é 日本 \U0001f600"


def _rows(table: str) -> list[list[str]]:
    """The cells of each row of a LaTeX table, without fonts."""
    body = table[table.index(r"\midrule") : table.index(r"\bottomrule")]
    plain = re.sub(r"\\(midrule|bfseries)\s", "", body).replace("\n", " ")
    return [[cell.strip() for cell in row.split(" & ")] for row in plain.split(r" \\")[:-1]]


def test_latex_table_has_the_numbers_of_the_report_and_marks_shown_differences(
    invented: Study, invented_report: Path
) -> None:
    table = (invented_report / "tables" / "leaderboard.tex").read_text()
    expected = read_table(invented_report, "leaderboard")
    best, *others = _rows(table)
    assert best[0] == expected[0]["model"]
    assert table.count(r"\bfseries") == 4, "cells of one row"
    for row, shown in zip([best, *others], expected, strict=True):
        assert row[3].startswith(f"{100 * shown['test_accuracy']:.1f}")
        mark = {"better": r"$^{\ast}$", "worse": r"$^{\dagger}$"}.get(str(shown["verdict"]), "")
        assert (row[3].endswith(mark), "^" in row[3]) == (True, bool(mark))
    dataset = invented.findings().datasets[0]
    estimate = dataset.score(dataset.configurations[0])
    assert f"({100 * estimate.low:.1f}--{100 * estimate.high:.1f})" in best[3]  # type: ignore[operator]


@pytest.mark.parametrize(
    ("model", "name"), [("baseline", "linear baseline"), ("both", "ensemble"), ("network", "BiLSTM")]
)
def test_tables_bold_what_is_recommended_and_an_ensemble_has_its_gain(
    study: Study, model: ModelKind, name: str
) -> None:
    for seed in (1, 2):
        run_dir = study.single({"seed": seed}, skill=0.9 + 0.1 * seed)
        run_dir.write_record(stored(run_dir, Result).model_copy(update={"recommended": model}))
    findings = study.findings()
    (document,) = paper_tables(findings)
    bold, *_ = (line for line in render_document(document).splitlines() if line.startswith(r"\bfseries"))
    assert name in bold
    rows = {row["model"]: row for row in tables_of(leaderboard(findings))["leaderboard"].rows}
    (ensemble,) = (row for model, row in rows.items() if "ensemble" in model)
    advice = findings.recommended
    assert advice
    is_compared = advice.alternative == "both"
    assert is_compared or model == "network"
    assert ensemble.get("gain_over_baseline") == (advice.gain.value if is_compared else None)  # type: ignore[union-attr]


def test_latex_table_marks_no_net_that_gives_every_tweet_the_same_label(invented: Study) -> None:
    findings = invented.findings()
    dataset = replace(findings.datasets[0], added=[])
    constant = [replace(learned, only_label="positive") for learned in dataset.configurations]
    marks = []
    for nets in (dataset.configurations, constant):
        (document,) = paper_tables(replace(findings, datasets=[replace(dataset, configurations=nets)]))
        marks.append(any("^" in row[3] for row in _rows(render_document(document))))
    assert marks == [True, False]


@pytest.mark.more
@pytest.mark.skipif(shutil.which("pdflatex") is None, reason="needs pdflatex with booktabs (texlive-latex-recommended)")
def test_latex_table_compiles_whatever_models_are_called(invented: Study, tmp_path: Path) -> None:
    (document,) = paper_tables(invented.findings())
    hostile = {"name": HOSTILE, "score": Estimate(0.8, None, None, 9)}
    rows = [document.values["rows"][0] | hostile, *document.values["rows"]]
    content = render_document(Document("t.tex", document.template, {**document.values, "rows": rows}))
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


def test_checklist_answers_from_the_records_and_marks_what_only_authors_know(invented_report: Path) -> None:
    text = (invented_report / "checklist.md").read_text()
    for answer in (
        "300 read, 280 kept",
        "| train | 400 | 200 (50.0 %) | 200 (50.0 %) |",
        "0.12 GPU-hours",
        "Seeds: 1, 2, 3; 1 to 3 for each configuration",
        "`training.learning_rate`: 0.0001, 0.001, 0.01",
        "Anna labelled",
        "**TO FILL**: licence",
    ):
        assert answer in text
    assert "<b>" not in text


def test_checklist_says_how_many_seeds_each_configuration_has(study: Study) -> None:
    for width in (8, 16):
        for seed in (1, 2):
            study.single({"model.hidden_size": width, "seed": seed})
    text = render_document(checklist(study.findings()))
    assert "- Seeds: 1, 2; 2 for each configuration.\n" in text
    assert "seeds and tweets as crossed random factors" in text


def test_checklist_of_single_seeds_claims_nothing_about_seeds(study: Study) -> None:
    study.single({})
    text = render_document(checklist(study.findings()))
    assert "crossed random factors" not in text
    assert "no configuration has several seeds" in text
