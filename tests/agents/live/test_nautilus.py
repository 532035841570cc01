"""A champion in NautilusTrader's own backtest: what it decides and earns there is what it does in the arena."""

from pathlib import Path

import numpy as np
import polars as pl
import pytest

pytest.importorskip("nautilus_trader", reason="NautilusTrader (extra `nautilus`) is not installed")

from hand_bundles import hand_bundle, rewrite
from nautilus_worlds import CENTS, TICK, Arena, Traded, in_the_arena, in_the_engine, on_ticks
from reconciling import reconcile

from agents.live import Decision
from markets.bars import Bars
from markets.rules import BrokerRules
from markets.synthetic import SyntheticSettings, simulate

pytestmark = pytest.mark.usefixtures("plainly_compiled")

RULES = BrokerRules(cash=100_000.0, lot_size=1.0, commission=2e-5, max_leverage=2.0, close_at_end=False)
FIRST, COUNT = 30_000, 1_500


@pytest.fixture(scope="module")
def real(shared_data: Path) -> Bars:
    """Hourly EURUSD with both sides, from November 2011 on."""
    frame = pl.read_parquet(shared_data / "fx" / "EURUSD_H1_bidask.parquet")[FIRST : FIRST + COUNT]
    time = frame["timestamp"].dt.replace_time_zone(None).to_numpy().astype("datetime64[us]")
    names = ("open", "high", "low", "close")
    bid, ask = (frame.select(f"{side}{name}" for name in names).to_numpy() for side in ("", "ask_"))
    return Bars("EURUSD", time, bid, ask, np.zeros(len(time)))


@pytest.fixture(scope="module")
def made_up() -> Bars:
    """Bars of a made-up market, on ticks, with a spread."""
    (bars,) = simulate(SyntheticSettings(bars=900, symbols=1), 5)
    scale = 1.3 / bars.mid[0, 0]
    mid = Bars.from_mid("MADE", bars.time, bars.mid * scale, 0.00012)
    return on_ticks(mid)


def bundle_of(folder: Path, kind: str, bars: Bars, *, stop: float | None, take_profit: float = 1.5) -> Path:
    """A champion whose levels are near enough to be met; without a stop it has none."""
    near = {} if stop is None else {"stop": stop, "take_profit": take_profit}
    made = hand_bundle(
        folder / "champion",
        kind,
        bars=bars,
        rules=RULES,
        stops=stop is not None,
        change=lambda tensors: tensors.update({f"genes.{name}": np.asarray(near[name], np.float32) for name in near}),
    )
    made.manifest["genes"] |= near
    rewrite(made.path, made.manifest)
    return made.path


def both(bundle: Path, bars: Bars, **how: object) -> tuple[Arena, Traded]:
    return in_the_arena(bundle, bars, RULES), in_the_engine(bundle, bars, RULES, **how)


def apart(arena: Arena, traded: Traded, until: np.datetime64 | None = None) -> float:
    """Largest difference of equity, as a share of it, at the same bars; decisions up to then must be the same."""
    there = {one.time: one for one in traded.seen}
    ours = [one for one in arena.seen if until is None or one.time < until]
    assert len(ours) > 150
    for one in ours:
        assert asked(there[one.time].decision) == asked(one.decision)
    ledger = dict(zip(arena.ledger["timestamp"].dt.replace_time_zone(None), arena.ledger["equity"], strict=True))
    ratio = [there[one.time].account.equity / ledger[one.time.item()] for one in ours]
    return float(np.abs(np.asarray(ratio) - 1).max())


def asked(decision: Decision) -> tuple[object, ...]:
    return decision.action, decision.target, decision.stop, decision.take_profit, decision.reason


def kinds_of(differences: list) -> dict[str, int]:
    kinds = [difference.kind for difference in differences]
    return {kind: kinds.count(kind) for kind in sorted(set(kinds))}


@pytest.mark.parametrize(("market", "kind"), [("real", "qnetwork"), ("made_up", "forest")])
def test_without_stops_orders_and_equity_are_the_arenas(
    market: str, kind: str, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    bars = request.getfixturevalue(market)
    arena, traded = both(bundle_of(tmp_path, kind, bars, stop=None), bars)
    assert apart(arena, traded) < 1e-9  # money to eight decimals
    fills, differences = reconcile(arena.fills, traded.fills, bars, tick=TICK, share=0.0)
    assert fills > 20
    assert not differences
    paid = sum(fill.commission for fill in traded.fills)
    assert paid == pytest.approx(sum(fill.commission for fill in arena.fills), abs=1e-7 * fills)


@pytest.mark.parametrize(("market", "kind", "stop"), [("real", "forest", 1.0), ("made_up", "qnetwork", 2.0)])
def test_with_stops_only_what_is_told_differs(
    market: str, kind: str, stop: float, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    bars = request.getfixturevalue(market)
    arena, traded = both(bundle_of(tmp_path, kind, bars, stop=stop, take_profit=1.5 * stop), bars)
    _, all_of_them = reconcile(arena.fills, traded.fills, bars, tick=TICK, share=1.0)
    # From where a bar met both levels on, the accounts are different ones; up to there everything is told.
    turned = [one.time for one in all_of_them if one.kind == "order of prices"]
    until = min(turned, default=bars.time[-1])
    share = apart(arena, traded, until)
    assert share < 1e-4
    mine, theirs = ([fill for fill in fills if fill.time < until] for fills in (arena.fills, traded.fills))
    fills, differences = reconcile(mine, theirs, bars, tick=TICK, share=2 * share)
    assert fills > 30
    assert sum(fill.reason in ("stop", "take_profit") for fill in mine) > 3
    assert not kinds_of(differences).keys() - {"tick", "gap", "lots"}
    # What one account has over the other is the sum of these, but for sizes that followed equity.
    there = {one.time: one.account.equity for one in traded.seen}
    last = [one for one in arena.seen if one.time < until][-1]
    worth = sum(one.money for one in differences)
    assert there[last.time] - last.account.equity == pytest.approx(worth, abs=2e-6 * RULES.cash)


def test_cents_are_all_that_a_dollar_account_rounds(made_up: Bars, tmp_path: Path) -> None:
    arena, traded = both(bundle_of(tmp_path, "qnetwork", made_up, stop=None), made_up, currency=CENTS)
    share = apart(arena, traded)
    fills = len(traded.fills)
    assert 0 < share * RULES.cash < 0.01 * fills  # half a cent of profit and half of commission each at most
    _, differences = reconcile(arena.fills, traded.fills, made_up, tick=TICK, share=0.0)
    assert not kinds_of(differences).keys() - {"lots"}
