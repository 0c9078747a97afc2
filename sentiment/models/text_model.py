"""What all models do with texts: read them, rate words by a lexicon, calibrate, answer a check list. Loads no torch.

Lexicons: AFINN's values with negation are features of the baseline, and of networks; VADER's is a model that no run
trains.

Calibration (Guo et al. 2017): the log-odds of a model's probabilities are divided by a temperature that is fitted on
the validation tweets. They keep their sign, so that no label changes at the threshold. The mean of both is that of
calibrated probabilities, and has a temperature of its own, below 1: two calibrated models that agree are right more
often than the mean of their probabilities says. It has 95.5 % of VADER's right (five folds, two seeds), and the mean of
raw probabilities 94.9 %.

The check list: short sentences of which anybody knows the label, by what they ask of a model, as in CheckList (Ribeiro
et al. 2020). They show what a model can do at all, and choose nothing.
"""

import csv
import re
import unicodedata
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import cache
from importlib.metadata import distribution
from importlib.resources import files
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
from scipy.special import expit, logit

from sentiment.config import RunConfig
from sentiment.console import Progress, silent, visible
from sentiment.data.corpus import Corpus
from sentiment.data.text import FROWN, SMILE, TokenRows
from sentiment.errors import RunDirError, UsageError
from sentiment.runs.records import BOTH, LEXICON, THRESHOLD, CheckScore, ModelChoice
from sentiment.runs.run_dir import TWEETS_FILE

Probabilities = npt.NDArray[np.float64]
Flags = npt.NDArray[np.bool_]
Answer = tuple[str, float]  # a label, and how probable it is


class Predictions(NamedTuple):
    """What a model says of several texts."""

    probabilities: Probabilities  # (n,), of positive sentiment
    usable: Flags  # (n,), False where the model knows nothing of a text

    @classmethod
    def joined(cls, parts: Sequence["Predictions"]) -> "Predictions":
        return cls(*map(np.concatenate, zip(*parts, strict=True)))

    def answers(self, names: tuple[str, str], threshold: float = THRESHOLD) -> Iterator[Answer | None]:
        """The label of each text and how probable it is; None where the model knows nothing.

        From the threshold on it is the second of the `names`, the positive one.
        """
        positive = self.probabilities >= checked_threshold(threshold)
        said = zip(positive.tolist(), self.probabilities.tolist(), self.usable.tolist(), strict=True)
        for yes, share, usable in said:
            yield (names[yes], share if yes else 1 - share) if usable else None


def checked_threshold(value: float) -> float:
    """A threshold that somebody chose; a UsageError says that it is no probability."""
    if not 0 <= value <= 1:  # NaN is neither
        raise UsageError(f"threshold {value}: is compared with probabilities; valid is 0 to 1")
    return value


class TextModel:
    """Classifies texts: a network, a baseline, a lexicon, or a mean of several."""

    name: str
    config: RunConfig  # of its run
    tokenize: Callable[[str], list[str]]
    sequential = False  # uses all cores by itself, so that nothing is gained by reading several lots at once

    def classify(self, rows: TokenRows) -> Predictions:
        """Classify tokenised texts; no prediction depends on the other texts."""
        raise NotImplementedError

    def classify_texts(self, texts: Sequence[str]) -> Predictions:
        return self.classify(TokenRows.of_tweets(map(self.tokenize, texts)))

    def attention(self, tokens: list[str]) -> list[float] | None:  # noqa: ARG002
        """The weight of each token, with sum 1; None for models without attention."""
        return None


class MeanModel(TextModel):
    """The calibrated mean of a network's probabilities and the baseline's; it knows what either of them knows."""

    name = BOTH

    def __init__(self, network: TextModel, baseline: TextModel, temperature: float) -> None:
        self._members, self._temperature = (network, baseline), temperature
        self.config, self.tokenize, self.sequential = network.config, network.tokenize, network.sequential

    def classify(self, rows: TokenRows) -> Predictions:
        said = [member.classify(rows) for member in self._members]
        mean = np.mean([one.probabilities for one in said], axis=0)
        return Predictions(calibrated(mean, self._temperature), np.any([one.usable for one in said], axis=0))

    def attention(self, tokens: list[str]) -> list[float] | None:
        return self._members[0].attention(tokens)


def check_arrays(place: str, found: Mapping[str, Any], wanted: Mapping[str, str]) -> None:
    """Refuse arrays or tensors that are not what a model needs, as `described`: the file may be made by hand.

    A RunDirError says which is missing, unknown, of another type or shape, or not finite.
    """
    for name in sorted(wanted.keys() | found.keys()):
        shown = visible(name)[:100]
        stored = described(found[name]) if name in found else "missing"
        expected = wanted.get(name, "nothing of this name")
        if stored != expected:
            raise RunDirError(f"{place}: holds no such model: {shown} is {stored}, expected is {expected}")
        if not np.isfinite(np.asarray(found[name])).all():
            raise RunDirError(f"{place}: holds weights that are not finite (in {shown})")


