"""Questions to the runs in a real browser: filter, choose, overlay, open, compare, and come back by the address."""

from dataclasses import asdict
from itertools import product
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
from playwright.sync_api import Browser, Locator, Page, expect

from report.render import wording
from sentiment.runs.run_dir import Results
from sentiment.statistics.designs import by_class
from sentiment.statistics.paired import PairedCounts, accuracy_difference, paired_difference

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


def _predictions(results: Results, run_id: str) -> dict[int, bool]:
    path = next(results.runs.glob(f"*/{run_id}/predictions.parquet"))
    table = pq.read_table(path).to_pandas()
    test = table[table["part"] == "test"]
    return dict(zip(test["tweet"], (test["network_positive"] >= 0.5) == (test["label"] == 1), strict=True))


def test_any_two_runs_are_compared_exactly(report: Page, runs: Locator, report_results: Results) -> None:
    first, second = _shown(runs)[0], _shown(runs)[-3]
    one, other = (_predictions(report_results, name) for name in (first, second))
    both = [row for row in one if row in other]
    wins, losses = (sum(a[row] and not b[row] for row in both) for a, b in ((one, other), (other, one)))
    runs.get_by_role("button", name=first).click()
    panel = report.locator(".panel", has=report.get_by_role("heading", name=first))
    panel.get_by_label("Compare with").evaluate(  # of two choices at once the second counts
        "(one, label) => [1, [...one.options].findIndex(of => of.label === label)].forEach(place => {"
        " one.selectedIndex = place; one.dispatchEvent(new Event('change')); })",
        f"{second} (sweep)",
    )
    expect(panel).to_contain_text(
        f"{wins} tweets only {first} has right, {losses} only {second}; {len(both)} test tweets"
    )
    expect(panel.locator(".verdict")).to_have_count(1)
    assert report.evaluate("new URLSearchParams(location.hash.slice(1)).get('with')") == second
    texts = panel.locator(".tweets li").all_inner_texts()
    assert 0 < len(texts) <= 20
    panel.get_by_label("Compare with").select_option(label="llm (added)")
    expect(panel.locator(".verdict")).to_contain_text("The other is significantly better")
    report.reload()
    expect(report.locator(".panel")).to_contain_text("Compared with llm (added)")


@pytest.mark.parametrize(
    ("value", "kind", "shown"),
    [
        ("20231", "count", "20,231"),
        ("49498", "", "49,498"),
        ("0.00034567", "", "0.0003457"),
        ("-0.0123", "points", "\u22121.2"),
    ],
)
def test_whole_numbers_are_shown_to_the_last_digit(report: Page, value: str, kind: str, shown: str) -> None:
    assert report.evaluate(f"shown({value}, '{kind}')") == shown


def test_list_of_tweets_says_how_many_it_shows_where_others_have_no_text(report: Page) -> None:
    lists = """texts => {
        const data = { texts, labels: [0, 0, 0] };
        return tweetLists(data, { first: [0, 1, 2], second: [2] }, ["negative"]).textContent;
    }"""
    text = report.evaluate(lists, {"1": "rain", "2": "sun"})
    assert "Correct only in this run (3, showing 2)" in text
    assert "Correct only in the other (1)" in text


def test_folds_are_compared_by_their_cross_validated_runs(report: Page) -> None:
    compare = """async ids => {
        const [first, second] = explorerData.answers.ids;
        const data = { ...explorerData, folds: { "a-1": first, "a-2": first, "b-1": second } };
        const compared = await comparison(data, ...ids.map(id => ({ id, run: id })));
        return [compared.textContent, first, second];
    }"""
    text, first, second = report.evaluate(compare, ["a-1", "b-1"])
    assert f"only {first} has right" in text
    assert f"only {second}; " in text
    assert "all folds of a cross-validated run are compared" in text
    text, *_ = report.evaluate(compare, ["a-1", "a-2"])
    assert "Both are folds of one cross-validated run" in text
    text, *_ = report.evaluate(compare, ["a-1", second])
    assert f"only {second}; " in text


