"""From run directories to a report: read, analyse, write."""

from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

from report.analysis.findings import Findings, analyse
from report.read.load import load_study
from report.render import wording
from report.render.blocks import Report, ReportSection
from report.render.write import write_pdfs, write_report
from report.sections.grids.attention import attention
from report.sections.grids.cleaning import cleaning
from report.sections.grids.elmo import elmo
from report.sections.grids.labels import labels
from report.sections.grids.own_elmo import own_elmo
from report.sections.grids.questions import questions
from report.sections.grids.search import search
from report.sections.models.answer import answer
from report.sections.models.check_list import check_list
from report.sections.models.errors import errors
from report.sections.models.leaderboard import leaderboard
from report.sections.models.learning import learning
from report.sections.names import dataset_name
from report.sections.record.methods import methods
from report.sections.record.papers import papers
from report.sections.record.provenance import provenance
from report.sections.record.runs import runs
from sentiment.console import Progress, silent
from sentiment.run_dir import Results

# In the order in which a reader asks.
SECTIONS: Sequence[Callable[[Findings], ReportSection]] = (
    answer,
    questions,
    leaderboard,
    runs,
    learning,
    cleaning,
    labels,
    search,
    attention,
    elmo,
    own_elmo,
    errors,
    check_list,
    provenance,
    papers,
    methods,
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
    findings = analyse(load_study(results, grids, progress), progress)
    report = build_sections(findings)
    page = write_report(report, folder, partial(progress, "drawing and writing"))
    if pdf:
        write_pdfs(report, folder)
    return findings, page


def build_sections(findings: Findings) -> Report:
    """The report: all sections that have something to say, and what it is about."""
    sections = [section for section in (build(findings) for build in SECTIONS) if section.blocks]
    return Report("Which model reads tweets best?", _about(findings), sections)


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
