"""Vocabularies, files of vectors, and vectors that are learned: never from held-out tweets, the same bits each time."""

import gzip
import os
import subprocess
import sys
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from sentiment.config import RunConfig, VocabularyConfig
from sentiment.config_file import resolve
from sentiment.data import vocabulary as vocabulary_module
from sentiment.data.corpus import prepare_corpus
from sentiment.data.vocabulary import (
    UNKNOWN,
    Vocabulary,
    load_vectors,
    prepare_vectors,
    pretrained_file,
    read_types,
    vectors_fingerprint,
    write_vectors,
)
from sentiment.errors import ConfigError, DataError
from sentiment.files import sha256_of
from sentiment.runs.run_dir import Results
from tests.data.made_up import prepare, tweets
from tests.small_runs import write_tweets


def test_types_of_the_training_part_come_most_frequent_first(table: Path, results: Results) -> None:
    corpus = prepare(table, results)
    counts = Counter(token for row in corpus.rows("train") for token in corpus.tokens(row))
    for least in sorted({*counts.values()})[:5]:
        frequent = sorted((type for type in counts if counts[type] >= least), key=lambda token: (-counts[token], token))
        for most in (50_000, 5):
            config = VocabularyConfig(min_count=least, max_size=most)
            assert list(Vocabulary.build(corpus, config).types) == frequent[:most]
    with pytest.raises(DataError, match=r"no token occurs 9,999 times .* lower data\.vocabulary\.min_count"):
        Vocabulary.build(corpus, VocabularyConfig(min_count=9_999))


def test_what_is_written_is_read_again_to_the_last_bit(tmp_path: Path) -> None:
    path, vocabulary = tmp_path / "v.txt", Vocabulary(["the", "caf\u00e9", "\U0001f600", "<url>", "'"])
    assert len(vocabulary) == 7
    assert vocabulary.encode(["<url>", "the", "snow"]).tolist() == [5, 2, UNKNOWN]
    assert (vocabulary.encode([]).shape, vocabulary.encode(["a"]).dtype) == ((0,), np.int64)
    vocabulary.write(path)
    assert Vocabulary.from_bytes(path.read_bytes(), "v.txt").types == vocabulary.types
    vectors = np.random.default_rng(1).normal(size=(5, 8)).astype(np.float32)
    write_vectors(path, vocabulary.types, vectors)
    again, found = load_vectors(path, vocabulary, 8)
    assert (found, again[2:].tobytes()) == (5, vectors.tobytes())


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"a\nb", "is truncated"),
        (b"", "is truncated"),
        (b"a\n\nb\n", "not a vocabulary: '' is not a token"),
        (b"a\nb c\n", "not a vocabulary: 'b c' is not a token"),
        (b"a\nb\na\n", "not a vocabulary: a type is given twice"),
        (b"\xff\n", "not a vocabulary: 'utf-8' codec"),
    ],
)
def test_a_damaged_vocabulary_is_named(content: bytes, message: str) -> None:
    with pytest.raises(DataError, match=rf"v\.txt: .*{message}"):
        Vocabulary.from_bytes(content, "v.txt")


VECTORS = "rain 1 2 3\nnew york 4 5 6\nthe -1 0 1e-1\nrain 9 9 9\n"


@pytest.mark.parametrize(
    "content",
    [
        VECTORS,
        "4 3\n" + VECTORS,
        VECTORS.replace("\n", " \r\n"),
        VECTORS.replace(" ", "\t"),
        "\ufeff4 3 \n" + VECTORS,
        VECTORS + "  1 2 3\n",
        "4 3\n" + VECTORS + "\n",
    ],
)
def test_vectors_are_read_from_either_format(tmp_path: Path, content: str) -> None:
    path, packed = tmp_path / "v.txt", tmp_path / "v.txt.gz"
    path.write_text(content, newline="")
    packed.write_bytes(gzip.compress(content.encode()))
    vectors, found = load_vectors(path, Vocabulary(["the", "snow", "rain"]), 3, seed=4)
    assert (vectors.dtype, vectors.shape, found) == (np.float32, (5, 3), 2)
    np.testing.assert_allclose(vectors[[0, 2, 4]], [[0, 0, 0], [-1, 0, 0.1], [1, 2, 3]])
    assert 0 < np.abs(vectors[[1, 3]]).max() < 1
    again, _ = load_vectors(packed, Vocabulary(["the", "snow", "rain"]), 3, seed=4)
    np.testing.assert_array_equal(vectors, again)


