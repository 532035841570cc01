"""The edge study: what it says of tables whose answer is known, and what a small one leaves behind."""

from pathlib import Path

import numpy as np
import polars as pl
import pytest
import yaml
from polars.testing import assert_frame_equal
from scipy import stats
from small_runs import SMALL, arena

from arena.schemas import REGIME_NAMES
from experiments.runs.directory import RunDirectory
from experiments.runs.trees import generation_of
from experiments.studies.edge_summary import seed_line, seeds_won, summary
from experiments.studies.seeds import fresh_paths
from experiments.studies.statistics import interval, ratio_of_means
from markets.synthetic import SyntheticSettings, simulate_paths

PLAYERS = ("champion", "founder", "hold", "oracle")


def made(edge: float, **returns: list[float]) -> pl.DataFrame:
    """A table of all regimes together, by the returns of each player; Sharpe ratios are ten thousand times as large."""
    seeds = len(next(iter(returns.values())))
    rows = [
        {
            "edge": edge,
            "seed": seed,
            "player": player,
            "regime": "all",
            "log_return": returns.get(player, [0.0] * seeds)[seed],
            "sharpe": 1e4 * returns.get(player, [0.0] * seeds)[seed],
            "matched": returns["matched"][seed] if player == "champion" else None,
        }
        for seed in range(seeds)
        for player in PLAYERS
    ]
    return pl.DataFrame(rows, infer_schema_length=None)


def test_an_interval_is_students() -> None:
    values = np.random.default_rng(0).normal(1, 2, 9)
    got = interval(values)
    want = stats.t.interval(0.95, 8, loc=values.mean(), scale=stats.sem(values))
    np.testing.assert_allclose(got, (values.mean(), *want))
    assert np.isnan(interval(values[:1])).tolist() == [False, True, True]


def test_a_seed_is_won_against_each_rival_on_its_own() -> None:
    champion = [2e-4, 1e-4, -1e-4, 3e-4]
    table = made(8.0, champion=champion, founder=[1e-4, 1e-4, -2e-4, 4e-4], matched=[0.0, 2e-4, -2e-4, 0.0])
    won = {"the founders' best": 2, "flat": 3, "exposure-matched holding": 3}
    assert seeds_won(table) == won


def test_an_edge_is_found_if_nine_of_ten_seeds_beat_every_rival() -> None:
    oracle, matched = [4e-4] * 10, [0.0] * 10
    for losers, verdict in ((1, "FOUND"), (2, "NOT FOUND")):
        champion = [-1e-4] * losers + [2e-4] * (10 - losers)
        first = next(summary(made(8.0, champion=champion, founder=[1e-5] * 10, oracle=oracle, matched=matched)))
        assert first.startswith(f"edge 8, 10 seeds: {verdict}; 9 of 10 asked")
    lines = list(summary(made(8.0, champion=[2e-4] * 10, founder=[1e-4] * 10, oracle=oracle, matched=matched)))
    assert "  they reach 50% (95 % interval 50% to 50%) of the oracle's Sharpe ratio" in lines
    assert "  the founders' best reached 25% (95 % interval 25% to 25%) of the oracle's Sharpe ratio" in lines


def test_a_share_is_a_ratio_of_means_with_the_jackknifes_interval() -> None:
    rng = np.random.default_rng(3)
    below = rng.uniform(1, 2, 12)
    above = below * 0.5 + rng.normal(0, 0.1, 12)
    got = ratio_of_means(above, below)
    whole = above.mean() / below.mean()
    left = np.asarray([np.delete(above, i).mean() / np.delete(below, i).mean() for i in range(12)])
    error = np.sqrt(11 / 12 * ((left - left.mean()) ** 2).sum())
    np.testing.assert_allclose(got, whole + error * stats.t.ppf([0.5, 0.025, 0.975], 11), rtol=1e-6)
    assert np.isnan(ratio_of_means(-above, -below)).all(), "no share of an oracle that loses"
    lost = made(8.0, champion=[-1e-4] * 2, founder=[-1e-4] * 2, oracle=[-5e-5] * 2, matched=[0.0] * 2)
    assert "  they reach – of the oracle's Sharpe ratio" in list(summary(lost))


def test_fresh_markets_are_no_market_that_any_seed_was_bred_on() -> None:
    source = SyntheticSettings(bars=200, symbols=2, edge=8.0)
    bred = [path.bars.mid[:, 3] for seed in range(6) for path in simulate_paths(source, seed)]
    fresh = [path.bars.mid[:, 3] for seed in range(6) for path in fresh_paths(source, seed, 3)]
    assert len(fresh) == 18
    for one in fresh:
        assert not any(np.array_equal(one, other) for other in bred)
    assert len({one.tobytes() for one in fresh}) == 18


def test_luck_is_told_from_a_find_where_there_is_nothing() -> None:
    noise = np.random.default_rng(1).normal(0, 1e-4, 40)
    zero = [0.0] * 40
    centred = (noise - noise.mean()).tolist()
    assert "NOTHING FOUND" in next(summary(made(0.0, champion=centred, matched=zero)))
    assert "FOUND WHERE" in next(summary(made(0.0, champion=(centred + np.float64(1e-4)).tolist(), matched=zero)))


def test_a_seed_without_a_champion_was_flat() -> None:
    table = made(8.0, champion=[1e-4], founder=[2e-4], oracle=[4e-4], matched=[0.0])
    alone = table.filter(pl.col("player") != "champion")
    assert seeds_won(alone) == dict.fromkeys(seeds_won(alone), 0)
    assert "+0.00" in seed_line(alone)


