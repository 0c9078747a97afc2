"""Scores of a run, and of its model on labelled files that it knows nothing of. Loads torch."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import PurePath
from shlex import quote
from typing import Any, NamedTuple

import numpy as np
from rich.markup import escape
from rich.table import Table

from sentiment.config import PARTS, DataConfig
from sentiment.console import OUT, Progress, say, visible
from sentiment.data.corpus import TRAIN, VALIDATION, Corpus, open_corpus
from sentiment.data.sources import TweetFile, open_source
from sentiment.data.tables import Row, RowCounter
from sentiment.data.text import UNKNOWN_AUTHOR, TweetForms, author_form, author_key, key_of
from sentiment.data.text_files import Refusal
from sentiment.errors import DataError, RunDirError
from sentiment.inference.predict import NO_WORDS
from sentiment.inference.stored import TrainedRun, measured_models
from sentiment.models.text_model import Flags, Predictions, Probabilities, TextModel, checked_threshold, total
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
from sentiment.training.task import Labels, measure

_COLUMNS = {column: MODEL_NAMES[model] for column, model in PREDICTION_COLUMNS.items()} | {"lexicon": LEXICON}
_CHUNK = 4096
EXAMPLE = "what a lovely day"  # shows how to use a model; those that `make run` trains have it right


class PairedDifference(NamedTuple):
    """How much more accurate one trained classifier is than another on the same tweets.

    Attributes:
        high: the interval; it follows from Clopper and Pearson's for the tweets that one alone has right.
        p: of the exact McNemar test (McNemar 1947).
    """

    value: float
    low: float
    high: float
    p: float


def paired_differences(pairs: Sequence[tuple[Flags, Flags]]) -> list[PairedDifference]:
    """The accuracy of one classifier less that of another on the same tweets, of each pair; corrected together.

    p-values are adjusted by Benjamini and Hochberg (1995), intervals by Benjamini and Yekutieli (2005), so that one
    excludes zero just where the adjusted p is below 0.05.
    """
    from scipy.stats import binomtest, false_discovery_control

    counts = [(int((first & ~other).sum()), int((other & ~first).sum())) for first, other in pairs]
    tests = [binomtest(gained, gained + lost) if gained + lost else None for gained, lost in counts]
    adjusted = [float(p) for p in false_discovery_control([test.pvalue if test else 1.0 for test in tests])]
    level = 1 - 0.05 * max(sum(p < 0.05 for p in adjusted), 1) / len(adjusted)
    found = []
    for (first, _), (gained, lost), test, p in zip(pairs, counts, tests, adjusted, strict=True):
        n = len(first)
        bounds = test.proportion_ci(level, method="exact") if test else (0.5, 0.5)
        low, high = ((2 * float(at) - 1) * (gained + lost) / n for at in bounds)
        found.append(PairedDifference((gained - lost) / n, low, high, p))
    return found


@dataclass(frozen=True)
class Scored:
    """What models say of labelled tweets: NaN where one from elsewhere has no answer, though it has one to some."""

    labels: Labels
    models: dict[str, Probabilities]
    threshold: float = THRESHOLD  # of the models; the lexicon's scores are no probabilities, and keep the usual one

    def _threshold(self, name: str) -> float:
        return THRESHOLD if name == LEXICON else self.threshold

    def _positive(self, name: str) -> Flags:
        return self.models[name] >= self._threshold(name)

    def metrics(self) -> dict[str, Metrics]:
        known = {name: ~np.isnan(said) for name, said in self.models.items()}
        return {
            name: measure(self.labels[of], self.models[name][of], self._threshold(name)) for name, of in known.items()
        }

    def difference_lines(self, chosen: str) -> list[str]:
        """By how much one model is more accurate than each of the others."""
        right = {name: self._positive(name) == (self.labels == 1) for name in self.models}
        first = right.pop(chosen)
        known = {name: ~np.isnan(self.models[name]) for name in right}
        gaps = paired_differences([(first[known[name]], other[known[name]]) for name, other in right.items()])
        lines = [
            f"{chosen} less the others, on {len(self.labels):,} tweets: points of accuracy of these trained models, "
            "exact McNemar tests, corrected for their number"
        ]
        for (name, of), gap in zip(known.items(), gaps, strict=True):
            told = f"95 % interval {100 * gap.low:+.1f} to {100 * gap.high:+.1f}, adjusted p = {gap.p:.2g}"
            told += "" if of.all() else f", on {of.sum():,} tweets"
            lines.append(f"  {name:<17} {100 * gap.value:+5.1f}  ({told})")
        return lines

    def warnings(self, names: tuple[str, str]) -> list[str]:
        """Which models say the same of all tweets; `names` are those of the negative and the positive label."""
        said = {name: np.unique(self._positive(name)[~np.isnan(one)]) for name, one in self.models.items()}
        return [
            f"warning: the {name} says {names[int(labels[0])]!r} of all {len(self.labels):,} tweets"
            for name, labels in said.items()
            if len(labels) == 1 and len(self.labels) > 1
        ]


def own_scores(run: TrainedRun) -> dict[Part, Scored]:
    """What a completed run, and what was added from elsewhere, said of its validation and test tweets.

    A RunDirError says that its predictions are missing or damaged.
    """
    import pyarrow.parquet as pq

    file, found = run.run_dir.predictions_file, dict[Part, Scored]()
    check_file(file, run.result)
    elsewhere = run.run_dir.results.read_added(run.record.data_fingerprint)
    try:
        table = pq.read_table(file)
        for part in PARTS[1:]:
            of_part = table.filter(np.array(table["part"].to_pylist()) == part)
            models = {name: of_part[column].to_numpy().astype(np.float64) for column, name in _COLUMNS.items()}
            labels, n = of_part["label"].to_numpy().astype(np.int64), run.result.metrics[part].n
            if len(labels) != n or not np.isin(labels, (0, 1)).all() or np.isnan([*models.values()]).any():
                raise ValueError(f"not what its models say of {n:,} {part} tweets")
            for name, added in elsewhere.items():
                said = np.array([added.said.get(row, np.nan) for row in of_part["row"].to_pylist()])
                models |= {} if np.isnan(said).all() else {f"{name} (added)": said}
            found[part] = Scored(labels, models)
    except (ValueError, KeyError, OSError) as error:
        raise RunDirError(f"{file}: holds no predictions: {error}") from None
    return found


def _remarks(run: TrainedRun) -> str:
    """What should be known before anything is concluded from a completed run's table of scores."""
    config, result, n, lines = run.config, run.result, run.result.metrics["validation"].n, [""]
    if result.encoder and result.encoder.random:
        lines.append(
            f"ELMo model {result.encoder.model!r}: random weights, so that these scores say nothing about ELMo"
        )
    if result.only_label is not None:
        label = config.data.label_names[result.only_label]
        lines.append(f"warning: the network calls every validation tweet {label}: it has learned nothing")
    if config.data.source in ("vader", "sample"):
        lines.append("These tweets were collected and rated by the authors of VADER's lexicon, for it.")
    if n < 100:
        lines.append(f"warning: {n} validation tweets are too few to choose a model or an epoch by")
    name = MODEL_NAMES[result.recommended]
    return "\n".join([*lines, f"used by predict: {name}, the most accurate model of this run on validation tweets"])


