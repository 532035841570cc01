"""The risk guard: what ends paper trading whatever its champion thinks, and what its champion may not exceed.

Fractions are of equity at mid. Drawdown counts from the highest equity since the account was opened, daily loss from
the last close before the UTC day, both from where things stood when somebody said `--again`: the caps that a bundle's
live bot holds to (`agents.live.caps`).
"""

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from agents.live.caps import Caps
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
        self._caps = Caps(
            max_exposure=limits.max_exposure, max_drawdown=limits.max_drawdown, max_daily_loss=limits.max_daily_loss
        )
        self._caps.begin(cash)

    def judge(self, time: np.datetime64, equity: float) -> str:
        """Why to stop at the close of a bar; empty where nothing is wrong.

        Args:
            time: open of the bar, whose day it counts to.
            equity: at its close.
        """
        return self._caps.look(time, equity)

    def renew(self) -> None:
        """Count from here on."""
        self._caps.renew()

    def cut(self, target: float) -> float:
        """The exposure that is allowed of what is asked for."""
        return self._caps.clip(target)
