"""Model tables: leaderboard, external test sets, check list, published results."""

from collections import Counter
from collections.abc import Sequence
from statistics import fmean, stdev
from typing import Any

from markupsafe import Markup

from report.compare.added import AddedPredictor
from report.compare.advice import Recommended
from report.compare.cost import cost_per_run, usage_of
from report.compare.datasets import Configuration, Dataset
from report.compare.findings import Findings
from report.compare.test_sets import OnTestSet
from report.render import wording
from report.render.blocks import Block, Column, Fold, ReportSection, Row, Table, Text, column, with_bounds
from report.sections.names import (
    LEXICON_REMARK,
    STAR,
    configuration_name,
    predictor_name,
)
from report.sections.sentences import sentence
from report.statistics import Difference, Metric
from sentiment.runs.records import MACRO_SCORES, PREDICTORS, Part, PredictorKind

# Maximum number of configurations in the leaderboard, and of networks on each external test set.
_MAX_CONFIGURATIONS = 15
_MAX_NETWORKS = 10
_METRICS = ("accuracy", *MACRO_SCORES)
_PARTS: tuple[Part, ...] = ("validation", "test")

# Source and preprocessing of the study that the shipped grids repeat.
_REPRODUCED_STUDY = ("https://github.com/AGiannoutsos/Twitter-Sentiment-Analysis-with-LSTMs-ELMo", "stop words removed")
# Published results on Sentiment140 (1.6 million tweets, random split): model, accuracy, split, source, preprocessing.
PUBLISHED: tuple[tuple[str, float, str, str, str], ...] = (
    ("best recurrent network", 0.78, "validation", *_REPRODUCED_STUDY),
    ("feed-forward network", 0.78, "test", *_REPRODUCED_STUDY),
    ("self-attention", 0.779, "test", *_REPRODUCED_STUDY),
    ("ELMo + BiLSTM 512 (best epoch, overfits afterwards)", 0.85, "validation", *_REPRODUCED_STUDY),
    ("ELMo + BiLSTM 512 (final epochs)", 0.81, "validation", *_REPRODUCED_STUDY),
    ("BERT-base", 0.8746, "test, 320,000 tweets", "https://huggingface.co/heican/sentiment-bert-base", ""),
    ("RoBERTa-base", 0.8911, "test, 320,000 tweets", "https://huggingface.co/heican/sentiment-roberta-base", ""),
)
# Published macro recall on the test tweets of TweetEval's sentiment task (Barbieri et al. 2020 and later models).
TWEETEVAL_SOURCE = "https://github.com/cardiffnlp/tweeteval"
PUBLISHED_ON_TWEETEVAL: tuple[tuple[str, float], ...] = (
    ("LSTM", 0.583),
    ("SVM", 0.629),
    ("fastText", 0.629),
    ("RoBERTa, trained on tweets alone", 0.691),
    ("RoBERTa-base", 0.713),
    ("RoBERTa-base, trained further on tweets", 0.728),
    ("BERTweet", 0.734),
    ("TimeLMs", 0.737),
)


def leaderboard(findings: Findings) -> ReportSection:
    """Configurations by data set, followed by published results."""
    content: list[Block] = []
    for number, dataset in enumerate(findings.datasets, 1):
        if number > 1:
            content.append(Text(f"On {dataset.name}", "heading"))
        content += _leaderboard_of(dataset, number, findings.recommended if number == 1 else None)
    return ReportSection("The models", [*content, published_figures(findings)] if content else [])


