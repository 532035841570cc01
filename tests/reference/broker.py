"""A second broker, written from the accounting rules alone, to check the kernel against.

It is slow and plain on purpose: one account, float64, a loop over bars and branches in the order in which the rules
stand. It shares no code and no representation with `markets.broker`. Where the kernel keeps (k, entry, u), this one
keeps a cash box: each fill pays or takes u·price and its costs, financing leaves the box when it is charged, and
equity is the box and what the position would bring. So an error in the bookkeeping of k cannot hide in both.

Symbols: O H L C on the bid (`_b`), ask (`_a`) and in the middle; u units, E equity, S stop, P take-profit, M
liquidation price, m maintenance.
"""

import math
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from markets.rules import BrokerRules

__all__ = ["Fill", "Result", "Trade", "replay"]

OPEN_EXIT, ORDER, INSIDE, CLOSE = range(4)
"""Slots of a bar, in order: exits at the open, the order, the exit inside the bar, the close."""
O, H, L, C = range(4)
Array = NDArray[np.float64]


@dataclass(frozen=True)
class Fill:
    """One fill; `units` is the signed Δu, `price` is after slippage, the rest is money."""

    bar: int
    instrument: int
    slot: int
    reason: str
    units: float
    price: float
    commission: float
    slippage: float
    fee: float


@dataclass(frozen=True)
class Trade:
    """A trade that ended: the bar and slot of its last fill, and its money after every cost and financing."""

    bar: int
    instrument: int
    slot: int
    profit: float


@dataclass
class Result:
    """What happened to one account: a row a bar (the first included), values after step 5."""

    units: Array
    entry: Array
    stop: Array
    take_profit: Array
    cash: Array
    equity: Array
    financing: Array
    reward: Array
    ruined: NDArray[np.bool_]
    liquidated: NDArray[np.bool_]
    fills: list[Fill] = field(default_factory=list)
    trades: list[Trade] = field(default_factory=list)
    dust: bool = False
    """Whether an order asked for so little that it is rounding error which decides between a fill and none: in exact
    arithmetic it asks for what is held. Then two correct brokers may differ."""


@dataclass
class Position:
    """One instrument's position; a level or distance that is not there is None."""

    u: float = 0.0
    entry: float = 0.0
    S: float | None = None
    P: float | None = None
    trail: float | None = None
    money: float = 0.0
    """Money that went in (+) and out (−) since this trade began."""

    @property
    def side(self) -> int:
        return (self.u > 0) - (self.u < 0)


class Account:
    """One account at one broker: a cash box and a position per instrument."""

    def __init__(self, rules: BrokerRules, instruments: int) -> None:
        self.rules = rules
        self.cash = rules.cash
        self.positions = [Position() for _ in range(instruments)]
        self.alive = True
        self.fills: list[Fill] = []
        self.trades: list[Trade] = []
        self.bar = 0
        self.dust = False

    def equity(self, prices: list[float]) -> float:
        return self.cash + sum(p.u * price for p, price in zip(self.positions, prices, strict=True))

    def fill(self, i: int, slot: int, reason: str, delta: float, before: float, *, target: float | None = None) -> None:
        """Trade Δu at the price `before` slippage; `target` is the position afterwards where Δu is inexact."""
        if delta == 0:
            return
        rules, position = self.rules, self.positions[i]
        rate = 0.0 if reason == "take_profit" else rules.slippage
        price = before * (1 + rate) if delta > 0 else before * (1 - rate)
        size = abs(delta)
        slippage = size * before * rate
        commission = size * price * rules.commission + size * rules.commission_per_unit + rules.commission_fixed
        fee = size * price * rules.liquidation_fee if reason == "liquidation" else 0.0
        self.fills.append(Fill(self.bar, i, slot, reason, delta, price, commission, slippage, fee))
        self.cash -= delta * price + commission + fee

        old, new = position.u, position.u + delta if target is None else target
        ends = old != 0 and (new == 0 or new * old < 0)
        if ends:
            share = abs(old) / size  # a flip's costs belong to both trades, by units
            profit = position.money + old * price - (commission + fee) * share
            self.trades.append(Trade(self.bar, i, slot, profit))
            position.money = -new * price - (commission + fee) * (1 - share)
        else:
            position.money -= delta * price + commission + fee
        if new == 0:
            self.positions[i] = Position()
            return
        if old == 0 or ends:
            position.entry = price
        elif abs(new) > abs(old):
            position.entry = (position.entry * abs(old) + price * size) / (abs(old) + size)
        position.u = new

    def exit(self, i: int, slot: int, reason: str, before: float) -> None:
        self.fill(i, slot, reason, -self.positions[i].u, before, target=0.0)


