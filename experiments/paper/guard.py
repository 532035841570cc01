"""The risk guard: what ends paper trading whatever its champion thinks, and what its champion may not exceed.

Fractions are of equity at mid. Drawdown counts from the highest equity since the account was opened, daily loss from
the last close before the UTC day, both from where things stood when somebody said `--again`.
"""

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from markets.settings import setting

__all__ = ["Guard", "Limits"]


@dataclass(frozen=True)
class Limits:
    """What a paper account may do.

    Attributes:
        max_drawdown: loss from the peak of equity at which it is stopped; 1 is only when all is lost.
        max_daily_loss: loss within a UTC day at which it is stopped.
        max_exposure: largest |target| that an order may ask for; more is cut.
        stale: seconds without a bar after which a live feed counts as stale.
        grace: seconds to wait for a bar at which to flatten, once nothing comes any more.
        kill_file: a file that stops it as soon as it is there.
    """

    max_drawdown: float = setting(gt=0.0, le=1.0)
    max_daily_loss: float = setting(gt=0.0, le=1.0)
    max_exposure: float = setting(gt=0.0)
    stale: float = setting(gt=0.0)
    grace: float = setting(ge=0.0)
    kill_file: str = setting()

    @property
    def killed(self) -> str:
        """Why the kill file stops it, empty while it is not there."""
        return f"kill file {self.kill_file} is there" if Path(self.kill_file).exists() else ""


class Guard:
    """Follows equity from close to close.

    Args:
        limits: that hold.
        cash: the account begins with.
    """

    def __init__(self, limits: Limits, cash: float) -> None:
        self._limits = limits
        self._day: np.datetime64 | None = None
        self._equity = self._peak = self._before = cash

    def judge(self, time: np.datetime64, equity: float) -> str:
        """Why to stop at the close of a bar; empty where nothing is wrong.

        Args:
            time: open of the bar, whose day it counts to.
            equity: at its close.
        """
        day = time.astype("datetime64[D]")
        if self._day is None or day > self._day:
            self._day, self._before = day, self._equity
        self._equity, self._peak = equity, max(self._peak, equity)
        for name, start, most in (
            ("drawdown", self._peak, self._limits.max_drawdown),
            ("daily loss", self._before, self._limits.max_daily_loss),
        ):
            loss = 1 - equity / start
            if loss >= most:
                return f"{name} of {100 * loss:.2f} % reached {100 * most:g} %"
        return ""

    def renew(self) -> None:
        """Count from here on."""
        self._peak = self._before = self._equity

    def cut(self, target: float) -> float:
        """The exposure that is allowed of what is asked for."""
        most = self._limits.max_exposure
        return max(-most, min(most, target))