def test_paired_test_and_interval_are_those_of_the_package(report: Page) -> None:
    cases = [
        (only_first, only_second, n)
        for n in (20, 105, 333, 5_000)
        for only_first in (0, 1, 4, 7, 19, 20, 60, 400)
        for only_second in (0, 1, 3, 9, 30, 350)
        if only_first + only_second <= n
    ]
    found = report.evaluate("cases => cases.map(one => accuracyDifference(...one, explorerData.compared))", cases)
    for case, result in zip(cases, found, strict=True):
        expected = asdict(accuracy_difference(*case))
        del expected["level"]  # the page has no other one
        assert result == pytest.approx(expected, rel=1e-9, abs=1e-9), case
        assert result["p"] == pytest.approx(expected["p"], rel=1e-8), case


def test_difference_in_macro_recall_is_that_of_the_package(report: Page) -> None:
    """Answers to tweets of three classes, of which one is rare."""
    rng = np.random.default_rng(0)
    compare = """({ right, labels, compared }) => {
        const data = { n: labels.length, labels, known: new Uint8Array(right.length).fill(255), right };
        return differenceOf(discordantTweets(data, 0, 1), compared);
    }"""
    compared = report.evaluate("explorerData.compared")
    for classes, metric in product((1, 2, 3), ("macro_recall", "accuracy")):
        labels = np.minimum(rng.integers(8, size=160), classes - 1)
        right = rng.random((2, len(labels))) < [[0.7], [0.5]]
        given = {"right": np.packbits(right, axis=1).ravel().tolist(), "labels": labels.tolist()}
        result = report.evaluate(compare, given | {"compared": compared | {"metric": metric}})
        groups = by_class(np.arange(len(labels)), labels if metric == "macro_recall" else None)
        counts = []
        for rows in groups:
            first, second = right[:, rows]
            counts.append(PairedCounts(int((first & ~second).sum()), int((second & ~first).sum()), len(rows)))
        expected = asdict(paired_difference(counts))
        del expected["level"]
        assert result == pytest.approx(expected, rel=1e-8, abs=1e-9), (classes, metric)


@pytest.mark.parametrize(
    ("wins", "losses", "said"),
    [(19, 0, ("19 tweets only Anna has right, none only Ben", "+18.1 points, 95 % CI +11.9 to +26.5")),
     (0, 19, ("no tweets only Anna has right, 19 only Ben",)),
     (0, 0, ("Both classify the same tweets correctly; a difference of up to 3.5 points either way",))],
)  # fmt: skip
def test_verdict_on_two_runs_names_them(report: Page, wins: int, losses: int, said: tuple[str, ...]) -> None:
    discordant = {"first": [0] * wins, "second": [0] * losses, "n": 105}
    say = "found => verdict(found, explorerData.compared) + evidence({ n: 105, of: 105 }, found, 'Anna', 'Ben')"
    text = report.evaluate(say, discordant)
    assert [part for part in said if part not in text] == []


@pytest.mark.parametrize("kind", ["points", "duration", "percent"])
def test_figures_of_an_opened_run_are_written_as_in_the_table(report: Page, kind: str) -> None:
    values = [0, 0.0004, -0.0004, 0.021, -0.3, 0.7, 9.96, 45.2, 95, 660, 9_000]
    write = {"points": wording.points, "duration": wording.duration, "percent": wording.percent}[kind]
    values = [value for value in values if value >= 0 or kind == "points"]
    found = report.evaluate("([values, kind]) => values.map(value => shown(value, kind))", [values, kind])
    assert found == [write(value) for value in values]


def test_address_brings_back_what_was_asked(report: Page, runs: Locator, report_address: str) -> None:
    first, second = _shown(runs)[0], _shown(runs)[5]
    report.locator("select[name=grid]").select_option("attention")
    runs.get_by_role("button", name=first).click()
    address = report.evaluate("location.href") + f"&with={second}"
    other = report.context.new_page()
    other.goto(address)
    expect(other.get_by_role("status")).to_have_text("4 of 76 runs")
    expect(other.locator(".panel svg.marks").first).to_be_visible()
    expect(other.locator(".panel .verdict")).to_be_visible()
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
    assert page.locator("figure svg.screen").count() > 8
    expect(page.locator(".copy").first).to_be_hidden()
    expect(page.locator(".lead")).to_be_visible()
    context.close()
