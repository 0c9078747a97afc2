"""The report says whether one version of the code computed each run."""

from pathlib import Path
from typing import Any

import pytest

from report.build import build_report
from sentiment.config_file import resolve
from sentiment.runs.run_dir import Results
from tests.report.made_up import BASE, Study, attempt

pytestmark = pytest.mark.slow

ONE = "Each run was computed by one version of the code."


def _report(tmp_path: Path, *attempts: dict[str, Any]) -> str:
    study = Study(Results(tmp_path / "results"))
    study.complete(resolve(BASE, {}, "base"), attempts=[attempt(**changes) for changes in attempts])
    build_report(study.results, [], tmp_path / "out")
    return (tmp_path / "out" / "report.md").read_text()


@pytest.mark.parametrize(
    ("attempts", "one", "mixed"),
    [
        ([{"code": "a" * 64}], True, False),
        ([{"code": "a" * 64}, {"code": "a" * 64, "first_step": 20}], True, False),
        ([{"code": "a" * 64}, {"code": "b" * 64, "first_step": 20}], False, True),
        ([{"code": "a" * 64}, {"code": "b" * 64, "first_step": 0}], True, False),  # begun anew
    ],
)
def test_runs_that_went_on_with_other_code_are_named(
    tmp_path: Path, attempts: list[dict[str, Any]], one: bool, mixed: bool
) -> None:
    report = _report(tmp_path, *attempts)
    assert (ONE in report) is one
    assert ("1 run went on with other code than had begun it: " in report) is mixed
