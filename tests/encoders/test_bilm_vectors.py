"""Our encoder against the vectors that the original TensorFlow implementation (bilm-tf) has computed."""

import json

import h5py
import pytest
import torch

from tests.encoders.tweets import SHARED_FIXTURES, Model, of_tweet, running_on

pytestmark = pytest.mark.shared_data

LISTS = 3


@pytest.fixture(scope="module")
def sentences(trained_tiny: Model) -> list[list[list[str]]]:
    lists = json.loads((SHARED_FIXTURES / "sentences.json").read_text(encoding="utf-8"))
    return [[sentence.split() for sentence in one] for one in lists]


def expected(number: int, sentence: int) -> torch.Tensor:
    """(tokens, 32): the top layer."""
    with h5py.File(SHARED_FIXTURES / f"lm_embeddings_{number}.hdf5", "r") as file:
        forward, backward = torch.from_numpy(file[str(sentence)][...])
    return torch.cat([forward, backward], dim=1)


@pytest.mark.parametrize("number", range(LISTS))
def test_all_sentences_agree_where_the_state_runs_on(
    trained_tiny: Model, sentences: list[list[list[str]]], number: int
) -> None:
    for sentence, found in enumerate(running_on(trained_tiny, sentences[number])):
        torch.testing.assert_close(found, expected(number, sentence), atol=1e-5, rtol=0)


def test_from_zeros_only_the_first_sentences_agree(trained_tiny: Model, sentences: list[list[list[str]]]) -> None:
    elmo = trained_tiny.elmo("zero")
    for number in range(LISTS):
        found = elmo.encode(sentences[number], ["top"])
        first, second = (of_tweet(found, sentences[number], one)["top"] for one in range(2))
        torch.testing.assert_close(first, expected(number, 0), atol=1e-5, rtol=0)
        assert (second - expected(number, 1)).abs().max() > 0.1


def test_token_vectors_agree(trained_tiny: Model) -> None:
    words = (SHARED_FIXTURES / "vocab_test.txt").read_text(encoding="utf-8").splitlines()
    with h5py.File(SHARED_FIXTURES / "elmo_token_embeddings.hdf5", "r") as file:
        wanted = torch.from_numpy(file["embedding"][...])
    assert len(words) == len(wanted) == 458
    torch.testing.assert_close(trained_tiny.elmo().type_vectors(words), wanted, atol=1e-5, rtol=0)
