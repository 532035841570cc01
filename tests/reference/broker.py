"""A second broker, written from the accounting rules alone, to check the kernel against.

It is slow and plain on purpose: one account, float64, a loop over bars and branches in the order in which the rules
stand. It shares no code and no representation with `markets.broker` (see `reference.books`).

Symbols: O H L C on the bid (`b`), the ask (`a`) and in the middle (`mid`); u units, E equity, S stop, P take-profit,
M liquidation price, m maintenance.
"""

import math

import numpy as np
from reference.books import Account, Array, Result

from markets.rules import BrokerRules

__all__ = ["replay"]

OPEN_EXIT, ORDER, INSIDE, CLOSE = range(4)
"""Slots of a bar, in order: exits at the open, the order, the exit inside the bar, the close."""
O, H, L, C = range(4)

Sides = list[list[float]]
"""[instruments][open, high, low, close]"""
Orders = list[tuple[float, float | None, float | None] | None]
"""Exposure, stop distance and take-profit distance of each instrument; None where nothing is asked."""


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
            ruined = account.apart(E, rules.ruin * rules.cash, scale=rules.cash) <= 0
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
    result.doubtful = account.doubtful
    return result


def _given(distance: float) -> float | None:
    return None if math.isnan(distance) else float(distance)


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
        if side > 0 and p.S is not None and account.apart(b[i][O], p.S) <= 0:
            account.exit(i, OPEN_EXIT, "stop", b[i][O])
        elif side > 0 and p.P is not None and account.apart(b[i][O], p.P) >= 0:
            account.exit(i, OPEN_EXIT, "take_profit", b[i][O])
        elif side < 0 and p.S is not None and account.apart(a[i][O], p.S) >= 0:
            account.exit(i, OPEN_EXIT, "stop", a[i][O])
        elif side < 0 and p.P is not None and account.apart(a[i][O], p.P) <= 0:
            account.exit(i, OPEN_EXIT, "take_profit", a[i][O])
        if positions[i].u != p.u:
            left[i] = side

    # (b) liquidation at the open
    leaving = [b[i][O] if positions[i].u > 0 else a[i][O] for i in n]
    need = sum(rules.maintenance * abs(positions[i].u) * leaving[i] for i in n)
    notional = sum(abs(p.u) * price for p, price in zip(positions, leaving, strict=True))
    if notional > 0 and account.apart(account.equity(leaving), need, scale=notional) <= 0:
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
        if rules.lot_size == 0 and x != 0 and (target != 0 or rules.min_units == 0):
            account.apart(target, positions[i].u, scale=most * 1e-3 * E_t / C_t[i])
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
    positions = account.positions
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

    breach = math.inf
    if n:
        at_start, at_worst = _surplus(account, start), _surplus(account, adverse)
        if at_start <= 0:
            breach = 0.0
        elif at_worst <= 0:
            breach = at_start / (at_start - at_worst)
    leaves: list[tuple[int, str, float]] = []
    for i in n:
        p = positions[i]
        sign, span = p.side, adverse[i] - start[i]
        hit = p.S is not None and sign * account.apart(adverse[i], p.S) <= 0
        met = math.inf
        if hit:
            assert p.S is not None
            met = (p.S - start[i]) / span if span != 0 else 0.0
        if hit and account.apart(met, breach) <= 0:
            assert p.S is not None
            leaves.append((i, "stop", p.S))
        elif breach <= 1:
            leaves.append((i, "liquidation", start[i] + breach * span))
        elif p.P is not None and sign * account.apart(best[i], p.P) > 0:
            leaves.append((i, "take_profit", p.P))
    for i, reason, price in leaves:
        account.exit(i, INSIDE, reason, price)


def _surplus(account: Account, prices: dict[int, float]) -> float:
    """Equity above maintenance at these prices."""
    held = {i: account.positions[i].u for i in prices}
    worth = sum(u * prices[i] for i, u in held.items())
    notional = sum(abs(u) * prices[i] for i, u in held.items())
    return account.apart(account.cash + worth, account.rules.maintenance * notional, scale=notional)


def _inside_alone(account: Account, i: int, start: float, adverse: float, best: float) -> None:
    """Step 2 as it stands for one instrument."""
    m, p, c = account.rules.maintenance, account.positions[i], account.cash
    if p.u > 0:
        M = min(-c / (p.u * (1 - m)), start)
    else:
        M = max(c / (abs(p.u) * (1 + m)), start)
    side = p.side
    stop_hit = p.S is not None and side * account.apart(adverse, p.S) <= 0
    margin_hit = side * account.apart(adverse, M) <= 0
    stop_first = p.S is not None and side * account.apart(p.S, M) >= 0
    if p.S is not None and stop_hit and (stop_first or not margin_hit):
        account.exit(i, INSIDE, "stop", p.S)
    elif margin_hit:
        account.exit(i, INSIDE, "liquidation", M)
    elif p.P is not None and side * account.apart(best, p.P) > 0:
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
