"""What `train`, `predict` and `evaluate` print of a model."""

import csv
import io
import json
import sys
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from shlex import quote
from typing import Any

import numpy as np
import typer
from rich.markup import escape
from rich.table import Table
from rich.text import Text

from sentiment.console import printable, visible
from sentiment.errors import RunDirError
from sentiment.inference.predict import NO_WORDS, answer_fields
from sentiment.install_paths import ROOT, shipped_folder
from sentiment.models.calibration import Probabilities
from sentiment.models.check_list import total
from sentiment.models.text_model import TextModel
from sentiment.progress_bar import OUT, say
from sentiment.runs.records import (
    BASELINE,
    BOTH,
    LEXICON,
    MEASURED_MODELS,
    MODEL_NAMES,
    NETWORK,
    THRESHOLD,
    CheckScore,
    Metrics,
    Part,
    Result,
    answer,
)
from sentiment.runs.run_dir import RunDir, check_file, read_whole
from sentiment.training.classifying import Flags, Labels, PairedDifference, measure, paired_differences


@dataclass(frozen=True)
class NamedScores:
    """Labels and each model's probabilities of positive sentiment, all of shape (n,)."""

    labels: Labels
    models: dict[str, Probabilities]
    """By what the models are called in the output."""
    what: str = "tweets"
    """What the tweets are called in warnings."""
    threshold: float = THRESHOLD
    """From which probability on a model says positive; the lexicon's scores are none, and keep the usual one."""

    def _threshold(self, name: str) -> float:
        return THRESHOLD if name == LEXICON else self.threshold

    def _right(self, name: str) -> Flags:
        right: Flags = (self.models[name] >= self._threshold(name)) == (self.labels == 1)
        return right

    def metrics(self) -> dict[str, Metrics]:
        """The scores of each model."""
        return {name: measure(self.labels, said, self._threshold(name)) for name, said in self.models.items()}

    def differences_from(self, chosen: str) -> dict[str, PairedDifference]:
        """The accuracy of one model less that of each of the others, corrected for their number."""
        others = [name for name in self.models if name != chosen]
        gaps = paired_differences(self._right(chosen), [self._right(name) for name in others])
        return dict(zip(others, gaps, strict=True))

    def warnings(self, names: tuple[str, str]) -> list[str]:
        """What should be known of models that say the same of all tweets.

        Args:
            names: of the negative and the positive label.
        """
        found = []
        for name, probabilities in self.models.items():
            said = np.unique(probabilities >= self._threshold(name))
            if len(said) == 1 and len(self.labels) > 1:
                found.append(
                    f"warning: the {name} says {names[int(said[0])]!r} of all {len(self.labels):,} {self.what}"
                )
        return found


def own_scores_of_seeds(run_dirs: Sequence[RunDir], part: Part, name: str) -> NamedScores | None:
    """The same of the first of several seeds, with the mean of all their networks beside it.

    Args:
        name: of the mean.

    Raises:
        RunDirError: as `own_scores`, or the seeds were not tested on the same tweets.
    """
    found = [own_scores(run_dir, part) for run_dir in run_dirs]
    first = found[0]
    if first is None:
        return None
    networks = []
    for scores, run_dir in zip(found, run_dirs, strict=True):
        if scores is None or not np.array_equal(scores.labels, first.labels):
            raise RunDirError(f"{run_dir.path}: was tested on other tweets than {run_dirs[0].path}")
        networks.append(scores.models[NETWORK])
    models = first.models if len(networks) == 1 else first.models | {name: np.mean(networks, axis=0)}
    return NamedScores(first.labels, models, first.what)


