"""What a paper takes from the report: its main table in LaTeX and a checklist, whose sentences are in templates."""

from collections.abc import Sequence

from report.compare.cost import usage_of
from report.compare.findings import Findings
from report.render.blocks import Document
from report.sections.names import predictor_name
from sentiment.blocks.content import DataTable
from sentiment.runs.corpus_records import PUBLISHED_DATA


def paper_tables(findings: Findings, tables: Sequence[DataTable]) -> list[Document]:
    """The ranking of each data set's predictors."""
    documents = []
    for best, table in zip(findings.recommendations, tables, strict=True):
        values = {"table": table, "best": best, "dataset": best.dataset}
        documents.append(Document(f"tables/{table.name}.tex", "leaderboard.tex.j2", values))
    return documents


def checklist(findings: Findings) -> Document:
    """The questions of reporting checklists, with the answers that the records give."""
    study = findings.study
    best = findings.recommended
    annotators = {annotator.name for dataset in findings.datasets for annotator in dataset.annotators}
    annotators |= {name for table in study.labelled for name, added in table.added.items() if added.annotator}
    values = {
        "findings": findings,
        "best": best,
        "best_name": predictor_name(best.model) if best else "",
        "completed": study.completed_runs,
        "records": [run.record for run in study.runs if run.record],
        "usage": usage_of(study.runs),
        "published_data": PUBLISHED_DATA,
        "annotators": sorted(annotators),
    }
    return Document("checklist.md", "checklist.md.j2", values)
