"""One parameter of a grid's file: a constant, a list, a distribution, or the fields of a section."""

import json
import math
from collections.abc import Sequence
from typing import Annotated, Self

from pydantic import Field, model_validator

from jobs.grids.distributions import KEYS, NUMBERS, Distribution, Number, Scalar, explain_mistake
from sentiment.config import Section

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
