"""The page in a real browser: quiet, offline, sortable, and fit for phones, paper, the dark and screen readers."""

from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from playwright.sync_api import Locator, Page, expect

pytestmark = pytest.mark.browser

_SORT_VALUES = """(table, title) => {
  const place = [...table.tHead.rows[0].cells].findIndex(cell => cell.textContent === title);
  return [...table.tBodies[0].rows].map(row => row.cells[place].dataset.sort ?? row.cells[place].textContent);
}"""


def _column(table: Locator, title: str) -> list[str]:
    return list(table.evaluate(_SORT_VALUES, title))


def _values(table: Locator, title: str) -> list[float]:
    return [float(value) if value else float("inf") for value in _column(table, title)]


def test_page_asks_for_nothing_and_complains_of_nothing(page: Page, report_address: str) -> None:
    requests: list[str] = []
    complaints: list[str] = []
    page.on("request", lambda request: requests.append(request.url))
    page.on("console", lambda message: complaints.append(message.text))
    page.on("pageerror", lambda error: complaints.append(str(error)))
    page.context.set_offline(True)
    page.goto(report_address)
    page.locator("#table-leaderboard").get_by_role("button", name="Test accuracy, %").click()
    page.locator("#table-runs .open").first.click()
    expect(page.locator(".panel svg").first).to_be_visible()
    page.mouse.wheel(0, 20_000)
    assert complaints == []
    assert [url for url in requests if url != report_address and not url.startswith("data:")] == []


@pytest.mark.parametrize("size", [(1280, 800), (390, 844)], ids=["desktop", "phone"])
def test_answer_is_on_the_first_screen(report: Page, size: tuple[int, int]) -> None:
    report.set_viewport_size({"width": size[0], "height": size[1]})
    answer = report.locator("main > section", has_text="Recommendation")
    parts = [answer.locator(".lead"), answer.get_by_text("Trained on"), report.get_by_text("of 76 runs completed")]
    if size[0] > size[1]:
        parts.append(answer.get_by_text("Of 2 stated hypotheses"))
    for part in parts:
        expect(part).to_be_in_viewport()
    height = report.locator("#hypotheses").evaluate("heading => heading.getBoundingClientRect().top + scrollY")
    assert size[0] < size[1] or height <= 2500


def test_link_to_methods_opens_them_on_a_phone(report: Page) -> None:
    report.set_viewport_size({"width": 390, "height": 844})
    report.get_by_role("link", name="Methods", exact=True).first.click()
    expect(report.get_by_text("All selection uses the validation set")).to_be_visible()


def test_mouse_and_keyboard_sort_by_value_one_column_at_a_time(report: Page) -> None:
    leaderboard = report.locator("#table-leaderboard")
    button = leaderboard.get_by_role("button", name="Test accuracy, %", exact=True)
    for order in ("descending", "ascending"):
        button.click()
        expect(button.locator("..")).to_have_attribute("aria-sort", order)
        values = [value for value in _values(leaderboard, "Test accuracy, %") if value != float("inf")]
        assert values == sorted(values, reverse=order == "descending")
    assert len(set(values)) > 8
    leaderboard.get_by_role("button", name="Predictor").focus()
    report.keyboard.press("Enter")
    assert _column(leaderboard, "Predictor") == sorted(_column(leaderboard, "Predictor"), key=str.casefold)
    report.keyboard.press("Tab")
    report.keyboard.press("Space")
    assert leaderboard.locator("[aria-sort]").all_inner_texts() == ["Test accuracy, %"]
    table = report.locator("#table-runs")
    for _ in range(2):  # what is missing stays last in both orders
        table.get_by_role("button", name="Validation macro F1, %").click()
        values = _values(table, "Validation macro F1, %")
        assert [place for place, value in enumerate(values) if value == float("inf")] == list(range(72, 76))


def test_pointing_at_a_trial_singles_it_out_and_names_it(report: Page) -> None:
    lines = report.locator("svg.screen path[aria-label^='trial ']")
    assert lines.count() == 48
    chosen, other = lines.nth(47), lines.nth(0)
    report.locator(".card", has=chosen).locator("summary").click()
    chosen.scroll_into_view_if_needed()
    middle = chosen.evaluate(
        "path => { const at = path.getPointAtLength(path.getTotalLength() - 60);"
        " const there = at.matrixTransform(path.getScreenCTM()); return [there.x, there.y]; }"
    )
    report.mouse.move(*middle)
    opacity = "line => Number(getComputedStyle(line).opacity)"
    assert chosen.evaluate(opacity) > 0.5
    assert other.evaluate(opacity) < 0.1
    expect(report.locator("#tip")).to_contain_text("validation macro F1")
    report.mouse.move(0, 0)
    assert other.evaluate(opacity) > 0.5


