"""Which caches of ELMo vectors runs read, each cache once however many runs read it."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from functools import cache

from sentiment.config import DataConfig, RunConfig
from sentiment.data.corpus.corpus import Corpus
from sentiment.elmo.cache.cache import VectorCache, layers_of
from sentiment.elmo.encoder import LAYERS, Layer
from sentiment.elmo.models import ElmoFinder
from sentiment.run_dir import Results


@dataclass(frozen=True)
class CacheRequest:
    """A cache and the layers that runs read from it."""

    config: RunConfig
    """The configuration of the first run that reads it."""
    cache: VectorCache
    layers: tuple[Layer, ...]
    """All that any run reads."""


def cache_requests(
    configs: Iterable[RunConfig], results: Results, corpus_of: Callable[[DataConfig], Corpus]
) -> list[CacheRequest]:
    """The caches that runs read; runs without ELMo, or without a cache, read none.

    Args:
        corpus_of: prepares or finds the corpus of a configuration; called once for each.

    Raises:
        ElmoError: a model is missing or damaged.
    """
    models = ElmoFinder(results)
    corpus_of = cache(corpus_of)
    found: dict[str, CacheRequest] = {}
    for config in configs:
        if config.elmo is None or not config.elmo.cached or (model := models.of(config)) is None:
            continue
        vectors = VectorCache(corpus_of(config.data), config.elmo, model, results.elmo_caches)
        request = found.get(vectors.folder.path.name) or CacheRequest(config, vectors, ())
        layers = sorted({*request.layers, *layers_of(config.elmo)}, key=LAYERS.index)
        found[vectors.folder.path.name] = replace(request, layers=tuple(layers))
    return list(found.values())
