"""The lineage tree in a browser, against the run's tables: what is shown, found, traced, told and drawn."""

import re
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from playwright.sync_api import Page, expect
from report_tree import Tree, colour_of, near
from report_truth import Truth


@pytest.fixture
def tree(page_of: Callable[..., Page], small_report: Path) -> Tree:
    return Tree(page_of(small_report))


@pytest.fixture(scope="module")
def truth(small_run: Path) -> Truth:
    return Truth(small_run)


def test_wheel_keys_and_buttons_zoom(tree: Tree) -> None:
    box = tree.stage.bounding_box()
    assert box is not None
    whole = tree.window()

    def closer(before: tuple[float, ...]) -> tuple[float, ...]:
        expect(tree.section).not_to_have_attribute("data-window", ",".join(f"{value:g}" for value in before))
        tree.rest()
        now = tree.window()
        assert now[1] - now[0] < before[1] - before[0] or now[3] - now[2] < before[3] - before[2]
        return now

    first = tree.picture()
    tree.page.mouse.move(box["x"] + box["width"] / 2, box["y"] + box["height"] / 2)
    tree.page.mouse.wheel(0, -400)
    now = closer(whole)
    second = tree.picture()
    assert (first != second).any(axis=-1).mean() > 0.01
    tree.stage.focus()
    tree.page.keyboard.press("+")
    now = closer(now)
    tree.section.get_by_role("button", name="Zoom in").click()
    now = closer(now)
    tree.section.get_by_role("button", name="Show the whole tree").click()
    tree.rest()
    assert tree.window() == pytest.approx(whole)
    tree.page.mouse.move(0, 0)
    tree.rest()
    assert (tree.picture() == first).all()


def test_the_point_under_the_wheel_stays_and_dragging_moves_the_window(tree: Tree) -> None:
    box = tree.stage.bounding_box()
    assert box is not None
    x, y = box["x"] + 0.25 * box["width"], box["y"] + 0.5 * box["height"]
    tree.page.mouse.move(x, y)
    tree.page.mouse.wheel(0, -500)
    tree.rest()
    time0, time1, row0, _ = tree.window()
    tree.page.mouse.down()
    tree.page.mouse.move(x + 60, y + 30, steps=3)
    tree.page.mouse.up()
    tree.rest()
    after = tree.window()
    assert after[1] - after[0] == pytest.approx(time1 - time0)
    assert after[0] < time0
    assert after[2] < row0
    assert tree.said("selected") is None


@pytest.mark.parametrize(
    ("label", "show"),
    [
        ("Champions and the living", "lines"),
        ("The living", "living"),
        ("Champions", "champions"),
        ("All that ever lived", "all"),
    ],
)
def test_filters_show_those_they_name_with_their_ancestors(tree: Tree, truth: Truth, label: str, show: str) -> None:
    tree.choose("Show", label)
    for species in ("all", "qnetwork", "forest"):
        tree.choose("Species", species)
        for first, last in ((None, None), (2, 4), (5, None), (None, 0)):
            for name, value in (("First generation", first), ("Last generation", last)):
                field = tree.section.get_by_label(name)
                field.fill("" if value is None else str(value))
                field.press("Tab")
            wanted = truth.matching(show, None if species == "all" else species, first or 0, last)
            kept = truth.with_ancestors(wanted)
            assert (tree.count("matched"), tree.count("shown")) == (len(wanted), len(kept)), (species, first, last)
            words = tree.section.locator(".tree-shown").inner_text()
            assert words.startswith(f"{len(kept)} of {len(truth.births)} agents")


def test_fewer_agents_are_fewer_pixels(tree: Tree) -> None:
    ground = colour_of(tree.page, "page")

    def drawn() -> int:
        tree.rest()
        return int((~near(tree.picture(), ground, 8)).sum())

    tree.choose("Show", "All that ever lived")
    everybody = drawn()
    tree.choose("Show", "Champions")
    champions = drawn()
    assert 0 < champions < everybody


def test_the_legend_counts_the_agents_shown(tree: Tree, truth: Truth) -> None:
    tree.choose("Show", "All that ever lived")
    chips = tree.section.get_by_role("group", name="Set off a category").get_by_role("button").all_inner_texts()
    counted = {name: int(count) for name, count in (chip.split() for chip in chips)}
    kinds = [row["species"] for row in truth.births.values()]
    assert counted == {kind: kinds.count(kind) for kind in set(kinds)}