def show_result(run: TrainedRun) -> None:
    """Print the result of a completed run, and how to use its model."""
    result, chosen, scores = run.result, MODEL_NAMES[run.result.recommended], run.result.scores
    OUT.print()
    OUT.print(score_table(scores, chosen))
    say(_remarks(run))
    test, place, checked = scores["test"][chosen], quote(run.place), result.check_list[chosen]
    low, high = 100 * test.accuracy_low, 100 * test.accuracy_high
    sure = f"95 % interval {low:.1f} to {high:.1f} %"
    if test.n < 1_000:  # more leave it uncertain by less than two points
        sure += f": what lies closer than \u00b1 {(high - low) / 2:.1f} points can't be told apart"
        sure += "\n             to test on all tweets: data.folds=5, and data.fold from 1 to 5, as in grid vader"
    worst = min(checked, key=lambda name: checked[name].right / checked[name].of)
    say(
        f"\nbest epoch {result.best_epoch} of {result.epochs} ({result.stopped_by}), {result.parameters:,} parameters, "
        f"{result.seconds_trained:.1f} s\n{result.overfit.verdict}\n"
        f"\nbest         {chosen}: {test.accuracy:.1%} of {test.n:,} test tweets right\n"
        f"how sure     {sure}\n"
        f"check list   {total(checked).right} of {total(checked).of} short sentences right, fewest of {worst!r} "
        f"({checked[worst].right} of {checked[worst].of})\n"
        f'\nuse it       sentiment predict {place} "{EXAMPLE}"\n'
        f"look closer  sentiment evaluate {place}\n"
        f"hand it on   sentiment export {place} model.zip"
    )


