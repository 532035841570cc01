"""The certificate and the decision rules in a browser: what is read there is what their files say."""

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from playwright.sync_api import Locator, Page, expect
from report_browser import pixels
from report_runs import facts_of

from arena.schemas import REGIME_NAMES
from experiments.report.html import script_json

Facts = dict[str, Any]
SAID = {"pass": "passed", "fail": "failed", "insufficient": "too little to judge"}
NAMES = [*(name.replace("_", " ") for name in REGIME_NAMES[:4]), "all regimes", "router"]


@pytest.fixture
def values(small_report: Path) -> Facts:
    """The certificate itself."""
    found: Facts = json.loads((small_report.parent / "run" / "certificate.json").read_text(encoding="utf-8"))
    return found


def cells(below: Locator) -> list[list[str]]:
    """Rows of the table in a disclosure."""
    if below.get_attribute("open") is None:
        below.locator("summary").click()
    found: list[list[str]] = below.locator("table").evaluate(
        "(one) => [...one.rows].map((row) => [...row.cells].map((cell) => cell.innerText))"
    )
    return found[1:]


def number(text: str) -> float:
    return float(re.sub(r"[−,% ]|^\D*", lambda found: "-" if found[0] == "−" else "", text) or "nan")


def altered(report: Path, path: Path, change: Callable[[Facts], None]) -> Path:
    """The same page with other facts."""
    facts = facts_of(report)
    change(facts)
    text = report.read_text(encoding="utf-8")
    path.write_text(text.replace(script_json(facts_of(report)), script_json(facts)), encoding="utf-8")
    return path


def test_the_certificate_is_read_as_it_was_written(
    page_of: Callable[..., Page], small_report: Path, values: Facts
) -> None:
    page = page_of(small_report)
    part = page.locator("#certificate")
    expect(part.locator(".verdict .large")).to_contain_text("Passed")
    for reason in values["reasons"]:
        expect(part.locator(".verdict li", has_text=reason[1:])).to_have_count(1)
    expect(part.locator("dl.statistics")).to_contain_text("2nd")
    rows = part.get_by_role("table", name="The family judged on the holdout").locator("tbody tr").all()
    for row, member, name in zip(rows, values["family"], NAMES, strict=True):
        words = row.locator("td").all_inner_texts()
        own = member["metrics"]["1"]
        assert name in row.locator("th").inner_text()
        assert words[0].endswith(SAID[member["verdict"]])
        wanted = [100 * own["total_return"], own["sharpe"], 100 * own["max_drawdown"], member["trades"], member["days"]]
        assert [number(word) for word in words[1:6]] == pytest.approx(wanted, abs=0.051)
        for word, benchmark in zip(words[6:], ("flat", "matched"), strict=True):
            said, statistic = word.split(" t ")
            assert said.strip() == ("yes" if member["against"][benchmark]["rejected"] else "no")
            assert number(statistic) == pytest.approx(member["against"][benchmark]["statistic"], abs=6e-3)
    expect(part.get_by_role("heading", name="The all-rounder on the holdout")).to_be_visible()
    expect(part).to_contain_text("Its decision rule: mean of all, look-back 100, 4 bars averaged, threshold 0.3.")
    part.get_by_role("button", name="bull trending").focus()
    page.keyboard.press("Enter")
    expect(part.get_by_role("heading", name="The champion of bull trending on the holdout")).to_be_visible()
    expect(part.get_by_role("button", name="bull trending")).to_have_attribute("aria-pressed", "true")
    page.wait_for_function("() => location.hash.includes('member=bull_trending')")
    curves = values["curves"]
    drawn = cells(part.locator(".equity details.numbers"))
    assert [row[0] for row in drawn] == curves["day"]
    own = curves["members"]["bull_trending"]
    for at, curve in enumerate((own["equity"], own["matched"], curves["buy_and_hold"]), 1):
        assert [number(row[at]) for row in drawn] == pytest.approx(curve, abs=6e-5)
    assert "93.0 %" in part.locator(".behind").inner_text()
    costs = part.get_by_role("table", name="Costs by kind").locator("tbody tr:not(.group)").all_inner_texts()
    assert [re.split(r"\s+", text.strip())[0] for text in costs] == sorted(
        values["family"][0]["costs"], key=values["family"][0]["costs"].__getitem__, reverse=True
    )


def test_lucky_trials_and_cuts_of_validation_are_counted(
    page_of: Callable[..., Page], small_report: Path, values: Facts
) -> None:
    page = page_of(small_report)
    for title, plot in (
        ("Among the lucky", values["luck"]["records"]["training"]),
        ("Overfitting", values["overfitting"]),
    ):
        part = page.locator("#certificate .pair > div", has=page.get_by_role("heading", name=title))
        part.scroll_into_view_if_needed()
        rows = cells(part.locator("details.numbers"))
        assert [number(row[0]) for row in rows] == pytest.approx(plot["edges"][:-1], abs=6e-4)
        assert sum(number(row[2]) for row in rows) == pytest.approx(sum(plot["counts"]), rel=2e-3)
    expect(part.locator(".readout")).to_have_text("Probability of overfitting 9.0 %: 700 agents, 12,870 cuts")
    lucky = page.locator("#certificate .pair > div", has=page.get_by_role("heading", name="Among the lucky"))
    expect(lucky.locator(".readout")).to_contain_text("This run’s best: 3.40.")
    lucky.get_by_role("button", name="Holdout").click()
    expect(lucky.locator(".readout")).to_contain_text("This run’s best: 2.60.")
    expect(lucky.locator(".lead")).to_contain_text("the best of 12 players")
    lucky.locator(".canvas").focus()
    page.keyboard.press("Home")
    expect(lucky.locator(".readout")).to_have_text(re.compile(r"^0\.20 to 0\.2\d: \d+, [\d.]+ %$"))


