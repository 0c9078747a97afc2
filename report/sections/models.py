"""Model tables: leaderboard, external test sets, check list, published results."""

from collections import Counter
from dataclasses import replace
from statistics import fmean, stdev
from typing import Any

from markupsafe import Markup

from report.compare.added import AddedPredictor
from report.compare.advice import Recommended
from report.compare.cost import cost_per_run, usage_of
from report.compare.datasets import Configuration, Dataset
from report.compare.findings import Findings
from report.compare.test_sets import ExternalResult
from report.render import wording
from report.render.blocks import Block, Fold, Row, Table, Text, column, columns, with_bounds
from report.sections.names import (
    LEXICON_REMARK,
    STAR,
    configuration_name,
    predictor_name,
)
from report.sections.sentences import sentence
from report.statistics import Difference, Metric
from sentiment.metrics import counted_as_wrong
from sentiment.runs.records import MACRO_SCORES, PREDICTORS, Part, PredictorKind

# Maximum number of configurations in the leaderboard, and of networks on each external test set.
_MAX_CONFIGURATIONS = 15
_MAX_NETWORKS = 10
_METRICS = ("accuracy", *MACRO_SCORES)
_PARTS: tuple[Part, ...] = ("validation", "test")


def leaderboard(findings: Findings) -> list[Block]:
    """Configurations by data set, followed by published results."""
    content: list[Block] = []
    for number, dataset in enumerate(findings.datasets, 1):
        if number > 1:
            content.append(Text(f"On {dataset.name}", "heading"))
        content += _leaderboard_of(dataset, number, findings.recommended if number == 1 else None)
    return [*content, published_figures(findings)] if content else []


def leaderboard_table(dataset: Dataset, number: int, best: Recommended | None) -> Table:
    """The best configurations with their references, the added predictors, and in bold what is recommended.

    Args:
        number: of the data set, counted from 1; the recommendation `best` is for the first.
    """
    rivals = best.rivals if best else {}
    by_configuration: dict[Configuration, Row] = {}
    for configuration in _shown_configurations(dataset):
        row = _configuration_row(dataset, configuration, rivals.get(configuration))
        by_configuration[configuration] = row | with_bounds("score", dataset.score(configuration))
    references = _reference_rows(dataset, best)
    predictors = best.added if best else dataset.added
    added = {predictor.name: _added_row(predictor, best, dataset.metric) for predictor in predictors}
    bold: Row | None = by_configuration[dataset.best] if dataset.best else None
    if best and best.added_winner:
        bold = added[best.added_winner.name]
    elif best:
        bold = references.get(best.recommended_model, bold)
    rows = [*by_configuration.values(), *references.values(), *added.values()]
    caption = sentence("models.leaderboard", dataset=dataset)
    shown = columns("leaderboard", rows, metric=dataset.metric, metric_name=dataset.metric_name)
    return Table("leaderboard" if number == 1 else f"leaderboard-{number}", caption, shown, rows, best=bold)


def _leaderboard_of(dataset: Dataset, number: int, best: Recommended | None) -> list[Block]:
    table = leaderboard_table(dataset, number, best)
    rivals = best.rivals if best else {}
    rows = [
        _configuration_row(dataset, configuration, rivals.get(configuration))
        for configuration in dataset.configurations
    ]
    configurations = "The configuration" if len(rows) == 1 else f"All {len(rows):,} configurations"
    more = f"{configurations} with macro precision and recall, parameters and attempts."
    blocks: list[Block] = [
        table,
        Fold(more, [Table(f"{table.name}-all", "", columns("configurations", rows), rows)]),
    ]
    predictors = best.added if best else dataset.added
    if predictors:
        details = [block for predictor in predictors for block in _added_details(predictor, dataset)]
        blocks.append(Fold("Added predictors", details))
    return blocks


def _shown_configurations(dataset: Dataset) -> list[Configuration]:
    """The configurations at the top of the ranking, among them the best candidate."""
    first = dataset.configurations[:_MAX_CONFIGURATIONS]
    if dataset.best and dataset.best not in first:
        return [*first[:-1], dataset.best]
    return first


