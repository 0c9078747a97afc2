"""Matrix products: each library's are right, the one that suits the processor is chosen, and a lack of one is told."""

from collections.abc import Iterator
from pathlib import Path

import pytest
import torch

from sentiment.elmo import products
from sentiment.elmo.products import FixedWeights, Library, choose_library, has_onednn
from sentiment.errors import ElmoError
from tests.elmo.oracle import LIBRARIES

CPU = torch.device("cpu")


@pytest.fixture(autouse=True)
def _nothing_remembered() -> Iterator[None]:
    for when in ("before", "after"):
        products._processor.cache_clear()
        has_onednn.cache_clear()
        if when == "before":
            yield


def _on(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, processor: str) -> None:
    (tmp_path / "cpuinfo").write_text(processor)
    monkeypatch.setattr(products, "_CPU_INFO", tmp_path / "cpuinfo")


@pytest.mark.parametrize("library", LIBRARIES)
@pytest.mark.parametrize("rows", [1, 3, 200])
def test_products_are_those_of_double_precision(library: Library, rows: int) -> None:
    generator = torch.Generator().manual_seed(rows)
    left, matrix = torch.randn(rows, 48, generator=generator), torch.randn(48, 20, generator=generator)
    bias, sums = torch.randn(20, generator=generator), torch.randn(rows, 20, generator=generator)
    weights, wanted = FixedWeights(matrix, library), left.double() @ matrix.double()
    torch.testing.assert_close(weights.times(left).double(), wanted, atol=1e-4, rtol=0)
    torch.testing.assert_close(weights.times(left, bias).double(), wanted + bias, atol=1e-4, rtol=0)
    torch.testing.assert_close(weights.add_times(sums.clone(), left).double(), wanted + sums, atol=1e-4, rtol=0)


def test_the_processor_decides_and_what_was_begun_goes_on(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(products, "has_onednn", lambda: True)
    monkeypatch.setattr(torch.backends.mkl, "is_available", lambda: True)
    _on(monkeypatch, tmp_path, "vendor_id\t: AuthenticAMD\nflags\t: fpu avx512_bf16 fma\n")
    assert choose_library(torch.float32, CPU) == "onednn"
    assert choose_library(torch.bfloat16, CPU) == choose_library(torch.float32, CPU, "torch") == "torch"
    assert choose_library(torch.float32, torch.device("cuda")) == "torch"
    products._processor.cache_clear()
    _on(monkeypatch, tmp_path, "vendor_id\t: GenuineIntel\nflags\t: fpu fma\n")
    assert choose_library(torch.float32, CPU) == "torch"
    assert choose_library(torch.float32, CPU, "onednn") == "onednn"


@pytest.mark.parametrize("operator", ["_pack", "_multiply"])
def test_a_lack_of_right_operators_is_told_and_they_are_not_chosen(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, operator: str
) -> None:
    _on(monkeypatch, tmp_path, "vendor_id\t: AuthenticAMD\n")
    lacks = {
        "_pack": lambda matrix: torch.ops.mkldnn.no_such_operator(matrix),
        "_multiply": lambda rows, packed, bias: torch.zeros(len(rows), 6),
    }
    monkeypatch.setattr(products, operator, lacks[operator])
    assert choose_library(torch.float32, CPU) == "torch"
    with pytest.raises(ElmoError, match=r"these ELMo vectors: begun with matrix products by onednn, which .* lacks"):
        choose_library(torch.float32, CPU, "onednn")
