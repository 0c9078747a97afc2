"""The expected report of the invented study; whatever a tweet holds is shown and never obeyed; the tables of papers."""

import re
import shutil
import subprocess
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from unittest.mock import patch
from xml.etree import ElementTree

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from markdown_it import MarkdownIt

from report import build
from report.build import build_report, compose
from report.compare.claims import decided, matched_claim
from report.compare.findings import Findings
from report.render import page
from report.render.blocks import Block, Card, Question, Report, ReportSection
from report.render.charts import Axis, Figure, line_figure, share_point
from report.render.page import render_document, render_markdown, render_page
from report.render.wording import latex
from report.sections.models import rankings
from report.sections.paper import checklist, latex_table, paper_tables
from sentiment.blocks.content import DataTable, Text, column, with_bounds
from sentiment.blocks.wording import code, escape
from sentiment.console import visible
from sentiment.statistics import words
from sentiment.statistics.estimate import Estimate
from tests.limits import limit
from tests.report.made_up import HOSTILE, Study
from tests.report.studies import EXPECTED, scrubbed

_GITHUB = MarkdownIt("commonmark").enable(["table", "strikethrough"])
_TAGS = set("html head meta title style body header div section nav ul li a main h1 h2 p script".split())  # noqa: SIM905
_SYNTAX = st.text(
    alphabet=st.sampled_from(list("ab1 \t\n.)+-=*_`~#|[]()<>&!\\/:'\"$@{}\u202e\u0000\U0001f600")), max_size=30
)


@pytest.mark.parametrize(
    ("level", "shown"), [(0.95, "95"), (0.989, "98.9"), (1 - 0.05 / 15, "99.67"), (1 - 0.05 / 105, "99.952")]
)
def test_interval_is_printed_with_its_own_level(level: float, shown: str) -> None:
    difference = Estimate(0.02, 0.01, 0.03, 100, level, p=0.001, q=0.002)
    assert words.claim(difference) == f"+2.0 points ({shown} % CI +1.0 to +3.0)"
    assert words.evidence(difference) == f" ({shown} % CI +1.0 to +3.0; adjusted p = 0.002)"
    assert words.levels([difference, Estimate(0.5, 0.4, 0.6, 9)]) == ("95" if shown == "95" else f"95 to {shown}")
    assert words.share(Estimate(0.5, 0.4, 0.6, 9)) == "50.0 % (95 % CI 40.0\u201360.0)"
    assert words.share(Estimate(0.5, None, None, 9)) == "50.0 %"


