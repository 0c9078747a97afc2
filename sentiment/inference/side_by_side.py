"""Many texts read on all cores: processes tokenise them, and threads compute what a model says of them."""

import sys
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack
from itertools import chain, islice
from typing import TypeVar

from sentiment.allocation import available_cores
from sentiment.data.text.token_rows import TokenRows
from sentiment.data.text.tokenizing import start_tokenizing, tokenize_in_worker
from sentiment.models.text_model import Reading, TextModel
from sentiment.worker_processes import WorkerProcesses, in_order

CHUNK = 16_384
"""Texts that are best read together: sorted by length, they make batches that are full."""

# With fewer chunks, starting processes costs more than it saves.
_CHUNKS_WORTH_PROCESSES = 4
# Threads suffice for a model, which computes without Python's lock; more would hold up what reads and writes.
_MOST_THREADS = 4
_MOST_PROCESSES = 3

_Chunk = TypeVar("_Chunk")


def read_side_by_side(
    model: TextModel, chunks: Iterator[_Chunk], texts_of: Callable[[_Chunk], list[str]]
) -> Iterator[tuple[_Chunk, Reading]]:
    """Each chunk with what a model says of its texts, in order; while some are computed, the next ones are read.

    Raises:
        DataError: a process was killed.
    """
    # ELMo's products use all cores by themselves, and a state that it carries along needs the order.
    cores = 1 if model.sequential else available_cores()
    threads = min(_MOST_THREADS, cores)
    head = list(islice(chunks, _CHUNKS_WORTH_PROCESSES))
    processes = min(_MOST_PROCESSES, cores // 2) if len(head) == _CHUNKS_WORTH_PROCESSES else 0
    with ExitStack() as stack:
        pool = ThreadPoolExecutor(threads, "predict", None if cores == 1 else _use_one_core)
        stack.callback(pool.shutdown, cancel_futures=True)
        tokenizing = None
        if processes:
            purpose, config = "texts were tokenised", model.config.data.text
            tokenizing = stack.enter_context(WorkerProcesses(processes, purpose, start_tokenizing, config))

        def submit(chunk: _Chunk) -> "Future[Reading]":
            texts = texts_of(chunk)
            if tokenizing is None:
                return pool.submit(model.read, texts)
            return pool.submit(_read_rows, model, tokenizing.submit(tokenize_in_worker, texts))

        yield from in_order(chain(head, chunks), submit, threads + 1 + 2 * processes)


def _use_one_core() -> None:
    """Let this thread compute by itself, if a model has loaded torch."""
    if torch := sys.modules.get("torch"):
        torch.set_num_threads(1)


def _read_rows(model: TextModel, rows: "Future[TokenRows]") -> Reading:
    return model.read_rows(rows.result())
