"""What a paper takes from the report: its main table in LaTeX and a checklist, whose sentences are in templates."""

from collections.abc import Iterator, Mapping
from typing import Any

from report.compare.advice import Recommended
from report.compare.cost import usage_of
from report.compare.datasets import Configuration, Dataset
from report.compare.findings import Findings
from report.render.blocks import Document
from report.sections.models import means_over_seeds, shown_configurations
from report.sections.names import configuration_name, predictor_name
from report.statistics import Difference, Estimate, estimate_of
from sentiment.runs.corpus_records import PUBLISHED_DATA
from sentiment.runs.records import PredictorKind

PaperRow = dict[str, Any]


def paper_tables(findings: Findings) -> list[Document]:
    """For each data set a table of its configurations and their references."""
    documents = []
    for number, dataset in enumerate(findings.datasets, 1):
        name = "leaderboard" if number == 1 else f"leaderboard-{number}"
        best = findings.recommended if number == 1 else None
        rows = [_configuration_row(dataset, configuration, best) for configuration in shown_configurations(dataset)]
        values = {
            "label": name,
            "dataset": dataset,
            "rows": rows,
            "references": [*_reference_rows(dataset, best), *_added_rows(dataset, best)],
            "is_recommendation": best is not None,
            "is_conditional": any(row["difference"] and row["difference"].is_conditional for row in rows),
        }
        documents.append(Document(f"tables/{name}.tex", "leaderboard.tex.j2", values))
    return documents


def _configuration_row(dataset: Dataset, configuration: Configuration, best: Recommended | None) -> PaperRow:
    means = means_over_seeds(configuration, "network")
    # A network that gives every tweet the same label is never called better.
    difference = None if configuration.only_label else dataset.against_baseline.get(configuration)
    row = _row(configuration_name(configuration), dataset.score(configuration), means, difference)
    is_best = configuration is dataset.best and _recommends(best, "network")
    return row | {"seeds": len(configuration.runs), "is_best": is_best}


def _recommends(best: Recommended | None, kind: PredictorKind) -> bool:
    """Whether this predictor of the best configuration is recommended; its network where nothing is."""
    if best is None:
        return kind == "network"
    return best.added_winner is None and best.recommended_model == kind


def _reference_rows(dataset: Dataset, best: Recommended | None) -> Iterator[PaperRow]:
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
        gain = best.gain if best and best.alternative == kind else None
        row = _row(predictor_name(configuration, kind), score, means_over_seeds(configuration, kind), gain)
        yield row | {"is_best": _recommends(best, kind)}


def _added_rows(dataset: Dataset, best: Recommended | None) -> Iterator[PaperRow]:
    winner = best.added_winner if best else None
    for added in dataset.added:
        means = {"validation_macro_f1": added.validation_macro_f1, "test_macro_f1": added.metrics.macro_f1}
        row = _row(added.name, added.score(dataset.metric), means, added.above_baseline)
        yield row | {"is_best": winner is not None and winner.name == added.name}


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
