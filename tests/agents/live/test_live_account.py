"""What a champion sees of its account, how it is scaled down and what it asks for, against the arena's functions."""

import itertools
import math
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hand_bundles import REGIME_SETTINGS, SMALL, bars_of, hand_bundle

from agents.decision import direction, order
from agents.live import Account, Bar, Champion, Decision
from agents.live.account import Keeper, Kept, view
from agents.live.decision import best, confidence
from agents.live.memory import Caution, Trust
from agents.memory import Memory, MemorySettings, caution
from agents.observation import account_view
from genomes.genes import Genes
from genomes.species import DEFAULT_ACTIONS
from markets.account import Account as ArenaAccount
from markets.bars import CLOSE
from markets.errors import UserError
from markets.features import compute_features, features, relative_atr
from markets.regimes import REGIMES, classify

pytestmark = pytest.mark.usefixtures("plainly_compiled")


def arena_account(equity: Any, units: Any, entry: Any) -> ArenaAccount:
    """Of one agent in as many episodes as there are rows."""
    none = jnp.zeros((1, len(equity)))
    one = none[..., None]
    units, entry = (jnp.asarray(part, jnp.float32)[None, :, None] for part in (units, entry))
    return ArenaAccount(
        none, none, units, entry, one, one, one, one, jnp.asarray(equity, jnp.float32)[None], none.astype(bool)
    )


def arena_view(equity: Any, units: Any, entry: Any, peak: Any, held: Any, close: Any, atr: Any) -> Any:
    """The arena's view of many accounts, each at a bar of its own [rows, 4]."""
    bar = (jnp.asarray(part, jnp.float32)[:, None] for part in (close, atr))
    account, peak = arena_account(equity, units, entry), jnp.asarray(peak, jnp.float32)[None]
    return account_view(account, *bar, peak, jnp.asarray(held, jnp.float32)[None, :, None])[0, :, 0]


def test_the_view_is_the_arenas() -> None:
    rng = np.random.default_rng(6)
    equity = 10 ** rng.uniform(-3, 6, 500)
    units = np.where(rng.random(500) < 0.3, 0.0, rng.normal(size=500)) * 10 ** rng.uniform(-3, 4, 500)
    entry, close = 10 ** rng.uniform(-1, 1, (2, 500))
    peak, held, atr = equity * rng.uniform(1, 3, 500), rng.integers(0, 3000, 500), 10 ** rng.uniform(-5, 0, 500)
    peak[:20] = equity[:20] * 1e8
    rows = np.asarray([equity, units, entry, peak, held, close, atr], np.float32).T
    wanted = np.asarray(arena_view(*rows.T))
    got = np.stack([view(Kept(*row[:5]), *row[5:]) for row in rows])
    assert got.dtype == np.float32
    np.testing.assert_allclose(got, wanted, rtol=2e-6, atol=1e-6)
    assert (np.abs(wanted) < 5.0).all(axis=1).any()
    assert (np.abs(wanted) == 5.0).any()


def test_caution_is_the_arenas() -> None:
    rng, settings = np.random.default_rng(0), MemorySettings(reach=0.7, strength=0.6)
    moments = rng.normal(size=(4, 6)).astype(np.float32)
    weight = np.asarray([0.3, 0.0, 1.0, 0.0], np.float32)
    rows = np.concatenate([rng.normal(size=(30, 6)), moments, moments + 0.05]).astype(np.float32)
    wanted = caution(Memory(jnp.asarray(moments), jnp.asarray(weight)), jnp.asarray(rows), settings)
    mine = Caution(moments, weight, settings.reach, settings.strength)
    np.testing.assert_allclose([mine.factor(row) for row in rows], wanted, rtol=2e-6)
    assert min(wanted) < 0.45  # it matters here
    assert Caution(moments, np.zeros(4, np.float32), 0.7, 0.6).factor(rows[0]) == 1.0


def test_trust_scales_from_its_floor_on() -> None:
    trust = Trust(np.asarray([0.0, 1.0, 0.5, 0.2], np.float32), 0.25)
    np.testing.assert_allclose([trust.factor(regime) for regime in range(4)], [0.25, 1.0, 0.625, 0.4], rtol=1e-6)


def test_the_best_action_is_the_arenas_ties_and_all() -> None:
    edges = [0.0, -0.0, 1.0, 1.5, -2.0, math.nan, math.inf]
    values = list(itertools.product(edges, repeat=3))
    wanted = direction(jnp.asarray(values, jnp.float32), DEFAULT_ACTIONS)
    assert [DEFAULT_ACTIONS.exposures[best(list(row))] for row in values] == np.asarray(wanted).tolist()


