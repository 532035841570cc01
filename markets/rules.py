"""The broker's keys: what is charged, how much may be held, and when an account is closed.

The same keys, with the same names and defaults, stand in configuration (`broker`) and in `arena replay --set`.
"""

import dataclasses
from collections.abc import Iterator
from typing import Literal

from markets.settings import setting

__all__ = ["BrokerRules"]


@dataclasses.dataclass(frozen=True)
class BrokerRules:
    """Rules of one broker. Rates are fractions; money is in account currency.

    Attributes:
        cash: starting cash, E_0.
        spread: full spread in price; None keeps the bars' own.
        spread_rate: full spread as a fraction of price; None keeps the bars' own.
        commission: fraction of notional, on every fill.
        commission_per_unit: money per unit traded.
        commission_fixed: money per fill.
        slippage: fraction of the price before it, against the account, on every fill but take-profits.
        max_leverage: largest |exposure| as a multiple of equity.
        maintenance: m, the share of |u|·price below which equity is liquidated; 0 liquidates at zero equity.
        liquidation_fee: fraction of notional, on liquidations.
        lot_size: units come in multiples of it; 0 is continuous.
        min_units: a smaller target is 0.
        participation: largest |Δu| of an order as a share of the volume already seen; None is no cap.
        calendar: which days of financing a bar is charged.
        financing_long: annual rate paid on long positions; negative is received.
        financing_short: annual rate paid on short positions.
        trailing: whether stops trail the favourable extreme.
        ruin: share of E_0 at or below which an account is closed for good.
        close_at_end: whether an open position is closed at the last bar's close.
    """

    cash: float = setting(10_000.0, gt=0)
    spread: float | None = setting(None, ge=0)
    spread_rate: float | None = setting(None, ge=0)
    commission: float = setting(0.0, ge=0)
    commission_per_unit: float = setting(0.0, ge=0)
    commission_fixed: float = setting(0.0, ge=0)
    slippage: float = setting(0.0, ge=0, lt=1)
    max_leverage: float = setting(1.0, gt=0)
    maintenance: float = setting(0.0, ge=0, lt=1)
    liquidation_fee: float = setting(0.0, ge=0)
    lot_size: float = setting(0.0, ge=0)
    min_units: float = setting(0.0, ge=0)
    participation: float | None = setting(None, gt=0)
    calendar: Literal["none", "fx", "us_equity", "crypto"] = "none"
    financing_long: float = setting(0.0)
    financing_short: float = setting(0.0)
    trailing: bool = False
    ruin: float = setting(0.0, ge=0, lt=1)
    close_at_end: bool = True

    def problems(self, where: str) -> Iterator[str]:
        """What the keys cannot mean together, one line each."""
        if self.max_leverage * self.maintenance >= 1:
            prefix = f"{where}." if where else ""
            yield (
                f"{prefix}maintenance: max_leverage · maintenance = {self.max_leverage * self.maintenance:g}, but must "
                "be below 1, else an order would be liquidated by its own fill"
            )

    @property
    def costless(self) -> bool:
        """Whether nothing at all is charged beyond the bars' own spread."""
        charges = (
            self.commission,
            self.commission_per_unit,
            self.commission_fixed,
            self.slippage,
            self.financing_long,
            self.financing_short,
            self.spread or 0.0,
            self.spread_rate or 0.0,
        )
        return not any(charges)
