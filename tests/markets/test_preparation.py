"""From bars to tape: where windows may lie, what the tape holds, and that nothing of it comes from the future."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from small_worlds import make_settings, market_of, small_bars

from arena.api import make_market
from markets.bars import CLOSE, Bars
from markets.errors import UserError
from markets.features import compute_features, features
from markets.preparation import Market
from markets.regimes import REGIMES, classify
from markets.rules import BrokerRules
from markets.splits import split
from markets.tape import rules_at, window

WINDOW = 24
SETTINGS = make_settings()


@pytest.fixture(scope="module")
def market() -> Market:
    return market_of(SETTINGS)


@pytest.fixture(scope="module")
def pool() -> Market:
    settings = make_settings(costs={"SYN2": {"commission": 7e-4}, "SYN3": {"spread_rate": 0.01}})
    return market_of(settings, small_bars(900, 3))


def touched(first: Any, bars: int = WINDOW) -> np.ndarray:
    """Rows a window touches, [windows, bars + 1]."""
    return np.asarray(first)[:, None] + np.arange(bars + 1)


def test_the_holdout_is_not_on_the_tape(market: Market) -> None:
    segment = market.segments[0]
    assert len(market.tape.regime) == len(market.time) == segment.last + 1
    assert segment.rows.holdout.start > segment.last
    cuts, _ = split(small_bars(900), SETTINGS.split, window=market.window, episode=WINDOW + 1)
    assert market.time[-1] < cuts.holdout
    assert len(market.time) < 900


@pytest.mark.parametrize("which", ["market", "pool"])
def test_windows_lie_wholly_in_their_part_of_one_segment(which: str, request: pytest.FixtureRequest) -> None:
    made: Market = request.getfixturevalue(which)
    segment = np.asarray(made.tape.segment)
    for part, first in (
        ("train", made.tape.train.rows),
        ("train", made.reference[0]),
        ("validation", made.tape.validation[0]),
    ):
        rows = touched(first)
        assert (segment[rows] == segment[rows[:, :1]]).all()
        for start, window_rows in zip(np.asarray(first), rows, strict=True):
            span = getattr(made.segments[segment[start]].rows, part)
            assert span.start <= window_rows[0]
            assert window_rows[-1] < span.stop


def test_fixed_windows_never_overlap(market: Market, pool: Market) -> None:
    for made in (market, pool):
        for first in (made.tape.validation[0], made.reference[0]):
            rows = touched(np.sort(np.asarray(first)))
            assert len(np.unique(rows)) == rows.size


def test_no_window_meets_an_unknown_regime_or_a_row_before_the_warm_up(market: Market) -> None:
    unknown = REGIMES.index("unknown")
    regime = np.asarray(market.tape.regime)
    for first in (market.tape.train.rows, market.tape.validation[0]):
        assert (regime[touched(first)[:, :-1]] != unknown).all()
        assert (np.asarray(first) >= market.window - 1).all()
    assert (regime[: SETTINGS.regimes.window - 1] == unknown).all()


def test_every_training_window_is_there_and_in_the_stratum_it_begins_in(market: Market) -> None:
    regime, strata = np.asarray(market.tape.regime), market.tape.train
    rows, offset, count = np.asarray(strata.rows), np.asarray(strata.offset[0]), np.asarray(strata.windows[0])
    assert len(rows) == count.sum()
    seen = []
    for begin, size in zip(offset, count, strict=True):
        own = regime[rows[begin : begin + size]]
        assert len(set(own)) == 1
        seen.append(own[0])
        assert size >= SETTINGS.episodes.stratum
    train = market.segments[0].rows.train
    possible = np.arange(train.start, train.stop - WINDOW)
    known = [start for start in possible if (regime[start : start + WINDOW] != REGIMES.index("unknown")).all()]
    for kind in range(4):
        begins = [start for start in known if regime[start] == kind]
        assert (kind in seen) == (len(begins) >= SETTINGS.episodes.stratum)
        if kind in seen:
            place = seen.index(kind)
            np.testing.assert_array_equal(rows[offset[place] : offset[place] + count[place]], begins)


def test_where_no_regime_has_enough_windows_all_are_one_stratum() -> None:
    made = market_of(make_settings(episodes={"stratum": 10_000}))
    assert made.tape.train.windows.shape == (1, 1)
    assert int(made.tape.train.windows[0, 0]) == len(made.tape.train.rows)


def test_a_context_of_history_stays_in_the_part_too(market: Market) -> None:
    made = market_of(SETTINGS, context=10)
    for part, first in (("train", made.tape.train.rows), ("validation", made.tape.validation[0])):
        span = getattr(made.segments[0].rows, part)
        assert (np.asarray(first) - 10 >= span.start).all()


def test_the_tape_holds_the_features_scaled_by_training_rows_alone(market: Market) -> None:
    bars = small_bars()[0].with_spread(None, SETTINGS.broker.spread_rate)[: len(market.time)]
    raw = compute_features(features(SETTINGS.features, ()), bars)
    np.testing.assert_array_equal(market.tape.features[:, 0], market.scalers[0].apply(raw))
    train = market.segments[0].rows.train
    np.testing.assert_allclose(market.scalers[0].centre, np.nanmean(raw[train.start : train.stop], axis=0), rtol=1e-9)
    np.testing.assert_array_equal(market.tape.regime, classify(bars.mid[:, CLOSE], SETTINGS.regimes))


def _cut(bars: Bars, rows: int) -> Bars:
    """The same bars with all prices from a row on replaced by others."""
    bid, ask = bars.bid.copy(), bars.ask.copy()
    bid[rows:], ask[rows:] = 3.0 * bid[rows:], 3.0 * ask[rows:]
    return Bars(bars.symbol, bars.time, bid, ask, bars.volume, bars.columns)


def test_another_holdout_changes_nothing_of_the_rest(market: Market) -> None:
    other = market_of(SETTINGS, (_cut(small_bars()[0], len(market.time)),))
    jax.tree.map(np.testing.assert_array_equal, other.tape, market.tape)
    np.testing.assert_array_equal(other.scalers[0].centre, market.scalers[0].centre)


@pytest.mark.parametrize("free", [False, True])
def test_what_the_holdout_quotes_does_not_decide_whether_trading_is_free(free: bool) -> None:
    """The run's title says so, long before anybody may know."""
    settings = make_settings(broker=BrokerRules(spread_rate=None))
    (bars,) = small_bars(900)
    known = len(market_of(settings, (bars,)).time)
    ask = bars.bid.copy()
    if free:
        ask[known:] *= 1.01
    else:
        ask[:known] *= 1.01
    made = market_of(settings, (Bars(bars.symbol, bars.time, bars.bid, ask, bars.volume, bars.columns),))
    assert made.costless is free


