"""Scores of predictors on some tweets, and how they compare, as `evaluate` and `train` print and write them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from sentiment.answers.recommendation import MIN_TWEETS_TO_CHOOSE
from sentiment.answers.table import AnswerTable, Comparison, Predictor, compare_predictors
from sentiment.blocks.content import Bullets, Content, DataTable, Text
from sentiment.blocks.predictors import check_list_table, class_table, pair_sentences, score_row, score_table
from sentiment.console import plural, visible
from sentiment.predicting.stored import TrainedRun
from sentiment.runs.records import MODEL_KINDS, PREDICTORS, Metrics, Part
from sentiment.statistics.metrics import METRIC_NAMES, ClassIndices, Metric

# Metrics by the name of a predictor, then by part or file.
Scores = dict[str, dict[Part, Metrics]]


class Compared(NamedTuple):
    """Pairs of predictors, and a line on how they are compared; it is empty if there are none."""

    heading: str
    pairs: Sequence[Comparison]


@dataclass(frozen=True)
class Evaluation:
    """Scores of predictors on a run's own parts, on a labelled file, or on a table with answers.

    Attributes:
        part: the part or the file whose tweets are compared.
        chosen: the name of the predictor whose scores are shown by class.
        remarks: lines on the rows and on the predictors.
        compared: the pairs of predictors that are compared.
        details: values that are written besides the scores; `check_list` is shown as well.
        closing: lines on what follows from the scores.
        metric: the one by which they are compared.
    """

    part: Part
    classes: Sequence[str]
    chosen: str
    scores: Scores
    remarks: Sequence[str]
    compared: Compared
    details: Mapping[str, Any]
    closing: Sequence[str] = ()
    metric: Metric = "accuracy"

    def as_dict(self) -> dict[str, Any]:
        """What `--out` writes: the scores of the chosen model and of all, by part if there are several, and details."""
        has_parts = len(self.scores[self.chosen]) > 1
        models: dict[str, dict[str, Any]] = {}
        for name, by_part in self.scores.items():
            named = {part: metrics.named(self.classes) for part, metrics in by_part.items()}
            models[name] = named if has_parts else named[self.part]
        return models[self.chosen] | {"chosen": self.chosen, "models": models} | dict(self.details)


def evaluation_blocks(evaluation: Evaluation, everything: bool) -> list[Content]:
    """What is shown of an evaluation.

    Args:
        everything: also the other parts, the most frequent class, the other metric of each pair with several classes,
            and the check list.
    """
    chosen = evaluation.chosen
    part = evaluation.part
    scores = evaluation.scores
    if not everything:
        scores = {}
        for name, by_part in evaluation.scores.items():
            if part in by_part and (name != PREDICTORS["majority"] or name == chosen):
                scores[name] = {part: by_part[part]}
    blocks: list[Content] = [*score_tables(scores, chosen), *map(Text, evaluation.remarks)]
    blocks += pair_blocks(evaluation, everything)
    blocks.append(class_table(chosen, evaluation.scores[chosen][part], evaluation.classes))
    check_list = evaluation.details.get("check_list")
    if everything and check_list:
        blocks.append(check_list_table("check list", [check_list]))
    return [*blocks, *map(Text, evaluation.closing)]


def score_tables(scores: Scores, chosen: str) -> list[DataTable]:
    """The scores of predictors on each part that the chosen one has, or on a file."""
    tables = []
    for part in scores[chosen]:
        rows = [score_row(name, by_part[part]) for name, by_part in scores.items() if part in by_part]
        caption = f"{visible(part)}, {plural(max(row['n'] for row in rows), 'tweet')}"
        tables.append(score_table(f"scores-{part}", caption, rows, chosen))
    return tables


def pair_blocks(evaluation: Evaluation, everything: bool = False) -> list[Content]:
    """The sentences on pairs, with a line on how they are compared."""
    heading, pairs = evaluation.compared
    if not pairs:
        return []
    sentences = pair_sentences(pairs, evaluation.metric)
    if everything and len(evaluation.classes) > 2:
        others: list[Metric] = [metric for metric in METRIC_NAMES if metric != evaluation.metric]
        for metric in others:
            sentences += pair_sentences(pairs, metric)
    return [Text(heading), Bullets(sentences)]


def caveats_of(run: TrainedRun) -> list[str]:
    """What limits the scores of a run, a line each."""
    config = run.config
    result = run.result
    lines = []
    if result.only_label is not None:
        label = config.data.label_names[result.only_label]
        lines.append(f"warning: the network predicts {label} for every validation tweet: it has learned nothing")
    if config.data.source in ("vader", "sample"):
        lines.append(
            "The authors of VADER's lexicon collected and rated these tweets, so its score on them is optimistic."
        )
    n = result.metrics["validation"].n
    if n < MIN_TWEETS_TO_CHOOSE:
        lines.append(f"warning: {n} validation tweets are too few to choose a model or an epoch by")
    return lines


def scores_on_file(file: str, tweets: AnswerTable) -> Scores:
    """The scores of all predictors on the tweets of one file."""
    return {predictor.name: {file: predictor.metrics(tweets.labels)} for predictor in tweets.predictors}


def compare_with_chosen(labels: ClassIndices, chosen: Predictor, others: Sequence[Predictor]) -> Compared:
    """The chosen predictor and every other one that reads texts, and a line on how they are compared.

    They are compared in the families of the report: with models of the run, by which one is recommended; with the
    lexicon; and with added predictors.
    """
    kinds_of = {"models of the run": MODEL_KINDS, "the lexicon": ("lexicon",), "added predictors": ("added",)}
    pairs: list[Comparison] = []
    numbers = []
    for family, kinds in kinds_of.items():
        compared = [(chosen, other) for other in others if other.kind in kinds and other.name != chosen.name]
        pairs += compare_predictors(compared, labels)
        if compared:
            numbers.append(f"{plural(len(compared), 'comparison')} with {family}")
    return Compared(f"compared (intervals and p-values are corrected for {' and for '.join(numbers)}):", pairs)
