"""Bars that are made can be traded like any others, to the same result; and the holdout is never looked at."""

from pathlib import Path

import numpy as np
import polars as pl
import pytest
from polars.testing import assert_frame_equal
from small_runs import RECORDED, SMALL, arena, assert_same, evolve

from experiments.configuration.compose import compose
from experiments.configuration.study import Study, load_market, make_study, oracle_path
from experiments.runs.directory import RunDirectory
from experiments.runs.identity import data_hash
from markets.preparation import Market
from markets.readers import read_bars
from markets.source import supply
from markets.sp500 import sp500_bars
from markets.splits import split

QUIET = "terminal.progress=false"
OWN = tuple(word for word in SMALL if not word.startswith("market."))

pytestmark = pytest.mark.usefixtures("plainly_compiled", "cache", "no_table")


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("bars") / "made.parquet"
    code, said, _ = arena("data", "make", "market=synthetic", "market.bars=3000", "--out", str(path))
    assert (code, said) == (0, f"{path}: 3,000 bars of SYN1\n")
    return path


def study_of(*overrides: str) -> tuple[Study, Market]:
    study = make_study(compose([*OWN, *overrides]))
    return study, load_market(study)[1]


@pytest.fixture(scope="module")
def traded(made: Path, cache: Path, tmp_path_factory: pytest.TempPathFactory) -> RunDirectory:
    answered, said, complaint = arena(
        "evolve", *OWN, QUIET, "market=bars", f"market.path={made}", f"runs_dir={tmp_path_factory.mktemp('runs')}"
    )
    assert answered == 0, complaint
    return RunDirectory(Path(said.splitlines()[-1]))


def test_bars_read_back_are_the_same_bars_and_bring_the_same_tables(traded: RunDirectory, tmp_path: Path) -> None:
    run, _ = evolve(tmp_path, QUIET)
    assert traded.read_manifest()["data_hash"] == run.read_manifest()["data_hash"]
    assert_same(run, traded)


@pytest.mark.parametrize("overrides", [("market.symbols=2", "market.bars=200", "seed=5"), ("market=sp500",)])
def test_every_ready_made_market_reads_back_to_the_same_bars(overrides: tuple[str, ...], tmp_path: Path) -> None:
    path = tmp_path / "bars.parquet"
    assert arena("data", "make", *overrides, "--out", str(path))[0] == 0
    study = make_study(compose(list(overrides)))
    made = supply(study.market, study.settings.seed).bars
    assert data_hash(read_bars(path)) == data_hash(made)
    if overrides == ("market=sp500",):
        assert data_hash(made) == data_hash([sp500_bars()])


def test_what_lies_in_the_holdout_changes_no_table(traded: RunDirectory, made: Path, tmp_path: Path) -> None:
    study, market = study_of("market=bars", f"market.path={made}")
    episode = study.settings.episodes.bars + 1
    cuts, _ = split(read_bars(made), study.settings.split, window=market.window, episode=episode)
    first = cuts.holdout.astype("datetime64[us]").astype(int)
    late = pl.col("timestamp").dt.timestamp("us") >= first
    bars = pl.read_parquet(made)
    prices = [name for name in bars.columns if name not in ("timestamp", "volume", "symbol")]
    assert 0 < bars.filter(late).height < bars.height
    assert market.time.max() < cuts.holdout
    other = tmp_path / "other.parquet"
    noise = pl.Series(np.random.default_rng(0).uniform(0.1, 10.0, bars.height))
    changed = bars.with_columns(pl.when(late).then(pl.col(name) * noise).otherwise(pl.col(name)) for name in prices)
    changed.write_parquet(other)

    _, same = study_of("market=bars", f"market.path={other}")
    for name in ("features", "regime", "atr", "bid", "ask", "validation"):
        np.testing.assert_array_equal(getattr(same.tape, name), getattr(market.tape, name))
    np.testing.assert_array_equal(same.scalers[0].apply(np.ones((1, 3))), market.scalers[0].apply(np.ones((1, 3))))

    code, said, complaint = arena(
        "evolve", *OWN, QUIET, "market=bars", f"market.path={other}", f"runs_dir={tmp_path / 'runs'}"
    )
    assert code == 0, complaint
    run = RunDirectory(Path(said.splitlines()[-1]))
    assert run.root.name != traded.root.name  # the certificate will want to know
    for name in RECORDED:
        assert_frame_equal(run.read(name), traded.read(name), check_exact=True)