def test_another_validation_part_changes_nothing_of_training(market: Market) -> None:
    stop = market.segments[0].rows.train.stop
    other = market_of(SETTINGS, (_cut(small_bars()[0], stop),))
    np.testing.assert_array_equal(other.tape.features[:stop], market.tape.features[:stop])
    np.testing.assert_array_equal(other.tape.regime[:stop], market.tape.regime[:stop])
    np.testing.assert_array_equal(other.tape.train.rows, market.tape.train.rows)


def test_quantiles_are_of_training_rows_alone(market: Market) -> None:
    """Whatever the bars of validation hold, and of all rows in between: the same."""
    stop = market.segments[0].rows.train.stop
    other = market_of(SETTINGS, (_cut(small_bars()[0], stop),))
    assert (np.asarray(other.tape.features)[stop:] != np.asarray(market.tape.features)[stop:]).any()
    np.testing.assert_array_equal(other.tape.quantiles, market.tape.quantiles)


def test_quantiles_are_values_there_are_at_even_ranks_with_both_extremes(pool: Market) -> None:
    """Of all symbols of a market together, without rows of the warm-up."""
    own, seen = features(SETTINGS.features, ()), []
    for segment, bars in zip(pool.segments, small_bars(900, 3), strict=True):
        raw = compute_features(own, bars)[: segment.rows.train.stop - segment.first]
        seen.append(raw[np.isfinite(raw).all(1) & (np.arange(len(raw)) >= segment.rows.train.start - segment.first)])
    training = pool.scalers[0].apply(np.concatenate(seen))
    known = np.asarray(pool.tape.quantiles)
    assert known.shape == (1, len(pool.features), 33)
    assert (np.diff(known, axis=-1) >= 0).all()
    np.testing.assert_array_equal(known[0, :, 0], training.min(0))
    np.testing.assert_array_equal(known[0, :, -1], training.max(0))
    np.testing.assert_array_equal(known[0, :, 16], np.quantile(training, 0.5, axis=0, method="nearest"))
    for feature, values in enumerate(known[0]):
        assert np.isin(values, training[:, feature]).all()
        below = (training[:, feature] < values[:, None]).mean(1)
        assert (below <= np.linspace(0, 1, 33) + 1e-3).all()
        upto = (training[:, feature] <= values[:, None]).mean(1)
        assert (upto >= np.linspace(0, 1, 33) - 1e-3).all()


