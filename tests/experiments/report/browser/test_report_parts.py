"""What the report's parts say and draw in a browser, against the run's tables and `arena show`."""

import re
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from playwright.sync_api import Locator, Page, expect
from report_browser import pixels
from report_runs import facts_of
from report_truth import Truth
from small_runs import arena

from arena.schemas import REGIME_NAMES
from experiments.report.html import script_json


@pytest.fixture
def page(page_of: Callable[..., Page], small_report: Path) -> Page:
    return page_of(small_report)


@pytest.fixture(scope="module")
def truth(small_run: Path) -> Truth:
    return Truth(small_run)


def number(text: str) -> float | None:
    """A number as the page writes it; None for a dash."""
    plain = text.replace("−", "-").replace(",", "").removesuffix("%").strip()
    return None if plain == "–" else float(plain)


def numbers(part: Locator) -> tuple[list[str], list[list[str]]]:
    """Heads and rows of the table below a chart."""
    part.scroll_into_view_if_needed()
    below = part.locator("details.numbers").first
    below.locator("summary").click()
    heads, *rows = below.evaluate(
        "(one) => [...one.querySelectorAll('tr')].map((r) => [...r.cells].map((c) => c.innerText))"
    )
    return heads, rows


def panel(page: Page, title: str) -> Locator:
    """One of the small charts."""
    return page.locator("#curves").get_by_role("figure", name=title, exact=True)


def test_the_run_in_one_screen_counts_what_the_tables_hold(page: Page, truth: Truth) -> None:
    statistics = page.locator("#summary dl.statistics")
    said = dict(
        zip(statistics.locator("dt").all_inner_texts(), statistics.locator("dd").all_inner_texts(), strict=True)
    )
    causes = Counter(row["cause"] for row in truth.died.values())
    scars = Counter(row["cause"] for rows in truth.scars.values() for row in rows)
    assert said["Born"].splitlines()[0] == str(len(truth.births))
    for label, counts in (("Died", causes), ("Scars", scars)):
        assert said[label].splitlines()[0] == str(counts.total())
        for cause, count in counts.items():
            assert f"{count} {cause}" in said[label]
    deepest = max(len(truth.line(identity)) for identity in truth.births) - 1
    assert f"deepest line {deepest} births" in said["Born"]


def test_champions_stand_as_arena_show_says(page: Page, small_run: Path, truth: Truth) -> None:
    code, shown, _ = arena("show", str(small_run))
    assert code == 0
    told = {said[0]: said for line in shown.splitlines() if (said := line.split()) and said[0] in REGIME_NAMES}
    table = page.get_by_role("table", name="Champions by regime on training and validation")
    rows = table.locator("tbody tr").all()
    assert len(rows) == len(REGIME_NAMES)
    for name, row in zip(REGIME_NAMES, rows, strict=True):
        head, agent = row.locator("th").inner_text(), row.locator("td.agent").inner_text()
        words = "all regimes" if name == "all" else name.replace("_", " ")
        assert head.strip("▲▼◆●★ \n") == words
        species, identity = told[name][1], told[name][3]
        assert "".join(agent.split()) == identity + species
        page.locator("#summary").get_by_role("link", name=identity, exact=True).first.click()
        expect(page.get_by_role("heading", name=f"Agent {identity}")).to_be_visible()
        scores = page.locator("#champions div", has=page.get_by_role("heading", name="Trust and score")).last
        trust = scores.locator("tr", has=page.get_by_role("cell", name=words, exact=True))
        assert number(trust.locator("td").last.inner_text()) == pytest.approx(float(told[name][5]), abs=6e-3)
        assert number(trust.locator("td").last.inner_text()) == pytest.approx(1e4 * truth.scores[name], abs=6e-3)


def test_standings_are_the_facts_side_by_side(page: Page, small_report: Path) -> None:
    facts = facts_of(small_report)
    table = page.get_by_role("table", name="Champions by regime on training and validation")
    for regime, row in enumerate(table.locator("tbody tr").all()):
        players = {one["player"]: one for one in facts["standings"] if one["regime"] == regime}
        for part in ("train", "validation"):
            cells = row.locator(f"td.{part}:not(.first)").all_inner_texts()
            champion = players["champion"][part]
            wanted = [players[name][part]["bp"] for name in ("champion", "buy and hold", "oracle")]
            wanted += [champion["sharpe"], 100 * champion["drawdown"], champion["trades"], champion["bars"]]
            assert [number(cell) for cell in cells] == pytest.approx(wanted, abs=0.051)


