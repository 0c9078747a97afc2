"""Takes the pictures of the READMEs from a report: `make study LOCAL=1 DATA=vader`, then
`python -m tests.browser.pictures results/report/report.html`."""

import shutil
import sys
from pathlib import Path

from playwright.sync_api import sync_playwright

_FOLDER = Path(__file__).parents[2] / "report"


def main(report: Path) -> None:
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=shutil.which("chromium"))
        page = browser.new_page(viewport={"width": 1280, "height": 1100}, color_scheme="light")
        page.goto(report.resolve().as_uri())
        page.screenshot(path=_FOLDER / "example.png")
        page.evaluate("document.querySelector('nav').remove()")  # it stays in sight, above tables
        page.locator(".scroll", has=page.locator("#table-hypotheses")).screenshot(path=_FOLDER / "replication.png")
        browser.close()


if __name__ == "__main__":
    main(Path(sys.argv[1]))
