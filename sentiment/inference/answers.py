"""Predictions for a few texts or a stream of them, printed for people or for programs."""

import csv
import io
import json
from collections.abc import Iterable, Iterator
from itertools import chain

import typer

from sentiment.characters import printable, visible
from sentiment.inference.terminal import weighted_tokens
from sentiment.inference.written_rows import NO_WORDS, answer_fields
from sentiment.models.text_model import TextModel
from sentiment.progress_bar import OUT, say
from sentiment.records import answer

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
