"""Lineages for tests: one of a few agents that can be checked by eye, and random ones with all that a run has."""

import numpy as np
import polars as pl

from arena.schemas import LINEAGE
from experiments.lineage.tree import depth, tree_of

__all__ = ["SMALL", "lineage_table", "random_lineage"]

SMALL = (
    # id, first parent, second parent, born, died, species, island, operator, cause, strength
    (0, 0, None, 0, 2, "qnetwork", 0, "founder", "culled", None),
    (1, 1, None, 0, None, "forest", 1, "founder", None, None),
    (4, 0, None, 1, 1, "qnetwork", 0, "mutation", "ruined", 0.02),
    (5, 0, 4, 2, None, "qnetwork", 0, "crossover", None, 0.25),
    (7, 5, 0, 3, None, "qnetwork", 0, "crossover", None, 0.5),
    (9, 1, 1, 4, 6, "forest", 1, "crossover", "aged", 0.125),
)
"""Two founders: 0 with its children 4 and 5 and its grandchild 7, and 1, who was crossed with itself and made 9."""


def lineage_table(rows: tuple[tuple[object, ...], ...] = SMALL) -> pl.DataFrame:
    """The lineage of such rows; depth is theirs."""
    names = [name for name in LINEAGE if name not in ("depth", "cause", "mutation_strength")]
    table = pl.DataFrame(rows, schema=[*names, "cause", "mutation_strength"], orient="row")
    table = table.with_columns(depth=pl.lit(0)).select(pl.col(name).cast(kind) for name, kind in LINEAGE.items())
    return table.with_columns(depth=pl.Series(depth(tree_of(table)), dtype=pl.UInt32))


def random_lineage(count: int, seed: int, *, founders: int = 3, crossed: float = 0.4) -> pl.DataFrame:
    """A lineage of agents with gaps between ids, several founders, two parents for some, most of them dead."""
    rng = np.random.default_rng(seed)
    ids = np.cumsum(rng.integers(1, 4, count))
    born = np.sort(rng.integers(0, max(count // 4, 1), count))
    rows: list[tuple[object, ...]] = []
    for at in range(count):
        older = np.flatnonzero(born < born[at])
        root = at < founders or not len(older)
        first, second = (at, at) if root else rng.choice(older[-8:], 2)
        two = not root and rng.random() < crossed
        operator = "founder" if root else "crossover" if two else "mutation"
        died = None if rng.random() < 0.3 else int(born[at] + rng.integers(0, 9))
        island, strength = int(rng.integers(0, 4)), None if root else float(np.float32(rng.random()))
        rows.append(
            (
                *(int(ids[at]), int(ids[first]), int(ids[second]) if two else None, int(born[at]), died),
                *(("qnetwork", "forest")[island % 2], island, operator, None if died is None else "culled", strength),
            )
        )
    return lineage_table(tuple(rows))
