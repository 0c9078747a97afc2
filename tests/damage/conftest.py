"""The study whose files are damaged: made once for all tests here, each of which renews its copy."""

from collections.abc import Iterator

import pytest

from tests.damage.study import Study, build_study
from tests.damage.trials import quick_and_without_slurm


@pytest.fixture(scope="package")
def study(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Study]:
    with quick_and_without_slurm():
        yield build_study(tmp_path_factory.mktemp("study"))
