"""A browser that looks at reports: finds Chromium, opens pages from files, and watches what they ask for and say.

A report must work offline from a file, so a page may request the file itself and nothing else, and say nothing on the
console; `Watched.blame` lists whatever else happened. Pixels are read as NumPy arrays.
"""

import contextlib
import dataclasses
import io
import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image
from playwright.sync_api import Browser, Locator, Page, expect, sync_playwright

__all__ = ["Watched", "find_browser", "launched", "opened", "pixels"]

NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "chrome")
WANTED = "no browser: apt-get install chromium (or any Chrome or Chromium on the PATH)"
QUIET = (
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--no-first-run",
    "--force-color-profile=srgb",
    "--font-render-hinting=none",
)
"""Flags that keep the browser itself off the network and its pictures the same."""

PATIENCE = 30_000
"""Milliseconds until something that should be there is called missing; a slow machine is no fault."""

expect.set_options(timeout=PATIENCE)


def find_browser() -> str:
    """The browser's program; without one the test fails in CI and is skipped elsewhere."""
    found = next(filter(None, map(shutil.which, NAMES)), None)
    if found is None:
        (pytest.fail if os.environ.get("CI") else pytest.skip)(WANTED)
    return str(found)


@contextlib.contextmanager
def launched() -> Iterator[Browser]:
    """A headless browser."""
    program = find_browser()
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=program, args=list(QUIET))
        try:
            yield browser
        finally:
            browser.close()


@dataclasses.dataclass(frozen=True)
class Watched:
    """What a page did beside showing itself.

    Attributes:
        url: of the report; the one thing it may load.
        said: console messages, of every level; a violation of the security policy is one.
        raised: errors nobody caught.
        asked: addresses of requests.
    """

    url: str
    said: list[str] = dataclasses.field(default_factory=list)
    raised: list[str] = dataclasses.field(default_factory=list)
    asked: list[str] = dataclasses.field(default_factory=list)

    def attach(self, page: Page) -> None:
        """Begin to watch."""
        page.on("console", lambda message: self.said.append(f"{message.type}: {message.text}"))
        page.on("pageerror", lambda error: self.raised.append(str(error)))
        page.on("request", lambda request: self.asked.append(request.url))
        page.on("websocket", lambda socket: self.asked.append(socket.url))
        page.on("popup", lambda popup: self.asked.append(popup.url))

    def blame(self) -> list[str]:
        """All that should not have happened."""
        away = [url for url in self.asked if url.partition("#")[0] != self.url]
        return [*self.said, *self.raised, *(f"request: {url}" for url in away)]


@contextlib.contextmanager
def opened(
    browser: Browser,
    path: Path,
    *,
    width: int = 1280,
    height: int = 800,
    scheme: str = "light",
    address: str = "",
    scale: float = 1.0,
    motion: bool = False,
) -> Iterator[tuple[Page, Watched]]:
    """A report in a window of its own, once it says it is ready.

    Args:
        browser: that opens it.
        path: the report.
        width: of the window, CSS pixels.
        height: likewise.
        scheme: `light` or `dark`, what the system prefers.
        address: the hash, without `#`.
        scale: device pixels per CSS pixel.
        motion: whether the reader likes things to move; else nothing needs waiting for.
    """
    context = browser.new_context(
        viewport={"width": width, "height": height},
        color_scheme="dark" if scheme == "dark" else "light",
        device_scale_factor=scale,
        reduced_motion="no-preference" if motion else "reduce",
        locale="en-US",
    )
    context.set_default_timeout(PATIENCE)
    try:
        page = context.new_page()
        watched = Watched(path.resolve().as_uri())
        watched.attach(page)
        page.goto(watched.url + (f"#{address}" if address else ""), timeout=PATIENCE)
        page.locator("html[data-ready=true]").wait_for(state="attached")
        yield page, watched
    finally:
        context.close()


def pixels(shown: Page | Locator, **options: Any) -> NDArray[np.uint8]:
    """What is to be seen: [rows, columns, 3], red, green, blue."""
    picture = Image.open(io.BytesIO(shown.screenshot(animations="disabled", caret="hide", **options)))
    return np.asarray(picture.convert("RGB"))
