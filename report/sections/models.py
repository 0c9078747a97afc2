"""Tables of models: the ranking of all predictors, added predictors, external test sets, published results."""

from collections import Counter
from statistics import fmean, stdev

from markupsafe import Markup

from report.compare.added import AddedPredictor
from report.compare.advice import Recommended
from report.compare.cost import cost_per_run, usage_of
from report.compare.datasets import Configuration, Dataset
from report.compare.findings import Findings
from report.compare.hypotheses import replicated
from report.compare.test_sets import ExternalResult
from report.render import wording
from report.render.blocks import Block, Fold, Row, Scale, Table, Text, columns, with_bounds
from report.sections.names import (
    LEXICON_REMARK,
    STAR,
    configuration_name,
    predictor_name,
)
from report.sections.sentences import sentence
from sentiment.runs.records import MACRO_SCORES, Part, PredictorKind, mean_score
from sentiment.statistics.estimate import Difference
from sentiment.statistics.metrics import counted_as_wrong

# Maximum number of configurations in the ranking, and of networks on each external test set.
_MAX_CONFIGURATIONS = 15
_MAX_NETWORKS = 10
_METRICS = ("accuracy", *MACRO_SCORES)
_PARTS: tuple[Part, ...] = ("validation", "test")


def rankings(findings: Findings) -> list[Table]:
    """The predictors of each data set."""
    return [_ranking(best, number) for number, best in enumerate(findings.recommendations, 1)]


def _ranking(best: Recommended, number: int) -> Table:
    """All predictors by macro F1 on validation tweets, in bold what is recommended; those without it come last.

    Args:
        number: of the data set, counted from 1.
    """
    dataset = best.dataset
    networks = {
        configuration: _configuration_row(dataset, configuration, best.rivals.get(configuration))
        for configuration in dataset.configurations
    }
    references = _reference_rows(best)
    added = {predictor.name: _added_row(predictor, best) for predictor in best.added}
    bold = references.get(best.recommended_model, networks[dataset.best])
    if best.added_winner:
        bold = added[best.added_winner.name]
    rows = sorted([*networks.values(), *references.values(), *added.values()], key=_place)
    for rank, row in enumerate(rows, 1):
        row["rank"] = None if row["validation_macro_f1"] is None else rank
    left_out = {id(networks[each]) for each in dataset.configurations[_MAX_CONFIGURATIONS:] if each is not dataset.best}
    hidden = {position for position, row in enumerate(rows) if id(row) in left_out}
    name = "leaderboard" if number == 1 else f"leaderboard-{number}"
    caption = sentence("models.ranking", dataset=dataset, shown=len(rows) - len(hidden), number=len(rows))
    shown = columns("ranking", rows, metric_name=dataset.metric_name)
    table = Table(name, caption, shown, rows, bold, hidden)
    chance = references["majority"]
    drawn = [row for row in table.shown if row is not chance]
    return table.drawn("score", Scale.of(drawn, "score", references["baseline"]["score"]))


def _place(row: Row) -> tuple[bool, float]:
    """What rows are sorted by: what was not validated comes last."""
    score = row["validation_macro_f1"]
    return score is None, -(score or 0.0)


def added_predictors(findings: Findings) -> list[Block]:
    """Origin, cost and score of each added predictor."""
    blocks: list[Block] = []
    for best in findings.recommendations:
        for predictor in best.added:
            blocks += _added_details(predictor, best.dataset)
    return [Fold("Where their answers come from", blocks)] if blocks else []


def _added_row(predictor: AddedPredictor, best: Recommended) -> Row:
    compared_with = "best" if best.recommended_model == "network" else "recommended"
    score = predictor.score(best.dataset.metric)
    row: Row = {"model": _added_name(predictor), "kappa": predictor.kappa, "n": score.n}
    row |= {"validation_macro_f1": predictor.validation_macro_f1, "test_macro_f1": predictor.metrics.macro_f1}
    row |= with_bounds("score", score) | _against_baseline(predictor.above_baseline)
    return row | with_bounds(f"difference_to_{compared_with}", predictor.below_recommended)


def _against_baseline(difference: Difference | None) -> Row:
    """The columns of a comparison with the linear baseline; how far apart both may be where neither is better."""
    row: Row = with_bounds("gain_over_baseline", difference) | {"verdict": wording.DASH}
    if difference is None:
        return row
    row |= {"gain_q": difference.q, "verdict": "not significant", "apart_by": difference.farthest}
    if difference.is_significant:
        row |= {"verdict": "better" if difference.is_better else "worse", "apart_by": None}
    return row


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


def published_results(findings: Findings) -> list[Block]:
    """Published results on the same data, or of the study that grids repeat; none that is about neither."""
    source = findings.main.source if findings.main else None
    texts = wording.read_texts("published")
    for name in (source, *(study.data for study in replicated(findings.study))):
        if name in texts:
            caption = sentence(f"models.published_on_{name}", is_same=source == name)
            return [Table("published", caption, columns("published", texts[name]), texts[name])]
    return []