@pytest.fixture(scope="module")
def study(plainly_compiled: None, cache: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:
    """A small study of two seeds with an edge and two without."""
    folder = tmp_path_factory.mktemp("edge")
    code, said, complaint = arena(*words(folder))
    assert code in (0, 1), complaint  # a study so small need not find anything
    assert code == int("NOT FOUND" in said or "FOUND WHERE" in said)
    return folder, said


def words(folder: Path) -> list[str]:
    own = ["evolution.generations=3", f"runs_dir={folder}", "market.bars=1500"]
    return ["edge", *SMALL, *own, "--seeds", "2", "--null-seeds", "2", "--fresh", "2"]


def tables(folder: Path) -> dict[float, tuple[RunDirectory, pl.DataFrame]]:
    found = {path.parent: pl.read_parquet(path) for path in folder.glob("*/fresh.parquet")}
    return {table["edge"][0]: (RunDirectory(root), table) for root, table in found.items()}


def test_both_halves_are_runs_with_a_table_of_fresh_markets(study: tuple[Path, str]) -> None:
    folder, said = study
    assert set(tables(folder)) == {0.0, 8.0}
    assert "edge 8, 2 seeds: " in said
    assert "edge 0, 2 seeds: " in said
    for _, table in tables(folder).values():
        assert table["seed"].unique().sort().to_list() == [0, 1]
        for player in ("hold", "oracle"):
            assert table.filter(player=player)["regime"].to_list() == [*REGIME_NAMES] * 2
        bars = table.filter(player="hold", regime="all")["bars"]  # an account that was ruined counts no more
        assert bars.is_between(2 * 1000, 2 * 1500).all()


def test_champions_are_those_of_the_archive_and_founders_its_first(study: tuple[Path, str]) -> None:
    for directory, table in tables(study[0]).values():
        births = directory.read("births").select("id", "island")
        archive = (
            directory.read("archive")
            .join(births, on="id", how="left", maintain_order="left")
            .with_columns(seed=pl.col("island") // 2)
        )
        for player, part in (("champion", archive), ("founder", archive.filter(generation=0))):
            last = part.group_by("seed", "regime", maintain_order=True).agg(pl.col("id").last())
            want = {(row["seed"], row["regime"]): row["id"] for row in last.to_dicts()}
            rows = table.filter(player=player).to_dicts()
            assert {(row["seed"], row["regime"]): row["id"] for row in rows} == want
        for identity in archive.filter(generation=0)["id"]:
            assert generation_of(directory.genomes / f"{identity}.safetensors") == 0


def test_without_an_edge_the_oracle_does_nothing_and_with_one_it_earns(study: tuple[Path, str]) -> None:
    (_, null), (_, edge) = tables(study[0])[0.0], tables(study[0])[8.0]
    assert (null.filter(player="oracle")["log_return"] == 0).all()
    assert (null.filter(player="oracle")["trades"] == 0).all()
    assert (edge.filter(player="oracle", regime="all")["log_return"] > 0).all()


def test_each_seed_is_judged_on_markets_of_its_own(study: tuple[Path, str]) -> None:
    for _, table in tables(study[0]).values():
        held = table.filter(player="hold", regime="all")["log_return"]
        assert held.n_unique() == 2


def test_what_would_run_can_be_looked_at_first(tmp_path: Path) -> None:
    words = ["edge", *SMALL, f"runs_dir={tmp_path / 'runs'}", "--seeds", "2", "--null-seeds", "3"]
    code, said, complaint = arena(*words, "--cfg", "job")
    assert code == 0, complaint
    halves = list(yaml.safe_load_all(said))
    assert [half["market"]["edge"] for half in halves] == [8.0, 0.0]
    assert [half["evolution"]["replicates"] for half in halves] == [2, 3]
    code, said, complaint = arena(*words, "check=true")
    assert code == 0, complaint
    assert said.count("needs") == 2
    assert not (tmp_path / "runs").exists()


def test_a_second_start_evolves_nothing_and_says_the_same(study: tuple[Path, str]) -> None:
    folder, said = study
    before = tables(folder)
    code, again, complaint = arena(*words(folder))
    assert code in (0, 1), complaint
    assert "compiling" not in again
    assert said.splitlines()[-10:] == again.splitlines()[-10:]
    for edge, (_, table) in tables(folder).items():
        assert_frame_equal(table, before[edge][1])


@pytest.mark.parametrize(
    ("wrong", "complaint"),
    [
        (["--seeds", "-1"], "--seeds: -1 is too small; at least 0"),
        (["--fresh", "0"], "--fresh: 0 is too small; at least 1"),
        (["--edge", "nan"], "--edge: nan is too small"),
        (["archive=none"], "archive.enabled: without an archive there are no champions to judge"),
        (["market.symbols=2", "market.mode=basket"], "market.mode: a basket has no oracle to compare with"),
        (["market=sp500"], "market.edge"),
        (["device.coordinator=node1:4711", "device.processes=2", "device.process=0"], "runs in one process"),
        (["force=true"], "force: the edge study goes on with what is there"),
    ],
)
def test_what_cannot_be_judged_is_refused(tmp_path: Path, wrong: list[str], complaint: str) -> None:
    code, _, said = arena("edge", *SMALL[1:], f"runs_dir={tmp_path / 'runs'}", *wrong)
    assert code == 2
    assert complaint in said
    assert not (tmp_path / "runs").exists()
