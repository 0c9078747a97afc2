"""The published studies whose findings grids repeat."""

from dataclasses import dataclass
from pathlib import PurePath

from report.read import Study


@dataclass(frozen=True)
class Replication:
    """A published study whose findings grids repeat.

    Attributes:
        data: the name of its tweets.
        other_tweets: those of the grids, where they are others.
    """

    data: str
    source: str
    other_tweets: list[str]


def replicated(study: Study) -> list[Replication]:
    """The published studies that the grids repeat."""
    tweets: dict[tuple[str, str], set[str]] = {}
    for grid in study.grids:
        published = grid.plan.replicates if grid.plan else None
        if published:
            sources = tweets.setdefault((published.data, published.source), set())
            sources.update(PurePath(run.config.data.source).name for run in grid.completed)
    return [Replication(data, source, sorted(others - {data})) for (data, source), others in tweets.items()]
