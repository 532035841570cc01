"""Several markets on one tape: each is there as it was, and is drawn from as if it were alone."""

import jax
import numpy as np
import pytest
from small_worlds import make_settings, market_of, small_bars

from arena.episodes import draw
from markets.joining import join
from markets.preparation import Market

SETTINGS = make_settings(episodes={"stratum": 40})


@pytest.fixture(scope="module")
def markets() -> list[Market]:
    """Three of unequal length, strata and windows, the second with two symbols."""
    return [market_of(SETTINGS, small_bars(*args)) for args in ((900, 1, 3), (700, 2, 4), (520, 1, 5))]


@pytest.fixture(scope="module")
def joined(markets: list[Market]) -> Market:
    return join(markets)


def first_rows(markets: list[Market]) -> list[int]:
    return np.cumsum([0, *(len(market.time) for market in markets)])[:-1].tolist()


def test_one_market_is_left_as_it_is(markets: list[Market]) -> None:
    assert join(markets[:1]) is markets[0]


def test_every_market_lies_on_the_tape_as_it_was(markets: list[Market], joined: Market) -> None:
    for first, market in zip(first_rows(markets), markets, strict=True):
        own = slice(first, first + len(market.time))
        np.testing.assert_array_equal(joined.time[own], market.time)
        for name in ("bid", "ask", "volume", "days", "features", "atr", "regime"):
            np.testing.assert_array_equal(getattr(joined.tape, name)[own], getattr(market.tape, name))
    assert len(joined.time) == sum(len(market.time) for market in markets)
    assert joined.scalers == tuple(market.scalers[0] for market in markets)


def test_every_market_keeps_its_own_quantiles(markets: list[Market], joined: Market) -> None:
    assert joined.tape.quantiles.shape[0] == len(markets)
    for own, market in zip(joined.tape.quantiles, markets, strict=True):
        np.testing.assert_array_equal(own, market.tape.quantiles[0])
    assert len(np.unique(np.asarray(joined.tape.quantiles), axis=0)) == len(markets)


def test_segments_keep_their_bars_and_parts(markets: list[Market], joined: Market) -> None:
    before = [segment for market in markets for segment in market.segments]
    assert len(joined.segments) == len(before) == 4
    numbers = np.asarray(joined.tape.segment)
    for number, (segment, old) in enumerate(zip(joined.segments, before, strict=True)):
        assert (numbers[segment.first : segment.last + 1] == number).all()
        assert (numbers == number).sum() == segment.last + 1 - segment.first == old.last + 1 - old.first
        for part in ("train", "validation", "holdout"):
            assert getattr(segment.rows, part).start - segment.first == getattr(old.rows, part).start - old.first
            assert len(getattr(segment.rows, part)) == len(getattr(old.rows, part))


def test_episodes_of_a_market_are_those_it_would_draw_alone(markets: list[Market], joined: Market) -> None:
    assert len({market.tape.train.windows.shape for market in markets}) > 1, "the fixture needs unequal strata"
    for number, (first, market) in enumerate(zip(first_rows(markets), markets, strict=True)):
        for seed in range(20):
            key = jax.random.key(seed)
            alone = np.asarray(draw(key, market.tape.train, 0, 8))
            np.testing.assert_array_equal(draw(key, joined.tape.train, number, 8), alone + first)


def test_all_have_as_many_fixed_windows_as_the_one_with_fewest(markets: list[Market], joined: Market) -> None:
    for name in ("validation", "reference"):
        own = [np.asarray(getattr(m.tape if name == "validation" else m, name))[0] for m in markets]
        got = np.asarray(getattr(joined.tape if name == "validation" else joined, name))
        assert got.shape == (3, min(map(len, own)))
        for first, mine, rows in zip(first_rows(markets), own, got, strict=True):
            assert set(rows - first) <= set(mine)
            assert (np.diff(rows) > 0).all()


def test_costs_of_a_symbol_go_where_its_segment_goes() -> None:
    settings = make_settings(costs={"SYN2": {"commission": 7e-4}})
    markets = [market_of(settings, small_bars(700, 2, seed)) for seed in (4, 6)]
    np.testing.assert_allclose(join(markets).tape.costs["commission"][:, 0], [1e-4, 7e-4, 1e-4, 7e-4])
