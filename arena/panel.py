"""A panel of brains, and how their action values become one choice: weighted, averaged over bars, clear enough or not.

Brains of several species are numbered through. Each is asked for the lanes that heed it (its seats) and no others; what
it says is brought back to its lanes and summed there. Everything here is for one bar of many lanes.
"""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, Int32

from agents.decision import direction
from arena.rollout import Rollout, Trader
from arena.tally import REGIMES
from genomes.species import ActionSpace, Species

__all__ = [
    "AVERAGED",
    "Averages",
    "Chosen",
    "Decider",
    "Panel",
    "Seats",
    "ask",
    "choose",
    "remember_values",
    "rows_axes",
    "seat",
    "weigh",
]

AVERAGED = 16
"""Most bars whose values may be averaged."""


class Panel(NamedTuple):
    """Brains, numbered through by species in the order of the setups."""

    traders: tuple[Trader, ...]
    """By species, leaves [brains of the species, …]; a species may have none."""

    @property
    def counts(self) -> tuple[int, ...]:
        """Brains of each species."""
        return tuple(int(trader.genes.size.shape[0]) for trader in self.traders)


class Decider(NamedTuple):
    """How each lane acts in each of the regimes, `unknown` left out; made in NumPy."""

    acts: Bool[Array | np.ndarray, "lanes regimes"]
    """Where False it asks to be flat."""
    own: Int32[Array | np.ndarray, "lanes regimes"]
    """Brain whose genes, memory and trust make the order."""
    weights: Float[Array | np.ndarray, "lanes regimes brains"]
    """Of the brains' action values; one-hot 1 for one alone. A brain of weight 0 has no say, whatever it says."""
    threshold: Float[Array | np.ndarray, "lanes regimes"]
    """Least gap between the two best weighted values; below it no order is given. 0 is always."""
    average: Int32[Array | np.ndarray, "lanes regimes"]
    """Bars whose values are averaged, this one included: 1 to `AVERAGED`."""
    view: Int32[Array | np.ndarray, "lanes regimes"]
    """Which of the views is seen."""


class Seats(NamedTuple):
    """Which lanes a brain of one species is asked for."""

    lane: Int32[Array, "brains seats"]
    """All brains have as many; seats that are left over are of lane 0 and heeded by nobody."""
    place: Int32[Array, "brains lanes"]
    """Where the answer for a lane stands among all answers of the species; 0 where it is not heeded."""


class Averages(NamedTuple):
    """What the brains said on the bars before, newest first, by species; nothing where no lane averages."""

    values: tuple[Float[Array, "past brains rows actions"], ...]
    worked: tuple[Bool[Array, "past brains rows"], ...]
    """Whether there was anything to say: a known regime, and finite values."""


class Chosen(NamedTuple):
    """What came of it at one bar."""

    values: Float[Array, "lanes instruments actions"]
    """Averaged and weighted."""
    gap: Float[Array, "lanes instruments"]
    """Between the two best of them."""
    wanted: Float[Array, "lanes instruments"]
    """Direction of the best; 0 where the lane asks to be flat."""
    decided: Bool[Array, "lanes instruments"]
    """Whether an order is given at all."""


def seat(panel: Panel, decider: Decider, lanes: int, views: int) -> tuple[Seats, ...]:
    """Who is asked for whom, by species.

    Raises:
        ValueError: the decider does not fit these lanes, the panel or the views.
    """
    weights, acts = np.asarray(decider.weights), np.asarray(decider.acts)
    brains = sum(panel.counts)
    for name, leaf in decider._asdict().items():
        right = (lanes, REGIMES, brains) if name == "weights" else (lanes, REGIMES)
        if np.shape(leaf) != right:
            raise ValueError(f"decider.{name}: of shape {np.shape(leaf)}; right is {right}")
    for name, low, high in (("own", 0, brains - 1), ("average", 1, AVERAGED), ("view", 0, views - 1)):
        leaf = np.asarray(getattr(decider, name))
        if leaf.min() < low or leaf.max() > high:
            raise ValueError(f"decider.{name}: from {leaf.min()} to {leaf.max()}; right is {low} to {high}")
    if not np.isfinite(weights).all() or np.isnan(decider.threshold).any():
        raise ValueError("decider: weights or thresholds that are no numbers; right are finite weights")
    heeded = ((weights != 0) & acts[..., None]).any(1).T
    seats, first = [], 0
    for count in panel.counts:
        own = heeded[first : first + count]
        most = max(int(own.sum(1).max(initial=0)), 1)
        lane, place = np.zeros((count, most), np.int32), np.zeros((count, lanes), np.int32)
        for brain in range(count):
            asked = np.flatnonzero(own[brain])
            lane[brain, : len(asked)] = asked
            place[brain, asked] = brain * most + np.arange(len(asked))
        seats.append(Seats(jnp.asarray(lane), jnp.asarray(place)))
        first += count
    return tuple(seats)


