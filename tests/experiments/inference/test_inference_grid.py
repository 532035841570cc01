"""`arena grid` on a small run of networks and forests: what it leaves, what it looks at, and what it refuses."""

import dataclasses
import json
import shutil
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import polars as pl
import pytest
from small_runs import arena, made_once, make_small

from arena.inference import conduct
from arena.schemas import REGIME_NAMES
from arena.tally import REGIMES
from experiments.champions.world import World, alone, load_world
from experiments.inference.brains import Bench, bench_of, lanes_of, read_champions
from experiments.inference.files import TABLE, read_choices, settings_tried
from experiments.inference.grid import run_grid
from experiments.inference.rules import LOOKBACKS, PLAIN, RULES
from experiments.inference.training import gaps_of, known_rows, think
from experiments.inference.trying import try_rules
from experiments.inference.views import views_of
from experiments.inference.weights import ensemble_weights
from experiments.runs.directory import RunDirectory
from experiments.runs.lock import only_one
from markets.errors import UserError
from markets.features import compute_features, features
from markets.preparation import Market

pytestmark = pytest.mark.usefixtures("plainly_compiled")

FILES = ("inference.parquet", "inference.json")


@pytest.fixture(scope="module")
def run(plainly_compiled: None, tmp_path_factory: pytest.TempPathFactory) -> RunDirectory:
    """A copy of the small run that a grid may be written into."""
    small = made_once(tmp_path_factory, "small", make_small)
    return RunDirectory(shutil.copytree(small, tmp_path_factory.mktemp("grid") / "small"))


@pytest.fixture(scope="module")
def said(run: RunDirectory) -> str:
    """What the command says the first time."""
    code, said, complaint = arena("grid", str(run.root))
    assert code == 0, complaint
    return said


@pytest.fixture(scope="module")
def grid(run: RunDirectory, said: str) -> dict[str, Any]:
    content = json.loads((run.root / "inference.json").read_text())
    entry: dict[str, Any] = content["grids"][0]
    return entry


@pytest.fixture(scope="module")
def table(run: RunDirectory, said: str) -> pl.DataFrame:
    return pl.read_parquet(run.root / "inference.parquet")


@pytest.fixture(scope="module")
def world(run: RunDirectory) -> World:
    return load_world(alone(run.read_config()), run.read_manifest()["data_hash"])


@pytest.fixture(scope="module")
def bench(run: RunDirectory, world: World) -> Bench:
    return bench_of(run, read_champions(run, 1, 0), world.plan)


@pytest.fixture(scope="module")
def views(world: World) -> np.ndarray:
    return views_of(world.market, world.supply.bars, world.plan.settings, mode="pool")


def test_the_table_has_every_rule_where_it_acts(table: pl.DataFrame, grid: dict[str, Any]) -> None:
    assert dict(table.schema) == TABLE
    for group, champion in grid["champions"].items():
        own = table.filter(pl.col("group") == group)
        regimes = REGIME_NAMES if group == "all" else (group,)
        assert set(own["regime"]) == set(regimes)
        assert set(own["id"]) == {champion["id"]}
        for regime in regimes:
            rows = own.filter(pl.col("regime") == regime)
            named = rows.select("ensemble", "lookback", "average", "threshold").rows()
            assert named == [tuple(rule) for rule in RULES]
            assert rows["bars"].n_unique() == 1
    assert grid["settings"] == 320 * len(grid["champions"])
    assert (table.filter(pl.col("threshold") == 0)["gap"] == 0).all()
    gaps = table.filter(pl.col("regime") == pl.col("group")).group_by("group", "ensemble", "lookback", "average")
    assert gaps.agg(pl.col("gap").is_sorted().all())["gap"].all()  # a higher quantile is a larger gap


def test_what_was_chosen_is_told_alike_everywhere(
    run: RunDirectory, said: str, table: pl.DataFrame, grid: dict[str, Any]
) -> None:
    choices = read_choices(run)
    assert settings_tried(run) == grid["settings"]
    assert list(choices) == list(grid["champions"])
    for group, choice in choices.items():
        row = table.filter(pl.col("group") == group, pl.col("chosen")).row(0, named=True)
        assert choice.rule == tuple(row[name] for name in ("ensemble", "lookback", "average", "threshold"))
        assert choice.gap == row["gap"]
        told = grid["choices"][group]
        assert told["score"] == pytest.approx(row["log_return"] / row["bars"])
        assert len(choice.weights) == REGIMES
        assert {len(weights) for weights in choice.weights} == {len(choice.brains)} == {len(choice.groups)}
        if choice.ensemble == "alone":
            assert choice.brains == (row["id"],)
            assert choice.weights == ((1.0,),) * REGIMES
        if choice.rule != PLAIN:
            assert row["t"] > 1
            assert told["score"] > told["plain"]["score"]
        assert f"{group:<20}{row['id']:>8}" in said
    assert table["chosen"].sum() == len(choices)
    assert max(map(len, said.splitlines()[:-1])) <= 80


