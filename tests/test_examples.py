"""The sentences in README and in what `train` prints are predicted rightly by the model that `make run` trains."""

import re
from pathlib import Path

import pytest

from sentiment.config_file import load_config
from sentiment.inference.evaluate import EXAMPLE
from sentiment.inference.stored import load_model
from sentiment.runs.records import Recommendation
from sentiment.runs.run_dir import Results, RunDir
from sentiment.training.experiment import run_experiment
from sentiment.training.stop import RunContext

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text(encoding="utf-8")
SHOWN = re.findall(r"^(positive|negative) +[\d.]+ %  (.+)$", README, re.MULTILINE)


def test_each_sentence_that_readme_has_predicted_is_shown_with_its_label() -> None:
    (command,) = re.findall(r'^sentiment predict RUN_DIR (".*")$', README, re.MULTILINE)
    assert [tweet for _, tweet in SHOWN] == re.findall(r'"(.*?)"', command)
    assert EXAMPLE in dict(map(reversed, SHOWN))
    assert f"\nrun {load_config(ROOT / 'configs' / 'runs' / 'rnn.yaml').run_id} " in README


@pytest.fixture(scope="module")
def run_of_make(tmp_path_factory: pytest.TempPathFactory) -> RunDir:
    results = Results(tmp_path_factory.mktemp("results"))
    config = load_config(ROOT / "configs" / "runs" / "rnn.yaml")
    run_dir = results.run_dir(config.run_id)
    assert run_experiment(RunContext(config, results, run_dir)) is None
    return run_dir


@pytest.mark.more
@pytest.mark.parametrize("choice", [None, "baseline"])
def test_examples_are_predicted_rightly_by_what_make_run_recommends(
    run_of_make: RunDir, choice: Recommendation | None
) -> None:
    """The network of so few tweets doesn't know what *not bad* means, or knows it on one kind of processor only."""
    model = load_model(run_of_make, choice)
    tweets = [tweet for _, tweet in SHOWN]
    said = dict(zip(tweets, (model.read_texts(tweets).probabilities >= 0.5).tolist(), strict=True))
    assert said == {tweet: label == "positive" for label, tweet in SHOWN}