def rows_axes(species: Species, genome: Any, instruments: int) -> Any:
    """Which axis of each leaf of a bar's code is that of rows: the one whose length follows them.

    Args:
        species: of the brain.
        genome: of one brain, or its form.
        instruments: rows of one stretch.
    """

    def shapes(rows: int) -> Any:
        seen = jax.ShapeDtypeStruct((species.context + 1, rows, species.shape.features), jnp.float32)
        return jax.eval_shape(species.encode, genome, seen)

    def axis(one: Any, other: Any) -> int:
        grown = [place for place, (a, b) in enumerate(zip(one.shape, other.shape, strict=True)) if a != b]
        if len(grown) != 1:
            raise ValueError(f"{species.name}: a leaf of its code has {len(grown)} axes of rows; right is one")
        return grown[0] - 1

    return jax.tree.map(axis, shapes(instruments), shapes(2 * instruments))


def ask(
    setup: Rollout,
    trader: Trader,
    seats: Seats,
    code: Any,
    column: Int32[Array, "lanes"],
    view: Float[Array, "lanes instruments view"],
    carry: Any,
) -> tuple[Float[Array, "brains rows actions"], Any]:
    """What the brains of one species say at one bar, and their carries; rows are seats × instruments.

    Args:
        setup: of the species.
        trader: its brains.
        seats: of them.
        code: of this bar, for every view of every stretch; leaves [brains, …].
        column: which of these a lane reads.
        view: the accounts of the lanes.
        carry: of the brains, leaves [brains, rows, …].
    """
    species, instruments = setup.species, view.shape[1]
    brains, most = seats.lane.shape
    rows = column[seats.lane][..., None] * instruments + jnp.arange(instruments, dtype=jnp.int32)
    own = jax.tree.map(lambda leaf: leaf[0], trader.genome)
    axes = rows_axes(species, own, instruments)

    def read(code: Any, rows: Array) -> Any:
        return jax.tree.map(lambda leaf, axis: jnp.take(leaf, rows, axis=axis, mode="clip"), code, axes)

    known = jax.vmap(read)(code, rows.reshape(brains, most * instruments))
    accounts = view[seats.lane].reshape(brains, most * instruments, -1)
    answer: tuple[Array, Any] = jax.vmap(species.values)(trader.genome, known, accounts, carry)
    return answer


def remember_values(
    values: Float[Array, "brains rows actions"],
    known: Bool[Array, "brains rows"],
    average: Int32[Array, "brains rows"],
    past: Float[Array, "past brains rows actions"],
    worked: Bool[Array, "past brains rows"],
) -> tuple[Array, Array, Array]:
    """The mean of each row's values over its last bars, and what is remembered of them.

    Bars on which nothing was worked out, because the regime was unknown or a value not finite, are left out of the
    mean. On such a bar itself it is NaN.

    Args:
        values: of this bar.
        known: whether its regime is.
        average: bars wanted, this one included.
        past: values of the bars before, newest first.
        worked: see `Averages`.
    """
    if past.shape[0] == 0:
        return values, past, worked
    valid = known
    for action in range(values.shape[-1]):
        valid = valid & jnp.isfinite(values[..., action])
    both = jnp.concatenate([jnp.where(valid[..., None], values, 0.0)[None], past])
    there = jnp.concatenate([valid[None], worked])
    counts = there & (jnp.arange(both.shape[0])[:, None, None] < average)
    total = jnp.where(counts[..., None], both, 0.0).sum(0)
    mean = total / jnp.maximum(counts.sum(0), 1).astype(values.dtype)[..., None]
    return jnp.where(valid[..., None], mean, jnp.nan), both[:-1], there[:-1]


def weigh(
    values: tuple[Array, ...],
    seats: tuple[Seats, ...],
    weights: Float[Array, "lanes brains"],
    instruments: int,
) -> Float[Array, "lanes instruments actions"]:
    """The lanes' own sums of what the brains they heed say.

    Args:
        values: by species, [brains, rows, actions], rows being seats × instruments.
        seats: by species.
        weights: of all brains.
        instruments: of the market.
    """
    total: Array | None = None
    first = 0
    for said, own in zip(values, seats, strict=True):
        count, lanes = own.place.shape
        if count == 0:
            continue
        flat = said.reshape(-1, instruments * said.shape[-1])
        back = jnp.take(flat, own.place, axis=0, mode="clip").reshape(count, lanes, instruments, -1)
        weight = weights[:, first : first + count].T[..., None, None]
        part = jnp.where(weight != 0, weight * back, 0.0).sum(0)
        total = part if total is None else total + part
        first += count
    assert total is not None
    return total


def choose(
    values: Float[Array, "lanes instruments actions"],
    space: ActionSpace,
    known: Bool[Array, "lanes"],
    acts: Bool[Array, "lanes"],
    threshold: Float[Array, "lanes"],
) -> Chosen:
    """What lanes ask for: the best action where it is clear enough, or to be flat where they do not act."""
    best, second = values[..., 0], jnp.full(values.shape[:-1], -jnp.inf)
    finite = jnp.isfinite(best)
    for index in range(1, len(space)):
        own = values[..., index]
        second = jnp.maximum(second, jnp.minimum(best, own))
        best = jnp.maximum(best, own)
        finite = finite & jnp.isfinite(own)
    gap = best - second
    clear = finite & (gap >= threshold[:, None])
    wanted = jnp.where(acts[:, None], direction(values, space), 0.0)
    return Chosen(values, gap, wanted, known[:, None] & (clear | ~acts[:, None]))
