"""The vectors that runs read, ELMo's or a transformer's: by which encoder, from which cache, or for each batch."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from functools import cache, partial
from pathlib import Path

import numpy as np
import torch

from sentiment.config import DataConfig, ElmoConfig, EncoderConfig, RunConfig
from sentiment.data.batches import Rows
from sentiment.data.corpus import Corpus
from sentiment.elmo.cache import BY_TWEET, MemoryRows, VectorCache
from sentiment.elmo.encoder import LAYERS, ElmoEncoder, Encoder
from sentiment.elmo.models import ElmoFinder, ModelFiles
from sentiment.elmo.products import Library
from sentiment.encoders.hub import EncoderFiles
from sentiment.runs.run_dir import Results

Frozen = ElmoConfig | EncoderConfig
Files = ModelFiles | EncoderFiles


_ORDER = [*LAYERS, "pieces", BY_TWEET]


def layers_of(config: Frozen) -> tuple[str, ...]:
    """What a classifier reads."""
    return LAYERS if config.layers == "mix" else (config.layers,)


def build_encoder(config: Frozen, model: Files, device: torch.device, library: Library | None = None) -> Encoder:
    """The encoder that a configuration asks for: our ELMo, allennlp's, or a transformer.

    Args:
        library: of our ELMo's matrix products; None: the one that suits this processor.

    Raises:
        ElmoError: a part of the model's file is damaged, torch lacks the library here, or allennlp is asked for and not
            installed.
        EncoderError: a transformer cannot be loaded.
    """
    if isinstance(config, EncoderConfig) and isinstance(model, EncoderFiles):
        from sentiment.encoders.transformer import Transformer  # loads transformers

        return Transformer(model, config.pooling, device)
    if not isinstance(config, ElmoConfig) or not isinstance(model, ModelFiles):
        raise TypeError(f"{model} is not what {config} names")
    if config.backend == "own":
        weights, options = model.read_weights(), model.options
        precision, state = config.precision, config.state
        return ElmoEncoder(options, weights, state=state, precision=precision, device=device, library=library)
    from sentiment.elmo.reference import ReferenceElmo  # loads allennlp

    return ReferenceElmo(model.options_path, model.weights_path, state=config.state, device=device)


def elmo_cache(corpus: Corpus, config: Frozen, model: Files, results: Results) -> VectorCache:
    """The cache of a model's vectors of a corpus.

    Args:
        config: state and precision, or pooling, identify the cache, together with corpus and model.
    """
    own = isinstance(config, ElmoConfig)
    settings = config.model_dump(include={"state", "precision"} if own else {"pooling"})
    build = partial(build_encoder, config, model)
    identity = {"model": model.fingerprint} | settings
    return VectorCache(corpus, identity, model.vector_size, build, results.elmo_caches, by_type=own)


@dataclass(frozen=True)
class CacheRequest:
    """A cache and all layers that any run reads from it, with the configuration of the first such run."""

    config: RunConfig
    cache: VectorCache
    layers: tuple[str, ...]


def cache_requests(
    configs: Iterable[RunConfig], results: Results, corpus_of: Callable[[DataConfig], Corpus]
) -> list[CacheRequest]:
    """The caches that runs read, each once; runs without such vectors, or without a cache, read none.

    Args:
        corpus_of: prepares or finds the corpus of a configuration; called once for each.

    Raises:
        SentimentError: a model is missing or damaged.
    """
    models, corpus_of = ElmoFinder(results), cache(corpus_of)
    found: dict[Path, CacheRequest] = {}
    for config in configs:
        if config.frozen is None or not config.frozen.cached or (model := models.of(config)) is None:
            continue
        vectors = elmo_cache(corpus_of(config.data), config.frozen, model, results)
        request = found.get(vectors.folder) or CacheRequest(config, vectors, ())
        layers = {*request.layers, *layers_of(config.frozen)}
        found[vectors.folder] = replace(request, layers=tuple(sorted(layers, key=_ORDER.index)))
    return list(found.values())


class FreshVectors:
    """Computes the vectors for each batch.

    Args:
        tokens_of: the tokens of the tweet in a row.
        device: on which the vectors are wanted.
    """

    ahead = False

    def __init__(
        self,
        encoder: Encoder,
        tokens_of: Callable[[int], Sequence[str]],
        layers: Sequence[str],
        device: torch.device,
    ) -> None:
        self._encoder, self._tokens_of, self._layers, self._device = encoder, tokens_of, layers, device

    def gather(self, rows: Rows, longest: int) -> dict[str, torch.Tensor]:
        tweets = [self._tokens_of(row) for row in rows.tolist()]
        lengths = np.fromiter(map(len, tweets), np.int64, len(tweets))
        starts = np.cumsum(lengths) - lengths
        found = {}
        for name, values in self._encoder.encode(tweets, self._layers).items():
            if name == BY_TWEET:
                found[name] = values[:, None].to(self._device)
            else:
                found[name] = MemoryRows(values).gather(starts, lengths, longest).to(self._device).float()
        return found
