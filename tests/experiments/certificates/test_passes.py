"""Passes of a family against the broker in float64, trades against its fills, and series against sums by hand."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from small_worlds import founded, make_settings, market_of, small_bars

from arena.inference import Conducted, Decider, Panel, conduct
from arena.rollout import Trader
from experiments.certificates import counting
from experiments.certificates.counting import replay
from experiments.certificates.ground import Ground, ground_of, mid_gain, prepare_ground
from experiments.certificates.passes import CHARGES, Lane, Pass, passes
from experiments.certificates.performing import Cast, Performance, evidence_of, joined, perform
from experiments.certificates.series import acting, spells
from experiments.certificates.shown import costs_of, metrics_of, months, regimes, symbols
from experiments.replay.passage import Passage, outcome_of, rows_of
from experiments.replay.targets import Targets
from experiments.replay.trades import marks_of
from markets.bars import Bars
from markets.features import relative_atr_window

pytestmark = pytest.mark.usefixtures("plainly_compiled")

SETTINGS = make_settings(broker={"commission": 1e-4, "spread_rate": 2e-4, "slippage": 5e-5, "financing_long": 0.05})
SYMBOLS = 2
MEMBERS = 6


@pytest.fixture(scope="module")
def ground(plainly_compiled: None) -> Ground:
    bars = small_bars(900, SYMBOLS)
    bred = market_of(SETTINGS, bars)
    market = prepare_ground(bars, SETTINGS, mode="pool", scaler=bred.scalers[0])
    rows = [
        tuple(
            range(part.start - own.first, part.stop - own.first)
            for part in (own.rows.train, own.rows.validation, own.rows.holdout)
        )
        for own in bred.segments
    ]
    return ground_of(market, rows, SETTINGS)  # type: ignore[arg-type]


@pytest.fixture(scope="module")
def cast(ground: Ground) -> Cast:
    """Founders as champions: the k-th in the k-th regime, a fifth in all, and a router over the first four."""
    plan, state = founded(SETTINGS, market_of(SETTINGS, small_bars(900, SYMBOLS)))
    some = jax.tree.map(lambda leaf: leaf[0, :5], state.populations[0])
    panel = Panel((Trader(some.genome, some.genes, some.memory, jnp.full((5, 4), 0.5)),))
    acts = np.concatenate([np.eye(4, dtype=bool), np.ones((2, 4), bool)])
    who = np.asarray([[0] * 4, [1] * 4, [2] * 4, [3] * 4, [4] * 4, [0, 1, 2, 3]], np.int32)
    shape = who.shape
    decider = Decider(
        acts=acts,
        own=who,
        weights=(who[..., None] == np.arange(5)).astype(np.float32),
        threshold=np.zeros(shape, np.float32),
        average=np.ones(shape, np.int32),
        view=np.zeros(shape, np.int32),
    )
    return Cast(plan.rollouts, panel, decider, acts)


WALKS = (("holdout", 1.0), ("holdout", 2.0), ("validation", 1.0))


@pytest.fixture(scope="module")
def lanes(ground: Ground) -> list[Lane]:
    """As many as `performed` walks, so that one program serves both."""
    return [Lane(member, own, cost) for part, cost in WALKS for own in ground.parts[part] for member in range(MEMBERS)]


@pytest.fixture(scope="module")
def walked(ground: Ground, cast: Cast, lanes: list[Lane]) -> list[Pass]:
    return passes(cast.setups, cast.panel, cast.decider, ground.market, ground.market.tape.features[None], lanes)


@pytest.fixture(scope="module")
def told(ground: Ground, cast: Cast, lanes: list[Lane]) -> Conducted:
    """The same lanes, with all that happened."""
    first, stop = (np.asarray([getattr(lane.stretch, end) for lane in lanes]) for end in ("first", "stop"))
    each = jax.tree.map(lambda leaf: leaf[[lane.member for lane in lanes]], cast.decider)
    costs = np.asarray([lane.costs for lane in lanes])
    tape = ground.market.tape
    pieces = [
        own for _, own in conduct(cast.setups, cast.panel, each, tape, tape.features[None], first, stop, costs=costs)
    ]
    joined: Conducted = jax.tree.map(lambda *leaves: np.concatenate(leaves), *pieces)
    return joined


@pytest.fixture(scope="module")
def performed(ground: Ground, cast: Cast) -> Performance:
    return perform(ground, cast, ground.market.tape.features[None], "none", costs=(1.0, 2.0), training=False)


def test_equity_trades_and_costs_are_those_of_the_broker_in_float64(
    ground: Ground, lanes: list[Lane], walked: list[Pass], told: Conducted
) -> None:
    tape, compared = ground.market.tape, 0
    for place, (lane, own) in enumerate(zip(lanes, walked, strict=True)):
        if lane.costs != 1.0:
            continue
        rows = slice(lane.stretch.first, lane.stretch.stop)
        count = len(own.exposure)
        targets = [
            np.append(np.asarray(leaf, np.float64)[:count, place, 0], np.nan)
            for leaf in (told.order.target, told.order.stop_loss, told.order.take_profit)
        ]
        bars = Bars(
            symbol=lane.stretch.name,
            time=ground.market.time[rows],
            bid=np.asarray(tape.bid, np.float64)[rows, 0],
            ask=np.asarray(tape.ask, np.float64)[rows, 0],
            volume=np.ones(count + 1),
        )
        passage = Passage(SETTINGS.broker)
        days = np.asarray(tape.days, np.float64)[rows, 0]
        outcome = outcome_of(
            passage.through(passage.open(), rows_of(bars, Targets(*targets), days=days, has_volume=False, closes=True))
        )
        cash = SETTINGS.broker.cash
        np.testing.assert_allclose(own.equity[1:], outcome.account.equity / cash, rtol=0, atol=1e-5)
        bar, slot = np.nonzero(outcome.fills.reason[:, :, 0])
        marks = marks_of(bar, slot, jax.tree.map(lambda leaf, bar=bar: leaf[bar, 0], outcome.closed))
        np.testing.assert_allclose(own.trades.profit, marks.profit[marks.ends] / cash, rtol=0, atol=2e-6)
        assert own.trades.begun.tolist() == bar[marks.opens][: len(own.trades.begun)].tolist()
        assert own.trades.ended.tolist() == bar[marks.ends].tolist()
        paid = [np.asarray(getattr(outcome.fills, name)).sum() / cash for name in ("commission", "slippage", "fee")]
        np.testing.assert_allclose(own.costs[:3], paid, rtol=1e-4, atol=1e-9)
        np.testing.assert_allclose(
            own.costs[CHARGES.index("financing")], outcome.financing.sum() / cash, rtol=1e-3, atol=1e-8
        )
        compared += len(own.trades.profit)
    assert compared > 100


def test_a_trade_is_held_from_its_first_bar_to_its_last(told: Conducted, walked: list[Pass]) -> None:
    """Every bar over which anything is held belongs to one trade."""
    for place, own in enumerate(walked):
        count = len(own.exposure)
        inside = np.zeros(count, bool)
        for begun, bars in zip(own.trades.begun, own.trades.bars, strict=True):
            inside[begun : begun + bars] = True
        assert inside[np.asarray(told.exposure)[:count, place, 0] != 0].all()


def test_costs_make_every_account_poorer(walked: list[Pass], lanes: list[Lane]) -> None:
    count = SYMBOLS * MEMBERS
    assert [lane.costs for lane in lanes[: 2 * count]] == [1.0] * count + [2.0] * count
    once, twice = walked[:count], walked[count : 2 * count]
    paid = [(one.costs.sum(), two.costs.sum()) for one, two in zip(once, twice, strict=True) if len(one.trades.profit)]
    assert all(two > one > 0 for one, two in paid)
    assert sum(two.equity[-1] for two in twice) < sum(one.equity[-1] for one in once)


def test_a_regimes_champion_is_flat_outside_it_and_keeps_the_zeros(
    ground: Ground, cast: Cast, performed: Performance
) -> None:
    for index, own in enumerate(ground.parts["holdout"]):
        acts = acting(cast.acts, ground.market, own)
        for member in range(4):
            each = performed.shown[0][member].passes[index]
            # What is held when the regime ends is closed at the next bar's open, and what is held over is 0 from there.
            assert not each.exposure[~acts[:, member], 0].any()


def test_the_judged_series_is_the_mean_of_the_symbols_bars_summed_by_day(
    ground: Ground, performed: Performance
) -> None:
    judged, stretches = performed.holdout[0], ground.parts["holdout"]
    assert len(stretches) == SYMBOLS
    for member in range(MEMBERS):
        expected = np.zeros(len(judged.day))
        for index, own in enumerate(stretches):
            equity = performed.shown[0][member].passes[index].equity
            returns = np.diff(equity) / equity[:-1]
            for bar, value in enumerate(returns):
                expected[bar // 24] += value / len(stretches)
            assert len(returns) == own.stop - own.first - 1
        np.testing.assert_allclose(judged.returns[:, member], expected, atol=1e-12)
    final = np.mean([[one.equity[-1] for one in own.passes] for own in performed.shown[0]], axis=1)
    np.testing.assert_allclose(judged.equity[-1], final, atol=1e-12)


def test_the_matched_benchmark_holds_the_mean_exposure_of_validation_on_the_members_own_bars(
    ground: Ground, cast: Cast, performed: Performance, lanes: list[Lane], walked: list[Pass]
) -> None:
    total = np.zeros((len(performed.holdout[0].day), MEMBERS))
    means = []
    for lane, each in list(zip(lanes, walked, strict=True))[-SYMBOLS * MEMBERS :]:
        acts = acting(cast.acts, ground.market, lane.stretch)[:, lane.member]
        mean = each.exposure[acts].mean() if acts.any() else 0.0
        means.append(mean)
        own = next(one for one in ground.parts["holdout"] if one.name == lane.stretch.name)
        held = mean * mid_gain(ground.market, own)[:, 0] * acting(cast.acts, ground.market, own)[:, lane.member]
        np.add.at(total[:, lane.member], np.arange(len(held)) // 24, held / SYMBOLS)
    np.testing.assert_allclose(performed.holdout[0].matched, total, atol=1e-12)
    np.testing.assert_allclose(performed.exposure, np.mean(np.reshape(means, (SYMBOLS, MEMBERS)), 0), atol=1e-12)


def test_replayed_births_earn_what_the_same_brains_earn_in_a_family(
    ground: Ground, cast: Cast, performed: Performance, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The all-rounder decides as its brain alone does; blocks of agents change nothing."""
    monkeypatch.setattr(counting, "_BLOCK", 3)
    found = replay(cast.setups[0], cast.panel.traders[0], ground.market, ground.parts["validation"], "none")
    assert performed.validation is not None
    assert found.columns.shape == (len(performed.validation.day), 5)
    np.testing.assert_allclose(found.columns[:, 4], performed.validation.returns[:, 4], atol=1e-6)
    assert found.changes[4] > 0