def test_tables_are_downloaded_from_the_page_itself_as_they_are_shown(report: Page) -> None:
    """The page is alone and offline, as after it was mailed."""
    report.locator("select[name=grid]").select_option("attention")
    run = report.locator("#table-runs tbody tr:not([hidden]) td:nth-child(2)").first
    run.evaluate("cell => { cell.textContent = '=HYPERLINK(0)'; }")
    with report.expect_download() as download:
        report.get_by_role("link", name="runs.csv").click()
    table = pd.read_csv(download.value.path())
    assert "'=HYPERLINK(0)" in table.to_numpy()  # for a spreadsheet no formula
    assert (download.value.suggested_filename, {*table["Grid"]}, len(table)) == ("runs.csv", {"attention"}, 4)
    scores = _values(report.locator("#table-runs"), "Test accuracy, %")
    assert {*table["Test accuracy, %"]} <= {*scores}


def test_dark_theme_turns_page_and_figures_dark(report: Page) -> None:
    colours = """["body", "figure"].map(one => getComputedStyle(document.querySelector(one)).backgroundColor)
      .map(one => one.match(/[0-9.]+/g).slice(0, 3).map(Number)).flat()"""
    report.emulate_media(color_scheme="light")
    assert min(report.evaluate(colours)) > 190
    report.emulate_media(color_scheme="dark")
    assert max(report.evaluate(colours)) < 60


def test_paper_has_no_navigation_and_nothing_is_cut_off(report: Page) -> None:
    report.emulate_media(media="print")
    expect(report.locator("nav")).to_be_hidden()
    folded = report.locator("details:not([open]) #table-usage")
    assert folded.evaluate("table => table.checkVisibility({ contentVisibilityAuto: true })")
    assert report.locator(".scroll").first.evaluate("box => getComputedStyle(box).overflowX") == "visible"
    assert report.locator("figure").first.evaluate("figure => getComputedStyle(figure).breakInside") == "avoid"
    method = report.locator("details .facts div").last
    assert method.evaluate("method => getComputedStyle(method).breakInside") == "avoid"
    assert report.pdf(format="A4").startswith(b"%PDF")


# Of rows that are alike a few are enough, and drawings for phones are not shown here.
_FEWER_PARTS = """document.querySelectorAll("tr:nth-child(n+6), svg.phone, svg [aria-label^=trial]:nth-child(n+6)")
  .forEach(one => one.remove())"""
# Without what it found in order, which takes longest to describe.
_ONLY_FINDINGS = "{ resultTypes: ['violations'], selectors: false }"
_BROKEN = """() => {
  document.querySelector("#table-leaderboard th button").textContent = "";
  document.querySelector(".lead").style.color = "color-mix(in srgb, var(--ink) 30%, var(--page))";
}"""


def _serious(report: Page, within: str) -> list[tuple[str, str, str]]:
    found = report.evaluate(f"axe.run({within!r}, {_ONLY_FINDINGS})")
    return [
        (finding["id"], finding["nodes"][0]["html"][:200], finding["nodes"][0]["failureSummary"])
        for finding in found["violations"]
        if finding["impact"] in ("serious", "critical")
    ]


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_accessibility_checker_finds_nothing_serious(report: Page, axe: Path, scheme: Any) -> None:
    report.emulate_media(color_scheme=scheme)
    report.evaluate(axe.read_text(encoding="utf-8"))  # as a script of the page the page's own policy forbids it
    report.evaluate(_FEWER_PARTS)
    assert _serious(report, "html") == []
    report.evaluate(_BROKEN)
    broken = [_serious(report, within)[0][0] for within in ("#table-leaderboard thead", ".lead")]
    assert broken == ["button-name", "color-contrast"]


def test_references_have_targets_and_ids_are_unique(report: Page) -> None:
    dangling = report.evaluate(
        '[...document.documentElement.outerHTML.matchAll(/(?:url\\(#|href="#)([^)"]+)/g)]'
        ".map(found => found[1]).filter(id => !document.getElementById(id))"
    )
    twice = report.evaluate(
        "(ids => ids.filter((id, place) => ids.indexOf(id) !== place))"
        "([...document.querySelectorAll('[id]')].map(element => element.id))"
    )
    assert dangling == twice == []
