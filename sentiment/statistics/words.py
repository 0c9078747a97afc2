"""Numbers and estimates in words, the same on the page, in the terminal and in a paper."""

import math
from collections.abc import Callable, Iterable

from sentiment.console import plural
from sentiment.statistics.estimate import Estimate

MINUS = "\u2212"
DASH = "\u2013"
THESE_MODELS = "for these trained models alone"


def percent(share: float) -> str:
    """`81.2`, without the % sign."""
    return f"{100 * share:.1f}"


def signed(value: float) -> str:
    """A number with its sign, a typographic minus; zero has no sign."""
    text = f"{abs(value):.1f}"
    if float(text) == 0:
        return text
    return f"+{text}" if value > 0 else f"{MINUS}{text}"


def points(share: float) -> str:
    """A difference of shares in percentage points, signed."""
    return signed(100 * share)


def bracketed(*parts: str) -> str:
    """` (these; parts)`, without those that are empty; empty if all are."""
    known = "; ".join(part for part in parts if part)
    return f" ({known})" if known else ""


def bounds(low: float | None, high: float | None, write: Callable[[float], str]) -> str:
    """`78.4-83.9`, or `+1.2 to +2.5` if the numbers are signed; empty if the interval is unknown."""
    if low is None or high is None:
        return ""
    return f"{write(low)}{DASH if write is percent else ' to '}{write(high)}"


def interval(estimate: Estimate, write: Callable[[float], str] = points) -> str:
    """`98.9 % CI +1.2 to +2.5`, with its own level; empty if it is unknown."""
    written = bounds(estimate.low, estimate.high, write)
    return f"{levels([estimate])} % CI {written}" if written else ""


def levels(estimates: Iterable[Estimate]) -> str:
    """The confidence levels in per cent: `95`, or `98.9 to 99.67` if they differ."""
    known = {estimate.level for estimate in estimates}
    return " to ".join(map(_level_in_words, dict.fromkeys([min(known), max(known)])))


def claim(difference: Estimate) -> str:
    """`+1.9 points (95 % CI +1.2 to +2.5)`."""
    return f"{points(difference.value)} points{bracketed(interval(difference))}"


def evidence(difference: Estimate) -> str:
    """` (95 % CI +2.6 to +25.7; adjusted p = 0.020)`, as far as these are known; of a comparison without seed variance
    with its caveat."""
    p = "" if difference.q is None else f"adjusted p = {p_value(difference.q)}".replace("= <", "<")
    return bracketed(interval(difference), p, THESE_MODELS if difference.is_conditional else "")


def verdict(difference: Estimate) -> str:
    """What the first side is: `better`, `worse`, or `not significant`."""
    if difference.is_better:
        return "better"
    return "worse" if difference.is_worse else "not significant"


def conditional_remarks(differences: Iterable[Estimate]) -> list[str]:
    """One caveat sentence if any comparison lacks seed variance."""
    if any(difference.is_conditional for difference in differences):
        return [f"Differences hold {THESE_MODELS}: other seeds may differ."]
    return []


def share(estimate: Estimate) -> str:
    """`81.2 % (95 % CI 78.4-83.9)`."""
    return f"{percent(estimate.value)} %{bracketed(interval(estimate, percent))}"


def p_value(p: float) -> str:
    """`0.012`, or `< 0.001`."""
    if p < 0.001:
        return "< 0.001"
    return f"{p:.3f}" if p < 0.1 else f"{p:.2f}"


def _level_in_words(level: float) -> str:
    """A confidence level in per cent, with two digits of what it leaves out: `95`, `98.9` or `99.952`."""
    left_out = 100 * (1 - level)
    decimals = max(1 - math.floor(math.log10(left_out)), 1)
    return f"{100 - left_out:.{decimals}f}".rstrip("0").rstrip(".")


def pair_sentence(first: str, second: str, difference: Estimate, metric: str) -> str:
    """The one sentence on two predictors or configurations, given by name, wherever they are compared.

    `The network is significantly better than the linear baseline: +3.2 points of accuracy on 900 tweets (95 % CI +1.2
    to +5.2; adjusted p = 0.012).` The number of tweets is left out where it is an estimate itself.
    """
    verdicts = {"better": "significantly better than", "worse": "significantly worse than"}
    is_what = verdicts.get(verdict(difference), "not significantly different from")
    subject = f"The {first[4:]}" if first.startswith("the ") else first
    tweets = f" on {plural(int(difference.n), 'tweet')}" if float(difference.n).is_integer() else ""
    gap = f"{points(difference.value)} points of {metric}{tweets}{evidence(difference)}"
    return f"{subject} is {is_what} {second}: {gap}."
