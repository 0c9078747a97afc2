"""What a job gets that is submitted again: more of what it had too little of."""

from collections.abc import Callable

from jobs.slurm.resources import Resources
from sentiment.errors import UsageError
from sentiment.run_state import TIMEOUT


def increased(state: str, configured: Resources, had: Resources | None) -> Resources:
    """Resources for the next attempt at a job.

    Args:
        state: how the last one ended.
        configured: what the cluster's file says now.
        had: what the last one had; None if there was none.

    Raises:
        UsageError: it had too little memory, and it is not known how much that was.
    """
    return _INCREASES.get(state, _as_configured)(configured, had)


def _as_configured(configured: Resources, _had: Resources | None) -> Resources:
    return configured


def _more_memory(configured: Resources, had: Resources | None) -> Resources:
    memory = had.memory_gb if had else None
    if memory is None:
        raise UsageError(
            "a job had too little memory, and its cluster file did not say how much: set memory_gb in the file"
        )
    more = max(configured.memory_gb or 0, memory * configured.memory_factor)
    return configured.model_copy(update={"memory_gb": more})


def _more_time(configured: Resources, had: Resources | None) -> Resources:
    minutes = round(had.time_minutes * configured.time_factor) if had else configured.time_minutes
    return configured.model_copy(update={"time_minutes": max(configured.time_minutes, minutes)})


_INCREASES: dict[str, Callable[[Resources, Resources | None], Resources]] = {
    "OUT_OF_MEMORY": _more_memory,
    TIMEOUT: _more_time,
}