def _added_row(predictor: AddedPredictor, best: Recommended | None, metric: Metric) -> dict[str, Any]:
    compared_with = "best" if best and best.recommended_model == "network" else "recommended"
    row: dict[str, Any] = {"model": _added_name(predictor), "kappa": predictor.kappa}
    row |= {"validation_macro_f1": predictor.validation_macro_f1, "test_macro_f1": predictor.metrics.macro_f1}
    row |= with_bounds(f"test_{metric}", predictor.score(metric))
    row |= with_bounds("score", predictor.score(metric))
    row |= with_bounds("gain_over_baseline", predictor.above_baseline)
    row |= with_bounds(f"difference_to_{compared_with}", predictor.below_recommended)
    return row | {"verdict": _verdict(predictor.above_baseline)}


def _added_name(predictor: AddedPredictor) -> str:
    kind = "human annotator" if predictor.record.annotator else "added"
    n = predictor.metrics.n
    of = len(predictor.test.tweets)
    others = predictor.predictor.other_answers
    if n != of:
        kind += f", {n:,} of {of:,} tweets"
    if others:
        kind += f"; {counted_as_wrong(others)}"
    return f"{predictor.name} ({kind})"


def _added_details(predictor: AddedPredictor, dataset: Dataset) -> list[Block]:
    """Origin, cost and score of an added predictor."""
    details = sentence("models.added", predictor=predictor, dataset=dataset)
    record = predictor.record
    note = [Text(record.note, "note")] if record.note else []
    return [Text(_added_name(predictor), "heading"), Text(details), *note]


def published_figures(findings: Findings) -> Block:
    """Published results on the same data set; those on Sentiment140 are collapsed, with a reason, on any other."""
    source = findings.main.source if findings.main else ""
    rows = wording.read_texts("published")["tweeteval" if source == "tweeteval" else "sentiment140"]
    table = Table("published", "", columns("published", rows), rows)
    if source in ("tweeteval", "sentiment140"):
        return replace(table, caption=sentence(f"models.published_on_{source}"))
    caption = "Published results on Sentiment140 (a different data set, not comparable)."
    return Fold(caption, [table])


def _configuration_row(dataset: Dataset, configuration: Configuration, below_best: Difference | None) -> dict[str, Any]:
    runs = configuration.runs
    above_baseline = dataset.against_baseline.get(configuration)
    row: dict[str, Any] = {"rank": dataset.configurations.index(configuration) + 1}
    row |= {"model": configuration_name(configuration), "seeds": len(runs)}
    row |= _means_over_seeds(configuration, "network") | with_bounds("gain_over_baseline", above_baseline)
    row["verdict"] = "predicts one class only" if configuration.only_label else _verdict(above_baseline)
    row["gain_q"] = above_baseline.q if above_baseline else None
    overfits = sum(run.overfits for run in runs)
    if overfits in (0, len(runs)):
        row["overfits"] = "yes" if overfits else "no"
    else:
        row["overfits"] = f"{overfits} of {len(runs)}"
    cost = cost_per_run(configuration)
    row |= {"parameters": runs[0].trainable_weights, "gpu_seconds": cost.gpu, "cpu_seconds": cost.cpu}
    row["best_epoch"] = fmean(run.best_epoch for run in runs)
    row |= {"attempts": usage_of(configuration.completed).attempts, "random_numbers": configuration.is_random}
    if below_best:
        row |= with_bounds("difference_to_best", below_best) | {"difference_to_best_q": below_best.q}
    return row


def _means_over_seeds(configuration: Configuration, kind: PredictorKind) -> dict[str, float | None]:
    """Means of a predictor's metrics, with standard deviations if seeds differ, by column."""
    row: dict[str, float | None] = {}
    for part in _PARTS:
        for metric in _METRICS:
            values = configuration.values(part, metric, kind)
            row[f"{part}_{metric}"] = fmean(values)
            row[f"{part}_{metric}_sd"] = stdev(values) if len(set(values)) > 1 else None
    return row


def _verdict(above_baseline: Difference | None) -> str:
    if above_baseline is None:
        return wording.DASH
    if not above_baseline.is_significant:
        return f"not significant{wording.bracketed(wording.at_most([above_baseline]))}"
    better = "better" if above_baseline.is_better else "worse"
    return f"{better} (these two models only)" if above_baseline.is_conditional else better


