"""How long work tells that it goes on."""

from collections.abc import Callable

Progress = Callable[[str, int, int | None], None]
"""Called with what is being done, how much of it is done, and how much there is in all (None if that is unknown)."""


def silent(what: str, done: int, total: int | None) -> None:
    """For callers that show nothing."""
