"""The bytes of the ELMo vectors that a grid's runs read, as far as their tweets are prepared."""

import shlex
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from jobs.grids.grid import ExpandedGrid
from sentiment.config import RunConfig
from sentiment.run_dir import Results

if TYPE_CHECKING:
    from sentiment.elmo.vectors import CacheRequest

_GIGABYTE = 1e9


def show_vectors(grid: ExpandedGrid, configs: Sequence[RunConfig], results: Results) -> Iterator[str]:
    """Lines to print, none for runs without cached vectors; no tweets are prepared, and no vectors computed.

    Raises:
        DataError: the tweets cannot be read.
        ElmoError: a model, or the folder of a cache, is damaged.
    """
    readers = [config for config in configs if config.elmo and config.elmo.cached]
    if not readers:
        return
    from sentiment.data.corpus.corpus import find_corpus
    from sentiment.elmo.models import has_pretrained
    from sentiment.elmo.vectors import cache_requests

    untrained = [config for config in readers if not has_pretrained(config, results)]
    if untrained:
        names = ", ".join(sorted({config.elmo.model for config in untrained if config.elmo}))
        yield f"ELMo's vectors by {names} come on top; how many bytes is known once that is trained"
    readers = [config for config in readers if config not in untrained]
    found = {data: find_corpus(data, results) for data in dict.fromkeys(config.data for config in readers)}
    corpora = {data: corpus for data, corpus in found.items() if corpus}
    requests = cache_requests([one for one in readers if one.data in corpora], results, corpora.__getitem__)
    yield from _show_known(grid, requests)
    for config in {one.data: one for one in readers if one.data not in corpora}.values():
        command = _command(grid, config, "data", "--config", sections=("data.",))
        yield f"ELMo's vectors come on top, once for all runs; how many bytes is known after `{command}`"


def _show_known(grid: ExpandedGrid, requests: Sequence["CacheRequest"]) -> Iterator[str]:
    """The sum, and a line for each cache."""
    volumes = [request.cache.volume(request.layers) for request in requests]
    if volumes:
        size, missing = sum(one.bytes for one in volumes), sum(one.missing_bytes for one in volumes)
        yield f"ELMo's vectors come on top, once for all runs: {_parts(size, missing)}"
    for request, volume in zip(requests, volumes, strict=True):
        plan = request.cache.plan
        tweets = f"{', '.join(request.layers)} of {plan.tokens:,} tokens in {len(plan.offsets) - 1:,} distinct tweets"
        model = request.config.elmo.model if request.config.elmo else ""
        yield f"  {model}: {_parts(volume.bytes, volume.missing_bytes)} ({tweets})"
        if volume.missing_bytes:
            command = _command(grid, request.config, "encode", "--dry-run", sections=("data.", "elmo."))
            yield f"    how long they take on a machine is tried there by `{command}`"


def _parts(size: int, missing: int) -> str:
    there = size - missing
    return f"{missing / _GIGABYTE:.3g} GB" + (f", and {there / _GIGABYTE:.3g} GB are there" if there else "")


def _command(grid: ExpandedGrid, config: RunConfig, *words: str, sections: tuple[str, ...]) -> str:
    """A command that prepares something for one of the grid's runs; only the sections named matter to it."""
    run = grid.plan.runs[grid.configs.index(config)]
    return shlex.join(["python", "-m", "sentiment", *words, grid.plan.base, *run.overrides(*sections)])
