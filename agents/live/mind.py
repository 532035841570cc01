"""One brain of a bundle with all that is its own: genes, scar memory and trust, which make an order of a direction."""

from collections.abc import Mapping
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from agents.live.bundle import Bundle, tensors_of
from agents.live.forest import Forest
from agents.live.inference import CHAMPION
from agents.live.leaves import Leaves
from agents.live.manifest import ACCOUNT_VIEW, Manifest
from agents.live.market import Observation
from agents.live.memory import Caution, Trust
from agents.live.network import Network
from agents.live.onnx_brain import OnnxBrain
from markets.errors import UserError
from markets.settings import shown

__all__ = ["Brain", "Mind", "minds_of"]

Array = NDArray[np.float32]

_FARTHEST = float(np.float32(0.95))
"""A stop at or beyond the whole price would be a negative level; 95 % of the price is as good as none."""


class Brain(Protocol):
    """What says what each action is worth."""

    def values(self, features: Array, view: Array) -> Array:
        """float32 [*rows, actions], of features [*rows, features] and views of the account [*rows, 4]."""


class Mind:
    """A brain and what belongs to it.

    Attributes:
        native: the brain in NumPy.
        brain: what works out the values; the native one unless somebody puts another in its place.
        genes: size, stop and take_profit, by name.
    """

    def __init__(
        self, tensors: Mapping[str, NDArray[Any]], where: str, species: str, settings: Mapping[str, Any], own: Manifest
    ) -> None:
        """Take a brain out of its file.

        Args:
            tensors: of the file, by name.
            where: what messages call it.
            species: its kind.
            settings: of the species.
            own: the manifest, for what all brains of a bundle have in common.

        Raises:
            UserError: tensors that are not as the manifest says.
        """
        leaves, width = Leaves(where, tensors), len(own.features.list)
        kind = Network if species == "qnetwork" else Forest
        self.native: Network | Forest = kind(leaves, width, len(ACCOUNT_VIEW), len(own.actions.names), settings)
        self.brain: Brain = self.native
        self.genes = {name: leaves.numbers(f"genes.{name}", ())[()] for name in ("size", "stop", "take_profit")}
        self._caution = _caution(leaves, tensors, width, own)
        self._trust = None
        if own.trust.scales_capital:
            self._trust = Trust(leaves.numbers("trust", (len(own.regimes.names) - 1,)), own.trust.floor)
        self._stops = own.stops

    def order(self, wanted: np.float32, seen: Observation) -> tuple[float, float | None, float | None]:
        """Target, stop and take-profit of a direction, a signed share of the size gene."""
        target = float(wanted * self.genes["size"] * self._factor(seen))
        if not self._stops:
            return target, None, None
        stop = min(float(self.genes["stop"] * seen.atr), _FARTHEST)
        return target, stop, float(self.genes["take_profit"] * seen.atr)

    def _factor(self, seen: Observation) -> np.float32:
        """On exposure, from caution and trust."""
        factor = np.float32(1.0)
        if self._caution is not None:
            factor = factor * self._caution.factor(seen.features)
        if self._trust is not None:
            factor = factor * self._trust.factor(seen.regime)
        return factor


def minds_of(bundle: Bundle, backend: str) -> list[Mind]:
    """The brains of a bundle, the champion's first.

    Args:
        bundle: that is whole.
        backend: what works out the champion's values: `numpy` or `onnx`.

    Raises:
        UserError: tensors that are not as the manifest says, another backend, or one that cannot act by the rules.
    """
    manifest, where = bundle.manifest, str(bundle.path / CHAMPION)
    first = Mind(bundle.tensors, where, manifest.species.name, manifest.species.settings, manifest)
    for name, value in first.genes.items():
        if value != np.float32(getattr(manifest.genes, name)):
            raise UserError(f"{where}: genes.{name}: {value} is not what the manifest says")
    found, further = [first], () if manifest.inference is None else manifest.inference.brains[1:]
    for brain in further:
        tensors, place = tensors_of(bundle, brain.file), str(bundle.path / brain.file)
        found.append(Mind(tensors, place, brain.species, brain.settings, manifest))
    if backend == "onnx":
        if further:
            raise UserError(
                f"backend: 'onnx' has one brain, {bundle.path} decides by {len(found)}; use backend='numpy'"
            )
        inputs, actions = len(manifest.features.list) + len(ACCOUNT_VIEW), len(manifest.actions.names)
        first.brain = OnnxBrain(bundle.read("model.onnx"), str(bundle.path / "model.onnx"), inputs, actions)
    elif backend != "numpy":
        raise UserError(f"backend: {shown(backend)} is not one of numpy, onnx")
    return found


def _caution(leaves: Leaves, tensors: Mapping[str, NDArray[Any]], features: int, own: Manifest) -> Caution | None:
    memory = own.memory
    if not memory.acts or memory.strength == 0.0:
        return None
    moments = np.asarray(tensors.get("memory.weight", ())).size
    moment, weight = leaves.numbers("memory.features", (moments, features)), leaves.numbers("memory.weight", (moments,))
    return Caution(moment, weight, memory.reach, memory.strength)
