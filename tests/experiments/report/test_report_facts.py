"""The report's facts, recomputed here row by row in plain Python from the tables of a small real run."""

import math
import statistics
from collections import Counter, defaultdict
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
from report_columns import numbers
from small_worlds import make_settings, market_of, small_bars

from arena.schemas import REGIME_NAMES
from experiments.report.facts import clades as clades_module
from experiments.report.facts.summary import market_facts
from experiments.report.facts.thinning import Thinning
from experiments.report.packing import Packed, pack_all
from experiments.report.report import journey_columns, report_facts
from experiments.runs.directory import RunDirectory
from markets.joining import join
from markets.source import Supply

Facts = dict[str, Any]
Rows = list[dict[str, Any]]


@pytest.fixture(scope="module")
def made(small_run: Path) -> tuple[Facts, dict[str, Packed]]:
    """Facts and columns of the small run, from its records."""
    return report_facts(RunDirectory(small_run), only_records=True)


@pytest.fixture(scope="module")
def facts(made: tuple[Facts, dict[str, Packed]]) -> Facts:
    return made[0]


@pytest.fixture(scope="module")
def tables(small_run: Path) -> dict[str, Rows]:
    """Every table as rows."""
    names = ("births", "deaths", "fitness", "scars", "generations", "archive", "timings")
    return {name: pl.read_parquet(f"{small_run}/{name}.parquet/*.parquet").to_dicts() for name in names}


@pytest.fixture(scope="module")
def tree(made: tuple[Facts, dict[str, Packed]]) -> dict[str, list[int]]:
    """The packed columns of the tree, undone."""
    return numbers(made[1]["tree"])


def per_bar(rows: Rows) -> float | None:
    bars = sum(row["bars"] for row in rows)
    return 1e4 * sum(row["log_return"] for row in rows) / bars if bars else None


def test_the_run_is_counted_as_its_tables_are(facts: Facts, tables: dict[str, Rows]) -> None:
    run = facts["run"]
    assert run["state"] == "finished"
    assert run["done"] == run["target"] == len({row["generation"] for row in tables["generations"]}) == 6
    assert run["born"] == len(tables["births"])
    assert run["died"] == dict(Counter(row["cause"] for row in tables["deaths"]))
    assert run["scars"] == dict(Counter(row["cause"] for row in tables["scars"]))
    assert run["seconds"] == pytest.approx(sum(row["seconds"] for row in tables["timings"]))
    speed = statistics.median(row["agent_bars_per_second"] for row in tables["timings"])
    assert run["agent_bars_per_second"] == pytest.approx(speed)
    assert run["species"] == [{"name": "qnetwork", "agents": 16}, {"name": "forest", "agents": 16}]
    assert ["evolution.agents", 16] in run["settings"]
    assert ["features.returns", "[1, 4]"] in run["settings"]
    depths: dict[int, int] = {}
    for row in sorted(tables["births"], key=lambda row: row["id"]):
        depths[row["id"]] = 0 if row["parent_id"] is None else depths[row["parent_id"]] + 1
    assert run["deepest"] == max(depths.values()) > 0


def test_nothing_is_missing_from_a_whole_run(facts: Facts) -> None:
    assert [entry["what"] for entry in facts["missing"]] == ["journeys", "benchmarks"]  # only records were wanted


def test_curves_are_the_best_and_the_median_of_each_generation(facts: Facts, tables: dict[str, Rows]) -> None:
    species = {row["id"]: row["species"] for row in tables["births"]}
    scores: dict[tuple[str, str, int], list[float]] = defaultdict(list)
    for row in tables["fitness"]:
        if row["split"] == "train" and row["bars"] >= 8:  # fitness.bars of the small study
            score = 1e4 * row["log_return"] / row["bars"]
            scores[species[row["id"]], row["regime"], row["generation"]].append(score)
    curves = facts["curves"]
    assert curves["generations"] == list(range(6))
    assert curves["every"] == 1
    lines = {(facts["species"][line["species"]], REGIME_NAMES[line["regime"]]): line for line in curves["fitness"]}
    assert set(lines) == {key[:2] for key in scores}
    for (name, regime), line in lines.items():
        for generation in range(6):
            own = scores.get((name, regime, generation))
            for value, of in ((line["best"], max), (line["median"], statistics.median)):
                wanted = None if own is None else pytest.approx(of(own), abs=1e-3)
                assert value[generation] == wanted


