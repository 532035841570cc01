"""From action values to a decision, as the arena's decoder has it (`agents.decision`, which this mirrors).

The best value names a direction; size gene, caution and trust say how much. Asking for the side already held is no
order.
"""

from dataclasses import dataclass

__all__ = ["REASONS", "Decision", "best", "confidence"]

REASONS = (
    "warming_up",
    "gap",
    "out_of_order",
    "too_early",
    "not_finite",
    "bad_prices",
    "unknown_regime",
    "account",
    "undecided",
    "resting",
)
"""Why nothing is made of a bar; `Decision.reason` begins with one of them, a colon and the particulars.

The last two are of decision rules: the best action is not clear enough; it is flat in this regime."""


@dataclass(frozen=True, slots=True)
class Decision:
    """What a champion wants at the close of a bar, to be filled at the next open.

    Attributes:
        action: place of the best action among the bundle's; None where it could not decide or rests.
        target: signed multiple of equity to hold from the next open; 0 is flat, None is no order: keep what is held.
        stop: distance of the stop loss as a fraction of the entry price; None where there is no order or no stop.
        take_profit: the same for the take-profit.
        values: what each action is worth to it; None where it could not decide or rests.
        regime: of the market, by name.
        confidence: (best − second) / (best − worst) of the values; 0 where all tie.
        reason: why it could not decide, is undecided or rests, one of `REASONS` and the particulars; else empty.
    """

    action: int | None
    target: float | None
    stop: float | None
    take_profit: float | None
    values: tuple[float, ...] | None
    regime: str
    confidence: float | None
    reason: str = ""

    @property
    def order(self) -> bool:
        """Whether anything is asked for."""
        return self.target is not None

    @classmethod
    def none(cls, reason: str, regime: str = "unknown") -> "Decision":
        """No decision, and why."""
        return cls(None, None, None, None, None, regime, None, reason)


def best(values: list[float]) -> int:
    """Place of the largest value; ties go to the earlier one."""
    chosen = 0
    for index in range(1, len(values)):
        if values[index] > values[chosen]:
            chosen = index
    return chosen


def confidence(values: list[float]) -> float:
    """How far the best value stands above the second, as a share of its distance to the worst; 0 where all tie."""
    ranked = sorted(values)
    span = ranked[-1] - ranked[0]
    return (ranked[-1] - ranked[-2]) / span if span > 0.0 else 0.0
