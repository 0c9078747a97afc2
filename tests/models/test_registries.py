"""Every name of a pooling or a cell that the schema accepts is built as what it says, or refused."""

import itertools
from typing import Any, get_args

import pytest
from torch import nn

from sentiment.config import ModelConfig
from sentiment.config.sections import POOLING_NAMES
from sentiment.config_file import resolve
from sentiment.errors import ConfigError
from sentiment.models.classifier import CELLS, FIXED_POOLINGS, FixedPooling, SelfAttention
from tests.models.batches import model


def _names(field: str) -> tuple[str, ...]:
    return get_args(ModelConfig.model_fields[field].annotation)


def test_schema_and_registries_have_the_same_names() -> None:
    assert set(_names("pooling")) == set(POOLING_NAMES) == {*FIXED_POOLINGS, "attention"}
    assert set(_names("cell")) == set(CELLS)
    assert len(set(FIXED_POOLINGS.values())) == len(FIXED_POOLINGS)
    assert len(set(CELLS.values())) == len(CELLS)


@pytest.mark.parametrize(("kind", "pooling", "cell"), [*itertools.product(_names("kind"), POOLING_NAMES, CELLS)])
def test_model_is_built_as_its_configuration_says(kind: str, pooling: str, cell: str) -> None:
    changes: dict[str, Any] = {"model.kind": kind, "model.pooling": pooling, "model.cell": cell}
    if kind != "rnn" and pooling == "last":
        with pytest.raises(ConfigError, match=f"valid with '{kind}': mean, max, mean\\+max, attention"):
            model(changes)
        return
    classifier = model(changes)
    if pooling == "attention":
        assert isinstance(classifier.pooling, SelfAttention)
    else:
        assert isinstance(classifier.pooling, FixedPooling)
        assert classifier.pooling.functions == FIXED_POOLINGS[pooling]
    nets = [type(module) for module in classifier.modules() if isinstance(module, nn.RNNBase)]
    assert nets == ([CELLS[cell]] * 2 if kind == "rnn" else [])


@pytest.mark.parametrize("pooling", ["last+max", "max+mean", "mean+max+last", "MEAN", ""])
def test_unknown_pooling_is_refused_and_not_read_as_a_similar_one(pooling: str) -> None:
    with pytest.raises(ConfigError, match=r"model\.pooling = .*'last', 'mean', 'max', 'mean\+max' or 'attention'"):
        resolve({}, {"model.pooling": pooling}, "file")
    assert pooling not in FIXED_POOLINGS
