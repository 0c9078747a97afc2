"""Model tables: leaderboard, external test sets, check list, published results."""

from collections import Counter
from statistics import fmean, stdev
from typing import Any

from report.compare.advice import Recommended
from report.compare.cost import cost_per_run, usage_of
from report.compare.datasets import Configuration, Dataset, Elsewhere
from report.compare.elsewhere import OnTestSet
from report.compare.findings import Findings
from report.render import wording
from report.render.blocks import Block, Column, Fold, ReportSection, Row, Table, Text, column, with_bounds
from report.render.wording import joined
from report.sections.names import LEXICON_REMARK, METHODS, STAR, configuration_name, predictor_name
from report.statistics import Difference
from sentiment.runs.records import PREDICTORS, Added, Part, PredictorKind

# Maximum number of configurations in the leaderboard, and of networks on each external test set.
_MAX_CONFIGURATIONS = 15
_MAX_NETWORKS = 10
_METRICS = ("accuracy", "precision", "recall", "f1", "macro_f1")
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


def leaderboard(findings: Findings) -> ReportSection:
    """Configurations by data set, followed by published results."""
    content: list[Block] = []
    for number, dataset in enumerate(findings.datasets, 1):
        if number > 1:
            content.append(Text(f"On {dataset.name}", "heading"))
        content += _leaderboard_of(dataset, number, findings.recommended if number == 1 else None)
    return ReportSection("The models", [*content, published_figures(findings)] if content else [])


def _leaderboard_of(dataset: Dataset, number: int, best: Recommended | None) -> list[Block]:
    gap_to_best = {rival.configuration: rival.gap for rival in best.rivals} if best else {}
    configuration_rows: dict[Configuration, dict[str, Any]] = {}
    for rank, configuration in enumerate(dataset.configurations, 1):
        gap = dataset.against_baseline[rank - 1]
        row = _configuration_row(configuration, gap, gap_to_best.get(configuration))
        configuration_rows[configuration] = {"rank": rank, **row}
    rows = list(configuration_rows.values())
    chosen = dataset.best or dataset.configurations[0]
    visible = rows[:_MAX_CONFIGURATIONS]
    if configuration_rows[chosen] not in visible:
        visible = [*rows[: _MAX_CONFIGURATIONS - 1], configuration_rows[chosen]]
    references = _reference_rows(chosen)
    gap_column = "difference_to_best" if best and best.predicts == "network" else "difference_to_recommended"
    predictors = best.added if best else dataset.added
    external = [_external_row(predictor) | with_bounds(gap_column, predictor.gap) for predictor in predictors]
    winner = best and best.external_winner
    bold: Row | None = None
    if best and winner:
        bold = external[predictors.index(winner)]
    elif best:
        bold = references.get(best.predicts, configuration_rows[chosen])
    elif dataset.best:
        bold = configuration_rows[chosen]
    name = "leaderboard" if number == 1 else f"leaderboard-{number}"
    columns = _columns([*rows, *external])
    more = f"All {wording.plural(len(rows), 'configuration')} with precision, recall, F1, parameters and attempts."
    details = [block for predictor in predictors for block in _external_details(predictor)]
    return [
        Table(name, _leaderboard_caption(dataset), columns, [*visible, *references.values(), *external], best=bold),
        Fold(more, [Table(f"{name}-all", "", _FURTHER_COLUMNS, rows)]),
        *([Fold("External predictors", details)] if details else []),
    ]


def _leaderboard_caption(dataset: Dataset) -> str:
    n_test = max(run.measured("test").n for run in dataset.runs)
    caption = (
        f"On {dataset.name}: mean \u00b1 SD over seeds in %, ranked by validation F1; for external predictors, 95 % "
        f"confidence intervals. The {n_test:,} test tweets are used only for evaluation. Bold: recommended."
    )
    if dataset.folds:
        caption += (
            f" Cross-validation: the predictions of a configuration\u2019s {dataset.folds} folds are pooled; because "
            "training sets overlap, intervals and tests are approximate."
        )
    return f"{caption} {LEXICON_REMARK}" if dataset.from_lexicon_authors else caption


def _external_row(predictor: Elsewhere) -> dict[str, Any]:
    row = {"model": _external_name(predictor), "validation_f1": predictor.validation_f1, "kappa": predictor.kappa}
    row |= with_bounds("test_accuracy", predictor.accuracy) | with_bounds(
        "gain_over_baseline", predictor.above_baseline
    )
    return row | {"verdict": _verdict(predictor.above_baseline)}


def _external_name(predictor: Elsewhere) -> str:
    kind = "human annotator" if predictor.added.annotator else "external"
    if predictor.accuracy.n != predictor.of:
        kind += f", {predictor.accuracy.n:,} of {predictor.of:,} tweets"
    if predictor.neutral:
        kind += f"; {predictor.accuracy_with_neutral:.1%} if its {predictor.neutral:,} other answers count as wrong"
    return f"{predictor.name} ({kind})"