def to_lots(units: float, lot: float) -> float:
    """Rounded toward zero to whole lots, with a hair's breadth for representation."""
    return math.trunc(units / lot * (1 + 1e-9)) * lot if lot > 0 else units


def clip(x: float, limit: float) -> float:
    return min(max(x, -limit), limit)


def replay(
    bid: Array,
    ask: Array,
    volume: Array,
    days: Array,
    targets: Array,
    stops: Array,
    takes: Array,
    rules: BrokerRules,
) -> Result:
    """Send orders through the broker.

    Args:
        bid, ask: open, high, low, close [bars, instruments, 4].
        volume: [bars, instruments]; an instrument with nothing but zeros is a market without volume.
        days: financing days of each bar [bars].
        targets: exposure asked for at each bar's close [bars, instruments]; NaN is no order.
        stops, takes: distances as fractions of the entry price; NaN is none.
        rules: the broker's. Its spread, where it has one, replaces the bars' own.
    """
    bars, instruments = targets.shape
    mid = (bid + ask) / 2
    if rules.spread is not None or rules.spread_rate is not None:
        half = ((rules.spread or 0.0) + (rules.spread_rate or 0.0) * mid) / 2
        bid, ask = mid - half, mid + half
    has_volume = [bool((volume[:, i] > 0).any()) for i in range(instruments)]

    account = Account(rules, instruments)
    empty = [np.full((bars, instruments), np.nan) for _ in range(4)]
    result = Result(
        units=empty[0],
        entry=empty[1],
        stop=empty[2],
        take_profit=empty[3],
        cash=np.zeros(bars),
        equity=np.zeros(bars),
        financing=np.zeros(bars),
        reward=np.zeros(bars),
        ruined=np.zeros(bars, bool),
        liquidated=np.zeros(bars, bool),
        fills=account.fills,
        trades=account.trades,
    )
    E = rules.cash
    for t in range(bars):
        if t > 0 and account.alive:
            before, count = E, len(account.fills)
            orders = [
                None if math.isnan(x) else (x, _given(stops[t - 1, i]), _given(takes[t - 1, i]))
                for i, x in enumerate(targets[t - 1].tolist())
            ]
            caps = [
                volume[t - 1, i] * rules.participation
                if rules.participation is not None and has_volume[i]
                else math.inf
                for i in range(instruments)
            ]
            account.bar = t
            b, a, m = bid[t].tolist(), ask[t].tolist(), mid[t].tolist()
            at_the_open(account, b, a, m, orders, caps, E, mid[t - 1, :, C].tolist())
            inside_the_bar(account, b, a)
            result.financing[t] = financing(account, m, float(days[t]))
            E = mark(account, b, a, m)
            ruined = rules.ruin * rules.cash >= E
            if ruined or (t == bars - 1 and rules.close_at_end):
                for i, p in enumerate(account.positions):
                    account.exit(i, CLOSE, "ruin" if ruined else "end", b[i][C] if p.u > 0 else a[i][C])
                E = account.equity([q[C] for q in m])
            account.alive = not ruined
            f = 1e-6 * rules.cash
            result.reward[t] = math.log(max(E, f) / max(before, f))
            result.ruined[t] = ruined
            result.liquidated[t] = any(fill.reason == "liquidation" for fill in account.fills[count:])
        result.cash[t], result.equity[t] = account.cash, E
        for i, p in enumerate(account.positions):
            result.units[t, i] = p.u
            if p.u != 0:
                result.entry[t, i] = p.entry
                result.stop[t, i] = math.nan if p.S is None else p.S
                result.take_profit[t, i] = math.nan if p.P is None else p.P
    result.dust = account.dust
    return result


