"""A brain that was bred on inputs of one scaling, as one that answers alike on inputs of another.

A run fits its scaler on its own bars: x = clip((raw − c) / s). A champion of an earlier run was bred on other c and s.
What lay at x there lies at x' here, where both see the same raw value and neither clips it:

    x = a x' + b,  a = s' / s,  b = (c' − c) / s

A network's first layer is linear in its inputs, so a and b go into its weights and bias; a forest compares, so its
thresholds move to (t − b) / a. Where there is a raw value and neither clips, both are exact up to the rounding of
float32. Where one of the scalings clips and the other does not, nothing linear says the same; nor at a hole in a column
of the user's own, which is seen as 0, the centre, in either. `Change.clipped` tells on which bars that is or may be.
Columns are matched by name; inputs that the brain does not know weigh nothing, and no tree asks for them.
"""

import dataclasses
from typing import Any

import numpy as np
from numpy.typing import NDArray

from genomes.forest import Forest
from genomes.qnetwork import Network
from genomes.trees import Layout, Trees
from markets.scaling import Scaler

__all__ = ["Change", "change", "grown", "rescaled_forest", "rescaled_network"]


@dataclasses.dataclass(frozen=True, eq=False)
class Change:
    """From one scaling to another.

    Attributes:
        place: column here of each feature that the brain knows [known].
        factor: a, above 0 [known].
        shift: b [known].
        clip: largest absolute value there.
        bound: largest absolute value here.
        features: columns here.
    """

    place: NDArray[np.int64]
    factor: NDArray[np.float64]
    shift: NDArray[np.float64]
    clip: float
    bound: float
    features: int

    def apply(self, seen: NDArray[np.floating]) -> NDArray[np.float64]:
        """What the brain would have seen where it was bred [..., known], of what is seen here [..., features]."""
        inner = self.factor * seen[..., self.place].astype(np.float64) + self.shift
        return np.clip(inner, -self.clip, self.clip)

    def clipped(self, seen: NDArray[np.floating]) -> NDArray[np.bool_]:
        """Whether a feature is, or may be, clipped in one of the two scalings alone, or otherwise, or is a hole [...].

        A hole is seen as exactly 0, and so is a raw value at the centre, which counts as one where the centres differ.
        """
        here = seen[..., self.place].astype(np.float64)
        outside = (np.abs(here) >= self.bound) | (np.abs(self.factor * here + self.shift) > self.clip)
        same = (self.factor == 1.0) & (self.shift == 0.0) & (self.clip == self.bound)
        hole = (here == 0.0) & (self.shift != 0.0)
        return np.asarray(((outside & ~same) | hole).any(axis=-1))


def change(there: Scaler, here: Scaler) -> Change:
    """From the scaling that a brain was bred on to another that knows all of its features.

    Args:
        there: of the brain.
        here: of the run it goes on in.

    Raises:
        ValueError: a feature that is not known here.
    """
    place = np.asarray([here.names.index(name) for name in there.names], np.int64)
    return Change(
        place=place,
        factor=here.scale[place] / there.scale,
        shift=(here.centre[place] - there.centre) / there.scale,
        clip=there.clip,
        bound=here.clip,
        features=len(here.names),
    )


def rescaled_network(network: Network, by: Change) -> Network:
    """The network that answers here as this one does there: W x + w = (W a) x' + (w + W b)."""
    weight = np.asarray(network.market, np.float64)
    market = np.zeros((by.features, weight.shape[-1]))
    market[by.place] = weight * by.factor[:, None]
    bias = np.asarray(network.bias, np.float64) + by.shift @ weight
    own: Any = (market.astype(np.float32), bias.astype(np.float32))
    return network._replace(market=own[0], bias=own[1])


def rescaled_forest(forest: Forest, by: Change) -> Forest:
    """The forest that answers here as this one does there.

    A question that every row there answered alike, because its threshold lies beyond the clip, is one of that kind here
    too. One whose threshold would come to lie beyond the clip of this scaling is asked at its edge instead: rows that
    are clipped turn to the side they would have turned to far enough out there.
    """
    return forest._replace(market=_moved(forest.market, by), state=_moved(forest.state, by))


def _moved(trees: Trees, by: Change) -> Trees:
    feature, threshold = np.asarray(trees.feature), np.asarray(trees.threshold, np.float64)
    known = len(by.place)
    of_market = feature < known
    column = np.where(of_market, feature, 0)
    moved = ((threshold - by.shift[column]) / by.factor[column]).astype(np.float32)
    bound = np.float32(by.bound)
    above, inside = np.nextafter(bound, np.float32(np.inf)), np.nextafter(-bound, np.float32(0.0))
    told = np.where(threshold > by.clip, np.maximum(moved, above), np.clip(moved, inside, bound))
    told = np.where(threshold <= -by.clip, np.minimum(moved, -bound), told)
    told = np.where(np.isfinite(threshold), told, threshold)
    own: Any = (
        np.where(of_market, by.place[column], feature - known + by.features).astype(np.int32),
        np.where(of_market, told, threshold).astype(np.float32),
    )
    return trees._replace(feature=own[0], threshold=own[1])


def grown(trees: Trees, layout: Layout, wanted: Layout, count: int, inputs: NDArray[np.integer[Any]]) -> Trees:
    """The same trees in a layout with at least as much room, silent ones behind them.

    A level more asks the question above it again, so rows go where they went.

    Args:
        trees: as they were.
        layout: theirs.
        wanted: as deep or deeper; oblivious only where theirs is.
        count: trees there are to be.
        inputs: what silent trees ask for, in turn.
    """
    asked = [np.asarray(part) for part in (trees.feature, trees.threshold, trees.nan_right)]
    leaf = np.asarray(trees.leaf)
    if layout.oblivious and not wanted.oblivious:
        asked = [part[:, Layout(layout.depth, oblivious=False).level] for part in asked]
    for _ in range(wanted.depth - layout.depth):
        last = [part[:, -1:] if wanted.oblivious else np.repeat(part[:, part.shape[1] // 2 :], 2, 1) for part in asked]
        asked = [np.concatenate([part, more], axis=1) for part, more in zip(asked, last, strict=True)]
        leaf = np.repeat(leaf, 2, axis=1)
    silent = count - len(leaf)
    whole = [np.concatenate([part, np.zeros((silent, *part.shape[1:]), part.dtype)]) for part in (*asked, leaf)]
    turn = (np.arange(silent)[:, None] + np.arange(wanted.nodes)) % max(len(inputs), 1)
    whole[0][len(leaf) :] = inputs[turn]
    made: Any = whole
    return Trees(*made)
