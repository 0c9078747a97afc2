"""Runs whose embedding starts from vectors that are learned from text."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from sentiment.data.vocabulary import UNKNOWN, Vocabulary, load_vectors, pretrained_file
from sentiment.errors import RunDirError
from sentiment.training.checkpoint import read_checkpoint
from tests.conftest import MakeExperiment

WORD2VEC = {"embedding__pretrained": "word2vec", "vectors__epochs": 2, "training__epochs": 1}


@pytest.fixture
def more(tmp_path: Path) -> Path:
    file = tmp_path / "more.txt"
    file.write_text("".join(f"an unlabelled tweet with a wordfromelsewhere and {n} others\n" for n in range(9)))
    return file


def test_a_run_learns_its_vectors_and_starts_from_them(experiment: MakeExperiment) -> None:
    run = experiment(**WORD2VEC, embedding__trainable=False)
    run.complete()
    vocabulary = Vocabulary.from_bytes(run.run_dir.vocabulary_file.read_bytes(), "")
    weights = read_checkpoint(run.run_dir.best_weights)["weights"]
    table = next(tensor for name, tensor in weights.items() if "embedding" in name).numpy()
    file = pretrained_file(run.config, run.results)
    assert file is not None
    vectors, found = load_vectors(file, vocabulary, 8, run.config.seed)
    assert found > 9
    np.testing.assert_array_equal(table, vectors)
    record = run.record
    assert record.vectors_sha256 is not None
    assert record.vectors_sha256.startswith(file.parent.name)


@pytest.mark.parametrize(
    ("changes", "known"),
    [({}, True), ({"vectors__vocabulary": "training"}, False), ({"data__vocabulary__max_size": 20}, None)],
)
def test_a_run_knows_the_types_that_only_its_vectors_know_unless_told_otherwise(
    experiment: MakeExperiment, more: Path, changes: dict[str, Any], known: bool | None
) -> None:
    run = experiment(**WORD2VEC, vectors__unlabelled=[{"path": str(more)}], **changes)
    run.complete()
    vocabulary = Vocabulary.from_bytes(run.run_dir.vocabulary_file.read_bytes(), "")
    if known is None:
        assert len(vocabulary.types) == 20
    else:
        assert (vocabulary.encode(["wordfromelsewhere"])[0] != UNKNOWN) == known


def test_a_completed_run_is_refused_where_unlabelled_text_has_changed_and_needs_no_vectors_otherwise(
    experiment: MakeExperiment, more: Path
) -> None:
    run = experiment(**WORD2VEC, vectors__unlabelled=[{"path": str(more)}])
    run.complete()
    file = pretrained_file(run.config, run.results)
    assert file is not None
    for one in file.parent.iterdir():
        one.unlink()
    run.complete()
    assert run.said[-1] == "is completed already; nothing to train"
    more.write_text("quite another tweet\n" * 9)
    with pytest.raises(RunDirError, match="was completed with other vectors than word2vec now holds"):
        run.complete()
