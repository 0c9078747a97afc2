"""What the tests of the report share: an invented study of every kind of grid, and its report."""

from pathlib import Path

import pytest

from report.build import build_report
from sentiment.runs.run_dir import Results
from tests.report.studies import write_study


@pytest.fixture(scope="session")
def invented(tmp_path_factory: pytest.TempPathFactory) -> Results:
    """Results with the invented study; not to be changed."""
    results = Results(tmp_path_factory.mktemp("invented") / "results")
    write_study(results)
    return results


@pytest.fixture(scope="session")
def invented_report(invented: Results, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of its report."""
    folder = tmp_path_factory.mktemp("report")
    build_report(invented, [], folder)
    return folder
