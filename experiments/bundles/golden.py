"""Golden decisions: what a champion saw, thought and asked on bars of its own run, so that anyone can repeat it.

The arena itself is asked (`arena.journey.witness`): one continuous account on the validation part of one symbol, from
its first bar of a known regime. The bars are as they were read; the broker's spread is put on them by whoever repeats
it, as the arena does. Of a champion that acts by decision rules `arena.inference.conduct` is asked, and what each brain
said is kept beside what the rules made of it.
"""

import functools
import io
import zipfile
from collections.abc import Mapping
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from numpy.typing import NDArray

from arena.inference import Moment, conduct
from arena.journey import Seen, witness
from arena.rollout import Rollout, Trader
from experiments.bundles.acting import Handed, seated, views_of
from experiments.champions.world import World
from genomes.forest import Forest, ForestSpecies
from genomes.species import Genome, Species
from genomes.trees import WORD, Layout, Trees, by_input, turns
from markets.account import Order
from markets.errors import UserError
from markets.regimes import UNKNOWN

__all__ = ["DECISIONS", "golden", "golden_by_rules", "packed"]

DECISIONS = 512
"""Decisions kept, where the run has as many bars."""

_EPOCH = (1980, 1, 1, 0, 0, 0)
"""The earliest stamp that an archive's entry may have; the same for all, so that equal content is equal bytes."""


def golden(world: World, setup: Rollout, trader: Trader, segment: int, *, warm_up: int) -> dict[str, NDArray[Any]]:
    """Decisions of one champion, and all that is needed to repeat them.

    Args:
        world: of the run.
        setup: how the champion acts.
        trader: the champion, leaves without an axis of agents.
        segment: of the tape that it trades, of one symbol.
        warm_up: bars that a first decision needs, its own included.

    Returns:
        Arrays by name, as docs/records.md has them; of bars [W + N, …] with W = `warm_up` − 1, of decisions [N, …].

    Raises:
        UserError: the segment is too short.
    """
    own, tape = world.market.segments[segment], world.market.tape
    regime = np.asarray(tape.regime)
    first, count = _decisions(own.first, own.last, own.rows.validation, regime, warm_up)
    agent = jax.tree.map(lambda leaf: jnp.asarray(leaf)[None], trader)
    stop = np.asarray([first + count + 1])
    parts = [part for _, part in witness(setup, agent, tape, stop - count - 1, stop)]
    seen: Seen = jax.tree.map(lambda *leaves: np.concatenate(leaves)[:, 0, 0], *parts)
    rows = slice(first, first + count)
    asked = np.isfinite(seen.order.target[:, 0])
    values = np.asarray(seen.values[:, 0])
    view, features = np.asarray(seen.view[:, 0]), np.asarray(tape.features[rows, 0])
    return {
        **_bars(world, segment, first - warm_up + 1, first + count),
        "features": features,
        "regime": regime[rows].astype(np.int8),
        "atr": np.asarray(tape.atr[rows, 0]),
        "equity": np.asarray(seen.account.equity),
        "units": np.asarray(seen.account.units[:, 0]),
        "entry": np.asarray(seen.account.entry[:, 0]),
        "peak": np.asarray(seen.peak),
        "held": np.asarray(seen.held[:, 0]),
        "view": view,
        **_trees_ends(setup.species, trader.genome, np.concatenate([features, view], axis=1)),
        "values": values,
        "action": values.argmax(1).astype(np.int8),
        "target": np.asarray(seen.order.target[:, 0]),
        "stop": np.where(asked, np.asarray(seen.order.stop_loss[:, 0]), np.float32(np.nan)),
        "take_profit": np.where(asked, np.asarray(seen.order.take_profit[:, 0]), np.float32(np.nan)),
    }


def golden_by_rules(world: World, handed: Handed, segment: int, *, warm_up: int) -> dict[str, NDArray[Any]]:
    """Decisions of a champion that acts by decision rules; see `golden`.

    Args:
        world: of the run.
        handed: the champion, its brains and its rules.
        segment: of the tape that it trades, of one symbol.
        warm_up: bars that a first decision needs, its own included.

    Returns:
        What `golden` does; `features` are those of the view that was seen, `values` what the rules made of what the
        brains said, which is `said` [N, brains, actions]; `action` is −1 where it rests; `leaf_<k>` is of brain k.

    Raises:
        UserError: the segment is too short.
    """
    assert handed.block is not None
    own, tape, lane = world.market.segments[segment], world.market.tape, seated(handed)
    regime = np.asarray(tape.regime)
    first, count = _decisions(own.first, own.last, own.rows.validation, regime, warm_up)
    views = jnp.asarray(views_of(world, segment, lane.lookbacks))
    stop = np.asarray([first + count + 1])
    parts = [
        part
        for _, part in conduct(lane.setups, lane.panel, lane.decider, tape, views, stop - count - 1, stop, keep=_kept)
    ]
    seen: _Kept = jax.tree.map(lambda *leaves: np.concatenate(leaves)[:, 0], *parts)
    rows, place = np.arange(first, first + count), np.minimum(regime[first : first + count], UNKNOWN - 1)
    features, view = np.asarray(views[lane.decider.view[0, place], rows, 0]), seen.view[:, 0]
    said = [_said(setup.species, trader.genome, features, view) for _, trader, setup in handed.brains]
    ends = [
        _trees_ends(setup.species, trader.genome, np.concatenate([features, view], 1))
        for _, trader, setup in handed.brains
    ]
    rests, asked = ~lane.decider.acts[0, place], np.isfinite(seen.order.target[:, 0])
    return {
        **_bars(world, segment, first - warm_up + 1, first + count),
        "features": features,
        "regime": regime[rows].astype(np.int8),
        "atr": np.asarray(tape.atr[rows, 0]),
        "equity": seen.equity,
        "units": seen.units[:, 0],
        "entry": seen.entry[:, 0],
        "peak": np.maximum.accumulate(seen.equity),
        "held": _held(seen.units_after[:, 0], seen.opened[:, 0]),
        "view": view,
        **{f"leaf_{brain}": leaf for brain, own in enumerate(ends) for leaf in own.values()},
        "said": np.stack(said, axis=1),
        "values": seen.values[:, 0],
        "action": np.where(rests, -1, seen.values[:, 0].argmax(1)).astype(np.int8),
        "target": seen.order.target[:, 0],
        "stop": np.where(asked, seen.order.stop_loss[:, 0], np.float32(np.nan)),
        "take_profit": np.where(asked, seen.order.take_profit[:, 0], np.float32(np.nan)),
    }


