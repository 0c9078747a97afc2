"""What a question gives the report."""

from collections.abc import Sequence
from dataclasses import dataclass

from report.render.blocks import Block, Card


@dataclass(frozen=True)
class Question:
    """A question that runs answer; without cards, where none of them does."""

    cards: Sequence[Card]
    numbers: Sequence[Block] = ()
    """Tables that stand behind the cards, hidden until a reader opens them."""
    methods: Sequence[tuple[str, str]] = ()
    """How its numbers are computed, each by its name, as far as *Methods* does not say so for all."""
    problems: Sequence[str] = ()
    """Files of runs that cannot be read, by name."""
