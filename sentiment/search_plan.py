"""How a search goes on from what its trials have shown so far: parts of a grid's plan."""

from typing import Annotated, Any

from pydantic import Field

from sentiment.config import Section


class Halving(Section):
    """A search in rungs: after each of them only the best trials go on (`early_terminate` in a grid's file)."""

    epochs: Annotated[list[Annotated[int, Field(ge=1)]], Field(min_length=1)]
    """After how many epochs, counted from a trial's first, each rung ends but the last, which ends with the runs."""
    eta: Annotated[float, Field(gt=1)]
    """One of so many trials goes on."""
    strict: bool
    """Whether a trial counts by its score at the rung's end, or by its best so far."""


class Rounds(Section):
    """A search in rounds (`method: bayes`)."""

    rounds: Annotated[int, Field(ge=1)]
    per_round: Annotated[int, Field(ge=1)]
    seed: Annotated[int, Field(ge=0)]
    space: dict[str, Any]
    """The values that each parameter may take, as in the grid's file."""
