"""Word vectors: never learned from held-out tweets, the same bits at every attempt, known by what made them."""

import gzip
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from sentiment.config import RunConfig
from sentiment.config_file import resolve
from sentiment.console import silent
from sentiment.data.corpus import prepare_corpus
from sentiment.data.vocabulary import (
    Vocabulary,
    gather_text,
    has_vectors,
    load_vectors,
    open_text,
    prepare_vectors,
    pretrained_file,
    read_types,
    vectors_fingerprint,
    write_vectors,
)
from sentiment.errors import ConfigError, DataError
from sentiment.files import sha256_of
from sentiment.runs.run_dir import Results
from tests.data.made_up import tweets, write_table


def _own_word(number: int) -> str:
    """A token that starts with `own`; tokens hold letters or digits, not both."""
    return "own" + "".join(chr(ord("a") + int(digit)) for digit in str(number))


@pytest.fixture
def table(tmp_path: Path) -> Path:
    """300 tweets, each with a word of its own."""
    rows = [(label, f"{text} {_own_word(n)}") for n, (label, text) in enumerate(tweets(300))]
    return write_table(tmp_path / "tweets.csv", rows)


def _config(table: Path, **changes: Any) -> RunConfig:
    small: dict[str, Any] = {"pretrained": "word2vec", "size": 8}
    values = {"data": {"source": str(table)}, "embedding": small, "vectors": {"epochs": 3, "min_count": 1}}
    return resolve(values, {name.replace("__", "."): value for name, value in changes.items()}, "a test")


def _file(config: RunConfig, results: Results) -> Path:
    prepare_vectors(config, results)
    file = pretrained_file(config, results)
    assert file is not None
    return file


def test_unlabelled_tweets_that_stand_in_validation_or_test_are_left_out_however_they_are_spelled(
    table: Path, results: Results, tmp_path: Path
) -> None:
    lines = [line.split(",", 1)[1] for line in table.read_text().splitlines()[1:]]
    spelled = [f"  {line.strip().upper()}   &amp; @Somebody http://example.org/{n}" for n, line in enumerate(lines)]
    plain = write_table(
        tmp_path / "marked.csv", [(str(n % 2), f"{line} & @user http://t.co/x") for n, line in enumerate(lines)]
    )
    more = tmp_path / "more.txt"
    more.write_text("\n".join([*spelled, *spelled, "a further tweet with furtherword"]) + "\n")
    config = _config(plain, vectors__unlabelled=[{"path": str(more)}])
    corpus = prepare_corpus(config.data, results)
    assert config.vectors is not None
    files = [open_text(file, "vectors.unlabelled") for file in config.vectors.unlabelled]
    count = gather_text(corpus, config.data.text, files, silent).counts[str(more)]
    held = len(corpus.parts) - len(corpus.rows("train"))
    assert (count.read, count.used, count.held_out) == (601, 1, 2 * held)
    assert f"  {more}: 1 of 601 tweets, without {2 * held} of validation" in "\n".join(prepare_vectors(config, results))
    types = set(read_types(_file(config, results)))
    assert "furtherword" in types
    words = {token for row in range(len(corpus.parts)) if corpus.parts[row] for token in corpus.tokens(row)}
    assert len({word for word in words if word.startswith("own")}) == held
    assert not {word for word in words if word.startswith("own")} & types


def test_unlabelled_text_comes_from_lines_or_from_a_column(table: Path, results: Results, tmp_path: Path) -> None:
    (tmp_path / "more.txt.gz").write_bytes(gzip.compress(b"a firstnew tweet\na secondnew tweet"))
    (tmp_path / "more.csv").write_text("id,tweet\n7,a thirdnew tweet\n")
    files = [{"path": str(tmp_path / name), "column": "tweet"} for name in ("more.txt.gz", "more.csv")]
    types = set(read_types(_file(_config(table, vectors__unlabelled=files), results)))
    assert {"firstnew", "secondnew", "thirdnew"} <= types


