"""What the tests of the report share: an invented study of every kind of grid, its report, and an empty one."""

from pathlib import Path

import pytest

from sentiment.runs.run_dir import Results
from tests.report.made_up import Study
from tests.report.studies import write_study


@pytest.fixture
def study(tmp_path: Path) -> Study:
    return Study(Results(tmp_path / "results"))


@pytest.fixture(scope="session")
def invented(tmp_path_factory: pytest.TempPathFactory) -> Study:
    """The invented study; not to be changed."""
    return write_study(Results(tmp_path_factory.mktemp("invented") / "results"))


@pytest.fixture(scope="session")
def invented_report(invented: Study, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("report")
    invented.report(folder)
    return folder