def test_asked_again_it_shows_what_is_there(run: RunDirectory, said: str) -> None:
    stamps = [(run.root / name).stat().st_mtime_ns for name in FILES]
    code, again, _ = arena("grid", str(run.root))
    assert code == 0
    assert said.endswith(again)
    assert "rows" not in again
    assert [(run.root / name).stat().st_mtime_ns for name in FILES] == stamps


@pytest.mark.soak  # the whole grid once more
def test_forced_it_finds_the_same(run: RunDirectory, said: str) -> None:
    before = [(run.root / name).read_bytes() for name in FILES]
    stamps = [(run.root / name).stat().st_mtime_ns for name in FILES]
    assert arena("grid", str(run.root), "--force")[0] == 0
    assert [(run.root / name).read_bytes() for name in FILES] == before
    assert [(run.root / name).stat().st_mtime_ns for name in FILES] > stamps


def test_fitting_sees_training_rows_and_choosing_validation_rows_alone(
    world: World, bench: Bench, views: np.ndarray, table: pl.DataFrame
) -> None:
    market, setups, block = world.market, world.plan.rollouts, world.plan.settings.episodes.bars
    train, validation = (known_rows(market, part)[0] for part in ("train", "validation"))
    own = table.filter(pl.col("regime") == pl.col("group"))
    later = spoilt(market, slice(train[1], None)), spoilt_views(views, slice(train[1], None))
    thought = think(setups, bench, *later)
    weights = ensemble_weights(thought, bench.trust, setups[0].species.shape.actions)
    gaps = gaps_of(setups, bench, *later, weights)
    for group in bench.seat:
        np.testing.assert_array_equal(own.filter(group=group)["gap"], [gaps[group, rule] for rule in RULES])
    earlier = spoilt(market, slice(validation[0])), spoilt_views(views, slice(validation[0]))
    tried = try_rules(setups, bench, *earlier, weights, gaps, block=block)
    for group, found in tried.items():
        rows, place = own.filter(group=group), REGIME_NAMES.index(group)
        np.testing.assert_array_equal(rows["log_return"], found.returns[:, place].sum(-1))
        np.testing.assert_array_equal(rows["trades"], found.trades[:, place])


def spoilt(market: Market, rows: slice) -> Market:
    """The market with other prices and features on some rows."""
    tape = market.tape
    factor = jnp.asarray(np.random.default_rng(5).uniform(0.9, 1.1, tape.bid.shape[:2]), jnp.float32)[..., None][rows]
    changed = {
        "bid": tape.bid.at[rows].multiply(factor),
        "ask": tape.ask.at[rows].multiply(factor),
        "features": tape.features.at[rows].set(jnp.nan),
        "atr": tape.atr.at[rows].multiply(2.0),
    }
    return dataclasses.replace(market, tape=tape._replace(**changed))


def spoilt_views(views: np.ndarray, rows: slice) -> np.ndarray:
    changed = views.copy()
    changed[:, rows] = -changed[:, rows]
    return changed


def test_a_gap_is_a_quantile_of_those_of_the_champions_own_pass(
    world: World, bench: Bench, views: np.ndarray, table: pl.DataFrame
) -> None:
    if "all" not in bench.seat:
        pytest.skip("nobody came to be the all-rounder of this small run")
    seat = bench.seat["all"]
    thought = think(world.plan.rollouts, bench, world.market, views)
    own = np.sort(thought.values[:, seat], axis=-1)
    gaps = (own[:, 2] - own[:, 1]).astype(np.float64)
    plain = (pl.col("ensemble") == "alone") & pl.col("lookback").is_null() & (pl.col("average") == 1)
    rows = table.filter(plain, pl.col("group") == "all", pl.col("regime") == "all")
    expected = [0.0, *(np.quantile(gaps, tenth / 10) for tenth in range(1, 10))]
    np.testing.assert_allclose(rows["gap"], expected, rtol=1e-5)


