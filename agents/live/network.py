"""A Q-network in NumPy float32: what its layers make of what the champion sees (`genomes.qnetwork`)."""

import itertools
from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from agents.live.leaves import Leaves

__all__ = ["Network"]

Array = NDArray[np.float32]

_ZERO = np.zeros((), np.float32)
"""An array of no dimension: NumPy takes it faster than a scalar."""


class Network:
    """Dense layers with relu between them; the first is in two parts, one for the market, one for the account."""

    def __init__(self, leaves: Leaves, features: int, account: int, actions: int, settings: Mapping[str, Any]) -> None:
        """Take the layers of a bundle.

        Args:
            leaves: of its tensors.
            features: market features it reads.
            account: numbers of its account it reads.
            actions: it puts a value on.
            settings: of the species: `hidden`, units of each hidden layer.

        Raises:
            UserError: a tensor of another shape than the settings say.
        """
        sizes = [int(units) for units in settings["hidden"]]
        self._market = leaves.numbers("genome.market", (features, sizes[0]))
        self._account = leaves.numbers("genome.account", (account, sizes[0]))
        self._bias = leaves.numbers("genome.bias", (sizes[0],))
        self._layers = [
            (
                leaves.numbers(f"genome.hidden.{place}.weight", (inputs, outputs)),
                leaves.numbers(f"genome.hidden.{place}.bias", (outputs,)),
            )
            for place, (inputs, outputs) in enumerate(itertools.pairwise(sizes))
        ]
        self._layers.append(
            (
                leaves.numbers("genome.output.weight", (sizes[-1], actions)),
                leaves.numbers("genome.output.bias", (actions,)),
            )
        )

    def values(self, features: Array, view: Array) -> Array:
        """What each action is worth, float32 [*rows, actions], of features [*rows, features] and views [*rows, 4]."""
        seen = features.dot(self._market)
        seen += self._bias
        seen += view.dot(self._account)
        for weight, bias in self._layers:
            seen = np.maximum(seen, _ZERO, out=seen).dot(weight)
            seen += bias
        return np.asarray(seen)