class _Kept(NamedTuple):
    """What is kept of each bar; leaves [bars, lanes, …]."""

    equity: Any
    units: Any
    entry: Any
    view: Any
    values: Any
    order: Order
    units_after: Any
    opened: Any


def _kept(now: Moment) -> _Kept:
    account, after = now.account, now.outcome
    held = account.equity, account.units, account.entry
    return _Kept(*held, now.view, now.chosen.values, now.ask, after.account.units, after.closed.opened)


def _held(after: NDArray[np.float32], opened: NDArray[np.bool_]) -> NDArray[np.float32]:
    """Bars the position has been held at each decision, as `arena.rollout.gone_on` counts them."""
    held, before = np.zeros(len(after), np.float32), np.float32(0.0)
    for row in range(1, len(after)):
        units = after[row - 1]
        kept = np.sign(units) == np.sign(before) and not opened[row - 1]
        held[row] = 0.0 if units == 0 else held[row - 1] + 1.0 if kept else 1.0
        before = units
    return held


@functools.partial(jax.jit, static_argnums=0)
def _values(species: Any, genome: Any, features: jax.Array, view: jax.Array) -> jax.Array:
    with jax.default_matmul_precision("highest"):
        code = jax.tree.map(lambda leaf: leaf[0], species.encode(genome, features[None]))
        values: jax.Array = species.values(genome, code, view, species.initial_carry(len(features)))[0]
        return values


def _said(species: Species, genome: Genome, features: NDArray[Any], view: NDArray[Any]) -> NDArray[np.float32]:
    """What a brain says of these rows [rows, actions]."""
    return np.asarray(_values(species, genome, features, view))


def _bars(world: World, segment: int, first: int, stop: int) -> dict[str, NDArray[Any]]:
    """Bars of one symbol as they were read, from row to row of the tape."""
    own = world.market.segments[segment]
    known = world.supply.bars[segment][first - own.first : stop - own.first]
    names = [name for name in world.market.features if name in known.columns]
    return {
        "time": known.time.astype("datetime64[us]").astype(np.int64),
        "bid": known.bid,
        "ask": known.ask,
        "volume": known.volume,
        **{f"column_{name}": known.columns[name] for name in names},
    }


def _trees_ends(species: Species, genome: Genome, inputs: NDArray[np.float32]) -> dict[str, NDArray[np.int16]]:
    """`leaf`, where each tree of a forest ends [rows, trees], market trees first; nothing of other brains."""
    if not (isinstance(species, ForestSpecies) and isinstance(genome, Forest)):
        return {}
    seen = by_input(jnp.asarray(inputs))
    kinds = [_ends(species.layout, kind, seen) for kind in (genome.market, genome.state) if len(kind.feature)]
    return {"leaf": np.concatenate(kinds).T.astype(np.int16)}


def _ends(layout: Layout, trees: Trees, seen: jax.Array) -> NDArray[np.intp]:
    """The leaf that each row ends in [trees, rows], by the arena's own turns at every node."""
    words, node = np.asarray(turns(jax.tree.map(jnp.asarray, trees), seen)), np.arange(layout.nodes)
    right = (words[:, node // WORD] >> (node % WORD)[:, None]) & 1 == 1
    leaf = np.zeros((len(words), words.shape[-1]), np.intp)
    for level in range(layout.depth):
        asked = np.full_like(leaf, level) if layout.oblivious else 2**level - 1 + leaf
        leaf = 2 * leaf + np.take_along_axis(right, asked[:, None], axis=1)[:, 0]
    return leaf


def _decisions(begin: int, last: int, validation: range, regime: NDArray[np.int32], warm_up: int) -> tuple[int, int]:
    """Row of the first decision, and how many there are; some of training where validation is short."""
    known = np.flatnonzero(regime[begin + warm_up - 1 : last] != UNKNOWN) + begin + warm_up - 1
    after = known[known >= validation.start]
    if not len(known):
        raise UserError("market: has no bar of a known regime behind the warm-up; a bundle needs some to be checked by")
    count = min(DECISIONS, last - int(known[0]))
    first = int(after[0]) if len(after) else last
    return min(first, last - count), count


def packed(arrays: Mapping[str, NDArray[Any]]) -> bytes:
    """Arrays as a compressed `.npz`, equal ones as equal bytes."""
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, array in arrays.items():
            entry = io.BytesIO()
            np.lib.format.write_array(entry, np.ascontiguousarray(array), allow_pickle=False)
            info = zipfile.ZipInfo(f"{name}.npy", _EPOCH)
            info.compress_type, info.external_attr = zipfile.ZIP_DEFLATED, 0o644 << 16
            archive.writestr(info, entry.getvalue())
    return file.getvalue()