def _given(distance: float) -> float | None:
    return None if math.isnan(distance) else float(distance)


Sides = list[list[float]]
Orders = list[tuple[float, float | None, float | None] | None]


def at_the_open(
    account: Account, b: Sides, a: Sides, mid: Sides, orders: Orders, caps: list[float], E_t: float, C_t: list[float]
) -> None:
    """Step 1: resting exits, liquidation, then the pending orders."""
    rules, positions = account.rules, account.positions
    n = range(len(positions))
    held = [p.u for p in positions]  # at the close of t, where the asked exposures are weighed

    # (a) resting exits which the open has reached, at the open
    left = [0] * len(positions)
    for i in n:
        p = positions[i]
        side = p.side
        if side > 0 and p.S is not None and b[i][O] <= p.S:
            account.exit(i, OPEN_EXIT, "stop", b[i][O])
        elif side > 0 and p.P is not None and b[i][O] >= p.P:
            account.exit(i, OPEN_EXIT, "take_profit", b[i][O])
        elif side < 0 and p.S is not None and a[i][O] >= p.S:
            account.exit(i, OPEN_EXIT, "stop", a[i][O])
        elif side < 0 and p.P is not None and a[i][O] <= p.P:
            account.exit(i, OPEN_EXIT, "take_profit", a[i][O])
        if positions[i].u != p.u:
            left[i] = side

    # (b) liquidation at the open
    leaving = [b[i][O] if positions[i].u > 0 else a[i][O] for i in n]
    need = sum(rules.maintenance * abs(positions[i].u) * leaving[i] for i in n)
    if any(p.u != 0 for p in positions) and account.equity(leaving) <= need:
        for i in n:
            account.exit(i, OPEN_EXIT, "liquidation", leaving[i])
        return

    # (c) the pending orders
    most = rules.max_leverage
    asked = {i: clip(order[0], most) for i, order in enumerate(orders) if order is not None}
    rest = sum(abs(held[i]) * C_t[i] / E_t for i in n if i not in asked)
    total = sum(abs(x) for x in asked.values())
    scale = min(1.0, max(0.0, most - rest) / total) if total > 0 else 1.0
    E_o = account.equity([mid[i][O] for i in n])
    for i, x in asked.items():
        if left[i] * x > 0:
            continue  # no re-entry, nor part of it, on the signal that was just stopped out or taken profit on
        limit = most * max(E_o, 0.0) / mid[i][O]
        target = to_lots(clip(x * scale * E_t / C_t[i], limit), rules.lot_size)
        if abs(target) < rules.min_units:
            target = 0.0
        held_and_asked = max(abs(positions[i].u), abs(x * scale * E_t / C_t[i]), most * 1e-3 * E_t / C_t[i])
        if target != 0 and abs(target - positions[i].u) <= 1e-10 * held_and_asked and rules.lot_size == 0:
            account.dust = True
        order = orders[i]
        assert order is not None
        place(account, i, target, caps[i], order[1], order[2], b[i][O], a[i][O])


def place(
    account: Account, i: int, target: float, cap: float, stop: float | None, take: float | None, bid: float, ask: float
) -> None:
    """One order's fill and the levels it sets."""
    rules, p = account.rules, account.positions[i]
    old, wanted = p.u, target - p.u
    if abs(wanted) > cap:
        # Counted in lots: 0.3 − 0.1 must not differ from 0.2 by a rounding error and leave dust behind.
        size = min(to_lots(cap, rules.lot_size), abs(wanted))
        if size < abs(wanted) * (1 - 1e-9):
            target = old + math.copysign(size, wanted)
            wanted = math.copysign(size, wanted)
    if rules.lot_size > 0:
        target = round(target / rules.lot_size) * rules.lot_size
    account.fill(i, ORDER, "order", wanted, ask if wanted > 0 else bid, target=target)
    p = account.positions[i]
    opens_adds_or_flips = wanted != 0 and p.u != 0 and (old * p.u <= 0 or abs(p.u) > abs(old))
    if opens_adds_or_flips:
        p.trail = None if stop is None else p.entry * stop
        p.S = None if stop is None else p.entry * (1 - p.side * stop)
        p.P = None if take is None else p.entry * (1 + p.side * take)


