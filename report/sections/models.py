"""The models: configurations by their mean over seeds, on other people's tweets, on the check list, and published."""

from collections import Counter
from statistics import fmean, stdev
from typing import Any

from report.compare.advice import Recommended, seconds_of, usage_of
from report.compare.datasets import Configuration, Dataset, Elsewhere
from report.compare.elsewhere import OnTestSet
from report.compare.findings import Findings
from report.read import Answerer, CompletedRun
from report.render import wording
from report.render.blocks import Block, Column, Fold, ReportSection, Row, Table, Text, column, with_bounds
from report.render.wording import joined
from report.sections.names import LEXICON_REMARK, METHODS, configuration_name
from report.statistics import Difference
from sentiment.runs.records import MEASURED_MODELS, Part

_SHOWN = 15
_METRICS = ("accuracy", "precision", "recall", "f1")
_PARTS: tuple[Part, ...] = ("validation", "test")

_STUDY = ("https://github.com/AGiannoutsos/Twitter-Sentiment-Analysis-with-LSTMs-ELMo", "stop words removed")
# Figures of others on Sentiment140 (1.6 million tweets, split at random): model, accuracy, measured on which part,
# where they stand, and how tweets were cleaned. The first are of the study that the grids repeat.
PUBLISHED: tuple[tuple[str, float, str, str, str], ...] = (
    ("recurrent nets, at most", 0.78, "validation", *_STUDY),
    ("feed-forward net", 0.78, "test", *_STUDY),
    ("self-attention", 0.779, "test", *_STUDY),
    ("ELMo and BiLSTM 512 (peak; overfits after)", 0.85, "validation", *_STUDY),
    ("ELMo and BiLSTM 512 (steady)", 0.81, "validation", *_STUDY),
    ("BERT-base", 0.8746, "test, 320,000 tweets", "https://huggingface.co/heican/sentiment-bert-base", ""),
    ("RoBERTa-base", 0.8911, "test, 320,000 tweets", "https://huggingface.co/heican/sentiment-roberta-base", ""),
)


def leaderboard(findings: Findings) -> ReportSection:
    """Configurations by data set, then figures that others have published."""
    content: list[Block] = []
    for number, dataset in enumerate(findings.datasets, 1):
        content += [Text(f"On {dataset.name}", "heading")] if number > 1 else []
        content += _of_dataset(dataset, number, findings.recommended if number == 1 else None)
    return ReportSection("The models", [*content, published_figures(findings)] if content else [])


def _of_dataset(dataset: Dataset, number: int, best: Recommended | None) -> list[Block]:
    behind = {rival.configuration: rival.gap for rival in best.rivals} if best else {}
    rows = {
        one: {"rank": rank, **_row(one, gap, behind.get(one))}
        for rank, (one, gap) in enumerate(zip(dataset.configurations, dataset.against_baseline, strict=True), 1)
    }
    name = "leaderboard" if number == 1 else f"leaderboard-{number}"
    tests = max(run.measured("test").n for run in dataset.runs)
    caption = (
        f"On {dataset.name}: mean \u00b1 standard deviation over seeds, per cent, by validation F1; the {tests:,} test "
        "tweets choose nothing."
    )
    if dataset.folds:
        caption += (
            f" The runs of a configuration\u2019s {dataset.folds} folds count as one, tested once on each tweet; as "
            "their training tweets overlap, intervals and tests are approximate."
        )
    if dataset.from_lexicon_authors:
        caption += f" {LEXICON_REMARK}"
    chosen = dataset.best or dataset.configurations[0]
    references = _reference_rows(chosen.best_seed)
    every = list(rows.values())
    first = every[:_SHOWN] if rows[chosen] in every[:_SHOWN] else [*every[: _SHOWN - 1], rows[chosen]]
    bold = references.get(best.predicts, rows[chosen]) if best else rows[chosen] if dataset.best else None
    further = f"All {wording.plural(len(every), 'configuration')} with precision, recall, F1, parameters and attempts."
    behind_added = "behind" if best and best.predicts == "network" else "recommended_less"
    predictors = best.added if best else dataset.added
    added = [_added_row(one) | with_bounds(behind_added, one.gap) for one in predictors]
    told = [block for one in predictors for block in _told(one)]
    return [
        Table(name, caption, _columns([*every, *added]), [*first, *references.values(), *added], best=bold),
        Fold(further, [Table(f"{name}-all", "", _FURTHER_COLUMNS, every)]),
        *([Fold("What was added from elsewhere", told)] if told else []),
    ]


def _added_row(one: Elsewhere) -> dict[str, Any]:
    row = {"model": _added_name(one), "validation_f1": one.validation_f1, "kappa": one.kappa}
    row |= with_bounds("test_accuracy", one.accuracy) | with_bounds("above_baseline", one.above_baseline)
    return row | {"against_baseline": _verdict(one.above_baseline)}


def _added_name(one: Elsewhere) -> str:
    of = "" if one.accuracy.n == one.of else f", {one.accuracy.n:,} of {one.of:,} tweets"
    if one.neutral:
        of += f"; {one.accuracy_with_neutral:.1%} if its {one.neutral:,} other answers count as wrong"
    return f"{one.name} (added{', a person' if one.added.annotator else ''}{of})"


