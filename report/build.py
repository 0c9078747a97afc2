"""From run directories to a report: read, analyse, write."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path

from report.compare.findings import Findings, analyse
from report.questions.attention import attention
from report.questions.cleaning import cleaning
from report.questions.elmo import elmo
from report.questions.labels import labels
from report.questions.overfitting import overfitting
from report.questions.own_elmo import own_elmo
from report.questions.question import Question
from report.questions.rungs import rungs
from report.questions.search import search
from report.questions.settings import settings
from report.read.load import load_study
from report.render import wording
from report.render.blocks import Block, Bullets, Fold, Report, ReportSection, Text
from report.render.markdown import emphasis, joined
from report.render.page import write_pdfs, write_report
from report.sections.answer import answer
from report.sections.elsewhere import check_list, elsewhere
from report.sections.errors import errors, learning
from report.sections.leaderboard import leaderboard
from report.sections.names import METHODS, dataset_name
from report.sections.provenance import methods, papers, provenance
from report.sections.runs import runs
from sentiment.console import Progress, silent
from sentiment.runs.run_dir import Results

# In the order in which the page answers them.
QUESTIONS: Sequence[Callable[[Findings], Question]] = (
    settings,
    overfitting,
    cleaning,
    labels,
    attention,
    elmo,
    own_elmo,
    search,
    rungs,
)
# Around the questions, in the order in which a reader asks.
BEFORE: Sequence[Callable[[Findings], ReportSection]] = (answer,)
AFTER: Sequence[Callable[[Findings], ReportSection]] = (
    leaderboard,
    elsewhere,
    runs,
    learning,
    errors,
    check_list,
    provenance,
    papers,
)


def build_report(
    results: Results, grids: list[str], folder: Path, pdf: bool = False, progress: Progress = silent
) -> tuple[Findings, Path]:
    """Write the report of `grids` (of everything if empty) into `folder`; return what was found and the page's path.

    Args:
        pdf: whether to write each figure as PDF too.
        progress: told how far each part of the work is.

    Raises:
        SentimentError: there is nothing to report, or no such grid.
        OSError: the report cannot be written.
    """
    findings, asked = ask(analyse(load_study(results, grids, progress), progress), progress)
    report = build_sections(findings, asked)
    page = write_report(report, folder, partial(progress, "drawing and writing"))
    if pdf:
        write_pdfs(report, folder)
    return findings, page


def ask(findings: Findings, progress: Progress = silent) -> tuple[Findings, list[Question]]:
    """Every question, and the findings with what the questions could not read."""
    asked = []
    for number, question in enumerate(QUESTIONS):
        progress("answering questions", number, len(QUESTIONS))
        asked.append(question(findings))
    problems = [*findings.problems, *(problem for one in asked for problem in one.problems)]
    return replace(findings, problems=list(dict.fromkeys(problems))), asked


def build_sections(findings: Findings, asked: Sequence[Question]) -> Report:
    """The report: all sections that have something to say, and what it is about."""
    sections = [build(findings) for build in BEFORE]
    sections.append(_questions(findings, asked))
    sections += [build(findings) for build in AFTER]
    sections.append(methods(findings, [method for one in asked for method in one.methods]))
    shown = [section for section in sections if section.blocks]
    return Report("Which model reads tweets best?", _about(findings), shown)


def _questions(findings: Findings, asked: Sequence[Question]) -> ReportSection:
    """A card for each question that runs answer; at the end what the grids were made for, and all numbers."""
    grids = [
        joined(
            [
                emphasis(f"{grid.name}:"),
                grid.plan.description if grid.plan else "",
                f"({grid.completed_count:,} of {wording.plural(len(grid.runs), 'run')} completed)",
            ]
        )
        for grid in findings.study.grids
    ]
    cards = [card for one in asked for card in one.cards]
    numbers: list[Block] = [Bullets(grids), *(block for one in asked for block in one.numbers)] if grids else []
    if not cards:
        return ReportSection("The questions", numbers)
    first = Text(joined(["What is best is chosen on validation tweets and measured on test tweets.", METHODS]))
    return ReportSection("The questions", [first, *cards, Fold("The grids and all comparisons in numbers", numbers)])


def _about(findings: Findings) -> list[str]:
    """Tweets, runs and date: the newest start or end of an attempt, so that the same runs give the same report."""
    every = findings.study.runs
    completed = sum(run.completed is not None for run in every)
    attempts = [attempt for run in every if run.record for attempt in run.record.attempts]
    about = [dataset_name(findings.main)] if findings.main else []
    about.append(f"{completed:,} of {wording.plural(len(every), 'run')} completed")
    if attempts:
        about.append(max(attempt.end or attempt.start for attempt in attempts)[:10])
    return about