def test_only_lines_of_wanted_types_are_split_into_numbers(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    split: list[bytes] = []

    class Line(bytes):
        def rsplit(self, *how: Any) -> list[bytes]:
            split.append(self[:4])
            return super().rsplit(*how)

    path = tmp_path / "v.txt"
    path.write_text("".join(f"w{number:03} 1 2 3\n" for number in range(1000)))
    lines = vocabulary_module._vector_lines
    monkeypatch.setattr(vocabulary_module, "_vector_lines", lambda path: ((n, Line(line)) for n, line in lines(path)))
    assert load_vectors(path, Vocabulary(["w007", "w900", "snow"]), 3)[1] == 2
    assert split == [b"w000", b"w007", b"w900"]  # the first line tells the size


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("the 1 2\n", r"v\.txt:1: has 2 numbers after the token, but embedding\.size is 3; set it"),
        ("9 3\nthe 1 2 3\n", r"v\.txt: has 1 vectors where its first line says 9"),
        ("the 1 2 3\nrain 1 2 3\nsnow 1 2\n", r"v\.txt:3: has 2 numbers after the token"),
        ("the 1 2 3\nrain 1 x 3\n", r"v\.txt:2: could not convert string to float: b'x'"),
        ("the 1 2 3\nrain 1 nan 3\n", r"v\.txt:2: holds a number that is not finite"),
        ("the 1 2 3\nrain 1 -1e39 3\n", r"v\.txt:2: holds a number that is not finite"),
        ("9 3\nthe \0\1\2", r"v\.txt:2: .* or name a complete text file"),
        ("the\nrain\n", r"v\.txt:1: has 0 numbers"),
        ("", "holds no vectors"),
    ],
)
def test_vectors_that_do_not_fit_are_named(tmp_path: Path, content: str, message: str) -> None:
    (tmp_path / "v.txt").write_text(content)
    with pytest.raises(DataError, match=message):
        load_vectors(tmp_path / "v.txt", Vocabulary(["the", "rain", "snow"]), 3)


@pytest.fixture
def own_words(tmp_path: Path) -> Path:
    """Each tweet ends in a token that starts with `own`; tokens hold letters or digits, not both."""
    letters = str.maketrans("0123456789", "abcdefghij")
    rows = [(label, f"{text} own{str(n).translate(letters)}") for n, (label, text) in enumerate(tweets(300))]
    return write_tweets(tmp_path / "tweets.csv", rows)