def _told(one: Elsewhere) -> list[Block]:
    """Where a predictor from elsewhere comes from, what it cost, and how far it agrees with the labels."""
    costs = {"cost": one.added.cost, "seconds": one.added.seconds}
    per = [f"{unit} {1000 * cost / one.added.tweets:,.3g}" for unit, cost in costs.items() if cost is not None]
    said = [
        f"agrees with the labels of {wording.share(one.accuracy)} of {one.accuracy.n:,} test tweets",
        f"Cohen\u2019s kappa {one.kappa:.2f}",
        *([f"what is recommended less this: {wording.claim(one.gap)}"] if one.gap else []),
        *([f"for 1,000 tweets: {', '.join(per)}"] if per else []),
        f"from {one.added.file}, SHA-256 {one.added.file_sha256[:12]}",
    ]
    note = [Text(one.added.note, "note")] if one.added.note else []
    return [Text(_added_name(one), "heading"), Text(f"{wording.capital('; '.join(said))}."), *note]


def _columns(rows: list[dict[str, Any]]) -> list[Column]:
    return [
        column("#", "rank", "count"),
        column("Model", "model"),
        column("Validation F1", "validation_f1", "percent"),
        column("Test accuracy", "test_accuracy", "percent"),
        *([column("Best net \u2212 this, points", "behind", "points")] if any("behind" in row for row in rows) else []),
        column("Against the baseline", "against_baseline"),
        column("Seeds", "seeds", "count"),
        column("Overfits", "overfits"),
        column("Time per run", "seconds", "duration"),
        *([column("GPU-hours", "gpu_hours", ",.2f")] if any(row.get("gpu_hours") for row in rows) else []),
    ]


_FURTHER_COLUMNS = [
    column("#", "rank", "count"),
    column("Model", "model"),
    *(column(f"Validation {title}", f"validation_{title.lower()}", "percent") for title in ("F1", "accuracy")),
    column("Test accuracy", "test_accuracy", "percent"),
    *(column(f"Test {title}", f"test_{title.lower()}", "percent") for title in ("precision", "recall", "F1")),
    column("Less the baseline, points", "above_baseline", "points"),
    column("Adjusted p", "baseline_q", "p"),
    column("Parameters", "parameters", "count"),
    column("Best epoch", "best_epoch", ".1f"),
    column("Attempts", "attempts", "count"),
]


def published_figures(findings: Findings) -> Block:
    """What others measured: beside our figures only where the tweets are the same, else folded away with the reason."""
    columns = [
        column("Model", "model"),
        column("Accuracy, %", "accuracy", "percent"),
        column("Measured on", "part"),
        column("Source", "source"),
        column("Cleaning", "cleaning"),
    ]
    rows = [dict(zip((each.key for each in columns), one, strict=True)) for one in PUBLISHED]
    is_same = findings.main is not None and findings.main.is_sentiment140
    reason = "split anew by each source, so they compare roughly" if is_same else "not comparable with these tweets"
    caption = f"Published figures on Sentiment140: {reason}."
    table = Table("published", caption if is_same else "", columns, rows)
    return table if is_same else Fold(caption, [table])


def _row(one: Configuration, gap: Difference | None, behind: Difference | None) -> dict[str, Any]:
    row: dict[str, Any] = {"model": configuration_name(one), "seeds": len(one.runs)}
    for part in _PARTS:
        for metric in _METRICS:
            values = one.values(part, metric)
            row[f"{part}_{metric}"] = fmean(values)
            row[f"{part}_{metric}_sd"] = stdev(values) if len(values) > 1 else None
    row |= with_bounds("above_baseline", gap) | {
        "against_baseline": "tells no tweets apart" if one.only_label else _verdict(gap),
        "baseline_q": gap.q if gap else None,
    }
    overfits, usage = sum(run.result.overfit.overfits for run in one.runs), usage_of(one.runs)
    row["overfits"] = "no" if not overfits else "yes" if overfits == len(one.runs) else f"{overfits} of {len(one.runs)}"
    row |= {"parameters": one.runs[0].result.parameters, "seconds": seconds_of(one)}
    row["best_epoch"] = fmean(run.result.best_epoch for run in one.runs)
    row |= {"attempts": usage.attempts, "gpu_hours": usage.gpu_hours, "random_numbers": one.is_random}
    return row | with_bounds("behind", behind) | ({"behind_q": behind.q} if behind else {})


def _verdict(gap: Difference | None) -> str:
    if gap is None:
        return wording.DASH
    if not gap.is_shown:
        return "no difference shown"
    return f"{'better' if gap.value > 0 else 'worse'}{', these models' if gap.of_these_models else ''}"


def _reference_rows(run: CompletedRun) -> dict[Answerer, Row]:
    """The baselines on the tweets of a run; tweets cleaned in another way would give another linear one."""
    names: dict[Answerer, str] = {
        "baseline": "linear baseline, tweets cleaned as for the best net",
        "both": "mean of the best net (its best seed) and the linear baseline",
        "lexicon": "VADER's lexicon, not trained",
    }
    return {
        model: {"model": name}
        | {f"{part}_{one}": getattr(run.measured(part, model), one) for part in _PARTS for one in _METRICS}
        for model, name in names.items()
    }


