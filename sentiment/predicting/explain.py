"""Predictions for single texts, as they are printed, and the weights of their tokens.

Does not import torch, which the baseline does not need.
"""

import csv
import io
import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import partial
from types import SimpleNamespace
from typing import Literal

import numpy as np
import typer

from sentiment.console import OUT, printable, say, visible
from sentiment.errors import UsageError
from sentiment.files import decoded
from sentiment.models.text_model import Answer, TextModel, finite_logarithms
from sentiment.predicting.files import NO_WORDS, answer_columns, answer_values, cell_text
from sentiment.tokens import TokenRows

# The colours of the negative half of the ordered classes, of the middle class, and of the positive half.
_COLOURS = {-1: "red", 0: "yellow", 1: "green"}
_ANY_WORD = "a"
_LEGENDS = {
    "leave-one-out": "words (by how much the log-odds of the label fall without the word: + supports it), the largest",
    "attention": "words (share of the network's attention, whatever label it supports), the largest",
}
# The cost of leave-one-out is quadratic in the number of tokens; no tweet has this many.
_MAX_TOKENS = 1_000


@dataclass(frozen=True)
class Explanation:
    """A prediction and the weight of each token; iterating gives pairs (token, weight), in the order of the text.

    Attributes:
        label: empty if the model knows no word of the text; `probability` is NaN then.
        kind: `attention`: the attention weight of each token, averaged over the hops (Lin et al. 2017), with sum 1;
            attention shows where the network looks, not which label a token supports. `leave-one-out`: the drop in the
            log-odds of the predicted class against all others when the token is removed, so positive numbers support
            the prediction.
    """

    label: str
    probability: float
    tokens: list[str]
    weights: list[float]
    kind: Literal["attention", "leave-one-out"]

    def __iter__(self) -> Iterator[tuple[str, float]]:
        return iter(zip(self.tokens, self.weights, strict=True))


def explain(model: TextModel, text: str) -> Explanation:
    """Predict one text and weigh its tokens: by attention if the model has any, else by leaving each of them out.

    Raises:
        UsageError: the text has too many tokens for leave-one-out.
    """
    (answer,) = model.answers(model.classify_texts([text]))
    label, probability, _ = answer or Answer("", np.nan, [])
    tokens = model.tokenize(text)
    attention = model.attention(tokens)
    if attention is not None:
        return Explanation(label, probability, tokens, attention, "attention")
    if len(tokens) > _MAX_TOKENS:
        raise UsageError(f"a text of {len(tokens):,} tokens: at most {_MAX_TOKENS:,} can be left out one by one")
    leave_one_out = [tokens[:index] + tokens[index + 1 :] for index in range(len(tokens))]
    probabilities = model.classify(TokenRows.of_tweets([tokens, *leave_one_out])).probabilities
    predicted = model.config.data.label_names.index(label) if label else int(probabilities[0].argmax())
    chosen = probabilities[:, predicted]
    log_odds = finite_logarithms(chosen) - finite_logarithms(1 - chosen)
    weights = (log_odds[0] - log_odds[1:]).tolist()
    return Explanation(label, probability, tokens, weights, "leave-one-out")


def read_available_lines(stream: io.BufferedReader) -> Iterator[list[str]]:
    """Yield lists of lines: all lines available without blocking, so that interactive input is answered immediately.

    Blank lines are kept; a line that is not UTF-8 is read as Windows-1252, as a line of a file is.
    """
    rest = b""
    while block := stream.read1(1 << 16):
        *lines, rest = (rest + block).split(b"\n")
        yield [decoded(line.decode("utf-8", "surrogateescape")).rstrip("\r") for line in lines]
    if rest:
        yield [decoded(rest.decode("utf-8", "surrogateescape")).rstrip("\r")]


def show_predictions(
    model: TextModel,
    chunks: Iterable[list[str]],
    output_format: str,
    explained: bool = False,
    all_classes: bool = False,
) -> None:
    """Print the predicted label of each text and its probability, in the order of the texts.

    Args:
        chunks: lists of texts, each classified as one batch.
        output_format: `text` is aligned, with the attention weights of tokens if there are any; `csv` and `jsonl` have
            the columns of the answer, and the text.
        explained: `text` shows leave-one-out weights if the model has no attention.
        all_classes: whether the probability of each class is shown.
    """
    columns = [*answer_columns(model, all_classes), "text"]
    write = csv.writer(SimpleNamespace(write=partial(typer.echo, nl=False)), lineterminator="\n").writerow
    if output_format == "csv":
        write(columns)
    elif output_format == "text":
        say(f"by the {model.name} ({model.reason})\n{'label':<{_label_width(model)}}  probability  tweet")
        if explained:
            say(f"  {_LEGENDS[explain(model, _ANY_WORD).kind]}")
    for chunk in chunks:
        predictions = model.classify_texts(chunk)
        for text, answer in zip(chunk, model.answers(predictions), strict=True):
            values = [*answer_values(answer, len(columns) - 1), text]
            if output_format == "csv":
                write([*map(cell_text, values)])
            elif output_format == "jsonl":
                typer.echo(json.dumps(dict(zip(columns, values, strict=True)), ensure_ascii=False))
            else:
                _show_aligned(model, text, answer)
                if all_classes and answer:
                    _show_classes(model, answer)
                if answer:
                    _show_weights(model, text, explained)


def _label_width(model: TextModel) -> int:
    return max(len("label"), *(len(visible(name)) for name in model.config.data.label_names))


def _show_aligned(model: TextModel, text: str, answer: Answer | None) -> None:
    width = _label_width(model)
    if answer is None:
        say(f"{'-':<{width}}  {'-':>11}  {visible(text)}  ({NO_WORDS})")
        return
    line = f"{visible(answer.label):<{width}}  {100 * answer.probability:>9.1f} %  {visible(text)}"
    names = model.config.data.label_names
    side = 2 * names.index(answer.label) - (len(names) - 1)
    OUT.print(printable(line), style=_COLOURS[int(np.sign(side))], markup=False, soft_wrap=True)


def _show_classes(model: TextModel, answer: Answer) -> None:
    pairs = zip(model.config.data.label_names, answer.probabilities, strict=True)
    say("  " + ", ".join(f"{visible(name)} {100 * probability:.1f} %" for name, probability in pairs))


def _show_weights(model: TextModel, text: str, explained: bool) -> None:
    """A text's words, the largest weights behind them: of attention if the model has any, else those that explain."""
    tokens = model.tokenize(text)
    weights = model.attention(tokens)
    number_format = ".0%"
    if weights is None and explained:
        weights = explain(model, text).weights
        number_format = "+.1f"
    if not weights:
        return
    strong = max(map(abs, weights)) / 2
    words = []
    for token, weight in zip(tokens, weights, strict=True):
        shown = f" ({weight:{number_format}})" if abs(weight) > strong else ""
        words.append(visible(token) + shown)
    say("  " + " ".join(words))
