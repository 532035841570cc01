"""The broker on random markets: money is conserved, leverage kept, float32 follows float64, shapes do not matter."""

from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from markets.account import REASONS, Account, Bar, Order, Outcome
from markets.broker import open_account, step, vary
from markets.rules import BrokerRules

pytestmark = pytest.mark.usefixtures("plainly_compiled")

HALF = 0.02  # half the spread, everywhere
EVERYTHING = BrokerRules(
    commission=1e-4,
    commission_per_unit=1e-3,
    commission_fixed=0.2,
    slippage=2e-4,
    max_leverage=5.0,
    maintenance=0.12,
    liquidation_fee=0.005,
    lot_size=0.25,
    min_units=1.0,
    participation=0.1,
    financing_long=0.9,
    financing_short=-0.4,
    trailing=True,
    ruin=0.3,
)


def market(rng: np.random.Generator, bars: int, lanes: int, instruments: int = 1, volatility: float = 0.006) -> Bar:
    """Random bars [bars, lanes, instruments] with gaps between them, float64."""
    shape = (bars, lanes, instruments)
    moves = volatility * rng.standard_t(4, (2, *shape)) / np.sqrt(2)
    gaps = np.where(rng.random(shape) < 0.2, moves[0], 0.0)
    close = 100 * np.exp(np.cumsum(gaps + moves[1], axis=0))
    before = np.concatenate([np.full_like(close[:1], 100.0), close[:-1]])
    open = before * np.exp(gaps)
    high = np.maximum(open, close) * np.exp(volatility / 2 * rng.random(shape))
    low = np.minimum(open, close) * np.exp(-volatility / 2 * rng.random(shape))
    last = np.zeros((bars, lanes), bool)
    last[-1] = True
    volume = np.round(rng.exponential(10_000.0, shape))
    days = np.where(rng.random(shape) < 0.3, rng.integers(1, 4, shape), 0.0)
    sides = [price + half for price in (open, high, low, close) for half in (-HALF, HALF)]
    return Bar(*sides, decision_close=before, decision_volume=volume, days=days, last=last)


def orders(rng: np.random.Generator, shape: tuple[int, ...], leverage: float = 6.0, quiet: float = 0.85) -> Order:
    """Random orders; most rows have none, half of the rest go flat or carry no level."""
    target = np.where(rng.random(shape) < quiet, np.nan, leverage * (2 * rng.random(shape) - 1))
    target = np.where(rng.random(shape) < 0.2 * (1 - quiet), 0.0, target)
    distance = partial(lambda scale: np.where(rng.random(shape) < 0.6, np.nan, scale * (0.1 + rng.random(shape))))
    return Order(target, distance(0.05), distance(0.05))


def cast(tree: Any, dtype: Any) -> Any:
    return jax.tree.map(lambda leaf: jnp.asarray(leaf, leaf.dtype if leaf.dtype == bool else dtype), tree)


@partial(jax.jit, static_argnames="rules")
def through(bars: Bar, orders: Order, rules: BrokerRules) -> Outcome:
    def body(account: Account, row: tuple[Bar, Order]) -> tuple[Account, Outcome]:
        outcome = step(account, row[1], row[0], rules)
        return outcome.account, outcome

    *accounts, instruments = orders.target.shape[1:]
    return jax.lax.scan(body, open_account(rules, tuple(accounts), instruments, orders.target.dtype), (bars, orders))[1]


def run(bars: Bar, asked: Order, rules: BrokerRules, dtype: Any = jnp.float64) -> Outcome:
    with jax.enable_x64(True):
        return jax.tree.map(np.asarray, through(cast(bars, dtype), cast(asked, dtype), rules))


@pytest.fixture(scope="module")
def everything() -> tuple[Bar, Order, Outcome]:
    """600 accounts through 250 bars with every rule switched on."""
    rng = np.random.default_rng(11)
    bars = market(rng, 250, 600, volatility=0.015)
    asked = orders(rng, bars.open_bid.shape)
    return bars, asked, run(bars, asked, EVERYTHING)


