"""How scores and answers look on a terminal; loads no torch, which predicting may do without."""

import csv
import io
import json
from collections.abc import Iterable, Iterator, Mapping

import typer
from rich.markup import escape
from rich.table import Table

from sentiment.console import OUT, printable, say, visible
from sentiment.inference.predict import ADDED, NO_WORDS, answer_fields, answer_values, explain
from sentiment.models.text_model import Answer, TextModel, total
from sentiment.runs.records import MEASURED_MODELS, MODEL_NAMES, POSITIVE, CheckScore, Metrics


def score_table(parts: Mapping[str, Mapping[str, Metrics]], chosen: str) -> Table:
    """The scores of models by part or file; those of the chosen model are emphasised."""
    table = Table(box=None, pad_edge=False, header_style="bold")
    table.add_column("")
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
    table = Table(box=None, pad_edge=False, header_style="bold")
    table.add_column("check list")
    for name in MEASURED_MODELS:
        table.add_column(name, justify="right", style="bold" if name == chosen else "")
    tallies = [check_list[name] for name in MEASURED_MODELS]
    for capability in tallies[0]:
        table.add_row(f"  {capability}", *(f"{of[capability].right} of {of[capability].of}" for of in tallies))
    table.add_row("  all", *(f"{one.right} of {one.of}" for one in map(total, tallies)), style="italic")
    return table


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


def show_answers(
    model: TextModel, chunks: Iterable[list[str]], form: str, why: str, threshold: float, explained: bool = False
) -> None:
    """Print the label of each text and how probable it is, in their order.

    Args:
        chunks: texts that are read together.
        form: `text` is aligned, with the attention weights of tokens if there are any, and says `why` this model
            predicts; `csv` and `jsonl` have the columns label, probability and text.
        threshold: the label is positive from this probability on.
        explained: without attention, `text` shows what leaving each token out would change.
    """
    width = max(len("label"), *(len(visible(name)) for name in model.config.data.label_names))
    if form == "csv":
        typer.echo(",".join([*ADDED, "text"]))
    elif form == "text":
        say(f"by the {model.name} ({why})\n{'label':<{width}}  probability  tweet")
    for chunk in chunks:
        reading = model.read_texts(chunk)
        for text, said in zip(chunk, reading.answers(model.config.data.label_names, threshold), strict=True):
            if form == "csv":
                line = io.StringIO()
                csv.writer(line, lineterminator="").writerow([*answer_fields(said), text])
                typer.echo(line.getvalue())
            elif form == "jsonl":
                values = dict(zip(ADDED, answer_values(said), strict=True)) | {"text": text}
                typer.echo(json.dumps(values, ensure_ascii=False))
            else:
                _show_aligned(model, text, said, width)
                if said:
                    _show_weights(model, text, explained)


def _show_aligned(model: TextModel, text: str, said: Answer | None, width: int) -> None:
    if said is None:
        say(f"{'-':<{width}}  {'-':>11}  {visible(text)}  ({NO_WORDS})")
        return
    line = f"{visible(said[0]):<{width}}  {100 * said[1]:>9.1f} %  {visible(text)}"
    colour = _COLOURS[said[0] == model.config.data.label_names[POSITIVE]]
    OUT.print(printable(line), style=colour, markup=False, soft_wrap=True)


def _show_weights(model: TextModel, text: str, explained: bool) -> None:
    """The tokens; the strongest ones are followed by their weight."""
    tokens = model.tokenize(text)
    weights, form = model.attention(tokens), ".0%"
    if weights is None and explained:
        weights, form = explain(model, text).weights, "+.1f"
    if weights:
        strong = max(map(abs, weights)) / 2
        shares = (f" ({weight:{form}})" if abs(weight) > strong else "" for weight in weights)
        say("  " + " ".join(visible(token) + share for token, share in zip(tokens, shares, strict=True)))
