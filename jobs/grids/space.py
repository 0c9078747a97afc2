"""The values that a parameter of a grid may take, as in W&B's schema: constants, lists, distributions."""

import hashlib
import itertools
import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import NormalDist
from typing import Annotated, Any, Self

from pydantic import AfterValidator, Field, model_validator

from sentiment.config import Section

_LARGEST = 1e15


def _within_reason(number: int | float) -> int | float:
    if not -_LARGEST <= number <= _LARGEST:
        raise ValueError(f"is beyond {_LARGEST:.0e}")
    return number


Scalar = str | int | float | bool | None
Number = Annotated[int | float, AfterValidator(_within_reason)]

# What each distribution needs, with the defaults of W&B's schema.
KEYS: Mapping[str, Mapping[str, float | None]] = {
    "int_uniform": {"min": None, "max": None},
    "uniform": {"min": None, "max": None},
    "log_uniform_values": {"min": None, "max": None},
    "normal": {"mu": 0, "sigma": 1},
}
# Distributions of W&B that are constants and lists, by the key that they go with.
_LISTS = {"constant": "value", "categorical": "values", "categorical_w_probabilities": "values"}
_NUMBERS = ("min", "max", "mu", "sigma")


@dataclass(frozen=True)
class Distribution:
    """A distribution of numbers (all of `KEYS[name]`), or of values with unequal probabilities."""

    name: str
    numbers: Mapping[str, float]
    values: tuple[Scalar, ...] = ()
    probabilities: tuple[float, ...] = ()

    def quantile(self, share: float) -> Scalar:
        """The value below which this share of all draws lies; numbers have six digits."""
        of = self.numbers
        if self.values:
            sums = itertools.accumulate(self.probabilities)
            possible = [pair for pair in zip(self.values, sums, self.probabilities, strict=True) if pair[2]]
            return next((value for value, below, _ in possible if share < below), possible[-1][0])
        if self.name == "normal":
            return _rounded(NormalDist(of["mu"], of["sigma"]).inv_cdf(share))
        if self.name == "int_uniform":
            return int(of["min"]) + int(share * (of["max"] - of["min"] + 1))
        if self.name == "log_uniform_values":
            value = of["min"] * (of["max"] / of["min"]) ** share
        else:
            value = of["min"] + share * (of["max"] - of["min"])
        return min(max(_rounded(value), of["min"]), of["max"])  # rounding must not lead out of the range

    def share(self, value: float) -> float:
        """The share of all draws that lie below a number: the inverse of `quantile`."""
        of = self.numbers
        if self.name == "normal":
            return NormalDist(of["mu"], of["sigma"]).cdf(value)
        if self.name == "int_uniform":
            return (value - of["min"] + 0.5) / (of["max"] - of["min"] + 1)
        if self.name == "log_uniform_values":
            return math.log(value / of["min"]) / math.log(of["max"] / of["min"])
        return (value - of["min"]) / (of["max"] - of["min"])

    def as_parameter(self) -> dict[str, Any]:
        """As it stands in a grid's file."""
        if self.values:
            return {"values": list(self.values), "probabilities": list(self.probabilities)}
        return {"distribution": self.name, **self.numbers}

    def __str__(self) -> str:
        if self.values:
            pairs = zip(self.values, self.probabilities, strict=True)
            return ", ".join(f"{value!r} with probability {share:g}" for value, share in pairs)
        return " ".join([self.name, *(f"{name}={number}" for name, number in self.numbers.items())])


Choices = Sequence[Any] | Distribution
"""The values that a parameter may take."""


def draw(choices: Choices, seed: int, parameter: str, index: int) -> Any:
    """The value of a parameter in the trial of this index; it depends on nothing but these."""
    digest = hashlib.sha256(f"{seed}\0{parameter}\0{index}".encode()).digest()
    share = (int.from_bytes(digest[:6], "big") + 0.5) / 2**48  # 0 and 1 are excluded
    return choices.quantile(share) if isinstance(choices, Distribution) else choices[int(share * len(choices))]


def _rounded(value: float) -> float:
    return float(f"{value:.6g}")