def mids(bars: Bar) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """C_t, O and C_{t+1} of every bar, one instrument: [bars, accounts]."""
    return bars.decision_close[..., 0], bars.open_bid[..., 0] + HALF, bars.close_bid[..., 0] + HALF


def test_every_way_out_happens_often(everything):
    *_, outcome = everything
    counts = np.bincount(outcome.fills.reason.ravel(), minlength=len(REASONS))
    assert dict(zip(REASONS, counts, strict=True)).keys() == set(REASONS)
    assert (counts[1:] >= 20).all(), dict(zip(REASONS, counts, strict=True))


def test_money_is_conserved(everything):
    """ΔE = Σ u·Δmid along C_t, O, the exit's mid, C_{t+1}, less half spreads, slippage, commission, financing, fees."""
    bars, _, outcome = everything
    before, open, close = mids(bars)
    fills = jax.tree.map(lambda leaf: np.moveaxis(leaf[..., 0], 1, 0), outcome.fills)  # [4, bars, accounts]
    change, size = fills.units, np.abs(fills.units)
    exits = np.where(fills.units[2] < 0, 1, -1)  # +1 where a long leaves inside the bar
    quote = fills.price[2] + np.where(size[2] > 0, exits * fills.slippage[2] / np.where(size[2] > 0, size[2], 1), 0)
    inside = np.where(size[2] > 0, quote + exits * HALF, open)
    units_after = outcome.account.units[..., 0]
    start = np.concatenate([np.zeros_like(units_after[:1]), units_after[:-1]])
    held = start + change[0] + change[1]
    moved = start * (open - before) + held * (inside - open) + (held + change[2]) * (close - inside)
    costs = (size * HALF + fills.slippage + fills.commission + fills.fee).sum(0) + outcome.financing
    equity = outcome.account.equity
    grown = np.diff(np.concatenate([np.full_like(equity[:1], EVERYTHING.cash), equity]), axis=0)
    np.testing.assert_allclose(grown, moved - costs, atol=1e-8 * EVERYTHING.cash)
    np.testing.assert_allclose(units_after, held + change[2] + change[3], atol=1e-9)


def test_fills_at_the_open_and_the_close_are_at_the_quotes_moved_by_slippage(everything):
    bars, _, outcome = everything
    units, price = outcome.fills.units[..., 0], outcome.fills.price[..., 0]
    slip = np.where(outcome.fills.reason[..., 0] == REASONS.index("take_profit"), 0, EVERYTHING.slippage)
    way = np.sign(units)
    for slot, mid in ((0, mids(bars)[1]), (1, mids(bars)[1]), (3, mids(bars)[2])):
        expected = (mid + way[:, slot] * HALF) * (1 + way[:, slot] * slip[:, slot])
        happened = way[:, slot] != 0
        np.testing.assert_allclose(price[:, slot][happened], expected[happened], rtol=1e-13)


def test_the_profits_of_all_trades_are_what_the_account_earned(everything):
    *_, outcome = everything
    assert not outcome.account.units[-1].any()
    profits = outcome.closed.profit_at_open.sum((0, 2)) + outcome.closed.profit_after.sum((0, 2))
    np.testing.assert_allclose(profits, outcome.account.equity[-1] - EVERYTHING.cash, atol=1e-8 * EVERYTHING.cash)
    ended = outcome.closed.ended_at_open.sum() + outcome.closed.ended_after.sum()
    assert ended == outcome.closed.opened.sum()


