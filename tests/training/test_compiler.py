"""Training loads no compiler, and whoever compiles after it gets the real one."""

import subprocess
import sys

import pytest

TRAINS_THEN_COMPILES = """
import sys
import torch
from sentiment.config import RunConfig
from sentiment.config import RuntimeConfig
from sentiment.models.classifier import build_classifier, count_weights
from sentiment.training.trainer import make_reproducible
from sentiment.training.trainer import Updater, OPTIMIZERS

make_reproducible(RuntimeConfig(), 1, 1)
assert torch.are_deterministic_algorithms_enabled()
count_weights(RunConfig(), 9)
model = build_classifier(RunConfig(), 9)
for name in OPTIMIZERS:
    config = RunConfig.model_validate({"training": {"optimizer": name}}).training
    updater = Updater(model, config, torch.device("cpu"))
    updater.update(sum(weights.square().sum() for weights in model.parameters()))
    updater.load_state_dict(updater.state_dict())
loaded = [name for name in sys.modules if name.startswith("torch._dynamo")]
assert not loaded, loaded
import torch._dynamo.config
assert torch.compile(lambda x: x + 1, backend="eager")(torch.ones(2)).tolist() == [2, 2]
updater.update(sum(weights.square().sum() for weights in model.parameters()))
"""


@pytest.mark.slow
def test_training_imports_no_compiler_and_later_code_may_compile() -> None:
    subprocess.run([sys.executable, "-c", TRAINS_THEN_COMPILES], check=True)
