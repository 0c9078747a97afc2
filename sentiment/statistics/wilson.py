"""The confidence interval of a share (Wilson 1927)."""

from typing import Any

import numpy as np
import numpy.typing as npt

from sentiment.statistics import LEVEL


def wilson_bounds(share: npt.ArrayLike, worth: npt.ArrayLike) -> tuple[Any, Any]:
    """The lower and the upper bound of shares, both of the shape of `share`.

    Args:
        share: between 0 and 1.
        worth: the number of tweets that it is estimated from; of tweets that are drawn otherwise than one by one with
            replacement, how many drawn so would say as much. Infinite if nothing is uncertain.
    """
    from scipy.special import ndtri

    shares = np.asarray(share, np.float64)
    shrinkage = float(ndtri((1 - LEVEL) / 2)) ** 2 / np.asarray(worth, np.float64)
    middle = (shares + shrinkage / 2) / (1 + shrinkage)
    margin = np.sqrt(shrinkage * shares * (1 - shares) + shrinkage**2 / 4) / (1 + shrinkage)
    return np.maximum(middle - margin, 0.0), np.minimum(middle + margin, 1.0)
