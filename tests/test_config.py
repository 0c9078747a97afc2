"""Configurations: every mistake is named at once, and numbers are numbers. For their identity see test_identity."""

import json
import re
import tempfile
from contextlib import suppress
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from jobs.grids.sweep_file import read_grid_file
from sentiment.config import RunConfig
from sentiment.config_file import parse_override, resolve, yaml_text
from sentiment.data.classes import DEFAULT_CLASSES, Classes
from sentiment.errors import ConfigError, SentimentError
from sentiment.files import ROOT
from tests.small_runs import load_config


def _file(folder: Path, text: str) -> Path:
    path = folder / "it's a run.yaml"
    path.write_text(text, encoding="utf-8")
    return path


def _message(path: Path, *overrides: str) -> str:
    with pytest.raises(ConfigError) as caught:
        load_config(path, overrides)
    return str(caught.value)


def test_all_mistakes_are_told_at_once_with_place_value_origin_and_what_is_valid(tmp_path: Path) -> None:
    path = _file(
        tmp_path,
        "modle: {}\n"
        "model:\n  hiden_size: 32\n  cell: rnn\n"
        "data:\n  columns:\n    txt: tweet\n"
        "training:\n  epochs: many\n  learning_rate: -1\n",
    )
    lines = _message(path, "training.batch_size=0", "model.layers=99").splitlines()
    assert len(lines) == 8
    by_path = {re.split(r"[: ]", line)[0]: line for line in lines}
    assert by_path["modle"].startswith(f"modle: unknown key ({path}); did you mean 'model'? Valid: description, seed,")
    assert f"unknown key ({path}); did you mean 'hidden_size'? Valid: kind, cell," in by_path["model.hiden_size"]
    assert "did you mean 'text'? Valid: text, label, user, id" in by_path["data.columns.txt"]
    assert by_path["model.cell"] == f"model.cell = 'rnn' ({path}): input should be 'lstm' or 'gru'"
    assert by_path["training.epochs"] == f"training.epochs = 'many' ({path}): input should be a valid integer"
    assert by_path["training.learning_rate"] == f"training.learning_rate = -1 ({path}): input should be greater than 0"
    assert by_path["training.batch_size"].startswith("training.batch_size = 0 (an override): ")
    assert by_path["model.layers"].startswith("model.layers = 99 (an override): ")


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        (b"seed: 1\nseed: 2\n", "duplicate key"),
        (b"model: [\n", "is not valid YAML"),
        (b"- a\n- b\n", "must hold a mapping of sections, found list"),
        (b"just text\n", "must hold a mapping of sections, found str"),
        (b"description: 2026-99-99\n", "is not valid YAML"),
        (b"a: 1\n---\nb: 2\n", "is not valid YAML"),
        (b"seed: !!python/object:os.system 1\n", "is not valid YAML"),
        (b"1: x\n", "1"),
        (b"model: &model\n  attention: *model\n", "or an anchor refers to itself"),
        (b"model:\n", "model = None"),
        (b"description: \xe9\n", "is not a text in UTF-8; save it as UTF-8"),
    ],
)
def test_file_that_is_no_configuration_is_refused_with_its_name(tmp_path: Path, content: bytes, expected: str) -> None:
    path = tmp_path / "it's a run.yaml"
    path.write_bytes(content)
    message = _message(path)
    assert expected in message
    assert str(path) in message


def test_override_wins_over_the_file_and_the_file_over_the_default(tmp_path: Path) -> None:
    path = _file(tmp_path, "model:\n  hidden_size: 32\n  layers: 2\ntraining:\n  learning_rate: 1e-4\n")
    config = load_config(path, ["model.hidden_size=16", "training.clip=null", "embedding.size=8", "training.l2=1e-5"])
    assert (config.model.hidden_size, config.model.layers, config.model.cell) == (16, 2, "lstm")
    assert (config.embedding.size, config.training.clip) == (8, None)
    assert (config.training.learning_rate, config.training.l2) == (0.0001, 0.00001)


