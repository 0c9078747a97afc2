"""The page to label on, as an annotator uses it: keys, a reload, the downloaded table, on a phone and in the dark."""

import csv
from pathlib import Path

import numpy as np
import pytest
from playwright.sync_api import Page, expect

from sentiment.answers.label_page import Labelling
from sentiment.answers.sheet import Drawing, read_labels, write_drawn, write_sheet
from sentiment.statistics.metrics import UNLABELLED

pytestmark = pytest.mark.browser

CLASSES = ("negative", "neutral", "positive")
MEANINGS = {name: index for index, name in enumerate(CLASSES)}
TEXTS = [
    '<img src=x onerror="document.title = 1"><script>document.title = 2</script> </script>',
    "=HYPERLINK(0)\nhttps://example.org javascript:alert(1)",
    "\u0645\u0627 \u0623\u062c\u0645\u0644 \u0647\u0630\u0627 \u0627\u0644\u064a\u0648\u0645 \U0001f600",
    'she said "fine", and left',
    "w" * 300,
    "plain",
]
OWN_IDS = [str(570_000_000_000_000_000 + number) for number in range(len(TEXTS))]


@pytest.fixture
def drawing() -> Drawing:
    return Drawing("share", TEXTS, np.zeros(len(TEXTS), np.int64), OWN_IDS)


@pytest.fixture
def label(page: Page, drawing: Drawing, tmp_path: Path) -> Page:
    path = tmp_path / "mine.html"
    write_drawn(path, drawing, drawing.order, CLASSES, 3)
    page.context.set_offline(True)
    page.goto(path.as_uri())
    return page


def _downloaded(page: Page, folder: Path) -> Path:
    with page.expect_download() as download:
        page.get_by_role("button", name="Download the table").click()
    target = folder / download.value.suggested_filename
    download.value.save_as(target)
    return target


def _reload(label: Page) -> None:
    """Reload the page as soon as another tab shows its labels: a browser that has just started may write them late."""
    progress = label.locator("#progress").inner_text()
    other = label.context.new_page()
    other.goto(label.url)
    expect(other.locator("#progress")).to_have_text(progress)
    other.close()
    label.reload()


def test_labels_survive_a_reload_and_are_read_from_the_downloaded_table(
    label: Page, drawing: Drawing, tmp_path: Path
) -> None:
    complaints: list[str] = []
    label.on("console", lambda message: complaints.append(message.text))
    label.on("pageerror", lambda error: complaints.append(str(error)))
    tweet = label.locator("#tweet")
    assert tweet.inner_text() == TEXTS[drawing.order[0]]
    label.keyboard.press("3")
    label.get_by_role("button", name="neutral").click()
    label.keyboard.press("1")
    _reload(label)
    expect(label.locator("#progress")).to_have_text("3 of 6 labelled")
    label.keyboard.press("u")
    expect(label.locator("#progress")).to_have_text("2 of 6 labelled; enough from 3 on; more are more accurate")
    assert tweet.inner_text() == TEXTS[drawing.order[2]]
    for key in ("9", "s", "x"):  # no class, not to be skipped for a share, no key
        label.keyboard.press(key)
    for key in ("2", "2", "3"):
        label.keyboard.press(key)
    labels = np.full(len(TEXTS), UNLABELLED)
    labels[drawing.order[:5]] = [2, 1, 1, 1, 2]
    table = _downloaded(label, tmp_path)
    assert table.name == "mine.csv"
    np.testing.assert_array_equal(read_labels(table, drawing, MEANINGS), labels)
    with open(table, encoding="utf-8-sig", newline="") as file:  # for programs: texts are as they were
        rows = sorted((row["text"], row["own_id"]) for row in csv.DictReader(file))
    assert rows == sorted(zip(TEXTS, OWN_IDS, strict=True))
    label.keyboard.press("1")
    expect(tweet).to_have_text("All tweets are done. Download the table.")
    expect(label.get_by_role("button", name="negative")).to_be_disabled()
    assert complaints == []
    assert label.title() == "6 tweets to label: mine"


def test_labels_before_a_name_are_the_first_name_s_and_each_other_name_has_its_own(label: Page, tmp_path: Path) -> None:
    label.keyboard.press("1")
    name = label.get_by_label("Your name")
    name.fill("Ann 1")
    name.press("Enter")  # leaves the field, so that keys are labels again
    expect(label.locator("#progress")).to_contain_text("1 of 6")
    for key in ("1", "2"):
        label.keyboard.press(key)
    expect(name).to_have_value("Ann 1")
    expect(label.locator("#progress")).to_contain_text("3 of 6")
    assert _downloaded(label, tmp_path).name == "mine-Ann_1.csv"
    _reload(label)
    expect(name).to_have_value("Ann 1")
    expect(label.locator("#progress")).to_contain_text("3 of 6")
    name.fill("Ben")
    name.press("Tab")
    expect(label.locator("#progress")).to_contain_text("0 of 6")
    expect(label.locator("#notice")).to_have_text("Each name has labels of its own: those of Ann 1 are kept, 3 in all.")
    name.fill("Ann 1")
    name.press("Tab")
    expect(label.locator("#progress")).to_contain_text("3 of 6")
    expect(label.locator("#notice")).to_be_empty()