def own_scores(run_dir: RunDir, part: Part) -> NamedScores | None:
    """What a completed run said of a part of its own data, beside its baselines; None if it has no such part.

    Raises:
        RunDirError: its predictions are missing or damaged.
    """
    import pyarrow as pa
    import pyarrow.compute as pc
    import pyarrow.parquet as pq

    path = run_dir.predictions_file
    check_file(path, read_whole(run_dir).result)
    try:
        table = pq.read_table(path)
        table = table.filter(pc.equal(table["part"].cast(pa.string()), part))
        labels = table["label"].cast(pa.int8()).to_numpy().astype(np.int64)
        columns: dict[str, Any] = {
            name: table[name].to_numpy().astype(np.float64)
            for name in ("score", "baseline", "both", "lexicon")
            if name in table.column_names
        }
        models = {NETWORK: columns["score"], BASELINE: columns["baseline"], BOTH: columns["both"]}
    except (OSError, pa.ArrowException, KeyError, ValueError, TypeError) as error:
        raise RunDirError(f"{path}: cannot be read: {error}") from None
    if not len(labels):
        return None
    if not np.isin(labels, (0, 1)).all() or not all(((one >= 0) & (one <= 1)).all() for one in columns.values()):
        raise RunDirError(f"{path}: is damaged: a label or a probability is none")
    lexicon = {LEXICON: columns["lexicon"]} if "lexicon" in columns else {}
    return NamedScores(labels, models | lexicon, f"{part} tweets")


EXAMPLE = "what a lovely day"
"""A tweet that is shown how to use a model with; those that `make run` trains have it right."""

# Data sets of the lexicon's authors, on which it is no fair reference.
_LEXICON_AUTHORS = ("vader", "sample")
FEW_TWEETS = 100
"""Fewer validation tweets cannot tell good models from others."""

# Fewer test tweets leave the accuracy uncertain by more than two points.
_FEW_TESTED = 1_000


def result_table(result: Result, chosen: str | None = None) -> Table:
    """The scores of a run, of its baselines and of its mean with the linear one, for each part.

    Args:
        chosen: the model that is emphasised; None is the one that the result recommends.
    """
    chosen = chosen or MODEL_NAMES[result.recommended]
    table = _score_table()
    for part in result.parts:
        metrics = result.metrics[part]
        table.add_row(f"{part}, {metrics.n:,} tweets", style="italic")
        rows = {NETWORK: metrics, BASELINE: result.baseline[part], BOTH: result.combination[part]}
        _add_rows(table, rows | {LEXICON: result.lexicon[part]}, chosen)
    return table


def scores_table(name: str, scores: "NamedScores", chosen: str) -> Table:
    """The scores of several models on a file; that of the chosen one is emphasised."""
    table = _score_table()
    table.add_row(f"{escape(visible(name))}, {len(scores.labels):,} tweets", style="italic")
    _add_rows(table, scores.metrics(), chosen)
    return table


def _add_rows(table: Table, rows: dict[str, Metrics], chosen: str) -> None:
    for name, metrics in rows.items():
        shown = _scores(metrics)
        if name == LEXICON:  # its scores are no probabilities
            shown[0] = "-"
        table.add_row(f"  {name}", *shown, style="bold" if name == chosen else "")


def difference_lines(scores: "NamedScores", chosen: str) -> list[str]:
    """By how much the chosen model is more accurate than each of the others."""
    lines = [
        f"{chosen} less the others, on {len(scores.labels):,} tweets: points of accuracy of these trained models, "
        "exact McNemar tests, corrected for their number"
    ]
    for name, gap in scores.differences_from(chosen).items():
        interval = f"{100 * gap.low:+.1f} to {100 * gap.high:+.1f}"
        lines.append(f"  {name:<17} {100 * gap.value:+5.1f}  (95 % interval {interval}, adjusted p = {gap.p:.2g})")
    return lines


def check_table(check_list: dict[str, dict[str, CheckScore]], chosen: str) -> Table:
    """The check list by capability: of how many sentences each model is right; the chosen model is emphasised.

    Args:
        check_list: as in the result of a run.
    """
    tallies = {name: check_list[name] for name in MEASURED_MODELS}
    table = Table(box=None, pad_edge=False, header_style="bold")
    table.add_column("check list")
    for name in tallies:
        table.add_column(name, justify="right", style="bold" if name == chosen else "")
    for capability in next(iter(tallies.values())):
        table.add_row(f"  {capability}", *(f"{of[capability].right} of {of[capability].of}" for of in tallies.values()))
    totals = [total(of) for of in tallies.values()]
    table.add_row("  all", *(f"{one.right} of {one.of}" for one in totals), style="italic")
    return table


