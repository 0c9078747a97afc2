"""From run directories to a report: read, analyse, write; and again while runs are at work."""

import time
from collections.abc import Callable, Sequence
from pathlib import Path

from report.compare.findings import Findings, analyse
from report.questions.attention import attention, overfitting
from report.questions.labels import labels
from report.questions.search import rungs, search
from report.questions.settings import settings
from report.read import Grid, load_study
from report.render import wording
from report.render.blocks import Block, Bullets, Card, Fold, Question, Report, ReportSection, Text
from report.render.page import write_report
from report.render.wording import emphasis, joined
from report.sections.answer import answer
from report.sections.errors import errors, learning
from report.sections.models import check_list, elsewhere, leaderboard
from report.sections.names import METHODS
from report.sections.provenance import methods, provenance
from report.sections.runs import runs
from sentiment.console import Progress, silent
from sentiment.runs.run_dir import Results
from sentiment.runs.state import PAUSED, PLANNED, RUNNING

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
# A page of runs that are at work is written anew, and loads itself anew, after so many seconds.
RELOAD = 30


def build_report(
    results: Results,
    grids: list[str],
    folder: Path,
    title: str = TITLE,
    progress: Progress = silent,
    reload: int | None = None,
) -> tuple[Findings, Path]:
    """Write the report of `grids` (of everything if empty) into `folder`; return what was found and the page's path.

    Raises:
        SentimentError: there is nothing to report, or no such grid.
        OSError: the report cannot be written.
    """
    findings = analyse(load_study(results, grids, progress))
    return findings, write_report(compose(findings, title, reload), folder, progress)


def watch_report(
    results: Results, grids: list[str], folder: Path, title: str = TITLE, wait: Callable[[float], None] = time.sleep
) -> tuple[Findings, Path]:
    """Write the report again and again, as a page that reloads, until no run has anything left to do; then for good.

    Raises:
        SentimentError, OSError: as `build_report`.
    """
    while True:
        findings, _ = build_report(results, grids, folder, title, reload=RELOAD)
        if not any(run.state.state in (RUNNING, PLANNED, PAUSED) for run in findings.study.runs):
            return build_report(results, grids, folder, title)
        wait(RELOAD)


def compose(findings: Findings, title: str = TITLE, reload: int | None = None) -> Report:
    """All sections that have something to say; what questions cannot read is added to the findings' problems."""
    asked = [question(findings) for question in QUESTIONS]
    unread = dict.fromkeys(problem for one in asked for problem in one.problems if problem not in findings.problems)
    findings.problems.extend(unread)
    sections = [answer(findings), _questions(findings, asked), *(build(findings) for build in SECTIONS)]
    sections.append(methods(findings, [method for one in asked for method in one.methods]))
    return Report(title, _about(findings), [section for section in sections if section.blocks], reload)


def _questions(findings: Findings, asked: Sequence[Question]) -> ReportSection:
    grids = findings.study.grids
    notes = [
        Card(f"Notes on {one.name}", [Text(one.notes, "note")]) for one in (*grids, findings.study.single) if one.notes
    ]
    cards = [card for one in asked for card in one.cards]
    numbers: list[Block] = [Bullets([_asked_by(grid) for grid in grids])] if grids else []
    numbers += [block for one in asked for block in one.numbers]
    if not cards:
        return ReportSection("The questions", [*notes, *numbers])
    first = Text(joined(["What is best is chosen on validation tweets and measured on test tweets.", METHODS]))
    return ReportSection("The questions", [first, *notes, *cards, Fold("All comparisons in numbers", numbers)])


def _asked_by(grid: Grid) -> object:
    completed = sum(run.completed is not None for run in grid.runs)
    told = f"({completed:,} of {wording.plural(len(grid.runs), 'run')} completed)"
    return joined([emphasis(f"{grid.name}:"), *([grid.plan.description] if grid.plan else []), told])


def _about(findings: Findings) -> list[str]:
    """Tweets, runs and date: the newest start or end of an attempt, so that the same runs give the same report."""
    every = findings.study.runs
    completed = sum(run.completed is not None for run in every)
    dates = [one.end or one.start for run in every if run.record for one in run.record.attempts]
    about = [findings.main.name] if findings.main else []
    about.append(f"{completed:,} of {wording.plural(len(every), 'run')} completed")
    return [*about, *([max(dates)[:10]] if dates else [])]
