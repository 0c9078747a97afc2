"""Hypotheses that a grid's file states before its runs: that one side is better, worse, or equal within a margin."""

import math
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Annotated, Any, Literal, Self

from pydantic import BeforeValidator, Discriminator, Field, NonNegativeInt, Tag, model_validator

from sentiment.config import RunConfig, Section
from sentiment.config_file import dotted, resolve
from sentiment.errors import ConfigError

# What is compared: the score by which the grid's models are compared on test tweets; the best epoch; training accuracy
# less validation accuracy.
Measure = Literal["score", "epochs", "overfitting"]
Value = str | int | float | bool | None
_LOWER_IS_BETTER: tuple[Measure, ...] = ("epochs", "overfitting")
Relation = Literal["better_than", "worse_than", "as_good_as", "no_better_than"]
_RELATIONS: tuple[Relation, ...] = ("better_than", "worse_than", "as_good_as", "no_better_than")
_WITH_MARGIN: tuple[Relation, ...] = ("as_good_as", "no_better_than")


def _as_list(value: Any) -> Any:
    """A single value as a list of one."""
    return [value] if isinstance(value, str | int | float) else value


Values = Annotated[tuple[Value, ...], Field(strict=False), BeforeValidator(_as_list)]
# Settings that repeat a configuration on other random numbers or tweets.
_NO_SETTINGS = ("seed", "data.source", "data.folds", "data.fold")


def is_among(value: Any, values: Iterable[Any]) -> bool:
    """Whether a value of a setting is one of these; a truth value is no number."""
    return any(value == known and isinstance(value, bool) == isinstance(known, bool) for known in values)


class BestOf(Section):
    """The best configuration on validation tweets of another grid, or the linear baseline of the first side."""

    grid: str = ""
    model: Literal["", "baseline"] = ""

    @model_validator(mode="after")
    def _check_one(self) -> Self:
        if bool(self.grid) == bool(self.model):
            raise ValueError("takes `grid: NAME` or `model: baseline`")
        return self


def _kind(value: Any) -> str:
    return "best" if isinstance(value, dict | BestOf) else "values"


Other = Annotated[
    Annotated[BestOf, Tag("best")] | Annotated[Values, Field(min_length=1), Tag("values")], Discriminator(_kind)
]