def test_spells_count_each_time_a_regime_begins(ground: Ground, cast: Cast) -> None:
    own = ground.parts["holdout"][0]
    regime = np.asarray(ground.market.tape.regime)[own.first : own.stop - 1]
    counted = [0] * 4
    for bar, value in enumerate(regime):
        counted[value] += bar == 0 or regime[bar - 1] != value
    assert spells(cast.acts, ground.market, own).tolist() == [*counted, sum(counted), sum(counted)]
    assert min(counted) > 0


def test_what_is_shown_adds_up(performed: Performance) -> None:
    judged = performed.holdout[0]
    for member, own in enumerate(performed.shown[0]):
        shown = metrics_of(own, judged, member, 365.25)
        assert shown["total_return"] == pytest.approx(judged.equity[-1, member] - 1)
        assert shown["costs"] == pytest.approx(sum(costs_of(own).values()))
        trades = performed.trades[member]
        assert sum(row["trades"] for row in regimes(own, 365.25, "none")) == trades
        assert sum(row["trades"] for row in symbols(own, 365.25, "none")) == trades
        rows = months(own, judged, member, 365.25, "none")
        assert sum(row["trades"] for row in rows) == trades
        assert np.prod([1 + row["total_return"] for row in rows]) == pytest.approx(judged.equity[-1, member])