def cost_per_thousand(added: Added) -> str:
    """Cost and time of an external predictor for 1,000 tweets; empty if they are unknown."""
    costs = {"cost {}": added.cost, "{} s": added.seconds}
    parts = [text.format(f"{1000 * cost / added.tweets:,.3g}") for text, cost in costs.items() if cost is not None]
    return ", ".join(parts)


def _external_details(predictor: Elsewhere) -> list[Block]:
    """Origin, cost and accuracy of an external predictor."""
    cost = cost_per_thousand(predictor.added)
    details = [
        f"accuracy {wording.share(predictor.accuracy)} on {predictor.accuracy.n:,} test tweets",
        f"Cohen\u2019s kappa {predictor.kappa:.2f}",
        *([f"recommended model minus this predictor: {wording.claim(predictor.gap)}"] if predictor.gap else []),
        *([f"per 1,000 tweets: {cost}"] if cost else []),
        f"predictions from {predictor.added.file} (SHA-256 {predictor.added.file_sha256[:12]})",
    ]
    note = [Text(predictor.added.note, "note")] if predictor.added.note else []
    return [Text(_external_name(predictor), "heading"), Text(f"{wording.capital('; '.join(details))}."), *note]


def _columns(rows: list[dict[str, Any]]) -> list[Column]:
    has_gap = any("difference_to_best" in row for row in rows)
    has_gpu = any(row.get("gpu_seconds") for row in rows)
    return [
        column("Rank", "rank", "count"),
        column("Model", "model"),
        column("Validation F1, %", "validation_f1", "percent"),
        column("Test accuracy, %", "test_accuracy", "percent"),
        column("Test macro F1, %", "test_macro_f1", "percent"),
        *([column("Best network \u2212 this, points", "difference_to_best", "points")] if has_gap else []),
        column("vs. baseline", "verdict"),
        column("Seeds", "seeds", "count"),
        column("Overfits", "overfits"),
        *([column("GPU time per run", "gpu_seconds", "duration")] if has_gpu else []),
        column("CPU time per run", "cpu_seconds", "duration"),
    ]


_FURTHER_COLUMNS = [
    column("Rank", "rank", "count"),
    column("Model", "model"),
    *(column(f"Validation {title}, %", f"validation_{title.lower()}", "percent") for title in ("F1", "accuracy")),
    column("Test accuracy, %", "test_accuracy", "percent"),
    *(column(f"Test {title}, %", f"test_{title.lower()}", "percent") for title in ("precision", "recall", "F1")),
    column("Difference to baseline, points", "gain_over_baseline", "points"),
    column("Adjusted p (vs. baseline)", "gain_q", "p"),
    column("Trainable weights", "parameters", "count"),
    column("Best epoch", "best_epoch", ".1f"),
    column("Job attempts", "attempts", "count"),
]


def published_figures(findings: Findings) -> Block:
    """Published results; collapsed, with a reason, unless the data set is Sentiment140."""
    columns = [
        column("Model", "model"),
        column("Accuracy, %", "accuracy", "percent"),
        column("Measured on", "part"),
        column("Source", "source"),
        column("Cleaning", "cleaning"),
    ]
    keys = [each.key for each in columns]
    rows = [dict(zip(keys, result, strict=True)) for result in PUBLISHED]
    if findings.main is not None and findings.main.is_sentiment140:
        reason = "each source used its own random split, so the comparison is approximate"
        caption = f"Published results on Sentiment140: {reason}."
        return Table("published", caption, columns, rows)
    caption = "Published results on Sentiment140 (a different data set, not comparable)."
    return Fold(caption, [Table("published", "", columns, rows)])


def _configuration_row(
    configuration: Configuration, above_baseline: Difference | None, gap_to_best: Difference | None
) -> dict[str, Any]:
    runs = configuration.runs
    row: dict[str, Any] = {"model": configuration_name(configuration), "seeds": len(runs)}
    row |= _means_over_seeds(configuration, "network") | with_bounds("gain_over_baseline", above_baseline)
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
    if gap_to_best:
        row |= with_bounds("difference_to_best", gap_to_best) | {"difference_to_best_q": gap_to_best.q}
    return row


def _means_over_seeds(configuration: Configuration, model: PredictorKind) -> dict[str, float | None]:
    """Means of a predictor's metrics, with standard deviations if seeds differ, by column."""
    row: dict[str, float | None] = {}
    for part in _PARTS:
        for metric in _METRICS:
            values = [getattr(run.measured(part, model), metric) for run in configuration.runs]
            row[f"{part}_{metric}"] = fmean(values)
            row[f"{part}_{metric}_sd"] = stdev(values) if len(set(values)) > 1 else None
    return row


def _verdict(gap: Difference | None) -> str:
    if gap is None:
        return wording.DASH
    if not gap.is_shown:
        return "not significant"
    better = "better" if gap.value > 0 else "worse"
    return f"{better} (these two models only)" if gap.of_these_models else better


