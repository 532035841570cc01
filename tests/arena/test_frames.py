"""Tables of a generation: exact schemas, measures against NumPy on the raw series, and what is null when."""

from typing import Any

import numpy as np
import polars as pl
import pytest

from agents.population import NOBODY
from agents.scars import Scars
from arena.archive import Improvement
from arena.fitness import Stats
from arena.frames import founder_frame, frames, measures
from arena.records import GenerationRecord, SpeciesRecord, Summary
from arena.schemas import REGIME_NAMES, TABLES
from arena.tally import GROUPS, REGIMES
from arena.turnover import Births
from markets.regimes import REGIMES as MARKET_REGIMES

ISLANDS, SLOTS, TRIED, SCARS, UNITS = 2, 3, 2, 2, 4
TIME = np.datetime64("2020-01-01", "us") + np.arange(50) * np.timedelta64(1, "h")


def stats(rng: np.random.Generator, *shape: int) -> Stats:
    return Stats(*(rng.uniform(1, 9, (*shape, GROUPS)).astype(np.float32) for _ in Stats._fields))


def record(seed: int = 0) -> GenerationRecord:
    """A made-up generation 7: agents 10 … 15, of which 11 and 15 die and are followed by 16 and 17."""
    rng = np.random.default_rng(seed)
    ids = np.arange(10, 16, dtype=np.uint32).reshape(ISLANDS, SLOTS)
    death = np.asarray([[0, 1, 0], [0, 0, 2]], np.uint8)
    island = np.arange(ISLANDS, dtype=np.float32)
    whole = np.arange(ISLANDS, dtype=np.int32)
    own = SpeciesRecord(
        id=ids,
        born=np.asarray([[0, 7, 0], [0, 0, 7]], np.int32),
        train=stats(rng, ISLANDS, SLOTS),
        trust=rng.uniform(0, 1, (ISLANDS, SLOTS, REGIMES)).astype(np.float32),
        death=death,
        births=Births(
            born=death > 0,
            id=np.where(death > 0, np.asarray([[0, 16, 0], [0, 0, 17]], np.uint32), np.uint32(15)),
            parent=np.asarray([[0, 10, 0], [0, 0, 13]], np.uint32),
            second_parent=np.asarray([[0, 12, 0], [0, 0, NOBODY]], np.uint32),
            operator=np.asarray([[0, 2, 0], [0, 0, 1]], np.uint8),
            strength=np.full((ISLANDS, SLOTS), 0.25, np.float32),
        ),
        scars=Scars(
            made=np.asarray([[True, False], [True, True]]),
            slot=np.zeros((ISLANDS, SCARS), np.int32),
            id=np.asarray([[10, 0], [13, 14]], np.uint32),
            episode=np.asarray([[3, 0], [1, 2]], np.int32),
            row=np.asarray([[5, 0], [6, 7]], np.int32),
            regime=np.asarray([[0, 0], [3, 4]], np.int32),
            cause=np.asarray([[1, 0], [2, 3]], np.uint8),
            severity=np.full((ISLANDS, SCARS), 0.5, np.float32),
            units=np.asarray([[[0, 1, 0, 1], [1] * 4], [[0] * 4, [1, 0, 0, 0]]], np.float32),
        ),
        tried=np.asarray([[12, 12], [13, 15]], np.uint32),
        validation=stats(rng, ISLANDS, TRIED),
        tried_trust=rng.uniform(0, 1, (ISLANDS, TRIED, REGIMES)).astype(np.float32),
        summary=Summary(island, island, island, island, island, island, island, whole, whole),
    )
    improved = np.asarray([[True, False, False, False, True]])
    gained = Improvement(
        improved=improved,
        id=np.full((1, GROUPS), 12, np.uint32),
        species=np.zeros((1, GROUPS), np.int32),
        score=np.full((1, GROUPS), 0.5, np.float32),
        previous_id=np.asarray([[NOBODY, 1, 1, 1, 4]], np.uint32),
        previous_score=np.asarray([[-np.inf, 0, 0, 0, 0.25]], np.float32),
        traders=(),
    )
    made: Any = GenerationRecord(np.int32(7), (own,), gained, np.bool_(True))
    return made