def _leaderboard_of(dataset: Dataset, number: int, best: Recommended | None) -> list[Block]:
    rivals = best.rivals if best else {}
    by_configuration: dict[Configuration, dict[str, Any]] = {}
    for rank, configuration in enumerate(dataset.configurations, 1):
        above_baseline = dataset.against_baseline[configuration]
        row = _configuration_row(configuration, above_baseline, rivals.get(configuration))
        by_configuration[configuration] = {"rank": rank, **row}
    rows = [*by_configuration.values()]
    chosen = dataset.best or dataset.configurations[0]
    visible = [by_configuration[configuration] for configuration in shown_configurations(dataset)]
    references = _reference_rows(chosen)
    predictors = best.added if best else dataset.added
    added = {predictor.name: _added_row(predictor, best, dataset.metric) for predictor in predictors}
    bold: Row | None = None
    if best and best.added_winner:
        bold = added[best.added_winner.name]
    elif best:
        bold = references.get(best.predicts, by_configuration[chosen])
    elif dataset.best:
        bold = by_configuration[chosen]
    name = "leaderboard" if number == 1 else f"leaderboard-{number}"
    table_rows = [*visible, *references.values(), *added.values()]
    configurations = "The configuration" if len(rows) == 1 else f"All {len(rows):,} configurations"
    more = f"{configurations} with macro precision and recall, parameters and attempts."
    blocks: list[Block] = [
        Table(
            name, sentence("models.leaderboard", dataset=dataset), _columns(table_rows, dataset), table_rows, best=bold
        ),
        Fold(more, [Table(f"{name}-all", "", _FURTHER_COLUMNS, rows)]),
    ]
    if predictors:
        details = [block for predictor in predictors for block in _added_details(predictor, dataset)]
        blocks.append(Fold("Added predictors", details))
    return blocks


def shown_configurations(dataset: Dataset) -> list[Configuration]:
    """The configurations at the top of the ranking, among them the best candidate."""
    first = dataset.configurations[:_MAX_CONFIGURATIONS]
    if dataset.best and dataset.best not in first:
        return [*first[:-1], dataset.best]
    return first


def _added_row(predictor: AddedPredictor, best: Recommended | None, metric: Metric) -> dict[str, Any]:
    compared_with = "best" if best and best.predicts == "network" else "recommended"
    row: dict[str, Any] = {"model": _added_name(predictor), "kappa": predictor.kappa}
    row |= {"validation_macro_f1": predictor.validation_macro_f1, "test_macro_f1": predictor.metrics.macro_f1}
    row |= with_bounds(f"test_{metric}", predictor.score(metric))
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
        kind += f"; {predictor.accuracy_with_others:.1%} if its {others:,} other answers count as wrong"
    return f"{predictor.name} ({kind})"


def _added_details(predictor: AddedPredictor, dataset: Dataset) -> list[Block]:
    """Origin, cost and score of an added predictor."""
    details = sentence("models.added", predictor=predictor, dataset=dataset)
    record = predictor.record
    note = [Text(record.note, "note")] if record.note else []
    return [Text(_added_name(predictor), "heading"), Text(details), *note]


def _columns(rows: Sequence[Row], dataset: Dataset) -> list[Column]:
    columns = [
        column("Rank", "rank", "count"),
        column("Model", "model"),
        column("Validation macro F1, %", "validation_macro_f1", "percent"),
        column(f"Test {dataset.metric_name}, %", f"test_{dataset.metric}", "percent"),
        column("Test macro F1, %", "test_macro_f1", "percent"),
    ]
    if any("difference_to_best" in row for row in rows):
        columns.append(column("Best network \u2212 this, points", "difference_to_best", "points"))
    columns += [
        column("vs. baseline", "verdict"),
        column("Seeds", "seeds", "count"),
        column("Overfits", "overfits"),
    ]
    if any(row.get("gpu_seconds") for row in rows):
        columns.append(column("GPU time per run", "gpu_seconds", "duration"))
    return [*columns, column("CPU time per run", "cpu_seconds", "duration")]


_FURTHER_COLUMNS = [
    column("Rank", "rank", "count"),
    column("Model", "model"),
    column("Validation macro F1, %", "validation_macro_f1", "percent"),
    column("Validation accuracy, %", "validation_accuracy", "percent"),
    column("Test accuracy, %", "test_accuracy", "percent"),
    column("Test macro precision, %", "test_macro_precision", "percent"),
    column("Test macro recall, %", "test_macro_recall", "percent"),
    column("Test macro F1, %", "test_macro_f1", "percent"),
    column("Difference to baseline, points", "gain_over_baseline", "points"),
    column("Adjusted p (vs. baseline)", "gain_q", "p"),
    column("Trainable weights", "parameters", "count"),
    column("Best epoch", "best_epoch", ".1f"),
    column("Job attempts", "attempts", "count"),
]