class Hypothesis(Section):
    """A statement about two sides of a grid, see `configs/README.md`.

    Both are values of `setting`, and runs that are otherwise the same are compared; or the first side is this grid's
    best configuration on validation tweets (of those with `values`), and the other one is a `BestOf`. Exactly one of
    the four relations is given.

    Attributes:
        claim: the statement, one sentence.
        published: what the study that the grid repeats found.
        within: the margin of `as_good_as` and `no_better_than`: in points, for `epochs` in epochs.
    """

    claim: Annotated[str, Field(min_length=1)]
    published: str = ""
    measure: Measure = "score"
    setting: str = ""
    values: Values = ()
    better_than: Other | None = None
    worse_than: Other | None = None
    as_good_as: Other | None = None
    no_better_than: Other | None = None
    within: Annotated[float, Field(gt=0, le=100)] | None = None

    @model_validator(mode="after")
    def _check_sides(self) -> Self:
        given = [name for name in _RELATIONS if getattr(self, name) is not None]
        if len(given) != 1:
            raise ValueError(f"needs exactly one of {', '.join(_RELATIONS)}; it has {' and '.join(given) or 'none'}")
        has_margin = self.relation in _WITH_MARGIN
        if has_margin != (self.within is not None):
            raise ValueError(f"{self.relation} {'needs' if has_margin else 'takes no'} `within`")
        if bool(self.setting) != bool(self.values):
            raise ValueError("setting and values are given together")
        if not self.setting and not isinstance(self.other, BestOf):
            raise ValueError(f"{self.relation} takes `grid: NAME` or `model: baseline`, because no setting is given")
        if isinstance(self.other, BestOf) and self.other.model and self.measure != "score":
            raise ValueError(f"the linear baseline has no {self.measure}")
        return self

    @property
    def relation(self) -> Relation:
        return next(name for name in _RELATIONS if getattr(self, name) is not None)

    @property
    def other(self) -> BestOf | tuple[Value, ...]:
        """The second side."""
        other: BestOf | tuple[Value, ...] = getattr(self, self.relation)
        return other

    @property
    def statement(self) -> tuple[Any, ...]:
        """What it says, apart from which values it is about: `--set` may add some."""
        other = self.other if isinstance(self.other, BestOf) else None
        return self.setting, self.measure, self.relation, self.within, other

    @property
    def sides(self) -> tuple[frozenset[Value], BestOf | frozenset[Value]]:
        """Both sides, whatever the order of the values."""
        other = self.other if isinstance(self.other, BestOf) else frozenset(self.other)
        return frozenset(self.values), other

    def is_nested(self, other: "Hypothesis") -> bool:
        """Whether one of the two is about values of the other alone, each on the same side."""
        mine, others = [
            [{*side} for side in (each.values, () if isinstance(each.other, BestOf) else each.other)]
            for each in (self, other)
        ]
        pairs = [*zip(mine, others, strict=True)]
        return all(first <= second for first, second in pairs) or all(first >= second for first, second in pairs)

    @property
    def scale(self) -> int:
        """How many of the units in which margins are stated a difference of 1 is: points of a share, or epochs."""
        return 1 if self.measure == "epochs" else 100

    @property
    def region(self) -> tuple[float, float]:
        """The hypothesis is true if the first side minus the second lies between these: a share, or epochs."""
        margin = (self.within or 0.0) / self.scale
        regions: dict[Relation, tuple[float, float]] = {
            "better_than": (0.0, math.inf),
            "worse_than": (-math.inf, 0.0),
            "as_good_as": (-margin, margin),
            "no_better_than": (-math.inf, margin),
        }
        low, high = regions[self.relation]
        return (-high, -low) if self.measure in _LOWER_IS_BETTER else (low, high)

    def mistakes(self, listed: Mapping[str, Sequence[Any]]) -> list[str]:
        """What does not fit a grid in which these values of each parameter are listed."""
        if not self.setting:
            return []
        if self.setting in _NO_SETTINGS:
            return [f"setting {self.setting!r} is none whose values can be compared"]
        if self.setting not in listed:
            return [
                f"setting {self.setting!r} is none of the grid's parameters with listed values: {', '.join(listed)}"
            ]
        mistakes = []
        others = () if isinstance(self.other, BestOf) else self.other
        known = listed[self.setting]
        valid = ", ".join(map(str, known))
        for value in (*self.values, *others):
            if not is_among(value, known):
                mistakes.append(f"{self.setting} has no value {value!r} in this grid; it has {valid}")
        for value in self.values:
            if is_among(value, others):
                mistakes.append(f"{value!r} stands on both sides")
        return mistakes

    def restricted(self, listed: Mapping[str, Sequence[Any]]) -> "Hypothesis | None":
        """The hypothesis about those of its values that a grid still has; None if a side has none left."""
        if not self.setting:
            return self
        known = listed[self.setting]
        changes = self._changed(lambda values: tuple(value for value in values if is_among(value, known)))
        return self.model_copy(update=changes) if all(changes.values()) else None

    def _changed(self, change: Callable[[Sequence[Value]], tuple[Value, ...]]) -> dict[str, tuple[Value, ...]]:
        """The fields with values, each changed."""
        changed: dict[str, tuple[Value, ...]] = {"values": change(self.values)}
        if not isinstance(self.other, BestOf):
            changed[self.relation] = change(self.other)
        return changed

    def as_configured(self, config: RunConfig) -> "Hypothesis":
        """The hypothesis with its values as configurations have them: null for `none`, a plain path.

        Args:
            config: of a run in which the setting has an effect.
        """
        base = config.model_dump()

        def configured(value: Value) -> Value:
            try:
                own = resolve(base, {self.setting: value}, "a hypothesis")
            except ConfigError:  # it does not go together with another setting of this run
                return value
            as_in_a_run: Value = dotted(own.identity()).get(self.setting)
            return as_in_a_run

        return self.model_copy(update=self._changed(lambda values: tuple(map(configured, values))))


def mistakes_of(grid: str, hypotheses: Sequence[Hypothesis], listed: Mapping[str, Sequence[Any]]) -> list[str]:
    """A line for each mistake in the hypotheses of a grid in which these values of each parameter are listed."""
    lines = []
    for claim, number in Counter(hypothesis.claim for hypothesis in hypotheses).items():
        if number > 1:
            lines.append(f"hypothesis {claim!r} is stated {number} times")
    for hypothesis in hypotheses:
        mistakes = hypothesis.mistakes(listed)
        if isinstance(hypothesis.other, BestOf) and hypothesis.other.grid == grid:
            mistakes.append("the other grid is this one")
        lines += [f"hypothesis {hypothesis.claim!r}: {mistake}" for mistake in mistakes]
    return lines


class StatedHypothesis(Section):
    """A hypothesis in a grid's plan.

    Attributes:
        stated_at: the UTC time at which it was stated, in ISO 8601.
        results: how many of the grid's runs had a result or a score then, in whatever grid; None before it is counted.
    """

    hypothesis: Hypothesis
    stated_at: str
    results: NonNegativeInt | None = None


class Replicated(Section):
    """The study whose findings a grid repeats.

    Attributes:
        data: the name of its tweets.
        source: where it is published.
    """

    data: str
    source: str
