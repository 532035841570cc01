"""A champion, loaded from its bundle: bars go in one by one, decisions come out."""

import os
from collections.abc import Iterable, Mapping, Sequence
from types import MappingProxyType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from agents.live.account import Account, Keeper, view
from agents.live.bar import Bar
from agents.live.bundle import Bundle, read_bundle
from agents.live.decision import Decision, best, confidence
from agents.live.forest import Forest
from agents.live.market import Market, Observation
from agents.live.mind import minds_of
from agents.live.rules import Rules, Said
from markets.bars import Bars
from markets.errors import UserError

__all__ = ["Champion"]

Array = NDArray[np.float32]

_STATE = "lineage-arena.runner"


class Champion:
    """One champion and its rolling window of one instrument's bars. Not to be shared between threads."""

    def __init__(self, bundle: Bundle, *, backend: str = "numpy") -> None:
        """See `load`."""
        manifest, rules = bundle.manifest, bundle.manifest.inference
        self._minds, self._rules = minds_of(bundle, backend), None
        if rules is not None:
            self._rules = Rules(rules, self._minds, manifest.regimes.names[:-1], len(manifest.actions.names))
        self._exposures = [np.float32(exposure) for exposure in manifest.actions.exposures]
        self._names = manifest.regimes.names
        self._hash, self._values = manifest.hash, bundle.values
        self._market, self._keeper = Market(manifest), Keeper()

    @classmethod
    def load(cls, path: str | os.PathLike[str], *, backend: str = "numpy") -> "Champion":
        """Load a bundle, with every file of it checked.

        Args:
            path: its folder.
            backend: what works out the action values: NumPy, or onnxruntime on one thread.

        Raises:
            UserError: one line that says what is wrong with the bundle.
        """
        return cls(read_bundle(path), backend=backend)

    @property
    def manifest(self) -> Mapping[str, Any]:
        """What the bundle says of itself."""
        return MappingProxyType(dict(self._values))

    @property
    def bars(self) -> int:
        """Bars known, at most the manifest's `warm_up`."""
        return self._market.bars

    @property
    def last(self) -> np.datetime64 | None:
        """Open of the newest bar, UTC; None before the first."""
        return self._market.last

    def warm_up(self, bars: Bars | Iterable[Bar] | Iterable[Mapping[str, Any]]) -> int:
        """Take bars of the past, older first, without deciding anything.

        Those that are odd, or not newer than the last one known, are passed over, so histories may overlap.

        Args:
            bars: a table, or bars one by one as of `on_bar`.

        Returns:
            How many were taken.

        Raises:
            UserError: something that is no bar, or a column that the champion sees is missing.
        """
        with np.errstate(all="ignore"):
            taken = self._market.warm_up(bars)
        if self._rules is not None:
            self._rules.passed(taken)
        return taken

    def observe(self, bar: Bar | Mapping[str, Any]) -> Observation | str:
        """Take a closed bar, and say what is seen of the market then, or why nothing is."""
        with np.errstate(all="ignore"):
            taken, seen = self._market.take(bar)
        if self._rules is not None and taken:
            self._rules.passed()
        return seen

    def on_bar(self, bar: Bar | Mapping[str, Any], account: Account | Mapping[str, Any]) -> Decision:
        """Take a closed bar and decide at its close.

        A market's oddity never raises: the decision is then no order, with the reason. A bar that is out of order or
        odd in itself is not taken into the window and does not count in any other way; after one that opens sooner than
        the run's own bars ever did, the next that is taken gives no order either.

        Args:
            bar: newer than the last, or a mapping, as `Bar.from_mapping` takes it.
            account: at its close, after whatever was filled in it, or a mapping with the names of its attributes.

        Raises:
            UserError: what is no bar or no account, or a column that the champion sees is missing.
        """
        with np.errstate(all="ignore"):
            account = Account.of(account)
            taken, seen = self._market.take(bar)
            if not taken:
                return Decision.none(str(seen))
            kept = self._keeper.keep(account)
            if self._rules is not None and (isinstance(seen, str) or isinstance(kept, str)):
                self._rules.passed()
            if isinstance(seen, str):
                return Decision.none(seen)
            regime = self._names[seen.regime]
            if isinstance(kept, str):
                return Decision.none(kept, regime)
            said = self._said(seen, view(kept, seen.close, seen.atr))
            action, target, stop, take_profit = best(said.values), None, None, None
            wanted = np.float32(0.0) if said.rests else self._exposures[action]
            if not said.undecided and np.sign(wanted) != np.sign(kept.units):
                target, stop, take_profit = said.mind.order(wanted, seen)
            if said.rests:
                return Decision(None, target, stop, take_profit, None, regime, None, said.reason)
            sure = confidence(said.values)
            return Decision(action, target, stop, take_profit, tuple(said.values), regime, sure, said.reason)

    def values(self, features: Array, view: Array, brain: int = 0) -> Array:
        """What each action is worth to a brain, before decision rules make something of it.

        Args:
            features: scaled, float32 [rows, features].
            view: of the account, float32 [rows, 4].
            brain: which of several; the first is the champion.

        Returns:
            float32 [rows, actions].
        """
        with np.errstate(all="ignore"):
            asked = self._minds[brain].brain
            return asked.values(np.asarray(features, np.float32), np.asarray(view, np.float32))

    def leaves(self, features: Array, view: Array, brain: int = 0) -> NDArray[np.intp]:
        """Which leaf each tree of a forest ends in, market trees first [rows, trees]; arguments as of `values`.

        Raises:
            UserError: the brain is no forest.
        """
        native = self._minds[brain].native
        if not isinstance(native, Forest):
            raise UserError("champion: only a forest has leaves, this one is a network")
        return native.leaves(np.asarray(features, np.float32), np.asarray(view, np.float32))

    @property
    def said(self) -> str | None:
        """What the brains said on the newest bar, as text, where later decisions average over it; see `recall`."""
        return None if self._rules is None else self._rules.newest

    def recall(self, said: Sequence[str | None]) -> None:
        """Take up what `said` was on the last bars that it was warmed up with, older first; then that is as a `state`.

        Raises:
            UserError: it is of another bundle.
        """
        try:
            if self._rules is not None:
                self._rules.restore(said)
        except (TypeError, ValueError, AttributeError) as error:
            raise UserError(f"what was said on the last bars: damaged: {error}") from None

    def state(self) -> dict[str, Any]:
        """All that `on_bar` depends on beside the bundle, as JSON can hold it."""
        keeper = {"peak": self._keeper.peak, "side": self._keeper.side, "held": self._keeper.held}
        state = {"format": _STATE, "bundle": self._hash, "market": self._market.state(), "account": keeper}
        return state if self._rules is None else state | {"said": self._rules.state()}

    def restore(self, state: Mapping[str, Any]) -> None:
        """Go on from a `state` of this bundle; decisions are the same as if there had been no break.

        Raises:
            UserError: the state of another bundle, or none at all; what was known before stays.
        """
        if not isinstance(state, Mapping) or state.get("format") != _STATE:
            raise UserError("state: not what Champion.state gives")
        if state.get("bundle") != self._hash:
            raise UserError("state: of another bundle; load the one it was saved with")
        before, rules = self._market.state(), self._rules
        try:
            account = state["account"]
            keeper = Keeper(float(account["peak"]), int(account["side"]), float(account["held"]))
            self._market.restore(state["market"])
            if rules is not None:
                rules.restore(state["said"])
        except (KeyError, TypeError, ValueError) as error:
            self._market.restore(before)
            raise UserError(f"state: damaged: {error!r}") from None
        self._keeper = keeper

    def _said(self, seen: Observation, view: Array) -> Said:
        """What the champion makes of a bar, by its rules where it has some."""
        if self._rules is not None:
            return self._rules.decide(seen, view)
        mind = self._minds[0]
        return Said(mind.brain.values(seen.features, view).tolist(), mind)
