"""ELMo vectors for runs: the cached ones are computed before training, then they are opened for it."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

import torch

from sentiment.config import ElmoConfig, RunConfig
from sentiment.console import Console, Progress
from sentiment.data.batches import TweetVectors
from sentiment.data.corpus.corpus import Corpus, prepare_corpus
from sentiment.elmo.cache import VectorCache, open_vectors
from sentiment.elmo.encoder import Layer
from sentiment.elmo.lstm import state_record
from sentiment.elmo.models import ModelFiles
from sentiment.elmo.products import Library
from sentiment.elmo.vectors import CacheRequest, FreshVectors, build_encoder, cache_requests, elmo_cache, layers_of
from sentiment.errors import MemoryExhaustedError
from sentiment.runs.records import ElmoRecord
from sentiment.runs.run_dir import Results
from sentiment.training.context import RunContext
from sentiment.training.device import available_threads, choose_device, choose_place
from sentiment.training.stop import Stop, StoppedError, StopRequest

_GIGABYTE = 1e9


def elmo_record(config: ElmoConfig, model: ModelFiles, library: Library) -> ElmoRecord:
    """What is recorded of a run's ELMo model.

    Args:
        library: that multiplied the matrices.
    """
    return ElmoRecord(
        model=config.model,
        fingerprint=model.fingerprint,
        state=state_record(config.state),
        random=model.random,
        products=library,
    )


def _requests(configs: Sequence[RunConfig], results: Results, progress: Progress) -> list[CacheRequest]:
    return cache_requests(configs, results, lambda data: prepare_corpus(data, results, progress))


def estimate_encoding(configs: Sequence[RunConfig], results: Results, console: Console) -> None:
    """Say how many bytes the vectors of these runs take, and how long the missing ones would take on this machine.

    Raises:
        SentimentError: the data or a model cannot be used.
    """
    for request in _requests(configs, results, console.progress):
        torch.set_num_threads(available_threads(request.config.runtime))
        device, plan = choose_device(request.config.runtime.device), request.cache.plan
        volume, rate = request.cache.volume(request.layers), request.cache.tokens_per_second(request.layers, device)
        console.say(
            f"{', '.join(request.layers)} of {plan.tokens:,} tokens in {len(plan.offsets) - 1:,} distinct tweets: "
            f"{volume.bytes / _GIGABYTE:.3g} GB, of which {volume.missing_bytes / _GIGABYTE:.3g} GB are missing\n"
            f"about {volume.missing_tokens / rate / 60:,.1f} min on one such machine "
            f"({device.type}, {torch.get_num_threads()} threads, {rate:,.0f} tokens/s in a trial)"
        )


def run_encoding(
    configs: Sequence[RunConfig], results: Results, stop: StopRequest, console: Console, verify: bool = False
) -> Stop | None:
    """Compute all cached vectors that these runs will read; processes that do the same share the work.

    Args:
        verify: first read all vectors that are there, not only those whose size or modification time has changed;
            those that have changed since they were written are discarded in any case.

    Returns:
        None if all are there, else the reason to stop; the same call then continues.

    Raises:
        SentimentError: anything that a user can mend; complete shards stay.
    """
    progress = stop.interrupting(console.progress)
    try:
        for request in _requests(configs, results, progress):
            _discard_damaged(request.cache, request.layers, suspicious_only=not verify, console=console)
            fill_cache(request.config, request.cache, request.layers, progress)
            console.say(
                f"ELMo vectors of {', '.join(request.layers)} are complete in {request.cache.folder} "
                f"(matrix products by {request.cache.library})"
            )
    except StoppedError as stopped:
        return stopped.stop
    return None


def fill_cache(
    config: RunConfig, cache: VectorCache, layers: Sequence[Layer], progress: Progress, library: Library | None = None
) -> None:
    """Compute the missing vectors on the device of a run.

    Args:
        library: that multiplies the matrices if there is no vector yet; None: the fastest one here.

    Raises:
        MemoryExhaustedError: the GPU's memory does not hold the model.
        ElmoError: the disk is full or fails, or the model's file is damaged.
    """
    if cache.is_complete(layers):
        return
    torch.set_num_threads(available_threads(config.runtime))
    with _memory_errors():
        cache.fill(layers, choose_device(config.runtime.device), progress, library)


@dataclass(frozen=True)
class RunVectors:
    """The ELMo vectors that a run reads, and what is recorded of them."""

    vectors: TweetVectors
    record: ElmoRecord


def tweet_vectors(run: RunContext, corpus: Corpus, model: ModelFiles | None) -> RunVectors | None:
    """The vectors that a run reads: from the cache, which is completed first, or computed for each batch.

    Args:
        model: the run's ELMo model; None for a run without ELMo, which reads no vectors.

    Raises:
        StoppedError: there was a reason to stop; complete shards stay.
        ElmoError: the disk is full or fails, or the model's file is damaged.
        MemoryExhaustedError: the GPU's memory does not hold the model.
    """
    elmo = run.config.elmo
    if elmo is None or model is None:
        return None
    device, former = choose_device(run.config.runtime.device), run.run_dir.read_record()
    # What the run's first attempt was computed with: another library would give other digits from here on.
    library = former.elmo.products if former and former.elmo else None
    layers = layers_of(elmo)
    if model.random:
        run.console.say(f"the ELMo model {elmo.model!r} has random weights: scores say nothing about ELMo")
    if not elmo.cached:
        with _memory_errors():
            encoder = build_encoder(elmo, model, device, library)
        vectors = FreshVectors(encoder, corpus.tokens, layers, device)
        return RunVectors(vectors, elmo_record(elmo, model, encoder.library))
    cache = elmo_cache(corpus, elmo, model, run.results)
    fill_cache(run.config, cache, layers, run.progress, library)
    run.progress("checking ELMo vectors", 0, None)
    size = sum(map(cache.size, layers))
    place = choose_place(size, device)
    # Vectors that go into memory are read completely in any case, so that all of them can be checked.
    _discard_damaged(cache, layers, suspicious_only=place == "disk", console=run.console)
    fill_cache(run.config, cache, layers, run.progress)
    run.console.say(f"ELMo vectors ({', '.join(layers)}: {size / _GIGABYTE:.3g} GB) are read from {place}")
    record = elmo_record(elmo, model, cache.library or "torch")
    return RunVectors(open_vectors(cache, layers, device, place), record)


def _discard_damaged(cache: VectorCache, layers: Sequence[Layer], suspicious_only: bool, console: Console) -> None:
    for path in cache.discard_damaged(layers, suspicious_only=suspicious_only):
        console.say(f"{path}: has changed since it was written; it is computed again")


@contextmanager
def _memory_errors() -> Iterator[None]:
    try:
        yield
    except torch.OutOfMemoryError as error:
        raise MemoryExhaustedError("the GPU's memory does not hold the ELMo model") from error
