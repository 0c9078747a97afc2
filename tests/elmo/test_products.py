"""Matrix products: each library's are right, the fastest one is chosen, and a lack of one is told."""

from collections.abc import Iterator

import pytest
import torch

from sentiment.elmo import products
from sentiment.elmo.products import (
    FixedWeights,
    Library,
    Products,
    available_libraries,
    fastest_library,
)
from sentiment.errors import ElmoError

CPU = torch.device("cpu")


@pytest.fixture(autouse=True)
def _nothing_remembered() -> Iterator[None]:
    for remembered in (fastest_library, products._onednn_is_right):
        remembered.cache_clear()
    yield
    for remembered in (fastest_library, products._onednn_is_right):
        remembered.cache_clear()


def rates(torch_rate: float, onednn_rate: float | None) -> dict[Library, float]:
    return {"torch": torch_rate} | ({} if onednn_rate is None else {"onednn": onednn_rate})


@pytest.mark.parametrize("library", available_libraries(torch.float32))
@pytest.mark.parametrize("rows", [1, 3, 200])
def test_products_are_those_of_double_precision(library: Library, rows: int) -> None:
    generator = torch.Generator().manual_seed(rows)
    left, matrix = torch.randn(rows, 48, generator=generator), torch.randn(48, 20, generator=generator)
    bias, sums = torch.randn(20, generator=generator), torch.randn(rows, 20, generator=generator)
    weights = FixedWeights(matrix, library)
    wanted = left.double() @ matrix.double()
    torch.testing.assert_close(weights.times(left).double(), wanted, atol=1e-4, rtol=0)
    torch.testing.assert_close(weights.times(left, bias).double(), wanted + bias, atol=1e-4, rtol=0)
    torch.testing.assert_close(weights.add_times(sums.clone(), left).double(), wanted + sums, atol=1e-4, rtol=0)
    assert (weights.inputs, weights.outputs) == (48, 20)


@pytest.mark.parametrize(
    ("torch_rate", "onednn_rate", "expected"), [(100, 200, "onednn"), (100, 103, "torch"), (100, None, "torch")]
)
def test_only_a_clear_gain_changes_the_library(
    monkeypatch: pytest.MonkeyPatch, torch_rate: float, onednn_rate: float | None, expected: Library
) -> None:
    monkeypatch.setattr(products, "measured_rates", lambda precision: rates(torch_rate, onednn_rate))
    assert Products.choose(torch.float32, CPU, None).library == expected


def test_choice_is_made_once_in_a_process(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(products, "measured_rates", lambda precision: rates(100, 200))
    first = Products.choose(torch.float32, CPU, None)
    monkeypatch.setattr(products, "measured_rates", lambda precision: rates(200, 100))
    assert Products.choose(torch.float32, CPU, None) == first


def test_library_that_is_asked_for_is_not_measured(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(products, "measured_rates", lambda precision: pytest.fail("was measured"))
    assert Products.choose(torch.float32, CPU, "torch").library == "torch"
    assert Products.choose(torch.float32, torch.device("cuda"), None).library == "torch"


def test_a_lack_of_the_operators_is_told_and_they_are_not_chosen(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr(products, "_pack")
    monkeypatch.setattr(products, "_pack", lambda matrix: torch.ops.mkldnn.no_such_operator(matrix), raising=False)
    assert available_libraries(torch.float32) == ("torch",)
    assert Products.choose(torch.float32, CPU, None).library == "torch"
    with pytest.raises(ElmoError, match=r"these ELMo vectors: begun with matrix products by onednn, which .* lacks"):
        Products.choose(torch.float32, CPU, "onednn")


def test_operators_with_wrong_results_are_not_chosen(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(products, "_multiply", lambda rows, packed, bias: torch.zeros(len(rows), 6))
    assert available_libraries(torch.float32) == ("torch",)
