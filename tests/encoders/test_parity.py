"""Our encoder against allennlp 2.10.1, layer by layer, and against vectors of bilm-tf."""

import json
from collections.abc import Iterator

import h5py
import pytest
import torch

from sentiment.encoders.allennlp import ReferenceElmo, allennlp_elmo
from sentiment.encoders.elmo import ScalarMix
from sentiment.encoders.elmo_files import character_ids
from tests.encoders.tweets import (
    ODD_TOKENS,
    SHARED_FIXTURES,
    Model,
    Tweets,
    largest_difference,
    needs_allennlp,
    random_tweets,
    running_on,
    strong_model,
)


@needs_allennlp
def test_characters_of_a_token_are_those_of_allennlp() -> None:
    mapper, tokens = allennlp_elmo().ELMoCharacterMapper(), [*ODD_TOKENS, "a" * 200, "\ud800"]
    assert character_ids(tokens).tolist() == [mapper.convert_word_to_char_ids(token) for token in tokens]


@needs_allennlp
def test_values_and_gradients_of_a_mixture_equal_those_of_allennlp() -> None:
    weights = [0.5, -1.0, 2.0]
    layers = [*torch.randn(3, 4, 7, 6, generator=torch.Generator().manual_seed(0))]
    mix = ScalarMix(3)
    mix.load_state_dict({"weights": torch.tensor(weights), "gamma": torch.tensor(1.7)})
    reference = allennlp_elmo().ScalarMix(3, initial_scalar_parameters=weights)
    torch.nn.init.constant_(reference.gamma, 1.7)
    for module in (mix, reference):
        module(layers).square().sum().backward()
    torch.testing.assert_close(mix(layers), reference(layers))
    gradients = torch.cat([parameter.grad for parameter in reference.scalar_parameters])
    torch.testing.assert_close(mix.weights.grad, gradients)
    torch.testing.assert_close(mix.gamma.grad, reference.gamma.grad[0])


def _difference(model: Model, tweets: Tweets, batch_tweets: int = 7) -> float:
    wanted = ReferenceElmo(model.options, model.weights, state="zero").encode(tweets)
    return largest_difference(model.elmo().encode(tweets, batch_tweets=batch_tweets), wanted)


@needs_allennlp
@pytest.mark.usefixtures("library")
def test_all_lengths_and_odd_tokens_agree(tiny: Model) -> None:
    assert _difference(tiny, random_tweets(60)) <= 1e-5


@needs_allennlp
@pytest.mark.usefixtures("library")
def test_saturated_gates_and_clipped_values_agree(saturating: Model) -> None:
    tweets = random_tweets(60)
    assert _difference(saturating, tweets) <= 1e-4
    first = saturating.elmo().encode(tweets, ["first"])["first"]
    assert (first.abs() == 3).float().mean() > 0.01


@needs_allennlp
def test_state_after_the_fixed_text_agrees(saturating: Model) -> None:
    tweets = random_tweets(40)
    wanted = ReferenceElmo(saturating.options, saturating.weights, state="warm").encode(tweets)
    assert largest_difference(saturating.elmo("warm").encode(tweets, batch_tweets=7), wanted) <= 1e-4
    assert largest_difference(saturating.elmo("zero").encode(tweets), wanted) > 0.1


@pytest.fixture(scope="module", params=["small", pytest.param("original", marks=pytest.mark.more)])
def published(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Model]:
    model = strong_model(tmp_path_factory.mktemp("elmo"), request.param, strength=2)
    yield model
    model.weights.unlink()  # large


@needs_allennlp
@pytest.mark.slow
@pytest.mark.usefixtures("library")
def test_published_sizes_agree(published: Model) -> None:
    assert _difference(published, random_tweets(8, longest=8), batch_tweets=3) <= 1e-4


@pytest.fixture(scope="module")
def sentences(trained_tiny: Model) -> list[list[list[str]]]:
    lists = json.loads((SHARED_FIXTURES / "sentences.json").read_text(encoding="utf-8"))
    return [[sentence.split() for sentence in one] for one in lists]


def of_bilm(number: int, sentence: int) -> torch.Tensor:
    with h5py.File(SHARED_FIXTURES / f"lm_embeddings_{number}.hdf5", "r") as file:
        forward, backward = torch.from_numpy(file[str(sentence)][...])
    return torch.cat([forward, backward], dim=1)


@pytest.mark.shared_data
@pytest.mark.parametrize("number", range(3))
def test_all_agree_where_the_state_runs_on(trained_tiny: Model, sentences: list[list[list[str]]], number: int) -> None:
    for sentence, found in enumerate(running_on(trained_tiny, sentences[number])):
        torch.testing.assert_close(found, of_bilm(number, sentence), atol=1e-5, rtol=0)