def test_no_fill_exceeds_the_leverage_at_the_open(everything):
    bars, _, outcome = everything
    before, open, _ = mids(bars)
    account = jax.tree.map(lambda leaf: leaf.reshape(*leaf.shape[:2]), outcome.account)
    previous = np.concatenate([np.full_like(account.equity[:1], EVERYTHING.cash), account.equity[:-1]])
    units = np.concatenate([np.zeros_like(account.units[:1]), account.units[:-1]])
    fills = jax.tree.map(lambda leaf: leaf[..., 0], outcome.fills)
    exit_costs = np.abs(fills.units[:, 0]) * HALF + fills.slippage[:, 0] + fills.commission[:, 0] + fills.fee[:, 0]
    equity_open = previous + units * (open - before) - exit_costs
    kept = units + fills.units[:, 0]
    reached = kept + fills.units[:, 1]
    grew = np.abs(reached) > np.abs(kept)
    assert grew.sum() > 1_000
    assert (np.abs(reached) * open <= EVERYTHING.max_leverage * np.maximum(equity_open, 0) * (1 + 1e-9))[grew].all()
    np.testing.assert_allclose(reached / EVERYTHING.lot_size, np.round(reached / EVERYTHING.lot_size), atol=1e-9)
    most = np.floor(EVERYTHING.participation * bars.decision_volume[..., 0] / EVERYTHING.lot_size)
    assert (np.abs(fills.units[:, 1]) <= EVERYTHING.lot_size * most + 1e-9).all()


def test_a_ruined_account_never_fills_again(everything):
    *_, outcome = everything
    ruined = np.cumsum(outcome.ruined, axis=0)
    assert ruined.max() == 1
    later = np.concatenate([np.zeros_like(ruined[:1]), ruined[:-1]]) == 1
    assert later.any()
    assert not np.moveaxis(outcome.fills.reason[..., 0], 1, -1)[later].any()
    assert not outcome.reward[later].any()
    assert not outcome.financing[later].any()


def test_equity_is_balance_less_financing_plus_what_is_open(everything):
    bars, _, outcome = everything
    account = outcome.account
    open_profit = account.units[..., 0] * (mids(bars)[2] - account.entry[..., 0])
    np.testing.assert_allclose(account.equity, account.balance - account.financing + open_profit, atol=1e-7)


def test_float32_follows_float64_over_ten_thousand_bars():
    """The same fills but for at most 0.1 % that rounding flips, and the same equity where none flipped."""
    rng = np.random.default_rng(5)
    bars = market(rng, 10_000, 16, volatility=0.0015)
    bars = cast_numpy(bars, np.float32)  # the same quotes to both
    asked = cast_numpy(orders(rng, bars.open_bid.shape, leverage=5.0, quiet=0.9), np.float32)
    rules = BrokerRules(max_leverage=5.0, maintenance=0.02, financing_long=0.02, financing_short=-0.01, ruin=0.01)
    narrow, wide = (run(bars, asked, rules, dtype) for dtype in (jnp.float32, jnp.float64))
    flipped = (narrow.fills.reason != wide.fills.reason)[..., 0].any(1)  # [bars, accounts]
    fills = (wide.fills.reason != 0).sum()
    assert fills > 10_000
    assert flipped.sum() <= 0.001 * fills, f"{flipped.sum()} of {fills} fills flipped"
    untouched = ~np.logical_or.accumulate(flipped, axis=0)
    assert untouched.mean() > 0.5
    error = np.abs(narrow.account.equity / wide.account.equity - 1)[untouched]
    assert error.max() < 1e-4, error.max()


def cast_numpy(tree: Any, dtype: Any) -> Any:
    """Rounded to a precision, but still float64."""
    return jax.tree.map(lambda leaf: leaf if leaf.dtype == bool else leaf.astype(dtype).astype(np.float64), tree)


def test_one_trace_serves_every_bar_and_every_order():
    traces = []

    @jax.jit
    def counted(account: Account, order: Order, bar: Bar) -> Outcome:
        traces.append(1)
        return step(account, order, bar, EVERYTHING)

    rng = np.random.default_rng(3)
    bars = cast(market(rng, 12, 4), jnp.float32)
    asked = cast(orders(rng, (12, 4, 1)), jnp.float32)
    account = open_account(EVERYTHING, (4,))
    for row in range(12):
        account = counted(account, *(jax.tree.map(lambda leaf: leaf[row], tree) for tree in (asked, bars))).account  # noqa: B023
    assert len(traces) == 1


