"""The smallest difference between classifiers that a comparison is likely to show, from its seeds and its tweets."""

from collections import defaultdict
from collections.abc import Iterable, Sequence

from sentiment.config import RunConfig
from sentiment.paired import PairedCounts

# The probability with which the smallest difference is shown.
POWER = 0.8

# The power is averaged over this many quantiles of the estimated variance.
_QUANTILES = 400
# Assumptions before the first run: the standard deviation of a score between seeds on a few thousand tweets, and the
# share of tweets that only one of two models has right.
_USUAL_SPREAD = 0.01
_USUAL_DISAGREEMENT = 0.1
_TEST_TWEETS = (300, 1_000, 5_000)


def smallest_difference(
    seed_variance: float, degrees_of_freedom: float, disagreement: float, tweets: int, level: float = 0.95
) -> float | None:
    """The difference that is significant with probability `POWER`, as a fraction of 1.

    The test is that of the report (Cochran & Cox 1950), which estimates the variance between seeds.

    Args:
        seed_variance: the variance of the difference that is due to seeds, measured on that many tweets: the sum, over
            the classifiers that have several seeds, of the variance between seeds divided by their number.
        degrees_of_freedom: of that variance.
        disagreement: the share of tweets that only one of the two models has right.
        tweets: the number of tweets that are tested.
        level: the confidence level of the interval that is to exclude 0.

    Returns:
        None if even a difference of 1 would not be shown.
    """
    import numpy as np
    from scipy.optimize import brentq
    from scipy.special import chdtri, ndtr, ndtri, stdtrit

    quantiles = chdtri(degrees_of_freedom, (np.arange(_QUANTILES) + 0.5) / _QUANTILES)
    estimates = seed_variance * quantiles / degrees_of_freedom
    t = stdtrit(degrees_of_freedom, (1 + level) / 2)
    z = ndtri((1 + level) / 2)

    def missing_power(difference: float) -> float:
        tweet_variance = (disagreement + difference - difference**2) / tweets
        critical = (estimates * t + tweet_variance * z) / np.sqrt(estimates + tweet_variance)
        error = np.sqrt(seed_variance + tweet_variance)
        is_shown = ndtr((difference - critical) / error) + ndtr((-difference - critical) / error)
        return POWER - float(np.mean(is_shown))

    return float(brentq(missing_power, 1e-6, 1.0)) if missing_power(1.0) < 0 else None


def tweets_to_show(classes: Sequence[PairedCounts], level: float = 0.95) -> int | None:
    """The number of tweets on which the observed difference would be significant with probability `POWER`.

    Args:
        classes: the counts as `paired_difference` takes them.
        level: as in `smallest_difference`.

    Returns:
        None if no difference is observed.
    """
    import numpy as np
    from scipy.special import ndtri

    only_first, only_second, n = np.array(classes, float).T
    differences = (only_first - only_second) / n
    difference = differences.mean()
    if difference == 0:
        return None
    variances = (only_first + only_second) / n - differences**2  # of the differences on one tweet of each class
    variance = n.sum() * (variances / n).mean() / len(classes)
    errors = ndtri((1 + level) / 2) + ndtri(POWER)
    return int(np.ceil((errors / difference) ** 2 * variance))


def power_of_grid(configs: Iterable[RunConfig]) -> str | None:
    """A sentence on the differences that a grid can show before it runs; None if it does not repeat seeds."""
    seeds = defaultdict(set)
    for config in configs:
        data = config.data.model_copy(update={"fold": None})
        without_seed = config.model_copy(update={"seed": 0, "data": data})
        seeds[without_seed.fingerprint()].add(config.seed)
    numbers = [*map(len, seeds.values())]
    fewest = min(numbers, default=0)
    if fewest < 2:
        return None
    seed_variance = 2 * _USUAL_SPREAD**2 / fewest
    degrees_of_freedom = sum(numbers) - len(numbers)
    points = []
    for tweets in _TEST_TWEETS:
        smallest = smallest_difference(seed_variance, degrees_of_freedom, _USUAL_DISAGREEMENT, tweets) or 1.0
        points.append(f"{100 * smallest:.1f} points on {tweets:,}")
    return (
        f"{fewest} seeds show, with probability {POWER:g}, differences of {', '.join(points)} test tweets (if seeds "
        f"have an SD of {100 * _USUAL_SPREAD:g} point and models differ on {_USUAL_DISAGREEMENT:.0%} of the tweets)"
    )
