"""Where champions come from: the line of each from its founder down, in a few numbers."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import polars as pl
from numpy.typing import NDArray

from experiments.lineage.tree import Tree, ancestors

__all__ = ["Line", "champion_lines"]


@dataclass(frozen=True, kw_only=True)
class Line:
    """A champion's line of first parents, founder and champion counted.

    Attributes:
        id: the champion.
        holds: what it is the champion of, such as regimes.
        founder: the line's first agent.
        species: the champion's; None where it is not known.
        born: the champion's first generation.
        depth: births between the founder and the champion.
        mutations: of these, those of one parent.
        crossovers: those of two.
        scars: scars that agents of the line had before their child on it was born, and the champion before it won what
            it holds (in the generation of a win, champions are tried before scars are made).
        won: what agents of the line ever were the champion of, in the order of `holds`'s names.
    """

    id: int
    holds: tuple[str, ...]
    founder: int
    species: str | None
    born: int
    depth: int
    mutations: int
    crossovers: int
    scars: int
    won: tuple[str, ...]


def champion_lines(
    tree: Tree,
    table: pl.DataFrame,
    holds: Mapping[int, Sequence[str]],
    archive: pl.DataFrame,
    scars: pl.DataFrame,
    *,
    names: Sequence[str],
) -> list[Line]:
    """The lines of champions, the deepest first.

    Args:
        tree: of the table.
        table: of `LINEAGE`, in the tree's order of rows.
        holds: what each champion, by id, is the champion of; those that are not in the lineage are passed over.
        archive: the run's table of that name: `id, regime, generation`.
        scars: the run's table of that name: `id, generation`.
        names: of what can be won, in the order to name them.
    """
    places = np.flatnonzero(np.isin(tree.id, np.fromiter(holds, np.uint64, len(holds))))
    lines = {int(tree.id[row]): np.append(ancestors(tree, int(row))[::-1], row) for row in places}
    concerned = pl.Series(tree.id[np.unique(np.concatenate([np.array([], np.int64), *lines.values()]))])
    won = archive.filter(pl.col("id").is_in(concerned.implode())).select("id", "regime", "generation")
    had = scars.filter(pl.col("id").is_in(concerned.implode())).select("id", "generation")
    made = [_line(tree, table, line, tuple(holds[own]), won, had, names) for own, line in lines.items()]
    return sorted(made, key=lambda line: (-line.depth, line.id))


def _line(
    tree: Tree,
    table: pl.DataFrame,
    rows: NDArray[np.int64],
    holds: tuple[str, ...],
    won: pl.DataFrame,
    scars: pl.DataFrame,
    names: Sequence[str],
) -> Line:
    held = won.filter((pl.col("id") == tree.id[rows[-1]]) & pl.col("regime").is_in(holds))
    until = pl.Series([*tree.born[rows[1:]].tolist(), held["generation"].max()], dtype=pl.Int64)  # the next is born
    own = pl.DataFrame({"id": tree.id[rows], "until": until})
    operators = table["operator"][rows].to_list()
    ever = set(won.join(own, on="id", how="semi")["regime"].to_list())
    before = scars.join(own, on="id").filter((pl.col("generation") < pl.col("until")) | pl.col("until").is_null())
    return Line(
        id=int(tree.id[rows[-1]]),
        holds=tuple(name for name in names if name in holds),
        founder=int(tree.id[rows[0]]),
        species=table["species"][int(rows[-1])],
        born=int(tree.born[rows[-1]]),
        depth=len(rows) - 1,
        mutations=operators.count("mutation"),
        crossovers=operators.count("crossover"),
        scars=before.height,
        won=tuple(name for name in names if name in ever),
    )
