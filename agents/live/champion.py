"""A champion, loaded from its bundle: bars go in one by one, decisions come out."""

import os
from collections.abc import Iterable, Mapping
from types import MappingProxyType
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from agents.live.account import Account, Keeper, view
from agents.live.bar import Bar
from agents.live.bundle import Bundle, read_bundle
from agents.live.decision import Decision, best, confidence
from agents.live.forest import Forest
from agents.live.leaves import Leaves
from agents.live.manifest import ACCOUNT_VIEW
from agents.live.market import Market, Observation
from agents.live.memory import Caution, Trust
from agents.live.network import Network
from agents.live.onnx_brain import OnnxBrain
from markets.bars import Bars
from markets.errors import UserError
from markets.settings import shown

__all__ = ["Champion"]

Array = NDArray[np.float32]

_STATE = "lineage-arena.runner"
_FARTHEST = float(np.float32(0.95))
"""A stop at or beyond the whole price would be a negative level; 95 % of the price is as good as none."""


class _Brain(Protocol):
    def values(self, features: Array, view: Array) -> Array: ...


class Champion:
    """One champion and its rolling window of one instrument's bars. Not to be shared between threads."""

    def __init__(self, bundle: Bundle, *, backend: str = "numpy") -> None:
        """See `load`."""
        manifest, where = bundle.manifest, str(bundle.path / "champion.safetensors")
        leaves = Leaves(where, bundle.tensors)
        sizes = len(manifest.features.list), len(ACCOUNT_VIEW), len(manifest.actions.names)
        kind = Network if manifest.species.name == "qnetwork" else Forest
        self._native: Network | Forest = kind(leaves, *sizes, manifest.species.settings)
        self._brain: _Brain = self._native
        if backend == "onnx":
            model, place = bundle.read("model.onnx"), str(bundle.path / "model.onnx")
            self._brain = OnnxBrain(model, place, sizes[0] + sizes[1], sizes[2])
        elif backend != "numpy":
            raise UserError(f"backend: {shown(backend)} is not one of numpy, onnx")
        genes = {name: leaves.numbers(f"genes.{name}", ())[()] for name in ("size", "stop", "take_profit")}
        for name, value in genes.items():
            if value != np.float32(getattr(manifest.genes, name)):
                raise UserError(f"{where}: genes.{name}: {value} is not what the manifest says")
        self._size, self._stop, self._take_profit = genes["size"], genes["stop"], genes["take_profit"]
        self._caution = _caution(leaves, bundle, sizes[0])
        self._trust = None
        if manifest.trust.scales_capital:
            self._trust = Trust(leaves.numbers("trust", (len(manifest.regimes.names) - 1,)), manifest.trust.floor)
        self._exposures = [np.float32(exposure) for exposure in manifest.actions.exposures]
        self._names, self._stops = manifest.regimes.names, manifest.stops
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
            return self._market.warm_up(bars)

    def observe(self, bar: Bar | Mapping[str, Any]) -> Observation | str:
        """Take a closed bar, and say what is seen of the market then, or why nothing is."""
        with np.errstate(all="ignore"):
            return self._market.take(bar)[1]

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
            if isinstance(seen, str):
                return Decision.none(seen)
            regime = self._names[seen.regime]
            if isinstance(kept, str):
                return Decision.none(kept, regime)
            values = self._brain.values(seen.features, view(kept, seen.close, seen.atr)).tolist()
            action = best(values)
            target = stop = take_profit = None
            wanted = self._exposures[action]
            if np.sign(wanted) != np.sign(kept.units):
                target = float(wanted * self._size * self._factor(seen))
                if self._stops:
                    stop = min(float(self._stop * seen.atr), _FARTHEST)
                    take_profit = float(self._take_profit * seen.atr)
            return Decision(action, target, stop, take_profit, tuple(values), regime, confidence(values))

    def values(self, features: Array, view: Array) -> Array:
        """What each action is worth.

        Args:
            features: scaled, float32 [rows, features].
            view: of the account, float32 [rows, 4].

        Returns:
            float32 [rows, actions].
        """
        with np.errstate(all="ignore"):
            return self._brain.values(np.asarray(features, np.float32), np.asarray(view, np.float32))

    def leaves(self, features: Array, view: Array) -> NDArray[np.intp]:
        """Which leaf each tree of a forest ends in, market trees first [rows, trees]; arguments as of `values`.

        Raises:
            UserError: the champion is no forest.
        """
        if not isinstance(self._native, Forest):
            raise UserError("champion: only a forest has leaves, this one is a network")
        return self._native.leaves(np.asarray(features, np.float32), np.asarray(view, np.float32))

    def state(self) -> dict[str, Any]:
        """All that `on_bar` depends on beside the bundle, as JSON can hold it."""
        keeper = {"peak": self._keeper.peak, "side": self._keeper.side, "held": self._keeper.held}
        return {"format": _STATE, "bundle": self._hash, "market": self._market.state(), "account": keeper}

    def restore(self, state: Mapping[str, Any]) -> None:
        """Go on from a `state` of this bundle; decisions are the same as if there had been no break.

        Raises:
            UserError: the state of another bundle, or none at all; what was known before stays.
        """
        if not isinstance(state, Mapping) or state.get("format") != _STATE:
            raise UserError("state: not what Champion.state gives")
        if state.get("bundle") != self._hash:
            raise UserError("state: of another bundle; load the one it was saved with")
        before = self._market.state()
        try:
            account = state["account"]
            keeper = Keeper(float(account["peak"]), int(account["side"]), float(account["held"]))
            self._market.restore(state["market"])
        except (KeyError, TypeError, ValueError) as error:
            self._market.restore(before)
            raise UserError(f"state: damaged: {error!r}") from None
        self._keeper = keeper

    def _factor(self, seen: Observation) -> np.float32:
        """On exposure, from caution and trust."""
        factor = np.float32(1.0)
        if self._caution is not None:
            factor = factor * self._caution.factor(seen.features)
        if self._trust is not None:
            factor = factor * self._trust.factor(seen.regime)
        return factor


def _caution(leaves: Leaves, bundle: Bundle, features: int) -> Caution | None:
    memory = bundle.manifest.memory
    if not memory.acts or memory.strength == 0.0:
        return None
    moments = np.asarray(bundle.tensors.get("memory.weight", ())).size
    moment, weight = leaves.numbers("memory.features", (moments, features)), leaves.numbers("memory.weight", (moments,))
    return Caution(moment, weight, memory.reach, memory.strength)
