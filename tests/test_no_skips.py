"""The option that lets nothing be skipped unseen."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.slow

_TESTS = """
import pytest

@pytest.mark.skip(reason="no wish")
def test_skipped(): pass

@pytest.mark.gpu
def test_needs_gpu(): pytest.skip("no GPU")

@pytest.mark.shared_data
def test_needs_tweets(): pytest.skip("no tweets")

@pytest.mark.xfail
def test_expected_to_fail(): assert False

def test_good(): pass
"""


def _outcomes(folder: Path, *options: str) -> str:
    (folder / "test_some.py").write_text(_TESTS)
    (folder / "test_module.py").write_text("import pytest\npytest.skip('all of it', allow_module_level=True)\n")
    markers = "[pytest]\nmarkers =\n    gpu: a\n    shared_data: b\n"
    (folder / "pytest.ini").write_text(markers)
    options = ("--continue-on-collection-errors", *options)
    command = [sys.executable, "-m", "pytest", "-q", "-p", "tests.no_skips", *options, str(folder)]
    environment = os.environ | {"PYTHONPATH": str(Path(__file__).parents[1])}
    return subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True).stdout


def test_skipped_tests_fail_with_the_option_unless_their_needs_may_be_missing(tmp_path: Path) -> None:
    output = _outcomes(tmp_path, "--no-skips")
    assert "1 passed, 2 skipped, 1 xfailed, 2 errors" in output
    assert "skipped, which --no-skips forbids: Skipped: no wish" in output
    assert "skipped, which --no-skips forbids: Skipped: all of it" in output


def test_skipped_tests_stay_skipped_without_the_option(tmp_path: Path) -> None:
    assert "1 passed, 4 skipped, 1 xfailed" in _outcomes(tmp_path)
