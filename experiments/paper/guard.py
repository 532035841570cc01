"""The risk guard: what ends paper trading whatever its champion thinks, and what its champion may not exceed.

Fractions are of equity at mid. Drawdown counts from the highest equity since the account was opened, daily loss from
the last close before the UTC day, both from where things stood when somebody said `--again`: the caps that a bundle's
live bot holds to (`agents.live.caps`).
"""

from dataclasses import dataclass
from pathlib import Path

from agents.live.caps import Caps
from markets.settings import setting

__all__ = ["Limits"]


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

    def caps(self, cash: float) -> Caps:
        """What follows equity from close to close, of an account that begins with so much."""
        caps = Caps(max_exposure=self.max_exposure, max_drawdown=self.max_drawdown, max_daily_loss=self.max_daily_loss)
        caps.begin(cash)
        return caps