def published_figures(findings: Findings) -> Block:
    """Published results on the same data set; those on Sentiment140 are collapsed, with a reason, on any other."""
    if findings.main is not None and findings.main.source == "tweeteval":
        caption = f"Published macro recall on the same test tweets ({TWEETEVAL_SOURCE})."
        of_models = [{"model": model, "macro_recall": recall} for model, recall in PUBLISHED_ON_TWEETEVAL]
        columns = [column("Model", "model"), column("Macro recall, %", "macro_recall", "percent")]
        return Table("published", caption, columns, of_models)
    columns = [
        column("Model", "model"),
        column("Accuracy, %", "accuracy", "percent"),
        column("Measured on", "part"),
        column("Source", "source"),
        column("Cleaning", "cleaning"),
    ]
    keys = [each.key for each in columns]
    rows = [dict(zip(keys, result, strict=True)) for result in PUBLISHED]
    if findings.main is not None and findings.main.source == "sentiment140":
        reason = "each source used its own random split, so the comparison is approximate"
        caption = f"Published results on Sentiment140: {reason}."
        return Table("published", caption, columns, rows)
    caption = "Published results on Sentiment140 (a different data set, not comparable)."
    return Fold(caption, [Table("published", "", columns, rows)])


def _configuration_row(
    configuration: Configuration, above_baseline: Difference | None, below_best: Difference | None
) -> dict[str, Any]:
    runs = configuration.runs
    row: dict[str, Any] = {"model": configuration_name(configuration), "seeds": len(runs)}
    row |= means_over_seeds(configuration, "network") | with_bounds("gain_over_baseline", above_baseline)
    row["verdict"] = "predicts one class only" if configuration.only_label else _verdict(above_baseline)
    row["gain_q"] = above_baseline.q if above_baseline else None
    overfits = sum(run.result.overfit.overfits for run in runs)
    if overfits in (0, len(runs)):
        row["overfits"] = "yes" if overfits else "no"
    else:
        row["overfits"] = f"{overfits} of {len(runs)}"
    cost = cost_per_run(configuration)
    row |= {"parameters": runs[0].result.parameters, "gpu_seconds": cost.gpu, "cpu_seconds": cost.cpu}
    row["best_epoch"] = fmean(run.result.best_epoch for run in runs)
    row |= {"attempts": usage_of(runs).attempts, "random_numbers": configuration.is_random}
    if below_best:
        row |= with_bounds("difference_to_best", below_best) | {"difference_to_best_q": below_best.q}
    return row


def means_over_seeds(configuration: Configuration, kind: PredictorKind) -> dict[str, float | None]:
    """Means of a predictor's metrics, with standard deviations if seeds differ, by column."""
    row: dict[str, float | None] = {}
    for part in _PARTS:
        for metric in _METRICS:
            values = [getattr(run.measured(part, kind), metric) for run in configuration.runs]
            row[f"{part}_{metric}"] = fmean(values)
            row[f"{part}_{metric}_sd"] = stdev(values) if len(set(values)) > 1 else None
    return row


def _verdict(above_baseline: Difference | None) -> str:
    if above_baseline is None:
        return wording.DASH
    if not above_baseline.is_shown:
        return f"not significant{wording.power_remark([above_baseline])}"
    better = "better" if above_baseline.is_better else "worse"
    return f"{better} (these two models only)" if above_baseline.of_these_models else better


def _reference_rows(configuration: Configuration) -> dict[PredictorKind, Row]:
    """All predictors of a configuration but its network."""
    names = {kind: predictor_name(configuration, kind) for kind in configuration.runs[0].result.scores}
    del names["network"]
    names["baseline"] += " (same preprocessing as the best network)"
    names["both"] = "ensemble of the best network and the linear baseline"
    return {kind: {"model": name, **means_over_seeds(configuration, kind)} for kind, name in names.items()}