def test_market_data_broadcasts_over_agents_and_equals_single_accounts():
    rng = np.random.default_rng(8)
    bars = market(rng, 60, 3)
    asked = orders(rng, (60, 5, 3, 1))  # [bars, agents, episodes, instruments] against [bars, episodes, instruments]
    together = run(bars, asked, EVERYTHING)
    with jax.enable_x64(True):
        single = partial(through, rules=EVERYTHING)  # an account without axes
        each = jax.vmap(jax.vmap(single, in_axes=(1, 1), out_axes=1), in_axes=(None, 1), out_axes=1)
        alone = each(cast(bars, jnp.float64), cast(asked, jnp.float64))
    assert alone.account.units.shape == together.account.units.shape == (60, 5, 3, 1)
    for name in Account._fields:
        np.testing.assert_allclose(getattr(alone.account, name), getattr(together.account, name), rtol=1e-12, atol=1e-9)


def test_rules_by_segment_equal_each_segments_own():
    rng = np.random.default_rng(21)
    bars = market(rng, 80, 2)
    asked = orders(rng, (80, 3, 2, 1))
    numbers = {
        "commission": (0.0, 2e-4),
        "slippage": (1e-4, 0.0),
        "lot_size": (0.0, 0.5),
        "max_leverage": (2.0, 5.0),
        "maintenance": (0.0, 0.05),
        "cash": (5_000.0, 20_000.0),
        "ruin": (0.2, 0.5),
        "financing_short": (0.3, 0.0),
        "participation": (0.05, 0.2),
        "min_units": (0.0, 5.0),
        "liquidation_fee": (0.01, 0.0),
    }
    with jax.enable_x64(True):
        varied = vary(EVERYTHING, **{key: jnp.asarray(pair)[:, None] for key, pair in numbers.items()})
        run_all = jax.jit(lambda bars, asked: through.__wrapped__(bars, asked, varied))
        together = run_all(cast(bars, jnp.float64), cast(asked, jnp.float64))
    for segment in range(2):
        own = BrokerRules(**{**vars_of(EVERYTHING), **{key: pair[segment] for key, pair in numbers.items()}})
        alone = run(
            jax.tree.map(lambda leaf: leaf[:, [segment]], bars),  # noqa: B023
            Order(*(leaf[:, :, [segment]] for leaf in asked)),
            own,
        )
        np.testing.assert_allclose(together.account.equity[:, :, [segment]], alone.account.equity, rtol=1e-10)


def vars_of(rules: BrokerRules) -> dict[str, Any]:
    return {name: getattr(rules, name) for name in rules.__dataclass_fields__}


def test_a_number_that_is_no_key_is_refused():
    with pytest.raises(TypeError, match="comission is not a key of BrokerRules"):
        vary(EVERYTHING, comission=0.1)


# --- Several instruments on one clock ---------------------------------------------------------------------------


def test_an_instrument_that_is_never_asked_for_changes_nothing(everything):
    bars, asked, alone = everything
    other = market(np.random.default_rng(31), *asked.target.shape[:2], volatility=0.015)
    beside = [np.concatenate([one, two], axis=-1) for one, two in zip(bars[:-1], other[:-1], strict=True)]
    silent = [np.concatenate([leaf, np.full_like(leaf, np.nan)], axis=-1) for leaf in asked]
    pair = run(Bar(*beside, last=bars.last), Order(*silent), EVERYTHING)
    np.testing.assert_array_equal(pair.fills.reason[..., :1], alone.fills.reason)
    np.testing.assert_allclose(pair.account.equity, alone.account.equity, rtol=1e-9, atol=1e-6)
    np.testing.assert_allclose(pair.fills.price[..., :1], alone.fills.price, rtol=1e-9)
    assert not pair.fills.reason[..., 1].any()