@pytest.mark.parametrize("by", ["regime won by its line", "fitness", "trust", "scars"])
def test_every_colouring_has_its_own_colours(tree: Tree, by: str) -> None:
    tree.choose("Show", "All that ever lived")
    tree.rest()
    first = tree.picture()
    tree.choose("Colour by", by)
    tree.rest()
    assert (tree.picture() != first).any(axis=-1).sum() > 500
    assert tree.section.locator(".tree-legend").inner_text() != ""


def sample(truth: Truth) -> dict[str, int]:
    """Agents of every kind."""
    rows = truth.births.values()
    return {
        "a founder": next(row["id"] for row in rows if row["parent_id"] is None),
        "the last born": max(truth.births),
        "a crossing": next(row["id"] for row in rows if row["second_parent_id"] is not None),
        "the deepest": max(truth.births, key=lambda identity: (len(truth.line(identity)), identity)),
        "the dead": next(iter(truth.died)),
        "the scarred": next(identity for identity in truth.scars),
        "a champion": truth.holders["all"],
    }


def test_a_search_finds_an_agent_and_says_what_is_on_record(tree: Tree, truth: Truth) -> None:
    tree.choose("Show", "All that ever lived")
    for what, identity in sample(truth).items():
        tree.find(identity)
        birth, death, facts = truth.births[identity], truth.died.get(identity), tree.facts()
        expect(tree.panel.get_by_role("heading", name=f"Agent {identity}")).to_be_visible()
        assert facts["Species"] == f"{birth['species']}, island {birth['island']}", what
        end = "now (alive)" if death is None else f"{death['generation']} ({death['cause']})"
        assert facts["Lived"] == f"generation {birth['generation']} – {end}", what
        assert facts["Birth"].split(",")[0] == birth["operator"], what
        parents = [str(birth[key]) for key in ("parent_id", "second_parent_id") if birth[key] is not None]
        assert facts["Parents" if len(parents) > 1 else "Parent"] == (" and ".join(parents) or "none: a founder"), what
        assert int(facts["Scars"]) == len(truth.scars[identity]), what
        assert int(facts["Descendants"]) == truth.descendants(identity), what
        assert int(facts["Depth"]) == len(truth.line(identity)) - 1, what
        for label, of in (("Fitness", "mean over its life"), ("Trust", "after its last generation")):
            assert facts[label] == "not known" or of in facts[label], what


def test_a_trace_is_the_line_of_first_parents_with_births_and_wins(tree: Tree, truth: Truth) -> None:
    tree.choose("Show", "All that ever lived")
    for what, identity in sample(truth).items():
        tree.find(identity)
        line = truth.line(identity)
        assert tree.line() == line, what
        for item, each in zip(tree.panel.locator("ol.tree-line li").all_inner_texts(), line, strict=True):
            birth = truth.births[each]
            assert f"generation {birth['generation']}, {birth['operator']}" in item, what
            assert ("won" in item) == (each in truth.won), what