def check_list(findings: Findings) -> ReportSection:
    """Mean check-list scores of the recommended configuration; empty without one, and if tweets are not English."""
    title = "Check list"
    if findings.recommended is None:
        return ReportSection(title, [])
    runs = findings.recommended.configuration.runs
    scores = [fold.result.check_list for run in runs for fold in run.fold_runs]
    if not scores[0]:
        return ReportSection(title, [])
    rows: list[Row] = []
    for capability, score in scores[0]["network"].items():
        row: dict[str, Any] = {"capability": capability, "sentences": score.of}
        for kind in scores[0]:
            row[kind] = fmean(of_run[kind][capability].right for of_run in scores)
        rows.append(row)
    totals = {key: sum(row[key] for row in rows) for key in ("sentences", *scores[0])}
    rows.append({"capability": "all"} | totals)
    columns = [column("Capability", "capability"), column("Sentences", "sentences", "count")]
    columns += [column(wording.capital(PREDICTORS[kind]), kind, "count") for kind in scores[0]]
    return ReportSection(title, [Table("check-list", sentence("models.check_list", number=len(scores)), columns, rows)])


def external_test_sets(findings: Findings) -> ReportSection:
    """Every model on every external test set, recommended model first; further networks are collapsed."""
    networks: Counter[tuple[str, str]] = Counter()
    visible: list[OnTestSet] = []
    collapsed: list[OnTestSet] = []
    for result in findings.on_test_sets:
        is_late = False
        if result.kind == "network":
            networks[result.tests, result.dataset.name] += 1
            is_late = networks[result.tests, result.dataset.name] > _MAX_NETWORKS
        (collapsed if is_late else visible).append(result)
    names = sorted({result.dataset.metric_name for result in findings.on_test_sets})
    from_authors = sorted({result.tests for result in findings.on_test_sets if result.from_lexicon_authors})
    content: list[Block] = [Text(f"{name}: {LEXICON_REMARK}") for name in from_authors]
    if visible:
        content.append(_test_set_table("test-sets", sentence("models.test_sets", metrics=names), visible, findings))
    if collapsed:
        table = _test_set_table("test-sets-rest", "", collapsed, findings)
        content.append(Fold(f"The other {len(collapsed)} networks.", [table]))
    return ReportSection("External test sets", content)


def worse_than_the_lexicon(findings: Findings) -> list[Markup]:
    """A sentence for each external test set on which the recommended model is significantly worse than the lexicon."""
    warnings = []
    for result in findings.on_test_sets:
        difference = result.differences.get("lexicon")
        if result.is_recommended and result.dataset is findings.main and difference and difference.is_worse:
            warnings.append(sentence("models.worse_than_the_lexicon", result=result, difference=difference))
    return warnings


def _test_set_table(name: str, caption: Any, results: list[OnTestSet], findings: Findings) -> Table:
    columns = [
        column("Test set", "tests"),
        column("Tweets", "n", "count"),
        column(f"{' / '.join(results[0].configuration.config.data.label_names)}, %", "classes"),
    ]
    if len(findings.datasets) > 1:
        columns.append(column("Trained on", "data"))
    columns.append(column("Model", "model"))
    metrics = {result.dataset.metric for result in results}
    if "accuracy" in metrics:
        columns.append(column("Accuracy, %", "accuracy", "percent"))
    if "macro_recall" in metrics or any(result.is_unbalanced for result in results):
        columns.append(column("Macro recall, %", "macro_recall", "percent"))
    for kind in ("baseline", "lexicon"):
        if any(kind in result.sides for result in results):
            columns.append(column(f"Difference to {kind}, points", f"less_{kind}", "points"))
    return Table(name, caption, columns, [_test_set_row(result) for result in results])


def _class_shares(result: OnTestSet) -> str:
    return " / ".join(f"{size / len(result.labels):.0%}".removesuffix("%") for size in result.sizes)


def _test_set_row(result: OnTestSet) -> Row:
    name = predictor_name(result.configuration, result.kind)
    row: dict[str, Any] = {
        "tests": result.tests,
        "n": len(result.labels),
        "classes": _class_shares(result),
        "data": result.dataset.name,
        "model": f"{STAR}{name}" if result.is_recommended else name,
        "macro_recall": result.macro_recall,
    }
    row |= with_bounds(result.dataset.metric, result.score)
    for other, difference in result.differences.items():
        row |= with_bounds(f"less_{other}", difference) | {f"less_{other}_q": difference.q}
    return row
