"""Fields without effect: they change no bit of a run, and runs that earlier versions named after them are found."""

import shutil
from pathlib import Path
from typing import Any

import pytest

from sentiment.config import RunConfig
from sentiment.config_file import as_written, resolve
from sentiment.errors import RunDirError
from sentiment.run_dir import Results, RunDir
from tests.small_runs import SMALL_RUN, Experiment, StopWhen, digest_of
from tests.test_identity import ALONE, FEED_FORWARD, IN_SOME_RUNS, TABLE, TOKEN_LAYER

pytestmark = pytest.mark.slow

SHORT: dict[str, Any] = {"data.source": "sample", "training.epochs": 1, "training.batch_size": 256}


def _old(parameters: dict[str, Any]) -> RunConfig:
    """As earlier versions resolved it."""
    return as_written(SMALL_RUN, parameters, "a test")


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
        ({}, ["model.attention.d_a", "model.attention.r", "model.attention.penalty"]),
        ({}, ["data.columns.text", "data.columns.id", "data.labels.negative", "data.neutral_band"]),
        (TABLE, ["data.neutral_band"]),
        (FEED_FORWARD, ["model.cell", "model.bidirectional"]),
        ({"embedding.pretrained": "a file"}, ["embedding.initial_std"]),
        (
            ALONE | {"elmo.layers": "top"},
            [
                *["data.vocabulary.min_count", "data.vocabulary.max_size", "embedding.size"],
                *["embedding.initial_std", "embedding.trainable", "embedding.dropout", "embedding.token_dropout"],
            ],
        ),
        (TOKEN_LAYER, ["elmo.state"]),
        ({"elmo.backend": "allennlp"}, ["elmo.cache"]),
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
    plain, changed = _old(SHORT | here), _old(SHORT | here | {field: IN_SOME_RUNS[field][0] for field in fields})
    assert changed != plain
    assert changed.canonical() == plain.canonical()
    runs = [_run(config, shared_results) for config in (plain, changed)]
    assert runs[0].complete() == runs[1].complete()


def test_directory_of_an_earlier_version_is_found_and_goes_on_where_it_stopped(shared_results: Results) -> None:
    """Its name and its checkpoints know the hash of all fields, with or without effect."""
    old = _old(SHORT | {"model.attention.r": 7, "seed": 11})
    stopped = _run(old, shared_results)
    assert stopped.attempt(StopWhen(lambda question: question == 3)) is not None
    asked = resolve(SMALL_RUN, SHORT | {"model.attention.r": 7, "seed": 11}, "a test")
    found = shared_results.find_run(asked)
    assert found == stopped.run_dir
    assert found.path.name == old.run_id != asked.run_id
    resumed = Experiment(asked, shared_results, found)
    digest = resumed.complete()
    assert "goes on after step 2 in epoch 1" in resumed.said
    result, record = found.read_result(), found.read_record()
    assert result is not None
    assert record is not None
    assert result.run_id == record.run_id == old.run_id
    assert record.config_fingerprint == old.fingerprint()
    untouched = Experiment(asked, shared_results, RunDir(shared_results.root / "uninterrupted"))
    assert untouched.complete() == digest
    again = Experiment(asked, shared_results, shared_results.find_run(asked))
    assert again.complete() == digest
    assert again.said == ["is completed already; nothing to train"]


def test_completed_directory_of_an_earlier_version_answers_every_spelling(shared_results: Results) -> None:
    old = _run(_old(SHORT | {"model.attention.d_a": 7, "seed": 12}), shared_results)
    old.complete()
    for parameters in ({}, {"model.attention.d_a": 7}, {"model.attention.r": 3}):
        asked = resolve(SMALL_RUN, SHORT | {"seed": 12} | parameters, "a test")
        assert shared_results.find_run(asked) == old.run_dir
    another = resolve(SMALL_RUN, SHORT | {"seed": 12, "training.l2": 0.1}, "a test")
    assert shared_results.find_run(another) == shared_results.run_dir(another.run_id)


def test_of_several_directories_for_a_question_the_completed_one_is_taken(tmp_path: Path, trained: RunDir) -> None:
    results = Results(tmp_path)
    asked = resolve(SMALL_RUN, {}, "a test")
    olds = [_old({"model.attention.r": r}) for r in (7, 8, 9)]
    for old in olds:
        results.run_dir(old.run_id).create(old)
    assert results.find_run(asked).path.name == min(old.run_id for old in olds)
    shutil.copy(trained.result_file, results.run_dir(olds[1].run_id).result_file)
    assert results.find_run(asked).path.name == olds[1].run_id
    results.run_dir(asked.run_id).create(asked)
    assert results.find_run(asked).path.name == olds[1].run_id
    (results.run_dir(olds[1].run_id).config_file).write_text("torn")
    assert results.find_run(asked).path.name == asked.run_id


def test_directory_of_an_earlier_version_is_found_for_a_path_that_is_now_spelled_otherwise(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PWD", str(tmp_path))
    results = Results(tmp_path / "results")
    old = _old({"data.source": "./tweets.csv"})
    results.run_dir(old.run_id).create(old)
    asked = resolve(SMALL_RUN, {"data.source": str(tmp_path / "tweets.csv")}, "a test")
    assert results.find_run(asked).path.name == old.run_id != asked.run_id


def test_directory_of_another_question_is_refused(tmp_path: Path) -> None:
    run_dir = RunDir(tmp_path / "run")
    run_dir.create(_old({"seed": 1}))
    with pytest.raises(RunDirError, match=r"belongs to run .*-s1-\w+, not to .*-s2-"):
        run_dir.create(_old({"seed": 2}))


def test_machine_and_description_are_those_of_the_newest_command(tmp_path: Path) -> None:
    run_dir = RunDir(tmp_path / "run")
    run_dir.create(_old({"model.attention.r": 7, "runtime.threads": 3}))
    now = run_dir.create(resolve(SMALL_RUN, {"runtime.threads": 1, "description": "another"}, "a test"))
    assert (now.runtime.threads, now.description, now.model.attention.r) == (1, "another", 7)
    assert run_dir.read_config().runtime.threads == 3


def test_digest_of_two_spellings_is_that_of_one_run(shared_results: Results) -> None:
    one = resolve(SMALL_RUN, SHORT | {"seed": 13}, "a test")
    other = resolve(SMALL_RUN, SHORT | {"seed": 13, "model.attention.penalty": 0.5}, "a test")
    digest = _run(one, shared_results).complete()
    again = _run(other, shared_results)
    assert again.complete() == digest
    assert again.said == ["is completed already; nothing to train"]
    assert digest_of(shared_results.run_dir(other.run_id)) == digest
