"""Decision rules: how several brains become one decision, as `arena.inference` has it, in float32.

By regime: which brains' values count and by what weight, over how many bars they are averaged, how far apart the two
best must be for an order, whose genes make it, and whether anything is held at all.
"""

import base64
from collections import deque
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from agents.live.inference import Inference
from agents.live.market import Observation
from agents.live.mind import Mind

__all__ = ["Rules", "Said"]

Array = NDArray[np.float32]


class Said(NamedTuple):
    """What came of a bar."""

    values: list[float]
    """Of the actions, averaged and weighted."""
    mind: Mind
    """Whose genes, memory and trust make an order."""
    rests: bool = False
    """Whether it is to be flat, whatever the values are."""
    undecided: bool = False
    """Whether no order is made of them."""
    reason: str = ""
    """Why it rests or is undecided."""


class Rules:
    """The rules of a bundle, and what each brain said on the last bars, of which averages are made."""

    def __init__(self, inference: Inference, minds: Sequence[Mind], regimes: Sequence[str], actions: int) -> None:
        """Take rules.

        Args:
            inference: of the manifest.
            minds: in the order of its brains.
            regimes: names of those that can be acted in, in order.
            actions: that each brain puts a value on.
        """
        self._minds, self._actions = minds, actions
        self._rules = rules = [inference.regimes[name] for name in regimes]
        self._weights = [np.asarray(rule.weights, np.float32) for rule in rules]
        self._least = [np.float32(rule.threshold) for rule in rules]
        self._heeded = sorted(
            {
                int(place)
                for rule, own in zip(rules, self._weights, strict=True)
                if rule.acts
                for place in own.nonzero()[0]
            }
        )
        self._bars = max(rule.average for rule in rules)
        self._last: deque[Array | None] = deque(maxlen=self._bars)
        acting = [name for name, rule in zip(regimes, rules, strict=True) if rule.acts]
        self._rests = f"resting: flat but in {', '.join(acting)}" if acting else "resting: flat in every regime"

    def decide(self, seen: Observation, view: Array) -> Said:
        """What the rules make of a bar, which counts as one of the last from then on.

        Args:
            seen: of the market.
            view: of the account [4].
        """
        rule = self._rules[seen.regime]
        said = np.full((len(self._minds), self._actions), np.nan, np.float32)
        for place in self._heeded:
            said[place] = self._minds[place].brain.values(seen.features, view)
        self._last.append(said)
        values, mind = self._weighed(seen.regime), self._minds[rule.own]
        if not rule.acts:
            return Said(values.tolist(), mind, rests=True, reason=self._rests)
        reason = ""
        if not np.isfinite(values).all():
            reason = "undecided: a value is not finite"
        elif _gap(values) < self._least[seen.regime]:
            reason = f"undecided: the two best are less than {self._least[seen.regime]:g} apart"
        return Said(values.tolist(), mind, undecided=bool(reason), reason=reason)

    def passed(self, bars: int = 1) -> None:
        """Bars went by on which nothing was said; they count as of the last, and say nothing to an average."""
        self._last.extend([None] * min(bars, self._bars))

    @property
    def newest(self) -> str | None:
        """What was said on the newest bar, as in `state`; None where no average is made."""
        return self.state()[-1] if self._bars > 1 and self._last else None

    def state(self) -> list[str | None]:
        """What was said on the last bars, older first, as text that is exact to the bit; None where nothing was."""
        return [None if said is None else _text(said) for said in self._last]

    def restore(self, state: Sequence[str | None]) -> None:
        """Go on from a `state`, or from a longer history of what was said.

        Raises:
            ValueError: not one of these rules.
        """
        found = [None if text is None else self._read(text) for text in state]
        self._last.clear()
        self._last.extend(found)

    def _read(self, text: str) -> Array:
        flat = np.frombuffer(base64.b64decode(text, validate=True), "<f4").astype(np.float32)
        return flat.reshape(len(self._minds), self._actions)

    def _weighed(self, regime: int) -> Array:
        """Means over the last bars, weighted and added up [actions]; a brain of weight 0 has no say."""
        total = np.zeros(self._actions, np.float32)
        for place in self._weights[regime].nonzero()[0]:
            if place in self._heeded:
                total += self._weights[regime][place] * self._mean(int(place), self._rules[regime].average)
        return total

    def _mean(self, place: int, bars: int) -> Array:
        """Of what a brain said on so many last bars, newest first; where it said nothing of use is left out."""
        assert self._last[-1] is not None
        now: Array = self._last[-1][place]
        if self._bars == 1 or not np.isfinite(now).all():
            return now
        total, counted = now.copy(), 1
        for back in range(2, min(bars, len(self._last)) + 1):
            said = self._last[-back]
            if said is not None and np.isfinite(said[place]).all():
                total += said[place]
                counted += 1
        return np.asarray(total / np.float32(counted))


def _gap(values: Array) -> np.float32:
    """Between the two best."""
    second, first = np.sort(values)[-2:]
    gap: np.float32 = first - second
    return gap


def _text(said: Array) -> str:
    return base64.b64encode(said.astype("<f4").tobytes()).decode("ascii")
