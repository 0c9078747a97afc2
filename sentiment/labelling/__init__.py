"""Sheets of tweets to label, and what their labels say of predictors."""

from sentiment.errors import UsageError

MIN_LABELS = 30  # with fewer, no share is estimated and no predictor is chosen


def check_enough(labels: int) -> None:
    """Raises UsageError if there are too few labels to say anything."""
    if labels < MIN_LABELS:
        raise UsageError(f"{labels} labelled tweets: at least {MIN_LABELS} are needed; 200 are better")
