"""Folds: pieces that follow one another to the last bar, tapes that know nothing later, one shape for all of them."""

import dataclasses
import itertools
from typing import Any

import jax
import numpy as np
import pytest
from hypothesis import given, reject
from hypothesis import settings as examples
from hypothesis import strategies as st
from small_worlds import make_settings, small_bars

from arena.api import make_market
from markets.bars import Bars
from markets.errors import UserError
from markets.folds import padded
from markets.preparation import Market
from markets.regimes import REGIMES
from markets.split_dates import fold_cuts
from markets.splits import Cuts, Split, SplitSettings, fold_splits, split

START = np.datetime64("2015-01-01", "us")
HOUR = np.timedelta64(1, "h")
FOLDS = 3
SETTINGS = make_settings(split={"folds": FOLDS})


def hourly(rows: int, late: int = 0, symbol: str = "X", hours: int = 1) -> Bars:
    return Bars.from_mid(symbol, START + (late + hours * np.arange(rows)) * HOUR, np.ones((rows, 4)))


def test_folds_of_one_symbol_lie_where_the_weights_say() -> None:
    time = START + np.arange(3_000) * np.timedelta64(1, "m")
    bars = [Bars.from_mid("M1", time, np.ones((3_000, 4)))]
    weights = SplitSettings(0.4, 0.2, 0.4, folds=4)
    # 2,800 bars are left by two gaps of 100: 1,120 and 560, and four pieces of 280.
    found = [rows for _, (rows,) in fold_splits(bars, weights, window=90, episode=10)]
    assert found == [
        Split(
            train=range(280 * fold, 1_120 + 280 * fold),
            validation=range(1_220 + 280 * fold, 1_780 + 280 * fold),
            holdout=range(1_880 + 280 * fold, 2_160 + 280 * fold),
        )
        for fold in range(4)
    ]
    anchored = fold_splits(bars, dataclasses.replace(weights, anchored=True), window=90, episode=10)
    assert [rows.train for _, (rows,) in anchored] == [range(1_120 + 280 * fold) for fold in range(4)]
    assert [rows.holdout for _, (rows,) in anchored] == [rows.holdout for rows in found]


