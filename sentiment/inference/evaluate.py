"""Scores of a run on its own test sets, and of its models on other labelled files. Imports torch."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from itertools import islice
from pathlib import PurePath
from shlex import quote
from typing import Any

import numpy as np
from rich.markup import escape
from rich.table import Table

from sentiment.config import PARTS, DataConfig
from sentiment.console import ERR, OUT, Progress, say, visible
from sentiment.data.corpus import TRAIN, VALIDATION, Corpus, open_corpus
from sentiment.data.sources import TweetFile, open_source
from sentiment.data.tables import Row, RowCounter
from sentiment.data.text import UNKNOWN_AUTHOR, TweetForms, author_form, author_key, key_of
from sentiment.data.text_files import Refusal
from sentiment.errors import DataError, RunDirError
from sentiment.inference.predict import NO_WORDS
from sentiment.inference.stored import RunModels, TrainedRun
from sentiment.metrics import Labels, measure, neutral_remark
from sentiment.models.text_model import Flags, Predictions, Probabilities, checked_threshold, total
from sentiment.paired import PairedCounts, compare_pairs, comparison_sentence
from sentiment.runs.records import (
    LEXICON,
    MEASURED_MODELS,
    MODEL_NAMES,
    PREDICTION_COLUMNS,
    THRESHOLD,
    CheckScore,
    Metrics,
    ModelChoice,
    Part,
)
from sentiment.runs.run_dir import check_file

_COLUMNS = {column: MODEL_NAMES[model] for column, model in PREDICTION_COLUMNS.items()} | {"lexicon": LEXICON}
_CHUNK = 4096
EXAMPLE = "what a lovely day"  # example sentence in messages; the models of `make run` classify it correctly


@dataclass(frozen=True)
class LabelledPredictions:
    """Predictions of models for labelled tweets; NaN where an external predictor has no prediction.

    Attributes:
        labels: 0 or 1, (n,).
        models: probabilities of positive by the name of the model, each (n,).
        threshold: decision threshold of the models. The lexicon's scores are no probabilities and keep the default.
        neutral: by the name of an external predictor the number of its answers that are none of the classes.
    """

    labels: Labels
    models: dict[str, Probabilities]
    threshold: float = THRESHOLD
    neutral: dict[str, int] = field(default_factory=dict)

    def _threshold(self, name: str) -> float:
        return THRESHOLD if name == LEXICON else self.threshold

    def _positive(self, name: str) -> Flags:
        return self.models[name] >= self._threshold(name)

    def _answered(self, name: str) -> Flags:
        return ~np.isnan(self.models[name])

    def metrics(self) -> dict[str, Metrics]:
        metrics = {}
        for name, probabilities in self.models.items():
            answered = self._answered(name)
            metrics[name] = measure(self.labels[answered], probabilities[answered], self._threshold(name))
        return metrics

    def comparison_lines(self, chosen: str) -> list[str]:
        """A heading, and a sentence on the comparison of one model with each other one."""
        others = [name for name in self.models if name != chosen]
        pairs = [self._paired(chosen, name) for name in others]
        heading = (
            f"{chosen} compared with each other model (only these trained models; intervals and p-values are corrected "
            f"for {len(others)} comparisons):"
        )
        results = compare_pairs(pairs)
        compared = zip(others, pairs, results, strict=True)
        return [heading, *(f"  {comparison_sentence(chosen, name, pair, result)}" for name, pair, result in compared)]

    def _paired(self, first: str, second: str) -> PairedCounts:
        """The counts of two models on the tweets for which both have a prediction."""
        answered = self._answered(first) & self._answered(second)
        first_right = self._right(first)[answered]
        second_right = self._right(second)[answered]
        only_first = int((first_right & ~second_right).sum())
        only_second = int((second_right & ~first_right).sum())
        return PairedCounts(only_first, only_second, len(first_right))

    def _right(self, name: str) -> Flags:
        right: Flags = self._positive(name) == (self.labels == 1)
        return right

    def warnings(self, label_names: tuple[str, str]) -> list[str]:
        """Warn about models that predict the same label for all tweets."""
        lines = []
        for name in self.models:
            labels = np.unique(self._positive(name)[self._answered(name)])
            if len(labels) == 1 and len(self.labels) > 1:
                label = label_names[int(labels[0])]
                lines.append(f"warning: the {name} predicts {label!r} for all {len(self.labels):,} tweets")
        return lines


def load_own_predictions(run: TrainedRun) -> tuple[dict[Part, LabelledPredictions], list[str]]:
    """Predictions of a completed run and of external predictors for its validation and test tweets.

    Returns:
        The predictions by part, and a line for each external predictor that cannot be read.

    Raises:
        RunDirError: its predictions are missing or damaged.
    """
    import pyarrow.parquet as pq

    file = run.run_dir.predictions_file
    check_file(file, run.result)
    external, problems = run.run_dir.results.read_added(run.record.data_fingerprint)
    predictions: dict[Part, LabelledPredictions] = {}
    try:
        table = pq.read_table(file)
        for part in PARTS[1:]:
            of_part = table.filter(np.array(table["part"].to_pylist()) == part)
            models = {name: of_part[column].to_numpy().astype(np.float64) for column, name in _COLUMNS.items()}
            labels = of_part["label"].to_numpy().astype(np.int64)
            n = run.result.metrics[part].n
            if len(labels) != n or not np.isin(labels, (0, 1)).all() or np.isnan([*models.values()]).any():
                raise ValueError(f"its predictions do not match the {n:,} {part} tweets of the result")
            neutral = {}
            rows = of_part["row"].to_pylist()
            for name, added in external.items():
                probabilities = np.array([added.said.get(row) for row in rows], np.float64)
                if not np.isnan(probabilities).all():
                    models[f"{name} (added)"] = probabilities
                    neutral[f"{name} (added)"] = sum(added.said.get(row, 0.0) is None for row in rows)
            predictions[part] = LabelledPredictions(labels, models, neutral=neutral)
    except (ValueError, KeyError, OSError) as error:
        raise RunDirError(f"{file}: holds no predictions: {error}") from None
    return predictions, problems


def _caveats(run: TrainedRun) -> str:
    """Caveats to print below the score table of a run, and which model predicts."""
    config = run.config
    result = run.result
    lines = [""]
    if result.encoder and result.encoder.random:
        lines.append(
            f"ELMo model {result.encoder.model!r}: random weights, so that these scores say nothing about ELMo"
        )
    if result.only_label is not None:
        label = config.data.label_names[result.only_label]
        lines.append(f"warning: the network predicts {label} for every validation tweet: it has learned nothing")
    if config.data.source in ("vader", "sample"):
        lines.append(
            "The authors of VADER's lexicon collected and rated these tweets, so its score on them is optimistic."
        )
    n = result.metrics["validation"].n
    if n < 100:
        lines.append(f"warning: {n} validation tweets are too few to choose a model or an epoch by")
    name = MODEL_NAMES[result.recommended]
    lines.append(f"used by predict: {name}, the most accurate model of this run on validation tweets")
    return "\n".join(lines)


def show_result(run: TrainedRun) -> None:
    """Print the result of a completed run, and how to use its model."""
    result = run.result
    chosen = MODEL_NAMES[result.recommended]
    OUT.print()
    OUT.print(score_table(result.scores, chosen))
    say(_caveats(run))
    test = result.scores["test"][chosen]
    low = 100 * test.accuracy_low
    high = 100 * test.accuracy_high
    interval_text = f"95 % interval {low:.1f} to {high:.1f} %"
    if test.n < 1_000:  # more leave it uncertain by less than two points
        interval_text += f": on so few test tweets the accuracy is uncertain by \u00b1 {(high - low) / 2:.1f} points"
        interval_text += (
            "\n             to test on all tweets: data.folds=5, and data.fold from 1 to 5, as in grid vader"
        )
    checked = result.check_list[chosen]
    worst = min(checked, key=lambda name: checked[name].right / checked[name].of)
    path = quote(run.path)
    say(
        f"\nbest epoch {result.best_epoch} of {result.epochs} ({result.stopped_by}), {result.parameters:,} parameters, "
        f"{result.seconds_trained:.1f} s\n{result.overfit.verdict}\n"
        f"\nbest         {chosen}: {test.accuracy:.1%} of {test.n:,} test tweets right\n"
        f"how sure     {interval_text}\n"
        f"check list   {total(checked).right} of {total(checked).of} short sentences right, fewest of {worst!r} "
        f"({checked[worst].right} of {checked[worst].of})\n"
        f'\nuse it       sentiment predict {path} "{EXAMPLE}"\n'
        f"look closer  sentiment evaluate {path}\n"
        f"hand it on   sentiment export {path} model.zip"
    )


def evaluate_on_own(run: TrainedRun, choice: ModelChoice | None) -> dict[str, Any]:
    """Show the scores of a completed run, and by how much its chosen model differs from the others on test tweets.

    Args:
        choice: the chosen model; None: the recommended one.

    Returns:
        The chosen model's metrics by part; `models`: metrics of all models and external predictors by part; `chosen`:
        its name; `check_list`: correct sentences by model and capability; `neutral_answers`: by part and external
        predictor the number of answers that are none of the classes.

    Raises:
        RunDirError: its predictions are missing or damaged.
    """
    predictions, problems = load_own_predictions(run)
    parts = run.result.scores
    chosen = MODEL_NAMES[choice or run.result.recommended]
    for part, labelled in predictions.items():
        parts[part] = labelled.metrics() | parts[part]
    test = predictions["test"]
    OUT.print(score_table(parts, chosen))
    for part, labelled in predictions.items():
        for name, neutral in labelled.neutral.items():
            if neutral:
                say(f"{name}, {part}: {neutral_remark(parts[part][name], neutral)}")
    for problem in problems:
        say(f"left out: {problem}", ERR)
    say("\n".join([*test.comparison_lines(chosen), *test.warnings(run.config.data.label_names)]))
    OUT.print(check_table(run.result.check_list, chosen))
    say(_caveats(run))
    models: dict[str, dict[str, Any]] = {}
    for part, scores in parts.items():
        for name, metrics in scores.items():
            models.setdefault(name, {})[part] = metrics.model_dump()
    return models[chosen] | {
        "chosen": chosen,
        "models": models,
        "check_list": run.result.check_list,
        "neutral_answers": {part: labelled.neutral for part, labelled in predictions.items()},
    }


def evaluate_on_file(
    run: TrainedRun, choice: ModelChoice | None, table: DataConfig, progress: Progress, threshold: float | None
) -> dict[str, Any]:
    """Show the scores of a run's models on a labelled file, and by how much the chosen one differs from the others.

    Training and validation tweets and other tweets of their authors are excluded and counted. The same holds for rows
    without a prediction of the chosen model.

    Args:
        choice: the chosen model; None: the recommended one.
        table: the file, its columns and labels; other tables that it names are ignored.
        threshold: decision threshold of the models; None: 0.5.

    Returns:
        The chosen model's metrics; `models`: metrics of all; `chosen`: its name; `left_out`: number of rows by reason;
        `knows_training`: whether training tweets could be excluded; `threshold`.

    Raises:
        SentimentError: the run has no such model, or the file cannot be used.
    """
    models = RunModels.of(run)
    chosen = MODEL_NAMES[choice or run.result.recommended]
    source = open_source(table.model_copy(update={"tests": {}, "extra_train": ()}), run.results).main
    leaked: _LeakageReasons = {"keys": {}, "authors": {}}
    warnings = []
    try:
        leaked = _leakage_reasons(open_corpus(run.results.corpus_dir(run.record.data_fingerprint)))
    except DataError as error:
        warnings.append(f"warning: cannot exclude training tweets: {error}")
    labels, predictions, left_out = _read_file(models, chosen, source, leaked, progress)
    probabilities = {name: predicted.probabilities for name, predicted in predictions.items()}
    labelled = LabelledPredictions(labels, probabilities, checked_threshold(threshold))
    metrics = labelled.metrics()
    OUT.print(score_table({PurePath(table.source).name: metrics}, chosen))
    lines = []
    if labelled.threshold != THRESHOLD:
        lines.append(f"decision threshold {labelled.threshold:g}; of {LEXICON} {THRESHOLD:g}")
    lines += [f"{rows.count:,} left out: {reason} ({rows})" for reason, rows in left_out.counted().items()]
    for name, predicted in predictions.items():
        guesses = int((~predicted.usable).sum())
        if guesses:
            lines.append(f"{name}: {guesses:,} tweets contain no known word; their predictions are guesses")
    say("\n".join(f"  {line}" for line in lines + warnings))
    say("\n".join([*labelled.comparison_lines(chosen), *labelled.warnings(run.config.data.label_names)]))
    by_name = {name: scores.model_dump() for name, scores in metrics.items()}
    return by_name[chosen] | {
        "chosen": chosen,
        "models": by_name,
        "threshold": labelled.threshold,
        "left_out": {reason: rows.count for reason, rows in left_out.counted().items()},
        "knows_training": not warnings,
    }


# Reasons to exclude tweets (leakage), by "keys" or "authors", then by the key of the tweet or author.
_LeakageReasons = dict[str, dict[int, str]]
# The strongest last.
_REASONS = (
    ("the author's other tweets were validation tweets, by which the model was chosen", "authors", VALIDATION),
    ("the model was trained on other tweets of the author", "authors", TRAIN),
    ("the model was chosen by a validation tweet of the same words", "keys", VALIDATION),
    ("the model was trained on a tweet of the same words", "keys", TRAIN),
)


def _leakage_reasons(corpus: Corpus) -> _LeakageReasons:
    reasons: _LeakageReasons = {"keys": {}, "authors": {}}
    for reason, column, part in _REASONS:
        keys = getattr(corpus, column)[corpus.parts == part].tolist()
        reasons[column] |= dict.fromkeys(keys, reason)
    reasons["authors"].pop(UNKNOWN_AUTHOR, None)
    return reasons


def _read_file(
    models: RunModels, chosen: str, source: TweetFile, leaked: _LeakageReasons, progress: Progress
) -> tuple[Labels, dict[str, Predictions], RowCounter]:
    """Labels, predictions, and excluded rows: those without a prediction of the chosen model, and leaked ones.

    Duplicate tweets are all scored.
    """
    left_out = RowCounter()
    forms = TweetForms()
    labels: list[int] = []
    chunks: dict[str, list[Predictions]] = {}
    labelled = _labelled(source, left_out, progress)
    while rows := list(islice(labelled, _CHUNK)):
        predictions = models.classify_texts([row.text for row in rows])
        kept = []
        for index, row in enumerate(rows):
            reason = leaked["keys"].get(key_of(forms.of(row.text)))
            if reason is None:
                reason = leaked["authors"].get(author_key(author_form(row.user)))
            if reason is None and not predictions[chosen].usable[index]:
                reason = NO_WORDS
            if reason is None:
                kept.append(index)
                labels.append(row.label or 0)
            else:
                left_out.add(reason, row.line)
        for name, predicted in predictions.items():
            kept_predictions = Predictions(predicted.probabilities[kept], predicted.usable[kept])
            chunks.setdefault(name, []).append(kept_predictions)
    if not labels:
        details = f"; left out were {left_out.most_common()}" if left_out.total() else ""
        raise DataError(f"{source.name}: has no row with a positive or negative label to score{details}")
    return np.array(labels), {name: Predictions.joined(parts) for name, parts in chunks.items()}, left_out


def _labelled(source: TweetFile, left_out: RowCounter, progress: Progress) -> Iterator[Row]:
    for number, row in enumerate(source.read()):
        if number % _CHUNK == 0:
            progress(f"reading {source.name}", number, source.total)
        if isinstance(row, Refusal):
            left_out.add(row.reason, row.line)
        elif row.label is None:
            left_out.add("neutral or ignored label", row.line)
        else:
            yield row


def score_table(parts: Mapping[str, Mapping[str, Metrics]], chosen: str) -> Table:
    """The scores of models by part or file; those of the chosen model are printed bold."""
    table = Table("", box=None, pad_edge=False, header_style="bold")
    for name in ("loss", "accuracy", "(95 %)", "precision", "recall", "F1"):
        table.add_column(name, justify="right", no_wrap=True)
    for part, models in parts.items():
        n = next(iter(models.values())).n
        table.add_row(f"{escape(visible(part))}, {n:,} tweets", style="italic")
        for name, metrics in models.items():
            # No log loss for models whose scores may not be probabilities.
            loss = f"{metrics.loss:.3f}" if name in MODEL_NAMES.values() else "-"
            interval = f"{metrics.accuracy_low:.3f}-{metrics.accuracy_high:.3f}"
            others = (f"{score:.3f}" for score in (metrics.precision, metrics.recall, metrics.f1))
            style = "bold" if name == chosen else ""
            size = "" if metrics.n == n else f", n = {metrics.n:,}"
            table.add_row(f"  {name}{size}", loss, f"{metrics.accuracy:.3f}", interval, *others, style=style)
    return table


def check_table(check_list: dict[str, dict[str, CheckScore]], chosen: str) -> Table:
    """The check list by capability: number of correct sentences per model; the chosen model is printed bold."""
    table = Table("check list", box=None, pad_edge=False, header_style="bold")
    for name in MEASURED_MODELS:
        table.add_column(name, justify="right", style="bold" if name == chosen else "")
    tallies = [check_list[name] for name in MEASURED_MODELS]
    for capability in tallies[0]:
        scores = [tally[capability] for tally in tallies]
        table.add_row(f"  {capability}", *(f"{score.right} of {score.of}" for score in scores))
    totals = [total(tally) for tally in tallies]
    table.add_row("  all", *(f"{score.right} of {score.of}" for score in totals), style="italic")
    return table
