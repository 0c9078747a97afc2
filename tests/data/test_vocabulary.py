"""Vocabularies: which types they hold, how they are stored, and the vectors that they may start from."""

import gzip
from pathlib import Path

import numpy as np
import pytest

from sentiment.config import DataConfig, VocabularyConfig
from sentiment.data.corpus import Corpus, prepare_corpus
from sentiment.data.vocabulary import PADDING, UNKNOWN, Vocabulary, load_vectors
from sentiment.errors import ConfigError, DataError
from sentiment.runs.run_dir import Results


@pytest.fixture
def corpus(table: Path, results: Results) -> Corpus:
    return prepare_corpus(DataConfig(source=str(table)), results)


def test_types_of_the_training_part_come_most_frequent_first(corpus: Corpus) -> None:
    counts: dict[str, int] = {}
    for row in corpus.rows("train"):
        for token in corpus.tokens(row):
            counts[token] = counts.get(token, 0) + 1
    for least in sorted({*counts.values()})[:5]:
        expected = sorted((one for one in counts if counts[one] >= least), key=lambda token: (-counts[token], token))
        assert list(Vocabulary.build(corpus, VocabularyConfig(min_count=least)).types) == expected
        assert list(Vocabulary.build(corpus, VocabularyConfig(min_count=least, max_size=5)).types) == expected[:5]


def test_a_vocabulary_without_types_is_an_error(corpus: Corpus) -> None:
    with pytest.raises(DataError, match=r"no token occurs 9,999 times .* lower data\.vocabulary\.min_count"):
        Vocabulary.build(corpus, VocabularyConfig(min_count=9_999))


def test_tokens_become_numbers_and_unknown_ones_share_one() -> None:
    vocabulary = Vocabulary(["the", "rain"])
    assert len(vocabulary) == 4
    assert vocabulary.encode(["rain", "the", "snow"]).tolist() == [3, 2, UNKNOWN]
    assert vocabulary.encode([]).shape == (0,)
    assert vocabulary.encode(["a"]).dtype == np.int64
    assert PADDING not in vocabulary.encode(["rain", "the", "snow"])


def test_a_whole_corpus_is_translated_at_once(corpus: Corpus) -> None:
    vocabulary = Vocabulary.build(corpus, VocabularyConfig())
    indices = vocabulary.encode(corpus.types)[corpus.token_ids]
    row = slice(corpus.offsets[7], corpus.offsets[8])
    assert indices[row].tolist() == vocabulary.encode(corpus.tokens(7)).tolist()


def test_what_is_written_is_read_again(tmp_path: Path) -> None:
    vocabulary = Vocabulary(["the", "caf\u00e9", "\U0001f600", "<url>", "'"])
    vocabulary.write(tmp_path / "v.txt")
    assert Vocabulary.read(tmp_path / "v.txt").types == vocabulary.types


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"a\nb", r"v\.txt: is truncated"),
        (b"", r"v\.txt: is truncated"),
        (b"a\n\nb\n", r"v\.txt: .* no vocabulary: '' is no token"),
        (b"a\nb c\n", r"v\.txt: .* no vocabulary: 'b c' is no token"),
        (b"a\nb\na\n", r"v\.txt: .* no vocabulary: a type stands there twice"),
        (b"\xff\n", r"v\.txt: .* no vocabulary: 'utf-8' codec"),
    ],
)
def test_a_damaged_vocabulary_is_named(tmp_path: Path, content: bytes, message: str) -> None:
    (tmp_path / "v.txt").write_bytes(content)
    with pytest.raises(DataError, match=message):
        Vocabulary.read(tmp_path / "v.txt")


VECTORS = "rain 1 2 3\nnew york 4 5 6\nthe -1 0 1e-1\nrain 9 9 9\n"


@pytest.mark.parametrize(
    "content",
    [
        VECTORS,
        "4 3\n" + VECTORS,
        VECTORS.replace("\n", " \r\n"),
        VECTORS.replace(" ", "  "),
        VECTORS.replace(" ", "\t"),
        "\ufeff" + VECTORS,
        "\ufeff4 3 \n" + VECTORS,
        VECTORS + "  1 2 3\n",
    ],
)
@pytest.mark.parametrize("packed", [False, True])
def test_vectors_are_read_from_either_format(tmp_path: Path, content: str, packed: bool) -> None:
    path = tmp_path / ("v.txt.gz" if packed else "v.txt")
    path.write_bytes(gzip.compress(content.encode()) if packed else content.encode())
    vectors, found = load_vectors(path, Vocabulary(["the", "snow", "rain"]), 3, seed=4)
    assert (vectors.dtype, vectors.shape, found) == (np.float32, (5, 3), 2)
    np.testing.assert_allclose(vectors[[0, 2, 4]], [[0, 0, 0], [-1, 0, 0.1], [1, 2, 3]])
    assert 0 < np.abs(vectors[[1, 3]]).max() < 1
    again, _ = load_vectors(path, Vocabulary(["the", "snow", "rain"]), 3, seed=4)
    np.testing.assert_array_equal(vectors, again)


@pytest.mark.parametrize(
    ("content", "error", "message"),
    [
        ("the 1 2\n", ConfigError, r"v\.txt:1: has 2 numbers after the token, but embedding\.size is 3; set it to 2"),
        ("9 2\nthe 1 2\n", ConfigError, r"v\.txt:2: has 2 numbers after the token, but embedding\.size is 3"),
        ("9 3\nthe 1 2 3\n", DataError, r"v\.txt: has 1 vectors where its first line says 9"),
        ("the 1 2 3\nrain 1 2 3\nsnow 1 2\n", DataError, r"v\.txt:3: a token and 3 numbers are expected"),
        ("the 1 2 3\nrain 1 x 3\n", DataError, r"v\.txt:2: could not convert string to float: 'x'"),
        *(
            (f"the 1 2 3\nrain 1 {number} 3\n", DataError, r"v\.txt:2: holds a number that is not finite")
            for number in ("nan", "-1e39")
        ),
        ("9 3\nthe \0\1\2", ConfigError, r"v\.txt:2: .* or name a text file"),
        ("\0\1\2", ConfigError, r"v\.txt:1: .* or name a text file"),
        ("the 1 2 3\n\n", DataError, r"v\.txt:2: a token and 3 numbers are expected"),
        ("the\nrain\n", ConfigError, r"v\.txt:1: has 0 numbers"),
        ("", DataError, "holds no vectors"),
        ("\0" * (1 << 26), DataError, r"v\.txt:1: is too long for a token and its numbers"),
    ],
)
def test_vectors_that_do_not_fit_are_named(tmp_path: Path, content: str, error: type[Exception], message: str) -> None:
    (tmp_path / "v.txt").write_text(content)
    with pytest.raises(error, match=message):
        load_vectors(tmp_path / "v.txt", Vocabulary(["the", "rain", "snow"]), 3)
