"""Small parts of a lineage as networkx graphs: an agent's ancestry, its neighbourhood.

The graph has both parents, where the tree follows the first. networkx keeps a dictionary for each node and edge, about
a kilobyte an agent, so what is handed to it is bounded; a whole run leaves as GraphML, Newick or CSV instead.
"""

import networkx as nx
import numpy as np
import polars as pl
from numpy.typing import NDArray

from experiments.lineage.graphml import attributes, edges
from experiments.lineage.tree import Tree
from markets.errors import UserError

__all__ = ["MOST", "ancestry", "graph_of", "neighbourhood"]

MOST = 100_000
"""Agents that a graph may have, unless told otherwise."""

Mask = NDArray[np.bool_]


def graph_of(table: pl.DataFrame, *, most: int = MOST) -> "nx.DiGraph[int]":
    """A lineage as a graph: nodes are ids with what is known of them, edges go from parent to child.

    Args:
        table: of `LINEAGE`, perhaps with `taxon_label`, which becomes `label`.
        most: agents it may have.

    Returns:
        The graph that `networkx.read_graphml(file, node_type=int)` makes of `write_graphml`'s file.

    Raises:
        UserError: there are more.
    """
    _bounded(table.height, most, "this lineage")
    graph: nx.DiGraph[int] = nx.DiGraph()
    known = attributes(table)
    for own, row in zip(table["id"].to_list(), known.iter_rows(named=True), strict=True):
        graph.add_node(own, **{name: value for name, value in row.items() if value is not None})
    for which, lines in edges(table).items():
        graph.add_edges_from(lines.select("source", "id").iter_rows(), parent=which)
    return graph


def ancestry(tree: Tree, agent: int, *, table: pl.DataFrame | None = None, most: int = MOST) -> "nx.DiGraph[int]":
    """An agent and all its ancestors, over both parents.

    Args:
        tree: any.
        agent: its id.
        table: the lineage the tree is of, in the same order of rows, for attributes of nodes.
        most: agents the graph may have.

    Raises:
        UserError: there is no such agent, or there are more ancestors than that.
    """
    return neighbourhood(tree, agent, up=len(tree), down=0, table=table, most=most)


def neighbourhood(
    tree: Tree, agent: int, *, up: int = 1, down: int = 1, table: pl.DataFrame | None = None, most: int = MOST
) -> "nx.DiGraph[int]":
    """An agent with its nearest ancestors and descendants, over both parents.

    Args:
        tree: any.
        agent: its id.
        up: births upwards.
        down: births downwards.
        table: as in `ancestry`.
        most: agents the graph may have.

    Raises:
        UserError: there is no such agent, or there are more around it than that.
    """
    row = row_of(tree, agent)
    mask = np.zeros(len(tree), bool)
    mask[row] = True
    what = f"the ancestry of agent {agent}" if not down else f"the neighbourhood of agent {agent}"
    _climb(tree, mask, row, up, most, what)
    _descend(tree, mask, row, down, most, what)
    return graph_of(_rows(tree, np.flatnonzero(mask), table), most=most)


def row_of(tree: Tree, agent: int) -> int:
    """The row of an agent.

    Raises:
        UserError: there is none.
    """
    found = np.flatnonzero(tree.id == np.uint64(agent)) if 0 <= agent < 2**64 else np.array([], int)
    if not len(found):
        last = f"; ids there are from {tree.id.min()} to {tree.id.max()}" if len(tree) else ""
        raise UserError(f"agent {agent}: is not in this lineage{last}")
    return int(found[0])


def _climb(tree: Tree, mask: Mask, row: int, steps: int, most: int, what: str) -> None:
    """Mark ancestors over both parents, step by step."""
    front = np.array([row])
    count = 1
    while steps and len(front):
        above = np.concatenate([tree.parent[front], tree.second[front]])
        front = np.unique(above[above >= 0])
        front = front[~mask[front]]
        mask[front] = True
        count += len(front)
        _bounded(count, most, what)
        steps -= 1


def _descend(tree: Tree, mask: Mask, row: int, steps: int, most: int, what: str) -> None:
    """Mark descendants over both parents, step by step."""
    front = np.array([row])
    count = int(np.count_nonzero(mask))
    brood = [(np.argsort(parent, kind="stable"), np.sort(parent)) for parent in (tree.parent, tree.second)] * bool(
        steps
    )
    while steps and len(front):
        below = []
        for order, parent in brood:
            first, end = (parent.searchsorted(front, side) for side in ("left", "right"))
            size = end - first
            below.append(order[np.repeat(first - np.cumsum(size) + size, size) + np.arange(size.sum())])
        front = np.unique(np.concatenate(below))
        front = front[~mask[front]]
        mask[front] = True
        count += len(front)
        _bounded(count, most, what)
        steps -= 1


def _rows(tree: Tree, rows: NDArray[np.intp], table: pl.DataFrame | None) -> pl.DataFrame:
    """Those rows as a lineage table; a parent that is left out leaves a root."""
    if table is not None:
        part = table[rows]
    else:
        second = tree.second[rows]
        part = pl.DataFrame(
            {
                "id": tree.id[rows],
                "ancestor_id": tree.id[tree.parent[rows]],
                "second_parent_id": pl.Series(tree.id[second]),
                "origin_time": tree.born[rows],
                "destruction_time": pl.Series(tree.died[rows]),
            }
        ).with_columns(
            pl.when(pl.Series(second >= 0)).then("second_parent_id").alias("second_parent_id"),
            pl.when(pl.col("destruction_time") >= 0).then("destruction_time").alias("destruction_time"),
        )
    there = pl.col("ancestor_id").is_in(part["id"].implode())
    return part.with_columns(ancestor_id=pl.when(there).then("ancestor_id").otherwise("id"))


def _bounded(count: int, most: int, what: str) -> None:
    if count > most:
        raise UserError(
            f"{what}: has more than {most:,} agents, the most a networkx graph is made of here; take fewer "
            "generations, or write it with arena lineage … --format graphml, which has no bound"
        )
