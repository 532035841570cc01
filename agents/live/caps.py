"""Risk caps of a bundle: how much may be held, and what loss ends it.

Looked at once a bar, at its close. A loss beyond a cap is for whoever trades to act on: flatten, stop and say why.
"""

import math
from collections.abc import Mapping
from typing import Any

import numpy as np

from markets.errors import UserError
from markets.settings import shown

__all__ = ["Caps"]


class Caps:
    """Keeps the peak of equity and the equity a day began with, and says when a loss is too large.

    Attributes:
        max_exposure: largest |target|, a multiple of equity.
        max_drawdown: largest fall from the peak of equity, a share of it.
        max_daily_loss: largest fall in a day of UTC, a share of the equity at the last close of the day before.
        tripped: why the account was stopped; empty while it was not. Once set it stays.
    """

    def __init__(self, *, max_exposure: float, max_drawdown: float, max_daily_loss: float) -> None:
        """Take the caps.

        Raises:
            UserError: a cap that is no number above 0.
        """
        caps = {"max_exposure": max_exposure, "max_drawdown": max_drawdown, "max_daily_loss": max_daily_loss}
        for name, value in caps.items():
            if isinstance(value, bool) or not isinstance(value, int | float) or not value > 0:
                raise UserError(f"{name}: {shown(value)}; right is a number above 0")
        self.max_exposure, self.max_drawdown, self.max_daily_loss = max_exposure, max_drawdown, max_daily_loss
        self.tripped = ""
        self._peak: float | None = None
        self._last: float | None = None
        self._began: float | None = None
        self._day = ""

    def begin(self, equity: float) -> None:
        """Count from this equity on, the day that runs included; forget what tripped."""
        self._peak = self._last = self._began = equity
        self.tripped = ""

    def renew(self) -> None:
        """Count from the equity seen last on; forget what tripped."""
        self.tripped = ""
        if self._last is not None:
            self.begin(self._last)

    def clip(self, target: float) -> float:
        """The target, no larger than the largest exposure."""
        return min(max(target, -self.max_exposure), self.max_exposure)

    def check(self, time: np.datetime64, equity: float) -> str:
        """Why the account is to be flattened and left, at the close of the bar that opened at `time`; else empty.

        Equity that is no number says nothing.
        """
        self.tripped = self.tripped or self.look(time, equity)
        return self.tripped

    def look(self, time: np.datetime64, equity: float) -> str:
        """The same of this close alone: what tripped before is not remembered.

        A day begins with the first bar of a later day; a late bar of an earlier one counts to the day that runs. The
        first day counts from `begin`, else from the first equity. Of nothing or of debt any loss is the whole.
        """
        if not math.isfinite(equity):
            return ""
        day = "" if np.isnat(time) else str(time.astype("datetime64[D]"))
        if day > self._day or self._began is None:
            self._day, self._began = day, equity if self._last is None else self._last
        self._last, self._peak = equity, equity if self._peak is None else max(self._peak, equity)
        fall, loss = _loss(self._peak, equity), _loss(self._began, equity)
        if fall >= self.max_drawdown:
            return f"drawdown of {fall:.2%} reached max_drawdown {self.max_drawdown:.2%}"
        if loss >= self.max_daily_loss:
            return f"loss of {loss:.2%} on {self._day} reached max_daily_loss {self.max_daily_loss:.2%}"
        return ""

    def state(self) -> dict[str, Any]:
        """What is to be remembered, as JSON has it."""
        return {
            "peak": self._peak,
            "last": self._last,
            "began": self._began,
            "day": self._day,
            "tripped": self.tripped,
        }

    def restore(self, state: Mapping[str, Any]) -> None:
        """Go on from a state of `state`."""
        numbers = (state[name] for name in ("peak", "last", "began"))
        self._peak, self._last, self._began = (None if number is None else float(number) for number in numbers)
        self._day, self.tripped = str(state["day"]), str(state["tripped"])


def _loss(start: float, equity: float) -> float:
    return 1 - equity / start if start > 0 else 1.0
