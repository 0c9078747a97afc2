"""The system's Chromium, and a report of all kinds of grids for it to open."""

import shutil
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Page, expect

from sentiment.runs.run_dir import Results
from tests.limits import limit
from tests.report.studies import write_study

expect.set_options(timeout=1000 * limit(30))  # not the 5 s of Playwright, which a busy machine may take


@pytest.fixture(scope="session")
def browser_type_launch_args(browser_type_launch_args: dict[str, Any]) -> dict[str, Any]:
    """Playwright's own builds can't be had everywhere; the distribution's does as well."""
    chromium = shutil.which("chromium") or pytest.skip("chromium is not installed (Debian: apt-get install chromium)")
    return {**browser_type_launch_args, "executable_path": chromium}


@pytest.fixture(scope="session")
def base_url() -> None:
    """None: the plugin's own, written as a method, is one that pytest warns of."""


@pytest.fixture(scope="session")
def report_results(tmp_path_factory: pytest.TempPathFactory) -> Results:
    """Runs with enough trials for every figure, and their report beside them."""
    study = write_study(Results(tmp_path_factory.mktemp("browser") / "results"), trials=48)
    study.report(study.results.root.parent / "report")
    return study.results


@pytest.fixture(scope="session")
def report_address(report_results: Results) -> str:
    alone = report_results.root.parent / "alone" / "report.html"
    alone.parent.mkdir()
    shutil.copy(report_results.root.parent / "report" / "report.html", alone)
    return alone.as_uri()


@pytest.fixture
def report(page: Page, report_address: str) -> Page:
    page.context.set_offline(True)
    page.goto(report_address)
    return page


@pytest.fixture(scope="session")
def axe() -> Path:
    import axe_playwright_python

    return Path(axe_playwright_python.__file__).parent / "axe.min.js"
