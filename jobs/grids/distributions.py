"""The values that a parameter of a grid may take: a list, or one of W&B's distributions, drawn by index from a seed.

A draw depends on the seed, the parameter's name and the trial's index alone, through SHA-256, and is rounded to six
significant digits. A value drawn once thus stays for ever: neither more trials, nor other parameters, nor another
version of a library changes it.
"""

import hashlib
import json
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, Any, Self

from pydantic import Field, model_validator

from sentiment.config import Section

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


# Distributions of W&B that are constants and lists, by the key that they go with.
_LISTS = {"constant": "value", "categorical": "values", "categorical_w_probabilities": "values"}

Values = Sequence[Scalar] | Distribution
"""The values that a parameter may take."""


class Parameter(Section):
    """The values that a field of a run may take, or the fields of a section; keys as in W&B's schema."""

    value: Scalar = None
    """A constant."""
    values: Annotated[list[Scalar], Field(min_length=1)] | None = None
    probabilities: list[Annotated[float, Field(ge=0, strict=False)]] | None = None
    """Of the `values`, with method `random`; None draws all alike."""
    distribution: str | None = None
    """Of numbers, with method `random`, as in `jobs.grids.distributions`. None is W&B's choice: with `min` and `max`
    int_uniform if both are whole numbers, else uniform."""
    min: Number | None = None
    max: Number | None = None
    mu: Number | None = None
    """The mean."""
    sigma: Number | None = None
    """The standard deviation."""
    parameters: "dict[str, Parameter] | None" = None
    """Fields of a section, by name."""

    @model_validator(mode="after")
    def _says_one_thing(self) -> Self:
        kinds = {*self.model_fields_set} - {"probabilities", "distribution", *NUMBERS}
        drawn = self._distribution_name
        if len(kinds) + (drawn is not None) != 1 or (kinds and self._numbers):
            raise ValueError("needs exactly one of value, values, a distribution (or min and max), and parameters")
        if drawn is not None:
            if drawn in _LISTS:
                raise ValueError(f"distribution {drawn!r} goes with {_LISTS[drawn]}")
            if drawn not in KEYS:
                raise ValueError(f"distribution {drawn!r} is unknown; valid: {', '.join(_LISTS)}, {', '.join(KEYS)}")
            if mistake := explain_mistake(drawn, self._numbers):
                raise ValueError(mistake)
        return self

    @model_validator(mode="after")
    def _probabilities_are_of_the_values(self) -> Self:
        if self.probabilities is None:
            return self
        if len(self.probabilities) != len(self.values or ()):
            raise ValueError(f"{len(self.probabilities)} probabilities of {len(self.values or ())} values")
        if not math.isclose(sum(self.probabilities), 1, abs_tol=1e-6):
            raise ValueError(f"the probabilities add up to {sum(self.probabilities):g} instead of 1")
        return self

    def flatten(self, name: str) -> dict[str, Values]:
        """The possible values by dotted name."""
        if self.parameters is not None:
            inner = (parameter.flatten(f"{name}.{key}") for key, parameter in self.parameters.items())
            return {key: values for section in inner for key, values in section.items()}
        return {name: self._values()}

    def _values(self) -> Values:
        if self.values is not None and self.probabilities is not None:
            return Distribution("categorical", {}, tuple(self.values), tuple(self.probabilities))
        if drawn := self._distribution_name:
            return Distribution(drawn, {**KEYS[drawn][1], **self._numbers})
        return [self.value] if self.values is None else _without_repeats(self.values)

    @property
    def _numbers(self) -> dict[str, Number]:
        """Those that are given."""
        found = {name: getattr(self, name) for name in NUMBERS}
        return {name: number for name, number in found.items() if number is not None}

    @property
    def _distribution_name(self) -> str | None:
        """The distribution of numbers; None for constants, lists and sections."""
        if self.distribution is not None:
            listed = _LISTS.get(self.distribution)
            return None if listed and listed in self.model_fields_set else self.distribution
        if not {"min", "max"} & self._numbers.keys():
            return None
        return "int_uniform" if all(isinstance(one, int) for one in (self.min, self.max)) else "uniform"


def _without_repeats(values: list[Scalar]) -> list[Scalar]:
    return list({json.dumps(value): value for value in values}.values())