def test_the_archive_and_what_goes_with_it_are_told_as_they_were_written(facts: Facts, tables: dict[str, Rows]) -> None:
    curves = facts["curves"]
    for line in curves["archive"]:
        rows = [row for row in tables["archive"] if row["regime"] == REGIME_NAMES[line["regime"]]]
        assert [(generation, identity) for generation, _, identity in line["points"]] == [
            (row["generation"], row["id"]) for row in rows
        ]
        assert [score for _, score, _ in line["points"]] == pytest.approx(
            [1e4 * row["score"] for row in rows], abs=1e-3
        )
    for table in ("deaths", "scars"):
        counts = Counter((row["cause"], row["generation"]) for row in tables[table])
        assert curves[table] == [
            {"replicate": 0, "cause": cause, "values": [counts[cause, generation] for generation in range(6)]}
            for cause in sorted({key[0] for key in counts})
        ]
    for line in curves["series"]:
        rows = [row for row in tables["generations"] if row["species"] == facts["species"][line["species"]]]
        for generation, value in enumerate(line["values"]):
            own = [row[line["name"]] for row in rows if row["generation"] == generation]
            wanted = sum(own) / (1 if line["name"] in ("births", "migrants") else len(own))
            assert value == pytest.approx(wanted, abs=1e-4)
    assert curves["speed"] == pytest.approx([row["agent_bars_per_second"] for row in tables["timings"]], abs=0.5)


def founders_of(births: Rows) -> dict[int, int]:
    founders: dict[int, int] = {}
    for row in sorted(births, key=lambda row: row["id"]):
        founders[row["id"]] = row["id"] if row["parent_id"] is None else founders[row["parent_id"]]
    return founders


