"""Replaces the pictures of the READMEs by those of a report: `make study LOCAL=1 DATA=vader`, then
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
        top, table = _FOLDER / "example.png", _FOLDER / "replication.png"
        page.screenshot(path=top)
        page.evaluate("document.querySelector('nav').remove()")  # it stays in sight, above tables
        page.locator(".scroll", has=page.locator("#table-hypotheses")).screenshot(path=table)
        browser.close()
    print(f"{top} and {table} are replaced")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