def test_where_nothing_is_trained_on_quantiles_are_there_all_the_same(market: Market) -> None:
    made = make_market(small_bars(900, 1, seed=9), SETTINGS, scaler=market.scalers[0])
    assert made.tape.quantiles.shape == market.tape.quantiles.shape
    assert np.isfinite(np.asarray(made.tape.quantiles)).all()


def test_bars_that_are_only_judged_on_are_validation_throughout(market: Market) -> None:
    """Nothing is fitted to them: another market's scaler is used, whatever they hold."""
    bars = small_bars(900, 2, seed=9)
    scaler = market.scalers[0]
    made = make_market(bars, SETTINGS, scaler=scaler)
    assert made.scalers == (scaler,)
    assert len(made.time) == 1800
    assert not len(made.tape.train.rows)
    names = features(SETTINGS.features, [])
    for number, symbol in enumerate(bars):
        own = slice(900 * number, 900 * (number + 1))
        np.testing.assert_array_equal(made.tape.features[own, 0], scaler.apply(compute_features(names, symbol)))
    first = np.asarray(made.tape.validation[0])
    rows = touched(first)
    assert len(set(rows[:, :-1].reshape(-1))) == rows[:, :-1].size, "windows overlap"
    assert (np.asarray(made.tape.regime)[rows[:, :-1]] != REGIMES.index("unknown")).all()
    free = sum(900 - made.window for _ in bars)
    assert len(first) >= free // (WINDOW + 1) - 2
    assert (np.asarray(made.tape.segment)[rows] == np.asarray(made.tape.segment)[rows[:, :1]]).all()


def test_a_pool_lays_segments_one_after_another(pool: Market) -> None:
    assert [segment.symbols for segment in pool.segments] == [("SYN1",), ("SYN2",), ("SYN3",)]
    first = 0
    for index, segment in enumerate(pool.segments):
        assert segment.first == first
        assert (np.asarray(pool.tape.segment)[segment.first : segment.last + 1] == index).all()
        first = segment.last + 1
    assert first == len(pool.time)
    assert pool.tape.bid.shape[1] == 1


def test_costs_of_a_symbol_reach_its_own_episodes_only(pool: Market) -> None:
    rows = jnp.asarray([segment.first + 5 for segment in pool.segments], jnp.int32)
    rules = rules_at(SETTINGS.broker, pool.tape, rows)
    np.testing.assert_allclose(np.asarray(rules.commission), [[1e-4], [7e-4], [1e-4]], rtol=1e-6)
    share = (pool.tape.ask - pool.tape.bid)[rows, 0, CLOSE] / pool.tape.bid[rows, 0, CLOSE]
    np.testing.assert_allclose(share, [2e-4, 2e-4, 0.01], rtol=0.02)


def test_costs_of_an_unknown_symbol_are_refused() -> None:
    with pytest.raises(UserError, match=r"costs\.NOBODY: no such symbol; there are: SYN1"):
        market_of(make_settings(costs={"NOBODY": {"commission": 0.1}}))


def named(bars: Bars, symbol: str, rows: slice | np.ndarray) -> Bars:
    return Bars(symbol, bars.time[rows], bars.bid[rows], bars.ask[rows], bars.volume[rows])