def _reference_rows(dataset: Dataset, best: Recommended | None) -> dict[PredictorKind, Row]:
    """All predictors of the best configuration but its network; a recommended ensemble with its gain."""
    configuration = dataset.best or dataset.configurations[0]
    names = {kind: predictor_name(configuration, kind) for kind in configuration.runs[0].kinds}
    del names["network"]
    names["baseline"] += " (same preprocessing as the best network)"
    names["both"] = "ensemble of the best network and the linear baseline"
    rows: dict[PredictorKind, Row] = {}
    for kind, name in names.items():
        row: dict[str, Any] = {"model": name, **_means_over_seeds(configuration, kind)}
        row |= with_bounds("score", dataset.score(configuration, kind))
        if best and best.alternative == kind:
            row |= with_bounds("gain_over_baseline", best.gain) | {"verdict": _verdict(best.gain)}
        rows[kind] = row
    return rows


def check_list(findings: Findings) -> list[Table]:
    """Mean check-list scores of the recommended configuration; empty without one, and if tweets are not English."""
    if findings.recommended is None:
        return []
    scores = [run.result.check_list for run in findings.recommended.configuration.completed]
    if not scores[0]:
        return []
    rows: list[Row] = []
    for capability, score in scores[0]["network"].items():
        row: dict[str, Any] = {"capability": capability, "sentences": score.n}
        for kind in scores[0]:
            row[kind] = fmean(run_scores[kind][capability].right for run_scores in scores)
        rows.append(row)
    totals = {key: sum(row[key] for row in rows) for key in ("sentences", *scores[0])}
    rows.append({"capability": "all"} | totals)
    shown = columns("check-list", rows)
    shown += [column(wording.capital(PREDICTORS[kind]), kind, "count") for kind in scores[0]]
    return [Table("check-list", sentence("models.check_list", number=len(scores)), shown, rows)]


def external_test_sets(findings: Findings) -> list[Block]:
    """Every model on every external test set, recommended model first; further networks are collapsed."""
    networks: Counter[tuple[str, str]] = Counter()
    visible: list[ExternalResult] = []
    collapsed: list[ExternalResult] = []
    for result in findings.external_results:
        is_collapsed = False
        if result.kind == "network":
            networks[result.test_set, result.dataset.name] += 1
            is_collapsed = networks[result.test_set, result.dataset.name] > _MAX_NETWORKS
        (collapsed if is_collapsed else visible).append(result)
    metrics = sorted({result.dataset.metric_name for result in findings.external_results})
    from_authors = sorted({result.test_set for result in findings.external_results if result.from_lexicon_authors})
    content: list[Block] = [Text(f"{name}: {LEXICON_REMARK}") for name in from_authors]
    if visible:
        content.append(_test_set_table("test-sets", sentence("models.test_sets", metrics=metrics), visible, findings))
    if collapsed:
        table = _test_set_table("test-sets-rest", "", collapsed, findings)
        content.append(Fold(f"The other {len(collapsed)} networks.", [table]))
    return content


def worse_than_the_lexicon(findings: Findings) -> list[Markup]:
    """A sentence for each external test set on which the recommended model is significantly worse than the lexicon."""
    warnings = []
    for result in findings.external_results:
        difference = result.differences.get("lexicon")
        if result.is_recommended and result.dataset is findings.main and difference and difference.is_worse:
            warnings.append(sentence("models.worse_than_the_lexicon", result=result, difference=difference))
    return warnings


def _test_set_table(name: str, caption: Any, results: list[ExternalResult], findings: Findings) -> Table:
    rows = [_test_set_row(result) for result in results]
    classes = " / ".join(results[0].configuration.config.data.label_names)
    hidden = set()
    if len(findings.datasets) == 1:
        hidden.add("data")
    if not any(result.dataset.metric == "macro_recall" or result.is_unbalanced for result in results):
        hidden.add("macro_recall")
    shown = [column for column in columns("test-sets", rows, classes=classes) if column.key not in hidden]
    return Table(name, caption, shown, rows)


def _class_shares(result: ExternalResult) -> str:
    return " / ".join(f"{size / result.score.n:.0%}".removesuffix("%") for size in result.sizes)


def _test_set_row(result: ExternalResult) -> Row:
    name = predictor_name(result.configuration, result.kind)
    row: dict[str, Any] = {
        "tests": result.test_set,
        "n": result.score.n,
        "classes": _class_shares(result),
        "data": result.dataset.name,
        "model": f"{STAR}{name}" if result.is_recommended else name,
        "macro_recall": result.macro_recall,
    }
    row |= with_bounds(result.dataset.metric, result.score)
    for other, difference in result.differences.items():
        row |= with_bounds(f"gain_over_{other}", difference) | {f"gain_over_{other}_q": difference.q}
    return row
