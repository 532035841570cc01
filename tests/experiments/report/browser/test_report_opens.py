"""Reports of a small, a large and many a broken run open in a browser, complain of nothing, and say what is missing.

Every page of these tests is watched: a console message, an uncaught error or a request fails the test that opened it.
"""

import re
import shutil
from collections.abc import Callable
from pathlib import Path

import polars as pl
import pytest
from playwright.sync_api import Page, expect
from report_runs import BREAKS, facts_of, make_report
from report_tree import Tree

from experiments.report.html import SECTIONS
from experiments.runs.directory import RunDirectory
from experiments.runs.lock import only_one

NARROW = 400
"""CSS pixels of a small telephone."""


def too_wide(page: Page) -> list[str]:
    """What reaches beyond the window and makes the page scroll sideways."""
    wide: list[str] = page.evaluate(
        """() => {
          const limit = document.documentElement.clientWidth;
          if (document.documentElement.scrollWidth <= limit) return [];
          return [...document.querySelectorAll("body *")]
            .filter((one) => one.getBoundingClientRect().right > limit + 1)
            .filter((one) => {
              for (let up = one.parentElement; up !== document.body; up = up.parentElement) {
                if (getComputedStyle(up).overflowX !== "visible") return false; // it scrolls, or is cut, in there
              }
              return true;
            })
            .map((one) => `${one.tagName}.${one.className} ${one.textContent.slice(0, 40)}`);
        }"""
    )
    return wide


def scroll_through(page: Page) -> None:
    """Bring every section into sight once, so that what is drawn late is drawn."""
    for section in page.locator("main > section").all():
        section.scroll_into_view_if_needed()
        page.wait_for_timeout(30)


@pytest.fixture(params=[*BREAKS], ids=lambda name: name.replace(" ", "-"))
def broken(request: pytest.FixtureRequest, small_run: Path, tmp_path: Path) -> tuple[str, Path]:
    """The report of a copy of the small run with something wrong, by a word on what."""
    run = RunDirectory(tmp_path / "broken")
    shutil.copytree(small_run, run.root)
    BREAKS[request.param](run)
    if request.param == "in progress":
        with only_one(run.root):
            make_report(run.root, tmp_path, "--only-records")
    else:
        make_report(run.root, tmp_path, "--only-records")
    return request.param, tmp_path / "report.html"


def test_a_small_run_shows_every_section_with_nothing_missing(page_of: Callable[..., Page], small_report: Path) -> None:
    page = page_of(small_report)
    scroll_through(page)
    assert facts_of(small_report)["missing"] == []
    for name, heading in SECTIONS.items():
        section = page.locator(f"#{name}")
        expect(section).to_be_visible()
        if name != "missing":
            expect(section.get_by_role("heading", level=2)).to_contain_text(heading)
            assert section.locator(".absent:visible").count() == 0
    expect(page.locator("canvas").first).to_be_attached()
    assert page.locator("main canvas").count() > 5


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_nothing_is_too_wide_for_a_telephone(page_of: Callable[..., Page], small_report: Path, scheme: str) -> None:
    page = page_of(small_report, width=NARROW, height=800, scheme=scheme)
    scroll_through(page)
    assert too_wide(page) == []


def test_a_broken_run_says_what_is_missing_and_shows_the_rest(
    page_of: Callable[..., Page], broken: tuple[str, Path]
) -> None:
    name, report = broken
    facts = facts_of(report)
    page = page_of(report)
    scroll_through(page)
    assert facts["missing"] or facts["notes"], name
    if name == "in progress":
        expect(page.locator("#summary h2")).to_contain_text("in progress: 6 of 12 generations")
    told = " ".join(page.locator("#missing").inner_text().split())
    for one in facts["missing"]:
        why = " ".join(one["why"].split())
        assert one["what"] in told, one
        assert why in told, one
        if one["part"] in SECTIONS:
            assert why in " ".join(page.locator(f"#{one['part']}").inner_text().split()), one
    for note in facts["notes"]:
        assert " ".join(note.split()) in told, note
    for section in page.locator("main > section").all():  # each has either content or a reason
        assert len(section.inner_text().strip().splitlines()) > 1, section.get_attribute("id")
    for section, command in (("certificate", "arena certify"), ("grid", "arena grid")):  # it has neither
        expect(page.locator(f"#{section} code")).to_contain_text(command)
    assert page.get_by_role("alert").count() == 0
    page.set_viewport_size({"width": NARROW, "height": 800})
    scroll_through(page)
    assert too_wide(page) == []


def test_a_million_births_fit_into_a_page_that_moves(page_of: Callable[..., Page], large_report: Path) -> None:
    assert large_report.stat().st_size < 15e6
    facts = facts_of(large_report)
    page = page_of(large_report)
    tree = Tree(page)
    assert facts["tree"]["born_total"] == facts["run"]["born"] > 1e6
    assert tree.count("total") == facts["tree"]["born_total"]
    box = tree.stage.bounding_box()
    assert box is not None
    page.mouse.move(box["x"] + box["width"] / 2, box["y"] + box["height"] / 2)
    frames = []
    for show in ("Champions and the living", "All that ever lived"):
        tree.choose("Show", show)
        for _ in range(4):
            page.mouse.wheel(0, -240)
            page.wait_for_timeout(60)
            frames.append(float(tree.said("frame-ms") or "nan"))
        tree.rest()
        frames.append(float(tree.said("frame-ms") or "nan"))
    # No frame is held to a time here, for machines differ; what keeps them short is that few agents are visited.
    print(f"frames of the tree: {sorted(frames)} ms")
    tree.section.get_by_role("button", name="Show the whole tree").click()
    tree.rest()
    assert tree.count("shown") > 4e5
    assert tree.count("visited") < 0.25 * tree.count("shown")
    tree.find(int(facts["tree"]["champions"][0]["id"]))
    scroll_through(page)


HOSTILE = "</script><img src=x onerror=document.title='taken'><b>bold</b>&amp;"


def test_what_looks_like_markup_stays_text(page_of: Callable[..., Page], small_run: Path, tmp_path: Path) -> None:
    run = RunDirectory(tmp_path / HOSTILE.replace("/", "|"))
    shutil.copytree(small_run, run.root)
    run.note(symbols=[HOSTILE], run_id=HOSTILE, device={"kind": HOSTILE, "count": 1, "processes": 1})
    for table, column in (
        ("births", "species"),
        ("births", "operator"),
        ("deaths", "cause"),
        ("generations", "species"),
    ):
        for part in run.table(table).glob("*.parquet"):
            frame = pl.read_parquet(part)
            word = frame[column][0]
            frame.with_columns(pl.col(column).replace(word, HOSTILE)).write_parquet(part)
    make_report(run.root, tmp_path, "--only-records")
    page = page_of(tmp_path / "report.html")
    scroll_through(page)
    Tree(page).find(0)
    assert page.locator("img").count() == 0
    assert page.locator("main b", has_text=re.compile("^bold$")).count() == 0
    assert page.title() != "taken"
    assert page.locator("#tree").get_by_text(HOSTILE).count() > 0
    assert page.locator("#summary").get_by_text(HOSTILE).count() > 0
