"""Validation and test are the same whatever is trained on, and nothing that is trained on has a tweet of them."""

import tempfile
from collections import defaultdict
from pathlib import Path, PurePath
from typing import Any

import pyarrow.parquet as pq
import pytest
from hypothesis import Phase, assume, given, settings
from hypothesis import strategies as st

from sentiment.config import DataConfig, TextFile
from sentiment.config_file import resolve
from sentiment.console import silent
from sentiment.data.corpus import Corpus, prepare_corpus
from sentiment.data.vocabulary import gather_text, open_text, whole_training_part
from sentiment.errors import DataError
from sentiment.runs.run_dir import Results
from tests.data.near_copies import COLUMNS, Tweet, World, number_in

NAMELESS = {"id": "id", "label": "label", "text": "text"}
SPLITS = st.sampled_from([{}, {"folds": 3, "fold": 1}, {"folds": 3, "fold": 3}])
TRAINED_ON = st.fixed_dictionaries(
    {},
    optional={
        "train_rows": st.sampled_from([20, 40]),
        "tests": st.sampled_from([["second.csv"], ["second.csv", "extra.csv"]]),
        "extra_train": st.lists(st.sampled_from(["extra.csv", "nameless.csv", "main.csv"]), min_size=1, unique=True),
    },
)


def _config(folder: Path, options: dict[str, Any]) -> DataConfig:
    extra = [
        {"path": str(folder / name), "columns": NAMELESS if name.startswith("nameless") else COLUMNS}
        for name in options.get("extra_train", [])
    ]
    values = {"source": str(folder / "main.csv"), "columns": COLUMNS, "validation_fraction": 0.2, "test_fraction": 0.2}
    tests = {PurePath(name).stem: {"path": str(folder / name), "columns": COLUMNS} for name in options.get("tests", [])}
    values |= options | {"extra_train": extra, "tests": tests}
    return resolve({"data": values}, {}, "a test").data


def _rows(corpus: Corpus, *parts: str) -> list[tuple[str, int]]:
    """Identifiers and labels of the rows in these parts, in their order."""
    table = pq.read_table(corpus.path / "tweets.parquet").to_pydict()
    return [row[:2] for row in zip(table["id"], table["label"], table["part"], strict=True) if row[2] in parts]


def _numbers(corpus: Corpus, world: World, *parts: str) -> set[int]:
    return {world.tweets[name].number for name, _ in _rows(corpus, *parts)}


@pytest.mark.slow
@given(seed=st.integers(0, 10_000), split=SPLITS, trained_on=TRAINED_ON)
@settings(max_examples=30, deadline=None, phases=[Phase.generate])  # smaller examples would tell no more
def test_validation_and_test_stay_the_same_whatever_is_trained_on(
    seed: int, split: dict[str, Any], trained_on: dict[str, Any]
) -> None:
    world = World(seed)
    with tempfile.TemporaryDirectory() as place:
        folder, results = Path(place), Results(Path(place) / "results")
        world.write(folder)
        plain = prepare_corpus(_config(folder, split), results)
        config = _config(folder, split | trained_on)
        try:
            corpus = prepare_corpus(config, results)
        except DataError as error:
            assume("but both are needed" not in str(error))  # nearly all was held out
            raise
        for part in ("validation", "test"):
            assert _rows(corpus, part) == _rows(plain, part), part
        held_out = _numbers(corpus, world, *corpus.part_names[1:])
        tested = {"second": world.second, "extra": world.extra}
        assert held_out == _numbers(plain, world, "validation", "test").union(
            *({one.number for one in tested[name]} for name in config.tests)
        )
        _check_trained_on(corpus, world, held_out)
        _check_text(config, results, world, held_out)


def _authors_held_out(corpus: Corpus, world: World) -> set[str]:
    return {world.tweets[name].author for name, _ in _rows(corpus, *corpus.part_names[1:])}


def _check_trained_on(corpus: Corpus, world: World, held_out: set[int]) -> None:
    trained = [world.tweets[name] for name, _ in _rows(corpus, "train")]
    assert trained
    assert len({one.number for one in trained}) == len(trained), "a tweet is trained on twice"
    assert not held_out & {one.number for one in trained}
    named = {one.author for one in trained if one.id[0] != "n"}
    assert not named & _authors_held_out(corpus, world)


def _check_text(config: DataConfig, results: Results, world: World, held_out: set[int]) -> None:
    """The text of vectors and language models, which reads an unlabelled file besides the training part."""
    corpus = prepare_corpus(whole_training_part(config), results)
    path = Path(config.source).with_name("unlabelled.csv")
    files = [open_text(TextFile(path=str(path)), "vectors.unlabelled")]
    read = {number_in(tokens) for tokens in gather_text(corpus, config.text, files, silent)[0]}
    assert read > {world.tweets[name].number for name, _ in _rows(corpus, "train")}
    assert not held_out & read
    told: dict[int, set[str]] = defaultdict(set)
    for one in [*_labelled(config, world), *world.unlabelled]:
        told[one.number].add(one.author)
    first_read_without_author = {one.number for one in world.nameless} - {one.number for one in world.main}
    authors = _authors_held_out(corpus, world)
    assert not [number for number in read - first_read_without_author if told[number] <= authors]


def _labelled(config: DataConfig, world: World) -> list[Tweet]:
    """The tweets of tables with authors that the corpus reads."""
    return world.main + (world.extra if any("extra" in table.path for table in config.extra_train) else [])
