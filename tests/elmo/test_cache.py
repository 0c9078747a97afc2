"""A corpus' vectors are computed once, are the encoder's, and survive what happens to files."""

import json
import shutil
from itertools import pairwise
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from sentiment.data.corpus.corpus import Corpus
from sentiment.elmo.cache import cache as cache_module
from sentiment.elmo.cache import filler as filler_module
from sentiment.elmo.cache import plan as plan_module
from sentiment.elmo.cache.cache import VectorCache, layers_of, parts_of
from sentiment.elmo.cache.files import CacheFolder
from sentiment.elmo.cache.placement import Place
from sentiment.elmo.cache.plan import plan_cache
from sentiment.elmo.encoder import LAYERS, ElmoEncoder
from sentiment.elmo.models import ModelFiles
from sentiment.elmo.products import Library, available_libraries
from sentiment.errors import ElmoError
from sentiment.lock import ProcessLock
from sentiment.training.stop import Stop, StoppedError
from tests.elmo.corpora import CPU, bytes_by_name, config, corpus_of, filled, opened, some_rows, tiny_model
from tests.small_runs import limited_file_size

needs_onednn = pytest.mark.skipif("onednn" not in available_libraries(torch.float32), reason="torch has no oneDNN here")


@pytest.fixture(autouse=True)
def _small_shards(monkeypatch: pytest.MonkeyPatch) -> None:
    """A small corpus has several."""
    monkeypatch.setattr(plan_module, "_LEAST_TOKENS", 2000)
    monkeypatch.setattr(plan_module, "_TYPES_PER_SHARD", 40)


@pytest.fixture(scope="module")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> Corpus:
    return corpus_of(tmp_path_factory.mktemp("corpus"), 600)


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> ModelFiles:
    return tiny_model(tmp_path_factory.mktemp("model"))


@pytest.fixture
def cache(corpus: Corpus, model: ModelFiles, tmp_path: Path) -> VectorCache:
    return VectorCache(corpus, config(), model, tmp_path)


def _again(cache: VectorCache, corpus: Corpus, model: ModelFiles) -> VectorCache:
    """The same cache, opened anew."""
    return VectorCache(corpus, config(), model, cache.folder.path.parent)


def _made_up_corpus(tweets: list[list[int]]) -> Any:
    offsets = np.cumsum([0, *map(len, tweets)]).astype(np.int64)
    token_ids = np.array([token for tweet in tweets for token in tweet], np.int32)
    return SimpleNamespace(token_ids=token_ids, offsets=offsets, types=list("abcd"))


@given(st.lists(st.lists(st.integers(0, 3), max_size=4), min_size=1, max_size=30), st.integers(1, 9))
@settings(deadline=None)
def test_plan_has_each_distinct_tweet_once_and_shards_cut_none(tweets: list[list[int]], shard: int) -> None:
    plan = plan_cache(_made_up_corpus(tweets))
    distinct = [plan.token_types[start:end].tolist() for start, end in pairwise(plan.offsets)]
    assert [distinct[number] for number in plan.tweet_of_row] == tweets
    assert len({tuple(tweet) for tweet in distinct}) == len(distinct)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(plan_module, "_LEAST_TOKENS", shard)
        spans = plan.tweet_spans
    covered = [number for start, end in spans for number in range(start, end)]
    assert covered == list(range(len(distinct)))
    assert all(start < end for start, end in spans)


@pytest.mark.parametrize("place", ["RAM", "disk"])
@pytest.mark.parametrize("state", ["zero", "warm"])
def test_cached_vectors_are_those_of_the_encoder(
    corpus: Corpus, model: ModelFiles, tmp_path: Path, place: Place, state: Any
) -> None:
    chosen = config(state=state)
    cache = filled(VectorCache(corpus, chosen, model, tmp_path))
    assert len(cache.plan.tweet_spans) > 2
    assert len(cache.plan.type_spans) > 1
    elmo, vectors = ElmoEncoder(model.options, model.read_weights(), state=state), opened(cache, chosen, place)
    rows = some_rows(corpus, 64)
    longest = int(corpus.lengths()[rows].max())
    found = vectors.gather(rows, longest)
    wanted = elmo.encode([corpus.tokens(row) for row in rows])
    assert set(found) == set(LAYERS)
    for layer in LAYERS:
        assert found[layer].dtype == torch.float32
        for place_in_batch, row in enumerate(rows):
            length = int(corpus.lengths()[row])
            torch.testing.assert_close(
                found[layer][place_in_batch, :length], wanted.of_tweet(place_in_batch, layer), atol=2e-3, rtol=0
            )
            assert not found[layer][place_in_batch, length:].any()


