"""What a power cut leaves of an unfinished run's small files: it goes on to the same weights, or names the file."""

import pytest

from sentiment.errors import RunDirError
from tests.conftest import MakeExperiment
from tests.small_runs import Digest, Experiment, StopWhen, digest_of

pytestmark = pytest.mark.slow


@pytest.fixture
def uninterrupted(experiment: MakeExperiment) -> Digest:
    run = experiment()
    run.complete()
    return digest_of(run.run_dir)


@pytest.fixture
def cut(experiment: MakeExperiment) -> Experiment:
    """A run that has stopped on its way."""
    run = experiment()
    assert run.attempt(StopWhen(lambda question: question == 30)) is not None
    return run


def _damage(cut: Experiment, name: str) -> None:
    """The last row is torn, and what was to follow it is NUL."""
    path = cut.run_dir.path / name
    path.write_bytes((path.read_bytes() if path.exists() else b"")[:-30] + b"\0" * 40 + b"\n")


@pytest.mark.parametrize("name", ["metrics.jsonl", "timings.jsonl", "failure.json", "lock"])
def test_what_can_be_written_anew_is_and_the_run_ends_like_an_uninterrupted_one(
    cut: Experiment, uninterrupted: Digest, name: str
) -> None:
    _damage(cut, name)
    cut.complete()
    assert digest_of(cut.run_dir) == uninterrupted


def test_damaged_record_is_named_and_without_it_the_run_goes_on(cut: Experiment, uninterrupted: Digest) -> None:
    _damage(cut, "run.json")
    with pytest.raises(RunDirError, match=r"run\.json: is not a valid record.*delete it"):
        cut.attempt()
    cut.run_dir.record_file.unlink()
    cut.complete()
    assert digest_of(cut.run_dir) == uninterrupted
