"""From the possible values of parameters to combinations of them, in an order that never changes."""

import itertools
import math
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

# So many are drawn at most, always: a larger `run_cap` then continues a smaller one, since scikit-learn's way to draw
# depends on the share of the combinations that is asked for.
_DRAWN = 1_000_000


def every_combination(space: Mapping[str, Sequence[Any]]) -> Iterator[dict[str, Any]]:
    """All of them, the last name varying fastest."""
    names = sorted(space)
    for values in itertools.product(*(space[name] for name in names)):
        yield dict(zip(names, values, strict=True))


def random_combinations(space: Mapping[str, Sequence[Any]], seed: int) -> Iterator[dict[str, Any]]:
    """All of them, or a million, in random order and without repeats."""
    from sklearn.model_selection import ParameterSampler  # imported here, since that takes seconds

    size = math.prod(len(values) for values in space.values())
    lists = {name: list(values) for name, values in space.items()}
    for drawn in ParameterSampler(lists, n_iter=min(size, _DRAWN), random_state=seed):
        yield dict(drawn)
