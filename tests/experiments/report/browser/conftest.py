"""What the tests in a browser share: one browser a session, and pages that answer for what they did."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, Page
from report_browser import Watched, launched, opened

PageOf = Callable[..., Page]


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    """One browser for all tests of a worker."""
    with launched() as made:
        yield made


@pytest.fixture
def page_of(browser: Browser) -> Iterator[PageOf]:
    """Opens a report, `page_of(path, width=…, scheme=…)`; at the end no page may have asked for or complained of
    anything.
    """
    seen: list[Watched] = []
    with ExitStack() as stack:

        def open_page(path: Path, **options: Any) -> Page:
            page, watched = stack.enter_context(opened(browser, path, **options))
            seen.append(watched)
            return page

        yield open_page
    assert [fault for watched in seen for fault in watched.blame()] == []
