"""Labels: the money of a decision, against a loop and the broker itself; and nothing behind the training part."""

import dataclasses

import jax.numpy as jnp
import numpy as np
import polars as pl
import pytest
from small_worlds import make_settings, market_of, small_bars

from arena.settings import Settings
from experiments.founders.labels import BUY, NEUTRAL, SELL, label_market, segments_of
from experiments.replay.replay import replay
from markets.bars import CLOSE, OPEN, Bars
from markets.joining import join
from markets.preparation import Market
from markets.regimes import REGIMES
from markets.rules import BrokerRules

_CHARGES = {
    "commission": 2e-4,
    "commission_per_unit": 0.01,
    "commission_fixed": 0.5,
    "slippage": 1e-4,
    "financing_long": 0.3,
    "financing_short": -0.2,
    "calendar": "crypto",
    "spread_rate": None,
}


def single(bars: Bars) -> Bars:
    """The bars with prices that float32 holds, so that the tape has the very same."""
    bid, ask = (side.astype(np.float32).astype(np.float64) for side in (bars.bid, bars.ask))
    return dataclasses.replace(bars, bid=bid, ask=ask)


def world(
    count: int = 900, symbols: int = 1, *, mode: str = "pool", seed: int = 3, **changes: object
) -> tuple[Settings, Market, tuple[Bars, ...]]:
    """Settings, their market, and its bars as the broker meets them."""
    settings = make_settings(**changes)
    bars = tuple(single(own) for own in small_bars(count, symbols, seed))
    return settings, market_of(settings, bars, mode=mode), bars


def one(market: Market, rules: BrokerRules, row: int, instrument: int, horizon: int, side: int) -> float:
    """The net return of one trade, bar by bar as docs/accounting.md says."""
    tape, segment = market.tape, int(market.tape.segment[row])
    own = {key: float(table[segment, instrument]) for key, table in tape.costs.items()}
    terms = {f.name: own.get(f.name, getattr(rules, f.name)) for f in dataclasses.fields(rules)}

    def price(at: int, column: int) -> tuple[float, float]:
        return float(tape.bid[at, instrument, column]), float(tape.ask[at, instrument, column])

    def fill(at: int, change: float) -> float:
        """What a fill of so many units brings in."""
        bid, ask = price(at, OPEN)
        paid = ask * (1 + terms["slippage"]) if change > 0 else bid * (1 - terms["slippage"])
        fees = abs(change) * (paid * terms["commission"] + terms["commission_per_unit"]) + terms["commission_fixed"]
        return -change * paid - fees

    close, opens = sum(price(row, CLOSE)) / 2, sum(price(row + 1, OPEN)) / 2
    leverage = terms["max_leverage"]
    units = side * terms["cash"] * min(min(1.0, leverage) / close, leverage / opens)
    money = fill(row + 1, units) + fill(row + 1 + horizon, -units)
    rate = terms["financing_long"] if side > 0 else terms["financing_short"]
    for held in range(row + 1, row + 1 + horizon):
        money -= abs(units) * sum(price(held, CLOSE)) / 2 * rate * float(tape.days[held, instrument]) / 365
    return money / terms["cash"]


@pytest.mark.parametrize("leverage", [0.5, 1.0, 3.0])
def test_returns_and_labels_are_those_of_a_loop(leverage: float) -> None:
    costs = {small_bars(600, 2)[1].symbol: {"commission": 1e-3, "financing_long": 0.1, "max_leverage": 0.7}}
    settings, market, _ = world(600, 2, broker=_CHARGES | {"max_leverage": leverage}, costs=costs)
    labels = label_market(market, settings.broker, horizon=5)
    assert set(np.unique(labels.segment)) == {0, 1}
    for index in np.random.default_rng(0).choice(len(labels), 60, replace=False):
        row, instrument = int(labels.row[index]), int(labels.instrument[index])
        long, short = (one(market, settings.broker, row, instrument, 5, side) for side in (1, -1))
        assert labels.long[index] == pytest.approx(long, abs=1e-12)
        assert labels.short[index] == pytest.approx(short, abs=1e-12)
        right = BUY if long > 0 and long >= short else SELL if short > 0 else NEUTRAL
        assert labels.label[index] == right


def test_every_training_row_with_a_regime_and_room_for_the_horizon_is_an_example_and_no_other() -> None:
    settings, market, _ = world(600, 2)
    horizon = 7
    labels = label_market(market, settings.broker, horizon=horizon)
    regime = np.asarray(market.tape.regime)
    meant = [
        row
        for segment in market.segments
        for row in segment.rows.train
        if regime[row] != REGIMES.index("unknown") and row + 1 + horizon <= segment.rows.train[-1]
    ]
    assert labels.row.tolist() == meant


