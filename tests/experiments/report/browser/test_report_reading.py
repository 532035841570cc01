"""Whether everybody can read the report: contrast, colour-blind readers, the keyboard alone, assistive software."""

import re
from collections.abc import Callable
from itertools import combinations
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from axe_playwright_python.sync_playwright import Axe
from numpy.typing import NDArray
from playwright.sync_api import Page, expect
from report_browser import pixels
from report_tree import Tree

TEXT, MARK = 4.5, 3.0
"""Least contrast of text, and of marks beside a text that says the same (WCAG 2.2, criteria 1.4.3 and 1.4.11)."""

TEXTS = """() => {
  const canvas = document.createElement("canvas").getContext("2d", { willReadFrequently: true });
  const rgba = (colour) => {
    canvas.clearRect(0, 0, 1, 1);
    canvas.fillStyle = colour;
    canvas.fillRect(0, 0, 1, 1);
    return [...canvas.getImageData(0, 0, 1, 1).data].map((value) => value / 255);
  };
  const over = (top, under) => top.slice(0, 3).map((value, i) => value * top[3] + under[i] * (1 - top[3]));
  const ground = (one) => {
    const layers = [];
    for (let up = one; up; up = up.parentElement) layers.push(rgba(getComputedStyle(up).backgroundColor));
    return layers.reverse().reduce((under, top) => over(top, under), [1, 1, 1]);
  };
  const found = new Map();
  const walk = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  while (walk.nextNode()) {
    const one = walk.currentNode.parentElement;
    const text = walk.currentNode.textContent.trim();
    if (!text || one.closest("svg, script, noscript, :disabled, option, .hidden") || !one.checkVisibility()) continue;
    const under = ground(one);
    const ink = over(rgba(getComputedStyle(one).color), under);
    const mark = one.matches(".glyph[aria-hidden]");
    const key = [ink, under, mark].join();
    const where = `${one.tagName}.${one.className}: ${text.slice(0, 40)}`;
    if (!found.has(key)) found.set(key, { ink, under, mark, where });
  }
  return [...found.values()];
}"""
"""Colours of every text to be seen and of what lies under it, each pair once."""


def luminance(colour: list[float]) -> float:
    """Relative luminance of sRGB (WCAG 2.2)."""
    linear = [value / 12.92 if value <= 0.04045 else ((value + 0.055) / 1.055) ** 2.4 for value in colour]
    return float(np.dot(linear, (0.2126, 0.7152, 0.0722)))


def contrast(one: list[float], other: list[float]) -> float:
    """Contrast ratio (WCAG 2.2), 1 … 21."""
    low, high = sorted((luminance(one), luminance(other)))
    return (high + 0.05) / (low + 0.05)


def channels(colour: str) -> list[float]:
    """`rgb(…)` as numbers, 0 … 1."""
    return [int(value) / 255 for value in re.findall(r"\d+", colour)[:3]]


@pytest.fixture(params=["light", "dark"])
def whole(request: pytest.FixtureRequest, page_of: Callable[..., Page], small_report: Path) -> Page:
    """The small report in a scheme, with a table of numbers and everything else open that can be opened."""
    page = page_of(small_report, scheme=request.param)
    Tree(page).find(0)
    page.evaluate("""() => {
          for (const one of document.querySelectorAll("details:not(.numbers)")) one.open = true;
          document.querySelector("details.numbers").open = true;
        }""")
    page.wait_for_timeout(200)
    return page


def test_every_text_stands_out_from_its_ground(whole: Page) -> None:
    pairs = whole.evaluate(TEXTS)
    assert len(pairs) > 5
    faint = []
    for pair in pairs:
        ratio = contrast(pair["ink"], pair["under"])
        if ratio < (MARK if pair["mark"] else TEXT):
            faint.append((round(ratio, 2), pair["where"]))
    assert faint == []


def test_assistive_software_finds_nothing_to_complain_of(whole: Page) -> None:
    # Contrast is measured above, and takes most of its time.
    options = {"resultTypes": ["violations"], "rules": {"color-contrast": {"enabled": False}}}
    found = Axe().run(whole, options=options).response["violations"]
    assert {each["id"]: [node["html"][:120] for node in each["nodes"]][:5] for each in found} == {}


def lab(colours: NDArray[np.uint8]) -> NDArray[np.float64]:
    """CIELAB of sRGB under D65: [colours, 3]."""
    values = colours / 255
    linear = np.where(values <= 0.04045, values / 12.92, ((values + 0.055) / 1.055) ** 2.4)
    to_xyz = np.array([[0.4124, 0.3576, 0.1805], [0.2126, 0.7152, 0.0722], [0.0193, 0.1192, 0.9505]])
    xyz = linear @ to_xyz.T / (0.9505, 1.0, 1.089)
    bent = np.where(xyz > (6 / 29) ** 3, np.cbrt(xyz), xyz / (3 * (6 / 29) ** 2) + 4 / 29)
    x, y, z = np.moveaxis(bent, -1, 0)
    return np.stack([116 * y - 16, 500 * (x - y), 200 * (y - z)], axis=-1)


