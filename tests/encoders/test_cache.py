"""A corpus' vectors are computed once, are the encoder's, and survive what happens to files."""

import os
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from jobs.job_kinds import JOB_KINDS
from sentiment.config import ElmoConfig
from sentiment.data.corpus import Corpus
from sentiment.encoders import shards as shards_module
from sentiment.encoders.cache import CachedVectors, Storage, VectorCache, layers_of
from sentiment.encoders.elmo import LAYERS, ElmoEncoder, Layer
from sentiment.encoders.elmo_files import read_weights
from sentiment.encoders.pretrained import ElmoFiles, find_elmo
from sentiment.encoders.shards import shard_spans
from sentiment.errors import EncoderError
from sentiment.runs.run_dir import Results
from sentiment.training.encoding import choose_storage
from sentiment.training.stop import Stop
from tests.data.made_up import prepare
from tests.encoders.random_elmo import write_random_model
from tests.encoders.tweets import of_tweet
from tests.runs.test_code_version import ELMO
from tests.small_runs import invented_tweets, limited_file_size, write_tweets

CPU = torch.device("cpu")


def config(**changes: object) -> ElmoConfig:
    return ElmoConfig.model_validate(changes)


def corpus_of(folder: Path, tweets: int) -> Corpus:
    return prepare(write_tweets(folder / "tweets.csv", invented_tweets(tweets)), Results(folder))


def cache_of(corpus: Corpus, model: ElmoFiles, root: Path, **changes: object) -> VectorCache:
    return VectorCache(corpus, config(**changes), model, Results(root))


def filled(cache: VectorCache, layers: Sequence[Layer] = LAYERS) -> VectorCache:
    cache.fill(layers, CPU)
    return cache


def opened(cache: VectorCache, elmo: ElmoConfig, storage: Storage = "disk") -> CachedVectors:
    return CachedVectors(cache, layers_of(elmo), CPU, storage)


def bytes_by_name(cache: VectorCache) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in sorted(cache.folder.glob("*.npy"))}


@pytest.fixture(autouse=True)
def _small_shards(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shards_module, "_MIN_TOKENS", 1000)
    monkeypatch.setattr(shards_module, "_TYPES_PER_SHARD", 40)


@pytest.fixture(scope="module")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> Corpus:
    return corpus_of(tmp_path_factory.mktemp("corpus"), 300)


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> ElmoFiles:
    folder = tmp_path_factory.mktemp("model")
    write_random_model(folder)
    return find_elmo(str(folder), folder)


@pytest.fixture
def cache(corpus: Corpus, model: ElmoFiles, tmp_path: Path) -> VectorCache:
    return cache_of(corpus, model, tmp_path)


def _again(cache: VectorCache, corpus: Corpus, model: ElmoFiles) -> VectorCache:
    return cache_of(corpus, model, cache.folder.parents[2])


