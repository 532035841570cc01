"""Replicates in a browser: one is looked at at a time, the same in every section, and words count them from 1."""

import re
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest
from playwright.sync_api import Locator, Page, expect
from report_certificate import certified
from report_runs import made_once, make_report
from report_twice import make_twice

SECTIONS = ("summary", "certificate", "champions", "grid", "curves", "clades", "heat")
PARTS = ("standings", *SECTIONS[1:])


@pytest.fixture(scope="module")
def twice_report(small_run: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The report of a run in two replicates: ids of the first are even and of the second odd, its scores doubled."""

    def make(folder: Path) -> None:
        run = make_twice(small_run, folder / "run").root
        make_report(certified(run, run, 2).root, folder, "--only-records")

    return made_once(tmp_path_factory, "twice-report", make) / "report.html"


@pytest.fixture
def page(page_of: Callable[..., Page], twice_report: Path) -> Page:
    return page_of(twice_report)


def opened(part: Locator) -> Locator:
    """The table below a chart; it stays open and follows the choice."""
    if part.locator("details.numbers[open]").count() == 0:
        part.locator("details.numbers > summary").first.click()
    return part.locator("details.numbers table").first


def cells(part: Locator) -> list[list[str]]:
    """Its heads and rows."""
    found: list[list[str]] = opened(part).evaluate(
        "(one) => [...one.rows].map((row) => [...row.cells].map((cell) => cell.innerText))"
    )
    return found


def curve(page: Page, title: str) -> list[list[str]]:
    return cells(page.locator("#curves").get_by_role("figure", name=title, exact=True))


def parities(ids: Sequence[str]) -> set[int]:
    return {int(each) % 2 for each in ids}


def shown(page: Page) -> dict[str, set[int]]:
    """Of which replicate, from 0, the agents are that each section names."""
    clades, heat, curves = (cells(page.locator("#clades")), cells(page.locator("#heat")), curve(page, "All regimes"))
    holder = curves[0].index("agent")
    return {
        "standings": parities(page.locator("#summary td.agent a").all_inner_texts()),
        "certificate": parities(page.locator("#certificate .family a").all_inner_texts()),
        "grid": parities(page.locator("#grid .choices tbody tr td:nth-child(2)").all_inner_texts()),
        "champions": parities(page.locator("#champions [role=tab] .who b").all_inner_texts()),
        "curves": parities([row[holder] for row in curves[1:] if row[holder] != "–"]),
        "clades": parities(re.findall(r"Founder (\d+)", " ".join(clades[0]))),
        "heat": parities([row[0] for row in heat[1:]]),
    }


def value(text: str) -> float:
    return float(text.replace("−", "-"))


def test_a_choice_of_replicate_changes_every_section(page: Page) -> None:
    assert shown(page) == {part: {0} for part in PARTS}
    first, counts = curve(page, "All regimes"), cells(page.locator("#clades"))
    page.locator("#curves").get_by_role("group", name="Replicate").get_by_role("button", name="2").click()
    assert shown(page) == {part: {1} for part in PARTS}
    for section in SECTIONS:
        group = page.locator(f"#{section}").get_by_role("group", name="Replicate")
        assert group.get_by_role("button").all_inner_texts() == ["1", "2"]
        expect(group.locator("[aria-pressed=true]")).to_have_text("2")
    second = curve(page, "All regimes")
    best = [i for i, head in enumerate(first[0]) if head.endswith("best")]
    assert best
    for one, other in zip(first[1:], second[1:], strict=True):
        assert [value(other[i]) for i in best] == pytest.approx([2 * value(one[i]) for i in best], abs=0.0151)
    # The lives are those of the first, so its clades are as large.
    assert [sorted(row[1:]) for row in cells(page.locator("#clades"))[1:]] == [sorted(row[1:]) for row in counts[1:]]


def test_the_address_counts_replicates_from_one(page: Page, page_of: Callable[..., Page], twice_report: Path) -> None:
    page.locator("#heat").get_by_role("group", name="Replicate").get_by_role("button", name="2").click()
    expect(page.locator("#heat .readout")).to_contain_text("Training, replicate 2")
    page.wait_for_function("() => location.hash === '#replicate=2'")
    again = page_of(twice_report, address="replicate=2")
    assert shown(again)["curves"] == {1}
    for strange in ("0", "3", "x", "1.5"):
        again.evaluate("(text) => { location.hash = `replicate=${text}`; }", strange)
        expect(again.locator("#clades").get_by_role("group", name="Replicate").get_by_text("1")).to_have_attribute(
            "aria-pressed", "true"
        )
        assert shown(again)["curves"] == {0}


def test_a_run_of_one_replicate_offers_no_choice(page_of: Callable[..., Page], small_report: Path) -> None:
    page = page_of(small_report)
    assert page.get_by_role("group", name="Replicate").count() == 0
    assert "replicate" not in page.locator("main").inner_text().lower()