def _reference_rows(configuration: Configuration) -> dict[PredictorKind, Row]:
    """Reference models on a configuration's data; the linear baseline depends on text cleaning."""
    names: dict[PredictorKind, str] = {
        "baseline": "linear baseline (same preprocessing as the best network)",
        "both": "ensemble of the best network and the linear baseline",
        "lexicon": "VADER lexicon (no training)",
    }
    return {model: {"model": name, **_means_over_seeds(configuration, model)} for model, name in names.items()}


def check_list(findings: Findings) -> ReportSection:
    """Mean check-list scores of the recommended configuration; empty if nothing is recommended."""
    title = "Check list"
    if findings.recommended is None:
        return ReportSection(title, [])
    runs = findings.recommended.configuration.runs
    scores = [fold.result.check_list for run in runs for fold in (run.folds or [run])]
    rows: list[Row] = []
    for capability, score in scores[0]["network"].items():
        row: dict[str, Any] = {"capability": capability, "sentences": score.of}
        for kind in scores[0]:
            row[kind] = fmean(of_run[kind][capability].right for of_run in scores)
        rows.append(row)
    totals = {key: sum(row[key] for row in rows) for key in ("sentences", *scores[0])}
    rows.append({"capability": "all"} | totals)
    mean = f", mean of {len(scores)} runs" if len(scores) > 1 else ""
    caption = (
        "Number of correctly classified template sentences per capability, for each model of the best configuration"
        f"{mean} (inspired by CheckList, Ribeiro et al. 2020). Not used for model selection."
    )
    columns = [column("Capability", "capability"), column("Sentences", "sentences", "count")]
    columns += [column(wording.capital(PREDICTORS[kind]), kind, "count") for kind in scores[0]]
    return ReportSection(title, [Table("check-list", caption, columns, rows)])


def external_test_sets(findings: Findings) -> ReportSection:
    """Every model on every external test set, recommended model first; further networks are collapsed."""
    networks: Counter[tuple[str, str]] = Counter()
    visible: list[OnTestSet] = []
    collapsed: list[OnTestSet] = []
    for result in findings.elsewhere:
        networks[result.tests, result.dataset.name] += result.model == "network"
        is_late = result.model == "network" and networks[result.tests, result.dataset.name] > _MAX_NETWORKS
        (collapsed if is_late else visible).append(result)
    caption = (
        "Accuracy in % on external test sets, which were used neither for training nor for selection. A difference is "
        "significant if its corrected 95 % interval excludes zero."
    )
    from_authors = sorted({result.tests for result in findings.elsewhere if result.from_lexicon_authors})
    content: list[Block] = [Text(f"{name}: {LEXICON_REMARK}") for name in from_authors]
    if visible:
        content.append(_external_table("elsewhere", joined([caption, METHODS]), visible, findings))
    if collapsed:
        table = _external_table("elsewhere-rest", "", collapsed, findings)
        content.append(Fold(f"The other {len(collapsed)} networks.", [table]))
    return ReportSection("External test sets", content)


def worse_than_the_lexicon(findings: Findings) -> list[str]:
    """A sentence for each external test set on which the recommended model is significantly worse than the lexicon."""
    sentences = []
    for result in findings.elsewhere:
        gap = result.less.get("lexicon")
        if not (result.is_recommended and result.dataset is findings.main and gap):
            continue
        if gap.is_shown and gap.value < 0:
            sentence = (
                f"On the external test set {result.tests} (n = {len(result.labels):,}) its accuracy is "
                f"{wording.percent(result.accuracy.value)} %, {wording.percent(-gap.value)} points below the untrained "
                f"VADER lexicon{wording.remark(gap)}."
            )
            sentences.append(f"{sentence} {LEXICON_REMARK}" if result.from_lexicon_authors else sentence)
    return sentences


def _external_table(name: str, caption: Any, results: list[OnTestSet], findings: Findings) -> Table:
    is_unbalanced = any(result.is_unbalanced for result in results)
    columns = [
        column("Test set", "tests"),
        column("Tweets", "n", "count"),
        column("Positive, %", "positive", "percent"),
        *([column("Trained on", "data")] if len(findings.datasets) > 1 else []),
        column("Model", "model"),
        column("Accuracy, %", "accuracy", "percent"),
        *([column("Balanced accuracy, %", "balanced", "percent")] if is_unbalanced else []),
        column("Difference to baseline, points", "less_baseline", "points"),
        column("Difference to lexicon, points", "less_lexicon", "points"),
    ]
    return Table(name, caption, columns, [_external_test_row(result) for result in results])


def _external_test_row(result: OnTestSet) -> Row:
    name = predictor_name(result.configuration, result.model)
    row: dict[str, Any] = {
        "tests": result.tests,
        "n": len(result.labels),
        "positive": float(result.labels.mean()),
        "data": result.dataset.name,
        "model": f"{STAR}{name}" if result.is_recommended else name,
        "balanced": result.balanced,
    }
    row |= with_bounds("accuracy", result.accuracy)
    for other, gap in result.less.items():
        row |= with_bounds(f"less_{other}", gap) | {f"less_{other}_q": gap.q}
    return row
