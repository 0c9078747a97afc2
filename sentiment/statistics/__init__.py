"""Estimates with their intervals, tests, and what they need: the only statistics of the program. Does not import torch.

Scores and shares are fractions of 1; a level is that of a confidence interval, between 0 and 1.
"""

from sentiment.errors import UsageError

LEVEL = 0.95  # of confidence intervals, unless another one is asked for
ALPHA = 0.05  # an adjusted p-value below it is significant
MIN_LABELS = 30  # with fewer, no share is estimated and no predictor is chosen


def check_enough(labels: int) -> None:
    """Raises UsageError if there are too few labels to say anything."""
    if labels < MIN_LABELS:
        raise UsageError(f"{labels} labelled tweets: at least {MIN_LABELS} are needed; 200 are better")