def test_confidence_is_the_lead_over_the_second_as_a_share_of_the_span() -> None:
    assert confidence([1.0, 5.0, 3.0]) == 0.5
    assert confidence([2.0, 2.0, 2.0]) == 0.0
    assert confidence([2.0, 2.0, 1.0]) == 0.0
    assert confidence([-1.0, 3.0, -1.0]) == 1.0


def test_peak_and_holding_are_kept_for_those_who_do_not_tell() -> None:
    keeper, found = Keeper(), []
    for equity, units in ((100, 0), (90, 2), (95, 1), (120, -1), (110, -1), (100, 0), (130, 3)):
        kept = keeper.keep(Account(equity, units, 1.0))
        assert not isinstance(kept, str)
        found.append((float(kept.peak), float(kept.held)))
    assert found == [(100, 0), (100, 1), (100, 2), (120, 1), (120, 2), (120, 0), (130, 1)]


def test_what_is_told_of_peak_and_holding_is_taken_and_remembered() -> None:
    keeper = Keeper()
    kept = keeper.keep(Account(100.0, 1.0, 1.0, peak=150.0, held=7.0))
    assert not isinstance(kept, str)
    assert (kept.peak, kept.held) == (150.0, 7.0)
    kept = keeper.keep(Account(100.0, 1.0, 1.0))
    assert not isinstance(kept, str)
    assert (kept.peak, kept.held) == (150.0, 8.0)


@pytest.mark.parametrize(
    "account",
    [
        Account(math.nan, 0.0),
        Account(0.0, 0.0),
        Account(-5.0, 0.0),
        Account(math.inf, 0.0),
        Account(1e60, 0.0),
        Account(1.0, math.nan),
        Account(1.0, math.inf),
        Account(1.0, 1.0, math.nan),
        Account(1.0, 1.0, 1.0, peak=0.0),
        Account(1.0, 1.0, 1.0, held=-1.0),
    ],
)
def test_an_account_that_says_nothing_of_use_is_named(account: Account) -> None:
    told = Keeper().keep(account)
    assert isinstance(told, str)
    assert told.startswith("account: ")


@pytest.mark.parametrize("entry", [None, 0.0, -1.2, math.nan, math.inf, 1e-60])
@pytest.mark.parametrize("units", [3.0, -3.0])
def test_a_position_without_a_price_it_was_opened_at_is_not_decided_for(units: float, entry: float | None) -> None:
    assert Keeper().keep(Account(1.0, units, entry)) == "account: units without an entry price"
    assert isinstance(Keeper().keep(Account(1.0, 0.0, entry)), Kept)


def test_an_account_may_be_a_mapping_and_its_numbers_text() -> None:
    told = {"equity": "1000", "units": -2, "entry": "1.5", "held": 4.0}
    assert Keeper().keep(Account.of(told)) == Keeper().keep(Account(1000.0, -2.0, 1.5, held=4.0))
    assert Account.of({"equity": 1.0, "units": 0.0}) == Account(1.0, 0.0)


@pytest.mark.parametrize(
    ("given", "line"),
    [
        ({"equity": 1.0}, "account: units is missing; it has: equity"),
        ({"equity": "much", "units": 0}, "account: expected a number, got 'much'"),
        ({}, "account: equity is missing; it has: nothing"),
        ({"equity": 1, "units": 0, "cash": 1}, "account: 'cash' is not one of equity, units, entry, peak, held"),
        (None, "account: expected an Account, or a mapping with equity and units, got None"),
        (10_000.0, "account: expected an Account, or a mapping with equity and units, got 10000.0"),
    ],
)
def test_what_is_no_account_is_a_mistake_of_one_line(given: Any, line: str) -> None:
    with pytest.raises(UserError) as caught:
        Account.of(given)
    assert str(caught.value) == line


def test_a_position_goes_on_while_the_account_says_nothing() -> None:
    keeper = Keeper()
    keeper.keep(Account(1.0, 1.0, 1.0))
    keeper.keep(Account(math.nan, 1.0, 1.0))
    kept = keeper.keep(Account(1.0, 1.0, 1.0))
    assert not isinstance(kept, str)
    assert kept.held == 3.0