def described(array: Any) -> str:
    """The type and the shape of an array or tensor, such as `float32 (3, 4)`."""
    return f"{str(array.dtype).removeprefix('torch.')} {tuple(array.shape)}"


# Bounded sums of the values of all words, of the positive and of the negative ones; whether there is a negation.
FEATURES = ("all", "positive", "negative", "negation")

_REACH = 3
_TURNED = -0.74
_BEFORE_BUT = 0.5
_BOUND = 15.0
_SCALE = 2.0
_NEGATION = re.compile(
    r".*n't|not?|never|none|nobody|nothing|neither|nor|nowhere|without|hardly|barely|can(no)?t|aint|"
    r"(do|does|did|is|was|are|were|has|have|had|wo|would|could|should)nt",
    re.IGNORECASE,
)
_ENDS_CLAUSE = re.compile(r"[.,;:!?]+|but")
_STRETCHED = re.compile(r"(.)\1{2,}")


def polarity(rows: TokenRows) -> npt.NDArray[np.float32]:
    """`FEATURES` of each tweet, of shape (rows, 4)."""
    values, negates, owners = _in_context(rows)
    sums = [np.bincount(owners, part, rows.size) for part in (values, np.maximum(values, 0), np.minimum(values, 0))]
    columns = [*(one / np.sqrt(one**2 + _BOUND) for one in sums), np.bincount(owners, negates, rows.size) > 0]
    return np.stack(columns, axis=1).astype(np.float32)


def token_polarity(rows: TokenRows) -> npt.NDArray[np.float32]:
    """How positive each token is in its tweet, mostly from -2 to 2: for networks. Shape (tokens,)."""
    return (_in_context(rows)[0] / _SCALE).astype(np.float32)


def _in_context(rows: TokenRows) -> tuple[npt.NDArray[np.float64], Flags, npt.NDArray[np.int64]]:
    """Of each token its value in its tweet, whether it is a negation, and the tweet's row; all of shape (tokens,)."""
    ids, owners = np.asarray(rows.token_ids), np.repeat(np.arange(rows.size), np.diff(rows.offsets))

    def where(holds: Callable[[str], object]) -> Flags:
        return np.array([bool(holds(one)) for one in rows.types], bool)[ids]

    negates, ends = where(_NEGATION.fullmatch), where(_ENDS_CLAUSE.fullmatch)
    values = np.where(negates, 0.0, np.array([value_of(one) for one in rows.types], np.float64)[ids])
    turned, reached = np.zeros(len(ids), bool), negates
    for _ in range(_REACH):  # a negation reaches the next token of its tweet, unless that ends the clause
        following = np.zeros(len(ids), bool)
        following[1:] = reached[:-1] & (owners[1:] == owners[:-1]) & ~ends[1:]
        turned, reached = turned | following, following
    values[turned] *= _TURNED
    contrasts = np.flatnonzero(where("but".__eq__))
    last = np.full(rows.size, -1)
    last[owners[contrasts]] = contrasts  # of several in a tweet the last one stays
    values[np.arange(len(ids)) < last[owners]] *= _BEFORE_BUT
    return values, negates, owners


@cache
def value_of(token: str) -> float:
    """How positive a token is, from -5 to 5; 0 if nobody rated it.

    A word that was stretched counts as it is spelt, an emoji as the words of its name in Unicode.
    """
    values = _word_values()
    for spelling in (token, token.lower(), _STRETCHED.sub(r"\1\1", token), _STRETCHED.sub(r"\1", token)):
        if spelling in values:
            return values[spelling]
    if len(token) > 2 or token.isascii():  # an emoji may have a sign behind it that says how to draw it
        return 0.0
    words = re.split("[ -]", " ".join(unicodedata.name(one, "").lower() for one in token))
    return max(-5.0, min(5.0, sum(values.get(word, 0.0) for word in words)))


@cache
def _word_values() -> dict[str, float]:
    package = distribution("afinn")  # its lists are read, and none of its code is run
    paths = (package.locate_file(f"afinn/data/AFINN-{name}.txt") for name in ("en-165", "emoticon-8"))
    texts = (Path(str(path)).read_text(encoding="utf-8") for path in paths)
    pairs = (line.rsplit("\t", 1) for text in texts for line in text.splitlines())
    rated = {word: float(value) for word, value in pairs}
    return rated | {SMILE: rated[":)"], FROWN: rated[":("]}


class LexiconModel(TextModel):
    """Classifies texts by VADER's lexicon as they are, uncleaned."""

    name = LEXICON

    def __init__(self, config: RunConfig) -> None:
        self.config, self.tokenize = config, str.split

    def classify(self, rows: TokenRows) -> Predictions:
        texts = [" ".join(tokens) for tokens in rows]  # VADER too splits texts at white space
        return Predictions(lexicon_scores(texts), np.array(texts, object) != "")


