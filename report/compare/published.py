"""The published studies whose findings grids repeat."""

from pathlib import PurePath

from report.read import Study


def replicated(study: Study) -> dict[tuple[str, str], list[str]]:
    """The published studies that the grids repeat, by tweets and source: the other tweets of these grids."""
    tweets: dict[tuple[str, str], set[str]] = {}
    for grid in study.grids:
        published = grid.plan.replicates if grid.plan else None
        if published:
            sources = tweets.setdefault((published.data, published.source), set())
            sources.update(PurePath(run.config.data.source).name for run in grid.completed)
    return {(data, source): sorted(others - {data}) for (data, source), others in tweets.items()}
