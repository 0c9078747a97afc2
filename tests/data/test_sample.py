"""The sample that comes with the program."""

from pathlib import Path

from sentiment.config import DataConfig
from sentiment.data.corpus.corpus import prepare_corpus
from sentiment.runs.run_dir import Results


def test_the_sample_needs_no_network_and_has_both_classes_on_all_sides(tmp_path: Path) -> None:
    corpus = prepare_corpus(DataConfig(source="sample"), Results(tmp_path))
    assert corpus.report.source == "sample"
    assert corpus.report.read == 1000
    assert all(0 < part.positive < part.rows for part in corpus.report.parts.values())
    assert not (tmp_path / "data" / "downloads").exists()


def test_the_sample_is_read_alike_whatever_a_users_own_columns_are_called(tmp_path: Path) -> None:
    config = DataConfig.model_validate({"source": "sample", "columns": {"text": "tweet", "label": "class"}})
    assert prepare_corpus(config, Results(tmp_path)).report.read == 1000
