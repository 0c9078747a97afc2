"""What models do on other people's tweets, and on the sentences of the check list."""

from statistics import fmean
from typing import Any

from report.compare.datasets import Configuration
from report.compare.elsewhere import OnTestSet
from report.compare.findings import Findings
from report.render import blocks, wording
from report.render.blocks import Block, ReportSection, Row, Table, Text
from report.render.markdown import joined
from report.sections.names import LEXICON_REMARK, METHODS, configuration_name, dataset_name
from report.statistics import Difference
from sentiment.runs.records import MEASURED_MODELS


def check_list(findings: Findings) -> ReportSection:
    """One table; empty if there is no best configuration."""
    return ReportSection("The check list", [_check_table(findings.best.configuration)] if findings.best else [])


def _check_table(one: Configuration) -> Table:
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


_TITLE = "On other people\u2019s tweets"
# Of each data set on each test set.
_SHOWN = 10
_NAMES = {
    "both": "mean of {} and the linear baseline",
    "baseline": "linear baseline",
    "lexicon": "VADER\u2019s lexicon, not trained",
}


def elsewhere(findings: Findings) -> ReportSection:
    """Each model on each test set, the nets that do best on validation tweets first."""
    found = findings.elsewhere
    if not found:
        return ReportSection(_TITLE, [])
    nets = [one for one in found if one.model == "network"]
    first = {
        id(one)
        for one in nets
        if one.is_recommended or sum(_stand_together(one, other) for other in nets[: nets.index(one)]) < _SHOWN
    }
    rows = [one for one in found if one.model != "network" or id(one) in first]
    rest = [one for one in nets if id(one) not in first]
    caption = (
        "Test sets that no model was trained on or chosen by: per cent, with 95 % intervals. Differences are those of "
        "accuracy on the same tweets, corrected for all in the table: shown is one whose interval leaves zero out. "
        "The last column is an analysis that uses the labels of the test set: the accuracy with the threshold from "
        "which on as many tweets are called positive as are."
    )
    remarks: list[Block] = [Text(f"{name}: {LEXICON_REMARK}") for name in _of_lexicon_authors(found)]
    tables: list[Block] = [_table("elsewhere", joined([caption, METHODS]), rows, findings)]
    if rest:
        tables.append(_table("elsewhere-rest", f"The other {len(rest)} nets.", rest, findings, folded=True))
    return ReportSection(_TITLE, [*remarks, *tables])


def worse_than_the_lexicon(findings: Findings) -> list[str]:
    """A sentence for each test set on which the recommended model is shown to be worse than the lexicon."""
    return [
        f"On {one.tests.name} ({one.tests.n:,} tweets of other people) it has {wording.percent(one.accuracy.value)} % "
        f"right, {wording.percent(-gap.value)} points fewer than VADER\u2019s lexicon, which nobody trained"
        f"{f'; {wording.THESE_MODELS}' if gap.of_these_models else ''}."
        f"{f' {LEXICON_REMARK}' if one.tests.from_lexicon_authors else ''}"
        for one in findings.elsewhere
        if one.is_recommended
        and one.dataset is findings.main
        and (gap := one.less.get("lexicon"))
        and gap.is_shown
        and gap.value < 0
    ]


def _stand_together(one: OnTestSet, other: OnTestSet) -> bool:
    return one.tests.name == other.tests.name and one.dataset is other.dataset


def _of_lexicon_authors(found: list[OnTestSet]) -> list[str]:
    return sorted({one.tests.name for one in found if one.tests.from_lexicon_authors})


def _table(name: str, caption: Any, found: list[OnTestSet], findings: Findings, folded: bool = False) -> Table:
    columns = [
        blocks.text("Test set", "tests"),
        blocks.count("Tweets", "n"),
        blocks.percent("Positive", "positive"),
        *([blocks.text("Trained on", "data")] if len(findings.datasets) > 1 else []),
        blocks.text("Model", "model"),
        blocks.interval("Accuracy", "accuracy"),
        *([blocks.percent("Balanced accuracy", "balanced")] if any(one.tests.is_unbalanced for one in found) else []),
        blocks.difference("Less the baseline, points", "less_baseline"),
        blocks.difference("Less the lexicon, points", "less_lexicon"),
        blocks.percent("With the set's share of positives", "matched"),
    ]
    return Table(name, caption, columns, [_row(one) for one in found], folded=folded)


def _row(one: OnTestSet) -> dict[str, Any]:
    tests, name = one.tests, configuration_name(one.configuration)
    shown = _NAMES.get(one.model, "{}").format(name)
    row: dict[str, Any] = {
        "tests": tests.name,
        "n": tests.n,
        "positive": tests.positive,
        "data": dataset_name(one.dataset),
        "model": f"\u2605 {shown}" if one.is_recommended else shown,
        "balanced": one.balanced,
        "matched": one.matched,
    }
    row |= blocks.with_bounds("accuracy", one.accuracy)
    return (
        row
        | _difference("less_baseline", one.less.get("baseline"))
        | _difference("less_lexicon", one.less.get("lexicon"))
    )


def _difference(key: str, gap: Difference | None) -> dict[str, float | None]:
    return blocks.with_bounds(key, gap) | {f"{key}_q": gap.q} if gap else {key: None}
