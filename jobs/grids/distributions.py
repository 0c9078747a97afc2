"""The values that a parameter of a grid may take: a list, or one of W&B's distributions, drawn by index from a seed.

A draw depends on the seed, the parameter's name and the trial's index alone, through SHA-256, and is rounded to six
significant digits. A value drawn once thus stays for ever: neither more trials, nor other parameters, nor another
version of a library changes it.
"""

import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

Scalar = str | int | float | bool | None
Number = int | float

_DIGITS = 6
_BISECTIONS = 40
_LARGEST = 1e15
_RANGE = ("min", "max")

# What each distribution needs and what it may say besides, with defaults, as in W&B's schema.
KEYS: Mapping[str, tuple[tuple[str, ...], Mapping[str, Number]]] = {
    "int_uniform": (_RANGE, {}),
    "uniform": (_RANGE, {}),
    "log_uniform_values": (_RANGE, {}),
    "normal": ((), {"mu": 0, "sigma": 1}),
}
"""By distribution: the required keys, and the optional ones with their defaults."""

NUMBERS = ("min", "max", "mu", "sigma")
"""All keys that hold a number."""


@dataclass(frozen=True)
class Distribution:
    """A distribution of numbers, or of values with unequal probabilities."""

    name: str
    numbers: Mapping[str, Number]
    """All of `KEYS[name]`; empty for values with probabilities."""
    values: tuple[Scalar, ...] = ()
    probabilities: tuple[float, ...] = ()
    """Of the values; their sum is 1."""

    def draw(self, seed: int, parameter: str, index: int) -> Scalar:
        """The value of a parameter in the trial of this index."""
        return self.quantile(uniform_number(seed, parameter, index))

    def quantile(self, share: float) -> Scalar:
        """The value below which this share of all draws lies."""
        if self.values:
            return self._category(share)
        if self.name == "int_uniform":
            first, last = int(self.numbers["min"]), int(self.numbers["max"])
            return first + int(share * (last - first + 1))
        value = _rounded(_FAMILIES[self.name](share, self.numbers))
        if self.name == "normal":
            return value
        return min(max(value, self.numbers["min"]), self.numbers["max"])  # rounding must not lead out of the range

    def share(self, value: float) -> float:
        """The share of all draws that lie below a number: the inverse of `quantile`."""
        low, high = 0.0, 1.0
        for _ in range(_BISECTIONS):
            middle = (low + high) / 2
            found = self.quantile(middle)
            low, high = (middle, high) if isinstance(found, int | float) and found < value else (low, middle)
        return (low + high) / 2

    def as_parameter(self) -> dict[str, Any]:
        """As it stands in a grid's file."""
        if self.values:
            return {"values": list(self.values), "probabilities": list(self.probabilities)}
        return {"distribution": self.name, **self.numbers}

    def listed(self) -> Sequence[Scalar] | None:
        """All values, for a grid that is run in full; None for distributions of which W&B makes no grid either."""
        if self.name != "int_uniform":
            return None
        return range(int(self.numbers["min"]), int(self.numbers["max"]) + 1)

    def __str__(self) -> str:
        if self.values:
            pairs = zip(self.values, self.probabilities, strict=True)
            return ", ".join(f"{value!r} with probability {share:g}" for value, share in pairs)
        return " ".join([self.name, *(f"{name}={number}" for name, number in self.numbers.items())])

    def _category(self, share: float) -> Scalar:
        below = 0.0
        for value, probability in zip(self.values, self.probabilities, strict=True):
            below += probability
            if share < below:
                return value
        return next(value for value, one in zip(self.values[::-1], self.probabilities[::-1], strict=True) if one)


def uniform_number(seed: int, parameter: str, index: int) -> float:
    """A number between 0 and 1, both excluded, which depends on nothing but these three."""
    digest = hashlib.sha256(f"{seed}\0{parameter}\0{index}".encode()).digest()
    return (int.from_bytes(digest[:6], "big") + 0.5) / 2**48


def explain_mistake(name: str, numbers: Mapping[str, Number]) -> str | None:
    """What is wrong with the numbers of a distribution, in a line; None if they are valid."""
    needed, optional = KEYS[name]
    if missing := [key for key in needed if key not in numbers]:
        return f"distribution {name} needs {' and '.join(missing)}"
    if unknown := [key for key in numbers if key not in (*needed, *optional)]:
        return f"distribution {name} has no {', '.join(unknown)}; it takes {', '.join([*needed, *optional])}"
    if large := [key for key, number in numbers.items() if abs(number) > _LARGEST]:
        return f"{large[0]} is beyond {_LARGEST:.0e}"
    if needed and numbers["min"] >= numbers["max"]:
        return f"min {numbers['min']} is not below max {numbers['max']}"
    if name == "int_uniform" and not all(isinstance(numbers[key], int) for key in _RANGE):
        return "distribution int_uniform takes whole numbers as min and max"
    if name == "log_uniform_values" and numbers["min"] <= 0:
        return f"distribution {name} takes positive numbers, not min {numbers['min']}"
    return f"sigma must be greater than 0, not {numbers['sigma']}" if numbers.get("sigma", 1) <= 0 else None


def _uniform(share: float, of: Mapping[str, Number]) -> float:
    from scipy import stats

    return float(stats.uniform.ppf(share, loc=of["min"], scale=of["max"] - of["min"]))


def _log_uniform(share: float, of: Mapping[str, Number]) -> float:
    from scipy import stats

    return float(stats.loguniform.ppf(share, of["min"], of["max"]))


def _normal(share: float, of: Mapping[str, Number]) -> float:
    from scipy import stats

    return float(stats.norm.ppf(share, loc=of["mu"], scale=of["sigma"]))


_FAMILIES: Mapping[str, Callable[[float, Mapping[str, Number]], float]] = {
    "uniform": _uniform,
    "log_uniform_values": _log_uniform,
    "normal": _normal,
}


def _rounded(value: float) -> float:
    return float(f"{value:.{_DIGITS}g}")
