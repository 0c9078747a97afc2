import pytest
import torch

import sentiment.elmo
from sentiment.elmo.mix import ScalarMix
from sentiment.elmo.reference import allennlp_elmo
from tests.elmo.oracle import needs_allennlp


def layers() -> list[torch.Tensor]:
    generator = torch.Generator().manual_seed(0)
    return [torch.randn(4, 7, 6, generator=generator) * (number + 1) + number for number in range(3)]


def test_at_first_it_is_the_mean() -> None:
    torch.testing.assert_close(ScalarMix(3)(layers()), torch.stack(layers()).mean(0))


def test_weights_and_gamma_are_trained() -> None:
    mix = ScalarMix(3)
    mix(layers()).square().sum().backward()
    assert all(parameter.grad is not None and (parameter.grad != 0).all() for parameter in mix.parameters())


def test_half_precision_is_mixed_in_full() -> None:
    halves = [layer.half() for layer in layers()]
    wanted = torch.stack([layer.float() for layer in halves]).mean(0)
    assert ScalarMix(3)(halves).dtype == torch.float32
    torch.testing.assert_close(ScalarMix(3)(halves), wanted)


def test_another_number_of_layers_is_refused() -> None:
    with pytest.raises(ValueError, match="2 layers are given, but 3 are mixed"):
        ScalarMix(3)(layers()[:2])


@needs_allennlp
def test_values_and_gradients_equal_those_of_allennlp() -> None:
    mix, reference = (library.ScalarMix(3) for library in (sentiment.elmo, allennlp_elmo()))
    with torch.no_grad():
        mix.weights.copy_(torch.tensor([0.5, -1.0, 2.0]))
        mix.gamma.fill_(1.7)
        for mine, theirs in zip(mix.weights, reference.scalar_parameters, strict=True):
            theirs.fill_(float(mine))
        reference.gamma.fill_(1.7)
    torch.testing.assert_close(mix.scalar_parameters, tuple(reference.scalar_parameters))
    found, wanted = mix(layers()), reference(layers())
    torch.testing.assert_close(found, wanted)
    found.square().sum().backward()
    wanted.square().sum().backward()
    gradients = torch.cat([parameter.grad for parameter in reference.scalar_parameters])
    torch.testing.assert_close(mix.weights.grad, gradients)
    torch.testing.assert_close(mix.gamma.grad, reference.gamma.grad[0])
