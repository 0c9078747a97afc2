"""What a paper takes from the report: its main tables in LaTeX and a checklist, whose sentences are in templates."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from report.compare.cost import usage_of
from report.compare.findings import Findings
from report.evaluated import CompletedRun
from report.render.blocks import Document, columns_of
from report.sections.models import ranking_remarks, ranking_titles
from report.sections.names import predictor_name
from sentiment.blocks.content import DataTable, Row, column
from sentiment.blocks.wording import count, joined, plain
from sentiment.runs.corpus_records import PUBLISHED_DATA, CorpusReport
from sentiment.statistics.words import percent

# Of the width of the text, what is left beside the space between columns.
_TEXT_WIDTH = 0.88


def paper_tables(findings: Findings, tables: Sequence[DataTable]) -> list[Document]:
    """The ranking of each data set's predictors, with columns of its own."""
    documents = []
    for best, table in zip(findings.recommendations, tables, strict=True):
        columns = columns_of("paper", table.rows, **ranking_titles(best))
        caption = joined(ranking_remarks(best, len(table.shown)))
        documents.append(latex_table(replace(table, columns=columns, caption=caption)))
    return documents


def latex_table(table: DataTable) -> Document:
    """A table of the page as LaTeX, with its caption below."""
    rows = [[column.show(row) for column in table.columns] for row in table.shown]
    titles = [column.title for column in table.columns]
    weights = [max(map(_weight, cells)) for cells in zip(titles, *rows, strict=True)]
    widths = [_TEXT_WIDTH * weight / sum(weights) for weight in weights]
    marked = [{"cells": cells, "is_best": row is table.best} for cells, row in zip(rows, table.shown, strict=True)]
    values = {"table": table, "titles": titles, "widths": widths, "rows": marked}
    return Document(f"tables/{table.file}.tex", "table.tex.j2", values)


def _weight(cell: Any) -> int:
    """How wide a cell is beside others: its longest word is not broken, and a long text has few lines."""
    text = plain(cell)
    return max(len(text) // 6, 1 + max(map(len, text.split()), default=0))


def _parts_table(run: CompletedRun, report: CorpusReport) -> DataTable:
    """How many tweets of each class each part of a run's corpus has."""
    rows: list[Row] = []
    for part in run.result.parts:
        tweets = report.parts[part]
        row: Row = {"part": part, "tweets": tweets.rows}
        for name, number in zip(report.classes, tweets.classes, strict=True):
            row[f"class {name}"] = f"{count(number)} ({percent(number / tweets.rows)} %)"
        rows.append(row)
    of_classes = [column(name, f"class {name}") for name in report.classes]
    return DataTable("parts", "", [column("Part", "part"), column("Tweets", "tweets", "count"), *of_classes], rows)


def checklist(findings: Findings) -> Document:
    """The questions of reporting checklists, with the answers that the records give."""
    study = findings.study
    best = findings.recommended
    annotators = {annotator.name for dataset in findings.datasets for annotator in dataset.annotators}
    annotators |= {name for table in study.labelled for name, added in table.added.items() if added.annotator}
    by_corpus = {run.record.data_fingerprint: run for run in study.completed_runs}
    values = {
        "tables": {name: _parts_table(by_corpus[name], report) for name, report in study.counts.items()},
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