def test_override_is_a_dotted_key_and_a_yaml_value_and_a_malformed_one_is_shown_back() -> None:
    values = {"1": 1, "": None, "[1, 2]": [1, 2], "1e-3": 0.001, "no": "no", "'7'": "7", "true": True, "x=y": "x=y"}
    values |= {"None": None, "True": True, "1e-05": 1e-05}  # as W&B's agent writes Python's values
    assert {text: parse_override(f" a.b ={text}") for text in values} == {
        text: ("a.b", value) for text, value in values.items()
    }
    for override in ("model.hidden_size", "=3", " =3", "a=[1", "a={b: 1, b: 2}", "a=2026-99-99"):
        with pytest.raises(ConfigError, match=re.escape(repr(override))):
            parse_override(override)


@pytest.mark.parametrize(
    ("parameters", "expected"),
    [
        ({"model.kind": "feed_forward", "model.pooling": "last"}, "pooling 'last' needs model.kind 'rnn'"),
        ({"data.validation_fraction": 0.5, "data.test_fraction": 0.5}, "no row is left to train on"),
        ({"data.labels": {"negative": ["1", "x"], "positive": [" X"]}}, "have several"),
        ({"data.labels": {"sad": ["happy"], "happy": ["sad"]}}, "['happy', 'sad'] have several"),
        ({"data.labels": {"Sad": ["1"], "sad": ["2"]}}, "['sad'] have several"),
        ({"data.labels": {"sad": ["1"], "happy": ["2"], "ignored": ["Sad"]}}, "['sad'] have several"),
        ({"runtime.device": "gpu"}, "runtime.device: 'gpu' is not a device"),
        ({"runtime.device": "cuda:01"}, "runtime.device: 'cuda:01' is not a device"),
        ({"runtime.device": "cuda:1000"}, "runtime.device: 'cuda:1000' is not a device"),
        ({"training.epochs": 2.0}, "training.epochs = 2.0"),
        ({"model.bidirectional": 1}, "model.bidirectional = 1"),
        ({"training.learning_rate": float("nan")}, "training.learning_rate = nan"),
        ({"data.folds": 5}, "data: data.fold is None; with data.folds=5 it must be 1 to 5"),
        ({"data.folds": 5, "data.fold": 6}, "data: data.fold is 6; with data.folds=5 it must be 1 to 5"),
        ({"data.fold": 1}, "data: fold 1 needs data.folds"),
        ({"data.language": "German"}, "data.language: 'German' is not the code of a language"),
        (
            {"data.folds": 2, "data.fold": 1, "data.validation_fraction": 0.5},
            "plus 1/2, the share of a fold, must be below 1",
        ),
        ({"data.folds": 1, "data.fold": 1}, "data.folds = 1 "),
        ({"data.tests": {"validation": {"path": "x.csv"}}}, "'validation' names a part of the run's own tweets"),
        ({"data.tests": {"mine": {"path": "x.csv", "colums": {}}}}, "data.tests.mine.colums: unknown key"),
        ({"data.extra_train": [{"file": "x.csv"}]}, "data.extra_train.0.path: is missing"),
        ({"model.cell": "gru", "model.cell.size": 3}, "model.cell.size=3: 'cell' is a value, not a section"),
    ],
)
def test_values_that_contradict_each_other_or_their_type_are_refused(parameters: dict[str, Any], expected: str) -> None:
    with pytest.raises(ConfigError, match=re.escape(expected)):
        resolve({}, parameters, "file")


def test_a_section_without_values_can_be_changed() -> None:
    assert resolve({"elmo": None}, {"elmo.model": "medium"}, "file") == resolve({}, {"elmo.model": "medium"}, "file")


def test_classes_keep_their_order_in_files_and_ids() -> None:
    ids = set()
    for names in (["a", "b", "c"], ["b", "a", "c"], ["c", "b", "a"], ["y", "x"], ["negative", "positive"]):
        config = resolve({}, {"data.source": "x.csv", "data.labels": names, "data.columns.text": 3}, "file")
        text = json.dumps(config.model_dump(mode="json"), sort_keys=True)
        assert RunConfig.model_validate_json(text) == config
        assert config.data.label_names == tuple(names)
        ids.add(config.run_id)
    assert len(ids) == 5


