"""The README's picture of the report: `python -m tests.browser.picture RESULTS` writes report/example.png."""

import shutil
import sys
import tempfile
from pathlib import Path

from playwright.sync_api import sync_playwright

from report.build import build_report
from sentiment.runs.run_dir import Results

PICTURE = Path(__file__).parents[2] / "report" / "example.png"
_WIDTH, _HEIGHT = 1280, 940


def main() -> None:
    """Photograph the top of the report of the runs in RESULTS."""
    chromium = shutil.which("chromium") or sys.exit("chromium is not installed (Debian: apt-get install chromium)")
    with tempfile.TemporaryDirectory() as folder, sync_playwright() as playwright:
        _, address = build_report(Results(Path(sys.argv[1])), [], Path(folder))
        browser = playwright.chromium.launch(executable_path=chromium)
        page = browser.new_page(viewport={"width": _WIDTH, "height": _HEIGHT})
        page.goto(address.as_uri())
        page.screenshot(path=PICTURE)
        browser.close()


if __name__ == "__main__":
    main()