def _configuration_row(dataset: Dataset, configuration: Configuration, below_best: Difference | None) -> Row:
    runs = configuration.runs
    score = dataset.score(configuration)
    seeds = len(dataset.answers.readable(runs) or runs)  # those that the score is the mean of
    row: Row = {"model": configuration_name(configuration), "n": score.n, "seeds": seeds}
    row |= _means_over_seeds(configuration, "network") | with_bounds("score", score)
    row |= _against_baseline(dataset.against_baseline.get(configuration))
    overfits = sum(run.overfits for run in runs)
    row["overfits"] = {0: "no", len(runs): "yes"}.get(overfits, f"{overfits} of {len(runs)}")
    if configuration.only_label:
        row |= {"verdict": "predicts one class only", "overfits": None}
    cost = cost_per_run(configuration)
    row |= {"parameters": runs[0].trainable_weights, "gpu_seconds": cost.gpu, "cpu_seconds": cost.cpu}
    row["best_epoch"] = fmean(run.best_epoch for run in runs)
    row["attempts"] = usage_of(configuration.completed).attempts
    if below_best:
        row |= with_bounds("difference_to_best", below_best) | {"difference_to_best_q": below_best.q}
    return row


def _means_over_seeds(configuration: Configuration, kind: PredictorKind) -> dict[str, float | None]:
    """Means of a predictor's metrics, with standard deviations if seeds differ, by column."""
    row: dict[str, float | None] = {}
    for part in _PARTS:
        for metric in _METRICS:
            values = configuration.values(part, metric, kind)
            row[f"{part}_{metric}"] = mean_score(values)
            row[f"{part}_{metric}_sd"] = stdev(values) if len({*values}) > 1 else None
    return row


def _reference_rows(best: Recommended) -> dict[PredictorKind, Row]:
    """All predictors of the best configuration but its network; the mean of both, if it is the alternative, with its
    gain."""
    configuration = best.configuration
    rows: dict[PredictorKind, Row] = {}
    for kind in configuration.runs[0].kinds[1:]:
        score = best.dataset.score(configuration, kind)
        row: Row = {"model": predictor_name(configuration, kind), "n": score.n}
        row |= _means_over_seeds(configuration, kind) | with_bounds("score", score)
        rows[kind] = row | _against_baseline(best.gain if best.alternative == kind else None)
    return rows


def external_test_sets(findings: Findings) -> list[Block]:
    """Every model on every external test set, recommended model first; of many networks the CSV file alone has all."""
    results = findings.external_results
    if not results:
        return []
    networks: Counter[tuple[str, str]] = Counter()
    left_out = set()
    for position, result in enumerate(results):
        networks[result.test_set, result.dataset.name] += result.kind == "network"
        if result.kind == "network" and networks[result.test_set, result.dataset.name] > _MAX_NETWORKS:
            left_out.add(position)
    # Of others the first screen tells it.
    from_authors = sorted(
        {each.test_set for each in results if each.from_lexicon_authors and not _warns(each, findings)}
    )
    rows = [_test_set_row(result, len(findings.datasets) > 1) for result in results]
    metrics = sorted({result.dataset.metric_name for result in results})
    caption = sentence("models.test_sets", metrics=metrics, shown=len(rows) - len(left_out), number=len(rows))
    names = dict.fromkeys(result.configuration.config.data.label_names for result in results)
    classes = " or ".join(map(" / ".join, names))
    table = Table("test-sets", caption, columns("test-sets", rows, classes=classes), rows, left_out=left_out)
    return [*(Text(f"{name}: {LEXICON_REMARK}") for name in from_authors), table]


def worse_than_the_lexicon(findings: Findings) -> list[Markup]:
    """A sentence for each external test set on which the recommended model is significantly worse than the lexicon."""
    return [
        sentence("models.worse_than_the_lexicon", result=result, best=findings.recommended)
        for result in findings.external_results
        if _warns(result, findings)
    ]


def _warns(result: ExternalResult, findings: Findings) -> bool:
    difference = result.differences.get("lexicon")
    is_main = result.is_recommended and result.dataset is findings.main
    return is_main and difference is not None and difference.is_worse


def _test_set_row(result: ExternalResult, names_data: bool) -> Row:
    name = predictor_name(result.configuration, result.kind)
    shares = [f"{100 * size / result.score.n:.0f}" for size in result.sizes]
    row: Row = {
        "tests": result.test_set,
        "n": result.score.n,
        "classes": " / ".join(shares),
        "data": result.dataset.name if names_data else None,
        "model": f"{STAR}{name}" if result.is_recommended else name,
        "macro_recall": result.macro_recall,
    }
    row |= with_bounds(result.dataset.metric, result.score)
    for other, difference in result.differences.items():
        row |= with_bounds(f"gain_over_{other}", difference) | {f"gain_over_{other}_q": difference.q}
    return row
