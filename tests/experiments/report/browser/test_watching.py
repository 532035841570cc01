"""The watch over pages misses nothing: what a report must not do is done here on purpose, and seen."""

import contextlib
import socket
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser
from report_browser import find_browser, opened

READY = '<script>document.documentElement.dataset.ready = "true";</script>'


@pytest.fixture
def knocks() -> Iterator[tuple[str, list[str]]]:
    """An address on this machine, and what was said to it.

    For a frame that it then refuses Chromium may connect, but says nothing.
    """
    seen: list[str] = []
    with socket.create_server(("127.0.0.1", 0)) as server:

        def listen() -> None:
            while True:
                try:
                    caller, _ = server.accept()
                except OSError:
                    return
                with caller, contextlib.suppress(OSError):
                    caller.settimeout(1)
                    said = caller.recv(100)
                    if said:
                        seen.append(said.decode(errors="replace"))

        thread = threading.Thread(target=listen, daemon=True)
        thread.start()
        yield f"http://127.0.0.1:{server.getsockname()[1]}/x", seen
        server.shutdown(socket.SHUT_RDWR)
        thread.join(5)


@pytest.mark.parametrize(
    "body",
    [
        "<script>console.error('no')</script>",
        "<script>console.log('chatter')</script>",
        "<script>throw new Error('no')</script>",
        "<script>Promise.reject(new Error('no'))</script>",
        "<img src='beside.png' alt=''>",
        "<script>fetch('https://example.org/').catch(() => {})</script>",
        "<script>new WebSocket('ws://127.0.0.1:9/')</script>",
        "<iframe src='other.html'></iframe>",
    ],
)
def test_a_page_that_asks_or_complains_is_found_out(browser: Browser, tmp_path: Path, body: str) -> None:
    path = tmp_path / "page.html"
    path.write_text(f"<!doctype html><link rel=icon href='data:,'><title>x</title>{body}{READY}", encoding="utf-8")
    with opened(browser, path) as (page, watched):
        page.wait_for_timeout(100)
    assert watched.blame()


def test_a_page_that_keeps_quiet_is_not_blamed(browser: Browser, tmp_path: Path) -> None:
    path = tmp_path / "page.html"
    path.write_text(f"<!doctype html><link rel=icon href='data:,'><title>x</title>{READY}", encoding="utf-8")
    with opened(browser, path, address="at=tree") as (_, watched):
        pass
    assert watched.blame() == []


ATTEMPTS = {
    "fetch": "fetch(URL)",
    "beacon": "navigator.sendBeacon(URL, 'x')",
    "image": "document.body.append(Object.assign(new Image(), { src: URL }))",
    "script": "document.body.append(Object.assign(document.createElement('script'), { src: URL }))",
    "style": "document.body.append(Object.assign(document.createElement('link'), { rel: 'stylesheet', href: URL }))",
    "frame": "document.body.append(Object.assign(document.createElement('iframe'), { src: URL }))",
    "worker": "new Worker(URL)",
    "events": "new EventSource(URL)",
    "socket": "new WebSocket(URL.replace('http', 'ws'))",
}
"""Ways out of a page."""


@pytest.mark.parametrize("way", ["a report", "an ordinary page"])
def test_the_security_policy_lets_nothing_out(
    browser: Browser, tmp_path: Path, knocks: tuple[str, list[str]], way: str
) -> None:
    from experiments.report.html import document

    text = document({"version": 1, "missing": [], "notes": []}, {}, title="a run")
    if way == "an ordinary page":  # the same without the policy, so that the test tells them apart
        head, _, tail = text.partition('<meta http-equiv="Content-Security-Policy"')
        text = head + tail.partition(">")[2]
    path = tmp_path / "page.html"
    path.write_text(text, encoding="utf-8")
    url, seen = knocks
    with opened(browser, path) as (page, _):
        for attempt in ATTEMPTS.values():
            page.evaluate(f"(URL) => {{ try {{ {attempt}; }} catch {{ }} }}", url)
        page.wait_for_timeout(300)
    assert bool(seen) == (way == "an ordinary page")


@pytest.mark.parametrize(("ci", "outcome"), [("true", pytest.fail.Exception), ("", pytest.skip.Exception)])
def test_without_a_browser_ci_fails_and_others_are_told(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, ci: str, outcome: type[BaseException]
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setenv("CI", ci)
    with pytest.raises(outcome, match="apt-get install chromium"):
        find_browser()