def test_no_training_row_reaches_the_holdouts_record_and_no_holdout_row_the_exposure(
    cast: Cast, performed: Performance
) -> None:
    bars = small_bars(900, SYMBOLS)
    bred = market_of(SETTINGS, bars)

    def with_others(rows: list[slice]) -> Performance:
        """What comes of bars that are others in some rows, the scaler being what it was."""
        changed = [
            dataclasses.replace(own, bid=own.bid.copy(), ask=own.ask.copy(), volume=own.volume.copy()) for own in bars
        ]
        for own, some in zip(changed, rows, strict=True):
            for side in (own.bid, own.ask):
                side[some] *= np.linspace(1.0, 3.0, len(side[some]))[:, None]
        market = prepare_ground(changed, SETTINGS, mode="pool", scaler=bred.scalers[0])
        parts = [own.rows for own in bred.segments]
        moved = [
            tuple(
                range(part.start - own.first, part.stop - own.first)
                for part in (each.train, each.validation, each.holdout)
            )
            for own, each in zip(bred.segments, parts, strict=True)
        ]
        other = ground_of(market, moved, SETTINGS)  # type: ignore[arg-type]
        return perform(other, cast, market.tape.features[None], "none", costs=(1.0, 2.0), training=False)

    split = [own.rows for own in bred.segments]
    trained = with_others(
        [
            slice(0, rows.train.stop - own.first - relative_atr_window())
            for own, rows in zip(bred.segments, split, strict=True)
        ]
    )
    for cost in range(2):
        jax.tree.map(np.testing.assert_array_equal, trained.holdout[cost], performed.holdout[cost])
    judged = with_others(
        [slice(rows.holdout.start - own.first, None) for own, rows in zip(bred.segments, split, strict=True)]
    )
    np.testing.assert_array_equal(judged.exposure, performed.exposure)
    assert judged.validation is not None
    assert performed.validation is not None
    np.testing.assert_array_equal(judged.validation.returns, performed.validation.returns)
    assert not np.array_equal(judged.holdout[0].returns, performed.holdout[0].returns)


def test_pieces_that_follow_each_other_are_one_record(performed: Performance) -> None:
    later = performed._replace(
        holdout=tuple(own._replace(day=own.day + np.timedelta64(400, "D")) for own in performed.holdout)
    )
    both = joined([performed, later])
    one, two = performed.holdout[0], both.holdout[0]
    days = len(one.day)
    assert len(two.day) == 2 * days
    np.testing.assert_array_equal(two.returns, np.concatenate([one.returns, one.returns]))
    np.testing.assert_allclose(two.equity[-1], one.equity[-1] ** 2)
    for member, own in enumerate(both.shown[0]):
        once = sum(costs_of(performed.shown[0][member]).values())
        assert metrics_of(own, two, member, 365.25)["costs"] == pytest.approx(once * (1 + one.equity[-1, member]))
    assert both.trades.tolist() == (2 * performed.trades).tolist()
    assert both.spells.tolist() == (2 * performed.spells).tolist()
    judged = evidence_of(both, "none")
    assert judged.returns.shape == (2 * days, MEMBERS)
    np.testing.assert_allclose(judged.holding, evidence_of(performed, "none").holding)