def test_several_files_are_pooled_with_costs_of_their_own_or_traded_as_a_basket(tmp_path: Path) -> None:
    path = tmp_path / "both.parquet"
    arena("data", "make", "market.symbols=2", "market.bars=3000", "--out", str(path))
    files = [tmp_path / f"{symbol}.parquet" for symbol in ("SYN1", "SYN2")]
    for file in files:
        pl.read_parquet(path).filter(pl.col("symbol") == file.stem).write_parquet(file)
    named = ("market=bars", f"market.path=[{','.join(map(str, files))}]")
    _, pooled = study_of(*named, "costs.SYN2.commission=0.001", "broker.commission=0.0001")
    assert [segment.symbols for segment in pooled.segments] == [("SYN1",), ("SYN2",)]
    assert pooled.segments[1].first == pooled.segments[0].last + 1
    np.testing.assert_allclose(pooled.tape.costs["commission"], [[0.0001], [0.001]])
    _, basket = study_of(*named, "market.mode=basket", "costs.SYN2.spread=0.5")
    assert [segment.symbols for segment in basket.segments] == [("SYN1", "SYN2")]
    assert basket.tape.atr.shape[1] == 2
    spread = np.asarray(basket.tape.ask - basket.tape.bid)
    np.testing.assert_allclose(spread[:, 1], 0.5, atol=1e-4)
    assert spread[:, 0].max() < 0.4
    code, _, said = arena("evolve", *OWN, *named, "costs.SYN3.commission=0.1", "check=true")
    assert (code, said) == (2, "arena: costs.SYN3: no such symbol; there are: SYN1, SYN2\n")
    code, said, _ = arena("evolve", *OWN, *named, "market.mode=basket", "check=true")
    assert code == 0
    assert "SYN1, SYN2" in said


@pytest.mark.slow
@pytest.mark.parametrize("mode", [pytest.param("pool", marks=pytest.mark.soak), "basket"])  # pools are evolved on above
def test_two_symbols_are_evolved_on(mode: str, tmp_path: Path) -> None:
    light = ("scars=none", "trust=none", "archive=none", "evolution.generations=2", "evolution.islands=1")
    words = [word for word in SMALL if not word.startswith(("scars", "trust", "archive"))]
    run = arena(
        "evolve",
        *words,
        *light,
        QUIET,
        "market.symbols=2",
        f"market.mode={mode}",
        "costs.SYN2.commission=0.01",
        f"runs_dir={tmp_path}",
    )
    assert run[0] == 0, run[2]
    found = RunDirectory(Path(run[1].splitlines()[-1]))
    assert found.read("generations")["generation"].to_list() == [0, 1]
    assert found.read("archive").height == 0
    assert set(found.read("fitness")["split"]) == {"train"}
    assert found.read("fitness")["trades"].sum() > 0


def test_the_oracle_is_cut_to_the_rows_of_the_tape() -> None:
    study = make_study(compose([*SMALL, "market.symbols=2"]))
    bars, market = load_market(study)
    path = oracle_path(bars, market)
    assert path is not None
    assert path.shape == (len(market.time), 1)
    assert bars.oracle is not None
    second = market.segments[1]
    np.testing.assert_array_equal(path[second.first :, 0], bars.oracle[1][: second.last - second.first + 1])
    basket = make_study(compose([*SMALL, "market.symbols=2", "market.mode=basket"]))
    assert oracle_path(*load_market(basket)) is None