def inside_the_bar(account: Account, b: Sides, a: Sides) -> None:
    """Step 2, for any number of instruments: all move from the open to their adverse extremes together."""
    rules, positions = account.rules, account.positions
    n = [i for i, p in enumerate(positions) if p.u != 0]
    start, adverse, best = {}, {}, {}
    for i in n:
        p = positions[i]
        if p.u > 0:
            start[i], adverse[i], best[i] = b[i][O], b[i][L], b[i][H]
            p.S = None if p.S is None else min(p.S, start[i])
            p.P = None if p.P is None else max(p.P, start[i])
        else:
            start[i], adverse[i], best[i] = a[i][O], a[i][H], a[i][L]
            p.S = None if p.S is None else max(p.S, start[i])
            p.P = None if p.P is None else min(p.P, start[i])

    if len(positions) == 1:
        for i in n:
            _inside_alone(account, i, start[i], adverse[i], best[i])
        return

    def surplus(prices: dict[int, float]) -> float:
        """Equity above maintenance."""
        worth = sum(positions[i].u * prices[i] for i in n)
        return account.cash + worth - rules.maintenance * sum(abs(positions[i].u) * prices[i] for i in n)

    breach = math.inf
    if n:
        at_start, at_worst = surplus(start), surplus(adverse)
        if at_start <= 0:
            breach = 0.0
        elif at_worst <= 0:
            breach = at_start / (at_start - at_worst)
    leaves: list[tuple[int, str, float]] = []
    for i in n:
        p = positions[i]
        sign, span = p.side, adverse[i] - start[i]
        hit = p.S is not None and sign * adverse[i] <= sign * p.S
        met = math.inf
        if hit:
            assert p.S is not None
            met = (p.S - start[i]) / span if span != 0 else 0.0
        if hit and met <= breach:
            assert p.S is not None
            leaves.append((i, "stop", p.S))
        elif breach <= 1:
            leaves.append((i, "liquidation", start[i] + breach * span))
        elif p.P is not None and sign * best[i] > sign * p.P:
            leaves.append((i, "take_profit", p.P))
    for i, reason, price in leaves:
        account.exit(i, INSIDE, reason, price)


def _inside_alone(account: Account, i: int, start: float, adverse: float, best: float) -> None:
    """Step 2 as it stands for one instrument."""
    m, p = account.rules.maintenance, account.positions[i]
    c = account.cash
    if p.u > 0:
        M = min(-c / (p.u * (1 - m)), start)
        stop_hit, margin_hit = p.S is not None and adverse <= p.S, adverse <= M
        stop_first = p.S is not None and p.S >= M
        taken = p.P is not None and best > p.P
    else:
        M = max(c / (abs(p.u) * (1 + m)), start)
        stop_hit, margin_hit = p.S is not None and adverse >= p.S, adverse >= M
        stop_first = p.S is not None and p.S <= M
        taken = p.P is not None and best < p.P
    if stop_hit and (stop_first or not margin_hit):
        assert p.S is not None
        account.exit(i, INSIDE, "stop", p.S)
    elif margin_hit:
        account.exit(i, INSIDE, "liquidation", M)
    elif taken:
        assert p.P is not None
        account.exit(i, INSIDE, "take_profit", p.P)


def financing(account: Account, mid: Sides, days: float) -> float:
    """Step 3: charged on what is held at the close."""
    total = 0.0
    for i, p in enumerate(account.positions):
        rate = account.rules.financing_long if p.u > 0 else account.rules.financing_short
        paid = abs(p.u) * mid[i][C] * rate * days / 365
        p.money -= paid
        total += paid
    account.cash -= total
    return total


def mark(account: Account, b: Sides, a: Sides, mid: Sides) -> float:
    """Step 4: equity at mid; then trailing stops move behind the favourable extreme, only ever toward the price."""
    if account.rules.trailing:
        for i, p in enumerate(account.positions):
            if p.S is None or p.trail is None:
                continue
            p.S = max(p.S, b[i][H] - p.trail) if p.u > 0 else min(p.S, a[i][L] + p.trail)
    return account.equity([q[C] for q in mid])
