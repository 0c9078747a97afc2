"""`sentiment report --verify` finds edits of a study, and nothing else."""

import random

import pytest

from tests.commands import invoke
from tests.damage.edits import EDITS, plant
from tests.damage.study import Study

pytestmark = pytest.mark.slow
# Each of them is found by another check.
_EVERY_TIME = {"better score, with a new seal", "weights of another seed", "configuration edited", "tweet edited"}


@pytest.mark.parametrize(
    "name", [pytest.param(name, marks=[] if name in _EVERY_TIME else pytest.mark.more) for name in EDITS]
)
def test_edit_is_found_and_its_file_is_named(study: Study, name: str) -> None:
    assert not plant(study, name, random.Random(name))


def test_untouched_study_is_verified_and_stays_as_it_is(study: Study, monkeypatch: pytest.MonkeyPatch) -> None:
    study.renew()
    monkeypatch.chdir(study.folder)
    files = {path: path.stat().st_mtime_ns for path in study.results.root.rglob("*") if path.is_file()}
    assert invoke("report", "--verify").exit_code == 0
    assert files == {path: path.stat().st_mtime_ns for path in study.results.root.rglob("*") if path.is_file()}