def test_asked_exposures_share_what_positions_without_an_order_leave():
    rules = BrokerRules(max_leverage=2.0)
    bars = Bar(
        *(np.full((1, 1, 3), 100.0) for _ in range(9)),
        np.full((1, 1, 3), np.inf),
        np.zeros((1, 1, 3)),
        np.zeros((1, 1), bool),
    )
    with jax.enable_x64(True):
        first = step_once(open_account(rules, (1,), 3, jnp.float64), [1.0, np.nan, np.nan], bars, rules)
        second = step_once(first.account, [np.nan, 1.5, -0.5], bars, rules)
        crowded = step_once(second.account, [np.nan, np.nan, 2.0], bars, rules)
    np.testing.assert_allclose(first.account.units[0], [100, 0, 0])
    np.testing.assert_allclose(second.account.units[0], [100, 75, -25])  # room for 1, asked for 2
    np.testing.assert_allclose(crowded.account.units[0], [100, 75, 25])  # room for 0.25


@partial(jax.jit, static_argnames="rules")
def one_bar(account: Account, order: Order, bar: Bar, rules: BrokerRules) -> Outcome:
    return step(account, order, bar, rules)


def step_once(account: Account, target: list[float], bars: Bar, rules: BrokerRules) -> Outcome:
    asked = jnp.asarray([target])
    order = Order(asked, jnp.full_like(asked, jnp.nan), jnp.full_like(asked, jnp.nan))
    return one_bar(account, order, jax.tree.map(lambda leaf: jnp.asarray(leaf[0]), bars), rules)


def test_a_shared_breach_leaves_exactly_the_maintenance_of_what_it_closed():
    """All instruments go to their adverse extremes together until equity meets maintenance; stops met before fill."""
    rules = BrokerRules(max_leverage=5.0, maintenance=0.05)
    with jax.enable_x64(True):
        account = open_account(rules, (1,), 3, jnp.float64)._replace(
            units=jnp.array([[200.0, -150.0, 100.0]]),
            entry=jnp.full((1, 3), 100.0),
            stop=jnp.array([[98.0, jnp.nan, 50.0]]),
        )
        low, high = np.array([80.0, 99.0, 70.0]), np.array([101.0, 125.0, 101.0])
        sides = [np.broadcast_to(price, (1, 1, 3)) for price in (100.0, high, low, 100.0) for _ in range(2)]
        bars = Bar(*sides, sides[0], np.full((1, 1, 3), np.inf), np.zeros((1, 1, 3)), np.zeros((1, 1), bool))
        outcome = jax.tree.map(np.asarray, step_once(account, [np.nan] * 3, bars, rules))
    assert [REASONS[code] for code in outcome.fills.reason[2, 0]] == ["stop", "liquidation", "liquidation"]
    weight = np.array([200 * 0.95, -150 * 1.05, 100 * 0.95])
    at_open = 10_000 - 0.05 * 450 * 100
    share = at_open / (weight * (100 - np.array([80.0, 125.0, 70.0]))).sum()
    expected = 100 + share * (np.array([80.0, 125.0, 70.0]) - 100)
    np.testing.assert_allclose(outcome.fills.price[2, 0], [98.0, *expected[1:]], rtol=1e-12)
    assert bool(outcome.liquidated[0])
    assert not outcome.account.units.any()


def test_a_breach_at_the_open_closes_every_instrument_and_cancels_every_order():
    rules = BrokerRules(max_leverage=5.0, maintenance=0.05)
    with jax.enable_x64(True):
        account = open_account(rules, (1,), 2, jnp.float64)._replace(
            units=jnp.array([[400.0, 50.0]]), entry=jnp.full((1, 2), 100.0)
        )
        prices = np.array([[[76.0, 100.0]]])
        bars = Bar(
            *[prices] * 8, np.full_like(prices, 100), np.full_like(prices, np.inf), 0 * prices, np.zeros((1, 1), bool)
        )
        outcome = jax.tree.map(np.asarray, step_once(account, [np.nan, -1.0], bars, rules))
    assert [[REASONS[code] for code in slot[0]] for slot in outcome.fills.reason[:2]] == [
        ["liquidation", "liquidation"],
        ["none", "none"],
    ]
