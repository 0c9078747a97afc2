"""Which tweets runs were made on is told by their records."""

from pathlib import Path
from typing import Any

import pytest

from report.compare.datasets import Dataset, datasets_of
from report.read import load_study
from sentiment.config_file import resolve
from sentiment.runs.run_dir import Results
from tests.report.made_up import BASE, Study


def _dataset(tmp_path: Path, data: dict[str, Any], **record: Any) -> Dataset:
    study = Study(Results(tmp_path / "results"))
    study.complete(resolve(BASE, {f"data.{name}": value for name, value in data.items()}, "base"), **record)
    (dataset,) = datasets_of(
        (run.completed for run in load_study(study.results, []).runs if run.completed), study.results
    )
    return dataset


@pytest.mark.parametrize(
    ("source", "recorded", "expected"),
    [
        ("sentiment140", "sentiment140", True),
        ("training.1600000.csv", "sentiment140", True),
        ("my-sentiment140-sample.csv", "table", False),
        ("vader", "vader", False),
    ],
)
def test_sentiment140_is_known_by_the_record_and_not_by_a_name(
    tmp_path: Path, source: str, recorded: str, expected: bool
) -> None:
    assert _dataset(tmp_path, {"source": source}, dataset=recorded).is_sentiment140 == expected


def test_part_of_sentiment140_is_not_all_of_it(tmp_path: Path) -> None:
    dataset = _dataset(tmp_path, {"source": "sentiment140", "max_rows": 1000}, dataset="sentiment140")
    assert not dataset.is_sentiment140
    assert dataset.name == "sentiment140, at most 1,000 rows"