class Parameter(Section):
    """The values that a field of a run may take, or the fields of a section; keys as in W&B's schema.

    Attributes:
        probabilities: of the `values`; None draws all alike.
        distribution: None is W&B's choice: with `min` and `max` int_uniform if both are whole numbers, else uniform.
        mu, sigma: mean and standard deviation.
        parameters: fields of a section, by name.
    """

    value: Scalar = None
    values: Annotated[list[Scalar], Field(min_length=1)] | None = None
    probabilities: list[Annotated[float, Field(ge=0, strict=False)]] | None = None
    distribution: str | None = None
    min: Number | None = None
    max: Number | None = None
    mu: Number | None = None
    sigma: Number | None = None
    parameters: "dict[str, Parameter] | None" = None

    @model_validator(mode="after")
    def _says_one_thing(self) -> Self:
        kinds = {*self.model_fields_set} - {"probabilities", "distribution", *_NUMBERS}
        drawn = self._drawn
        if len(kinds) + (drawn is not None) != 1 or (kinds and self._numbers):
            raise ValueError("needs exactly one of value, values, a distribution (or min and max), and parameters")
        if drawn is not None:
            _check(drawn, self._numbers)
        if self.probabilities is not None:
            if len(self.probabilities) != len(self.values or ()):
                raise ValueError(f"{len(self.probabilities)} probabilities of {len(self.values or ())} values")
            if not math.isclose(sum(self.probabilities), 1, abs_tol=1e-6):
                raise ValueError(f"the probabilities add up to {sum(self.probabilities):g} instead of 1")
        return self

    def flatten(self, name: str) -> dict[str, Choices]:
        """The possible values by dotted name."""
        if self.parameters is not None:
            inner = (parameter.flatten(f"{name}.{key}") for key, parameter in self.parameters.items())
            return {key: values for section in inner for key, values in section.items()}
        if self.values is not None and self.probabilities is not None:
            return {name: Distribution("categorical", {}, tuple(self.values), tuple(self.probabilities))}
        if drawn := self._drawn:
            defaults = {key: default for key, default in KEYS[drawn].items() if default is not None}
            return {name: Distribution(drawn, defaults | self._numbers)}
        values = [self.value] if self.values is None else self.values
        return {name: list({json.dumps(value): value for value in values}.values())}

    @property
    def _numbers(self) -> dict[str, float]:
        """Those that are given."""
        found = {name: getattr(self, name) for name in _NUMBERS}
        return {name: number for name, number in found.items() if number is not None}

    @property
    def _drawn(self) -> str | None:
        """The distribution of numbers; None for constants, lists and sections."""
        if self.distribution is not None:
            listed = _LISTS.get(self.distribution)
            return None if listed and listed in self.model_fields_set else self.distribution
        if not {"min", "max"} & self._numbers.keys():
            return None
        return "int_uniform" if isinstance(self.min, int) and isinstance(self.max, int) else "uniform"


def _check(name: str, numbers: Mapping[str, float]) -> None:
    """Refuse numbers that make no such distribution, or a distribution that is none of these.

    Raises:
        ValueError: says what is wrong.
    """
    if name in _LISTS:
        raise ValueError(f"distribution {name!r} goes with {_LISTS[name]}")
    if name not in KEYS:
        raise ValueError(f"distribution {name!r} is unknown; valid: {', '.join(_LISTS)}, {', '.join(KEYS)}")
    if unknown := [key for key in numbers if key not in KEYS[name]]:
        raise ValueError(f"distribution {name} has no {', '.join(unknown)}; it takes {', '.join(KEYS[name])}")
    if missing := [key for key, default in KEYS[name].items() if default is None and key not in numbers]:
        raise ValueError(f"distribution {name} needs {' and '.join(missing)}")
    if "min" in numbers and numbers["min"] >= numbers["max"]:
        raise ValueError(f"min {numbers['min']} is not below max {numbers['max']}")
    if name == "int_uniform" and not all(isinstance(number, int) for number in numbers.values()):
        raise ValueError("distribution int_uniform takes whole numbers as min and max")
    if name == "log_uniform_values" and numbers["min"] <= 0:
        raise ValueError(f"distribution {name} takes positive numbers, not min {numbers['min']}")
    if numbers.get("sigma", 1) <= 0:
        raise ValueError(f"sigma must be greater than 0, not {numbers['sigma']}")