def test_a_basket_trades_on_the_stamps_all_have() -> None:
    one, two = small_bars(1000, 2)
    odd = np.delete(np.arange(1000), [100, 500])
    pair = (named(one, "EURUSD", odd), named(two, "GBPUSD", np.delete(np.arange(1000), [300])))
    settings = make_settings(costs={"GBPUSD": {"commission": 9e-4}})
    made = market_of(settings, pair, mode="basket")
    common = np.delete(one.time, [100, 300, 500])
    np.testing.assert_array_equal(made.time, common[: len(made.time)])
    assert made.tape.bid.shape[1:] == (2, 4)
    assert [segment.symbols for segment in made.segments] == [("EURUSD", "GBPUSD")]
    for index, bars in enumerate(pair):
        kept = bars.mid[np.isin(bars.time, made.time), CLOSE]
        mid = 0.5 * (made.tape.bid + made.tape.ask)[:, index, CLOSE]
        np.testing.assert_allclose(mid, kept, rtol=1e-6)
    rules = rules_at(settings.broker, made.tape, made.tape.validation[0][:2])
    np.testing.assert_allclose(np.asarray(rules.commission), [[1e-4, 9e-4]] * 2, rtol=1e-6)


def test_a_basket_of_two_currencies_is_refused() -> None:
    one, two = small_bars(900, 2)
    pair = (named(one, "EURUSD", slice(None)), named(two, "USDJPY", slice(None)))
    with pytest.raises(UserError, match=r"market\.mode: .*one currency, these are in JPY, USD"):
        market_of(SETTINGS, pair, mode="basket")


def test_a_basket_that_cannot_show_one_currency_is_refused() -> None:
    one, two = small_bars(900, 2)
    pair = (named(one, "BTCUSDT", slice(None)), named(two, "EURJPY", slice(None)))
    with pytest.raises(UserError, match=r"market\.mode: .*EURJPY is in JPY, but BTCUSDT does not say"):
        market_of(SETTINGS, pair, mode="basket")


def test_a_basket_without_a_common_stamp_is_refused() -> None:
    one, two = small_bars(900, 2)
    with pytest.raises(UserError, match="no stamp in common"):
        market_of(SETTINGS, (one[:400], two[500:]), mode="basket")


def test_a_basket_has_one_leverage() -> None:
    with pytest.raises(UserError, match=r"costs\.SYN2\.max_leverage: a basket is one account"):
        market_of(make_settings(costs={"SYN2": {"max_leverage": 2.0}}), small_bars(900, 2), mode="basket")


def test_no_bars_at_all_are_refused() -> None:
    from markets.preparation import prepare
    from markets.windows import WindowSettings

    with pytest.raises(UserError, match=r"market: no bars"):
        prepare(
            [],
            feature_settings=SETTINGS.features,
            regime_settings=SETTINGS.regimes,
            split_settings=SETTINGS.split,
            scaling_settings=SETTINGS.scaling,
            rules=SETTINGS.broker,
            costs={},
            windows=WindowSettings(24, 4, 20),
        )


def test_a_window_is_the_decision_bar_and_the_one_its_order_meets(market: Market) -> None:
    first = market.tape.train.rows[:3]
    seen = window(market.tape, first, WINDOW, context=2)
    mid = np.asarray(0.5 * (market.tape.bid + market.tape.ask))[:, 0, CLOSE]
    for episode, start in enumerate(np.asarray(first)):
        for t in (0, 7, WINDOW - 1):
            row = start + t
            np.testing.assert_array_equal(seen.features[t + 2, episode], market.tape.features[row])
            np.testing.assert_array_equal(seen.bar.open_ask[t, episode], market.tape.ask[row + 1, :, 0])
            np.testing.assert_array_equal(seen.bar.low_bid[t, episode], market.tape.bid[row + 1, :, 2])
            np.testing.assert_allclose(seen.bar.decision_close[t, episode, 0], mid[row], rtol=1e-6)
            np.testing.assert_allclose(seen.gain[t, episode, 0], mid[row + 1] / mid[row] - 1, atol=2e-7)
            assert seen.regime[t, episode] == market.tape.regime[row]
            assert bool(seen.bar.last[t, episode]) == (t == WINDOW - 1)
        np.testing.assert_array_equal(seen.features[0, episode], market.tape.features[start - 2])
