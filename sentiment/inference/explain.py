"""What a model does with a tweet: its tokens, its probability, and what each token adds."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import numpy as np
import numpy.typing as npt

from sentiment.data.text import TokenRows
from sentiment.errors import UsageError
from sentiment.runs.records import answer

if TYPE_CHECKING:
    from sentiment.models.text_model import TextModel

_SMALLEST = 1e-12
# Leaving out each of n tokens reads n texts of n - 1 tokens; no tweet has as many.
_MOST_TOKENS = 1_000


@dataclass(frozen=True)
class Explanation:
    """A prediction and the weight of each token; iterating gives pairs of the two, in the order of the text.

    Attributes:
        label: empty if the model knows no word of the text.
        probability: of the label.
        kind: `attention`: how much the network looks at each token, averaged over its hops (Lin et al. 2017), with sum
            1. It says where the network looked, not for what. `left out`: by how much the log-odds of the positive
            label fall if the token is left out, so that positive numbers speak for the positive label.
    """

    label: str
    probability: float
    tokens: list[str]
    weights: list[float]
    kind: Literal["attention", "left out"]

    def __iter__(self) -> Iterator[tuple[str, float]]:
        return iter(zip(self.tokens, self.weights, strict=True))

    def strongest(self, count: int = 5) -> list[tuple[str, float]]:
        """The tokens with the largest weights of either sign, the largest first."""
        return sorted(self, key=lambda pair: -abs(pair[1]))[:count]


def explain(model: "TextModel", text: str) -> Explanation:
    """Predict one text and weigh its tokens: by attention if the model has any, else by leaving each of them out.

    Raises:
        UsageError: the model has no attention, and the text has more than 1,000 tokens.
    """
    (score,), (usable,) = model.read_texts([text])
    label, probability = answer(float(score), model.config.data.label_names)
    tokens = model.tokenize(text)
    if (attention := model.attention(tokens)) is not None:
        return Explanation(label if usable else "", probability, tokens, attention, "attention")
    if len(tokens) > _MOST_TOKENS:
        raise UsageError(f"a text of {len(tokens):,} tokens: at most {_MOST_TOKENS:,} can be left out one by one")
    weights = left_out(tokens, lambda tweets: model.read(TokenRows.of_tweets(tweets)).probabilities)
    return Explanation(label if usable else "", probability, tokens, weights, "left out")


def left_out(tokens: list[str], probabilities: Callable[[Sequence[list[str]]], npt.NDArray[np.float64]]) -> list[float]:
    """By how much the log-odds of the positive label fall if each token is left out.

    Args:
        probabilities: the probability of the positive label of tokenised texts, shape (texts,).
    """
    from scipy.special import logit

    without = [[*tokens[:place], *tokens[place + 1 :]] for place in range(len(tokens))]
    odds = logit(np.clip(probabilities([tokens, *without]), _SMALLEST, 1 - _SMALLEST))
    return (odds[0] - odds[1:]).tolist()  # type: ignore[no-any-return]
