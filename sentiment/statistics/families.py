"""Families of claims: which are made together, so that all of them are corrected for their number."""

from collections.abc import Sequence

from sentiment.statistics import ALPHA, LEVEL
from sentiment.statistics.estimate import Estimate, StudentEvidence
from sentiment.statistics.paired import PairedEvidence
from sentiment.statistics.stratified import RecallEvidence

# What is known of a difference before it is corrected: its value, its p-value, and its interval at any level, None
# where the variance is unknown. No correction makes the p-value smaller than `least_p`.
Evidence = PairedEvidence | RecallEvidence | StudentEvidence


def estimated(evidence: Evidence, level: float = LEVEL, q: float | None = None) -> Estimate:
    """The estimate of a difference, with the interval at a level."""
    low, high = evidence.interval(level) or (None, None)
    return Estimate(evidence.value, low, high, evidence.n, level, evidence.p, q, evidence.is_conditional)


def corrected(family: Sequence[Evidence], number: int = 0) -> list[Estimate]:
    """The estimates of a family of differences, see `correct_for_multiple_tests`.

    Args:
        number: their number m, if it is larger than that of the differences that can be tested. If the first side
            was selected as the best of k, each of the k * (k - 1) / 2 pairs could have been compared, and all of them
            count: a side whose seeds were lucky when it was selected is lucky on test tweets too.
    """
    p_values = [evidence.p for evidence in family if evidence.p is not None]
    adjusted, level = correct_for_multiple_tests(p_values, number)
    remaining = iter(adjusted)
    estimates = []
    for evidence in family:
        q = None if evidence.p is None else max(next(remaining), evidence.least_p)
        estimates.append(estimated(evidence, level, q))
    return estimates


def correct_for_multiple_tests(p_values: Sequence[float], number: int = 0) -> tuple[list[float], float]:
    """Correct a family of tests for multiple comparisons, p-values and intervals consistently.

    The p-values are adjusted by Benjamini and Hochberg (1995). The intervals have the level 1 - R * ALPHA / m, where R
    of m tests are significant (Benjamini and Yekutieli 2005: on average at most 5 % of the intervals of significant
    differences miss the truth). So an interval excludes zero exactly where the adjusted p is below ALPHA.

    Args:
        number: the number m, if it is larger than the number of p-values.

    Returns:
        The adjusted p-values, and the confidence level of all intervals.
    """
    from scipy.stats import false_discovery_control

    m = max(number, len(p_values), 1)
    not_tested = [1.0] * (m - len(p_values))
    adjusted = [float(p) for p in false_discovery_control([*p_values, *not_tested])[: len(p_values)]]
    n_significant = sum(p < ALPHA for p in adjusted)
    return adjusted, 1 - max(n_significant, 1) * ALPHA / m