DISTINCT = 10.0
"""Distance in CIELAB (1976) below which neighbours are hard to tell apart; a just noticeable one is about 2.3."""


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_colour_blind_readers_tell_regimes_and_species_apart(
    page_of: Callable[..., Page], small_report: Path, scheme: str
) -> None:
    page = page_of(small_report, scheme=scheme)
    names = [f"regime-{i}" for i in range(5)] + [f"species-{i}" for i in range(4)]
    page.evaluate(
        """(names) => {
          const strip = document.createElement("div");
          strip.id = "strip";
          Object.assign(strip.style, { position: "fixed", left: 0, top: 0, zIndex: 99, display: "flex" });
          for (const name of names) {
            const swatch = document.createElement("i");
            Object.assign(swatch.style, { width: "20px", height: "20px", background: `var(--${name})` });
            strip.append(swatch);
          }
          document.body.append(strip);
        }""",
        names,
    )
    devices = page.context.new_cdp_session(page)
    for vision in ("none", "deuteranopia", "protanopia", "tritanopia"):
        devices.send("Emulation.setEmulatedVisionDeficiency", {"type": vision})
        picture = pixels(page.locator("#strip"))
        seen = dict(zip(names, lab(picture[10, 10::20]), strict=True))
        for group in ("regime", "species"):
            for one, other in combinations([name for name in names if name.startswith(group)], 2):
                assert np.linalg.norm(seen[one] - seen[other]) > DISTINCT, (vision, one, other)


CONTROLS = """() => [...document.querySelectorAll(
    "a[href], button, input, select, summary, [tabindex]:not([tabindex='-1'])")]
  .filter((one) => one.tabIndex >= 0 && !one.disabled && one.checkVisibility({ visibilityProperty: true }))
  .map((one, place) => { one.dataset.place = place; return place; }).length"""

FOCUSED = """() => {
  const one = document.activeElement;
  const style = getComputedStyle(one);
  const ring = parseFloat(style.outlineWidth) > 0 && style.outlineStyle !== "none";
  const box = one.getBoundingClientRect();
  return {
    place: one.dataset.place === undefined ? -1 : Number(one.dataset.place),
    ring,
    inside: box.bottom > 0 && box.top < innerHeight && box.right > 0 && box.left < innerWidth,
    what: `${one.tagName}.${one.className} ${one.textContent.slice(0, 30)}`,
  };
}"""


@pytest.mark.parametrize("width", [1280, 400])
def test_the_keyboard_reaches_every_control_and_shows_where_it_is(
    page_of: Callable[..., Page], small_report: Path, width: int
) -> None:
    page = page_of(small_report, width=width)
    Tree(page).find(0)
    page.evaluate("() => { document.activeElement.blur(); scrollTo(0, 0); }")
    count = page.evaluate(CONTROLS)
    assert count > 30
    page.evaluate("() => getSelection().setPosition(document.body, 0)")
    reached: list[dict[str, Any]] = []
    for _ in range(count + 5):
        page.keyboard.press("Tab")
        now = page.evaluate(FOCUSED)
        if reached and now["place"] == reached[0]["place"]:
            break
        reached.append(now)
    missed = set(range(count)) - {each["place"] for each in reached}
    names = page.evaluate(
        "(missed) => missed.map((place) => document.querySelector(`[data-place='${place}']`).outerHTML.slice(0, 100))",
        sorted(missed),
    )
    assert names == []
    assert [each["what"] for each in reached if each["place"] >= 0 and not each["ring"]] == []
    assert [each["what"] for each in reached if each["place"] >= 0 and not each["inside"]] == []


def test_the_first_key_offers_to_skip_to_the_content(page_of: Callable[..., Page], small_report: Path) -> None:
    page = page_of(small_report)
    page.keyboard.press("Tab")
    link = page.get_by_role("link", name="Skip to the content")
    expect(link).to_be_focused()
    expect(link).to_be_in_viewport()
    page.keyboard.press("Enter")
    expect(page.locator("main")).to_be_focused()
    page.keyboard.press("Tab")
    assert page.evaluate("() => document.activeElement.closest('main') !== null")


def test_light_and_dark_follow_the_system_and_a_choice_overrules_it(
    page_of: Callable[..., Page], small_report: Path
) -> None:
    page = page_of(small_report, scheme="dark")
    ground = "() => getComputedStyle(document.body).backgroundColor"
    dark = page.evaluate(ground)
    Tree(page)
    before = pixels(page)
    page.get_by_role("group", name="Colours").get_by_role("button", name="Light").click()
    light = page.evaluate(ground)
    page.wait_for_timeout(400)
    assert contrast(channels(light), channels(dark)) > 15
    assert pixels(page).mean() > 2 * before.mean()
    assert "theme=light" in page.evaluate("location.hash")
    page.get_by_role("group", name="Colours").get_by_role("button", name="Auto").click()
    assert page.evaluate(ground) == dark
    page.emulate_media(color_scheme="light")
    expect(page.locator("html")).to_have_attribute("data-theme", "light")
    assert page.evaluate(ground) == light