def test_a_cache_is_of_the_code_that_computes_its_vectors(
    cache: VectorCache, corpus: Corpus, model: ElmoFiles, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[tuple[str, ...]] = []
    monkeypatch.setattr("sentiment.encoders.cache.code_of", lambda *modules: str(asked.append(modules)))
    assert _again(cache, corpus, model).folder != cache.folder
    assert asked == [ELMO]


@given(st.lists(st.integers(1, 4), min_size=1, max_size=30), st.integers(1, 9))
@settings(deadline=None)
def test_shards_have_each_tweet_once_and_cut_none(lengths: list[int], shard: int) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(shards_module, "_MIN_TOKENS", shard)
        spans = shard_spans(np.cumsum([0, *lengths]))
    assert [number for start, end in spans for number in range(start, end)] == list(range(len(lengths)))
    assert all(start < end for start, end in spans)
    assert all(sum(lengths[start : end - 1]) < shard + 4 for start, end in spans)


@pytest.mark.parametrize(("storage", "state"), [("GPU memory", "zero"), ("disk", "warm")])
def test_cached_vectors_are_those_of_the_encoder(
    corpus: Corpus, model: ElmoFiles, tmp_path: Path, storage: Storage, state: Any
) -> None:
    cache = filled(cache_of(corpus, model, tmp_path, state=state))
    assert len(cache.tweet_spans) > 2
    assert len(cache.spans("token")) > 1
    rough = opened(filled(cache_of(corpus, model, tmp_path, state=state, precision="bf16")), config(), storage)
    elmo = ElmoEncoder(model.options, read_weights(model.weights_path, model.options), state=state)
    vectors = opened(cache, config(), storage)
    rows = np.random.default_rng(0).permutation(len(corpus.labels))[:64].astype(np.int64)
    found = vectors.gather(rows, int(np.diff(corpus.offsets)[rows].max()))
    tweets = [corpus.tokens(row) for row in rows]
    encoded = elmo.encode(tweets)
    assert set(found) == set(LAYERS)
    in_bf16 = rough.gather(rows, found["top"].shape[1])["top"]
    assert not torch.equal(in_bf16, found["top"])
    torch.testing.assert_close(in_bf16, found["top"], atol=0.03, rtol=0)
    for number, tweet in enumerate(tweets):
        for layer, wanted in of_tweet(encoded, tweets, number).items():
            padded = found[layer][number]
            torch.testing.assert_close(padded[: len(tweet)], wanted, atol=2e-3, rtol=0)
            assert not padded[len(tweet) :].any()


def test_caches_of_different_vectors_have_different_folders(corpus: Corpus, model: ElmoFiles, tmp_path: Path) -> None:
    different: list[dict[str, Any]] = [{}, {"state": "zero"}, {"precision": "bf16"}]
    folders = {cache_of(corpus, model, tmp_path, **changes).folder.name for changes in different}
    folders.add(cache_of(corpus_of(tmp_path, 301), model, tmp_path).folder.name)
    assert len(folders) == 4
    assert cache_of(corpus, model, tmp_path, layers="top", combine="alone", dropout=0.5).folder.name in folders


def test_a_later_layer_equals_all_at_once(cache: VectorCache, corpus: Corpus, model: ElmoFiles, tmp_path: Path) -> None:
    filled(cache, ["first"])
    assert cache.is_complete(["first"])
    assert cache.is_complete(["token"])
    assert not cache.is_complete(["top"])
    written = {path: path.stat().st_mtime_ns for path in cache.folder.glob("first-*")}
    first_time = cache.record()
    filled(cache, ["token", "top"])
    assert 0 < first_time.cpu_seconds < cache.record().cpu_seconds
    assert cache.record().gpu_seconds == 0
    assert {path: path.stat().st_mtime_ns for path in cache.folder.glob("first-*")} == written
    at_once = filled(cache_of(corpus, model, tmp_path / "other"))
    assert bytes_by_name(cache) == bytes_by_name(at_once)


@pytest.mark.parametrize(
    ("storage", "layer", "damage"),
    [
        ("GPU memory", "top", "flipped"),
        ("disk", "first", "truncated"),
        ("disk", "token", "empty"),
        ("disk", "top", "deleted"),
    ],
)
def test_damaged_shard_is_never_read_but_named_and_computed_again_and_no_other(
    cache: VectorCache, corpus: Corpus, model: ElmoFiles, storage: Storage, layer: Layer, damage: str
) -> None:
    everything = bytes_by_name(filled(cache))
    victim = cache.shard_file(layer, 1)
    content = bytearray(victim.read_bytes())
    content[len(content) // 2] ^= 1
    victim.write_bytes({"flipped": content, "truncated": content[:-1]}.get(damage, b""))
    if damage == "deleted":
        victim.unlink()
    with pytest.raises(EncoderError, match=rf"{layer}-00001\.npy.*run the same command again"):
        opened(cache, config(), storage)
    again = _again(cache, corpus, model)
    kept = {path: path.stat().st_ino for path in cache.folder.glob("*.npy")}
    assert again.missing(layer) == [1]
    assert bytes_by_name(filled(again)) == everything
    assert kept.items() <= {path: path.stat().st_ino for path in cache.folder.glob("*.npy")}.items()
    assert {path.name.split("-")[0] for path in cache.folder.iterdir()} == {"compute", *LAYERS}


def test_full_disk_keeps_complete_shards(cache: VectorCache, corpus: Corpus, model: ElmoFiles, tmp_path: Path) -> None:
    everything = bytes_by_name(filled(cache_of(corpus, model, tmp_path / "other")))
    with limited_file_size(20_000), pytest.raises(EncoderError, match=r"written: .*too large.*complete shards"):
        filled(cache)
    assert not cache.is_complete(LAYERS)
    assert not list(cache.folder.glob(".*.tmp"))
    assert bytes_by_name(filled(cache)) == everything


def test_half_shard_of_a_killed_process_is_deleted_when_the_cache_is_filled_later(cache: VectorCache) -> None:
    cache.folder.mkdir(parents=True)
    half = cache.folder / ".first-00000.npy.n1.tmp"
    half.touch()
    os.utime(half, (0, 0))
    cache.fill(["first"], CPU)
    assert not half.exists()


def test_vectors_that_are_too_large_to_be_stored_are_refused(
    cache: VectorCache, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In 16 bits they would be infinite, and the loss of each run on them no number."""
    encode = ElmoEncoder.encode

    def larger(self: ElmoEncoder, tweets: Sequence[Sequence[str]], layers: Sequence[str]) -> dict[str, torch.Tensor]:
        return {layer: 1e6 * vectors for layer, vectors in encode(self, tweets, layers).items()}

    monkeypatch.setattr(ElmoEncoder, "encode", larger)
    with pytest.raises(EncoderError, match=r"first-0000\d\.npy: .*too large for float16"):
        filled(cache, ["first"])


def test_lack_of_room_is_said_before_anything_is_computed(cache: VectorCache, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sentiment.encoders.cache.shutil.disk_usage", lambda path: SimpleNamespace(free=1000))
    monkeypatch.setattr("sentiment.encoders.cache.ElmoEncoder", lambda *_, **__: pytest.fail("was built"))
    with pytest.raises(EncoderError, match=r"needs 0\.\d+ GB, but 1e-06 GB are free"):
        filled(cache)


def test_shard_that_another_process_completes_first_stays(cache: VectorCache, corpus: Corpus, model: ElmoFiles) -> None:
    """Both have the same bits on one machine; on two, no run may see vectors change under it."""

    def files() -> dict[Path, int]:
        return {path: path.stat().st_ino for path in cache.folder.glob("*.npy")}

    written: dict[Path, int] = {}

    def progress(what: str, done: int, total: int | None) -> None:
        if what == "vectors of tweets" and not written:
            filled(_again(cache, corpus, model))
            written.update(files())

    cache.fill(LAYERS, CPU, progress)
    assert files() == written


def test_what_stops_the_work_leaves_complete_shards_and_the_rest_is_told_on(cache: VectorCache, corpus: Corpus) -> None:
    half, told = len(corpus.token_ids) // 2, [0]

    def progress(what: str, done: int, total: int | None) -> None:
        if what == "vectors of tweets":
            told.append(done)
            if len(told) == 4:
                raise Stop("signal", "SIGTERM")

    with pytest.raises(Stop):
        cache.fill(LAYERS, CPU, progress)
    assert 0 < len(cache.missing("top")) < len(cache.tweet_spans)
    assert cache.missing("token") == []
    cache.fill(LAYERS, CPU, progress)
    assert told == sorted(told)
    assert half < told[-1] < len(corpus.token_ids)


def test_stop_before_a_shard_is_complete_is_no_progress_of_a_job_although_its_time_is_recorded(
    cache: VectorCache,
) -> None:
    """Else a job whose shards take longer than its time limit would be requeued for ever."""

    def stop(*_: object) -> None:
        raise Stop("deadline", "")

    saved = partial(JOB_KINDS["cache"].progress, Results(cache.folder.parents[2]))
    with pytest.raises(Stop):
        cache.fill(LAYERS, CPU, stop)
    assert [path.suffix for path in cache.folder.iterdir()] == [".json"]
    assert saved() == 0
    assert sum(map(len, bytes_by_name(filled(cache)).values())) == saved()


def test_shard_that_is_truncated_or_vanishes_while_it_is_read_is_an_error(cache: VectorCache) -> None:
    filled(cache)
    vectors = opened(cache, config(layers="top"), "disk")
    victim = cache.shard_file("top", 0)
    with open(victim, "r+b") as file:
        file.truncate(200)
    with pytest.raises(EncoderError, match="a shard was truncated"):
        vectors.gather(np.arange(10), 25)
    victim.unlink()
    with pytest.raises(EncoderError, match=r"top-00000\.npy.*again"):
        opened(cache, config(layers="top"), "disk")


def test_vectors_take_their_part_of_a_gpu_that_runs_share(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("torch.cuda.mem_get_info", lambda _device: (80, 100))
    gpu = torch.device("cuda")
    assert [choose_storage(needed, gpu) for needed in (48, 49)] == ["GPU memory", "disk"]
    monkeypatch.setenv("SENTIMENT_RUNS_ON_GPU", "4")
    assert [choose_storage(needed, gpu) for needed in (15, 16)] == ["GPU memory", "disk"]
    assert choose_storage(1, torch.device("cpu")) == "disk"
