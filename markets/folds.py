"""What the tapes of a walk-forward run's folds have in common, so that one compiled program plays them all.

Tapes of different folds differ in length. Padding brings them to one shape: rows at the end that no window touches, and
places in the lists of windows that no draw can reach. Arrays are only ever read at rows that a window names, so padding
changes no bit of what is played. How much room there is, and how many validation windows each fold can have, follows
from the dates of the splits alone: nothing of a later fold's prices is looked at.
"""

from collections.abc import Sequence
from typing import NamedTuple

import jax.numpy as jnp
from jaxtyping import Array

from markets.splits import Split
from markets.tape import Strata, Tape
from markets.windows import UNKNOWN, WindowSettings

__all__ = ["Room", "fewest_windows", "padded", "room_of"]


class Room(NamedTuple):
    """What the largest fold can need."""

    rows: int
    """Of the tape."""
    windows: int
    """That training episodes may be drawn from."""


def room_of(folds: Sequence[Sequence[Split]], windows: WindowSettings) -> Room:
    """The room that the folds of one market need.

    Args:
        folds: rows of each segment, in each fold.
        windows: what windows are wanted.
    """
    rows = max(sum(own.validation.stop for own in fold) for fold in folds)
    needed = windows.context + windows.bars
    return Room(rows, max(sum(max(len(own.train) - needed, 0) for own in fold) for fold in folds))


def fewest_windows(folds: Sequence[Sequence[Split]], windows: WindowSettings) -> int:
    """Validation windows that every fold has room for, so that champions of all are chosen on equally many.

    Args:
        folds: rows of each segment, in each fold.
        windows: what windows are wanted.
    """
    own = windows.bars + 1
    fewest = min(sum(max(len(rows.validation) - windows.context, 0) // own for rows in fold) for fold in folds)
    return max(fewest, 1)


def padded(tape: Tape, room: Room | None) -> Tape:
    """The tape, brought to the shape that all folds share; as it is where there is one fold.

    Padding rows are of no known regime, and every regime has its place among the strata.
    """
    if room is None:
        return tape
    rows, strata = room.rows - tape.segment.shape[0], UNKNOWN - tape.train.windows.shape[1]

    def longer(leaf: Array, by: int = rows, value: float = 0.0) -> Array:
        return jnp.pad(leaf, ((0, by), *((0, 0),) * (leaf.ndim - 1)), constant_values=value)

    return tape._replace(
        bid=longer(tape.bid, value=1.0),
        ask=longer(tape.ask, value=1.0),
        volume=longer(tape.volume),
        days=longer(tape.days),
        features=longer(tape.features),
        atr=longer(tape.atr),
        regime=longer(tape.regime, value=UNKNOWN),
        segment=longer(tape.segment),
        train=Strata(
            rows=longer(tape.train.rows, room.windows - tape.train.rows.shape[0]),
            offset=jnp.pad(tape.train.offset, ((0, 0), (0, strata))),
            windows=jnp.pad(tape.train.windows, ((0, 0), (0, strata))),
        ),
    )
