"""Nothing on the page is cut off, overlaps or breaks into single words, on desktops, phones and paper."""

from pathlib import Path

import pytest
from playwright.sync_api import Page

from report.build import build_report
from tests.relations.studies import write_random_study

pytestmark = pytest.mark.browser

_MEASURE = Path(__file__).with_name("measure.js").read_text(encoding="utf-8")
# A random study of three classes with added predictors.
_OF_THREE_CLASSES = 11


@pytest.fixture(scope="session")
def addresses(report_address: str, tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    folder = tmp_path_factory.mktemp("three")
    _, page = build_report(write_random_study(folder / "results", _OF_THREE_CLASSES), [], folder / "report")
    return {"two classes": report_address, "three classes": page.as_uri()}


@pytest.mark.parametrize("study", ["two classes", "three classes"])
@pytest.mark.parametrize("width", [390, 1280])
def test_no_text_is_cut_off_runs_into_another_or_has_a_word_on_each_line(
    page: Page, addresses: dict[str, str], study: str, width: int
) -> None:
    page.set_viewport_size({"width": width, "height": 900})
    page.goto(addresses[study])
    page.evaluate("document.querySelectorAll('details').forEach(details => { details.open = true; })")
    assert page.evaluate(_MEASURE) == []
    assert page.evaluate("document.documentElement.scrollWidth") <= width


def test_what_is_cut_off_or_overlaps_is_found(page: Page, addresses: dict[str, str]) -> None:
    page.goto(addresses["two classes"])
    page.evaluate(
        """() => {
          document.querySelector("figure svg.screen text:not([stroke])").textContent = "wide ".repeat(200);
          document.querySelector("td").innerHTML = "one <br>two <br>three";
        }"""
    )
    found = "\n".join(page.evaluate(_MEASURE))
    assert "cut off: wide" in found
    assert "runs into" in found
    assert "a word a line: one two three" in found


@pytest.mark.parametrize("study", ["two classes", "three classes"])
def test_no_table_is_cut_off_on_paper(page: Page, addresses: dict[str, str], study: str) -> None:
    page.set_viewport_size({"width": 720, "height": 1000})
    page.emulate_media(media="print")
    page.goto(addresses[study])
    right = page.locator("table, figure").evaluate_all("all => all.map(one => one.getBoundingClientRect().right)")
    assert max(right) <= 720
