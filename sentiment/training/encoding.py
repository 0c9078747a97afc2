"""Vectors of ELMo and transformers for runs: the cached ones are computed before training, then opened for it."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import torch

from sentiment.config import RunConfig
from sentiment.console import Console
from sentiment.data.batches import TweetVectors
from sentiment.data.corpus import Corpus, prepare_corpus
from sentiment.encoders.cache import CachedVectors, FreshVectors, VectorCache, build_encoder, cache_requests, layers_of
from sentiment.encoders.models import Files
from sentiment.errors import MemoryExhaustedError
from sentiment.runs.run_dir import Results
from sentiment.training.device import available_threads, choose_device, choose_place
from sentiment.training.stop import RunContext, Stop, StoppedError, StopRequest


@contextmanager
def _memory_errors() -> Iterator[None]:
    try:
        yield
    except torch.OutOfMemoryError as error:
        raise MemoryExhaustedError("the GPU's memory does not hold the encoder") from error


@_memory_errors()
def run_encoding(configs: Sequence[RunConfig], results: Results, stop: StopRequest, console: Console) -> Stop | None:
    """Compute all cached vectors that these runs will read; processes that do the same share the work.

    Returns:
        None if all are there, else the reason to stop; the same call then continues.

    Raises:
        SentimentError: anything that a user can mend; complete shards stay.
    """
    progress = stop.interrupting(console.progress)
    try:
        for request in cache_requests(configs, results, lambda data: prepare_corpus(data, results, progress)):
            _complete(request.config, request.cache, request.layers, Console(console.say, progress))
            console.say(f"vectors of {', '.join(request.layers)} are complete in {request.cache.folder}")
    except StoppedError as stopped:
        return stopped.stop
    return None


@_memory_errors()
def tweet_vectors(run: RunContext, corpus: Corpus, model: Files | None) -> TweetVectors | None:
    """The vectors that a run reads: from the cache, which is completed first, or computed for each batch.

    Args:
        model: whose vectors they are; None for a run that reads none.

    Raises:
        StoppedError: there was a reason to stop; complete shards stay.
        EncoderError: the disk is full or fails.
        ElmoError: the model's file is damaged.
        MemoryExhaustedError: the GPU's memory does not hold the model.
    """
    frozen = run.config.frozen
    if frozen is None or model is None:
        return None
    device, layers = choose_device(run.config.runtime.device), layers_of(frozen)
    if model.random:
        run.console.say(f"the ELMo model {frozen.model!r} has random weights: scores say nothing about ELMo")
    if not frozen.cached:
        return FreshVectors(build_encoder(frozen, model, device), corpus.tokens, layers, device)
    cache = VectorCache(corpus, frozen, model, run.results)
    _complete(run.config, cache, layers, Console(run.console.say, run.progress))
    size = cache.size(layers)
    place = choose_place(size, device)
    run.console.say(f"vectors ({', '.join(layers)}: {size / 1e9:.3g} GB) are read from {place}")
    return CachedVectors(cache, layers, device, place)


def _complete(config: RunConfig, cache: VectorCache, layers: Sequence[str], console: Console) -> None:
    """Compute what is missing or has changed since it was written."""
    for path in cache.discard_damaged(layers, console.progress):
        console.say(f"{path}: has changed since it was written; it is computed again")
    if not cache.is_complete(layers):
        torch.set_num_threads(available_threads(config.runtime))
        cache.fill(layers, choose_device(config.runtime.device), console.progress)