def test_a_champions_result_is_what_its_account_gained(
    world: World, bench: Bench, views: np.ndarray, table: pl.DataFrame
) -> None:
    first, stop = known_rows(world.market, "validation")[0]
    rules = [(group, PLAIN, 0.0) for group in bench.seat]
    lanes = lanes_of(bench, rules, {})
    ends = (np.full(len(rules), end) for end in (first, stop))
    pieces = conduct(world.plan.rollouts, bench.panel, lanes, world.market.tape, views, *ends)
    passed = jax.tree.map(lambda *leaves: np.concatenate(leaves), *(kept for _, kept in pieces))
    regime = np.asarray(world.market.tape.regime[first : stop - 1])
    for lane, group in enumerate(bench.seat):
        place = REGIME_NAMES.index(group)
        row = table.filter(pl.col("group") == group, pl.col("regime") == group).row(0, named=True)
        gained = np.log(passed.equity[-1, lane] / world.plan.settings.broker.cash)
        np.testing.assert_allclose(row["log_return"], gained, rtol=1e-3, atol=1e-5)
        assert row["bars"] == (len(regime) if place == REGIMES else (regime == place).sum())
        assert row["trades"] == passed.closed.opened[:, lane].sum()
        if place < REGIMES:  # flat once it has had a bar to leave
            outside = (regime[1:] != place) & (regime[1:] < REGIMES)
            assert (passed.units[1:][outside, lane] == 0).all()


def test_a_view_is_the_features_that_look_back_no_further(world: World, views: np.ndarray) -> None:
    market, settings, bars = world.market, world.plan.settings, world.supply.bars
    np.testing.assert_array_equal(views[0], market.tape.features)
    short = views_of(market, bars, settings, mode="pool", lookbacks=(None, 8))[1]
    cut = features(dataclasses.replace(settings.features, lookback=8))
    rows = market.segments[0].rows.validation
    first = market.segments[0].first
    whole = market.scalers[0].apply(compute_features(cut, bars[0]))[rows.start - first : rows.stop - first]
    np.testing.assert_allclose(short[rows.start : rows.stop, 0], whole, rtol=1e-5, atol=1e-5)
    known = bars[0][: market.segments[0].last + 1 - first]
    np.testing.assert_array_equal(views_of(market, [known], settings, mode="pool"), views)  # nothing later is read
    assert len(views) == len(LOOKBACKS)


@pytest.mark.parametrize(
    ("change", "words", "complaint"),
    [
        ({"state": "interrupted"}, [], "is interrupted; arena resume"),
        ({}, ["--replicate", "2"], "--replicate: 2 of a run that has 1; right is 1"),
        ({}, ["--fold", "2"], "--fold: 2 of a run that has champions in 1; right is 1"),
    ],
)
def test_what_cannot_be_tried_is_refused_in_one_line(
    run: RunDirectory, said: str, tmp_path: Path, change: dict[str, str], words: list[str], complaint: str
) -> None:
    own = RunDirectory(shutil.copytree(run.root, tmp_path / "own"))
    own.note(**change)
    code, _, told = arena("grid", str(own.root), *words)
    assert code == 2
    assert complaint in told
    assert len(told.splitlines()) == 1


def test_a_run_at_work_is_refused_before_anything_is_tried(run: RunDirectory, said: str) -> None:
    told: list[str] = []
    with only_one(run.root), pytest.raises(UserError, match="at work on this run"):
        run_grid(run, force=True, tell=told.append)
    assert told == []


def test_a_run_without_champions_is_refused(run: RunDirectory, tmp_path: Path) -> None:
    own = RunDirectory(shutil.copytree(run.root, tmp_path / "own"))
    shutil.rmtree(own.table("archive"))
    code, _, told = arena("grid", str(own.root))
    assert code == 2
    assert "has no champions" in told


@pytest.mark.parametrize("text", ["{", "[]", '{"format": "x"}', '{"format": "lineage-arena.inference", "version": 1}'])
def test_damaged_choices_are_told(run: RunDirectory, said: str, tmp_path: Path, text: str) -> None:
    own = RunDirectory(shutil.copytree(run.root, tmp_path / "own"))
    (own.root / "inference.json").write_text(text)
    code, _, told = arena("grid", str(own.root))
    assert code == 2
    assert f"delete inference.json, and arena grid {own.root}" in told


def test_choices_of_other_champions_are_nobodys(run: RunDirectory, said: str, tmp_path: Path) -> None:
    own = RunDirectory(shutil.copytree(run.root, tmp_path / "own"))
    content = json.loads((own.root / "inference.json").read_text())
    next(iter(content["grids"][0]["champions"].values()))["id"] += 1
    (own.root / "inference.json").write_text(json.dumps(content))
    assert read_choices(own) == {}
    assert settings_tried(own) == 0