@examples(max_examples=100, deadline=None)
@given(
    spans=st.lists(st.tuples(st.integers(0, 6_000), st.integers(1, 9_000), st.sampled_from([1, 2, 24])), max_size=3),
    weights=st.tuples(*[st.floats(0.1, 1.0)] * 3),
    window=st.integers(1, 60),
    episode=st.integers(1, 30),
    folds=st.integers(1, 6),
    anchored=st.booleans(),
)
def test_pieces_follow_one_another_and_nothing_of_a_fold_is_as_late_as_its_piece(
    spans: Any, weights: Any, window: int, episode: int, folds: int, anchored: bool
) -> None:
    bars = [hourly(9_000), *(hourly(rows, late, hours=hours) for late, rows, hours in spans)]
    settings = SplitSettings(*weights, folds=folds, anchored=anchored)
    gap = window + episode
    try:
        found = fold_splits(bars, settings, window=window, episode=episode)
    except UserError:  # pieces too short, or symbols too scattered
        reject()
    assert len(found) == folds
    # The first fold is one split of all that comes behind it.
    alone = split(bars, SplitSettings(*weights), window=window, episode=episode)
    first, last = found[0], found[-1]
    assert (first[0].validation, first[0].holdout) == (alone[0].validation, alone[0].holdout)
    assert [rows.validation for rows in first[1]] == [rows.validation for rows in alone[1]]
    assert last[0].next is None
    for place, symbol in enumerate(bars):
        mine = [rows[place] for _, rows in found]
        assert mine[0].holdout.start == alone[1][place].holdout.start
        assert mine[-1].holdout.stop == len(symbol)
        for one, other in itertools.pairwise(mine):
            assert one.holdout.stop == other.holdout.start
            assert one.train.start <= other.train.start
            assert one.validation.stop <= other.validation.stop
        for (cuts, _), rows in zip(found, mine, strict=True):
            assert rows.train.start == 0 or not anchored
            assert rows.train.stop <= rows.validation.start <= rows.validation.stop <= rows.holdout.start
            assert (symbol.time[: rows.validation.stop] < cuts.holdout).all()
            inside = symbol.time[rows.train.start : rows.train.stop]
            assert (inside < cuts.validation).all()
            assert cuts.start is None or (inside >= cuts.start).all()
            assert not rows.validation or rows.validation.start - rows.train.stop >= gap
            assert not rows.holdout or rows.holdout.start - rows.validation.stop >= gap
    # Pieces are alike in length, but for midnights and symbols that come and go.
    if not spans:
        lengths = [len(rows[0].holdout) for _, rows in found]
        assert max(lengths) - min(lengths) <= 2 * 24
        assert len({len(rows[0].validation) // 48 for _, rows in found}) <= 2


def test_dates_given_are_those_of_the_first_fold() -> None:
    bars = [hourly(12_000)]
    given = SplitSettings(validation_from="2015-07-01", holdout_from="2015-10-01", folds=2)
    first, second = fold_cuts(bars, given, embargo=100)
    assert (first.validation, first.holdout) == (np.datetime64("2015-07-01"), np.datetime64("2015-10-01"))
    assert first.next == second.holdout
    assert second == Cuts(first.validation + (second.holdout - first.holdout), second.holdout, start=second.start)
    assert second.start == START + (second.holdout - first.holdout)


@pytest.mark.parametrize(
    ("rules", "message"),
    [
        ({"folds": 40}, r"split\.holdout: the holdout part of fold 0 has no room .*, fewer folds or shorten"),
        ({"folds": 0}, r"split\.folds: 0 must be at least 1"),
        ({"folds": 2, "generations": 0}, r"split\.generations: 0 must be at least 1"),
    ],
)
def test_folds_without_room_are_refused_in_one_line(rules: dict[str, Any], message: str) -> None:
    with pytest.raises(UserError, match=message) as refused:
        fold_splits([hourly(9_000)], SplitSettings(**rules), window=90, episode=64)
    assert "\n" not in str(refused.value)


def test_generations_are_divided_by_the_split_alone() -> None:
    settings = SplitSettings(folds=3, generations=2)
    assert [settings.fold_of(generation) for generation in range(9)] == [0, 0, 1, 1, 2, 2, 2, 2, 2]
    assert settings.least == 6
    assert [SplitSettings().fold_of(generation) for generation in (0, 8, 99)] == [0, 0, 0]
    assert SplitSettings().least == 1


@pytest.fixture(scope="module")
def bars() -> tuple[Bars, ...]:
    """Two symbols, one of which begins in the validation part of the first fold."""
    early, late = small_bars(1_600, 2)
    return early, late[800:]


@pytest.fixture(scope="module")
def markets(bars: tuple[Bars, ...]) -> list[Market]:
    return [make_market(bars, SETTINGS, fold=fold) for fold in range(FOLDS)]


def same(one: Any, other: Any) -> None:
    jax.tree.map(np.testing.assert_array_equal, one, other)


def test_a_fold_knows_no_bar_behind_its_validation(bars: tuple[Bars, ...], markets: list[Market]) -> None:
    """Every later bar made NaN: the same market, to the last bit."""
    parts = fold_splits(bars, SETTINGS.split, window=markets[0].window, episode=25)
    for fold, market in enumerate(markets):
        cuts, rows = parts[fold]
        assert market.fold == fold
        assert market.time.max() < cuts.holdout
        blank = []
        for symbol, own in zip(bars, rows, strict=True):
            bid, ask, volume = (np.array(side) for side in (symbol.bid, symbol.ask, symbol.volume))
            for side in (bid, ask, volume):
                side[own.validation.stop :] = np.nan
            blank.append(dataclasses.replace(symbol, bid=bid, ask=ask, volume=volume))
        known = make_market(blank, SETTINGS, fold=fold)
        same(known.tape, market.tape)
        same((known.time, known.reference), (market.time, market.reference))
        assert list(map(vars, known.segments)) == list(map(vars, market.segments))
        for name in ("centre", "scale"):
            np.testing.assert_array_equal(getattr(known.scalers[0], name), getattr(market.scalers[0], name))


def test_pieces_are_those_of_the_split_counted_from_each_symbols_first_row(
    bars: tuple[Bars, ...], markets: list[Market]
) -> None:
    parts = fold_splits(bars, SETTINGS.split, window=markets[0].window, episode=25)
    for (_, rows), market in zip(parts, markets, strict=True):
        for own, segment in zip(rows, market.segments, strict=True):
            for part in ("train", "validation", "holdout"):
                there, here = getattr(own, part), getattr(segment.rows, part)
                assert range(here.start - segment.first, here.stop - segment.first) == there


def test_one_scaler_is_that_of_the_first_fold_and_all_else_is_of_the_folds_own_training(markets: list[Market]) -> None:
    for market in markets:
        for name in ("centre", "scale"):
            np.testing.assert_array_equal(getattr(market.scalers[0], name), getattr(markets[0].scalers[0], name))
        tape, trained = market.tape, [segment.rows.train for segment in market.segments]
        first = np.asarray(tape.train.rows)
        assert all(any(start in rows and start + 24 in rows for rows in trained) for start in first)
        seen = np.concatenate([np.asarray(tape.features[rows.start : rows.stop]) for rows in trained if rows])
        ready = np.concatenate([np.asarray(tape.regime[rows.start : rows.stop]) for rows in trained if rows])
        seen = seen[ready != REGIMES.index("unknown")][:, 0]
        np.testing.assert_array_equal(tape.quantiles[0, :, -1], seen.max(0))
    assert len({float(market.tape.scale[0]) for market in markets}) == FOLDS
    assert len({np.asarray(market.tape.quantiles).tobytes() for market in markets}) == FOLDS


def test_tapes_of_all_folds_have_one_shape_and_padding_is_nowhere_to_be_seen(markets: list[Market]) -> None:
    shapes = []
    for market in markets:
        tape, wide = market.tape, padded(market.tape, market.room)
        shapes.append(jax.tree.map(lambda leaf: (leaf.shape, leaf.dtype), wide))
        for name in ("bid", "ask", "volume", "days", "features", "atr", "regime", "segment"):
            np.testing.assert_array_equal(getattr(wide, name)[: len(market.time)], getattr(tape, name))
        assert (np.asarray(wide.regime[len(market.time) :]) == REGIMES.index("unknown")).all()
        strata = tape.train.windows.shape[1]
        np.testing.assert_array_equal(wide.train.rows[: len(tape.train.rows)], tape.train.rows)
        np.testing.assert_array_equal(wide.train.offset[:, :strata], tape.train.offset)
        np.testing.assert_array_equal(wide.train.windows, np.pad(tape.train.windows, ((0, 0), (0, 4 - strata))))
    assert shapes[0] == shapes[1] == shapes[2]
    assert len({len(market.time) for market in markets}) == FOLDS, "else nothing was padded"
    (largest,) = [market for market in markets if len(market.time) == market.room.rows]  # type: ignore[union-attr]
    assert largest is markets[-1]


def test_one_split_is_not_padded() -> None:
    market = make_market(small_bars(), make_settings())
    assert market.room is None
    assert padded(market.tape, market.room) is market.tape


def test_a_basket_is_folded_on_its_common_clock() -> None:
    one, two = small_bars(1_600, 2)
    made = [make_market([one, two[40:]], SETTINGS, mode="basket", fold=fold) for fold in range(FOLDS)]
    clock = two.time[40:]
    pieces = [market.segments[0].rows.holdout for market in made]
    assert pieces[-1].stop == len(clock)
    assert all(before.stop == after.start for before, after in itertools.pairwise(pieces))
    for market in made:
        np.testing.assert_array_equal(market.time, clock[: len(market.time)])
        assert len(market.time) < pieces[market.fold].start