@pytest.fixture(scope="module")
def tables() -> dict[str, pl.DataFrame]:
    return frames(record(), ("qnetwork",), TIME)


def test_every_table_has_its_schema_and_no_other_column(tables: dict[str, pl.DataFrame]) -> None:
    assert set(tables) == set(TABLES) - {"timings"}
    for name, frame in tables.items():
        assert dict(frame.schema) == {
            key: kind if isinstance(kind, pl.DataType) else kind() for key, kind in TABLES[name].items()
        }
        assert len(frame) > 0


def test_regimes_are_named_as_the_market_names_them() -> None:
    assert (*MARKET_REGIMES[:REGIMES], "all") == REGIME_NAMES


def test_births_and_deaths_say_who_when_and_of_whom(tables: dict[str, pl.DataFrame]) -> None:
    assert tables["births"].rows() == [
        (16, 10, 12, "qnetwork", 0, 8, "crossover", 0.25),
        (17, 13, None, "qnetwork", 1, 8, "mutation", 0.25),
    ]
    assert tables["deaths"].rows() == [(11, 7, "culled"), (15, 7, "ruined")]


def test_founders_have_no_parents() -> None:
    frame = founder_frame(np.arange(4, dtype=np.uint32).reshape(2, 2), "qnetwork")
    assert dict(frame.schema) == TABLES["births"]
    assert frame.rows() == [(i, None, None, "qnetwork", i // 2, 0, "founder", None) for i in range(4)]


def test_scars_name_bar_regime_cause_and_units(tables: dict[str, pl.DataFrame]) -> None:
    scars = tables["scars"]
    assert scars["id"].to_list() == [10, 13, 14]
    assert scars["regime"].to_list() == ["bull_trending", "calm_ranging", "unknown"]
    assert scars["cause"].to_list() == ["drawdown", "liquidation", "ruin"]
    assert scars["units"].to_list() == [[1, 3], [], [0]]
    assert scars["time"].dt.hour().to_list() == [5, 6, 7]


def test_improvements_of_the_archive_are_rows(tables: dict[str, pl.DataFrame]) -> None:
    assert tables["archive"].rows() == [
        (7, 0, "bull_trending", 12, 0.5, None, None),
        (7, 0, "all", 12, 0.5, 4, 0.25),
    ]


def test_fitness_has_a_row_for_each_agent_split_and_regime(tables: dict[str, pl.DataFrame]) -> None:
    fitness, own = tables["fitness"], record().species[0]
    train = fitness.filter(pl.col("split") == "train")
    assert train["id"].unique().sort().to_list() == list(range(10, 16))
    assert len(train) == 6 * GROUPS
    row = train.filter((pl.col("id") == 14) & (pl.col("regime") == "volatile_ranging")).row(0, named=True)
    np.testing.assert_allclose(row["log_return"], own.train.log_return[1, 1, 2])
    np.testing.assert_allclose(row["trust"], own.trust[1, 1, 2])
    every = train.filter((pl.col("id") == 14) & (pl.col("regime") == "all"))["trust"][0]
    np.testing.assert_allclose(every, own.trust[1, 1].mean(), rtol=1e-6)
    validation = fitness.filter(pl.col("split") == "validation")
    assert validation["id"].unique().sort().to_list() == [12, 13, 15], "named twice is one row a regime"
    assert len(validation) == 3 * GROUPS
    last = validation.filter((pl.col("id") == 15) & (pl.col("regime") == "all"))["max_drawdown"][0]
    np.testing.assert_allclose(last, own.validation.drawdown[1, 1, -1])


@pytest.mark.parametrize(
    ("whose", "train", "validation"), [("births", {11, 15}, {15}), ("archive", {12, 13, 15}, {12, 13, 15})]
)
def test_whose_fitness_is_kept_can_be_chosen(whose: str, train: set[int], validation: set[int]) -> None:
    fitness = frames(record(), ("qnetwork",), TIME, fitness=whose)["fitness"]
    for split, ids in (("train", train), ("validation", validation)):
        assert set(fitness.filter(pl.col("split") == split)["id"]) == ids


def sums(returns: np.ndarray, trades: np.ndarray) -> Stats:
    """Sums over one series and its closed trades, as float32 like the tally's."""
    curve = np.concatenate([[0.0], np.cumsum(returns)])
    values = {
        "episodes": 1,
        "bars": len(returns),
        "log_return": returns.sum(),
        "square": (returns**2).sum(),
        "downside": (np.minimum(returns, 0) ** 2).sum(),
        "drawdown": 1 - np.exp(-(np.maximum.accumulate(curve) - curve).max()),
        "trades": len(trades),
        "wins": (trades > 0).sum(),
        "gross_profit": trades[trades > 0].sum(),
        "gross_loss": -trades[trades < 0].sum(),
    }
    return Stats(**{name: np.asarray([[value]], np.float32) for name, value in values.items()})


def test_measures_are_those_of_the_series() -> None:
    rng = np.random.default_rng(1)
    returns, trades = rng.normal(0.0004, 0.01, 5000), rng.normal(3, 50, 40)
    got = {name: float(value.squeeze()) for name, value in measures(sums(returns, trades)).items()}
    np.testing.assert_allclose(got["sharpe"], returns.mean() / returns.std(ddof=1), rtol=1e-4)
    downside = np.sqrt((np.minimum(returns, 0) ** 2).sum() / (len(returns) - 1))
    np.testing.assert_allclose(got["sortino"], returns.mean() / downside, rtol=1e-4)
    np.testing.assert_allclose(got["win_rate"], (trades > 0).mean(), rtol=1e-6)
    np.testing.assert_allclose(got["profit_factor"], trades[trades > 0].sum() / -trades[trades < 0].sum(), rtol=1e-5)
    np.testing.assert_allclose(got["log_return"], returns.sum(), rtol=1e-5)
    wealth = np.exp(np.concatenate([[0.0], np.cumsum(returns)]))
    np.testing.assert_allclose(got["max_drawdown"], (1 - wealth / np.maximum.accumulate(wealth)).max(), rtol=1e-5)


def test_what_is_not_defined_is_nan_and_becomes_null() -> None:
    idle = measures(sums(np.zeros(50), np.zeros(0)))
    for name in ("sharpe", "sortino", "win_rate", "profit_factor"):
        assert np.isnan(idle[name]).all(), name
    assert idle["log_return"] == 0
    never_lost = measures(sums(np.full(50, 0.01), np.asarray([3.0])))
    assert np.isnan(never_lost["profit_factor"])
    assert np.isnan(never_lost["sortino"])
    assert never_lost["win_rate"] == 1
    short = measures(sums(np.asarray([0.1, -0.2, 0.1]), np.asarray([3.0, -1.0])), least=4)
    assert np.isnan(short["sharpe"])
    assert np.isnan(short["sortino"])
    assert short["win_rate"] == 0.5


def test_too_few_bars_of_a_regime_are_null_in_the_table() -> None:
    made = record()
    bars = np.asarray(made.species[0].train.bars)
    fitness = frames(made, ("qnetwork",), TIME, least=5)["fitness"].filter(pl.col("split") == "train")
    few = bars.reshape(-1) < 5
    np.testing.assert_array_equal(fitness["sharpe"].is_null().to_numpy()[few], True)
    assert not fitness["sharpe"].is_nan().any()


def test_ids_beyond_31_bits_survive() -> None:
    frame = founder_frame(np.asarray([[2**32 - 3]], np.uint32), "qnetwork")
    assert frame["id"].to_list() == [2**32 - 3]
    assert int(NOBODY) == 2**32 - 1
