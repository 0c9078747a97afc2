"""A model as one file for others: it predicts as its run does, and whatever is damaged or added is noticed."""

import json
import re
import shutil
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from ruamel.yaml import YAML

from sentiment.config import ElmoConfig, RunConfig
from sentiment.errors import RunDirError, SentimentError, UsageError
from sentiment.handing_on.archive import BASELINE_FILE, MANIFEST, NETWORK_FILE, open_archive, write_archive
from sentiment.handing_on.handed_on import hand_on, without_paths
from sentiment.handing_on.model_card import model_card
from sentiment.model import load
from sentiment.run_dir import RunDir
from tests.conftest import MakeExperiment
from tests.small_runs import StopWhen
from tests.test_command_line import invoke, refused

# Bytes of a zip that stand before each file's name.
_LOCAL_HEADER = 30
TEXTS = ["such a lovely happy day", "awful, broken and sad", ""]


@pytest.fixture(scope="module")
def file(trained: RunDir, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The trained run, exported."""
    path = tmp_path_factory.mktemp("exported") / "my model.zip"
    done = invoke("export", trained.path, path)
    assert done.exit_code == 0, done.output
    assert f"sentiment predict {path}" in done.output.replace("\n", "")
    return path


@pytest.mark.parametrize("choice", [None, "network", "baseline", "both"])
def test_exported_model_predicts_bit_for_bit_as_its_run(trained: RunDir, file: Path, choice: str | None) -> None:
    there, here = load(trained.path, choice), load(file, choice)
    assert here.name == there.name
    assert np.array_equal(here.predict_proba(TEXTS), there.predict_proba(TEXTS), equal_nan=True)


def test_command_line_predicts_with_an_exported_model(file: Path) -> None:
    done = invoke("predict", file, "such a lovely happy day")
    assert re.search(r"positive +\d+\.\d %  such a lovely happy day", done.output)


def test_equal_runs_are_equal_files_and_no_tweet_or_place_is_in_them(
    trained: RunDir, file: Path, tmp_path: Path
) -> None:
    model = hand_on(trained)
    write_archive(trained, model, model_card(model, True), tmp_path / "again.zip")
    assert (tmp_path / "again.zip").read_bytes() == file.read_bytes()
    source = Path(trained.read_config().data.source)
    with zipfile.ZipFile(file) as archive:
        assert not any(name.endswith((".pt", ".pkl", ".ckpt")) for name in archive.namelist())
        everything = b"".join(archive.read(name) for name in archive.namelist()).decode("latin-1")
    assert str(source.parent) not in everything
    assert source.name in everything
    assert source.read_text().splitlines()[1].partition(",")[2] not in everything


def _changed(file: Path, target: Path, name: str, content: bytes | None) -> Path:
    """A copy in which a file has other content, or is missing."""
    with zipfile.ZipFile(file) as old, zipfile.ZipFile(target, "w") as new:
        for one in {*old.namelist(), name}:
            kept = old.read(one) if one != name else content
            if kept is not None:
                new.writestr(one, kept)
    return target


@pytest.mark.parametrize("name", [NETWORK_FILE, BASELINE_FILE, "vocabulary.txt", "README.md", MANIFEST])
def test_what_is_changed_or_missing_is_noticed(file: Path, tmp_path: Path, name: str) -> None:
    with pytest.raises(RunDirError, match=name):
        open_archive(_changed(file, tmp_path / "changed.zip", name, b"other"))
    with pytest.raises(RunDirError, match=f"(lacks|holds no) {name}"):
        open_archive(_changed(file, tmp_path / "cut.zip", name, None))


def test_what_somebody_adds_is_never_read(file: Path, tmp_path: Path) -> None:
    added = _changed(file, tmp_path / "added.zip", "../../evil.pkl", b"cos\nsystem\n")
    assert set(open_archive(added).files) == {NETWORK_FILE, BASELINE_FILE, "vocabulary.txt", "README.md", MANIFEST}
    assert not (tmp_path.parent / "evil.pkl").exists()


@pytest.mark.parametrize("content", [b"", b"PK\x03\x04", b"no zip at all"])
def test_what_is_no_exported_file_is_refused(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "some.zip").write_bytes(content)
    assert "some.zip: " in refused(1, "predict", tmp_path / "some.zip", "nice")


@pytest.mark.parametrize("name", ["vocabulary.txt", "README.md", MANIFEST, NETWORK_FILE])
def test_bits_that_flip_on_the_way_are_an_error_of_one_line(file: Path, tmp_path: Path, name: str) -> None:
    content, flipped = bytearray(file.read_bytes()), tmp_path / "flipped.zip"
    with zipfile.ZipFile(file) as archive:
        start = archive.getinfo(name).header_offset + _LOCAL_HEADER + len(name)
    for place in range(start, start + 40):
        content[place] ^= 0xFF
    flipped.write_bytes(content)
    assert refused(1, "predict", flipped, "nice").startswith(f"error: {flipped}: ")


@pytest.mark.parametrize(
    ("values", "told"),
    [
        ({"data": {"source": "/home/me/vader"}}, "./vader"),
        ({"data": {"second_test": "/home/me/test.csv"}}, "test.csv"),
        ({"data": {"extra_train": [{"path": "/home/me/more.csv"}]}}, "more.csv"),
        ({"embedding": {"pretrained": "/home/me/none"}}, "./none"),
        ({"embedding": {"pretrained": "/home/me/word2vec"}}, "./word2vec"),
        ({"embedding": {"pretrained": "fasttext"}, "vectors": {"unlabelled": [{"path": "/home/me/a.txt"}]}}, "a.txt"),
        ({"elmo": {"model": "/home/me/model"}}, "model"),
        ({"elmo": {"model": "/home/me/small"}}, "./small"),
        ({"elmo": {"model": "pretrained/tiny"}, "pretraining": {"unlabelled": [{"path": "/home/me/a.txt"}]}}, "a.txt"),
        ({"elmo": {"model": "pretrained/tiny"}, "pretraining": {"init": "/home/me/begin"}}, "begin"),
    ],
)
def test_wherever_a_configuration_names_a_path_only_the_last_name_is_told(values: dict[str, Any], told: str) -> None:
    kept = without_paths(RunConfig.model_validate(values))
    assert "/home/me" not in kept.model_dump_json()
    assert json.dumps(told) in kept.model_dump_json()
    assert kept.data.source_is_path == RunConfig.model_validate(values).data.source_is_path


def test_names_that_are_no_paths_stay_in_the_configuration() -> None:
    values = {"elmo": {"model": "pretrained/tiny"}, "pretraining": {"init": "tiny"}, "data": {"source": "sample"}}
    config = RunConfig.model_validate(values | {"embedding": {"pretrained": "word2vec"}})
    assert without_paths(config) == config
    assert without_paths(RunConfig()) == RunConfig()


def test_the_place_of_an_elmo_model_is_told_nowhere(trained: RunDir, tmp_path: Path) -> None:
    run_dir = _copy(trained, tmp_path)
    config = run_dir.read_config().model_copy(update={"elmo": ElmoConfig(model="/home/me/model")})
    run_dir.config_file.write_text(config.model_dump_json())
    elmo = {"model": "/home/me/model", "fingerprint": "0" * 64, "state": {}, "random": False}
    changed = {"elmo": elmo, "config_fingerprint": config.fingerprint()}
    run_dir.record_file.write_text(json.dumps(json.loads(run_dir.record_file.read_text()) | changed))
    model = hand_on(run_dir)
    assert "/home/me" not in model.model_dump_json()
    assert model.elmo is not None
    assert (model.elmo.model, model.elmo.fingerprint) == ("model", "0" * 64)


def test_a_run_whose_baseline_was_deleted_is_not_handed_on_by_halves(trained: RunDir, tmp_path: Path) -> None:
    run_dir = _copy(trained, tmp_path)
    run_dir.baseline_file.unlink()
    assert "baseline.safetensors: cannot be read" in refused(1, "export", run_dir.path, tmp_path / "half.zip")
    assert not (tmp_path / "half.zip").exists()


def test_a_run_of_an_earlier_version_is_handed_on_as_the_network_alone(trained: RunDir, tmp_path: Path) -> None:
    run_dir = _copy(trained, tmp_path)
    values = json.loads(run_dir.result_file.read_text())
    del values["recommended"], values["files_sha256"]
    run_dir.result_file.write_text(json.dumps(values))
    model = hand_on(run_dir)
    card = invoke("card", run_dir.path).output
    sizes = write_archive(run_dir, model, card, tmp_path / "old.zip")
    assert BASELINE_FILE not in sizes  # no checksum says that the file in the directory is the run's
    assert load(tmp_path / "old.zip").name == "network"
    assert "It holds a network, which predicts." in card
    assert "which model predicts" not in card


def test_an_exported_model_has_the_name_of_its_run(trained: RunDir, file: Path) -> None:
    assert repr(load(file)) == repr(load(trained.path))


def _copy(trained: RunDir, folder: Path) -> RunDir:
    """A completed run that may be changed."""
    return RunDir(Path(shutil.copytree(trained.path, folder / "results" / "runs" / "single" / "run")))


def test_file_of_another_version_is_refused_by_the_field(file: Path, tmp_path: Path) -> None:
    values = json.loads(zipfile.ZipFile(file).read(MANIFEST))
    later = _changed(file, tmp_path / "later.zip", MANIFEST, json.dumps(values | {"format": "another"}).encode())
    with pytest.raises(SentimentError, match=r"is not one of this version.*format"):
        open_archive(later)


def test_mistakes_of_exporting_are_one_line_each(trained: RunDir, tmp_path: Path, experiment: MakeExperiment) -> None:
    assert "name it" in refused(2, "export", trained.path, tmp_path / "model.pt")
    assert "no such directory" in refused(2, "export", tmp_path / "nowhere", tmp_path / "model.zip")
    run = experiment()
    assert run.attempt(StopWhen(lambda asked: True)) is not None
    assert "is not completed yet" in refused(2, "export", run.run_dir.path, tmp_path / "model.zip")
    assert "no such file" in refused(2, "predict", tmp_path / "model.zip", "nice")


def test_exported_model_has_no_other_seeds(file: Path) -> None:
    with pytest.raises(UsageError, match="holds one run, and no other seeds"):
        load(file, "seeds")


def test_card_is_yaml_for_machines_and_the_scores_for_people(trained: RunDir, file: Path) -> None:
    printed = invoke("card", trained.path).output
    assert printed == invoke("card", file).output
    _, header, text = printed.split("---\n", 2)
    values = YAML(typ="safe").load(header)
    result = trained.read_result()
    assert result is not None
    assert (values["library_name"], values["pipeline_tag"]) == ("sentiment-grids", "text-classification")
    (split,) = [one for one in values["model-index"][0]["results"] if one["dataset"]["split"] == "test"]
    scores = {"network": result.metrics, "baseline": result.baseline, "both": result.combination}
    best = scores[result.recommended or "network"]["test"]
    assert split["metrics"][0] == {"type": "accuracy", "value": round(best.accuracy, 4)}
    assert f"{best.accuracy:.3f} ({best.accuracy_low:.3f}-{best.accuracy_high:.3f})" in text
    assert result.weights_sha256 in text
    for heading in ("## Use", "## Scores", "## Data", "## Limits", "## How it was made"):
        assert heading in text