def test_a_click_on_a_line_traces_it_and_the_line_stands_out(tree: Tree, truth: Truth) -> None:
    accent = colour_of(tree.page, "accent")
    assert not near(tree.picture(), accent).any()
    living = [identity for identity in truth.births if identity not in truth.died]
    identity = max(living, key=lambda one: len(truth.line(one)))
    tree.find(identity)
    tree.section.get_by_role("button", name="Show the whole tree").click()
    tree.rest()
    shown = near(tree.picture(), accent)
    assert shown.sum() > 100
    # Wherever the pointer meets the line, it meets an agent of the ancestry.
    line = {str(each) for each in truth.line(identity)}
    left = shown[:, : shown.shape[1] * 3 // 4]  # the agent's name, to the right of the tree, has the colour too
    rows, columns = np.nonzero(left)
    for place in np.linspace(0, len(rows) - 1, 7).astype(int):
        tree.stage.hover(position={"x": int(columns[place]), "y": int(rows[place])})
        expect(tree.section).to_have_attribute("data-hovered", re.compile(f"^({'|'.join(line)})$"))
        assert f"Agent {tree.said('hovered')}" in tree.section.locator(".tree-card").inner_text()
    tree.stage.press("Escape")
    assert tree.said("selected") is None
    place = len(rows) // 2
    tree.stage.click(position={"x": int(columns[place]), "y": int(rows[place])})
    assert tree.said("selected") in line
    tree.page.mouse.move(0, 0)
    tree.rest()
    assert near(tree.picture(), accent).any()


def test_the_address_brings_the_same_picture_back(tree: Tree, truth: Truth, page_of: Callable[..., Page]) -> None:
    tree.choose("Show", "All that ever lived")
    tree.choose("Colour by", "scars")
    tree.choose("Rows", "by birth")
    tree.choose("Species", "forest")
    tree.find(next(row["id"] for row in truth.births.values() if row["species"] == "forest" and row["parent_id"]))
    tree.section.get_by_role("button", name="Zoom out").click()
    tree.rest()
    address = tree.page.evaluate("location.href").partition("#")[2]
    path = Path(tree.page.evaluate("decodeURIComponent(location.pathname)"))
    other = Tree(page_of(path, address=address))
    other.rest()
    for name in ("window", "shown", "matched", "selected"):
        assert other.said(name) == tree.said(name)
    assert (other.picture() == tree.picture()).all()
    tree.page.reload()
    again = Tree(tree.page)
    again.rest()
    assert (again.picture() == other.picture()).all()


def test_what_cannot_be_found_is_said_in_words(tree: Tree, truth: Truth) -> None:
    field = tree.section.get_by_label("Find an agent by id")
    for text, answer in (("999999", "No agent 999999"), ("x1", "whole number"), ("", "Type the id")):
        field.fill(text)
        field.press("Enter")
        expect(tree.section.get_by_role("status")).to_contain_text(answer)
    lost = next(identity for identity in truth.births if identity not in truth.with_ancestors(truth.matching("lines")))
    tree.find(lost)
    expect(tree.section.get_by_role("status")).to_contain_text("not among the lines shown")
    tree.section.get_by_role("button", name="Show all that ever lived").click()
    assert tree.count("shown") == len(truth.births)
    assert tree.said("selected") == str(lost)


@pytest.mark.parametrize("button", ["Centre", "Whole line"])
def test_buttons_bring_an_agent_into_sight_that_the_filter_hides(tree: Tree, truth: Truth, button: str) -> None:
    hidden = next(one for one in truth.births if one not in truth.with_ancestors(truth.matching("lines")))
    tree.find(hidden)
    assert tree.count("shown") < len(truth.births)
    tree.panel.get_by_role("button", name=button).click()
    tree.rest()
    assert tree.count("shown") == len(truth.births)
    assert tree.said("selected") == str(hidden)
    expect(tree.section.get_by_role("status")).to_contain_text("All that ever lived are shown now")
    assert tree.section.get_by_label("Show", exact=True).input_value() == "all"
    time0, time1, _, _ = tree.window()
    assert time0 <= truth.births[hidden]["generation"] <= time1


def test_generations_the_wrong_way_round_are_said_to_be_so(tree: Tree) -> None:
    first, last = (tree.section.get_by_label(name) for name in ("First generation", "Last generation"))
    for field, value in ((first, "3"), (last, "1")):
        field.fill(value)
        field.press("Tab")
    words = "The first generation, 3, comes after the last, 1: exchange them."
    expect(tree.section.locator(".tree-shown")).to_contain_text(words)
    expect(tree.section.locator(".tree-frame.empty")).to_have_attribute("data-nobody", words)
    expect(first).to_have_attribute("aria-invalid", "true")
    last.fill("4")
    last.press("Tab")
    expect(first).to_have_attribute("aria-invalid", "false")
    assert tree.count("matched") > 0


@pytest.mark.parametrize("width", [400, 1280])
def test_the_list_of_a_line_does_not_scroll_sideways(
    page_of: Callable[..., Page], small_report: Path, truth: Truth, width: int
) -> None:
    tree = Tree(page_of(small_report, width=width))
    tree.find(truth.holders["all"])
    item = tree.panel.locator("ol.tree-line li[aria-current]")
    expect(item).to_contain_text("all regimes")
    item.locator("b.tree-won").evaluate(
        "(won) => won.append(', bull trending, bear trending, ranging, high volatility')"
    )
    wide, room = tree.panel.locator("ol.tree-line").evaluate("(list) => [list.scrollWidth, list.clientWidth]")
    assert wide <= room


def test_a_champion_is_one_key_away_and_lines_can_be_walked(tree: Tree, truth: Truth) -> None:
    tree.stage.focus()
    seen = set()
    for _ in truth.won:
        tree.page.keyboard.press("n")
        seen.add(int(tree.said("selected") or -1))
    assert seen == truth.won
    deep = max(truth.won, key=lambda identity: len(truth.line(identity)))
    tree.find(deep)
    tree.stage.focus()
    for parent in truth.line(deep)[-2::-1]:
        tree.page.keyboard.press("ArrowUp")
        assert tree.said("selected") == str(parent)
    tree.page.keyboard.press("ArrowDown")
    child = int(tree.said("selected") or -1)
    assert truth.births[child]["parent_id"] == truth.line(deep)[0] or child == deep
    expect(tree.section.locator("[aria-live=polite]").first).to_contain_text(f"Agent {child}")
    tree.page.keyboard.press("Escape")
    assert tree.said("selected") is None
