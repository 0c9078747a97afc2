"""From run directories to a report: read, analyse, write."""

from collections.abc import Callable, Sequence
from pathlib import Path

from report.analysis.findings import Findings, analyse
from report.read.load import load_study
from report.render.blocks import ReportSection
from report.render.write import write_report
from report.sections.answer import answer
from report.sections.attention import attention
from report.sections.cleaning import cleaning
from report.sections.elmo import elmo
from report.sections.errors import errors
from report.sections.labels import labels
from report.sections.leaderboard import leaderboard
from report.sections.own_elmo import own_elmo
from report.sections.provenance import provenance
from report.sections.search import search
from report.sections.variants import variants
from sentiment.run_dir import Results

# In the order in which a reader asks.
SECTIONS: Sequence[Callable[[Findings], ReportSection]] = (
    answer,
    leaderboard,
    variants,
    cleaning,
    labels,
    search,
    attention,
    elmo,
    own_elmo,
    errors,
    provenance,
)


def build_report(results: Results, grids: list[str], folder: Path) -> tuple[Findings, Path]:
    """Write the report of `grids` (of everything if empty) into `folder`; return what was found and the page's path.

    Raises:
        SentimentError: there is nothing to report, or no such grid.
        OSError: the report cannot be written.
    """
    findings = analyse(load_study(results, grids))
    return findings, write_report(build_sections(findings), folder)


def build_sections(findings: Findings) -> list[ReportSection]:
    """All sections that have something to say."""
    return [section for section in (build(findings) for build in SECTIONS) if section.blocks]