class _Page(HTMLParser):
    def __init__(self, page: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.attributes: dict[str, list[str]] = {}
        self.text = ""
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        for name, value in attrs:
            self.attributes.setdefault(name, []).append(value or "")

    def handle_data(self, data: str) -> None:
        self.text += data


def _report(block: Block) -> Report:
    return Report("Title", [], [ReportSection("S", [block])])


@given(_SYNTAX)
def test_escaped_text_and_code_are_shown_as_they_are_and_begin_no_block(anything: str) -> None:
    for text, tags, shown in (
        (f"before {escape(anything)} after", ["p"], f"before {visible(anything)} after"),
        (f"{escape(anything)} after", ["p"], f"{visible(anything)} after".strip()),
        (f"before {code(anything)} after", ["p", "code"], f"before {visible(anything) or ' '} after"),
    ):
        page = _Page(_GITHUB.render(text))
        assert page.tags == tags
        assert page.text.strip() == shown


@settings(max_examples=30)
@given(st.lists(_SYNTAX, min_size=1, max_size=12))
def test_cells_stay_in_their_row(values: list[str]) -> None:
    rows = [{"a": one, "b": "end"} for one in values]
    table = DataTable("t", "caption", [column("A", "a"), column("B", "b")], rows)
    page = _Page(_GITHUB.render(render_markdown(_report(table))))
    assert page.tags.count("tr") == 1 + len(values)
    assert page.tags.count("td") == 2 * len(values)
    assert page.text.count("end") >= len(values)


@settings(max_examples=15)
@given(st.lists(_SYNTAX, min_size=1, max_size=12))
def test_page_shows_text_and_nothing_else(values: list[str]) -> None:
    page = _Page(render_page(Report("Title", [], [ReportSection("S", [Text(one) for one in values])])))
    assert all(visible(one) in page.text for one in values)
    assert page.tags.count("script") == 1
    assert set(page.tags) <= _TAGS


@pytest.mark.parametrize("name", ["C:\\grids \\1 \\g<x>", "two\nlines", "<b>", "\u202e"])
def test_a_figure_is_shown_whatever_it_is_about(name: str) -> None:
    page = _Page(render_page(_report(_about(name))))
    assert [one for one in page.attributes["class"] if one in ("screen", "phone")] == ["screen", "phone"]
    assert page.attributes["aria-label"].count(visible(name)) == 2


def test_files_of_different_names_are_different_files() -> None:
    names = ["best-x", "best-\u00e9", "best-\u00e8", "best-a b", "best-a-b", "best-a\nb", "b" * 300, "b" * 301]
    files = [DataTable(name, "", [], []).file for name in names]
    assert (len(set(files)), files[0]) == (len(names), "best-x")
    assert all(re.fullmatch(r"[A-Za-z0-9._-]{1,120}", file) for file in files)


@pytest.mark.parametrize("link", ["www.evil.example", "WWW.evil.example", "me@evil.example", "https://evil.example"])
def test_nothing_is_left_in_a_text_that_github_makes_a_link_of(link: str) -> None:
    assert not re.search(r"(?i)www\.|://|@", escape(f"see {link}"))
    assert _Page(_GITHUB.render(f"see {escape(link)}")).text.strip() == f"see {link}"


def _about(name: str) -> Figure:
    points = [share_point("a", x, Estimate(x / 100, 0.4, 0.6, 100), "a") for x in (40, 60)]
    return line_figure("name", name, "caption", points, (Axis("x"), Axis("y")))


@pytest.mark.slow
def test_same_runs_give_equal_bytes_and_tell_progress(invented: Study, invented_report: Path, tmp_path: Path) -> None:
    told: dict[str, list[tuple[int, int | None]]] = {}
    build_report(invented.results, [], tmp_path, progress=lambda what, *at: told.setdefault(what, []).append(at))
    assert [*told] == ["reading grids", "drawing and writing"]
    assert all(steps == [(number, len(steps)) for number in range(len(steps))] for steps in told.values())
    files, again = ({path.relative_to(of): path.read_bytes() for path in of.rglob("*") if path.is_file()}
                    for of in (invented_report, tmp_path))  # fmt: skip
    assert files == again


@pytest.mark.slow
def test_report_is_as_expected_with_titles_of_figures_and_hostile_tweets_as_text(invented_report: Path) -> None:
    found = scrubbed((invented_report / "report.md").read_text(encoding="utf-8"))
    expected = EXPECTED.read_text(encoding="utf-8")
    assert found.splitlines() == expected.splitlines(), "if it is wanted: python -m tests.report.studies"
    references = re.findall(r"\]\((figures/[^)]+)\)\n\*(.*)\*\n", found)
    assert len(references) > 3
    for name, caption in references:
        assert re.search(r"n = \d", caption), caption
        title = ElementTree.parse(invented_report / name).getroot().find(".//{*}title")
        assert title is not None, name
        assert title.text, name
    page = _Page((invented_report / "report.html").read_text(encoding="utf-8"))
    for tweet in (HOSTILE[0], HOSTILE[1], "# heading </td></tr></table> <b> $x^2$ ~~gone~~"):
        assert tweet in page.text
    assert page.tags.count("script") == 2  # the runs' values, and the page's own
    assert not {name for name in page.attributes if name.startswith("on")}
    commit = f"https://host.org/me/tweets/commit/{'c0ffee' * 6}c0ff"
    links = {link for link in page.attributes["href"] if not link.startswith(("#", "tables/"))}
    assert links == {commit}
    assert not {"b", "img", "iframe", "object", "link", "base", "form"} & set(page.tags)
    assert not [hidden for hidden in ("o" * 300, "\u202e") if hidden in page.text]
    assert "Positive or negative <b>tweet</b>?" in page.text


@pytest.fixture
def without_charts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("report.render.charts.draw", lambda spec, title: "<svg><title></title></svg>")


@pytest.mark.usefixtures("without_charts")
def test_table_of_an_earlier_report_is_deleted_by_the_next_one_which_leaves_what_is_not_its_own(study: Study) -> None:
    study.single({})
    other = study.single({"data.test_fraction": 0.2})
    folder = study.results.report
    mine = [folder / "tables" / "mine.csv", folder / "figures" / "mine.svg"]
    for path in mine:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("mine")
    study.report(folder)
    old = folder / "tables" / "leaderboard-2.csv"
    shutil.rmtree(other.path)
    study.report(folder)
    assert [path.exists() for path in (old, old.with_suffix(".tex"), *mine)] == [False, False, True, True]


@pytest.mark.usefixtures("without_charts")
def test_report_that_was_killed_when_its_page_was_written_leaves_no_table_of_an_earlier_one(
    study: Study, monkeypatch: pytest.MonkeyPatch
) -> None:
    study.single({})
    other = study.single({"data.test_fraction": 0.2})
    folder = study.results.report
    study.report(folder)
    old = folder / "tables" / "leaderboard-2.csv"
    assert old.exists()
    shutil.rmtree(other.path)

    def killed(path: Path, text: str) -> None:
        write(path, text)
        if path.name == "report.html":
            raise KeyboardInterrupt

    write = page._write
    with monkeypatch.context() as patched:
        patched.setattr(page, "_write", killed)
        with pytest.raises(KeyboardInterrupt):
            study.report(folder)
    study.report(folder)
    assert not old.exists()


def test_a_new_question_is_a_function_that_makes_claims_and_blocks_of_them(study: Study) -> None:
    for seed in (1, 2):
        study.single({"seed": seed, "model.hidden_size": 8}, skill=0.1)
        study.single({"seed": seed, "model.hidden_size": 64}, skill=9.0)

    def widest(findings: Findings) -> Question:
        """Is the widest network better than the narrowest?"""
        by_width = sorted(findings.datasets[0].configurations, key=lambda each: each.config.model.hidden_size)
        pairs = [(by_width[-1].runs, by_width[0].runs)]
        alike = [configuration.runs for configuration in by_width]
        claim = matched_claim(pairs, alike, "network", findings.answers.metric)
        (difference,) = decided({"width": claim}, findings.answers).values()
        rows = [{"width": "64 or 8", **with_bounds("gain", difference)}]
        table = DataTable("widest", "", [column("Width", "width"), column("Gain", "gain", "points")], rows)
        said = f"It is: {words.claim(difference)}." if difference.is_better else "It is not."
        return Question([Card("Is the widest better?", [Text(said)])], [table], answers=[said])

    with patch.object(build, "QUESTIONS", [widest]):
        page = study.text()
    assert page.count("It is: +") == 2
    assert "### Is the widest better?" in page
    assert "| Width | Gain |" in page


ODD = "50 % of $x_1 & y^2$ #{a} ~\\input{secret} <b> é 日本 \U0001f600"


@pytest.mark.more
@pytest.mark.skipif(shutil.which("pdflatex") is None, reason="needs pdflatex with booktabs (texlive-latex-recommended)")
def test_latex_table_compiles_whatever_models_are_called(invented: Study, tmp_path: Path) -> None:
    findings = invented.findings()
    (document,) = paper_tables(findings, rankings(findings))
    table = document.values["table"]
    hostile = {"model": ODD, "score_low": None, "score_high": None}
    table = replace(table, rows=[table.rows[0] | hostile, *table.rows])
    (tmp_path / "table.tex").write_text(render_document(latex_table(table)))
    paper = ["\\documentclass{article}", "\\usepackage{booktabs,longtable}", "\\begin{document}", "\\input{table}"]
    (tmp_path / "paper.tex").write_text("\n".join([*paper, "\\end{document}"]))
    command = ["pdflatex", "-halt-on-error", "-interaction=nonstopmode", "paper.tex"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False, timeout=limit(60))
    assert done.returncode == 0, done.stdout[-1500:]
    assert "Overfull" not in done.stdout


def test_latex_shows_special_characters_literally_and_gives_no_command() -> None:
    shown = latex(ODD)
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
    assert said.count("training sets and tweets") == 2
    assert not [text for text in ("seeds and tweets", "single trained models") if text in said]


def test_persons_who_labelled_a_gold_table_are_named_in_the_checklist(study: Study) -> None:
    study.single({})
    findings = study.findings()
    gold: Any = SimpleNamespace(added={"Ben": SimpleNamespace(annotator=True), "llm": SimpleNamespace(annotator=False)})
    with_gold = replace(findings, study=replace(findings.study, labelled=[gold]))
    text = render_document(checklist(with_gold))
    assert "- Ben labelled tweets for this report." in text
    assert "- llm labelled" not in text
