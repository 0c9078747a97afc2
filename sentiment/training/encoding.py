"""Vectors of ELMo and transformers for runs: the cached ones are computed before training, then opened for it."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

import torch

from sentiment.config import ElmoConfig, RunConfig
from sentiment.console import Console
from sentiment.data.batches import TweetVectors
from sentiment.data.corpus import Corpus, prepare_corpus
from sentiment.elmo.cache import CachedVectors, VectorCache
from sentiment.elmo.encoder import PRECISIONS
from sentiment.elmo.products import Library, choose_library
from sentiment.elmo.vectors import Files, FreshVectors, Frozen, build_encoder, cache_requests, elmo_cache, layers_of
from sentiment.encoders.hub import EncoderFiles
from sentiment.errors import MemoryExhaustedError
from sentiment.runs.records import ElmoRecord
from sentiment.runs.run_dir import Results
from sentiment.training.device import available_threads, choose_device, choose_place
from sentiment.training.stop import RunContext, Stop, StoppedError, StopRequest


def elmo_record(config: Frozen, model: Files, library: Library) -> ElmoRecord:
    """What is recorded of the model whose vectors a run reads, and of the library that multiplied the matrices."""
    record = ElmoRecord(model=config.model, fingerprint=model.fingerprint, random=model.random, products=library)
    if not isinstance(model, EncoderFiles) or (told := model.fetched) is None:
        return record
    return record.model_copy(update={"commit": told.commit, "licence": told.licence, "papers": told.papers})


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
            cache, layers = request.cache, request.layers
            library = _complete(request.config, cache, layers, Console(console.say, progress))
            console.say(f"vectors of {', '.join(layers)} are complete in {cache.folder} (matrix products by {library})")
    except StoppedError as stopped:
        return stopped.stop
    return None


@dataclass(frozen=True)
class RunVectors:
    """The vectors that a run reads, and what is recorded of them."""

    vectors: TweetVectors
    record: ElmoRecord


@_memory_errors()
def tweet_vectors(run: RunContext, corpus: Corpus, model: Files | None) -> RunVectors | None:
    """The vectors that a run reads: from the cache, which is completed first, or computed for each batch.

    Args:
        model: whose vectors they are; None for a run that reads none.

    Raises:
        StoppedError: there was a reason to stop; complete shards stay.
        ElmoError: the disk is full or fails, or the model's file is damaged.
        MemoryExhaustedError: the GPU's memory does not hold the model.
    """
    elmo = run.config.frozen
    if elmo is None or model is None:
        return None
    former = run.run_dir.read_record()
    device, layers = choose_device(run.config.runtime.device), layers_of(elmo)
    # What the run's first attempt was computed with: another library would give other digits from here on.
    begun = former.elmo.products if former and former.elmo else None
    if model.random:
        run.console.say(f"the ELMo model {elmo.model!r} has random weights: scores say nothing about ELMo")
    if not elmo.cached:
        library = begun or _library(elmo, device)
        fresh = FreshVectors(build_encoder(elmo, model, device, library), corpus.tokens, layers, device)
        return RunVectors(fresh, elmo_record(elmo, model, library))
    cache = elmo_cache(corpus, elmo, model, run.results)
    library = _complete(run.config, cache, layers, Console(run.console.say, run.progress), begun)
    size = cache.size(layers)
    place = choose_place(size, device)
    run.console.say(f"vectors ({', '.join(layers)}: {size / 1e9:.3g} GB) are read from {place}")
    return RunVectors(CachedVectors(cache, layers, device, place), elmo_record(elmo, model, library))


def _complete(
    config: RunConfig, cache: VectorCache, layers: Sequence[str], console: Console, begun: Library | None = None
) -> Library:
    """Compute what is missing or has changed since it was written; the library that multiplied the matrices."""
    for path in cache.discard_damaged(layers, console.progress):
        console.say(f"{path}: has changed since it was written; it is computed again")
    device = choose_device(config.runtime.device)
    library = begun or _library(config.frozen, device)
    if not cache.is_complete(layers):
        torch.set_num_threads(available_threads(config.runtime))
        cache.fill(layers, device, console.progress, library)
    return cache.library or library


def _library(config: Frozen | None, device: torch.device) -> Library:
    """What multiplies the matrices of a run's vectors unless they were begun otherwise."""
    if not isinstance(config, ElmoConfig) or config.backend != "own":
        return "torch"
    return choose_library(PRECISIONS[config.precision], device)