def test_every_rule_is_in_the_heat_map_and_the_chosen_one_is_marked(
    page_of: Callable[..., Page], small_report: Path
) -> None:
    page = page_of(small_report)
    part = page.locator("#grid")
    part.scroll_into_view_if_needed()
    table = pl.read_parquet(small_report.parent / "run" / "inference.parquet")
    part.get_by_label("Champion", exact=True).select_option(index=1)
    page.wait_for_function("() => location.hash.includes('rules=bear_trending')")
    rows = {
        (row["ensemble"], row["lookback"], row["average"], round(row["threshold"], 1)): row
        for row in table.filter(group="bear_trending", regime="bear_trending").iter_rows(named=True)
    }
    shown = cells(part.locator("details.numbers"))
    for ensemble, lookback, average, threshold, gap, score, _, trades in shown:
        bars = None if lookback == "as bred" else int(lookback)
        row = rows.pop((ensemble, bars, int(average), float(threshold)))
        assert number(score) == pytest.approx(1e4 * row["log_return"] / row["bars"], abs=6e-3)
        assert number(gap) == pytest.approx(row["gap"], abs=6e-5)
        assert number(trades) == row["trades"]
    assert rows == {}
    said = part.locator(".readout")
    expect(said).to_contain_text("mean of all, look-back 100, 4 bars averaged, threshold 0.3, +1.00 bp a bar, as bred")
    chart = part.locator(".canvas")
    expect(chart.locator("canvas").first).to_be_visible()
    before = pixels(chart)
    part.get_by_role("button", name="Against as bred").click()
    page.mouse.move(0, 0)
    assert (pixels(chart) != before).any()
    chart.focus()
    for key in ("Home", *["ArrowRight"] * 13, *["ArrowUp"] * 3):
        page.keyboard.press(key)
    expect(said).to_contain_text(
        "chosen: mean of all, look-back 100, 4 bars averaged, threshold 0.3: +1.00 bp a bar, t +2.10"
    )
    box = chart.bounding_box()
    assert box is not None
    page.mouse.move(box["x"] + 51, box["y"] + 26 + 9.5 * 22)
    expect(said).to_contain_text("as bred: alone: ")


def nothing_known(facts: Facts) -> None:
    """A certificate that failed, of accounts that never moved."""
    [own] = facts["certificates"]
    own |= {"verdict": "fail", "luck": None, "overfitting": None, "minimum_backtest": None, "former": True}
    own |= {"spa": {"flat": None, "matched": None}, "reasons": ["it never held a position"]}
    own["why"] = {"overfitting": "nobody traded", "trials.training": "no births were kept"}
    for part in own["trials"].values():
        for key in ("effective", "variance", "expected_maximum", "member", "record", "sharpe_year", "deflated"):
            part[key] = None
    for member in own["family"]:
        member |= {"verdict": "fail", "id": None, "rule": None, "detectable_sharpe": None, "by_month": []}
        member["metrics"] = {cost: dict.fromkeys(names) for cost, names in member["metrics"].items()}
        member["by_regime"] = dict.fromkeys(member["by_regime"])
        member["costs"] = dict.fromkeys(member["costs"], 0.0)
        member["sharpe"] = {
            key: dict.fromkeys(("2012", "2025")) if isinstance(value, dict) else None
            for key, value in member["sharpe"].items()
        }
        member["against"] = {key: {"statistic": None, "rejected": False} for key in ("flat", "matched")}
    facts["grids"] = None


def test_what_nobody_knows_is_said_and_nothing_breaks(
    page_of: Callable[..., Page], small_report: Path, tmp_path: Path
) -> None:
    page = page_of(altered(small_report, tmp_path / "unknown.html", nothing_known), width=400)
    part = page.locator("#certificate")
    expect(part.locator(".verdict .large")).to_contain_text("Failed")
    expect(part).to_contain_text("The run went on since")
    expect(part).to_contain_text("Unknown: nobody traded.")
    expect(part).to_contain_text("Unknown: no births were kept.")
    expect(part.get_by_role("heading", name="The router on the holdout")).to_be_visible()
    expect(page.locator("#grid code")).to_have_text(re.compile("^arena grid [0-9a-f]{12}$"))
    for below in part.locator("details.numbers").all():
        below.locator("summary").click()
    assert page.get_by_role("alert").count() == 0
    texts = part.locator("h3, p, li, dd, td:not(:last-child)").all_inner_texts()  # words of conventions come last
    assert [text for text in texts if re.search("NaN|undefined|null|Infinity", text)] == []
    assert page.evaluate("document.documentElement.scrollWidth") <= 400