def test_all_tables_get_the_names_and_the_order_of_the_classes() -> None:
    tests = {"other": {"path": "o.csv", "labels": {"sad": ["s"], "happy": ["h"]}}, "built": {"path": "sentiment140"}}
    values = {"source": "x.csv", "labels": ["negative", "positive"], "extra_train": [{"path": "e.csv"}]}
    data = RunConfig.model_validate({"data": values | {"tests": tests}}).data
    assert data.tests["other"].labels == Classes(("negative", "positive"), (("s",), ("h",)))
    assert data.labels == Classes(("negative", "positive"), (("negative",), ("positive",)))
    assert data.extra_train[0].labels == data.labels
    assert data.tests["built"].labels == DEFAULT_CLASSES
    values["labels"] = ["negative", "neutral", "positive"]
    with pytest.raises(ValidationError, match=r"the table's classes \(sad, happy\) are not negative, "):
        RunConfig.model_validate({"data": values | {"tests": tests}})
    tests["other"]["labels"] = ["negative", "positive"]
    data = RunConfig.model_validate({"data": values | {"tests": tests}}).data
    classes = Classes(("negative", "neutral", "positive"), (("negative",), (), ("positive",)))
    assert data.tests["other"].labels == classes
    assert data.tests["built"].labels.meanings["neutral"] == 1


def test_every_run_that_comes_with_the_program_is_valid() -> None:
    for path in sorted((ROOT / "configs" / "runs").glob("*.yaml")):
        description = load_config(path).description
        assert description, path
        # With --data or data.source it is trained on other tweets.
        assert not re.search("TweetEval|Sentiment140|VADER|own parts", description), path


def test_value_written_as_an_override_is_read_back() -> None:
    texts = ["gru", "null", "4", "1e-3", "yes", "a: b #c", "", "é 'x' \"y\"", "- a", ["0", "neg"]]
    for value in (1, 0.0001, 1e-07, True, None, [1], *texts):
        assert parse_override(f"a.b={yaml_text(value)}") == ("a.b", value)


_ALIASES = [f"{new}: &{new} [{', '.join([f'*{old}'] * 9)}]\n" for old, new in pairwise("abcdefghi")]
_MERGED = [f"b{n}: &b{n} {{<<: [*b{n - 1}, *b{n - 1}], y{n}: 1}}\n" for n in range(1, 20)]


@pytest.mark.slow
@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("[" * 900 + "]" * 900, "is nested too deep"),
        ("a: &a [1, 1, 1, 1, 1, 1, 1, 1]\n" + "".join(_ALIASES), "more than 100,000 values"),
        ("b0: &b0 {x: 1}\n" + "".join(_MERGED), "more than 100,000 values"),
        ("# " + "x" * 100_000, "larger than 100,000 bytes"),
    ],
    ids=["nested", "aliases", "merged", "large"],
)
def test_configuration_that_would_take_for_ever_is_refused(tmp_path: Path, content: str, message: str) -> None:
    file = tmp_path / "large.yaml"
    file.write_text(content)
    calls = [(file, [])]
    if message.startswith("is nested"):
        calls.append((tmp_path / "none.yaml", [f"model={content}"]))
    for call in calls:
        with pytest.raises(ConfigError, match=message) as caught:
            load_config(*call)
        assert len(str(caught.value)) < 400


@pytest.mark.slow
@settings(max_examples=50)
@given(st.text("ab:-[]{}&*!|>#'\"\n 01,<", max_size=80))
def test_any_text_is_the_file_of_a_run_or_of_a_grid_or_is_refused(text: str) -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = _file(Path(folder), text)
        for read in (load_config, read_grid_file):
            with suppress(SentimentError):
                read(path)
