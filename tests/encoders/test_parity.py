"""Our encoder against allennlp 2.10.1, layer by layer and as a program calls it, and against vectors of bilm-tf."""

import json
from pathlib import Path
from types import ModuleType
from typing import Any

import h5py
import pytest
import torch

import sentiment.encoders.allennlp
from sentiment.encoders.allennlp import Elmo, ReferenceElmo, allennlp_elmo, batch_to_ids
from sentiment.encoders.elmo import ScalarMix
from sentiment.encoders.elmo_files import character_ids
from sentiment.errors import EncoderError
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

# Of growing and of shrinking size, with empty sentences.
BATCHES = [random_tweets(count, seed=count, longest=9) for count in (3, 12, 5, 1)]


def from_zeros(elmo: Any) -> Any:
    """The module, which begins with zeros; allennlp's would begin with what its last call has left."""
    if not isinstance(elmo, Elmo):
        elmo._elmo_lstm._elmo_lstm.reset_states()
    return elmo


def representations(library: ModuleType, model: Model, **arguments: Any) -> list[dict[str, Any]]:
    """What a program written for allennlp computes, whichever library it imports from."""
    elmo = library.Elmo(str(model.options), str(model.weights), 2, dropout=0, **arguments)
    assert elmo.get_output_dim() == 32
    return [from_zeros(elmo)(library.batch_to_ids(batch)) for batch in BATCHES]


def assert_alike(found: list[dict[str, Any]], wanted: list[dict[str, Any]]) -> None:
    for mine, theirs in zip(found, wanted, strict=True):
        assert mine.keys() == theirs.keys()
        assert mine["mask"].dtype == theirs["mask"].dtype
        assert torch.equal(mine["mask"], theirs["mask"])
        for one, other in zip(mine["elmo_representations"], theirs["elmo_representations"], strict=True):
            torch.testing.assert_close(one, other, atol=1e-5, rtol=0)


ARGUMENTS: list[dict[str, Any]] = [{"scalar_mix_parameters": weights} for weights in (None, [0.5, -1.0, 2.0])]


@needs_allennlp
@pytest.mark.parametrize("arguments", ARGUMENTS, ids=str)
def test_representations_and_masks_are_those_of_allennlp(tiny: Model, arguments: dict[str, Any]) -> None:
    wanted, found = (representations(one, tiny, **arguments) for one in (allennlp_elmo(), sentiment.encoders.allennlp))
    assert_alike(found, wanted)


def test_only_the_mixtures_are_trained_unless_their_weights_are_given(tiny: Model) -> None:
    elmo = Elmo(tiny.options, tiny.weights, 2, dropout=0)
    assert [name for name, _ in elmo.named_parameters()] == [
        f"scalar_mix_{number}.{name}" for number in range(2) for name in ("weights", "gamma")
    ]
    output = elmo(batch_to_ids([["Good", "morning"]]))
    output["elmo_representations"][1].square().sum().backward()
    assert all(one.grad is None for one in elmo.get_submodule("scalar_mix_0").parameters())
    assert all(one.grad is not None and one.grad.any() for one in elmo.get_submodule("scalar_mix_1").parameters())
    fixed = Elmo(tiny.options, tiny.weights, 1, scalar_mix_parameters=[-9e10, 1, -9e10])
    assert not any(one.requires_grad for one in fixed.parameters())


def test_inputs_that_are_no_character_ids_are_refused_and_empty_ones_are_none(tiny: Model) -> None:
    elmo = Elmo(tiny.options, tiny.weights, 1)
    for shape, value in (((2, 3), 0), ((2, 3, 40), 0), ((1, 1, 50), 262), ((1, 1, 50), -1)):
        with pytest.raises(EncoderError, match=r"are no character ids: valid .* \(batch, time, 50\) from 0 to 261"):
            elmo(torch.full(shape, value))
    for shape in ((0, 4), (2, 0)):
        output = elmo(torch.zeros(*shape, 50, dtype=torch.long))
        assert output["elmo_representations"][0].shape == (*shape, 32)
        assert output["mask"].shape == shape


@needs_allennlp
def test_characters_of_a_token_are_those_of_allennlp() -> None:
    mapper, tokens = allennlp_elmo().ELMoCharacterMapper(), [*ODD_TOKENS, "a" * 200, "\ud800"]
    assert character_ids(tokens).tolist() == [mapper.convert_word_to_char_ids(token) for token in tokens]


@needs_allennlp
def test_values_and_gradients_of_a_mixture_equal_those_of_allennlp() -> None:
    weights, layers = [0.5, -1.0, 2.0], [*torch.randn(3, 4, 7, 6, generator=torch.Generator().manual_seed(0))]
    mix, reference = (one(3, initial_scalar_parameters=weights) for one in (ScalarMix, allennlp_elmo().ScalarMix))
    for one in (mix, reference):
        torch.nn.init.constant_(one.gamma, 1.7)
        one(layers).square().sum().backward()
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


@needs_allennlp
@pytest.mark.slow
@pytest.mark.parametrize(("size", "tweets"), [("small", 20), pytest.param("original", 4, marks=pytest.mark.more)])
@pytest.mark.usefixtures("library")
def test_published_sizes_agree(size: str, tweets: int, tmp_path: Path) -> None:
    model = strong_model(tmp_path, size, strength=2)
    try:
        assert _difference(model, random_tweets(tweets, longest=tweets), batch_tweets=3) <= 1e-4
    finally:
        model.weights.unlink()  # large


LISTS = 3


@pytest.fixture(scope="module")
def sentences(trained_tiny: Model) -> list[list[list[str]]]:
    lists = json.loads((SHARED_FIXTURES / "sentences.json").read_text(encoding="utf-8"))
    return [[sentence.split() for sentence in one] for one in lists]


def of_bilm(number: int, sentence: int) -> torch.Tensor:
    with h5py.File(SHARED_FIXTURES / f"lm_embeddings_{number}.hdf5", "r") as file:
        forward, backward = torch.from_numpy(file[str(sentence)][...])
    return torch.cat([forward, backward], dim=1)


@pytest.mark.shared_data
@pytest.mark.parametrize("number", range(LISTS))
def test_all_agree_where_the_state_runs_on(trained_tiny: Model, sentences: list[list[list[str]]], number: int) -> None:
    for sentence, found in enumerate(running_on(trained_tiny, sentences[number])):
        torch.testing.assert_close(found, of_bilm(number, sentence), atol=1e-5, rtol=0)
