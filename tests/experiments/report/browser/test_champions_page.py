"""What the page says of champions and of lines: reigns, and scars before and after the next birth on a line."""

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Page, expect
from report_runs import facts_of, make_report
from report_tree import Tree
from report_truth import Truth

from experiments.report import report


@pytest.fixture
def page(page_of: Callable[..., Page], small_report: Path) -> Page:
    return page_of(small_report)


@pytest.fixture(scope="module")
def truth(small_run: Path) -> Truth:
    return Truth(small_run)


def wounds(truth: Truth, line: list[int]) -> list[tuple[int, int]]:
    """Of each on a line: scars before the next birth on it, and later ones; those of the last are all its own."""
    births = [truth.births[each]["generation"] for each in line[1:]]
    ends = [*births, max(row["generation"] for row in truth.births.values()) + 1000]
    return [
        (
            sum(scar["generation"] < end for scar in truth.scars.get(each, [])),
            sum(scar["generation"] >= end for scar in truth.scars.get(each, [])),
        )
        for each, end in zip(line, ends, strict=True)
    ]


def counted(pattern: str, text: str) -> int:
    found = re.search(pattern, text)
    return int(found[1]) if found else 0


def test_a_traced_line_counts_scars_before_the_next_birth_and_tells_later_ones(page: Page, truth: Truth) -> None:
    tree = Tree(page)
    tree.choose("Show", "All that ever lived")
    lines = {identity: wounds(truth, truth.line(identity)) for identity in truth.births}
    both = [one for one, own in lines.items() if sum(w[0] for w in own) and sum(w[1] for w in own[:-1])]
    assert both
    for identity in (both[0], both[-1]):
        tree.find(identity)
        own = lines[identity]
        words = tree.panel.locator(".tree-trace p").inner_text()
        assert counted(r"(\d+) scars? on the way", words) == sum(before for before, _ in own)
        assert counted(r"(\d+) scars? of ancestors", words) == sum(later for _, later in own)
        for item, (before, later) in zip(tree.panel.locator("ol.tree-line li").all_inner_texts(), own, strict=True):
            assert counted(r"(\d+) scar", item) == before
            assert counted(r"(\d+) later", item) == later


def test_a_champions_line_counts_scars_as_the_facts_do(page: Page, small_report: Path) -> None:
    for place, champion in enumerate(facts_of(small_report)["champions"]):
        page.locator(f"#champion-{place}").click()
        words = page.locator("#champion-panel").inner_text()
        if len(champion["line"]) > 1:
            assert counted(r"(\d+) scars? on the way", words) == sum(one["scars"] for one in champion["line"])
            assert counted(r"(\d+) more came later", words) == sum(one["later"] for one in champion["line"])
        later = page.locator("#champion-panel").get_by_role("region", name="Scars").get_by_text("after it won")
        assert later.count() == sum(scar["later"] for scar in champion["scars"])


def test_each_regime_has_the_beginning_of_its_own_reign(page: Page, small_report: Path) -> None:
    facts = facts_of(small_report)
    for place, champion in enumerate(facts["champions"]):
        page.locator(f"#champion-{place}").click()
        lead = page.locator("#champion-panel .champion-head .lead").inner_text()
        for regime, since in champion["since"].items():
            name = facts["regimes"][int(regime)].replace("_", " ")
            name = "all regimes" if name == "all" else name
            assert re.search(rf"{name} since (generation )?{since}\b", lead), lead


def test_the_card_of_a_pruned_tree_counts_everybody_and_names_what_is_left_out(
    page_of: Callable[..., Page], small_run: Path, tmp_path: Path, truth: Truth, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = report.lineage_tree

    def pruned(*given: Any, budget: int) -> Any:
        return whole(*given, budget=int(0.6 * len(whole(*given, budget=budget)[1]["tree"].base64)))

    monkeypatch.setattr(report, "lineage_tree", pruned)
    make_report(small_run, tmp_path, "--only-records")
    tree = Tree(page_of(tmp_path / "report.html"))
    expect(tree.section.locator(".tree-shown")).to_contain_text("are left out")
    tree.choose("Show", "All that ever lived")
    lost = fewer = 0
    for identity, birth in truth.births.items():
        field = tree.section.get_by_label("Find an agent by id")
        field.fill(str(identity))
        field.press("Enter")
        if tree.said("selected") != str(identity):
            continue
        facts = tree.facts()
        assert int(facts["Descendants"]) == truth.descendants(identity)
        fewer += truth.descendants(identity) > 0
        if "left out here" in facts.get("Parents", ""):
            assert birth["second_parent_id"] is not None
            assert facts["Parents"] == f"{birth['parent_id']} and another parent, left out here"
            lost += 1
        elif birth["second_parent_id"] is not None:
            assert facts["Parents"] == f"{birth['parent_id']} and {birth['second_parent_id']}"
    assert lost
    assert fewer