def evaluate_on_own(run: TrainedRun, choice: ModelChoice | None) -> dict[str, Any]:
    """Show the scores of a completed run, and how much its chosen model differs from the others on test tweets.

    Returns:
        The metrics of the chosen model by part, which is the recommended one for None; and by name: those of all
        `models` and of what was added, which was `chosen`, and of how many sentences of the `check_list` each is right,
        by capability.

    Raises:
        RunDirError: its predictions are missing or damaged.
    """
    own, parts, name = own_scores(run), run.result.scores, MODEL_NAMES[choice or run.result.recommended]
    parts |= {part: scored.metrics() | parts[part] for part, scored in own.items()}
    OUT.print(score_table(parts, name))
    say("\n".join([*own["test"].difference_lines(name), *own["test"].warnings(run.config.data.label_names)]))
    OUT.print(check_table(run.result.check_list, name))
    say(_remarks(run))
    models: dict[str, dict[str, Any]] = {}
    for part, of_part in parts.items():
        for one, metrics in of_part.items():
            models.setdefault(one, {})[part] = metrics.model_dump()
    return models[name] | {"chosen": name, "models": models, "check_list": run.result.check_list}


def evaluate_on_file(
    run: TrainedRun, choice: ModelChoice | None, table: DataConfig, progress: Progress, threshold: float | None
) -> dict[str, Any]:
    """Show the scores of a run's models on a labelled file, and how much the chosen one differs from the others.

    Tweets that a model was trained on or chosen by, and others of their authors, are not scored, but counted, as are
    rows that the chosen model does not answer.

    Args:
        choice: None takes the model that the result recommends.
        table: the file, its columns and labels; other tables that it names are left out.
        threshold: from which probability on the models say positive; None is the usual one.

    Returns:
        The metrics of the chosen model; and by name: those of all `models`, which was `chosen`, how many rows were
        `left_out` for which reason, whether it `knows_training` tweets, and the threshold.

    Raises:
        SentimentError: the run has no such model, or the file cannot be used.
    """
    models, name = measured_models(run), MODEL_NAMES[choice or run.result.recommended]
    source = open_source(table.model_copy(update={"tests": {}, "extra_train": ()}), run.results).main
    known, untold = _Known(keys={}, authors={}), list[str]()
    try:
        known = _known_tweets(open_corpus(run.results.corpus_dir(run.record.data_fingerprint)))
    except DataError as error:
        untold.append(f"warning: which of these tweets the model was trained on cannot be told: {error}")
    labels, found, left_out = _read_file(models, name, source, known, progress)
    scored = Scored(labels, {one: said.probabilities for one, said in found.items()}, checked_threshold(threshold))
    metrics = scored.metrics()
    OUT.print(score_table({PurePath(table.source).name: metrics}, name))
    counted, lines = left_out.counted(), list[str]()
    if scored.threshold != THRESHOLD:
        lines.append(f"positive from {scored.threshold:g} on; {LEXICON} from {THRESHOLD:g} on")
    lines += [f"{rows.count:,} left out: {reason} ({rows})" for reason, rows in counted.items()]
    for one, said in found.items():
        if guessed := int((~said.usable).sum()):
            lines.append(f"of {guessed:,} the {one} knows no word, and guesses")
    say("\n".join(f"  {line}" for line in [*lines, *untold]))
    say("\n".join([*scored.difference_lines(name), *scored.warnings(run.config.data.label_names)]))
    dumped = {one: of_model.model_dump() for one, of_model in metrics.items()}
    told = {"left_out": {reason: rows.count for reason, rows in counted.items()}, "knows_training": not untold}
    return dumped[name] | {"chosen": name, "models": dumped, "threshold": scored.threshold} | told


