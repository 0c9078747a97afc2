"""From run directories to a report: read, compare, write."""

from pathlib import Path

from report.analysis.datasets import datasets
from report.read.load import Study, load_study
from report.render.blocks import ReportSection
from report.render.write import write_report
from report.sections.answer import answer
from report.sections.attention import attention
from report.sections.cleaning import cleaning
from report.sections.elmo import elmo
from report.sections.errors import errors
from report.sections.leaderboard import leaderboard
from report.sections.provenance import provenance
from report.sections.search import search
from report.sections.variants import variants
from sentiment.run_dir import Results


def build_report(results: Results, grids: list[str], folder: Path) -> tuple[Study, Path]:
    """Write the report of `grids` (all if empty) into `folder`; return what was read and the page's path.

    Raises:
        SentimentError: there is nothing to report, or no such grid.
        OSError: the report cannot be written.
    """
    study = load_study(results, grids)
    return study, write_report(build_sections(study), folder)


def build_sections(study: Study) -> list[ReportSection]:
    """In the order in which a reader asks; those without data are left out."""
    found = datasets(study)
    sections = [
        answer(study, found),
        leaderboard(study, found),
        variants(study, found),
        cleaning(study),
        search(study),
        attention(study, found),
        elmo(study, found),
        errors(study, found),
        provenance(study),
    ]
    return [section for section in sections if section and section.blocks]