# Of each data set on each test set.
_SHOWN_ELSEWHERE = 10
_NAMES = {
    "both": "mean of {} and the linear baseline",
    "baseline": "linear baseline",
    "lexicon": "VADER\u2019s lexicon, not trained",
}


def check_list(findings: Findings) -> ReportSection:
    """The means of the recommended configuration's models over all of its runs; empty without one."""
    if findings.recommended is None:
        return ReportSection("The check list", [])
    runs = findings.recommended.configuration.runs
    tallies = [fold.result.check_list for run in runs for fold in (run.folds or [run])]
    rows: list[Row] = [
        {"capability": name, "of": score.of}
        | {model: fmean(tally[model][name].right for tally in tallies) for model in MEASURED_MODELS}
        for name, score in tallies[0][MEASURED_MODELS[0]].items()
    ]
    rows.append({"capability": "all"} | {name: sum(row[name] for row in rows) for name in ("of", *MEASURED_MODELS)})
    mean = f", on average over {len(tallies)} runs" if len(tallies) > 1 else ""
    caption = (
        "Of how many short sentences, of which anybody knows the label, each model of the best configuration is right"
        f"{mean} (after CheckList, Ribeiro et al. 2020); it chooses nothing."
    )
    columns = [column("Capability", "capability"), column("Sentences", "of", "count")]
    columns += [column(wording.capital(name), name, "count") for name in MEASURED_MODELS]
    return ReportSection("The check list", [Table("check-list", caption, columns, rows)])


def elsewhere(findings: Findings) -> ReportSection:
    """Each model on each test set, what is recommended first; many nets are folded away."""
    found = findings.elsewhere
    seen: Counter[tuple[str, str]] = Counter()
    first: list[OnTestSet] = []
    rest: list[OnTestSet] = []
    for one in found:
        seen[one.tests, one.dataset.name] += one.model == "network"
        is_late = one.model == "network" and seen[one.tests, one.dataset.name] > _SHOWN_ELSEWHERE
        (rest if is_late else first).append(one)
    caption = (
        "Test sets that no model was trained on or chosen by: per cent. A difference is shown if its 95 % interval, "
        "corrected for all in the table, leaves zero out."
    )
    authors = sorted({one.tests for one in found if one.from_lexicon_authors})
    content: list[Block] = [Text(f"{name}: {LEXICON_REMARK}") for name in authors]
    if first:
        content.append(_table_elsewhere("elsewhere", joined([caption, METHODS]), first, findings))
    if rest:
        content.append(Fold(f"The other {len(rest)} nets.", [_table_elsewhere("elsewhere-rest", "", rest, findings)]))
    return ReportSection("On other people\u2019s tweets", content)


def worse_than_the_lexicon(findings: Findings) -> list[str]:
    """A sentence for each test set on which the recommended model is shown to be worse than the lexicon."""
    return [
        f"On {one.tests} ({len(one.labels):,} tweets of other people) it has {wording.percent(one.accuracy.value)} % "
        f"right, {wording.percent(-gap.value)} points fewer than VADER\u2019s lexicon, which nobody trained"
        f"{wording.remark(gap)}."
        f"{f' {LEXICON_REMARK}' if one.from_lexicon_authors else ''}"
        for one in findings.elsewhere
        if one.is_recommended
        and one.dataset is findings.main
        and (gap := one.less.get("lexicon"))
        and gap.is_shown
        and gap.value < 0
    ]


def _table_elsewhere(name: str, caption: Any, found: list[OnTestSet], findings: Findings) -> Table:
    is_unbalanced = any(one.is_unbalanced for one in found)
    columns = [
        column("Test set", "tests"),
        column("Tweets", "n", "count"),
        column("Positive", "positive", "percent"),
        *([column("Trained on", "data")] if len(findings.datasets) > 1 else []),
        column("Model", "model"),
        column("Accuracy", "accuracy", "percent"),
        *([column("Balanced accuracy", "balanced", "percent")] if is_unbalanced else []),
        column("Less the baseline, points", "less_baseline", "points"),
        column("Less the lexicon, points", "less_lexicon", "points"),
    ]
    return Table(name, caption, columns, [_row_elsewhere(one) for one in found])


def _row_elsewhere(one: OnTestSet) -> Row:
    shown = _NAMES.get(one.model, "{}").format(configuration_name(one.configuration))
    row: dict[str, Any] = {
        "tests": one.tests,
        "n": len(one.labels),
        "positive": float(one.labels.mean()),
        "data": one.dataset.name,
        "model": f"\u2605 {shown}" if one.is_recommended else shown,
        "balanced": one.balanced,
    }
    row |= with_bounds("accuracy", one.accuracy)
    for other, gap in one.less.items():
        row |= with_bounds(f"less_{other}", gap) | {f"less_{other}_q": gap.q}
    return row