def test_tweet_may_be_marked_as_unsure_and_labelled_again(label: Page, drawing: Drawing, tmp_path: Path) -> None:
    for key in ("1", "?", "2", "3"):
        label.keyboard.press(key)
    expect(label.locator("#progress")).to_contain_text("3 of 6 labelled; 1 unsure")
    number = label.locator("#number")
    expect(number).to_have_value("4")
    number.fill("1")
    number.press("Enter")
    assert label.locator("#tweet").inner_text() == TEXTS[drawing.order[0]]
    expect(label.get_by_role("button", name="negative")).to_have_attribute("aria-pressed", "true")
    label.keyboard.press("3")
    assert label.locator("#tweet").inner_text() == TEXTS[drawing.order[3]]
    number.fill("99")  # beyond the next one
    number.press("Enter")
    expect(number).to_have_value("4")
    _reload(label)
    table = _downloaded(label, tmp_path)
    with open(table, encoding="utf-8-sig", newline="") as file:
        rows = [(row["label"], row["remark"]) for row in csv.DictReader(file)]
    assert rows == [("positive", ""), ("neutral", "unsure"), ("positive", ""), *[("", "")] * 3]
    labels = read_labels(table, drawing, MEANINGS)
    assert labels[drawing.order[:3]].tolist() == [2, 1, 2]


def test_page_shows_the_author_s_guidelines_as_text(page: Page, tmp_path: Path) -> None:
    path = tmp_path / "guided.html"
    guidelines = "<b>negative</b>: a loss\nneutral: news"
    write_sheet(path, Labelling([("1", "a day")], CLASSES, 1, may_skip=True, guidelines=guidelines))
    page.goto(path.as_uri())
    assert page.locator("#guidelines").inner_text() == "<b>negative</b>: a loss\nneutral: news"


def test_three_classes_are_in_one_row_on_a_phone(label: Page) -> None:
    label.set_viewport_size({"width": 390, "height": 844})
    boxes = [label.get_by_role("button", name=name).bounding_box() for name in CLASSES]
    assert len({box["y"] for box in boxes if box}) == 1
    assert min(box["height"] for box in boxes if box) >= 44


def test_page_with_other_classes_has_labels_of_its_own(label: Page, drawing: Drawing, tmp_path: Path) -> None:
    for key in ("1", "2"):
        label.keyboard.press(key)
    path = tmp_path / "other.html"
    write_drawn(path, drawing, drawing.order, ("negative", "positive"), 3)
    other = label.context.new_page()
    other.goto(path.as_uri())
    expect(other.locator("#progress")).to_contain_text("0 of 6")
    other.keyboard.press("2")
    expect(other.locator("#progress")).to_contain_text("1 of 6")
    _reload(label)
    expect(label.locator("#progress")).to_contain_text("2 of 6")


def test_page_that_is_open_twice_loses_no_label(label: Page) -> None:
    other = label.context.new_page()
    other.goto(label.url)
    for key in ("1", "2", "3"):
        label.keyboard.press(key)
    expect(other.locator("#progress")).to_contain_text("3 of 6")
    other.keyboard.press("1")
    expect(label.locator("#progress")).to_contain_text("4 of 6")


def test_button_that_is_held_down_labels_one_tweet(label: Page) -> None:
    label.get_by_role("button", name="neutral").focus()
    for _ in range(4):
        label.keyboard.down("Enter")
    label.keyboard.up("Enter")
    expect(label.locator("#progress")).to_contain_text("1 of 6")


def test_tweet_may_be_skipped_where_that_is_allowed(page: Page, tmp_path: Path) -> None:
    path = tmp_path / "answers.html"
    rows = [(str(number), text) for number, text in enumerate(TEXTS)]
    write_sheet(path, Labelling(rows, CLASSES, 1, may_skip=True))
    page.goto(path.as_uri())
    page.get_by_role("button", name="skip").click()
    page.keyboard.press("2")
    expect(page.locator("#progress")).to_have_text("1 of 6 labelled; 1 skipped")
    with open(_downloaded(page, tmp_path), encoding="utf-8-sig", newline="") as file:
        labels = [row["label"] for row in csv.DictReader(file)]
    assert labels == ["skipped", "neutral", "", "", "", ""]


@pytest.mark.parametrize(("scheme", "width"), [("light", 1280), ("dark", 390)])
def test_page_is_readable_by_everyone(label: Page, axe: Path, scheme: str, width: int) -> None:
    label.emulate_media(color_scheme=scheme)
    label.set_viewport_size({"width": width, "height": 844})
    label.evaluate(axe.read_text())
    for _ in TEXTS:
        found = label.evaluate("axe.run().then(result => result.violations.map(each => each.id))")
        assert found == []
        assert label.evaluate("document.documentElement.scrollWidth") <= width
        label.keyboard.press("1")


@pytest.mark.parametrize("classes", [("5", "4", "3", "2", "1"), ("0", "1", "2"), ("0", "1", "unclear")])
def test_digit_that_names_a_class_is_its_key(
    page: Page, drawing: Drawing, tmp_path: Path, classes: tuple[str, ...]
) -> None:
    path = tmp_path / "stars.html"
    write_drawn(path, drawing, drawing.order, classes, 3)
    page.goto(path.as_uri())
    for key in ("1", "0", "2", "1"):
        page.keyboard.press(key)
    with open(_downloaded(page, tmp_path), encoding="utf-8-sig", newline="") as file:
        given = [row["label"] for row in csv.DictReader(file)]
    assert [label for label in given if label] == [key for key in ("1", "0", "2", "1") if key in classes]
