"""What `train` and `predict` print of a model."""

import csv
import io
import json
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path
from shlex import quote

import typer
from rich.text import Text

from sentiment.console import printable, visible
from sentiment.inference.model_card import result_of, scores_of
from sentiment.inference.output import ADDED, answer_fields, answer_values
from sentiment.inference.predict import NO_WORDS, answers
from sentiment.install_paths import ROOT, shipped_folder
from sentiment.models.check_list import total
from sentiment.models.text_model import TextModel
from sentiment.progress_bar import OUT, say
from sentiment.runs.records import MODEL_NAMES, POSITIVE, Answer
from sentiment.runs.run_dir import RunDir

EXAMPLE = "what a lovely day"
"""A tweet that is shown how to use a model with; those that `make run` trains have it right."""
_FEW_TESTED = 1_000  # fewer test tweets leave the accuracy uncertain by more than two points


def show_result(run_dir: RunDir) -> None:
    """Print the result of a completed run, and how to use its model.

    Raises:
        RunDirError: a file of it is missing or damaged.
    """
    from sentiment.inference.evaluate import remarks, score_table  # loads torch, which predicting may do without

    result = result_of(run_dir)
    chosen = MODEL_NAMES[result.recommended]
    scores, known = scores_of(result), remarks(run_dir)
    OUT.print()
    OUT.print(score_table(scores, chosen))
    if result.encoder and result.encoder.random:
        say(f"\nELMo model {result.encoder.model!r}: random weights, so that these scores say nothing about ELMo")
    say("\n".join(known))
    test = scores["test"][chosen]
    if test.n < _FEW_TESTED:
        half = 50 * (test.accuracy_high - test.accuracy_low)
        say(
            f"\nby {test.n:,} test tweets accuracy is known to \u00b1 {half:.1f} points: what lies closer can't be "
            "told apart;\nto test on all tweets, run folds: data.folds=5 with data.fold from 1 to 5, as grid vader does"
        )
    place, checked = quote(str(run_dir.path)), result.check_list[chosen]
    worst = min(checked, key=lambda name: checked[name].right / checked[name].of)
    python = Path(sys.executable)
    here = str(python.relative_to(Path.cwd()) if python.is_relative_to(Path.cwd()) else python)
    report = f"{here} -m report" if shipped_folder("report").parent == ROOT else "sentiment-report"
    say(
        f"\ncheck list: {total(checked).right} of {total(checked).of} short sentences right, fewest of {worst!r} "
        f"({checked[worst].right} of {checked[worst].of}); all: {here} -m sentiment evaluate {place}\n"
        f"\nbest epoch {result.best_epoch} of {result.epochs} ({result.stopped_by}), {result.parameters:,} parameters, "
        f"{result.seconds_trained:.1f} s\n{result.overfit.verdict}\n"
        f"\nrun directory  {run_dir.path}\n"
        f'use the model  {here} -m sentiment predict {place} "{EXAMPLE}"\n'
        f"hand it on     {here} -m sentiment export {place} model.zip\n"
        f"all runs       {report} build --results {quote(str(run_dir.path.parents[2]))}\n"
        f"\nof {test.n:,} test tweets the {chosen} has {test.accuracy:.1%} right "
        f"({test.accuracy_low:.1%} to {test.accuracy_high:.1%})"
    )


_BLOCK = 1 << 16
_COLOURS = ("red", "green")


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
    width = max(len("label"), *(len(visible(name)) for name in model.config.data.label_names))
    if form == "csv":
        typer.echo(",".join([*ADDED, "text"]))
    elif form == "text":
        say(f"by the {model.name} ({why})\n{'label':<{width}}  probability  tweet")
    for chunk in chunks:
        for text, said in zip(chunk, answers(model, model.read_texts(chunk), threshold), strict=True):
            if form == "csv":
                line = io.StringIO()
                csv.writer(line, lineterminator="").writerow([*answer_fields(said), text])
                typer.echo(line.getvalue())
            elif form == "jsonl":
                values = dict(zip(ADDED, answer_values(said), strict=True)) | {"text": text}
                typer.echo(json.dumps(values, ensure_ascii=False))
            else:
                _show_aligned(model, text, said, width)


def _show_aligned(model: TextModel, text: str, said: Answer | None, width: int) -> None:
    if said is None:
        say(f"{'-':<{width}}  {'-':>11}  {visible(text)}  ({NO_WORDS})")
        return
    line = f"{visible(said.label):<{width}}  {100 * said.probability:>9.1f} %  {visible(text)}"
    colour = _COLOURS[said.label == model.config.data.label_names[POSITIVE]]
    OUT.print(printable(line), style=colour, markup=False, soft_wrap=True)
    tokens = model.tokenize(text)
    if (weights := model.attention(tokens)) is not None:
        OUT.print("  ", weighted_tokens(tokens, weights))


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
