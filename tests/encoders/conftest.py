from pathlib import Path

import pytest
import torch

from sentiment.encoders.elmo import ElmoEncoder
from tests.encoders.random_elmo import write_random_model
from tests.encoders.tiny import tiny_bert, tiny_roberta
from tests.encoders.tweets import LIBRARIES, SHARED_FIXTURES, Model, strong_model


@pytest.fixture(scope="session", autouse=True)
def _one_thread() -> None:
    """Small products gain nothing from more, and tests that run side by side lose."""
    torch.set_num_threads(1)


@pytest.fixture(params=LIBRARIES)
def library(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """Of matrix products, whatever the processor."""
    monkeypatch.setattr("sentiment.encoders.elmo.suits_onednn", lambda _: request.param == "onednn")
    chosen: str = request.param
    return chosen


@pytest.fixture(scope="session")
def bert(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny_bert(tmp_path_factory.mktemp("models") / "bert")


@pytest.fixture(scope="session")
def roberta(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny_roberta(tmp_path_factory.mktemp("models") / "roberta")


@pytest.fixture(scope="session")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Model:
    return Model(*write_random_model(tmp_path_factory.mktemp("elmo") / "tiny"))


@pytest.fixture(scope="session")
def saturating(tmp_path_factory: pytest.TempPathFactory) -> Model:
    folder = tmp_path_factory.mktemp("elmo") / "saturating"
    return strong_model(folder, "tiny", strength=4, seed=1)


@pytest.fixture(scope="session")
def trained_tiny() -> Model:
    if not SHARED_FIXTURES.is_dir():
        pytest.skip(f"no ELMo fixtures at {SHARED_FIXTURES}")
    return Model(SHARED_FIXTURES / "options.json", SHARED_FIXTURES / "lm_weights.hdf5")


@pytest.fixture(scope="session")
def elmo(tiny: Model) -> ElmoEncoder:
    return tiny.elmo()
