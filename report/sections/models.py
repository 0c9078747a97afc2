"""Tables of models: the ranking of all predictors, added predictors, external test sets, published results."""

from collections import Counter
from statistics import fmean, stdev

from markupsafe import Markup

from report.compare.added import AddedPredictor
from report.compare.cost import usage_of
from report.compare.findings import Findings
from report.compare.published import replicated
from report.compare.ranking import Candidate, Ranked, Recommended
from report.compare.test_sets import ExternalResult
from report.render import wording
from report.render.blocks import Block, columns_of
from report.sections.names import LEXICON_REMARK, METHODS, STAR, predictor_name, subject
from report.sections.tables import origins
from sentiment.blocks.content import DataTable, Row, Scale, Text, with_bounds
from sentiment.blocks.predictors import answer_remarks
from sentiment.blocks.wording import capital, joined
from sentiment.runs.records import MACRO_SCORES, MODEL_KINDS, PREDICTORS, SEEDED, Part, mean_score
from sentiment.statistics import words

# Maximum number of models in the ranking, and of networks on each external test set.
_MAX_MODELS = 15
_MAX_NETWORKS = 10
_METRICS = ("accuracy", *MACRO_SCORES)
_PUBLISHED = {
    "tweeteval": "Published macro recall on the same test tweets (https://github.com/cardiffnlp/tweeteval).",
    "sentiment140": "Published results on Sentiment140: {tweets}.",
}
_PARTS: tuple[Part, ...] = ("validation", "test")


def rankings(findings: Findings) -> list[DataTable]:
    """The predictors of each data set."""
    return [_ranking(best, number) for number, best in enumerate(findings.recommendations, 1)]


def _ranking(best: Recommended, number: int) -> DataTable:
    """All predictors by their scores on validation tweets, in bold the one to use; those without a score come last.

    Args:
        number: of the data set, counted from 1.
    """
    used = best.added_winner or best.model
    rows: list[Row] = []
    for ranked in best.ranking:
        better = sum(other.score > ranked.score for other in best.ranking if other.score and ranked.score)
        row: Row = {"rank": None if ranked.score is None else better + 1, "validation_score": ranked.score}
        row |= _row_of_added(ranked) if isinstance(ranked, AddedPredictor) else _row_of_candidate(ranked, best)
        row |= with_bounds("score", best.test_score(ranked))
        rows.append(row | _compared(best, ranked))
    models = [place for place, ranked in enumerate(best.ranking) if ranked.kind in MODEL_KINDS]
    always = (used, best.model, best.baseline)
    hidden = {place for place in models[_MAX_MODELS:] if best.ranking[place] not in always}
    drawn = [rows[place] for place, ranked in enumerate(best.ranking) if place not in hidden and _is_drawn(ranked)]
    name = "leaderboard" if number == 1 else f"leaderboard-{number}"
    caption = _ranking_caption(best, len(rows) - len(hidden))
    columns = columns_of("ranking", rows, **ranking_titles(best))
    table = DataTable(name, caption, columns, rows, rows[best.ranking.index(used)], hidden)
    return table.drawn("score", Scale.of(drawn, "score", best.test_score(best.baseline).value))


def ranking_titles(best: Recommended) -> dict[str, str]:
    """What is filled into the titles of a ranking's columns."""
    model = "the best model trained here" if best.added_winner else "recommended"
    return {"metric_name": best.dataset.metric_name, "model": model}


def _ranking_caption(best: Recommended, shown: int) -> Markup:
    baselines = sum(candidate.kind == "baseline" for candidate in best.candidates)
    best_of = f", the best of {baselines:,} linear baselines on validation tweets" if baselines > 1 else ""
    has_vectors = any(run.record.encoder for each in best.dataset.configurations for run in each.completed)
    of_vectors = " with those of its encoder's vectors" if has_vectors else ""
    of_page = (
        f"Intervals of test scores are drawn; dashed line: {predictor_name(best.baseline)}{best_of}. Times: of one run"
        f"{of_vectors}; a lower bound where a process was killed."
    )
    return joined([*ranking_remarks(best, shown), of_page, METHODS])


def ranking_remarks(best: Recommended, shown: int) -> list[str]:
    """What a ranking of so many predictors holds, on the page and in a paper."""
    dataset = best.dataset
    metric = dataset.metric_name
    number = len(best.ranking)
    which = "All" if shown == number else f"{shown:,} of {number:,}"
    metric_of = " (the metric of most runs; others have another one)"
    of_first = metric_of if dataset.has_several_metrics else ""
    parts = [
        f"{which} predictors on {dataset.name}, ranked by {metric} on validation tweets{of_first}; a "
        "configuration has the mean over its seeds.",
        f"Test {metric} with its 95 % interval. The test tweets select no predictor. Differences have intervals that "
        "are corrected within their family: one that excludes zero is significant. Bold: recommended.",
        *words.conditional_remarks(best.differences.values()),
    ]
    if dataset.approximation:
        parts.append(dataset.approximation)
    if dataset.from_lexicon_authors:
        parts.append(LEXICON_REMARK)
    return parts


def _is_drawn(ranked: Ranked) -> bool:
    """Whether the scale of a ranking is drawn for a predictor: not for chance, nor for one with few answers."""
    if isinstance(ranked, AddedPredictor):
        return ranked.predictor.has_enough_answers
    return ranked.kind != "majority"


