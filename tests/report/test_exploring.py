"""What the page lets readers explore is what the runs have written: curves and answers, each of its own run."""

import base64
import json
import zlib
from typing import Any

import numpy as np
import pytest

from report.compare.findings import Findings
from sentiment.runs.run_dir import Results
from tests.report.made_up import Study
from tests.report.written import Written, completed, written_runs


@pytest.fixture(scope="module")
def explored(tmp_path_factory: pytest.TempPathFactory) -> tuple[Findings, dict[str, Written]]:
    """Three runs, from one of which cleaning leaves nothing of its last tweets."""
    study = Study(Results(tmp_path_factory.mktemp("results")))
    for seed, emptied in ((1, 0), (2, 7), (3, 0)):
        text = {"data.text.stop_words": "all"} if emptied else {}
        study.single({"seed": seed} | text, skill=0.3 * seed, emptied=emptied)
    return study.findings(), {run.path.name: run for run in completed(written_runs(study.results.root))}


def test_each_curve_is_what_its_run_logged_of_each_part(explored: tuple[Findings, dict[str, Written]]) -> None:
    findings, runs = explored
    assert findings.learned.keys() == runs.keys()
    for run_id, curves in findings.learned.items():
        for part in ("train", "validation"):
            for metric in ("loss", "accuracy"):
                logged = [row[part][metric] for row in runs[run_id].epochs]
                assert curves[f"{part}_{metric}"] == pytest.approx(logged, abs=1e-4), (run_id, part, metric)
        assert curves["epoch"] == [row["epoch"] for row in runs[run_id].epochs]
    assert len({json.dumps(one) for one in findings.learned.values()}) == len(runs)


def test_answers_are_those_of_their_run_and_only_of_tweets_that_it_was_tested_on(
    explored: tuple[Findings, dict[str, Written]],
) -> None:
    findings, runs = explored
    answers = findings.packed
    assert answers
    n = answers["n"]
    right, known = (_bits(answers[name], len(runs), n) for name in ("right", "known"))
    for place, run_id in enumerate(answers["ids"]):
        labels, scores, _ = runs[run_id].predictions()
        assert known[place].sum() == len(labels) in (113, 120)
        np.testing.assert_array_equal(right[place][known[place]], (scores >= 0.5) == (labels == 1))
    labels = runs[answers["ids"][0]].predictions()[0]
    assert list(_inflated(answers["labels"])) == labels.tolist()


def _inflated(text: str) -> bytes:
    return zlib.decompress(base64.b64decode(text))


def _bits(text: str, runs: int, n: int) -> Any:
    packed = np.frombuffer(_inflated(text), np.uint8).reshape(runs, -1)
    return np.unpackbits(packed, axis=1, count=n).astype(bool)