def _score_table() -> Table:
    table = Table(box=None, pad_edge=False, header_style="bold")
    table.add_column("")
    for name in ("loss", "accuracy", "(95 %)", "precision", "recall", "F1"):
        table.add_column(name, justify="right", no_wrap=True)
    return table


def _scores(metrics: Metrics) -> list[str]:
    interval = f"{metrics.accuracy_low:.3f}-{metrics.accuracy_high:.3f}"
    scores = (metrics.precision, metrics.recall, metrics.f1)
    return [f"{metrics.loss:.3f}", f"{metrics.accuracy:.3f}", interval, *(f"{score:.3f}" for score in scores)]


def weighted_tokens(tokens: list[str], weights: list[float]) -> Text:
    """A tweet's tokens, brighter with more attention; the strongest are followed by their weight in per cent."""
    text = Text()
    largest = max(weights)
    for token, weight in zip(tokens, weights, strict=True):
        share = weight / largest
        style = f"on rgb({int(60 + 195 * share)},{int(60 + 80 * share)},40) " + ("black" if share > 0.5 else "white")
        text.append(visible(token), style=style if OUT.is_terminal else "")
        text.append(f" ({weight:.0%}) " if share > 0.5 or not OUT.is_terminal else " ")
    return text


def show_result(run_dir: RunDir) -> None:
    """Print the result of a completed run, and how to use its model.

    Raises:
        RunDirError: a file of it is missing or damaged.
    """
    result = run_dir.read_result()
    if result is None:
        return
    OUT.print()
    OUT.print(result_table(result))
    if result.elmo and result.elmo.random:
        say(f"\nELMo model {result.elmo.model!r}: random weights, so that these scores say nothing about ELMo")
    for line in reference_lines(run_dir, result):
        say(line)
    if (test := result.metrics["test"]).n < _FEW_TESTED:
        half = 50 * (test.accuracy_high - test.accuracy_low)
        say(
            f"\nby {test.n:,} test tweets accuracy is known to \u00b1 {half:.1f} points: what lies closer can't be "
            "told apart;\nto test on all tweets, run folds: data.folds=5 with data.fold from 1 to 5, as grid vader does"
        )
    place = quote(str(run_dir.path))
    checked = result.check_list[MODEL_NAMES[result.recommended]]
    worst = min(checked, key=lambda name: checked[name].right / checked[name].of)
    say(
        f"\ncheck list: {total(checked).right} of {total(checked).of} short sentences right, fewest of {worst!r} "
        f"({checked[worst].right} of {checked[worst].of}); all: {_python()} -m sentiment evaluate {place}"
    )
    say(
        f"\nbest epoch {result.best_epoch} of {result.epochs} ({result.stopped_by}), {result.parameters:,} parameters, "
        f"{result.seconds_trained:.1f} s\n{result.overfit.verdict}\n"
        f"\nrun directory  {run_dir.path}\n"
        f'use the model  {_python()} -m sentiment predict {place} "{EXAMPLE}"\n'
        f"hand it on     {_python()} -m sentiment export {place} model.zip\n"
        f"all runs       {_report()} build --results {quote(str(run_dir.path.parents[2]))}\n"
        f"\n{_sentence(result)}"
    )


def _sentence(result: Result) -> str:
    """What matters of a result: how often the model that predicts is right, and whether the net was worth it."""
    scores = {NETWORK: result.metrics, BASELINE: result.baseline, BOTH: result.combination}
    chosen = MODEL_NAMES[result.recommended]
    test = scores[chosen]["test"]
    return (
        f"of {test.n:,} test tweets the {chosen} has {test.accuracy:.1%} right "
        f"({test.accuracy_low:.1%} to {test.accuracy_high:.1%})"
    )


