"""A model as one file for others: it predicts as its run does, and whatever is damaged or added is noticed."""

import json
import math
import random
import shutil
import zipfile
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from markdown_it import MarkdownIt
from ruamel.yaml import YAML
from safetensors.torch import load as load_torch
from safetensors.torch import save as save_torch

from sentiment.api import load
from sentiment.config import ElmoConfig, EncoderConfig, RunConfig, is_path
from sentiment.console import as_markdown
from sentiment.errors import SentimentError
from sentiment.predicting.stored import BASELINE_FILE as BASELINE
from sentiment.predicting.stored import (
    CONFIG,
    exported_files,
    model_card,
    open_run,
    without_paths,
    write_archive,
)
from sentiment.predicting.stored import NETWORK_FILE as NETWORK
from sentiment.runs.records import EncoderRecord, Result
from sentiment.runs.run_dir import Results, RunDir
from tests.commands import invoke, succeed
from tests.small_runs import rewrite, stored, unsealed_json

TEXTS = ["such a lovely happy day", "awful, broken and sad", ""]


def read_archive(path: Path) -> dict[str, bytes]:
    with zipfile.ZipFile(path) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


@pytest.fixture(scope="module")
def file(trained: RunDir, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("exported") / "my model.zip"
    output = succeed("export", trained.path, path)
    assert f"sentiment predict {path}" in output.replace("\n", "")
    return path


@pytest.mark.parametrize("choice", [None, "network", "baseline", "both"])
def test_exported_model_predicts_bit_for_bit_as_its_run(trained: RunDir, file: Path, choice: str | None) -> None:
    there, here = load(trained.path, choice), load(file, choice)
    assert here.name == there.name
    assert np.array_equal(here.predict_proba(TEXTS), there.predict_proba(TEXTS), equal_nan=True)


def test_choice_and_threshold_of_the_export_predict_wherever_the_file_is_used(trained: RunDir, tmp_path: Path) -> None:
    file = tmp_path / "chosen.zip"
    probabilities = load(trained.path, "network").predict_proba(TEXTS)[:, 1]
    threshold = round(float(sorted(probabilities)[1]), 4) + 1e-4  # only the most positive text reaches it
    succeed("export", trained.path, file, "--with", "network", "--threshold", threshold)
    expected = ["positive" if probability >= threshold else "negative" for probability in probabilities]
    assert expected.count("positive") == 1
    model = load(file)
    assert (model.name, model.predict(TEXTS).tolist()) == ("network", expected)
    shown = invoke("predict", file, *TEXTS[:2], "--format", "csv").output.splitlines()[1:]
    assert [line.split(",")[0] for line in shown] == expected[:2]
    zero = invoke("predict", file, *TEXTS[:2], "--threshold", "0", "--format", "csv").output
    assert zero.count("positive,") == 2
    assert load(file, "baseline").predict(TEXTS).tolist() == load(trained.path, "baseline").predict(TEXTS).tolist()
    _, _, text = read_archive(file)["README.md"].decode().split("---\n", 2)
    assert f"threshold of the network is {threshold}" in text
    assert "**network**" in text


def test_equal_runs_are_equal_files_with_no_tweet_or_place_in_them(trained: RunDir, file: Path, tmp_path: Path) -> None:
    write_archive(exported_files(open_run(trained.path)), tmp_path / "again.zip")
    assert (tmp_path / "again.zip").read_bytes() == file.read_bytes()
    source = Path(trained.read_config().data.source)
    files = read_archive(file)
    assert not any(name.endswith((".pt", ".pkl", ".ckpt")) for name in files)
    everything = b"".join(files.values()).decode("latin-1")
    assert str(source.parent) not in everything
    assert source.name in everything
    assert source.read_text().splitlines()[1].partition(",")[2] not in everything


def _changed(file: Path, changes: Mapping[str, bytes | None], name: str = "made", compression: int = 0) -> Path:
    """A copy beside it in which files have other content, are missing, or are added."""
    target = file.with_name(f"{name}.zip")
    with zipfile.ZipFile(target, "w", compression) as new:
        for one, content in {**read_archive(file), **changes}.items():
            if content is not None:
                new.writestr(one, content)
    return target


def _outcome(path: Path, choice: str | None = None) -> list[list[float]] | str:
    """What a file predicts, or the one line that refuses it."""
    try:
        found: list[list[float]] = load(path, choice).predict_proba(TEXTS).tolist()
    except SentimentError as error:
        told = str(error)
    else:
        return found
    assert len(told) < 1000
    assert told.isprintable()
    assert told.startswith((str(path), "ELMo model", "encoder"))
    return told


def test_names_decide_what_is_a_model_and_nothing_is_unpacked(file: Path) -> None:
    names = read_archive(file)
    twice = _changed(file, {}, "twice")
    with zipfile.ZipFile(twice, "a") as archive, pytest.warns(UserWarning, match="Duplicate name"):
        archive.writestr(CONFIG, b"{}")
    made = [_changed(file, {name: None}, name) for name in names]
    made.append(_changed(file, {"../../evil.pkl": b"cos\nsystem\n"}, "added"))
    for path in (*made, twice, _changed(file, {}, "packed", zipfile.ZIP_DEFLATED)):
        told = _outcome(path)
        assert "is not a model that `sentiment export` wrote: it holds " in told
        assert f", and not {', '.join(names)}, each once and not compressed" in told


Arrays = dict[str, Any]
BIAS, NAN = "output.bias", math.nan


@pytest.mark.parametrize(
    ("part", "change", "told"),
    [
        (NETWORK, lambda one: {BIAS: torch.tensor([NAN])}, "weights that are not finite (in output.bias)"),
        (NETWORK, lambda one: {BIAS: one[BIAS].double()}, "output.bias is float64 (1,), expected is flo"),
        (NETWORK, lambda one: {BIAS: torch.zeros(2)}, "output.bias is float32 (2,), expected is float32 (1,)"),
        (NETWORK, lambda one: {"more\n\x1b[1m": torch.zeros(2)}, "is float32 (2,), expected is no array of this name"),
        (NETWORK, lambda one: {BIAS: None}, "output.bias is missing, expected"),
        (NETWORK, lambda one: {BIAS: torch.zeros(1).to(torch.float8_e4m3fn)}, "output.bias is float8_e4m3fn"),
        (BASELINE, lambda one: {"weights": one["weights"][:-3]}, "weights is float32"),
        (BASELINE, lambda one: {"weights": one["weights"] * NAN}, "not finite (in weights)"),
        (BASELINE, lambda one: {"keys": one["keys"].float()}, "keys is float32"),
        (BASELINE, lambda one: {"keys": one["keys"][:0]}, "expected is float32 (0,)"),
        (BASELINE, lambda one: dict.fromkeys(one), "idf is missing"),
    ],
)
def test_weights_that_do_not_fit_are_named(
    file: Path, part: str, change: Callable[[Arrays], Arrays], told: str
) -> None:
    arrays = load_torch(read_archive(file)[part])
    made = {name: array for name, array in (arrays | change(arrays)).items() if array is not None}
    assert told in _outcome(_changed(file, {part: save_torch(made)}), "network" if part == NETWORK else "baseline")


@pytest.mark.parametrize(
    "sizes",
    [
        {"model": {"hidden_size": 1_000_000, "layers": 2}},
        {"model": {"kind": "feed_forward", "pooling": "mean", "hidden_size": 1_000_000, "layers": 2}},
        {"model": {"pooling": "attention", "attention": {"d_a": 1_000_000, "r": 1_000_000}}},
        {"embedding": {"size": 1_000_000}, "model": {"hidden_size": 1_000_000}},
    ],
    ids=str,
)
def test_sizes_that_are_not_those_of_the_weights_are_refused_without_memory_for_them(
    file: Path, sizes: dict[str, Any]
) -> None:
    """No machine has the terabytes that each of these networks would take."""
    target = _changed(file, {})
    with zipfile.ZipFile(target) as archive:
        target.with_name(CONFIG).write_bytes(archive.read(CONFIG))
    config = unsealed_json(target.with_name(CONFIG))["config"]
    rewrite(target.with_name(CONFIG), {"config": config | sizes})
    told = _outcome(_changed(file, {CONFIG: target.with_name(CONFIG).read_bytes()}), "network")
    assert "does not fit the model" in told


def test_a_vocabulary_that_is_not_as_long_as_the_embedding_is_refused(file: Path) -> None:
    types = read_archive(file)["vocabulary.txt"]
    for content in (types + b"onemore\n", types[types.index(b"\n") + 1 :], types * 500, b"\xff\n", b""):
        told = _outcome(_changed(file, {"vocabulary.txt": content}), "network")
        assert "embedding" in told or "vocabulary.txt" in told


def _places(value: Any, place: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    if place:
        yield place
    for key in value if isinstance(value, dict) else range(len(value)) if isinstance(value, list) else ():
        yield from _places(value[key], (*place, key))


@pytest.mark.slow
def test_whatever_stands_in_the_manifest_is_an_answer_or_a_line(file: Path) -> None:
    manifest = read_archive(file)[CONFIG]
    odd: tuple[Any, ...] = (None, math.nan, -1, 1e300, "../../x", "\x1b[31m\n\u202e", [[]], {})
    rng, told = random.Random(0), 0
    for number, place in enumerate([*_places(json.loads(manifest))][::4]):
        values = json.loads(manifest)
        holder = values
        for key in place[:-1]:
            holder = holder[key]
        holder[place[-1]] = rng.choice(odd)
        if number % 7 == 0:
            del holder[place[-1]]
        path = _changed(file, {CONFIG: json.dumps(values).encode()})
        if isinstance(_outcome(path, "both"), str):
            told += 1
        else:
            succeed("predict", path, "lovely")
    assert told > 15


@pytest.mark.parametrize(
    ("values", "told"),
    [
        ({"data": {"source": "/home/me/vader"}}, "./vader"),
        ({"data": {"tests": {"mine": {"path": "/home/me/vader"}}}}, "./vader"),
        ({"data": {"extra_train": [{"path": "/home/me/more.csv"}]}}, "more.csv"),
        ({"embedding": {"pretrained": "/home/me/word2vec"}}, "./word2vec"),
        ({"embedding": {"pretrained": "word2vec"}, "vectors": {"unlabelled": [{"path": "/home/me/a.txt"}]}}, "a.txt"),
        ({"elmo": {"model": "/home/me/small"}}, "./small"),
    ],
)
def test_wherever_a_configuration_names_a_path_only_the_last_name_is_told(values: dict[str, Any], told: str) -> None:
    kept = without_paths(RunConfig.model_validate(values))
    assert "/home/me" not in kept.model_dump_json()
    assert json.dumps(told) in kept.model_dump_json()
    assert is_path(kept.data.source) == is_path(RunConfig.model_validate(values).data.source)


def _copy(trained: RunDir, folder: Path, config: RunConfig, **recorded: Any) -> RunDir:
    """A completed run with another configuration, and something else in its record and result."""
    run_dir = RunDir(Path(shutil.copytree(trained.path, folder / "results" / "runs" / "single" / "run")))
    run_dir.write_config(config)
    for file, changed in ((run_dir.record_file, recorded), (run_dir.result_file, {})):
        rewrite(file, changed | {"run_id": config.run_id})
    return run_dir


def test_a_copy_of_a_run_predicts_anywhere(trained: RunDir, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert RunDir(Path("/run")).results == Results(Path("results"))
    assert RunDir(tmp_path / "runs" / "single" / "run").results == Results(tmp_path)
    elmo = trained.read_config().model_copy(update={"elmo": ElmoConfig(model="small")})
    copy = _copy(trained, tmp_path, elmo).path.rename(tmp_path / "copy")
    for options, place in (((), "results"), (("--results", "other"), "other")):
        said = " ".join(invoke("predict", copy, "x", "--with", "network", *options).output.split())
        assert f"ELMo model 'small' is not here: {place}/data/elmo/" in said
    with pytest.raises(SentimentError, match="is not here: there/data/elmo"):
        load(copy, "network", "there")


def test_the_place_of_an_elmo_model_is_told_nowhere(trained: RunDir, tmp_path: Path) -> None:
    elmo = {"model": "/home/me/model", "fingerprint": "0" * 64}
    config = trained.read_config().model_copy(update={"elmo": ElmoConfig(model="/home/me/model")})
    run_dir = _copy(trained, tmp_path, config, encoder=elmo)
    run_dir.write_record(stored(run_dir, Result).model_copy(update={"encoder": EncoderRecord.model_validate(elmo)}))
    write_archive(exported_files(open_run(run_dir.path)), tmp_path / "model.zip")
    card = model_card(open_run(run_dir.path))
    assert "reads vectors of the ELMo model `model`, which is not in the file; licence: not known" in card
    files = read_archive(tmp_path / "model.zip")
    assert not any(b"/home/me" in content for content in files.values())
    assert json.loads(files[CONFIG])["result"]["encoder"].items() >= (elmo | {"model": "model"}).items()


@pytest.mark.parametrize(("field", "what"), [("mentions", "@names"), ("urls", "links")])
def test_people_named_in_the_vocabulary_are_warned_of(trained: RunDir, tmp_path: Path, field: str, what: str) -> None:
    values = trained.read_config().model_dump(mode="json")
    values["data"]["text"][field] = "keep"
    run_dir = _copy(trained, tmp_path, RunConfig.model_validate(values))
    said = invoke("export", run_dir.path, tmp_path / "model.zip").output
    assert f"warning: vocabulary.txt holds {what} of the tweets, since data.text.{field} = keep" in said


def test_card_is_yaml_for_machines_and_the_scores_for_people(trained: RunDir, file: Path) -> None:
    card = model_card(open_run(trained.path))
    assert card == read_archive(file)["README.md"].decode()
    _, header, text = card.split("---\n", 2)
    values = YAML(typ="safe").load(header)
    assert (values["library_name"], values["pipeline_tag"]) == ("sentiment-grids", "text-classification")
    result = stored(trained, Result)
    best = result.scores[result.recommended]["test"]
    assert f"{best.accuracy:.3f} ({best.accuracy_low:.3f}-{best.accuracy_high:.3f})" in text
    assert result.weights_sha256 in text
    assert all(title in text for title in ("## Use", "## Scores", "## Data", "## Limits", "## How it was made"))


def test_card_of_a_run_on_a_users_table_has_the_runs_id(trained: RunDir, tmp_path: Path) -> None:
    values = trained.read_config().model_dump(mode="json")
    values["data"] |= {"source": "/home/me/mine.csv"}
    run_dir = _copy(trained, tmp_path, RunConfig.model_validate(values), dataset="table")
    _, _, text = model_card(open_run(run_dir.path)).split("---\n", 2)
    run_id = stored(run_dir, Result).run_id
    assert f"# {as_markdown(run_id)}\n" in text


def test_hub_reads_base_model_and_data_in_a_card(trained: RunDir, tmp_path: Path) -> None:
    from huggingface_hub import ModelCard

    encoder = EncoderConfig(model="vinai/bertweet-base", use="tokens")
    config = trained.read_config().model_copy(update={"encoder": encoder})
    card = ModelCard(model_card(open_run(_copy(trained, tmp_path, config, dataset="tweeteval").path)))
    assert (card.data.base_model, card.data.datasets) == ("vinai/bertweet-base", ["cardiffnlp/tweet_eval"])
    assert (card.data.license, card.data.language) == ("other", "en")


def test_card_takes_no_description_label_or_file_name_for_markup(trained: RunDir, tmp_path: Path) -> None:
    hostile = "<script>alert(1)</script> **b** `c` [x](http://x.y) \x1b[31m \u202ered | a"
    values = trained.read_config().model_dump(mode="json") | {"description": f"# {hostile}"}
    values["data"] |= {"source": "/home/me/<img onerror=x> *b* \x1b \u202e.csv"}
    values["data"]["labels"] = [f"<b>`bad` {hostile}</b>", f"*{hostile}*"]
    run_dir = _copy(trained, tmp_path, RunConfig.model_validate(values), dataset="table")
    card = model_card(open_run(run_dir.path))
    assert card.replace("\n", "").isprintable()
    assert "\u202e" not in card
    _, _, text = card.split("---\n", 2)
    blocks = MarkdownIt("gfm-like", {"linkify": False}).parse(text)
    tokens = [child for block in blocks for child in block.children or ()]
    assert not {token.type for token in tokens} & {"html_inline", "link_open", "em_open", "image"}
    shown = "".join(token.content for token in tokens)
    assert shown.count("<script>alert(1)</script>") == 3  # description and both labels
    assert "<img onerror=x> *b*" in shown