def test_curves_are_the_tables_by_generation(page: Page, truth: Truth, small_run: Path) -> None:
    heads, rows = numbers(panel(page, "Deaths"))
    counts = Counter((row["generation"], row["cause"]) for row in truth.died.values())
    for row in rows:
        for cause, value in zip(heads[1:], row[1:], strict=True):
            assert number(value) == counts[int(row[0]), cause]
    heads, rows = numbers(panel(page, "All regimes"))
    gained = {
        (row["generation"], truth.births[row["id"]]["species"], row["id"]): 1e4 * row["log_return"] / row["bars"]
        for row in truth.fitness
        if row["split"] == "train" and row["regime"] == "all" and row["bars"]
    }
    for species in ("qnetwork", "forest"):
        for row in rows:
            own = [value for (when, kind, _), value in gained.items() if (when, kind) == (int(row[0]), species)]
            assert number(row[heads.index(f"{species} best")]) == pytest.approx(max(own), rel=6e-3, abs=2e-3)
            assert number(row[heads.index(f"{species} median")]) == pytest.approx(np.median(own), rel=6e-3, abs=2e-3)


def test_clades_count_all_the_living_by_founder(page: Page, truth: Truth) -> None:
    heads, rows = numbers(page.locator("#clades"))
    for row in rows:
        generation = int(row[0])
        living = [
            identity
            for identity, birth in truth.births.items()
            if birth["generation"] <= generation
            and (identity not in truth.died or truth.died[identity]["generation"] >= generation)
        ]
        founders = Counter(truth.line(identity)[0] for identity in living)
        named = {
            int(head.split()[1]): number(value) for head, value in zip(heads, row, strict=True) if "Founder" in head
        }
        assert sum(number(value) or 0 for value in row[1:]) == len(living)
        assert {identity: count for identity, count in named.items() if count} == {
            identity: count for identity, count in founders.items() if identity in named
        }


def test_the_heat_map_is_a_life_in_training(page: Page, truth: Truth) -> None:
    heads, rows = numbers(page.locator("#heat"))
    assert {int(row[0]) for row in rows} >= truth.won
    sums: dict[tuple[int, str], list[float]] = {}
    for row in truth.fitness:
        if row["split"] == "train":
            own = sums.setdefault((row["id"], row["regime"]), [0.0, 0.0])
            own[0] += row["log_return"]
            own[1] += row["bars"]
    for row in rows:
        identity = int(row[0])
        assert row[1] == truth.births[identity]["species"]
        assert row[2] == ("no" if identity in truth.died else "yes")
        for regime, value in zip(REGIME_NAMES, row[3:], strict=True):
            gained, bars = sums[identity, regime]
            assert number(value) == (pytest.approx(1e4 * gained / bars, abs=6e-3) if bars else None), heads


def test_lines_of_a_chart_can_be_taken_out(page: Page) -> None:
    chart = panel(page, "All regimes").locator(".canvas")
    chart.scroll_into_view_if_needed()
    expect(chart.locator("canvas")).to_be_visible()
    before = pixels(chart)
    toggle = page.locator("#curves").get_by_role("button", name="best of training")
    toggle.click()
    expect(toggle).to_have_attribute("aria-pressed", "false")
    page.mouse.move(0, 0)
    without = pixels(chart)
    assert (without != before).any()
    toggle.click()
    page.mouse.move(0, 0)
    assert (pixels(chart) == before).all()


def test_every_chart_is_drawn(page: Page) -> None:
    for chart in page.locator("main .canvas").all():
        chart.scroll_into_view_if_needed()
        expect(chart.locator("canvas").first).to_be_visible()
        packed = pixels(chart).astype(np.uint32) @ np.array([1, 256, 65536], np.uint32)
        colours, counts = np.unique(packed, return_counts=True)
        assert len(colours) > 8, chart.get_attribute("aria-label")
        assert counts.max() < 0.995 * counts.sum(), chart.get_attribute("aria-label")


def test_each_champion_shows_its_trades_its_genome_and_the_way_to_the_tree(page: Page, small_report: Path) -> None:
    facts = facts_of(small_report)
    tabs = page.get_by_role("tablist", name="Champions")
    tabs.get_by_role("tab").first.focus()
    for place, champion in enumerate(facts["champions"]):
        if place:
            page.keyboard.press("ArrowRight")
        identity, shown = champion["id"], page.get_by_role("tabpanel")
        expect(tabs.get_by_role("tab", selected=True)).to_contain_text(str(identity))
        expect(tabs.get_by_role("tab", selected=True)).to_be_focused()
        expect(shown.get_by_role("heading", name=f"Agent {identity}")).to_be_visible()
        trades = sum(facts["columns"][journey["trades"]]["length"] for journey in champion["journeys"])
        expect(shown.locator(".readout").first).to_contain_text(f"{trades:,} trade")
        genome, words = champion["genome"], shown.inner_text()
        if genome["kind"] == "forest":
            assert f"{len(genome['trees'])} trees" in words
        else:
            weights = sum(np.size(layer["weights"]) for layer in genome["layers"])
            assert f"{weights} weights" in words
    tree = page.locator("#tree")
    page.get_by_role("link", name="Show it in the tree").click()
    expect(tree).to_have_attribute("data-selected", str(facts["champions"][-1]["id"]))
    expect(tree.get_by_role("application")).to_be_in_viewport()


