"""The passage: one account taken through bars by the broker's kernel, in float64 on the CPU.

Replay and paper trading go through this one compiled program, the one with thousands of bars, the other with a single
bar at a time. XLA contracts multiplications and additions as it fuses them, differently in different programs, so two
programs of one formula may differ in the last bit; one program cannot differ from itself. What shapes the program is
therefore the same for both: blocks of fixed size, of which a traced number of rows counts, and rules that differ in
numbers alone.

A bar with its order is a row of `ROW` numbers, what came of it a row of `OUTCOME` numbers, which begins with the
account after it, `ACCOUNT` numbers. float64 holds all of them exactly, flags and reasons too.
"""

import contextlib
import dataclasses
import functools
import itertools
import math
from collections.abc import Iterator
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from numpy.typing import NDArray

from experiments.replay.targets import Targets
from markets.account import Account, Bar, Closed, Fills, Order, Outcome
from markets.bars import CLOSE, Bars
from markets.broker import open_account, step
from markets.rules import BrokerRules

__all__ = ["ACCOUNT", "BLOCK", "OUTCOME", "ROW", "Passage", "outcome_of", "rows_of"]

BLOCK = 1024
"""Rows of a block: enough that calling costs little beside computing, few enough that a lone bar is quick."""

ROW = len(Bar._fields) + len(Order._fields)
ACCOUNT = len(Account._fields)

_MONEY = {"balance", "financing", "equity", "alive"}  # leaves of an account without an axis of instruments
_REST = Outcome._fields[Outcome._fields.index("reward") :]
_LEAVES = (
    *((name, () if name in _MONEY else (1,)) for name in Account._fields),
    *((name, (4, 1)) for name in Fills._fields),
    *((name, (1,)) for name in Closed._fields),
    *((name, ()) for name in _REST),
)
"""Names and shapes of what one bar does to one account of one instrument, in the order of `Outcome`."""

OUTCOME = sum(math.prod(shape) for _, shape in _LEAVES)

_PARTS: tuple[Any, ...] = (Account, Fills, Closed)
_FLAGS = {"alive", "ended_at_open", "ended_after", "opened", "liquidated", "ruined"}


class Passage:
    """Takes accounts through bars by one broker's rules.

    Args:
        rules: the broker's. Their spread and calendar are in the rows already, and so is whether the end closes.
    """

    def __init__(self, rules: BrokerRules) -> None:
        self._terms = dataclasses.replace(rules, spread=None, spread_rate=None, calendar="none", close_at_end=True)

    def open(self) -> NDArray[np.float64]:
        """A new account, [ACCOUNT]: all cash, flat."""
        with _in_float64():
            return np.asarray(_flat(open_account(self._terms, (), 1, jnp.float64)))

    def through(self, account: NDArray[np.float64], rows: NDArray[np.float64]) -> NDArray[np.float64]:
        """What comes of bars.

        Args:
            account: before the first of them, [ACCOUNT].
            rows: of `rows_of`, [bars, ROW].

        Returns:
            [bars, OUTCOME]; the first `ACCOUNT` columns are the account after each bar.
        """
        done = np.empty((len(rows), OUTCOME))
        with _in_float64():
            for first in range(0, len(rows), BLOCK):
                count = min(BLOCK, len(rows) - first)
                block = np.zeros((BLOCK, ROW))
                block[:count] = rows[first : first + count]
                done[first : first + count] = np.asarray(_through(account, block, count, self._terms))[:count]
                account = done[first + count - 1, :ACCOUNT]
        return done


def rows_of(
    bars: Bars, targets: Targets, *, days: NDArray[np.float64], has_volume: bool, closes: bool
) -> NDArray[np.float64]:
    """Every bar but the first as the broker meets it, with the order decided at the bar before, [bars − 1, ROW].

    Args:
        bars: with the spread that is paid.
        targets: decided at the close of each bar; the last bar's fills nowhere.
        days: of financing, charged at the close of each bar, [bars].
        has_volume: whether this market has volume at all; no cap binds in one without.
        closes: whether the last bar closes what is held.
    """
    volume = bars.volume if has_volume else np.full(len(bars), np.inf)
    rows = np.empty((len(bars) - 1, ROW))
    rows[:, 0:8:2], rows[:, 1:8:2] = bars.bid[1:], bars.ask[1:]
    rows[:, 8], rows[:, 9], rows[:, 10], rows[:, 11] = bars.mid[:-1, CLOSE], volume[:-1], days[1:], 0.0
    rows[-1:, 11] = closes
    for column, values in enumerate(targets, 12):
        rows[:, column] = values[:-1]
    return rows


def outcome_of(done: NDArray[np.float64]) -> Outcome:
    """What came of bars, [bars, OUTCOME], by name: leaves [bars, …] of one account of one instrument."""
    leaves, place = [], 0
    for name, shape in _LEAVES:
        leaf = done[:, place : place + math.prod(shape)].reshape(len(done), *shape)
        leaves.append(leaf != 0 if name in _FLAGS else leaf.astype(np.uint8) if name == "reason" else leaf)
        place += math.prod(shape)
    rest: Any = iter(leaves)
    account, fills, closed = (kind(*itertools.islice(rest, len(kind._fields))) for kind in _PARTS)
    return Outcome(account, fills, closed, *rest)


@functools.partial(jax.jit, static_argnames="terms")
def _through(account: jax.Array, rows: jax.Array, count: jax.Array, terms: BrokerRules) -> jax.Array:
    """The outcomes of the first `count` rows of a block, [BLOCK, OUTCOME]; zero behind them."""

    def through(row: Any, now: tuple[jax.Array, jax.Array]) -> tuple[jax.Array, jax.Array]:
        account, done = now
        outcome = _flat(step(_account(account), *_met(rows[row]), terms))
        return outcome[:ACCOUNT], jax.lax.dynamic_update_index_in_dim(done, outcome, row, 0)

    done: jax.Array = jax.lax.fori_loop(0, count, through, (account, jnp.zeros((BLOCK, OUTCOME))))[1]
    return done


def _met(row: jax.Array) -> tuple[Order, Bar]:
    """The order and the bar of a row, with an axis of instruments."""
    *quotes, last, target, stop_loss, take_profit = (row[column : column + 1] for column in range(ROW))
    return Order(target, stop_loss, take_profit), Bar(*quotes, last=last[0] != 0)  # type: ignore[misc]


def _account(numbers: jax.Array) -> Account:
    leaves = {name: numbers[i] if name in _MONEY else numbers[i : i + 1] for i, name in enumerate(Account._fields)}
    return Account(**leaves | {"alive": leaves["alive"] != 0})


def _flat(tree: Any) -> jax.Array:
    """All numbers of a tree in a row."""
    return jnp.concatenate([jnp.ravel(leaf).astype(jnp.float64) for leaf in jax.tree.leaves(tree)])


@contextlib.contextmanager
def _in_float64() -> Iterator[None]:
    """float64 on the CPU within; float32 work of the same process is untouched."""
    with jax.enable_x64(True), jax.default_device(jax.local_devices(backend="cpu")[0]):
        yield
