"""The judged part of real bars: behind validation, before the holdout, and the same features as ever."""

import dataclasses

import numpy as np
import pytest
from small_worlds import make_settings, market_of, small_bars

from arena.settings import Settings
from experiments.studies.judged_part import dates_of, judged_market, judged_part
from markets.bars import Bars
from markets.errors import UserError
from markets.preparation import Market
from markets.splits import split
from markets.synthetic import SyntheticSettings, simulate

OTHER = tuple(simulate(SyntheticSettings(bars=3_000), 99))


def holdout_row(bars: Bars, settings: Settings, window: int) -> int:
    """The first row that belongs to the holdout."""
    cuts, _ = split([bars], settings.split, window=window, episode=settings.episodes.bars + 1)
    return int(np.searchsorted(bars.time, cuts.holdout))


def told(settings: Settings, words: list[str]) -> Settings:
    """The settings with the overrides of two dates."""
    dates = {word.partition("=")[0].removeprefix("split."): word.partition("=")[2].strip("'") for word in words}
    return dataclasses.replace(settings, split=dataclasses.replace(settings.split, **dates))  # type: ignore[arg-type]


def with_garbage(bars: Bars, first: int) -> Bars:
    """The bars with those from a row on replaced by others, and no number at all in some."""
    bid, ask = bars.bid.copy(), bars.ask.copy()
    bid[first:], ask[first:] = 7 * OTHER[0].bid[first : len(bars)], 7 * OTHER[0].ask[first : len(bars)]
    bid[first + 5], ask[first + 5] = np.nan, np.nan
    return dataclasses.replace(bars, bid=bid, ask=ask)


def judged(bars: tuple[Bars, ...], settings: Settings) -> tuple[Market, Market]:
    """The market that would be evolved on, and the judged one."""
    part = judged_part(bars, settings)
    own = told(settings, dates_of(part))
    evolved = market_of(own, bars)
    return evolved, judged_market(bars, part, own, evolved.scalers[0])


@pytest.mark.parametrize("changes", [{}, {"macd": True, "rsi": [14], "trend_strength": [14]}])
def test_it_lies_behind_validation_and_before_the_holdout_with_features_as_ever(changes: dict[str, object]) -> None:
    settings = make_settings(features=changes)
    (bars,) = own = small_bars(3_000)
    evolved, market = judged(own, settings)
    end = holdout_row(bars, settings, evolved.window)
    # Everything evolution has, and everything that is judged, is told by the stamps of the rows.
    assert evolved.time[-1] < market.time[np.asarray(market.tape.validation[0])].min()
    assert market.time[-1] < bars.time[end]
    assert market.time[-1] == bars.time[end - 1], "all of it is used"
    first = np.asarray(market.tape.validation[0])
    gap = np.searchsorted(bars.time, market.time[first[0]]) - np.searchsorted(bars.time, evolved.time[-1]) - 1
    assert gap == evolved.window + settings.episodes.bars + 1
    length = settings.episodes.bars + 1
    assert (np.diff(first) >= length).all()
    assert first[-1] + length <= len(market.time)
    assert len(first) >= (len(market.time) - first[0]) // length - 1, "as many windows as there is room for"
    # The same rows with all history before them: one symbol, all of it in one part, the same scaler.
    known = judged_market(own, judged_part(own, settings)._replace(rows=(range(end),)), settings, evolved.scalers[0])
    place = np.searchsorted(known.time, market.time[first[0]])
    for name in ("features", "atr", "regime", "bid", "ask", "days"):
        whole, part = (np.asarray(getattr(own.tape, name)) for own in (known, market))
        np.testing.assert_array_equal(part[first[0] :], whole[place:], err_msg=name)


def test_no_row_of_the_holdout_is_ever_read() -> None:
    settings = make_settings()
    bars = small_bars(3_000, symbols=2)
    evolved, market = judged(bars, settings)
    end = holdout_row(bars[0], settings, evolved.window)
    assert 1_900 < end < 2_400
    others, again = judged(tuple(with_garbage(own, end) for own in bars), settings)
    assert dates_of(judged_part(bars, settings)) == dates_of(
        judged_part(tuple(with_garbage(own, end) for own in bars), settings)
    )
    for one, other in ((evolved, others), (market, again)):
        np.testing.assert_array_equal(one.time, other.time)
        for name in ("features", "atr", "regime", "bid", "ask", "validation"):
            np.testing.assert_array_equal(getattr(one.tape, name), getattr(other.tape, name), err_msg=name)


def test_a_symbol_that_ended_before_is_left_out_and_its_costs_and_columns_with_it() -> None:
    settings = make_settings(costs={"SYN2": {"commission": 3e-4}})
    first, second = small_bars(3_000, symbols=2)
    first = dataclasses.replace(first, columns={"mood": np.arange(3_000.0)})
    bars = (first, second[:700])
    evolved, market = judged(bars, settings)
    assert [segment.symbols for segment in evolved.segments] == [("SYN1",), ("SYN2",)]
    assert [segment.symbols for segment in market.segments] == [("SYN1",)]
    assert market.features == evolved.features


def test_what_a_user_set_of_the_split_stands() -> None:
    settings = make_settings(split={"validation_from": "2018-02-01", "holdout_from": "2018-04-20"})
    part = judged_part(small_bars(3_000), settings)
    words = dates_of(part)
    assert words[0] == "split.validation_from='2018-02-01T00:00:00'"
    bars = small_bars(3_000)[0]
    assert bars.time[part.rows[0].stop - 1] < np.datetime64("2018-04-20") <= bars.time[part.rows[0].stop]


def test_too_few_bars_are_said_in_one_line() -> None:
    with pytest.raises(UserError, match=r"split\.train: the train part .*before the holdout"):
        judged_part(small_bars(300), make_settings())