def test_the_broker_pays_what_the_labels_say() -> None:
    # No spread to put on, so that the bars' own reach broker and tape alike.
    settings, market, bars = world(broker=_CHARGES)
    labels = label_market(market, settings.broker, horizon=6)
    checked = set()
    for index in np.random.default_rng(1).choice(len(labels), 6, replace=False):
        row = int(labels.row[index])
        for side, said in ((1.0, labels.long[index]), (-1.0, labels.short[index])):
            targets = pl.DataFrame({"timestamp": bars[0].time[[row, row + 6]], "target": [side, 0.0]})
            result = replay(bars[0], targets, settings.broker)
            assert result.fills["reason"].to_list() == ["order", "order"]
            equity = result.ledger["equity"][row + 7]
            assert equity / settings.broker.cash - 1 == pytest.approx(said, abs=1e-9)
            checked.add(side)
    assert checked == {1.0, -1.0}


def test_nothing_behind_the_training_part_is_read() -> None:
    settings, market, _ = world(700, 2, broker=_CHARGES)
    labels = label_market(market, settings.broker, horizon=9)
    hidden = np.ones(len(market.time), bool)
    for segment in market.segments:
        hidden[segment.rows.train.start : segment.rows.train.stop] = False

    def blind(values: jnp.ndarray) -> jnp.ndarray:
        return jnp.where(hidden.reshape(-1, *[1] * (values.ndim - 1)), jnp.nan, values)

    tape = market.tape
    seen = {name: blind(getattr(tape, name)) for name in ("bid", "ask", "volume", "days", "features", "atr")}
    regime = jnp.where(hidden, REGIMES.index("unknown"), tape.regime)
    others = label_market(
        dataclasses.replace(market, tape=tape._replace(**seen, regime=regime)), settings.broker, horizon=9
    )
    assert len(labels) == len(others) > 100
    for name in ("row", "instrument", "segment", "long", "short", "label"):
        np.testing.assert_array_equal(getattr(labels, name), getattr(others, name))


def test_a_row_without_features_or_without_a_regime_is_no_example() -> None:
    settings, market, _ = world()
    labels = label_market(market, settings.broker, horizon=4)
    tape, (without, unknown) = market.tape, labels.row[[10, 20]]
    changed = tape._replace(
        features=tape.features.at[without, 0, 1].set(jnp.nan),
        regime=tape.regime.at[unknown].set(REGIMES.index("unknown")),
    )
    fewer = label_market(dataclasses.replace(market, tape=changed), settings.broker, horizon=4)
    assert set(labels.row.tolist()) - set(fewer.row.tolist()) == {int(without), int(unknown)}


def test_high_costs_make_everything_neutral() -> None:
    settings, market, _ = world(broker={"commission": 0.2})
    assert set(label_market(market, settings.broker, horizon=4).label.tolist()) == {NEUTRAL}


def test_every_instrument_of_a_basket_is_an_example() -> None:
    settings, market, _ = world(600, 3, mode="basket")
    labels = label_market(market, settings.broker, horizon=4)
    rows, counts = np.unique(labels.row, return_counts=True)
    assert len(rows) > 50
    assert set(counts.tolist()) == {3}
    assert labels.instrument[:3].tolist() == [0, 1, 2]


def test_a_market_among_several_on_one_tape_has_the_labels_it_has_alone() -> None:
    settings, first, _ = world(600, 2)
    _, second, _ = world(700, 2, seed=4)
    both = join([first, second])
    assert [segments_of(both, 0), segments_of(both, 1)] == [range(2), range(2, 4)]
    alone = label_market(second, settings.broker, horizon=8)
    among = label_market(both, settings.broker, horizon=8, replicate=1)
    np.testing.assert_array_equal(alone.row + len(first.time), among.row)
    np.testing.assert_array_equal(alone.segment + 2, among.segment)
    np.testing.assert_array_equal(alone.long, among.long)
    np.testing.assert_array_equal(alone.label, among.label)
    windows = np.asarray(both.tape.train.rows)[int(both.tape.train.offset[1, 0]) :]
    assert set(np.asarray(both.tape.segment)[windows].tolist()) <= set(segments_of(both, 1))
    with pytest.raises(ValueError, match="market 2 of 2"):
        segments_of(both, 2)


def test_a_horizon_longer_than_the_part_leaves_no_example() -> None:
    settings, market, _ = world()
    assert len(label_market(market, settings.broker, horizon=5_000)) == 0


def test_where_either_side_would_earn_the_label_is_the_better_one() -> None:
    received = {"financing_long": -9.0, "financing_short": -9.0, "calendar": "crypto"}
    settings, market, _ = world(broker=received)
    labels = label_market(market, settings.broker, horizon=12)
    both = (labels.long > 0) & (labels.short > 0)
    assert both.mean() > 0.5
    np.testing.assert_array_equal(labels.label, np.where(labels.long >= labels.short, BUY, SELL))
    assert len(np.unique(labels.label)) == 2