@pytest.mark.parametrize("shown", [3, 24])
def test_clades_add_up_to_the_living_of_every_generation(
    small_run: Path, tables: dict[str, Rows], shown: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(clades_module, "SHOWN", shown)
    clades = report_facts(RunDirectory(small_run), only_records=True)[0]["clades"]
    founders = founders_of(tables["births"])
    died = {row["id"]: row["generation"] for row in tables["deaths"]}
    counts: dict[int, list[int]] = {founder: [0] * 6 for founder in set(founders.values())}
    for row in tables["births"]:
        for generation in range(row["generation"], min(died.get(row["id"], 5), 5) + 1):
            counts[founders[row["id"]]][generation] += 1
    assert clades["generations"] == list(range(6))
    [clades] = clades["replicates"]
    *own, rest = clades["clades"]
    assert rest == {"id": None, "pooled": len(counts) - shown}
    assert len(own) == shown
    sizes = Counter(founders.values())
    living = Counter(founders[identity] for identity in founders if identity not in died)
    for clade, line in zip(own, clades["counts"], strict=False):
        assert line == counts[clade["id"]]
        assert clade["size"] == sizes[clade["id"]] - 1
        assert clade["alive"] == living[clade["id"]]
    left_out = [sum(line) for founder, line in counts.items() if founder not in {clade["id"] for clade in own}]
    assert min(sum(counts[clade["id"]]) for clade in own) >= max(left_out)
    assert [sum(column) for column in zip(*clades["counts"], strict=True)] == [32] * 6


def test_the_tree_holds_everybody_with_their_parents(
    facts: Facts, tree: dict[str, list[int]], tables: dict[str, Rows]
) -> None:
    about, births = facts["tree"], {row["id"]: row for row in tables["births"]}
    died = {row["id"]: row for row in tables["deaths"]}
    assert about["rows"] == about["born_total"] == len(births) == len(tree["id"])
    assert about["pruned"] is None
    assert about["last"] == 6
    assert tree["id"] == sorted(births)
    strengths = []
    for row, identity in enumerate(tree["id"]):
        birth, death = births[identity], died.get(identity)
        for column, key in (("parent", "parent_id"), ("second", "second_parent_id")):
            back = tree[column][row]
            assert (tree["id"][row - back] if back else None) == birth[key]
        assert tree["born"][row] == birth["generation"]
        assert tree["life"][row] == (65535 if death is None else death["generation"] - birth["generation"])
        assert facts["species"][tree["species"][row]] == birth["species"]
        assert facts["operators"][tree["operator"][row]] == birth["operator"]
        assert tree["island"][row] == birth["island"]
        if death is None:
            assert tree["cause"][row] == 255
        else:
            assert facts["causes"][tree["cause"][row]] == death["cause"]
        if birth["mutation_strength"] is None:
            assert tree["strength"][row] == 255
        else:
            value = about["strength"]["low"] + tree["strength"][row] * about["strength"]["step"]
            assert value == pytest.approx(birth["mutation_strength"], abs=about["strength"]["step"] / 2 + 1e-6)
            strengths.append(tree["strength"][row])
    assert max(strengths) == 254


def test_the_tree_says_how_agents_fared(facts: Facts, tree: dict[str, list[int]], tables: dict[str, Rows]) -> None:
    about, lives = facts["tree"], defaultdict(list)
    for row in tables["fitness"]:
        if row["split"] == "train" and row["regime"] == "all":
            lives[row["id"]].append(row)
    scars = Counter(row["id"] for row in tables["scars"])
    for row, identity in enumerate(tree["id"]):
        own = lives[identity]
        if not own:
            assert (tree["fitness"][row], tree["trust"][row]) == (65535, 255)
            continue
        value = about["fitness"]["low"] + tree["fitness"][row] * about["fitness"]["step"]
        assert value == pytest.approx(per_bar(own), abs=about["fitness"]["step"] / 2 + 1e-6)
        assert tree["trust"][row] / 254 == pytest.approx(own[-1]["trust"], abs=0.5 / 254 + 1e-6)
        assert tree["scars"][row] == scars[identity]
    assert 0 < sum(code == 65535 for code in tree["fitness"]) < 32  # the children of the last turn-over


def test_the_tree_knows_champions_of_now_and_of_before(
    facts: Facts, tree: dict[str, list[int]], tables: dict[str, Rows]
) -> None:
    won, holds = defaultdict(int), {}
    for row in tables["archive"]:
        won[row["id"]] |= 1 << REGIME_NAMES.index(row["regime"])
        holds[row["regime"]] = row["id"]
    for row, identity in enumerate(tree["id"]):
        assert tree["won"][row] == won[identity]
        assert tree["holds"][row] == sum(
            1 << place for place, name in enumerate(REGIME_NAMES) if holds.get(name) == identity
        )
    assert {REGIME_NAMES[champion["regime"]]: champion["id"] for champion in facts["tree"]["champions"]} == holds


def test_scars_lie_in_order_of_rows(
    made: tuple[Facts, dict[str, Packed]], tree: dict[str, list[int]], tables: dict[str, Rows]
) -> None:
    facts, scars = made[0], numbers(made[1]["scars"])
    found = sorted(
        (tree["id"][row], generation, REGIME_NAMES[regime], facts["causes"][cause], round(severity / 254, 2))
        for row, generation, regime, cause, severity in zip(*scars.values(), strict=True)
    )
    wanted = sorted(
        (row["id"], row["generation"], row["regime"], row["cause"], round(round(row["severity"] * 254) / 254, 2))
        for row in tables["scars"]
    )
    assert found == wanted
    assert scars["row"] == sorted(scars["row"])


def test_the_heat_map_shows_champions_and_the_best_of_the_living(facts: Facts, tables: dict[str, Rows]) -> None:
    heat = facts["heat"]
    lives: dict[tuple[int, str], dict[str, Rows]] = defaultdict(lambda: defaultdict(list))
    for row in tables["fitness"]:
        lives[row["id"], row["split"]][row["regime"]].append(row)
    died = {row["id"] for row in tables["deaths"]}
    for agent, train, validation in zip(heat["agents"], heat["train"], heat["validation"], strict=True):
        assert agent["alive"] == (agent["id"] not in died)
        for split, shown in (("train", train), ("validation", validation)):
            for regime, value in zip(REGIME_NAMES, shown, strict=True):
                own = lives[agent["id"], split][regime]
                enough = sum(row["bars"] for row in own) >= 8
                assert value == (pytest.approx(per_bar(own), abs=1e-3) if enough else None)
    holds = {row["regime"]: row["id"] for row in tables["archive"]}
    ids = [agent["id"] for agent in heat["agents"]]
    assert len(set(ids)) == len(ids)
    assert set(ids[: len(set(holds.values()))]) == set(holds.values())
    judged = [row["id"] for row in tables["births"] if row["id"] not in died and lives[row["id"], "train"]]
    assert set(ids) == set(judged) | {row["id"] for row in tables["archive"]}

    def standing(identity: int) -> float:
        own = lives[identity, "train"]["all"]
        return (per_bar(own) or 0.0) * len(own) / (len(own) + 2.0)  # λ is 2 by default

    others = [identity for identity in ids if identity not in {row["id"] for row in tables["archive"]}]
    standings = [standing(identity) for identity in others]
    assert standings == sorted(standings, reverse=True)


@pytest.mark.parametrize(("done", "points"), [(10, 4), (9, 3), (7, 100), (1, 1), (3001, 1500)])
def test_thinned_curves_are_means_of_what_is_known(done: int, points: int) -> None:
    thinning = Thinning(done, points)
    values = np.random.default_rng(0).normal(size=done)
    values[::3] = np.nan
    assert len(thinning.generations) <= points
    assert thinning.every == math.ceil(done / points)
    found = thinning.mean(values).tolist()
    for place, first in enumerate(thinning.generations.tolist()):
        own = [value for value in values[first : first + thinning.every].tolist() if not math.isnan(value)]
        assert found[place] == pytest.approx(statistics.fmean(own) if own else math.nan, nan_ok=True)


def test_nothing_is_thinned_from_nothing() -> None:
    assert Thinning(0).mean(np.zeros(0)).tolist() == []


def test_journeys_name_their_columns_and_share_prices() -> None:
    price, line = np.arange(5, dtype=np.float32), np.linspace(1, 2, 5).astype(np.float32)
    time = np.arange(5, dtype=np.uint32)

    def journey(equity: Any) -> dict[str, Any]:
        return {"part": "train", "columns": {"time": time, "close": price, "equity": equity}, "trades": {"entry": time}}

    champions = [
        {"key": "7-3", "id": 7, "journeys": [journey(line), journey(line + 1)]},
        {"key": "9-4", "id": 9, "journeys": []},
    ]
    told, groups = journey_columns(champions)
    assert told is not None
    assert [one["journeys"] for one in told] == [
        [
            {"part": "train", "columns": "columns-7-3-0", "trades": "trades-7-3-0"},
            {"part": "train", "columns": "columns-7-3-1", "trades": "trades-7-3-1"},
        ],
        [],
    ]
    np.testing.assert_allclose(groups["columns-7-3-1"]["equity"], line + 1, rtol=1e-5)
    described = pack_all(groups)["columns-7-3-1"].description["columns"]
    assert described["close"] == described["time"] == {"from": "columns-7-3-0"}
    assert "from" not in described["equity"]
    assert journey_columns(None) == (None, {})


def test_the_market_says_which_bars_are_whose() -> None:
    market, bars = market_of(make_settings()), small_bars()
    facts = market_facts(Supply(list(bars)), market)
    stamps = bars[0].time
    assert facts["first"] == f"{np.datetime_as_string(stamps[0], 'm')}Z"
    assert facts["last"] == f"{np.datetime_as_string(stamps[-1], 'm')}Z"
    train, validation = facts["train"], facts["validation"]
    assert facts["first"] <= train["first"] < train["last"] < validation["first"] < validation["last"] < facts["last"]
    for part in (train, validation):
        first, last = (np.datetime64(part[key][:-1]) for key in ("first", "last"))
        assert part["bars"] == np.count_nonzero((stamps >= first) & (stamps <= last))
    assert market_facts(Supply([*bars, *bars]), join([market, market])) == facts  # of one of two replicates
