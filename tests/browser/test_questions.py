"""Questions to the runs in a real browser: filter, choose, overlay, open, compare, and come back by the address."""

from pathlib import Path

import pytest
from playwright.sync_api import Browser, Locator, Page, expect

from sentiment.blocks.wording import duration
from sentiment.runs.run_dir import Results
from sentiment.statistics import words

pytestmark = pytest.mark.browser


@pytest.fixture
def runs(report: Page) -> Locator:
    return report.locator("#table-runs")


def _shown(runs: Locator) -> list[str]:
    return runs.locator("tbody tr:visible .open").all_inner_texts()


def test_runs_are_filtered_by_words_and_by_grid(report: Page, runs: Locator) -> None:
    expect(report.get_by_role("status")).to_have_text("76 of 76 runs")
    report.get_by_role("searchbox", name="Search").fill("gru64 s1")
    assert 0 < len(_shown(runs)) < 76
    assert all("gru64" in name and "s1" in name for name in _shown(runs))
    report.get_by_role("searchbox", name="Search").fill("")
    report.locator("select[name=grid]").select_option("attention")
    expect(report.get_by_role("status")).to_have_text("4 of 76 runs")
    report.locator("select[name=state]").select_option("failed")
    assert _shown(runs) == []


def test_columns_are_added_and_sort_by_their_values(report: Page, runs: Locator) -> None:
    report.get_by_text("Columns", exact=True).click()
    report.get_by_role("checkbox", name="Learning rate").check()
    heading = runs.get_by_role("button", name="Learning rate")
    heading.click()
    cells = runs.locator("tbody td.added").evaluate_all("cells => cells.map(cell => cell.dataset.sort)")
    values = [float(value) for value in cells if value]
    assert values == sorted(values, reverse=True)
    assert len(set(values)) == 3
    report.get_by_role("checkbox", name="Learning rate").uncheck()
    expect(heading).to_have_count(0)


def test_figures_of_an_opened_run_are_written_as_in_the_table(report: Page) -> None:
    for value, kind, text in (("20231", "count", "20,231"), ("49498", "", "49,498"), ("0.00034567", "", "0.0003457")):
        assert report.evaluate(f"shown({value}, '{kind}')") == text
    figures = [0, 0.0004, -0.0004, 0.021, -0.3, 0.7, 9.96, 45.2, 95, 660, 9_000]
    for kind, write in (("points", words.points), ("duration", duration), ("percent", words.percent)):
        values = [value for value in figures if value >= 0 or kind == "points"]
        found = report.evaluate("([values, kind]) => values.map(value => shown(value, kind))", [values, kind])
        assert found == [write(value) for value in values]


def test_address_brings_back_what_was_asked(report: Page, runs: Locator, report_address: str) -> None:
    first = _shown(runs)[0]
    report.locator("select[name=grid]").select_option("attention")
    runs.get_by_role("button", name=first).click()
    address = report.evaluate("location.href")
    other = report.context.new_page()
    other.goto(address)
    expect(other.get_by_role("status")).to_have_text("4 of 76 runs")
    expect(other.locator(".panel svg").first).to_be_visible()
    other.close()


def test_opened_run_tells_its_scores_then_its_settings_and_commands(
    report: Page, runs: Locator, report_results: Results, axe: Path
) -> None:
    name = _shown(runs)[0]
    runs.get_by_role("button", name=name).click()
    panel = report.locator(".panel", has=report.get_by_role("heading", name=name))
    text = panel.inner_text()
    order = [text.index(words) for words in ("Test accuracy, %", "Learning rate", "Reproduce", "Predict")]
    assert order == sorted(order)
    (path,) = report_results.runs.glob(f"*/{name}")
    command = f"sentiment train {path.relative_to(report_results.root.parent)}/config.json"
    expect(panel.locator(".command", has_text="Reproduce").locator("code")).to_have_text(command)
    expect(panel).to_be_focused()
    report.evaluate(axe.read_text(encoding="utf-8"))
    found = report.evaluate("axe.run('#explorer')")
    assert [one["id"] for one in found["violations"] if one["impact"] in ("serious", "critical")] == []
    panel.get_by_role("button", name="Close").click()
    expect(panel).to_be_hidden()


def test_page_is_complete_without_scripts(browser: Browser, report_address: str) -> None:
    context = browser.new_context(java_script_enabled=False)
    page = context.new_page()
    page.goto(report_address)
    expect(page.locator("#table-runs tbody tr")).to_have_count(76)
    assert page.locator("figure svg.screen").count() > 4
    expect(page.locator(".copy").first).to_be_hidden()
    expect(page.locator(".lead")).to_be_visible()
    context.close()