def lexicon_scores(texts: Iterable[str]) -> Probabilities:
    """The compound score of each text, (texts,), from [-1, 1] to [0, 1]: on the scale of probabilities, but none."""
    return np.array([(1 + _analyzer().polarity_scores(text)["compound"]) / 2 for text in texts], np.float64)


@cache
def _analyzer() -> Any:
    from vaderSentiment.vaderSentiment import SentimentIntensityAnalyzer

    return SentimentIntensityAnalyzer()


_CHUNK = 1000


def rate_rows(corpus: Corpus, rows: npt.NDArray[np.int64], progress: Progress = silent) -> npt.NDArray[np.float32]:
    """The scores of those rows of a corpus, NaN elsewhere, of shape (rows of the corpus,)."""
    import pyarrow.parquet as pq

    texts = pq.read_table(corpus.path / TWEETS_FILE, columns=["text"])["text"]
    scores = np.full(len(corpus.labels), np.nan, np.float32)
    for first in range(0, len(rows), _CHUNK):
        progress("rating tweets by VADER's lexicon", first, len(rows))
        some = rows[first : first + _CHUNK]
        scores[some] = lexicon_scores(texts[row].as_py() for row in some)
    return scores


_SMALLEST = 1e-12


def fit_temperature(labels: npt.NDArray[np.integer], probabilities: Probabilities) -> float:
    """The temperature with the lowest log loss, between 0.05 and 20.

    A label counts as Platt (1999) has it, as (n + 1) / (n + 2) with n tweets of its class and not as 1: where all
    validation tweets are right, the loss would otherwise have no minimum.
    """
    from scipy.optimize import minimize_scalar

    odds = logit(np.clip(probabilities, _SMALLEST, 1 - _SMALLEST))
    positive = int((labels == 1).sum())
    targets = np.where(labels == 1, (positive + 1) / (positive + 2), 1 / (len(labels) - positive + 2))
    limit = float(np.log(20))

    def loss(logarithm: float) -> float:
        said = np.clip(expit(odds / np.exp(logarithm)), _SMALLEST, 1 - _SMALLEST)
        return float(-np.mean(targets * np.log(said) + (1 - targets) * np.log1p(-said)))

    return round(float(np.exp(minimize_scalar(loss, bounds=(-limit, limit), method="bounded").x)), 4)


def calibrated(probabilities: Probabilities, temperature: float) -> Probabilities:
    """The probabilities with their log-odds divided by the temperature."""
    return np.asarray(expit(logit(probabilities) / temperature))


def fit_temperatures(
    labels: npt.NDArray[np.integer], network: Probabilities, baseline: Probabilities
) -> dict[ModelChoice, float]:
    """The temperatures of a run's models, from what network and baseline say of validation tweets."""
    of_network, of_baseline = fit_temperature(labels, network), fit_temperature(labels, baseline)
    mean = (calibrated(network, of_network) + calibrated(baseline, of_baseline)) / 2
    return {"network": of_network, "baseline": of_baseline, "both": fit_temperature(labels, mean)}


def calibrate_all(
    network: Probabilities, baseline: Probabilities, temperatures: Mapping[ModelChoice, float]
) -> dict[ModelChoice, Probabilities]:
    """The calibrated probabilities of each model of a run, from the raw ones of its network and its baseline."""
    network, baseline = calibrated(network, temperatures["network"]), calibrated(baseline, temperatures["baseline"])
    both = calibrated((network + baseline) / 2, temperatures["both"])
    return {"network": network, "baseline": baseline, "both": both}


class Check(NamedTuple):
    """One sentence of the check list."""

    capability: str
    text: str
    positive: bool


@cache
def checks() -> tuple[Check, ...]:
    text = files("sentiment.models").joinpath("check_list.csv").read_text(encoding="utf-8")
    rows = csv.DictReader(text.splitlines())
    return tuple(Check(row["capability"], row["text"], row["label"] == "positive") for row in rows)


def answer_checks(model: TextModel) -> dict[str, CheckScore]:
    """How a model does by capability; a sentence of which it knows no word is not right."""
    said = model.classify_texts([one.text for one in checks()])
    positive = (said.probabilities >= THRESHOLD).tolist()
    found = zip(checks(), positive, said.usable.tolist(), strict=True)
    right = Counter(one.capability for one, positive, usable in found if usable and positive == one.positive)
    return {name: CheckScore(right[name], of) for name, of in Counter(one.capability for one in checks()).items()}


def total(tallies: Mapping[str, CheckScore]) -> CheckScore:
    return CheckScore(sum(one.right for one in tallies.values()), sum(one.of for one in tallies.values()))
