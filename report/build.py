"""From run directories to a report: read, analyse, write."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path

from report.compare.findings import Findings, analyse
from report.questions.attention import attention
from report.questions.labels import labels
from report.questions.overfitting import overfitting
from report.questions.search import rungs, search
from report.questions.settings import settings
from report.read import Grid, load_study
from report.render import wording
from report.render.blocks import Block, Bullets, Fold, Question, Report, ReportSection, Text
from report.render.markdown import emphasis, joined
from report.render.page import write_report
from report.sections.answer import answer
from report.sections.errors import errors, learning
from report.sections.models import check_list, elsewhere, leaderboard
from report.sections.names import METHODS
from report.sections.provenance import methods, provenance
from report.sections.runs import runs
from sentiment.console import Progress, silent
from sentiment.runs.run_dir import Results

TITLE = "Which model reads tweets best?"
# In the order in which the page answers them.
QUESTIONS: Sequence[Callable[[Findings], Question]] = (settings, overfitting, labels, attention, search, rungs)
# Behind the answer and the questions, in the order in which a reader asks.
SECTIONS: Sequence[Callable[[Findings], ReportSection]] = (
    leaderboard,
    elsewhere,
    runs,
    learning,
    errors,
    check_list,
    provenance,
)


def build_report(
    results: Results, grids: list[str], folder: Path, title: str = TITLE, progress: Progress = silent
) -> tuple[Findings, Path]:
    """Write the report of `grids` (of everything if empty) into `folder`; return what was found and the page's path.

    Args:
        progress: told how far each part of the work is.

    Raises:
        SentimentError: there is nothing to report, or no such grid.
        OSError: the report cannot be written.
    """
    findings, asked = ask(analyse(load_study(results, grids, progress)))
    report = build_sections(findings, asked, title)
    return findings, write_report(report, folder, partial(progress, "drawing and writing"))


def ask(findings: Findings) -> tuple[Findings, list[Question]]:
    """Every question, and the findings with what the questions could not read."""
    asked = [question(findings) for question in QUESTIONS]
    problems = [*findings.problems, *(problem for one in asked for problem in one.problems)]
    return replace(findings, problems=list(dict.fromkeys(problems))), asked


def build_sections(findings: Findings, asked: Sequence[Question], title: str = TITLE) -> Report:
    """The report: all sections that have something to say, and what it is about."""
    sections = [answer(findings), _questions(findings, asked), *(build(findings) for build in SECTIONS)]
    sections.append(methods(findings, [method for one in asked for method in one.methods]))
    return Report(title, _about(findings), [section for section in sections if section.blocks])


def _questions(findings: Findings, asked: Sequence[Question]) -> ReportSection:
    grids = [_asked_by(grid) for grid in findings.study.grids]
    cards = [card for one in asked for card in one.cards]
    numbers: list[Block] = [Bullets(grids), *(block for one in asked for block in one.numbers)] if grids else []
    if not cards:
        return ReportSection("The questions", numbers)
    first = Text(joined(["What is best is chosen on validation tweets and measured on test tweets.", METHODS]))
    return ReportSection("The questions", [first, *cards, Fold("The grids and all comparisons in numbers", numbers)])


def _asked_by(grid: Grid) -> object:
    completed = sum(run.completed is not None for run in grid.runs)
    told = f"({completed:,} of {wording.plural(len(grid.runs), 'run')} completed)"
    return joined([emphasis(f"{grid.name}:"), *([grid.plan.description] if grid.plan else []), told])


def _about(findings: Findings) -> list[str]:
    """Tweets, runs and date: the newest start or end of an attempt, so that the same runs give the same report."""
    every = findings.study.runs
    completed = sum(run.completed is not None for run in every)
    attempts = [attempt for run in every if run.record for attempt in run.record.attempts]
    about = [findings.main.name] if findings.main else []
    about.append(f"{completed:,} of {wording.plural(len(every), 'run')} completed")
    if attempts:
        about.append(max(attempt.end or attempt.start for attempt in attempts)[:10])
    return about