def reference_lines(run_dir: RunDir, result: Result) -> list[str]:
    """What should be known before anything is concluded from a completed run's table of scores.

    Raises:
        RunDirError: its predictions are missing or damaged.
    """

    config, validation = run_dir.read_config(), own_scores(run_dir, "validation")
    lines = validation.warnings(config.data.label_names) if validation else []
    if config.data.source in _LEXICON_AUTHORS:
        lines.append("These tweets were collected and rated by the authors of VADER's lexicon, for it.")
    n = result.metrics["validation"].n
    if n < FEW_TWEETS:
        lines.append(f"warning: {n} validation tweets are too few to choose a model or an epoch by")
    lines.append(f"most accurate on validation tweets, and used by predict: {MODEL_NAMES[result.recommended]}")
    return ["", *lines]


def _report() -> str:
    """What starts the report: `python -m report` works where the folder lies beside this package, as in a clone."""
    return f"{_python()} -m report" if shipped_folder("report").parent == ROOT else "sentiment-report"


def _python() -> str:
    """The path of this interpreter, relative to the working directory if it is inside."""
    python, here = Path(sys.executable), Path.cwd()
    return str(python.relative_to(here) if python.is_relative_to(here) else python)


_BLOCK = 1 << 16
_COLOURS = ("red", "green")
_Row = tuple[str, float | None, str]


def lines_at_once(stream: io.BufferedReader) -> Iterator[list[str]]:
    """A text for each line: together those that can be read without waiting, so that each is answered at once.

    Blank lines keep their place, and bytes that are no UTF-8 are shown as such.
    """
    rest = b""
    while block := stream.read1(_BLOCK):
        *lines, rest = (rest + block).split(b"\n")
        yield [line.decode("utf-8", "replace").rstrip("\r") for line in lines]
    if rest:
        yield [rest.decode("utf-8", "replace").rstrip("\r")]


def show_answers(model: TextModel, chunks: Iterable[list[str]], form: str, why: str, threshold: float) -> None:
    """Print the label of each text and how probable it is, in their order.

    Args:
        chunks: texts that are read together.
        form: `text` is aligned, with the attention weights of tokens if there are any; `csv` and `jsonl` have the
            columns label, probability and text.
        why: why this model predicts; only said in `text`.
        threshold: the label is positive from this probability on.
    """
    if form == "text":
        _show_aligned(model, chain.from_iterable(chunks), why, threshold)
        return
    if form == "csv":
        typer.echo("label,probability,text")
    write = _as_csv if form == "csv" else _as_json
    for row in _answers(model, chunks, threshold):
        typer.echo(write(row))


def _answers(model: TextModel, chunks: Iterable[list[str]], threshold: float) -> Iterator[_Row]:
    """Label (empty if the model knows no word), its probability, and the text."""
    names = model.config.data.label_names
    for chunk in chunks:
        reading = model.read(chunk)
        for text, score, usable in zip(chunk, reading.probabilities.tolist(), reading.usable.tolist(), strict=True):
            yield (*answer(score, names, threshold), text) if usable else ("", None, text)


def _as_csv(row: _Row) -> str:
    label, probability, text = row
    line = io.StringIO()
    csv.writer(line, lineterminator="").writerow([*answer_fields(label, probability), text])
    return line.getvalue()


def _as_json(row: _Row) -> str:
    label, probability, text = row
    rounded = None if probability is None else round(probability, 6)
    return json.dumps({"label": label or None, "probability": rounded, "text": text}, ensure_ascii=False)


def _show_aligned(model: TextModel, texts: Iterable[str], why: str, threshold: float) -> None:
    names = model.config.data.label_names
    width = max(len("label"), *(len(visible(name)) for name in names))
    say(f"by the {model.name} ({why})")
    say(f"{'label':<{width}}  probability  tweet")
    for text in texts:
        said = model.predict(text)
        if not said.usable:
            say(f"{'-':<{width}}  {'-':>11}  {visible(text)}  ({NO_WORDS})")
            continue
        label, share = answer(said.probability, names, threshold)
        line = f"{visible(label):<{width}}  {100 * share:>9.1f} %  {visible(text)}"
        OUT.print(printable(line), style=_COLOURS[said.probability >= threshold], markup=False, soft_wrap=True)
        if said.attention is not None:
            OUT.print("  ", weighted_tokens(said.tokens, said.attention))