def test_zooming_into_a_champions_bars_shows_its_trades(page: Page) -> None:
    champion = page.get_by_role("tabpanel")
    chart = champion.locator(".canvas").first
    chart.scroll_into_view_if_needed()
    expect(chart.locator("canvas").first).to_be_visible()
    before, words = pixels(chart), champion.locator(".readout").first.inner_text()
    champion.get_by_role("button", name="Next trade").click()
    expect(champion.locator(".readout").first).not_to_have_text(words)
    assert (pixels(chart) != before).any(axis=-1).mean() > 0.02
    said = champion.locator(".journey [aria-live]").first
    expect(said).to_have_text(re.compile(r"trade 1 of \d+:"))
    champion.get_by_role("button", name="Next trade").click()
    expect(said).to_have_text(re.compile(r"trade 2 of \d+:"))
    champion.get_by_role("button", name="Everything").click()
    champion.get_by_role("button", name="Previous trade").click()
    expect(said).to_have_text(re.compile(r"trade (\d+) of \1:"))


def test_the_wheel_over_a_champions_bars_scrolls_the_page_and_with_ctrl_zooms(page: Page) -> None:
    champion = page.get_by_role("tabpanel")
    chart, said = champion.locator(".canvas").first, champion.locator(".readout").first
    chart.scroll_into_view_if_needed()
    expect(chart.locator("canvas").first).to_be_visible()
    expect(said).to_contain_text("Ctrl + wheel zooms")
    chart.hover(position={"x": 400, "y": 300})
    before, view = page.evaluate("scrollY"), page.url
    page.mouse.wheel(0, 120)
    page.wait_for_function("(before) => scrollY === before + 120", arg=before)
    assert page.url == view
    page.keyboard.down("Control")
    page.mouse.wheel(0, -120)
    page.wait_for_function("() => location.hash.includes('bars=')")
    page.keyboard.up("Control")
    assert page.evaluate("scrollY") == before + 120


def test_a_champions_line_has_scars_and_wins_where_they_happened(
    page_of: Callable[..., Page], small_report: Path, tmp_path: Path
) -> None:
    facts = facts_of(small_report)
    champion = facts["champions"][0]
    common = {"died": None, "operator": "mutation", "strength": 0.1, "species": 0, "scars": 0, "later": 0}
    champion["generation"] = 40
    champion["line"] = [
        {**common, "id": 7, "born": 0, "scars": 2, "later": 1, "scarred": [4, 4, 30], "won": [], "won_at": {}},
        {**common, "id": 8, "born": 10, "scars": 1, "scarred": [20], "won": [1, 4], "won_at": {"1": 35, "4": 40}},
    ]
    path = tmp_path / "line.html"
    text = small_report.read_text(encoding="utf-8")
    path.write_text(text.replace(script_json(facts_of(small_report)), script_json(facts)), encoding="utf-8")
    page = page_of(path)
    figure = page.get_by_role("tabpanel").locator("figure", has=page.locator(".line-key"))
    heads, rows = numbers(figure)
    assert [row[heads.index("scarred in")] for row in rows] == ["4, 4, 30", "20"]
    assert [re.findall(r" in (\d+)", row[heads.index("won")]) for row in rows] == [[], ["35", "40"]]
    chart, said = figure.locator(".canvas"), figure.locator(".readout")
    chart.scroll_into_view_if_needed()
    expect(chart.locator("canvas").first).to_be_visible()
    assert (chart.get_attribute("aria-label") or "").endswith("generations 0 to 40")
    width = chart.evaluate("(one) => one.clientWidth") - 78
    for generation, y, identity in ((0, 73, 7), (10, 73, 8), (30, 113, 7), (20, 113, 8), (4, 33, 8)):
        chart.hover(position={"x": 58 + width * generation / 40, "y": y})
        expect(said).to_contain_text(f"agent {identity}, ")
    assert "1 scar in 20" in said.inner_text()
    drawn = pixels(chart).astype(int).sum(axis=-1)
    at = [58 + round(width * generation / 40) for generation in (2, 4, 20, 30, 35)]
    lanes = {33: [False, False, False, False, True], 113: [False, True, True, True, False]}
    for y, wanted in lanes.items():
        assert [bool(np.ptp(drawn[y - 12 : y + 12, x - 9 : x + 10])) for x in at] == wanted
