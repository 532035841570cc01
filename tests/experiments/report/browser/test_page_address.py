"""The charts' view in the address: a link brings it back, an address changed by hand changes it, choices go there."""

from collections.abc import Callable
from pathlib import Path

import pytest
from playwright.sync_api import Page, expect

VIEW = "curves=best,median&clades=count&heat=validation&heatby=id"


def choices(page: Page) -> dict[str, str]:
    """What is chosen in the charts' own controls."""
    return {
        "hidden": ",".join(
            chip.get_attribute("data-key") or ""
            for chip in page.locator("#curves .chips button[aria-pressed=false]").all()
        ),
        "height": page.locator("#clades [role=group] button[aria-pressed=true]").inner_text(),
        "scores": page.locator("#heat [role=group] button[aria-pressed=true]").inner_text(),
        "sorted": page.locator("#heat select").input_value(),
    }


CHOSEN = {"hidden": "best,median", "height": "Count", "scores": "Validation", "sorted": "id"}


@pytest.fixture
def page(page_of: Callable[..., Page], small_report: Path) -> Page:
    return page_of(small_report)


def hash_of(page: Page) -> str:
    page.wait_for_timeout(400)  # writes are gathered
    return str(page.evaluate("location.hash"))


def test_an_address_changed_by_hand_changes_every_section(page: Page) -> None:
    usual = choices(page)
    assert set(usual.values()).isdisjoint(CHOSEN.values())
    page.evaluate("view => { location.hash = view; }", VIEW)
    expect(page.locator("#heat select")).to_have_value("id")
    assert choices(page) == CHOSEN
    page.evaluate("() => { location.hash = 'theme=dark'; }")
    expect(page.locator("html")).to_have_attribute("data-theme", "dark")
    assert choices(page) == usual


def test_choices_are_in_the_address_and_come_back_from_it(
    page: Page, page_of: Callable[..., Page], small_report: Path
) -> None:
    for key in ("best", "median"):
        page.locator(f"#curves .chips [data-key={key}]").click()
    page.locator("#clades").get_by_role("button", name="Count").click()
    page.locator("#heat").get_by_role("button", name="Validation").click()
    page.locator("#heat select").select_option("id")
    before = page.evaluate("history.length")
    written = hash_of(page)
    assert set(written.removeprefix("#").split("&")) == set(VIEW.split("&"))
    assert page.evaluate("history.length") == before  # the back button leaves the report
    again = page_of(small_report)
    again.evaluate("view => { location.hash = view; }", written)
    again.reload()
    expect(again.locator("html")).to_have_attribute("data-ready", "true")
    assert choices(again) == CHOSEN


def test_escape_closes_what_is_open(page: Page) -> None:
    numbers = page.locator("#curves details").first
    numbers.locator("summary").click()
    expect(numbers.locator("table")).to_be_visible()
    page.keyboard.press("Escape")
    expect(numbers.locator("table")).to_be_hidden()
    expect(numbers.locator("summary")).to_be_focused()


@pytest.mark.parametrize(
    "address", ["%", "%E0%A4%A", "champion=%&tree=%&replicate=%&theme=%", "heatby=9&bars=x-&tree-agent=x"]
)
def test_an_address_that_cannot_be_read_is_as_good_as_none(
    page: Page, page_of: Callable[..., Page], small_report: Path, address: str
) -> None:
    strange = page_of(small_report, address=address)
    assert strange.get_by_role("alert").count() == 0
    assert choices(strange) == choices(page)
    strange.evaluate("() => { location.hash = '%'; }")
    assert choices(strange) == choices(page)
