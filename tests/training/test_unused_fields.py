"""Fields without effect change no bit of a run, nor its id."""

import copy
from pathlib import Path
from typing import Any

import pytest

from sentiment.config import RunConfig
from sentiment.config_file import resolve
from sentiment.errors import RunDirError
from sentiment.runs.run_dir import Results, RunDir
from tests.small_runs import SMALL_RUN, Experiment
from tests.test_identity import ALONE, FEED_FORWARD, IN_SOME_RUNS, TABLE, TOKEN_LAYER

pytestmark = pytest.mark.slow

SHORT: dict[str, Any] = {"data.source": "sample", "training.epochs": 1, "training.batch_size": 256}


def _as_spelled(parameters: dict[str, Any]) -> RunConfig:
    """With the fields that have no effect."""
    values = copy.deepcopy(SMALL_RUN)
    for name, value in parameters.items():
        *sections, field = name.split(".")
        inner = values
        for section in sections:
            inner = inner.setdefault(section, {})
        inner[field] = value
    return RunConfig.model_validate(values)


def _run(config: RunConfig, results: Results) -> Experiment:
    return Experiment(config, results, results.run_dir(config.run_id))


@pytest.fixture
def vectors(tmp_path: Path) -> str:
    """A file with the vector of one token."""
    file = tmp_path / "vectors.txt"
    file.write_text("good " + " ".join(["0.5"] * 8) + "\n")
    return str(file)


@pytest.mark.parametrize(
    ("settings", "fields"),
    [
        (
            {},
            [
                *["model.attention.d_a", "model.attention.r", "model.attention.penalty", "data.columns.text"],
                "data.labels.negative",
            ],
        ),
        (TABLE | FEED_FORWARD, ["model.cell", "model.bidirectional"]),
        ({"embedding.pretrained": "a file"}, ["embedding.initial_std"]),
        (
            ALONE | {"elmo.layers": "top"},
            [
                *["data.vocabulary.min_count", "data.vocabulary.max_size", "embedding.size", "embedding.initial_std"],
                *["embedding.trainable", "embedding.dropout", "embedding.token_dropout", "embedding.polarity"],
            ],
        ),
        (TOKEN_LAYER, ["elmo.state"]),
    ],
    ids=str,
)
def test_fields_without_effect_change_no_bit_of_a_run(
    settings: dict[str, Any], fields: list[str], shared_results: Results, tweets_file: Path, vectors: str
) -> None:
    here = dict(settings)
    if "data.source" in here:
        here["data.source"] = str(tweets_file)
    if "embedding.pretrained" in here:
        here["embedding.pretrained"] = vectors
    if any(name.startswith("elmo.") for name in here):
        here["elmo.model"] = "tiny"
    plain = _as_spelled(SHORT | here)
    changed = _as_spelled(SHORT | here | {field: IN_SOME_RUNS[field][0] for field in fields})
    assert changed != plain
    assert changed.canonical() == plain.canonical()
    runs = [_run(config, shared_results) for config in (plain, changed)]
    assert runs[0].complete() == runs[1].complete()


def test_directory_of_another_question_is_refused(tmp_path: Path) -> None:
    run_dir = RunDir(tmp_path / "run")
    run_dir.create(_as_spelled({"seed": 1}))
    with pytest.raises(RunDirError, match=r"belongs to run .*-s1-\w+, not to .*-s2-"):
        run_dir.create(_as_spelled({"seed": 2}))


def test_machine_and_description_are_those_of_the_newest_command(tmp_path: Path) -> None:
    run_dir = RunDir(tmp_path / "run")
    run_dir.create(resolve(SMALL_RUN, {"runtime.threads": 3}, "a test"))
    now = run_dir.create(resolve(SMALL_RUN, {"runtime.threads": 1, "description": "another"}, "a test"))
    assert (now.runtime.threads, now.description) == (1, "another")
    assert run_dir.read_config().runtime.threads == 3
