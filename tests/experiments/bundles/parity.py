"""How far arena, runner and ONNX model of a champion agree on some bars: everything counted, nothing judged.

Fed the same observations: action values, leaves and actions. By themselves: features, regimes and ATR. Running free
from the first bar behind the warm-up, the arena in float32 and the runner with a float64 account: where they part, and
what they were doing there.
"""

import dataclasses
import functools
import importlib
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from arenas import Twin, journey, leaves_of, tape_of, twin_of, values_of
from numpy.typing import NDArray

from experiments.bundles.packing import pack_runner
from markets import broker
from markets.account import Bar, Order
from markets.bars import CLOSE, Bars
from markets.regimes import REGIMES
from markets.rules import BrokerRules
from markets.settings import build

__all__ = ["TIE", "Parity", "compare", "packed", "same_observations"]

TIE = 1e-4
"""Values nearer to each other than this are a tie, which rounding may settle either way."""

_TOUCH = 2e-6
"""Share of the price within which float32 and float64 may differ on whether a level was met: some of its last bits."""

_TURN = 5e-5
"""Distance of an account's number from a tree's threshold within which the two accounts may turn differently."""


@dataclasses.dataclass
class Parity:
    """What was compared, and what was found.

    Attributes:
        bars: decisions compared.
        features, regimes, ranges: rows on which bits differ (ranges: the true range).
        runner, model: largest difference of action values to the arena's, as a share of the row's largest |value|; of
            half of what that usually is where that is more.
        leaves: leaves that differ.
        actions: rows on which an action differs though the two best values are further apart than `TIE`.
        ties: rows on which they are not.
        tied_actions: of these, rows on which an action differs.
        view: largest difference of what is seen of the two accounts, running free, where both are on one side.
        orders: of the arena, running free.
        parted: rows on which the free runs differ in action or side.
        partings: the first rows of those, each with what explains it; "unexplained" where nothing does.
        equity: largest relative difference of equity between the free runs.
        broker: largest relative difference of the shadow's equity to the broker's own in float64.
    """

    bars: int = 0
    features: int = 0
    regimes: int = 0
    ranges: int = 0
    runner: float = 0.0
    model: float = 0.0
    leaves: int = 0
    actions: int = 0
    ties: int = 0
    tied_actions: int = 0
    view: float = 0.0
    orders: int = 0
    parted: int = 0
    partings: list[str] = dataclasses.field(default_factory=list)
    equity: float = 0.0
    broker: float = 0.0


@functools.cache
def packed() -> Any:
    """The runner as it travels in bundles: packed, written out and imported under a name of its own.

    What is compared is then what a bot loads; and the types of its calls are not checked bar by bar, which would cost
    more than all else here.
    """
    folder = tempfile.TemporaryDirectory()
    for name, content in pack_runner().items():
        path = Path(folder.name, "parity_runner", name)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
    sys.path.insert(0, folder.name)
    try:
        runner, shadow, bars = (
            importlib.import_module(f"parity_runner{name}") for name in ("", ".shadow", ".markets.bars")
        )
    finally:
        sys.path.remove(folder.name)
    runner.Walk, runner.Shadow, runner.Bars, runner.folder = shadow.Walk, shadow.Shadow, bars.Bars, folder
    return runner


class _Listener:
    """Writes down what a shadow account held after each bar, and its levels."""

    def __init__(self, shadow: Any) -> None:
        self.levels: list[tuple[float, float]] = []
        self.books: list[tuple[float, float]] = []
        meet = shadow.meet

        def listen(*words: Any, **named: Any) -> None:
            meet(*words, **named)
            self.levels.append((shadow._stop, shadow._take))
            self.books.append((shadow.equity, shadow.units))

        shadow.meet = listen


def compare(bundle: Path, bars: Bars) -> Parity:
    """Compare everything on these bars, which are longer than the warm-up."""
    live = packed()
    champion = live.Champion.load(bundle)
    manifest = champion.manifest
    twin, market = twin_of(manifest, bundle), tape_of(manifest, bars)
    first = manifest["warm_up"] - 1
    seen = journey(twin, market)
    count = len(seen.peak)
    rows = slice(first, first + count)
    features, regime, ranges = (
        np.asarray(leaf)[rows] for leaf in (market.tape.features[:, 0], market.tape.regime, market.tape.atr[:, 0])
    )
    found = Parity(bars=count, orders=int(np.isfinite(seen.order.target[:, 0]).sum()))
    same_observations(found, champion, live.Champion.load(bundle, backend="onnx"), twin, features, seen.view[:, 0])

    noted: list[Any] = []
    take = champion._market.take

    def listen(bar: Any) -> Any:
        taken = take(bar)
        noted.append(taken[1])
        return taken

    champion._market.take = listen
    views: list[Any] = []
    answer = champion._minds[0].brain.values

    def look(features: Any, view: Any) -> Any:
        views.append(view)
        return answer(features, view)

    champion._minds[0].brain.values = look
    walk = live.Walk(champion)
    shadow = _Listener(walk._shadow)
    steps = walk.extend(live.Bars(bars.symbol, bars.time, bars.bid, bars.ask, bars.volume))[:count]
    noted = noted[:count]
    known = np.asarray([not isinstance(one, str) for one in noted])
    found.regimes = int((known != (regime < len(REGIMES) - 1)).sum())
    both = np.flatnonzero(known)
    found.features = int((np.stack([noted[row].features for row in both]) != features[both]).any(1).sum())
    found.regimes += int((np.asarray([noted[row].regime for row in both]) != regime[both]).sum())
    found.ranges = int((np.asarray([noted[row].atr for row in both], np.float32) != ranges[both]).sum())
    _free_runs(found, twin, seen, steps, shadow, bars, rows, features)
    together = [row for row in both if np.sign(steps[row].account.units) == np.sign(seen.account.units[row, 0])]
    decided = np.flatnonzero([one.decision.action is not None for one in steps])
    mine = dict(zip(decided.tolist(), views, strict=False))
    apart = [np.abs(mine[row] - seen.view[row, 0]).max() for row in together if row in mine]
    found.view = float(max(apart))
    return found