def added_predictors(findings: Findings) -> list[Block]:
    """How far annotators agree with the labels; where the answers of added predictors come from, and what they cost."""
    people = [annotator for dataset in findings.datasets for annotator in dataset.annotators]
    blocks: list[Block] = [Text(annotator.agreement.sentence(annotator.name)) for annotator in people]
    ranked = [predictor for best in findings.recommendations for predictor in best.added]
    for each in ranked:
        blocks += map(Text, answer_remarks([each.predictor], each.test.labels))
    added = {each.name: each.record for each in (*ranked, *people)}
    return [*blocks, origins(added)] if added else []


def _row_of_added(predictor: AddedPredictor) -> Row:
    row: Row = {"model": predictor.predictor.name, "kappa": predictor.agreement.kappa, "n": predictor.metrics.n}
    return row | {f"test_{name}": getattr(predictor.metrics, name) for name in _METRICS}


def _compared(best: Recommended, ranked: Ranked) -> Row:
    """The columns of the comparison with the model to use, which differs from itself by nothing."""
    difference = best.differences.get(ranked)
    if difference is None:
        return {"difference": 0.0 if ranked is best.model else None, "verdict": words.DASH}
    verdict = words.verdict(difference)
    return with_bounds("difference", difference) | {"difference_q": difference.q, "verdict": verdict}


def published_results(findings: Findings) -> list[Block]:
    """Published results on the same data, or of the study that grids repeat; none that is about neither."""
    source = findings.main.source if findings.main else None
    texts = wording.read_texts("published")
    for name in (source, *(data for data, _ in replicated(findings.study))):
        if name in texts:
            tweets = "other tweets than those of these runs"
            if source == name:
                tweets = "each source used its own random split, so the comparison is approximate"
            caption = _PUBLISHED[name].format(tweets=tweets)
            return [DataTable("published", caption, columns_of("published", texts[name]), texts[name])]
    return []


def _row_of_candidate(candidate: Candidate, best: Recommended) -> Row:
    row: Row = {"model": predictor_name(candidate), "n": best.test_score(candidate).n}
    runs = candidate.runs
    for part in _PARTS:
        for metric in _METRICS:
            values = [run.score(part, metric, candidate.kind) for run in runs]
            row[f"{part}_{metric}"] = mean_score(values)
            row[f"{part}_{metric}_sd"] = stdev(values) if len({*values}) > 1 else None
    if candidate.kind not in SEEDED:
        return row
    row["seeds"] = len(best.dataset.answers.readable(runs) or runs)  # those that the score is the mean of
    if candidate.kind == "network":
        overfits = sum(run.overfits for run in runs)
        row["overfits"] = {0: "no", len(runs): "yes"}.get(overfits, f"{overfits} of {len(runs)}")
        if candidate.configuration.only_label:
            row["overfits"] = None
        row["parameters"] = runs[0].trainable_weights
        row["best_epoch"] = fmean(run.best_epoch for run in runs)
    usage = usage_of(candidate.configuration.completed)
    cost = usage.total(1 / len(candidate.configuration.runs))
    return row | {"gpu_seconds": cost.gpu, "cpu_seconds": cost.cpu, "attempts": usage.attempts}


def external_test_sets(findings: Findings) -> list[Block]:
    """Every model on every external test set, recommended model first; of many networks the CSV file alone has all."""
    results = findings.external_results
    if not results:
        return []
    networks: Counter[tuple[str, str]] = Counter()
    left_out = set()
    for position, result in enumerate(results):
        of_set = result.test_set, result.dataset.name
        if result.candidate.kind != "network":
            continue
        networks[of_set] += 1
        if networks[of_set] > _MAX_NETWORKS:
            left_out.add(position)
    from_authors = sorted({each.test_set for each in results if each.from_lexicon_authors})
    rows = [_test_set_row(result, len(findings.datasets) > 1) for result in results]
    metrics = sorted({result.dataset.metric_name for result in results})
    shown = f"{len(rows) - len(left_out):,} of {len(rows):,} predictors. " if left_out else ""
    scores = f"{shown}{capital(' or '.join(metrics))} in % on external test sets, none of whose tweets was trained on."
    recommended = f"{STAR}is recommended. A difference is significant if its corrected 95 % interval excludes zero."
    caption = joined([scores, recommended, METHODS])
    table = DataTable("test-sets", caption, columns_of("test-sets", rows), rows, left_out=left_out)
    return [*(Text(f"{name}: {LEXICON_REMARK}") for name in from_authors), table]


def worse_than_the_lexicon(findings: Findings) -> list[str]:
    """A sentence for each external test set on which the recommended model is significantly worse than the lexicon."""
    sentences = []
    for result in findings.external_results:
        difference = result.differences.get("lexicon")
        is_main = result.is_recommended and result.dataset is findings.main
        if is_main and difference and difference.is_worse:
            sides = subject(result.candidate, result.best), PREDICTORS["lexicon"]
            pair = words.pair_sentence(*sides, difference, result.dataset.metric_name)
            sentences.append(f"On the external test set {result.test_set}: {pair}")
    return sentences


def _test_set_row(result: ExternalResult, names_data: bool) -> Row:
    name = predictor_name(result.candidate)
    row: Row = {
        "tests": result.test_set,
        "n": result.score.n,
        "data": result.dataset.name if names_data else None,
        "model": f"{STAR}{name}" if result.is_recommended else name,
        "macro_recall": result.macro_recall,
    }
    row |= with_bounds(result.dataset.metric, result.score)
    for other, difference in result.differences.items():
        row |= with_bounds(f"gain_over_{other}", difference) | {f"gain_over_{other}_q": difference.q}
    return row
