"""Rules: the settings of a champion's decision rule that the grid tries, and the choice that comes of it."""

import dataclasses
import itertools
from typing import NamedTuple

__all__ = ["AVERAGES", "ENSEMBLES", "LOOKBACKS", "PLAIN", "RULES", "THRESHOLDS", "Choice", "Rule", "rule_words"]

THRESHOLDS = tuple(tenth / 10 for tenth in range(10))
"""Shares of its training gaps that a choice must exceed to be acted on; 0 acts on every bar."""

LOOKBACKS = (None, 50, 100, 200)
"""Most bars that a feature looks back; None is as the run has it."""

AVERAGES = (1, 4)
"""Bars whose action values are averaged."""

ENSEMBLES = ("alone", "mean", "trust", "stacked")
"""Whose values count: the champion's own, or those of all champions of its replicate."""


class Rule(NamedTuple):
    """One setting of the grid."""

    ensemble: str
    lookback: int | None
    average: int
    threshold: float
    """Quantile of the rule's own gaps on training rows."""


RULES = tuple(Rule(*values) for values in itertools.product(ENSEMBLES, LOOKBACKS, AVERAGES, THRESHOLDS))
"""All settings tried of a champion, in the order of the table."""

PLAIN = Rule("alone", None, 1, 0.0)
"""How a champion was bred to act: the best of its values, at every bar."""


@dataclasses.dataclass(frozen=True)
class Choice:
    """How a champion is to act in the regimes that it acts in.

    Attributes:
        ensemble, lookback, average, threshold: the rule, see `Rule`.
        gap: least gap between the two best weighted values; 0 is always.
        groups: a place that each brain of the ensemble holds; the champion's own where it decides alone.
        brains: their agents, likewise.
        weights: of their action values, by regime and brain.
    """

    ensemble: str
    lookback: int | None
    average: int
    threshold: float
    gap: float
    groups: tuple[str, ...]
    brains: tuple[int, ...]
    weights: tuple[tuple[float, ...], ...]

    @property
    def rule(self) -> Rule:
        """The setting of the grid that it is."""
        return Rule(self.ensemble, self.lookback, self.average, self.threshold)


def rule_words(rule: Rule) -> str:
    """A rule in a few words: `as bred`, or what differs from that."""
    said = []
    if rule.ensemble != PLAIN.ensemble:
        said.append({"mean": "mean of all", "trust": "by trust", "stacked": "stacked"}[rule.ensemble])
    if rule.lookback is not None:
        said.append(f"{rule.lookback} bars back")
    if rule.average != PLAIN.average:
        said.append(f"over {rule.average} bars")
    if rule.threshold:
        said.append(f"clearest {1 - rule.threshold:.0%}".replace("%", " %"))
    return ", ".join(said) or "as bred"
