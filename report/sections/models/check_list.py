"""The check list: of how many short sentences the models of the best configuration are right, by capability."""

from statistics import fmean

from report.analysis.comparison.datasets import Configuration
from report.analysis.findings import Findings
from report.render import blocks, wording
from report.render.blocks import ReportSection, Row, Table
from sentiment.runs.records import MEASURED_MODELS


def check_list(findings: Findings) -> ReportSection:
    """One table; empty if there is no best configuration."""
    return ReportSection("The check list", [_table(findings.best.configuration)] if findings.best else [])


def _table(one: Configuration) -> Table:
    """The models' means over all runs of a configuration."""
    tallies = [fold.result.check_list for run in one.runs for fold in (run.folds or [run])]
    sizes = {name: score.of for name, score in tallies[0][MEASURED_MODELS[0]].items()}
    rows: list[Row] = [
        {"capability": name, "of": of}
        | {model: fmean(tally[model][name].right for tally in tallies) for model in MEASURED_MODELS}
        for name, of in sizes.items()
    ]
    rows.append({"capability": "all"} | {name: sum(row[name] for row in rows) for name in ("of", *MEASURED_MODELS)})
    mean = f", on average over {len(tallies)} runs" if len(tallies) > 1 else ""
    caption = (
        "Of how many short sentences, of which anybody knows the label, each model of the best configuration is right"
        f"{mean}, in the manner of CheckList (Ribeiro et al. 2020). It shows what a model can do where test tweets "
        "resemble its training tweets, and chooses nothing."
    )
    columns = [blocks.text("Capability", "capability"), blocks.count("Sentences", "of")]
    digits = 1 if len(tallies) > 1 else 0
    columns += [blocks.number(wording.capital(name), name, digits) for name in MEASURED_MODELS]
    return Table("check-list", caption, columns, rows)
