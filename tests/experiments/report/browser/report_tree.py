"""Hands on the page's lineage tree, and eyes: what a reader would do there, and what is to be read afterwards.

What the tree says of itself stands in attributes of its section (`data-window`, `data-shown`, `data-selected`, …); it
rests when the address has caught up with the window.
"""

import re
from urllib.parse import parse_qs, urlsplit

import numpy as np
from numpy.typing import NDArray
from playwright.sync_api import Locator, Page, expect
from report_browser import pixels

__all__ = ["Tree", "colour_of", "near"]


def near(picture: NDArray[np.uint8], colour: tuple[int, int, int], within: int = 24) -> NDArray[np.bool_]:
    """[rows, columns] where a picture has a colour, each channel within some steps."""
    return (np.abs(picture.astype(np.int16) - np.array(colour)) <= within).all(axis=-1)


def colour_of(page: Page, name: str) -> tuple[int, int, int]:
    """A colour of the page's theme, such as `accent`."""
    text = page.evaluate(
        "(name) => getComputedStyle(document.documentElement).getPropertyValue(`--${name}`).trim()", name
    )
    red, green, blue = (int(text[i : i + 2], 16) for i in (1, 3, 5))
    return red, green, blue


class Tree:
    """The tree of an open report."""

    def __init__(self, page: Page) -> None:
        self.page = page
        self.section = page.locator("#tree")
        self.section.scroll_into_view_if_needed()
        expect(self.section).to_have_attribute("data-ready", "true")
        self.stage: Locator = page.get_by_role("application", name="Lineage tree")
        self.stage.scroll_into_view_if_needed()

    def said(self, name: str) -> str | None:
        """An attribute of the section."""
        return self.section.get_attribute(f"data-{name}")

    def count(self, name: str) -> int:
        """Likewise a number."""
        return int(self.said(name) or -1)

    def window(self) -> tuple[float, float, float, float]:
        """First and last generation and row in sight."""
        time0, time1, row0, row1 = map(float, (self.said("window") or "").split(","))
        return time0, time1, row0, row1

    def address(self) -> dict[str, str]:
        """What the address says."""
        hash_ = urlsplit(self.page.evaluate("location.href")).fragment
        return {key: values[0] for key, values in parse_qs(hash_).items()}

    def rest(self) -> None:
        """Wait until nothing moves: the last frame is painted in full and the address says what is shown."""
        self.page.wait_for_timeout(450)  # longer than the window's rest and the address's delay together
        state, before = self._state(), None
        while state != before:
            self.page.wait_for_timeout(60)
            state, before = self._state(), state

    def _state(self) -> list[str]:
        state: list[str] = self.page.evaluate(
            "() => [location.hash, ...Object.values(document.getElementById('tree').dataset)]"
        )
        return state

    def picture(self) -> NDArray[np.uint8]:
        """What the tree shows."""
        return pixels(self.stage)

    def choose(self, label: str, option: str) -> None:
        """Pick from one of its lists."""
        self.section.get_by_label(label, exact=True).select_option(label=option)

    def find(self, identity: int) -> None:
        """Search for an agent as a reader does."""
        field = self.section.get_by_label("Find an agent by id")
        field.fill(str(identity))
        field.press("Enter")
        expect(self.section).to_have_attribute("data-selected", str(identity))

    @property
    def panel(self) -> Locator:
        """The panel of the pinned agent."""
        return self.section.get_by_role("complementary", name="Pinned agent")

    def facts(self) -> dict[str, str]:
        """What the panel says of the agent, by label."""
        terms, texts = (self.panel.locator(f"dl.tree-facts {kind}").all_inner_texts() for kind in ("dt", "dd"))
        return dict(zip(terms, texts, strict=True))

    def line(self) -> list[int]:
        """Ids of the traced line, founder first, the folded middle opened."""
        fold = self.panel.get_by_role("button", name=re.compile("more ancestor"))
        if fold.count():
            fold.click()
        return [int(text) for text in self.panel.locator("ol.tree-line button.tree-link").all_inner_texts()]