@pytest.mark.parametrize(
    ("kind", "own", "stops"),
    [("qnetwork", {}, True), ("forest", {"depth": 2}, False)],
)
def test_it_asks_for_what_the_arena_asks_for(kind: str, own: dict[str, Any], stops: bool, tmp_path: Path) -> None:
    """From the bars to the order, with an account of any kind at every bar."""
    hand = hand_bundle(tmp_path / "b", kind, settings=own, stops=stops)
    champion, bars, rng = Champion.load(tmp_path / "b"), bars_of(360, seed=8), np.random.default_rng(2)
    first = hand.warm_up - 1
    champion.warm_up(bars[:first])
    rows = np.arange(first, len(bars))
    side = rng.choice([-1.0, 0.0, 1.0], len(rows))
    close = bars.mid[rows, CLOSE]
    accounts = [
        Account(equity, s * 9_000 / c, c * lag, peak=equity * 1.1, held=abs(s) * 3)
        for equity, s, c, lag in zip(
            rng.uniform(8e3, 12e3, len(rows)), side, close, rng.uniform(0.99, 1.01, len(rows)), strict=True
        )
    ]
    got = [
        champion.on_bar(Bar(bars.time[row], bars.bid[row], bars.ask[row], bars.volume[row]), account)
        for row, account in zip(rows, accounts, strict=True)
    ]
    wanted = _arena(hand, bars, rows, accounts, stops)
    assert [REGIMES.index(d.regime) for d in got] == wanted["regime"].tolist()
    np.testing.assert_allclose([d.values for d in got], wanted["values"], rtol=1e-4, atol=1e-5)
    clear = np.sort(wanted["values"], axis=1)
    clear = clear[:, -1] - clear[:, -2] > 1e-4
    assert clear.mean() > 0.9
    assert {d.action for d in got} >= {1, 2}
    for name in ("target", "stop", "take_profit"):
        mine = np.asarray([math.nan if getattr(d, name) is None else getattr(d, name) for d in got])
        np.testing.assert_allclose(mine[clear], wanted[name][clear], rtol=1e-5, err_msg=name)
    assert {d.order for d in got} == {True, False}


def _arena(hand: Any, bars: Any, rows: Any, accounts: list[Account], stops: bool) -> dict[str, Any]:
    """The arena's functions on the whole history at once."""
    quoted = bars.with_spread(None, 2e-4)
    seen = hand.scaler.apply(compute_features(features(SMALL), quoted))[rows]
    regime = classify(quoted.mid[:, CLOSE], REGIME_SETTINGS)[rows]
    atr = np.maximum(np.nan_to_num(relative_atr(quoted), nan=1.0), 1e-6)[rows].astype(np.float32)
    close = np.float32(0.5) * (quoted.bid[rows, CLOSE].astype(np.float32) + quoted.ask[rows, CLOSE].astype(np.float32))
    column = {name: np.asarray([getattr(a, name) for a in accounts], np.float32) for name in Account.__slots__}
    account = arena_account(column["equity"], column["units"], column["entry"])
    own = arena_view(*(column[name] for name in Account.__slots__), close, atr)
    genome = jax.tree.map(jnp.asarray, hand.genome)
    code = hand.species.encode(genome, jnp.asarray(seen)[None])
    values, _ = hand.species.values(genome, jax.tree.map(lambda leaf: leaf[0], code), own, ())
    memory = Memory(jnp.asarray(hand.tensors["memory.features"]), jnp.asarray(hand.tensors["memory.weight"]))
    careful = caution(memory, jnp.asarray(seen), MemorySettings(reach=0.5, strength=0.8))
    believed = 0.25 + 0.75 * hand.tensors["trust"][regime]
    wanted = direction(values, DEFAULT_ACTIONS)[None, :, None]
    genes = Genes(*(jnp.asarray([gene]) for gene in hand.genes))
    ask = order(
        wanted, account.units, (careful * believed)[None, :, None], jnp.asarray(atr)[:, None], genes, stops=stops
    )
    none = np.isnan(np.asarray(ask.target[0, :, 0]))
    return {
        "regime": regime,
        "values": np.asarray(values),
        "target": np.asarray(ask.target[0, :, 0]),
        "stop": np.where(none, np.nan, np.asarray(ask.stop_loss[0, :, 0])),
        "take_profit": np.where(none, np.nan, np.asarray(ask.take_profit[0, :, 0])),
    }


def test_a_decision_of_nothing_has_a_reason_and_no_order() -> None:
    decision = Decision.none("gap: 3 seconds")
    assert not decision.order
    assert (decision.action, decision.regime, decision.reason) == (None, "unknown", "gap: 3 seconds")