# Why tweets are no test of a model, by their keys or authors in the corpus.
_Known = dict[str, dict[int, str]]
# The strongest last.
_REASONS = (
    ("the author's other tweets were validation tweets, by which the model was chosen", "authors", VALIDATION),
    ("the model was trained on other tweets of the author", "authors", TRAIN),
    ("was a validation tweet, by which the model was chosen", "keys", VALIDATION),
    ("the model was trained on it", "keys", TRAIN),
)


def _known_tweets(corpus: Corpus) -> _Known:
    known: _Known = {"keys": {}, "authors": {}}
    for reason, column, part in _REASONS:
        known[column] |= dict.fromkeys(getattr(corpus, column)[corpus.parts == part].tolist(), reason)
    known["authors"].pop(UNKNOWN_AUTHOR, None)
    return known


def _read_file(
    models: Sequence[TextModel], chosen: str, source: TweetFile, known: _Known, progress: Progress
) -> tuple[Labels, dict[str, Predictions], RowCounter]:
    """Labels, what models say, and what is left out: rows that the chosen model does not answer, or one knows.

    Of rows with the same tweet each is scored.
    """
    left_out, forms, labels = RowCounter(), TweetForms(), list[int]()
    parts: dict[str, list[Predictions]] = {model.name: [] for model in models}
    labelled = _labelled(source, left_out, progress)
    while rows := list(islice(labelled, _CHUNK)):
        said = {model.name: model.classify_texts([row.text for row in rows]) for model in models}
        scored = []
        for place, row in enumerate(rows):
            reason = known["keys"].get(key_of(forms.of(row.text)))
            reason = reason or known["authors"].get(author_key(author_form(row.user)))
            if reason or not said[chosen].usable[place]:
                left_out.add(reason or NO_WORDS, row.line)
            else:
                scored.append(place)
        labels += [rows[place].label or 0 for place in scored]
        for name, one in said.items():
            parts[name].append(Predictions(one.probabilities[scored], one.usable[scored]))
    if not labels:
        told = f"; left out were {left_out.most_common()}" if left_out.total() else ""
        raise DataError(f"{source.name}: has no row with a positive or negative label to score{told}")
    return np.array(labels), {name: Predictions.joined(of) for name, of in parts.items()}, left_out


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
    """The scores of models by part or file; those of the chosen model are emphasised."""
    table = Table("", box=None, pad_edge=False, header_style="bold")
    for name in ("loss", "accuracy", "(95 %)", "precision", "recall", "F1"):
        table.add_column(name, justify="right", no_wrap=True)
    for part, models in parts.items():
        n = next(iter(models.values())).n
        table.add_row(f"{escape(visible(part))}, {n:,} tweets", style="italic")
        for name, one in models.items():
            loss = f"{one.loss:.3f}" if name in MODEL_NAMES.values() else "-"  # of what may say no probabilities
            interval = f"{one.accuracy_low:.3f}-{one.accuracy_high:.3f}"
            others = (f"{score:.3f}" for score in (one.precision, one.recall, one.f1))
            style = "bold" if name == chosen else ""
            of = "" if one.n == n else f", n = {one.n:,}"
            table.add_row(f"  {name}{of}", loss, f"{one.accuracy:.3f}", interval, *others, style=style)
    return table


def check_table(check_list: dict[str, dict[str, CheckScore]], chosen: str) -> Table:
    """The check list by capability: of how many sentences each model is right; the chosen model is emphasised."""
    table = Table("check list", box=None, pad_edge=False, header_style="bold")
    for name in MEASURED_MODELS:
        table.add_column(name, justify="right", style="bold" if name == chosen else "")
    tallies = [check_list[name] for name in MEASURED_MODELS]
    for capability in tallies[0]:
        table.add_row(f"  {capability}", *(f"{of[capability].right} of {of[capability].of}" for of in tallies))
    table.add_row("  all", *(f"{one.right} of {one.of}" for one in map(total, tallies)), style="italic")
    return table
