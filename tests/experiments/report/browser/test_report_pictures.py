"""The README's pictures of the report, and that they can be taken; `make screenshots` takes them of a larger run.

ARENA_SCREENSHOTS names the folder they go to. Without it they are taken of the small run, looked at and thrown away.
"""

import io
import os
import re
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from playwright.sync_api import Browser, Page, expect
from report_browser import opened
from report_runs import facts_of, make_report
from report_tree import Tree
from small_runs import arena

ROOT = Path(__file__).resolve().parents[4]
STUDY = ("species=[qnetwork,forest]", "evolution.agents=256", "evolution.generations=40", "seed=1")
"""The run that the README shows: networks and forests on the market with a known edge."""

SCHEMES = ("light", "dark")
LARGEST = 400_000
"""Bytes of a picture."""


def summary(page: Page) -> tuple[str, str]:
    """The run in one screen."""
    return "#top", "#summary .key + p"


def tree(page: Page) -> tuple[str, str]:
    """The tree with a champion's line traced: the longest, which has most to show."""
    champions = page.evaluate("() => JSON.parse(document.getElementById('facts').textContent).champions")
    hand = Tree(page)
    hand.find(max(champions, key=lambda one: (len(one["line"]), one["id"]))["id"])
    hand.section.get_by_role("button", name="Show the whole tree").click()
    hand.rest()
    return "#tree h2", "#tree .tree-legend"


def champion(page: Page) -> tuple[str, str]:
    """The best all-rounder: its equity and drawdown, its trades on the bars."""
    tabs = page.get_by_role("tablist", name="Champions")
    tabs.get_by_role("tab").filter(has_text=re.compile("all regimes")).first.click()
    page.locator("#champions .canvas").first.scroll_into_view_if_needed()
    expect(page.locator("#champions .canvas canvas").first).to_be_visible()
    return "#champions h2", "#champions figure .canvas"


def certificate(page: Page) -> tuple[str, str]:
    """The verdict, the family, and the equity of the one that is looked at."""
    page.locator("#certificate figure.equity").scroll_into_view_if_needed()
    expect(page.locator("#certificate figure.equity canvas").first).to_be_visible()
    return "#certificate h2", "#certificate figure.equity .canvas"


VIEWS: dict[str, Callable[[Page], tuple[str, str]]] = {
    "report-summary": summary,
    "report-tree": tree,
    "report-champion": champion,
    "report-certificate": certificate,
}
"""What is done before a picture, and the first and the last element of what it shows."""

SHOTS = [(name, scheme) for name in VIEWS for scheme in SCHEMES]
if "ARENA_SCREENSHOTS" not in os.environ:
    SHOTS = SHOTS[::3] + SHOTS[4:5]  # each view once, and both schemes

ABOVE, BELOW = 20, 8
"""CSS pixels around what is shown."""


def taken(browser: Browser, report: Path, name: str, scheme: str) -> bytes:
    """A picture of a report, as PNG."""
    with opened(browser, report, height=900, scheme=scheme, scale=1.5) as (page, watched):
        first, last = VIEWS[name](page)
        # The bar would lie across what is below it; nothing is in focus, nothing under the pointer.
        page.evaluate(
            "() => { document.getElementById('top').style.position = 'static'; document.activeElement.blur(); }"
        )
        page.mouse.move(0, 0)
        top, bottom = page.evaluate(
            """([first, last]) => [
              document.querySelector(first).getBoundingClientRect().top + scrollY,
              document.querySelector(last).getBoundingClientRect().bottom + scrollY,
            ]""",
            [first, last],
        )
        above = max(0, top - ABOVE)
        clip = {"x": 0, "y": above, "width": 1280, "height": bottom + BELOW - above}
        raw, before = b"", None
        while raw != before:  # long series are drawn bit by bit
            page.wait_for_timeout(300)
            raw, before = page.screenshot(full_page=True, clip=clip, animations="disabled", caret="hide"), raw
    assert watched.blame() == []
    packed = io.BytesIO()
    Image.open(io.BytesIO(raw)).convert("RGB").save(packed, "PNG", optimize=True)
    return packed.getvalue()


@pytest.fixture(scope="session")
def report(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The report to take pictures of."""
    if "ARENA_SCREENSHOTS" not in os.environ:
        small_report: Path = request.getfixturevalue("small_report")
        return small_report
    code, said, complaint = arena("evolve", *STUDY)
    assert code == 0, complaint
    run, folder = Path(said.splitlines()[-1]), tmp_path_factory.mktemp("screenshots")
    code, _, complaint = arena("certify", str(run))
    assert code == 0, complaint
    make_report(run, folder)
    return folder / "report.html"


@pytest.mark.parametrize(("name", "scheme"), SHOTS)
def test_a_picture_shows_something(browser: Browser, report: Path, tmp_path: Path, name: str, scheme: str) -> None:
    raw = taken(browser, report, name, scheme)
    target = Path(os.environ.get("ARENA_SCREENSHOTS", tmp_path)) / f"{name}-{scheme}.png"
    target.write_bytes(raw)
    picture = np.asarray(Image.open(target).convert("L"))
    assert picture.shape[1] == 1.5 * 1280
    assert len(raw) < LARGEST
    assert picture.std() > 5
    assert (picture.mean() > 128) == (scheme == "light")
    assert facts_of(report)["missing"] == []


def test_the_readme_shows_each_that_was_taken() -> None:
    named = set(re.findall(r"docs/images/(report-[\w-]+\.png)", (ROOT / "README.md").read_text(encoding="utf-8")))
    assert named == {path.name for path in (ROOT / "docs" / "images").glob("report-*.png")}
    assert {f"report-summary-{scheme}.png" for scheme in SCHEMES} <= named
    assert named <= {f"{name}-{scheme}.png" for name in VIEWS for scheme in SCHEMES}