def test_an_unlabelled_file_that_cannot_be_used_is_refused_by_name(
    table: Path, results: Results, tmp_path: Path
) -> None:
    with pytest.raises(DataError, match=r"gone\.txt: no such file"):
        prepare_vectors(_config(table, vectors__unlabelled=[{"path": str(tmp_path / "gone.txt")}]), results)
    (tmp_path / "seen.txt").write_text(table.read_text().splitlines()[1].split(",", 1)[1] + "\n")
    with pytest.raises(DataError, match=r"seen\.txt: no text of it can be used: of 1 rows"):
        prepare_vectors(_config(table, vectors__unlabelled=[{"path": str(tmp_path / "seen.txt")}]), results)
    (tmp_path / "other.csv").write_text("id,tweet\n1,some text\n")
    with pytest.raises(ConfigError, match=r"other\.csv: vectors\.unlabelled\.columns\.text: no column 'text'"):
        prepare_vectors(_config(table, vectors__unlabelled=[{"path": str(tmp_path / "other.csv")}]), results)
    with pytest.raises(DataError, match=r"no token occurs 1,000 times in the \d+ tweets .* lower vectors\.min_count"):
        prepare_vectors(_config(table, vectors__min_count=1000), results)


class _KilledError(Exception):
    pass


@pytest.mark.parametrize("when", [0, 2])
def test_vectors_that_were_interrupted_in_any_epoch_get_the_same_bits(
    table: Path, results: Results, tmp_path: Path, when: int
) -> None:
    config = _config(table)
    seen: list[int] = []

    def progress(what: str, done: int, total: int | None) -> None:
        if what.startswith("learning"):
            seen.append(done)
            if len(seen) == when + 1:
                raise _KilledError

    with pytest.raises(_KilledError):
        prepare_vectors(config, results, progress)
    assert not has_vectors(config, results)
    lines = prepare_vectors(config, results, progress)
    assert lines[0].startswith("word2vec: ")
    assert has_vectors(config, results)
    assert prepare_vectors(config, results) == []
    file = _file(config, results)
    assert sha256_of(file) == sha256_of(_file(config, Results(tmp_path / "uninterrupted")))
    file.write_bytes(b"".join(file.read_bytes().splitlines(keepends=True)[:-1]))
    with pytest.raises(DataError, match=r"vectors\.txt: has [\d,]+ vectors where its first line says [\d,]+"):
        list(read_types(file))


@pytest.mark.slow
def test_vectors_do_not_depend_on_the_hash_seed_of_python(table: Path, tmp_path: Path) -> None:
    run = tmp_path / "run.yaml"
    run.write_text("vectors: {epochs: 2, min_count: 1}\nembedding: {pretrained: word2vec, size: 8}\n")
    digests = set()
    for seed in ("0", "77"):
        root = tmp_path / f"results {seed}"
        command = [sys.executable, "-m", "sentiment", "vectors", str(run), "--data", str(table), "--results", str(root)]
        environment = os.environ | {"PYTHONHASHSEED": seed}
        said = subprocess.run(command, env=environment, check=True, capture_output=True, text=True)
        assert "word2vec: " in said.stdout
        digests |= {sha256_of(file) for file in root.rglob("vectors.txt")}
    assert len(digests) == 1


def test_vectors_are_known_by_all_that_decides_them(table: Path, results: Results, tmp_path: Path) -> None:
    more = tmp_path / "more.txt"
    more.write_text("a further tweet\n")
    with_more = {"vectors__unlabelled": [{"path": str(more)}]}
    prints = [
        vectors_fingerprint(_config(table, **changes), results)
        for changes in (
            {},
            {"vectors__seed": 2},
            {"vectors__window": 2},
            {"embedding__size": 9},
            {"data__text__lowercase": False},
            {"data__validation_fraction": 0.2},
            with_more,
        )
    ]
    more.write_text("another further tweet\n")
    prints.append(vectors_fingerprint(_config(table, **with_more), results))
    assert len(set(prints)) == len(prints)
    shared = [{"seed": 2}, {"model__hidden_size": 8}, {"vectors__vocabulary": "training"}, {"data__train_rows": 50}]
    assert {vectors_fingerprint(_config(table, **changes), results) for changes in shared} == {prints[0]}


def test_no_number_is_lost_in_the_file(table: Path, results: Results, tmp_path: Path) -> None:
    vectors, _ = load_vectors(_file(_config(table), results), Vocabulary(["the", "of"]), 8)
    write_vectors(tmp_path / "again.txt", ["the", "of"], vectors[2:])
    again, found = load_vectors(tmp_path / "again.txt", Vocabulary(["the", "of"]), 8)
    assert found == 2
    assert again.tobytes() == vectors.tobytes()
