"""Build the report: which questions and sections it has, in their order."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import chdir, contextmanager
from pathlib import Path
from typing import Any

from markupsafe import Markup

from report.compare.findings import Findings, analyse
from report.questions.attention import attention
from report.questions.hypotheses import hypotheses
from report.questions.labels import labels
from report.questions.search import search
from report.questions.settings import settings
from report.read import Grid, Study, load_study
from report.render.blocks import Block, Details, Question, Report, ReportSection
from report.render.page import write_report
from report.sections.answer import answer
from report.sections.errors import errors
from report.sections.models import added_predictors, external_test_sets, published_results, rankings
from report.sections.names import METHODS, completed_of
from report.sections.paper import checklist, paper_tables
from report.sections.provenance import methods, provenance
from report.sections.runs import runs
from report.sections.tables import labelled_tables, tables_without_labels
from sentiment.blocks.content import Bullets, Text
from sentiment.blocks.wording import emphasis, joined, listing
from sentiment.console import Progress, plural, silent, visible
from sentiment.processes import without_garbage_collection
from sentiment.runs.run_dir import Results

TITLE = "Which model classifies tweet sentiment best?"
# The questions, in the order of the page.
QUESTIONS: Sequence[Callable[[Findings], Question]] = (
    hypotheses,
    settings,
    labels,
    attention,
    search,
)
# The sections that follow the recommendation and the questions, by title, in the order of the page.
SECTIONS: Mapping[str, Callable[[Findings], Sequence[Block]]] = {
    "Published results": published_results,
    "Added predictors": added_predictors,
    "External test sets": external_test_sets,
    "Predictors on labelled tables": labelled_tables,
    "Predictors on tables without labels": tables_without_labels,
    "The runs": runs,
    "Errors and calibration": errors,
    "Provenance": provenance,
}


def build_report(
    results: Results,
    grids: list[str],
    folder: Path,
    title: str = TITLE,
    progress: Progress = silent,
) -> tuple[Findings, Path]:
    """Write the report of `grids` (of everything if empty) into `folder`.

    Returns:
        The findings, and the path of the HTML page.

    Raises:
        SentimentError: there is nothing to report, or no such grid.
        OSError: the report cannot be written.
    """
    written = folder.absolute()
    with results_by_name(results) as named, without_garbage_collection():
        findings = analyse(load_study(named, grids, progress))
        page = write_report(compose(findings, title), written, progress)
    return findings, folder / page.name


@contextmanager
def results_by_name(results: Results) -> Iterator[Results]:
    """The same results by the name of their folder alone, in a directory that holds it, which is the current one
    meanwhile: so the page's commands and messages are the same wherever the folder is."""
    root = results.root.absolute()
    with chdir(root.parent):
        yield Results(Path(root.name))


def compose(findings: Findings, title: str = TITLE) -> Report:
    """Assemble the report from all sections that have content."""
    questions = [question(findings) for question in QUESTIONS]
    tables = rankings(findings)
    answers = [text for question in questions for text in question.answers]
    blocks: dict[str, Sequence[Block]] = {"Recommendation": answer(findings, tables[:1], answers)}
    blocks |= {question.section.title: question.section.blocks for question in questions if question.section}
    blocks["Ablations and searches"] = _questions(findings, questions)
    blocks["Other data sets"] = tables[1:]
    blocks |= {section: build(findings) for section, build in SECTIONS.items()}
    blocks["Methods"] = methods(findings)
    sections = [ReportSection(section, content) for section, content in blocks.items() if content]
    documents = [*paper_tables(findings, tables), *(each for question in questions for each in question.documents)]
    if findings.study.runs:
        documents.append(checklist(findings))
    return Report(visible(title), _about(findings), sections, documents)


def _questions(findings: Findings, questions: Sequence[Question]) -> Sequence[Block]:
    grids = findings.study.grids
    cards = [card for question in questions for card in question.cards]
    tables: list[Block] = [Bullets([_grid_summary(grid) for grid in grids])] if grids else []
    tables += [block for question in questions for block in question.numbers]
    if not cards:
        return tables
    rule = "The best value is selected on the validation set and evaluated on the test set."
    details = [Details("All comparisons as tables", tables)] if tables else []
    return [Text(joined([rule, METHODS])), *cards, *details]


def _grid_summary(grid: Grid) -> Markup:
    description = grid.plan.description if grid.plan else ""
    return joined([emphasis(f"{grid.name}:"), f"{description} ({completed_of(grid.runs)})"])


def summary(study: Study) -> list[str]:
    """How many runs are completed, and what was added to tables."""
    summed = [completed_of(study.runs)] if study.runs else []
    for table in study.labelled:
        summed.append(f"{plural(len(table.added_predictors), 'added predictor')} on {table.record.source}")
    return summed


def _about(findings: Findings) -> list[Any]:
    """Data set with its classes, runs, and the date of the last attempt, so that rebuilding gives identical output."""
    study_runs = findings.study.runs
    about: list[Any] = []
    if findings.main:
        classes = [f"{number:,} {name}" for name, number in findings.main.test_classes.items()]
        tweets = plural(findings.main.test_tweets, "test tweet")
        about.append(f"{findings.main.name}: {tweets}, {listing(classes)}")
    about += summary(findings.study)
    dates = [attempt.end or attempt.start for run in study_runs if run.record for attempt in run.record.attempts]
    if dates:
        about.append(max(dates)[:10])
    return about
