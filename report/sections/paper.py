"""What a paper takes from the report: its main table in LaTeX and a checklist, whose sentences are in templates."""

from collections.abc import Iterator, Mapping
from typing import Any

from report.compare.cost import usage_of
from report.compare.datasets import Configuration, Dataset
from report.compare.findings import Findings
from report.render.blocks import Document
from report.sections.models import means_over_seeds, shown_configurations
from report.sections.names import configuration_name, predictor_name
from report.statistics import Difference, Estimate, estimate_of
from sentiment.runs.corpus_records import PUBLISHED_DATA

PaperRow = dict[str, Any]


def paper_tables(findings: Findings) -> list[Document]:
    """For each data set a table of its configurations and their references."""
    documents = []
    for number, dataset in enumerate(findings.datasets, 1):
        name = "leaderboard" if number == 1 else f"leaderboard-{number}"
        rows = [_configuration_row(dataset, configuration) for configuration in shown_configurations(dataset)]
        values = {
            "label": name,
            "dataset": dataset,
            "rows": rows,
            "references": [*_reference_rows(dataset), *_added_rows(dataset)],
            "is_conditional": any(row["difference"] and row["difference"].is_conditional for row in rows),
        }
        documents.append(Document(f"tables/{name}.tex", "leaderboard.tex.j2", values))
    return documents


def _configuration_row(dataset: Dataset, configuration: Configuration) -> PaperRow:
    means = means_over_seeds(configuration, "network")
    # A network that gives every tweet the same label is never called better.
    difference = None if configuration.only_label else dataset.against_baseline.get(configuration)
    row = _row(configuration_name(configuration), dataset.score(configuration), means, difference)
    return row | {"seeds": len(configuration.runs), "is_best": configuration is dataset.best}


def _reference_rows(dataset: Dataset) -> Iterator[PaperRow]:
    """The other predictors of the best configuration; of these only the ensemble depends on seeds."""
    configuration = dataset.best or dataset.configurations[0]
    run = configuration.best_seed
    for kind in run.kinds:
        if kind == "network":
            continue
        if kind in ("both", "baseline"):
            score = dataset.score(configuration, kind)
        else:
            score = estimate_of(run.metrics_on_test(kind), dataset.metric)
        yield _row(predictor_name(configuration, kind), score, means_over_seeds(configuration, kind))


def _added_rows(dataset: Dataset) -> Iterator[PaperRow]:
    for added in dataset.added:
        means = {"validation_macro_f1": added.validation_macro_f1, "test_macro_f1": added.metrics.macro_f1}
        yield _row(added.name, added.score(dataset.metric), means, added.above_baseline)


def _row(
    name: str, score: Estimate, means: Mapping[str, float | None], difference: Difference | None = None
) -> PaperRow:
    """A row: the test score by which models are compared, the mean macro F1, and the difference to the baseline."""
    return {"name": name, "score": score, **means, "difference": difference, "seeds": "", "is_best": False}


def checklist(findings: Findings) -> Document:
    """The questions of reporting checklists, with the answers that the records give."""
    study = findings.study
    best = findings.recommended
    values = {
        "findings": findings,
        "best": best,
        "best_name": configuration_name(best.configuration) if best else "",
        "completed": study.completed_runs,
        "records": [run.record for run in study.runs if run.record],
        "usage": usage_of(study.runs),
        "published_data": PUBLISHED_DATA,
    }
    return Document("checklist.md", "checklist.md.j2", values)
