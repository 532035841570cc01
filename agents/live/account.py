"""The account a champion decides for: what a bot says of it, what the champion keeps itself, and what it sees.

All of it is float32, as in the arena, and in the arena's order (`agents.observation`, which this mirrors).
"""

import math
from collections.abc import Mapping
from dataclasses import MISSING, dataclass, fields
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from markets.errors import UserError
from markets.settings import shown

__all__ = ["Account", "Keeper", "Kept", "view"]

_CLIP = np.float32(5.0)
_ZERO, _ONE = np.float32(0.0), np.float32(1.0)
_LEAST, _PROFIT, _DRAWDOWN, _HOLDING = np.float32(1e-6), np.float32(0.2), np.float32(5.0), np.float32(0.25)


@dataclass(frozen=True, slots=True)
class Account:
    """An account at the close of a bar.

    Attributes:
        equity: in account currency.
        units: signed position; 0 is flat.
        entry: price of the open position, in price; anything when flat.
        peak: highest equity so far; None lets the champion keep it, from its first account on.
        held: bars the open position has been held; None lets the champion count them.
    """

    equity: float
    units: float
    entry: float | None = None
    peak: float | None = None
    held: float | None = None

    @classmethod
    def of(cls, given: Any) -> "Account":
        """An account as it is, or made of a mapping with the names of its attributes.

        Args:
            given: an account, or a mapping, whose numbers may be text.

        Raises:
            UserError: neither of them, a key that an account has not, or one missing.
        """
        if isinstance(given, Mapping):
            known = {field.name: field.default is MISSING for field in fields(cls)}
            for key in given:
                if key not in known:
                    raise UserError(f"account: {shown(key)} is not one of {', '.join(known)}")
            for key, needed in known.items():
                if needed and key not in given:
                    raise UserError(f"account: {key} is missing; it has: {', '.join(given) or 'nothing'}")
            told = {key: None if value is None else _narrow(value) for key, value in given.items() if not known[key]}
            return cls(_narrow(given["equity"]), _narrow(given["units"]), **told)
        if not all(hasattr(given, name) for name in cls.__slots__):
            raise UserError(f"account: expected an Account, or a mapping with equity and units, got {shown(given)}")
        account: Account = given
        return account


class Kept(NamedTuple):
    """An account in float32, as the arena knows it."""

    equity: np.float32
    units: np.float32
    entry: np.float32
    peak: np.float32
    held: np.float32


class Keeper:
    """Remembers of an account what its broker may not tell: the peak of its equity and for how long a position is held.

    Attributes:
        peak: highest equity so far, 0 before the first account.
        side: −1, 0 or 1, the sign of the units.
        held: bars the open position has been held: 0 when flat, 1 at the first close after it was opened or turned.
    """

    __slots__ = ("held", "peak", "side")

    def __init__(self, peak: float = 0.0, side: int = 0, held: float = 0.0) -> None:
        self.peak, self.side, self.held = peak, side, held

    def keep(self, account: Account) -> Kept | str:
        """The account with what was left out filled in, or why it cannot be decided for.

        An account that says nothing of use counts as one more bar with the same position.
        """
        equity, units, entry, peak, held = (
            _narrow(account.equity),
            _narrow(account.units),
            _narrow(account.entry),
            0.0,
            0.0,
        )
        problem = ""
        if not (0.0 < equity < math.inf):
            problem = f"account: equity is {account.equity}"
        elif not math.isfinite(units):
            problem = f"account: units are {account.units}"
        elif units and not (0.0 < entry < math.inf):
            problem = "account: units without an entry price"
        if account.peak is not None:
            peak = _narrow(account.peak)
            if not problem and not (0.0 < peak < math.inf):
                problem = f"account: peak is {account.peak}"
        if account.held is not None:
            held = _narrow(account.held)
            if not problem and not (0.0 <= held < math.inf):
                problem = f"account: held is {account.held}"
        if problem:
            self.held += self.side != 0
            return problem
        side = (units > 0.0) - (units < 0.0)
        if account.held is None:
            held = 0.0 if side == 0 else self.held + 1.0 if side == self.side else 1.0
        self.peak = max(equity, self.peak if account.peak is None else peak)
        self.side, self.held = side, held
        narrow = np.float32
        return Kept(narrow(equity), narrow(units), narrow(entry if side else 0.0), narrow(self.peak), narrow(held))


def view(account: Kept, close: np.float32, atr: np.float32) -> NDArray[np.float32]:
    """What a brain sees of its account, float32 [4]: position, unrealised, drawdown, holding.

    Args:
        account: at the close of the bar.
        close: mid close, in price.
        atr: average true range as a fraction of the close, > 0.
    """
    equity, units, entry, peak, held = account
    exposure = units * close / max(equity, _LEAST * peak)
    profit = np.sign(units) * (close - entry) / (close * atr)
    drawdown = _ONE - equity / peak
    seen = (exposure, _PROFIT * profit, _DRAWDOWN * drawdown, _HOLDING * np.log1p(held))
    return np.asarray([min(max(number, -_CLIP), _CLIP) for number in seen], np.float32)


def _narrow(value: Any) -> float:
    """The number as float32 holds it; NaN of None."""
    try:
        return float(np.float32(value))
    except (TypeError, ValueError):
        raise UserError(f"account: expected a number, got {shown(value)}") from None