@pytest.fixture(autouse=True)
def _rare_types_are_learned(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(vocabulary_module, "_MIN_COUNT", 1)


def _config(table: Path, **changes: Any) -> RunConfig:
    small: dict[str, Any] = {"pretrained": "word2vec", "size": 8}
    values = {"data": {"source": str(table)}, "embedding": small, "vectors": {"epochs": 3}}
    return resolve(values, {name.replace("__", "."): value for name, value in changes.items()}, "a test")


def _with_text(table: Path, *files: Path, column: str = "text") -> RunConfig:
    return _config(table, vectors__unlabelled=[{"path": str(file), "column": column} for file in files])


def _learned(config: RunConfig, results: Results) -> Path:
    prepare_vectors(config, results)
    return pretrained_file(config, results)


def test_unlabelled_text_is_learned_from_unless_held_out(own_words: Path, results: Results, tmp_path: Path) -> None:
    texts = [line.split(",", 1)[1] for line in own_words.read_text().splitlines()[1:]]
    lines, table = tmp_path / "more.txt.gz", write_tweets(tmp_path / "more.csv", [("7", "a thirdnew tweet")], "ab")
    lines.write_bytes(gzip.compress("\n".join([*texts, *texts, "a firstnew tweet", "a secondnew tweet"]).encode()))
    config = _with_text(own_words, lines, table, column="b")
    corpus = prepare_corpus(config.data, results)
    held = len(corpus.parts) - len(corpus.rows("train"))
    said = prepare_vectors(config, results)
    assert f"  {lines}: 2 of 602 texts" in said
    assert f"  {table}: 1 of 1 texts" in said
    types = set(read_types(_learned(config, results)))
    assert {"firstnew", "secondnew", "thirdnew"} <= types
    words = {token for row in range(len(corpus.parts)) if corpus.parts[row] for token in corpus.tokens(row)}
    own = {word for word in words if word.startswith("own")}
    assert (len(own), own & types) == (held, set())


def test_unusable_unlabelled_file_is_refused_by_name(
    own_words: Path, results: Results, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen, other = tmp_path / "seen.txt", tmp_path / "other.csv"
    seen.write_text(own_words.read_text().splitlines()[1].split(",", 1)[1] + "\n")
    other.write_text("id,tweet\n1,some text\n")
    for config, message in (
        (_with_text(own_words, tmp_path / "gone.txt"), r"gone\.txt: no such file"),
        (_with_text(own_words, seen), r"vectors\.unlabelled: .*seen\.txt has no usable row"),
        (_with_text(own_words, other), r"other\.csv: vectors\.unlabelled\.columns\.text: no column 'text'"),
    ):
        with pytest.raises((ConfigError, DataError), match=message):
            prepare_vectors(config, results)
    monkeypatch.setattr(vocabulary_module, "_MIN_COUNT", 1000)
    with pytest.raises(DataError, match=r"no token occurs 1000 times in the \d+ .* vectors\.unlabelled"):
        prepare_vectors(_config(own_words), results)


class _KilledError(Exception):
    pass


@pytest.mark.slow
def test_interruptions_and_hash_seeds_change_no_vectors(own_words: Path, results: Results, tmp_path: Path) -> None:
    config, other, seen = _config(own_words), Results(tmp_path / "uninterrupted"), []

    def progress(what: str, done: int, total: int | None) -> None:
        if what.startswith("learning"):
            seen.append(done)
            if len(seen) in (1, 4):
                raise _KilledError

    file = pretrained_file(config, results)
    for _ in range(2):
        with pytest.raises(_KilledError):
            prepare_vectors(config, results, progress)
        assert not file.exists()
    assert prepare_vectors(config, results, progress)[0].startswith("word2vec: ")
    assert file.exists()
    assert prepare_vectors(config, results) == []
    script = (
        "import sys; from pathlib import Path; from sentiment.config import RunConfig\n"
        "from sentiment.data import vocabulary; from sentiment.runs.run_dir import Results\n"
        "vocabulary._MIN_COUNT = 1\n"
        "vocabulary.prepare_vectors(RunConfig.model_validate_json(sys.argv[1]), Results(Path(sys.argv[2])))"
    )
    command = [sys.executable, "-c", script, config.model_dump_json(), str(other.root)]
    subprocess.run(command, env=os.environ | {"PYTHONHASHSEED": "77"}, check=True)
    assert sha256_of(file) == sha256_of(pretrained_file(config, other))
    file.write_bytes(b"".join(file.read_bytes().splitlines(keepends=True)[:-1]))
    with pytest.raises(DataError, match=r"vectors\.txt: has [\d,]+ vectors where its first line says [\d,]+"):
        list(read_types(file))


def test_vectors_are_known_by_all_that_decides_them(own_words: Path, results: Results, tmp_path: Path) -> None:
    more = tmp_path / "more.txt"
    more.write_text("a further tweet\n")
    changes: list[dict[str, Any]] = [{}, {"vectors__seed": 2}, {"embedding__size": 9}]
    changes += [{"data__text__lowercase": False}, {"data__validation_fraction": 0.2}]
    configs = [*(_config(own_words, **change) for change in changes), _with_text(own_words, more)]
    prints = [vectors_fingerprint(config, results) for config in configs]
    more.write_text("another further tweet\n")
    prints.append(vectors_fingerprint(configs[-1], results))
    assert len(set(prints)) == len(prints)
    shared = [{"seed": 2}, {"model__hidden_size": 8}, {"data__train_rows": 50}]
    assert {vectors_fingerprint(_config(own_words, **change), results) for change in shared} == {prints[0]}