def same_observations(
    found: Parity, champion: Any, model: Any, twin: Twin, features: NDArray[Any], view: NDArray[Any]
) -> None:
    """Fill in what comes of the same float32 observations."""
    arena = values_of(twin, features, view)
    largest = np.abs(arena).max(1)
    size = np.maximum(largest, 0.5 * np.median(largest))[:, None]
    own, theirs = champion.values(features, view), model.values(features, view)
    found.runner, found.model = (float((np.abs(other - arena) / size).max()) for other in (own, theirs))
    ranked = np.sort(arena, axis=1)
    tie = ranked[:, -1] - ranked[:, -2] <= TIE
    differs = (own.argmax(1) != arena.argmax(1)) | (theirs.argmax(1) != arena.argmax(1))
    found.ties, found.tied_actions, found.actions = (int(mask.sum()) for mask in (tie, tie & differs, ~tie & differs))
    if twin.setup.species.name == "forest":
        found.leaves = int((champion.leaves(features, view) != leaves_of(twin, features, view)).sum())


def _free_runs(
    found: Parity, twin: Twin, seen: Any, steps: Any, shadow: _Listener, bars: Bars, rows: slice, features: Any
) -> None:
    """Fill in how the two free runs part."""
    units, equity = seen.account.units[:, 0], seen.account.equity
    books = np.asarray(shadow.books)[rows]
    own_equity, own_units = books[:, 0], books[:, 1]
    action = np.asarray([-1 if one.decision.action is None else one.decision.action for one in steps])
    arena = np.where(np.asarray([one.decision.action is None for one in steps]), -1, seen.values[:, 0].argmax(1))
    apart = (action != arena) | (np.sign(units) != np.sign(own_units))
    found.parted = int(apart.sum())
    found.equity = float(np.abs(own_equity / equity - 1).max())
    for row in np.flatnonzero(apart & ~np.concatenate([[False], apart[:-1]])):
        found.partings.append(_why(twin, seen, steps, shadow, bars, rows, features, int(row)))
    found.broker = _broker(twin.manifest["broker"], steps, bars, rows, own_equity)


def _why(twin: Twin, seen: Any, steps: Any, shadow: _Listener, bars: Bars, rows: slice, features: Any, row: int) -> str:
    """What explains a parting: nearly equal values, a tree's threshold, or a level that a bar just touched."""
    ranked = np.sort(seen.values[row, 0])
    if ranked[-1] - ranked[-2] <= TIE:
        return "tie"
    if steps[row].decision.values is not None:
        mine = np.sort(np.asarray(steps[row].decision.values))
        if mine[-1] - mine[-2] <= TIE:
            return "tie"
    at = rows.start + row
    rules = twin.manifest["broker"]
    quoted = bars.with_spread(rules["spread"], rules["spread_rate"])
    prices = np.concatenate([quoted.bid[at], quoted.ask[at]])
    arena = seen.account.stop[row - 1, 0], seen.account.take_profit[row - 1, 0]
    for level in (*shadow.levels[at - 1], *shadow.levels[at], *arena):
        if np.isfinite(level) and np.abs(prices / level - 1).min() <= _TOUCH:
            return "touch"
    if twin.setup.species.name == "forest":
        genome = twin.trader.genome
        asks = genome.state.feature - features.shape[1]
        view = seen.view[row, 0]
        near = np.abs(view[np.maximum(asks, 0)] - genome.state.threshold) <= _TURN
        if ((asks >= 0) & near).any():
            return "threshold"
    return f"unexplained at row {at}"


def _broker(rules: Mapping[str, Any], steps: Any, bars: Bars, rows: slice, own: NDArray[np.float64]) -> float:
    """Largest relative difference of the shadow's equity to that of the kernel in float64, sent the same orders."""
    quoted = bars.with_spread(rules["spread"], rules["spread_rate"])[slice(rows.start, rows.start + len(steps))]
    sides = [side[1:, None, column] for column in range(4) for side in (quoted.bid, quoted.ask)]
    zeros = np.zeros((len(steps) - 1, 1))
    decided = [one.decision for one in steps[:-1]]
    orders = Order(
        *(
            np.asarray([np.nan if (value := getattr(one, name)) is None else value for one in decided])[:, None]
            for name in ("target", "stop", "take_profit")
        )
    )
    met = Bar(*sides, quoted.mid[:-1, None, CLOSE], zeros + np.inf, zeros, np.zeros(len(zeros), bool))
    with jax.enable_x64(True):
        equity = np.asarray(_ledger(build(BrokerRules, rules), jax.tree.map(jnp.asarray, (orders, met))))
    return float(np.abs(own[1:] / equity - 1).max())


@functools.partial(jax.jit, static_argnums=0)
def _ledger(rules: BrokerRules, passed: Any) -> Any:
    def one(account: Any, now: Any) -> Any:
        after = broker.step(account, now[0], now[1], rules).account
        return after, after.equity

    return jax.lax.scan(one, broker.open_account(rules, (), 1, jnp.float64), passed)[1]
