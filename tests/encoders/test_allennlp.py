"""Code that was written for allennlp's ELMo gives the same numbers when its import is changed."""

from types import ModuleType
from typing import Any

import pytest
import torch

import sentiment.encoders.allennlp
from sentiment.encoders.allennlp import Elmo, allennlp_elmo, batch_to_ids
from sentiment.encoders.elmo import ScalarMix
from sentiment.errors import EncoderError
from tests.encoders.oracle import needs_allennlp
from tests.encoders.tweets import Model, random_tweets

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


def assert_same(found: list[dict[str, Any]], wanted: list[dict[str, Any]]) -> None:
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
    assert_same(found, wanted)


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


def layers() -> list[torch.Tensor]:
    generator = torch.Generator().manual_seed(0)
    return [torch.randn(4, 7, 6, generator=generator) * (number + 1) + number for number in range(3)]


def test_a_mixture_is_the_mean_at_first_in_full_precision() -> None:
    halves = [layer.half() for layer in layers()]
    torch.testing.assert_close(ScalarMix(3)(halves), torch.stack([layer.float() for layer in halves]).mean(0))


@needs_allennlp
def test_values_and_gradients_of_a_mixture_equal_those_of_allennlp() -> None:
    weights = [0.5, -1.0, 2.0]
    mix, reference = (one(3, initial_scalar_parameters=weights) for one in (ScalarMix, allennlp_elmo().ScalarMix))
    with torch.no_grad():
        mix.gamma.fill_(1.7)
        reference.gamma.fill_(1.7)
    found, wanted = mix(layers()), reference(layers())
    torch.testing.assert_close(found, wanted)
    found.square().sum().backward()
    wanted.square().sum().backward()
    gradients = torch.cat([parameter.grad for parameter in reference.scalar_parameters])
    torch.testing.assert_close(mix.weights.grad, gradients)
    torch.testing.assert_close(mix.gamma.grad, reference.gamma.grad[0])