def test_memory_and_disk_give_the_same_bits(cache: VectorCache, corpus: Corpus) -> None:
    filled(cache)
    for longest in (5, 25):
        rows = some_rows(corpus, 40, seed=longest)
        rows = rows[corpus.lengths()[rows] <= longest]
        from_ram, from_disk = (opened(cache, config(), place).gather(rows, longest) for place in ("RAM", "disk"))
        for layer in LAYERS:
            assert torch.equal(from_ram[layer], from_disk[layer])


def test_complete_cache_needs_no_encoder(
    cache: VectorCache, corpus: Corpus, model: ModelFiles, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = bytes_by_name(filled(cache))
    monkeypatch.setattr(cache_module, "build_own_encoder", lambda *_: pytest.fail("was built"))
    again = _again(cache, corpus, model)
    assert again.is_complete(LAYERS)
    assert bytes_by_name(filled(again)) == before


def test_another_layer_later_leaves_the_others_alone_and_equals_all_at_once(
    cache: VectorCache, corpus: Corpus, model: ModelFiles, tmp_path: Path
) -> None:
    filled(cache, ["first"])
    assert cache.is_complete(["first"])
    assert cache.is_complete(["token"])
    assert not cache.is_complete(["top"])
    written = {path: path.stat().st_mtime_ns for path in cache.folder.path.glob("first-*")}
    filled(cache, ["token", "top"])
    assert {path: path.stat().st_mtime_ns for path in cache.folder.path.glob("first-*")} == written
    at_once = filled(VectorCache(corpus, config(), model, tmp_path / "other"))
    assert bytes_by_name(cache) == bytes_by_name(at_once)


def test_caches_of_different_vectors_have_different_folders(corpus: Corpus, model: ModelFiles, tmp_path: Path) -> None:
    different = [
        {},
        {"state": "zero"},
        {"precision": "bf16"},
    ]
    folders = {VectorCache(corpus, config(**changes), model, tmp_path).folder for changes in different}
    assert len(folders) == len(different)
    same = [{"layers": "top"}, {"combine": "alone"}, {"dropout": 0.5}]
    assert {VectorCache(corpus, config(**changes), model, tmp_path).folder for changes in same} <= folders


def _choosing(monkeypatch: pytest.MonkeyPatch, library: Library) -> None:
    monkeypatch.setattr("sentiment.elmo.products.fastest_library", lambda precision: library)


@pytest.mark.slow
@needs_onednn
def test_first_process_decides_which_library_multiplies_for_the_whole_cache(
    cache: VectorCache, corpus: Corpus, model: ModelFiles, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    _choosing(monkeypatch, "onednn")
    filled(cache, ["first"])
    _choosing(monkeypatch, "torch")
    again = filled(_again(cache, corpus, model))
    assert again.library == "onednn"
    assert json.loads((cache.folder.path / "plan.json").read_bytes())["products"] == "onednn"
    at_once = VectorCache(corpus, config(), model, tmp_path / "other")
    at_once.fill(LAYERS, CPU, library="onednn")
    assert bytes_by_name(again) == bytes_by_name(at_once)
    assert again.identity == at_once.identity
    others = filled(VectorCache(corpus, config(), model, tmp_path / "by torch"))
    assert others.identity != again.identity
    assert bytes_by_name(others) != bytes_by_name(again)


def test_second_of_two_that_decide_at_once_takes_the_first_ones_library(
    cache: VectorCache, monkeypatch: pytest.MonkeyPatch
) -> None:
    cache.folder.settle_library("torch")
    looks = iter([None, "torch"])  # the second process has looked before the first one decided
    with monkeypatch.context() as patch:
        patch.setattr(CacheFolder, "library", lambda folder: next(looks))
        cache.folder.settle_library("onednn")
    assert cache.library == "torch"
    assert not list((cache.folder.path / "claims").iterdir())


def test_shard_without_its_record_is_computed_again(cache: VectorCache, corpus: Corpus, model: ModelFiles) -> None:
    """As after a kill between the two."""
    everything = bytes_by_name(filled(cache))
    cache.folder.part_file("top").unlink()
    again = _again(cache, corpus, model)
    assert again.missing("top") == list(range(len(cache.plan.tweet_spans)))
    assert not again.is_complete(LAYERS)
    assert bytes_by_name(filled(again)) == everything


def test_shard_that_is_missing_or_in_work_is_no_damage(cache: VectorCache) -> None:
    """Another process writes a shard's record after the shard: until then it must be left alone."""
    cache.fill(("top",), torch.device("cpu"))
    in_work, missing = cache.folder.shard_file("top", 0), cache.folder.shard_file("top", 1)
    cache.folder.part_file("top").unlink()
    missing.unlink()
    assert cache.discard_damaged(("top",), suspicious_only=True) == []
    assert in_work.exists()


def test_truncated_shard_is_noticed_by_its_size(cache: VectorCache, corpus: Corpus, model: ModelFiles) -> None:
    everything = bytes_by_name(filled(cache))
    victim = cache.folder.shard_file("first", 1)
    victim.write_bytes(victim.read_bytes()[:-1])
    again = _again(cache, corpus, model)
    assert again.missing("first") == [1]
    assert bytes_by_name(filled(again)) == everything


@pytest.mark.parametrize("part", ["types", "first", "top"])
@pytest.mark.parametrize("suspicious_only", [False, True])
def test_changed_byte_is_found_and_mended(
    cache: VectorCache, corpus: Corpus, model: ModelFiles, part: Any, suspicious_only: bool
) -> None:
    everything = bytes_by_name(filled(cache))
    victim = cache.folder.shard_file(part, 0)
    content = bytearray(victim.read_bytes())
    content[len(content) // 2] ^= 1
    victim.write_bytes(content)
    again = _again(cache, corpus, model)
    assert again.discard_damaged(LAYERS, suspicious_only) == [victim]
    assert again.discard_damaged(LAYERS, suspicious_only) in ([], [victim])
    assert bytes_by_name(filled(again)) == everything
    assert again.discard_damaged(LAYERS, suspicious_only=False) == []


def test_untouched_files_are_not_read_again_where_only_suspicious_ones_are(
    cache: VectorCache, monkeypatch: pytest.MonkeyPatch
) -> None:
    filled(cache)
    monkeypatch.setattr("sentiment.elmo.cache.files.sha256_of", lambda path: pytest.fail(f"{path} was read"))
    assert cache.discard_damaged(LAYERS, suspicious_only=True) == []


def test_full_disk_is_an_error_that_keeps_what_was_complete(
    cache: VectorCache, corpus: Corpus, model: ModelFiles, tmp_path: Path
) -> None:
    everything = bytes_by_name(filled(VectorCache(corpus, config(), model, tmp_path / "other")))
    with limited_file_size(20_000), pytest.raises(ElmoError, match=r"cannot be written: .*too large.*complete shards"):
        filled(cache)
    assert not cache.is_complete(LAYERS)
    assert not list(cache.folder.path.glob(".*.tmp"))
    assert bytes_by_name(filled(cache)) == everything


def test_lack_of_room_is_said_before_anything_is_computed(cache: VectorCache, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cache_module.shutil, "disk_usage", lambda path: SimpleNamespace(free=1000))
    monkeypatch.setattr(cache_module, "build_own_encoder", lambda *_: pytest.fail("was built"))
    with pytest.raises(ElmoError, match=r"needs 0\.\d+ GB, but 1e-06 GB are free"):
        filled(cache)


def test_shard_that_another_process_computes_is_waited_for(
    cache: VectorCache, corpus: Corpus, model: ModelFiles, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(filler_module, "_WAIT_SECONDS", 0)
    everything = bytes_by_name(filled(VectorCache(corpus, config(), model, tmp_path / "other")))
    claim_file = cache.folder.claim_file("first", 1)
    claim_file.parent.mkdir(parents=True)
    claim = ProcessLock(claim_file)
    claim.__enter__()
    waited = []

    def progress(what: str, done: int, total: int | None) -> None:
        if "waiting" in what and not waited:
            waited.append((done, total))
            assert cache.missing("first") == [1]
            claim.__exit__()

    cache.fill(LAYERS, CPU, progress)
    shards = len(cache.plan.tweet_spans)
    assert waited == [(shards - 1, shards)]
    assert bytes_by_name(cache) == everything


def test_what_stops_the_work_leaves_complete_shards(cache: VectorCache) -> None:
    def progress(what: str, done: int, total: int | None) -> None:
        if what == "ELMo shards" and done == 2:
            raise StoppedError(Stop("signal", "SIGTERM"))

    with pytest.raises(StoppedError):
        cache.fill(LAYERS, CPU, progress)
    assert len(cache.missing("top")) == len(cache.plan.tweet_spans) - 2
    assert cache.missing("types") == []


def test_estimate_counts_the_bytes_that_come(cache: VectorCache) -> None:
    estimate = cache.estimate(LAYERS, CPU)
    assert estimate.bytes == estimate.missing_bytes
    assert estimate.missing_tokens == cache.plan.tokens
    assert estimate.seconds > 0
    filled(cache, ["first"])
    arrays = sum(array.nbytes for part in ("types", "first") for array in cache.shards(part))  # type: ignore[arg-type]
    assert cache.estimate(["first"], CPU).bytes == arrays
    assert cache.estimate(["first"], CPU).missing_bytes == 0
    assert cache.estimate(LAYERS, CPU).missing_bytes == estimate.bytes - arrays


def test_volume_is_told_without_writing_anything_and_what_is_there_is_not_missing(
    cache: VectorCache, corpus: Corpus, model: ModelFiles
) -> None:
    volume = cache.volume(LAYERS)
    assert volume.missing_bytes == volume.bytes
    assert not cache.folder.path.exists()
    filled(cache)
    assert volume.bytes == sum(array.nbytes for part in parts_of(LAYERS) for array in cache.shards(part))
    again = _again(cache, corpus, model).volume(LAYERS)
    assert (again.bytes, again.missing_bytes, again.missing_tokens) == (volume.bytes, 0, 0)


def test_records_say_whether_a_model_saturates(cache: VectorCache) -> None:
    filled(cache)
    record = cache.folder.record("first", 0)
    assert record is not None
    assert record["largest_value"] == float(np.abs(cache.shards("first")[0]).max())
    assert record["share_at_or_beyond_clip"] == 0


def test_folder_of_a_complete_cache_holds_nothing_but_it(cache: VectorCache) -> None:
    filled(cache)
    (cache.folder.path / ".first-00000.npy.1.tmp").write_bytes(b"of a writer that was killed")
    filled(cache)
    names = {path.name.split("-")[0] for path in cache.folder.path.iterdir() if path.is_file()}
    plan = {"plan.json", "tweet_of_row.npy", "offsets.npy", "token_types.npy"}
    assert names == plan | {part + ending for part in ("types", "first", "top") for ending in (".json", "")}
    assert not list((cache.folder.path / "claims").iterdir())


def test_missing_shard_file_is_named(cache: VectorCache) -> None:
    filled(cache)
    vectors = opened(cache, config(layers="top"), "disk")
    victim = cache.folder.shard_file("top", 0)
    with open(victim, "r+b") as file:
        file.truncate(200)
    with pytest.raises(ElmoError, match=r"top-00000\.npy: was truncated"):
        vectors.gather(np.arange(10), 25)
    victim.unlink()
    with pytest.raises(ElmoError, match=r"top-00000\.npy: cannot be read .*the same command computes it again"):
        opened(cache, config(layers="top"), "disk")


def test_damaged_plan_is_an_error_that_says_what_to_do(
    cache: VectorCache, corpus: Corpus, model: ModelFiles, tmp_path: Path
) -> None:
    filled(cache)
    (cache.folder.path / "offsets.npy").write_bytes(b"nonsense")
    with pytest.raises(ElmoError, match=r"plan of the cache is damaged.*delete the folder"):
        _again(cache, corpus, model).is_complete(LAYERS)
    shutil.rmtree(cache.folder.path)
    filled(_again(cache, corpus, model))


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("plan.json", "[]"),
        ("plan.json", "{}"),
        ("plan.json", '{"types": "x"}'),
        ("plan.json", '{"types": 1}'),
        ("top.json", "[]"),
        ("top.json", '{"0": []}'),
        ("top.json", '{"0": {"size": "x"}}'),
        ("top.json", "[" * 100_000),
    ],
)
def test_odd_records_are_damage_like_any_other(
    cache: VectorCache, corpus: Corpus, model: ModelFiles, name: str, content: str
) -> None:
    filled(cache)
    (cache.folder.path / name).write_text(content)
    with pytest.raises(ElmoError, match="delete") as caught:
        _again(cache, corpus, model).is_complete(LAYERS)
    assert len(str(caught.value)) < 400


@pytest.mark.parametrize("name", ["tweet_of_row", "offsets", "token_types"])
@pytest.mark.parametrize("value", [-1, 10**6])
def test_plan_that_refers_to_what_is_not_there_is_damaged(
    cache: VectorCache, corpus: Corpus, model: ModelFiles, name: str, value: int
) -> None:
    filled(cache)
    path = cache.folder.path / f"{name}.npy"
    array = np.load(path)
    array[1] = value
    np.save(path, array)
    with pytest.raises(ElmoError, match="plan of the cache is damaged"):
        _again(cache, corpus, model).is_complete(LAYERS)


def test_layers_of_a_configuration() -> None:
    assert layers_of(config(layers="mix")) == LAYERS
    assert layers_of(config(layers="token")) == ("token",)
